"""``offbench report rewards``: how far two rewards of the same transitions are apart."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import tyro


def rewards(
    a: Annotated[str, tyro.conf.Positional],
    b: Annotated[str, tyro.conf.Positional],
    /,
    discount: float = 0.99,
    length: int = 50,
    points: int = 20_000,
    pairs: int = 5_000,
    seed: int = 0,
    format: Literal["terminal", "csv", "json"] = "terminal",
) -> None:
    """Compare the rewards of a dataset with those of the same transitions relabelled: STARC, EPIC, Pearson, accuracy.

    Examples:
        offbench report rewards offbench/pendulum/swingup-v0 relabelled.offbench

    Args:
        a: Dataset id, or a file or folder of data: with the reward that the other is measured by.
        b: The same transitions with the other reward.
        discount: Of what potentials add.
        length: Steps of a segment.
        points: Transitions at most that the distances are estimated from.
        pairs: Pairs of segments.
        seed: Of what is drawn.
        format: Layout.
    """
    from offbench.cli.data_sources import whole
    from offbench.labelling.sampled_rewards import compare_rewards
    from offbench.report.rewards import render

    found = compare_rewards(whole(a), whole(b), discount, length, points, pairs, seed)
    settings = {"discount": discount, "length": length, "points": points, "pairs": pairs, "seed": seed}
    sys.stdout.write(render(found, (a, b), settings, format))
