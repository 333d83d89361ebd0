"""One run of a submitted algorithm, in whatever process it was put: ``python -m ...training_child SETTINGS.json``.

The data come as a file that does not say which dataset they are, so that code cannot branch on its name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from offbench.training.run import train


def main(path: Path) -> None:
    """Train as the settings say and leave a run's folder."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in settings["config"].items()}
    train(
        settings["algorithm"],
        Path(settings["data"]),
        seeds=tuple(settings["seeds"]),
        steps=settings["steps"],
        episodes=settings["episodes"],
        task=settings["task"],
        output=Path(settings["output"]),
        quiet=True,
        **settings["options"],
        **config,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
