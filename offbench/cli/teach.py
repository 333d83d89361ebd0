"""``offbench teach``: labels of random pairs of segments, from a teacher outside that looks at pictures of them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from offbench.data.preferences import Preferences


def teach(
    dataset: Annotated[str, tyro.conf.Positional],
    /,
    pairs: str,
    prompt: str,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    endpoint: str | None = None,
    command: str | None = None,
    seed: int = 0,
    frames: int = 4,
    size: tuple[int, int] = (240, 180),
    task: str | None = None,
    timeout: float = 60.0,
    tries: int = 4,
    name: str = "",
    answers: Path | None = None,
) -> None:
    """Have a teacher compare pairs of segments, and write what it prefers as a file of preferences.

    Each segment is drawn as a few pictures; a command or an endpoint is asked which is better, on the JSON contract of
    docs/teachers.md. Every answer is written down before the next pair is asked: the same command goes on where it was
    stopped, and asks nothing twice. Then 'offbench train ALGORITHM "DATASET?labels=FILE"' learns from the labels.

    Examples:
        offbench teach offbench/pendulum/swingup-v0 --pairs 100x50 --command "python ask.py" --prompt "In which is the
            rod upright for longer?" -o labels.offbench

    Args:
        dataset: Dataset id, or a file or folder of data.
        pairs: PAIRSxSTEPS, how many labels and how long segments are: 100x50.
        prompt: What is asked, in words.
        output: File of preferences to write, NAME.offbench.
        endpoint: Address to which each pair is posted.
        command: Program with arguments, started for each pair.
        seed: Of the draw of segments.
        frames: Pictures of a segment at most; 1: its last state.
        size: Width and height of a picture in pixels.
        task: Task that the data come from; by default the dataset's own.
        timeout: Seconds for one answer.
        tries: How often one label is asked for at most.
        name: Who answers, for example the model; by default the command or address. Answers of one name are reused.
        answers: File of answers; OUTPUT.answers.jsonl by default.
    """
    # Imported here so that --help waits for no numbers.
    from offbench.basis.plain import plain
    from offbench.catalog.progress import shown
    from offbench.cli.data_sources import whole
    from offbench.data.supervision import pairs_and_steps
    from offbench.environments.own_tasks import chosen_task
    from offbench.formats import preferences as files
    from offbench.labelling.asking import ask
    from offbench.labelling.pictured import Pictured
    from offbench.labelling.transports import Command, Endpoint, Patience

    asked = pairs_and_steps(pairs)
    if asked is None:
        raise OffbenchError(f"--pairs {pairs} is not PAIRSxSTEPS; 100x50 would be right")
    if (endpoint is None) == (command is None):
        raise OffbenchError("name one teacher: either --endpoint URL or --command PROGRAM")
    if output.suffix not in (".offbench", ".safetensors"):
        raise OffbenchError(f"{output} would be a native file under another name; call it {output.stem}.offbench")
    book = answers or output.with_name(f"{output.name}.answers.jsonl")
    if output.exists():
        raise OffbenchError(f"{output} exists; name another file, or remove it (answers stay in {book})")
    transport = Command(command, timeout) if command is not None else Endpoint(endpoint or "", timeout)
    data = whole(dataset)
    chosen = task or data.provenance.task
    if chosen is None:
        raise OffbenchError(f"the task that {dataset} comes from is not known; name it with --task")
    teacher = Pictured(transport, prompt, chosen_task(chosen), frames, size, Patience(tries), name)
    count, length = asked
    with shown("labels", "pairs") as tell:
        labelled = ask(data, teacher, count, length, seed, book, tell=tell)
    files.save(labelled, output)
    _tell(labelled, plain(dataset))
    print(f"written: {plain(output)}; answers with reasons in {plain(book)}")
    print(f'to learn from them: offbench train ALGORITHM "{plain(dataset)}?labels={plain(output)}"')


def _tell(labelled: Preferences, dataset: str) -> None:
    """How often each side was preferred, and who said so."""
    first, second, ties = (int((labelled.labels == share).sum()) for share in (0, 1, 0.5))
    print(
        f"{len(labelled)} pairs of {labelled.length} steps of {dataset}: the first {first} times, the second {second} "
        f"times, {ties} ties; {labelled.provenance.notes[-1].rpartition('; ')[2]}"
    )


def run(argv: list[str]) -> int:
    """Parse ``argv`` and ask."""
    description = (inspect.getdoc(teach) or "").partition("\nArgs:")[0].strip()
    tyro.cli(teach, prog="offbench teach", description=description, args=argv)
    return 0
