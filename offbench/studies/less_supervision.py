"""How far learning gets with less: actions in few episodes, or comparisons in the place of rewards.

Sources: Zheng et al. 2023, "Semi-Supervised Offline Reinforcement Learning with Action-Free Trajectories" (SS-ORL,
ICML), whose share of labelled episodes and whose labels of low return these are; Kim et al. 2023, "Preference
Transformer" (ICLR), whose reward models; Hejna and Sadigh 2023 (IPL), Hejna et al. 2024 (CPL), Kang et al. 2023 (OPPO).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from offbench.basis.files import atomic
from offbench.basis.shapes import Array
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records
from offbench.nn.random import stream
from offbench.report.canvas import DOTS_PER_INCH, METADATA
from offbench.studies import comparison as side_by_side
from offbench.studies.comparison import Comparison, Method, finished, returns
from offbench.studies.drawing import STYLE

Budget = Literal["small", "medium", "full"]
TEXT = (
    "Actions: a few episodes of low return keep theirs, of all others states and rewards are known; an inverse "
    "dynamics model is fitted to the few and says the actions of the rest (SS-ORL), or the few are all there is. "
    "Rewards: pairs of segments and which of the two earns more are known, and no reward; a reward model is fitted to "
    "the pairs and says the rewards of all steps, or the policy is learned from the pairs themselves (CPL, IPL, OPPO)."
)
ALL_ACTIONS, FEW_ACTIONS = "TD3+BC, all actions", "BC, labelled part"
TRUE_REWARDS, NO_REWARDS = "IQL, true rewards", "BC, all actions"
SHARES = (3, 10, 30)  # percent of the episodes
PAIRS = (50, 500)
DRAWS = 10_000  # of the bootstrap


# Of the smaller budgets: a pair of segments of 100 steps in CPL's and OPPO's own sizes is a second of a core an update.
_DIRECT: Mapping[str, Mapping[str, Any]] = {
    "cpl": {"hidden": (256, 256), "batch_size": 16},
    "ipl": {"pairs": 4, "segment_steps": 32},
    "oppo": {"embedding": 64, "layers": 1, "batch_size": 16, "warmup": 1000, "learning_rate": 1e-3},
}


def comparison(budget: Budget) -> Comparison:
    """The methods, and how much is done: small for minutes of a core, medium for an hour of two, full for a GPU."""
    small = budget == "small"
    length = 25 if small else 100
    values: Mapping[str, Any] = {"hidden": (64, 64), "learning_rate": 1e-3} if small else {}
    learner = ",hidden=[64,64],learning_rate=0.001" if small else ""
    methods = [
        Method(ALL_ACTIONS, "td3_bc", values),
        Method(FEW_ACTIONS, "bc", values, split="actions=10%-low&part=labelled"),
        Method("TD3+BC, labelled part", "td3_bc", values, split="actions=10%-low&part=labelled"),
    ]
    # Of the pendulum's actions four in ten lie at their bounds, which a squashed density cannot say.
    few: Mapping[str, Any] = {"learner": f"td3_bc{learner}", **({"inverse_density": "gaussian"} if small else {})}
    methods += [Method(f"SS-ORL, {share}%", "ss_orl", few, split=f"actions={share}%-low") for share in SHARES]
    methods += [Method(TRUE_REWARDS, "iql", values), Method(NO_REWARDS, "bc", values)]
    methods += [
        Method(
            f"IQL, {name}, {pairs} pairs",
            "reward_model",
            {"learner": f"iql{learner}", "model": model},
            split=f"preferences={pairs}x{length}",
        )
        for name, model in (("learned rewards", "markovian"), ("transformer", "transformer"))
        for pairs in PAIRS
    ]
    methods += [
        Method(
            f"{name.upper()}, {PAIRS[-1]} pairs",
            name,
            {**({} if budget == "full" else chosen), **(values if small and name != "oppo" else {})},
            split=f"preferences={PAIRS[-1]}x{length}",
        )
        for name, chosen in _DIRECT.items()
    ]
    data = {"small": "pendulum/swingup-v0", "medium": "halfcheetah/medium-replay-100k-v0"}
    return Comparison(
        "Learning with less",
        TEXT,
        f"offbench/{data.get(budget, 'hopper/medium-expert-v0')}",
        methods,
        seeds=range(3 if small else 5),
        steps={"small": 3000, "medium": 10_000, "full": 1_000_000}[budget],
        episodes=10,
        evaluations=10 if budget == "full" else 5,
    )


def recovered(
    scores: Sequence[float], whole: Sequence[float], least: Sequence[float]
) -> tuple[float, tuple[float, float]]:
    """The share of the way from the least to the whole, (mean - least) / (whole - least), and its 95% interval.

    Args:
        scores: of the seeds of a method.
        whole: of those of the reference that is given everything.
        least: of those of the reference that the method must beat.

    The interval is the percentile bootstrap over the seeds of all three.
    """
    generator = stream(0, "recovered")

    def means(values: Sequence[float]) -> Array:
        drawn: Array = np.asarray(values)[generator.integers(len(values), size=(DRAWS, len(values)))].mean(1)
        return drawn

    own, top, bottom = means(scores), means(whole), means(least)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (own - bottom) / (top - bottom)
        share = (np.mean(scores) - np.mean(least)) / (np.mean(whole) - np.mean(least))
    low, high = np.nanpercentile(shares, [2.5, 97.5])
    return float(share), (float(low), float(high))


def write_page(comparison: Comparison, output: Path) -> list[Path]:
    """The page of all methods, with how much of the way each goes, and the picture of that; returns their paths.

    Raises:
        OffbenchError: there is no record.
    """
    paths = side_by_side.write_page(comparison, output)
    found = {
        method.name: read_records([output / method.folder])
        for method in comparison.methods
        if finished(output / method.folder)
    }
    lines = _shares(comparison, found)
    if not lines:
        return paths
    with atomic(paths[0]) as temporary:
        temporary.write_text("\n".join([paths[0].read_text(encoding="utf-8"), *lines, ""]), encoding="utf-8")
    return [*paths, _draw(comparison, found, output / "shares.png")]


def _shares(comparison: Comparison, found: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """The table of how much of the way each method goes; nothing where a reference is missing."""
    lines: list[str] = []
    for whole, least, prefix in ((ALL_ACTIONS, FEW_ACTIONS, "actions="), (TRUE_REWARDS, NO_REWARDS, "preferences=")):
        if whole not in found or least not in found:
            continue
        ends = returns(found[whole]), returns(found[least])
        lines += [f"| of the way from {least} to {whole} | share | 95% interval |", "|---|---:|---:|"]
        for method in comparison.methods:
            if method.name not in found or method.name == least or not method.split.startswith(prefix):
                continue
            share, (low, high) = recovered(returns(found[method.name]), *ends)
            lines.append(f"| {method.name} | {share:.2f} | {low:.2f} to {high:.2f} |")
        lines.append("")
    if not lines:
        return []
    told = (
        f"Shares are (return - least) / (whole - least), their intervals percentile bootstraps ({DRAWS:,} draws) over "
        f"the seeds of all three. Where the two ends lie close to each other a share means nothing, and its interval "
        "says so."
    )
    return [told, "", *lines, "![Returns over the share of labels](shares.png)"]


def _draw(comparison: Comparison, found: Mapping[str, Sequence[RunRecord]], path: Path) -> Path:
    """Return over the share of labelled episodes, and over the number of pairs; dashed and dotted: the two ends."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(context="paper", style="whitegrid", rc=STYLE)  # type: ignore[no-untyped-call]
    figure, panels = plt.subplots(1, 2, figsize=(7.0, 3.0), layout="constrained", sharey=True)
    kinds = {
        "SS-ORL": [(f"SS-ORL, {share}%", share) for share in SHARES],
        "IQL, learned rewards": [(f"IQL, learned rewards, {pairs} pairs", pairs) for pairs in PAIRS],
        "IQL, transformer": [(f"IQL, transformer, {pairs} pairs", pairs) for pairs in PAIRS],
    }
    colours = sns.color_palette("colorblind", len(kinds))  # type: ignore[no-untyped-call]
    for colour, (name, named) in zip(colours, kinds.items(), strict=True):
        axes = panels[0 if name == "SS-ORL" else 1]
        known = [(place, returns(found[one])) for one, place in named if one in found]
        for place, values in known:
            axes.plot([place] * len(values), values, ".", color=colour, alpha=0.5)
        axes.plot([place for place, _ in known], [np.mean(values) for _, values in known], color=colour, label=name)
    ends = ((ALL_ACTIONS, FEW_ACTIONS), (TRUE_REWARDS, NO_REWARDS))
    places = (("Episodes with actions (%)", SHARES), ("Compared pairs", PAIRS))
    for axes, pair, (title, points) in zip(panels, ends, places, strict=True):
        for name, style in zip(pair, ("--", ":"), strict=True):
            if name in found:
                axes.axhline(float(np.mean(returns(found[name]))), color="0.35", linestyle=style, label=name)
        axes.set(xscale="log", xlabel=title, xlim=(0.8 * points[0], 1.25 * points[-1]))
        axes.set_xticks(points, labels=[f"{point:g}" for point in points])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize="x-small")
    panels[0].set_ylabel("Return")
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata=METADATA[".png"])
    plt.close(figure)
    return path
