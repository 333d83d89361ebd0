import pytest

from offbench.errors import OffbenchError
from offbench.report.choosing import choose, text

ROWS = [
    {"algorithm": "iql", "dataset": "d4rl/hopper-medium-v2", "steps": 1000, "config.beta": 3.0, "config.wide": True},
    {"algorithm": "iql", "dataset": "d4rl/hopper-expert-v2", "steps": 20000, "config.beta": 10.0, "config.wide": False},
    {"algorithm": "td3_bc", "dataset": "mine", "steps": 5000, "config.alpha": 2.5, "config.net": "[256, 256]"},
]


def chosen(*conditions: str) -> list[int]:
    return choose([(row, i) for i, row in enumerate(ROWS)], conditions)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), [0, 1, 2]),
        (("algorithm=iql",), [0, 1]),
        (("algorithm!=iql",), [2]),
        (("algorithm=IQL*",), None),
        (("dataset=*hopper*", "dataset!=*medium*"), [1]),
        (("algorithm=[it]*",), [0, 1, 2]),
        (("steps=1000",), [0]),
        (("steps=1e3",), [0]),
        (("steps=20_000",), [1]),
        (("steps>=5000",), [1, 2]),
        (("steps<5000",), [0]),
        (("beta=3",), [0]),
        (("config.beta>3",), [1]),
        (("config.wide=true",), [0]),
        (("alpha=none",), [0, 1]),
        (("alpha!=2.5",), [0, 1]),
        (("net=?256, 256?",), [2]),
        (("algorithm<3",), None),
    ],
)
def test_conditions(conditions: tuple[str, ...], expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(OffbenchError, match="no run has"):
            chosen(*conditions)
    else:
        assert chosen(*conditions) == expected


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("algorithm", "is no condition"),
        ("=iql", "is no condition"),
        ("algoritm=iql", "algorithm"),
        ("steps>many", "which is no number"),
        ("algorithm=bc", "algorithm is iql, td3_bc"),
    ],
)
def test_what_is_wrong_is_said(condition: str, said: str) -> None:
    with pytest.raises(OffbenchError, match=said):
        chosen(condition)


def test_values_are_shown_as_they_are_compared() -> None:
    assert [text(value) for value in (None, True, 3.0, 0.1, 12345678.5, 1e-7, "x")] == [
        *("none", "true", "3", "0.1", "12345678.5", "1e-07", "x")
    ]
