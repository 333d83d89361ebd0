"""A comparison of a few updates, for tests."""

from offbench.studies.comparison import Comparison


def of(methods, dataset="offbench/pendulum/swingup-v0") -> Comparison:
    return Comparison(
        "A title",
        "A text.",
        dataset,
        methods,
        seeds=(0, 1),
        steps=20,
        episodes=2,
        evaluations=2,
        settings={"hidden": (8, 8), "compile": "never", "workers": 1},
    )
