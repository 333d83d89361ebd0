"""``offbench data``: which datasets there are, what is in them, fetching, checking, converting and publishing them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import tyro
from rich.console import Console
from rich.table import Table

from offbench.catalog import store
from offbench.catalog.cards import Card, card, cards
from offbench.catalog.loading import card_of, fetch_shown, load, load_card
from offbench.catalog.progress import shown, size_text
from offbench.cli.data_regenerate import regenerate_dataset
from offbench.cli.data_render import render_episode
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task, task
from offbench.errors import OffbenchError
from offbench.formats import native

Ids = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ID [ID ...]")]
Id = Annotated[str, tyro.conf.Positional]


def list_datasets(filter: str = "") -> None:
    """List the datasets: id, task, size of the download, whether cached, description.

    Examples:
        offbench data list
        offbench data list --filter hopper

    Args:
        filter: Show only datasets whose id, task or description contains this.
    """
    rows = [
        (each.id, each.task or "", _origin(each), "yes" if store.is_cached(each) else "no", each.description)
        for each in cards().values()
        if filter.lower() in f"{each.id} {each.task} {each.description}".lower()
    ]
    if rows:
        _print_table(("id", "task", "download", "cached", "description"), rows)
    else:
        print(f"no dataset contains {filter!r}; offbench data list shows all {len(cards())}")


def show_dataset(id: Id, /) -> None:
    """Show a dataset's card and, when cached, its statistics and a histogram of returns.

    Examples:
        offbench data show offbench/pointmaze/stitch-v0
        offbench data show d4rl/hopper-medium-v2

    Args:
        id: Dataset id, or a TOML file with one card.
    """
    chosen = _card(id)
    print(f"{chosen.id} (revision {chosen.revision})\n  {chosen.description}")
    for name, text in _facts(chosen):
        print(f"  {name:<9} {text}")
    if not store.is_cached(chosen):
        print(f"  cached    no; offbench data fetch {id} gets it, and so does the first use")
        return
    trajectories = load_card(chosen)
    print(f"  cached    yes\n\n{trajectories.summary()}")
    if trajectories.rewards is not None and len(trajectories):
        print("\n  episodes by return\n" + histogram(trajectories.returns))


def fetch_datasets(ids: Ids, /) -> None:
    """Download or generate datasets ahead of use, and check the files that are there against their checksums.

    Examples:
        offbench data fetch offbench/pendulum/swingup-v0
        offbench data fetch d4rl/hopper-medium-v2 minari/mujoco/hopper/expert-v0

    Args:
        ids: Dataset ids.
    """
    for chosen in _cards(ids, "fetch"):
        if chosen.recipe is not None:
            _generate(chosen, again=False)
            continue
        for file in chosen.files:
            path = fetch_shown(chosen, file, verify=True)
            known = "published" if file.sha256 or file.md5 else "recorded at the first download"
            print(f"{path}: checksum is right ({known})")
        trajectories = load_card(chosen)
        print(f"{chosen.id}: {len(trajectories):,} episodes, {trajectories.steps:,} steps")


def generate_datasets(
    ids: Ids, /, again: bool = False, transitions: int | None = None, output: Path | None = None
) -> None:
    """Generate datasets into the cache, the folder OFFBENCH_CACHE where that is set; or a smaller one into a file.

    Examples:
        offbench data generate offbench/pointmaze/stitch-v0 offbench/pendulum/swingup-v0
        offbench data generate offbench/hopper/medium-v0 --transitions 50000 --output small.offbench

    Args:
        ids: Dataset ids.
        again: Generate also what is cached already.
        transitions: Another number of transitions than the card's; needs --output, since it is another dataset.
        output: The native file to write, instead of into the cache.
    """
    chosen = _cards(ids, "generate")
    for each in chosen:
        if each.recipe is None:
            raise OffbenchError(f"{each.id} is not generated; offbench data fetch {each.id} downloads it")
    if transitions is None and output is None:
        for each in chosen:
            _generate(each, again)
        return
    if output is None or len(chosen) != 1:
        raise OffbenchError("a dataset of another size is no standard one: name one id, and its file with --output")
    _generate_file(chosen[0], transitions, output, again)


def lint_dataset(source: Id, /, task: str | None = None) -> int:
    """Look for what is wrong with a dataset although it loads; exit code 1 if there is an error among the findings.

    Examples:
        offbench data lint offbench/pointmaze/stitch-v0
        offbench data lint recorded.hdf5 --task hopper

    Args:
        source: Dataset id, or a file or folder of data.
        task: Task whose bounds, time limit and rewards the data should keep; by default the dataset's own.
    """
    from offbench.lint.checks import lint
    from offbench.lint.files import lint_file

    path = Path(source).expanduser()
    if path.is_file() and path.suffix != ".toml":
        findings = lint_file(path, _task_facts(task))
    elif source in cards() and card(source).files:
        chosen = card(source)
        facts = _task_facts(task or chosen.task)
        findings = [each for file in chosen.files for each in lint_file(fetch_shown(chosen, file), facts)]
    else:
        trajectories = _whole(source)
        findings = lint(trajectories, _task_facts(task or trajectories.provenance.task))
    for finding in findings:
        print(finding)
    errors = sum(finding.severity == "error" for finding in findings)
    print(f"{source}: {errors} errors among {len(findings)} findings" if findings else f"{source}: nothing found")
    return int(errors > 0)


def export_dataset(source: Id, /, to: Literal["minari", "d4rl", "safetensors"], output: str | None = None) -> None:
    """Write a dataset in another format.

    Examples:
        offbench data export offbench/pendulum/swingup-v0 --to d4rl
        offbench data export offbench/pendulum/swingup-v0 --to safetensors --output swingup.offbench
        offbench data export offbench/pendulum/swingup-v0 --to minari --output pendulum/swingup-v0

    Args:
        source: Dataset id, or a file or folder of data.
        to: The format: a Minari dataset, an HDF5 file as D4RL has them, or a native file of memory-mapped safetensors.
        output: The file; for Minari the id, whose folder lies among Minari's. By default the dataset's name.
    """
    trajectories = _whole(source)
    name = Path(source.partition("?")[0]).name
    stem = name if source.partition("?")[0] in cards() else Path(name).stem
    notes: Sequence[str] = ()
    if to == "minari":
        from offbench.formats.writers import write_minari

        environment = task(trajectories.provenance.task).environment if trajectories.provenance.task else None
        where, notes = write_minari(trajectories, output or f"offbench/{stem}", environment)
    else:
        where = Path(output or stem + {"d4rl": ".hdf5", "safetensors": native.SUFFIX}[to])
        if where.exists():
            raise OffbenchError(f"{where} exists; name another file with --output, or remove it")
        if to == "d4rl":
            from offbench.formats.writers import write_d4rl

            notes = write_d4rl(trajectories, where)
        else:
            native.save(trajectories, where)
    print(f"{where}: {len(trajectories):,} episodes, {trajectories.steps:,} steps")
    for note in notes:
        print(f"  note      {note}")


def remove_datasets(ids: Ids, /) -> None:
    """Delete what the cache holds of datasets, without asking; recorded checksums stay.

    Examples:
        offbench data rm offbench/pendulum/swingup-v0

    Args:
        ids: Dataset ids.
    """
    for chosen in _cards(ids, "remove"):
        removed = store.remove(chosen)
        for path in removed:
            print(f"removed {path}")
        if not removed:
            print(f"{chosen.id}: the cache {native.cache_folder()} holds nothing of it")
        if chosen.minari is not None:
            print(f"{chosen.id}: Minari keeps its own files; 'minari delete {chosen.minari}' deletes them")


def publish_dataset(
    id: Id, repository: Annotated[str, tyro.conf.Positional], /, output: Path = Path("."), private: bool = False
) -> None:
    """Upload a dataset to the Hugging Face Hub, and write a card that points to it.

    Needs the extra hub and a login ('hf auth login', or HF_TOKEN).

    Examples:
        offbench data publish offbench/pendulum/swingup-v0 me/swingup

    Args:
        id: Dataset id, or a TOML file with one card.
        repository: OWNER/NAME of the dataset repository, which is made if there is none.
        output: Folder for the native file and the card.
        private: Make the repository private, if it is made.
    """
    from offbench.catalog.publishing import publish

    chosen = _card(id)
    pinned = publish(load_card(chosen), chosen, repository, output, private)
    print(f"{chosen.id} is published; offbench.load({str(pinned)!r}) loads it from there")


commands: dict[str, Callable[..., Any]] = {
    "list": list_datasets,
    "show": show_dataset,
    "fetch": fetch_datasets,
    "generate": generate_datasets,
    "regenerate": regenerate_dataset,
    "render": render_episode,
    "lint": lint_dataset,
    "export": export_dataset,
    "rm": remove_datasets,
    "publish": publish_dataset,
}


def histogram(values: npt.NDArray[Any], bins: int = 10, width: int = 40) -> str:
    """Text lines: the range of each bin, a bar whose longest is ``width`` characters, and the count."""
    counts, edges = np.histogram(values, bins=bins)
    places = max(0, 2 - int(np.floor(np.log10(max(edges[-1] - edges[0], 1e-6)))))
    lines = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        # A bin that holds anything shows at least one mark.
        bar = "#" * max(int(count > 0), round(width * count / max(counts.max(), 1)))
        lines.append(f"  {low:10.{places}f} to {high:10.{places}f}  {bar:<{width}} {count}")
    return "\n".join(lines)


# -------------------------------------------------------------------- helpers


def _card(id: str) -> Card:
    """The card of an id, or of a TOML file."""
    return card_of(Path(id)) if id.endswith(".toml") else card(id)


def _cards(ids: Sequence[str], what: str) -> list[Card]:
    """All cards before any work, so that a misspelt id stops it at once."""
    if not ids:
        raise OffbenchError(f"name at least one dataset to {what}; offbench data list shows all")
    return [_card(id) for id in ids]


def _whole(source: str) -> Trajectories:
    loaded = load(source)
    if not isinstance(loaded, Trajectories):
        raise OffbenchError(f"{source} has two parts, with and without actions; name a dataset of one part")
    return loaded


def _generate(chosen: Card, again: bool) -> None:
    path = store.generated_path(chosen)
    if again:
        path.unlink(missing_ok=True)
    existed, start = path.is_file(), time.perf_counter()
    with shown(chosen.id, "episodes" if chosen.recipe and chosen.recipe.episodes else "steps") as progress:
        load_card(chosen, progress=progress)
    what = "was cached" if existed else f"generated in {time.perf_counter() - start:.1f} s"
    print(f"{chosen.id}: {what}, {path}")


def _generate_file(chosen: Card, transitions: int | None, output: Path, again: bool) -> None:
    from offbench.catalog.generated import generate, resized

    if output.exists() and not again:
        raise OffbenchError(f"{output} exists; name another file with --output, or overwrite it with --again")
    card = chosen if transitions is None else resized(chosen, transitions)
    start = time.perf_counter()
    with shown(chosen.id, "episodes" if card.recipe and card.recipe.episodes else "steps") as progress:
        trajectories = generate(card, progress)
    native.save(trajectories, output)
    print(
        f"{output}: {len(trajectories):,} episodes, {trajectories.steps:,} steps, {time.perf_counter() - start:.1f} s"
    )


def _task_facts(name: str | None) -> Any:
    """What the lint wants to know of a task; of one that cannot be simulated here, only its time limit and rewards."""
    if name is None:
        return None
    from offbench.environments.task_facts import facts, reward_formula
    from offbench.lint.findings import TaskFacts

    chosen = task(name)
    try:
        return facts(chosen)
    except OffbenchError as error:
        print(f"bounds of actions are not checked: {error}", file=sys.stderr)
        return TaskFacts(chosen.name, chosen.episode_limit, expected_rewards=reward_formula(chosen))


def _origin(chosen: Card) -> str:
    if chosen.recipe is not None:
        return "generated"
    if chosen.minari is not None:
        return "by minari"
    sizes = [file.size for file in chosen.files]
    return size_text(None if None in sizes else sum(size or 0 for size in sizes))


def _facts(chosen: Card) -> list[tuple[str, str]]:
    """(name, text) of every line of a card below its description."""
    known = task(chosen.task) if chosen.task else None
    lines = [("task", _task_text(known))] if known else []
    lines += [("differs", difference) for difference in known.known_differences] if known else []
    if chosen.environment:
        lines.append(("recorded", f"in {chosen.environment}"))
    if recipe := chosen.recipe:
        arguments = "".join(f", {name} {value}" for name, value in recipe.arguments.items())
        episodes = f"{chosen.steps:,} in {recipe.episodes:,} episodes" if recipe.episodes and chosen.steps else ""
        lines.append(("steps", episodes or f"at least {recipe.transitions:,}, in whole episodes"))
        lines.append(("recipe", f"{recipe.name}, seed {recipe.seed}{arguments}"))
        if e := recipe.expected:
            returns, lengths = f"{e.mean_return:g} +- {e.return_error:g}", f"{e.mean_length:g} +- {e.length_error:g}"
            lines.append(("expected", f"mean return {returns}, mean length {lengths} (standard errors)"))
    elif chosen.steps:
        lines.append(("steps", f"{chosen.steps:,}"))
    if chosen.mean_return is not None:
        lines.append(("return", f"mean {chosen.mean_return:,.1f}"))
    if chosen.minari:
        lines.append(("minari", chosen.minari))
    for file, path in zip(chosen.files, store.source_paths(chosen), strict=True):
        lines += [("file", f"{url} ({size_text(file.size)})") for url in file.urls]
        lines.append(("checksum", _checksum_text(file.sha256, file.md5, store.recorded_checksum(path))))
    lines += [("licence", chosen.licence)] if chosen.licence else []
    lines += [("cite", chosen.citation)] if chosen.citation else []
    return lines + [("defect", defect) for defect in chosen.known_defects]


def _task_text(known: Task) -> str:
    scores = f"score 0 at {known.low.mean:g}, 100 at {known.high.mean:g}"
    where = known.environment + (" in D4RL's dynamics" if known.dynamics == "d4rl" else "")
    return f"{known.name} ({where}, at most {known.episode_limit} steps; {scores}; {known.low.source})"


def _checksum_text(sha256: str | None, md5: str | None, recorded: str | None) -> str:
    if sha256 or md5:
        return f"sha256 {sha256}" if sha256 else f"md5 {md5}"
    return "none was published; " + (f"recorded: sha256 {recorded}" if recorded else "the first download's is recorded")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, plain aligned columns elsewhere."""
    console = Console()
    if console.is_terminal:
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
