from hypothesis import given
from hypothesis import strategies as st

from offbench.training.schedule import LEAST, Schedule

numbers = st.integers(1, 60)


@given(
    st.integers(1, 7),
    st.integers(0, 100),
    numbers,
    st.lists(numbers, min_size=1, max_size=2),
    st.integers(1, 4),
    st.data(),
)
def test_every_update_of_every_group_is_made_once_and_in_order(groups, start, length, intervals, workers, data):
    schedule = Schedule(groups, start, start + length, intervals)
    made = [[] for _ in range(groups)]
    busy = []
    while True:
        while len(busy) < workers and (piece := schedule.take()) is not None:
            assert piece[0] not in [group for group, _, _ in busy]  # a group is in one place at a time
            busy.append(piece)
        if not busy:
            break
        group, first, last = busy.pop(data.draw(st.integers(0, len(busy) - 1)))
        assert all(first // every == (last - 1) // every for every in intervals)  # no piece passes an interval's end
        made[group] += range(first, last)
        schedule.give_back(group)
    assert made == [list(range(start, start + length))] * groups
    assert schedule.positions == [start + length] * groups


@given(st.integers(1, 7), numbers, st.integers(1, 4), st.data())
def test_in_a_hurry_all_groups_end_at_the_same_update_as_soon_as_they_can(groups, interval, workers, data):
    schedule = Schedule(groups, 0, 10_000, [interval])
    busy, hurry, furthest = [], False, 0
    while True:
        hurry = hurry or data.draw(st.integers(0, 9)) == 0
        while len(busy) < workers and (piece := schedule.take(hurry)) is not None:
            busy.append(piece)
            furthest = max(furthest, piece[2]) if not hurry else furthest
        if not busy:
            break
        schedule.give_back(busy.pop(data.draw(st.integers(0, len(busy) - 1)))[0])
    assert set(schedule.positions) == {furthest}  # nobody goes beyond who was foremost


def test_the_group_that_is_furthest_behind_comes_next_unless_it_was_just_given_back():
    schedule = Schedule(3, 0, 900, [100])
    assert [schedule.take() for _ in range(4)] == [(0, 0, 100), (1, 0, 100), (2, 0, 100), None]
    schedule.give_back(1)
    assert schedule.take() == (1, 100, 200)  # no other is free
    schedule.give_back(0)
    schedule.give_back(1)
    assert schedule.take() == (0, 100, 200)
    schedule.give_back(2)
    assert schedule.take() == (1, 200, 300)  # 2 is further behind, and whoever gave it back may be slow


@given(st.integers(2, 9), st.integers(2, 4), st.integers(1, 2000))
def test_processes_of_any_speed_end_together_up_to_the_shortest_piece(groups, workers, length):
    schedule = Schedule(groups, 0, length, [100])
    speeds = [1.0, 0.5, 0.8, 0.3][:workers]  # updates in a unit of time
    working, waiting = {}, {}  # when each process ends its piece; since when it finds none
    now = 0.0
    while True:
        for worker in range(workers):
            if worker not in working and (piece := schedule.take()) is not None:
                waiting.pop(worker, None)
                working[worker] = now + (piece[2] - piece[1]) / speeds[worker], piece[0]
            elif worker not in working:
                waiting.setdefault(worker, now)
        if not working:
            break
        worker = min(working, key=lambda each: working[each][0])
        now, group = working.pop(worker)
        schedule.give_back(group)
    if groups >= 2 * workers and length >= 100:
        assert now - min(waiting.values()) <= 2 * LEAST / min(speeds)
