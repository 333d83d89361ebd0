"""Which group is updated next, and how far: whichever process is free takes one that is far behind."""

from __future__ import annotations

from collections.abc import Sequence

LEAST = 10  # updates of the shortest piece, unless an interval ends: handing one over takes a few milliseconds


class Schedule:
    """The way of all groups from one update to another, in pieces that processes take in turn.

    A piece ends at the multiples of ``intervals`` (a block of indices, a line of the log), so that a process that
    becomes free finds work soon and every group is seen at each of them. It is at most a third of what the groups
    will have left on average: pieces shrink towards the stop, where whoever has none left waits for the others. The
    process that is free next is often the one that has just given a group back, and it may be a slow one: it takes
    another group, so that none stays in slow hands.
    """

    def __init__(self, groups: int, start: int, stop: int, intervals: Sequence[int]) -> None:
        self.positions, self.stop, self.intervals = [start] * groups, stop, tuple(intervals)
        self._taken: dict[int, int] = {}
        self._given_back: int | None = None

    def take(self, hurry: bool = False) -> tuple[int, int, int] | None:
        """(group, start, stop) of the next piece; None while there is none to be had.

        In a ``hurry`` the way ends where the foremost group is, or will be: as soon as all stand at the same update.
        """
        if hurry:
            self.stop = max([*self.positions, *self._taken.values()])
        free = [group for group in range(len(self.positions)) if group not in self._taken]
        behind = [group for group in free if self.positions[group] < self.stop]
        if not behind:
            return None
        group = min(behind, key=lambda each: (each == self._given_back, self.positions[each]))
        start = self.positions[group]
        left = sum(self.stop - self._taken.get(each, position) for each, position in enumerate(self.positions))
        longest = max(LEAST, left // (3 * len(self.positions)))
        ends = ((start // every + 1) * every for every in self.intervals)
        self._taken[group] = min(self.stop, start + longest, *ends)
        return group, start, self._taken[group]

    def give_back(self, group: int) -> None:
        """The piece that was taken of a group is done."""
        self.positions[group] = self._taken.pop(group)
        self._given_back = group
