"""``offbench label``: what is hidden in a dataset is what a model says, and the result is a dataset again."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from offbench.basis.plain import plain
from offbench.cli.flags import part
from offbench.errors import OffbenchError, UnknownNameError
from offbench.formats.table import resolve
from offbench.training.labelling import MODELS

EXAMPLE = "offbench label 'offbench/hopper/medium-v0?actions=10%-low' --with inverse_dynamics -o hopper.offbench"


@dataclass(frozen=True)
class Options:
    """What is labelled, and where it goes."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path()
    """The file, .offbench."""
    seed: int = 0
    """Of the model."""
    task: str = ""
    """Task whose range of actions counts; by default the dataset's own."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one: where the model is fitted."""


def run(argv: list[str]) -> int:
    """Parse ``argv``, which begins with the dataset, label it and write the file."""
    name, rest = _chosen(list(argv))
    helped = {"-h", "--help"} & set(rest)
    if name is None and not helped:
        raise OffbenchError(f"say by which model: --with {' or --with '.join(MODELS)}")
    given = [] if not rest or rest[0].startswith("-") else [rest.pop(0)]
    if not given and not helped:
        raise OffbenchError(f"label needs a dataset: {EXAMPLE}")
    fields: list[Any] = [part("options", Options())]
    if name is not None:
        fields.append(part("model", resolve(MODELS[name].config)()))
    models = "\n".join(f"  --with {known}: {model.summary}" for known, model in MODELS.items())
    description = (
        "Fill in what is hidden in a dataset by a model of one seed, and write the result, which says by which model.\n"
        f"It is a dataset as any other: offbench train iql FILE.\n\n{models}\n\nExample: {EXAMPLE}"
    )
    prog = f"offbench label {plain(given[0]) if given else 'DATASET'} --with {name or 'MODEL'}"
    parsed: Any = tyro.cli(dataclasses.make_dataclass("Label", fields), prog=prog, description=description, args=rest)
    assert name is not None  # without it the parser showed the help and ended
    kind = resolve(MODELS[name].config)
    config = kind(**{field.name: getattr(parsed.model, field.name) for field in dataclasses.fields(kind)})
    options = Options(**{field.name: getattr(parsed.options, field.name) for field in dataclasses.fields(Options)})
    _write(given[0], name, config, options)
    return 0


def _chosen(argv: list[str]) -> tuple[str | None, list[str]]:
    """The model that ``--with`` names, and the other words."""
    for place, word in enumerate(argv):
        if word == "--with" or word.startswith("--with="):
            value = word.partition("=")[2] if "=" in word else "".join(argv[place + 1 : place + 2])
            if value not in MODELS:
                raise UnknownNameError("labelling model", value, MODELS)
            return value, argv[:place] + argv[place + (1 if "=" in word else 2) :]
    return None, argv


def _write(dataset: str, name: str, config: Any, options: Options) -> None:
    from offbench.formats.saving import check_target, save
    from offbench.training.labelling import labelled

    if not options.output.name:
        raise OffbenchError(f"label needs a file to write, as in: {EXAMPLE}")
    check_target(options.output)  # before minutes of fitting
    made = labelled(
        dataset, name, config, options.seed, options.task, options.device,
        lambda line: print(plain(line), file=sys.stderr, flush=True),
    )  # fmt: skip
    save(made, options.output)
    print(f"{plain(options.output)}: {len(made):,} episodes, {made.steps:,} steps, digest {made.digest}")
    for note in made.provenance.notes:
        print(f"  note      {plain(note)}")
