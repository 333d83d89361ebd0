"""Random episodes as a naive list, and the way between that list and Trajectories, in plain loops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from offbench.data.trajectories import Trajectories


@dataclass
class Episode:
    """One episode of T steps; ``end`` is terminated, truncated or cut, ``stops`` are steps that terminate inside it."""

    observations: np.ndarray  # (T + 1, observation)
    end: str
    actions: np.ndarray | None = None
    rewards: np.ndarray | None = None
    final: bool = True
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    stops: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(self.observations) - 1

    def key(self) -> tuple[Any, ...]:
        arrays = {"observations": self.observations, "actions": self.actions, "rewards": self.rewards} | self.extras
        content = [(n, None if a is None else (a.dtype.str, a.shape, a.tobytes())) for n, a in sorted(arrays.items())]
        return (tuple(content), self.end, self.final, self.stops)


def pack(episodes: list[Episode], like: Episode, **more: Any) -> Trajectories:
    """Trajectories of a list; ``like`` gives the columns where the list is empty."""

    def join(name: str) -> np.ndarray | None:
        example = getattr(like, name)
        return None if example is None else np.concatenate([example[:0], *(getattr(e, name) for e in episodes)])

    ends = [
        end
        for e in episodes
        for end in ["terminated" if step in e.stops else "inside" for step in range(e.length - 1)] + [e.end]
    ]
    offsets = [0]
    for e in episodes:
        offsets.append(offsets[-1] + e.length)
    return Trajectories(
        observations=join("observations"),
        offsets=np.array(offsets, dtype=np.int64),
        terminations=np.array([end == "terminated" for end in ends], dtype=bool),
        truncations=np.array([end == "truncated" for end in ends], dtype=bool),
        actions=join("actions"),
        rewards=join("rewards"),
        extras={n: np.concatenate([x[:0], *(e.extras[n] for e in episodes)]) for n, x in like.extras.items()},
        final_observations=np.array([e.final for e in episodes], dtype=bool),
        **more,
    )


def unpack(trajectories: Trajectories) -> list[Episode]:
    episodes = []
    row = step = 0
    for number in range(len(trajectories)):
        length = int(trajectories.offsets[number + 1] - trajectories.offsets[number])
        steps, rows = slice(step, step + length), slice(row, row + length + 1)
        stops = tuple(int(s) for s in np.flatnonzero(trajectories.terminations[steps][:-1]))
        whole = trajectories.steps
        flags = trajectories.terminations[steps][-1], trajectories.truncations[steps][-1]
        episodes.append(
            Episode(
                observations=trajectories.observations[row : row + length + 1],
                end="terminated" if flags[0] else "truncated" if flags[1] else "cut",
                actions=None if trajectories.actions is None else trajectories.actions[steps],
                rewards=None if trajectories.rewards is None else trajectories.rewards[steps],
                final=bool(trajectories.final_observations[number]),
                extras={
                    n: column[steps if len(column) == whole else rows] for n, column in trajectories.extras.items()
                },
                stops=stops,
            )
        )
        row, step = row + length + 1, step + length
    return episodes


def keys(episodes: list[Episode]) -> list[tuple[Any, ...]]:
    return [episode.key() for episode in episodes]


_DTYPES = [
    "float32",
    "float64",
    "float16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
]


@st.composite
def episode_lists(
    draw: st.DrawFn,
    least: int = 0,
    most: int = 5,
    *,
    d4rl: bool = False,
    rewards: bool | None = None,
    inner: bool | None = None,
) -> tuple[list[Episode], Episode]:
    """(episodes, an episode with the same columns). With ``d4rl``, what such a file can hold: float32, known final
    observations, and only the last episode cut off. ``inner``: whether some episodes have terminations inside."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(1, 6), min_size=least, max_size=most))
    dtypes = {name: "float32" if d4rl else draw(st.sampled_from(_DTYPES)) for name in ("observations", "actions")}
    sizes = {name: draw(st.integers(1, 3)) for name in dtypes}
    has_actions = draw(st.booleans())
    has_rewards = draw(st.booleans()) if rewards is None else rewards
    reward_dtype = "float32" if d4rl else draw(st.sampled_from(["float16", "float32", "float64"]))
    extras = draw(
        st.dictionaries(st.sampled_from(["qpos", "goal", "deep/er", "ä"]), st.sampled_from(_DTYPES), max_size=2)
    )
    longer = {name: 0 if d4rl else draw(st.integers(0, 1)) for name in extras}  # T+1 rows an episode
    shapes = {name: draw(st.sampled_from([(), (2,), (2, 1)])) for name in extras}
    stops = draw(st.booleans()) if inner is None and not d4rl else bool(inner)
    ends = ["terminated", "truncated"] if d4rl else ["terminated", "truncated", "cut"]

    def array(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return (rng.standard_normal(shape) * 50).astype(np.int8).astype(dtype) if dtype != "float32" else (
            rng.standard_normal(shape).astype(np.float32)
        )  # fmt: skip

    def episode(length: int) -> Episode:
        return Episode(
            observations=array((length + 1, sizes["observations"]), dtypes["observations"]),
            end=draw(st.sampled_from(ends)),
            actions=array((length, sizes["actions"]), dtypes["actions"]) if has_actions else None,
            rewards=array((length,), reward_dtype) if has_rewards else None,
            final=True if d4rl else draw(st.booleans()),
            extras={name: array((length + longer[name], *shapes[name]), dtype) for name, dtype in extras.items()},
            stops=tuple(step for step in range(length - 1) if stops and rng.random() < 0.3),
        )

    episodes = [episode(length) for length in lengths]
    if d4rl and episodes and draw(st.booleans()):
        episodes[-1] = replace(episodes[-1], end="cut")
    return episodes, episode(1)
