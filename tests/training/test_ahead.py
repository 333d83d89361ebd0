"""Gathering ahead: the rows, their order, and results are those of data that lie on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.base import View
from offbench.algorithms.bc import BC
from offbench.data.partial_views import Compared, PartlyLabelled
from offbench.data.sequences import Sequences
from offbench.data.supervision import SemiSupervised
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError, OffbenchError
from offbench.formats.native import save
from offbench.nn.random import stream
from offbench.training import ahead, views
from offbench.training.ahead import Ahead, read_at_random
from offbench.training.options import Options
from offbench.training.views import home_of, make_view

BLOCK, SEEDS, BATCH = 12, 2, 5


def data(lost: bool = False, episodes: int = 40) -> Trajectories:
    rng, lengths = np.random.default_rng(0), np.random.default_rng(1).integers(1, 9, episodes)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    steps, ends = int(offsets[-1]), offsets[1:] - 1
    terminated = rng.random(episodes) < 0.3
    flags = np.zeros((2, steps), bool)
    flags[0, ends], flags[1, ends] = terminated, ~terminated
    return Trajectories(
        observations=rng.standard_normal((steps + episodes, 3)).astype(np.float32),
        offsets=offsets,
        terminations=flags[0],
        truncations=flags[1],
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.standard_normal(steps).astype(np.float32),
        final_observations=rng.random(episodes) < 0.5 if lost else None,
        action_range=(np.full(2, -2, np.float32), np.full(2, 1, np.float32)),
    )


def drawn(view: View) -> ahead.Callable[[int], torch.Tensor]:
    def indices(number: int) -> torch.Tensor:
        return torch.from_numpy(stream(0, "test", number).integers(len(view), size=(BLOCK, SEEDS, BATCH)))

    return indices


def made(kind: str, home: str | None) -> View:
    options = {"normalise_states": True, "home": home}
    if kind == "sequences":
        return Sequences(data(), 4, return_scale=3.0, **options)
    if kind == "partly":
        whole = data()
        return PartlyLabelled(SemiSupervised(whole[:10], whole[10:].without("actions"), "x"), **options)
    if kind == "compared":
        return Compared(offbench.data.supervision.apply_split(data(episodes=200), "preferences=20x1"), **options)
    return Transitions(data(lost=True), next_actions=kind == "next", reward_transform="minus_one", **options)


def flat(batch: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for value in batch:  # type: ignore[attr-defined]
        found += [value] if isinstance(value, torch.Tensor) else flat(value) if isinstance(value, tuple) else []
    return found


@pytest.mark.parametrize("kind", ["transitions", "next", "sequences", "partly", "compared"])
@pytest.mark.parametrize("most", [1, 3000, 2**26])
def test_batches_are_those_of_data_on_the_device(kind: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "BUFFER", most)
    there, here = made(kind, None), made(kind, "cpu")
    gathered, indices = Ahead(here, drawn(here), BLOCK), drawn(there)
    assert len(gathered.view) == len(there)
    assert (gathered.updates == 1) == (most == 1)
    # In order, then backwards, far ahead, and twice.
    for update in [*range(2 * BLOCK + 5), 3, 4, 5, 100, 100, 101, 0]:
        number, row = divmod(update, BLOCK)
        wanted = flat(there.batch(indices(number)[row]))
        found = flat(gathered.view.batch(gathered.places(update)))
        assert len(wanted) == len(found) >= 5
        assert all(torch.equal(one, two) and one.dtype == two.dtype for one, two in zip(wanted, found, strict=True))
    gathered.close()


def test_what_comes_next_is_gathered_while_an_update_is_made() -> None:
    view = Transitions(data(), home="cpu")
    gathered = Ahead(view, drawn(view), BLOCK)
    gathered.places(0)
    assert gathered._coming is not None
    stretch, filled = gathered._coming
    assert stretch == 1
    filled.result(timeout=10)  # though nobody asked for it
    buffers = {name: both.clone() for name, both in gathered.view._stage.items()}  # type: ignore[attr-defined]
    gathered.places(1)
    for name, both in gathered.view._stage.items():  # type: ignore[attr-defined]
        assert torch.equal(both, buffers[name])  # what the device reads is not written to meanwhile
    gathered.close()


def test_what_the_thread_meets_is_raised_where_the_rows_are_asked_for() -> None:
    view = Transitions(data(), home="cpu")

    def broken(number: int) -> torch.Tensor:
        if number:
            raise OffbenchError("the disk is gone")
        return drawn(view)(number)

    gathered = Ahead(view, broken, BLOCK)
    gathered.places(BLOCK - 1)
    with pytest.raises(OffbenchError, match="the disk is gone"):
        gathered.places(BLOCK)
    gathered.close()


@pytest.mark.parametrize("algorithm", ["iql", "td3+bc", "decision-transformer"])
def test_a_run_is_the_same_wherever_its_data_are(algorithm: str, tmp_path: Path) -> None:
    options = {"seeds": 2, "steps": 130, "episodes": 1, "quiet": True, "dtype": "float64", "compile": "never"}
    small = {"hidden": (8, 8)} if algorithm != "decision-transformer" else {"embedding": 8, "layers": 1, "context": 3}
    runs = [
        offbench.train(
            algorithm, data(), data_on=where, output=tmp_path / where, workers=1, **options, **small, batch_size=7
        )
        for where in ("device", "host")
    ]
    first, second = (run.records for run in runs)
    assert [one.losses for one in first] == [two.losses for two in second]
    assert first[0].config_digest == second[0].config_digest
    plans = [(tmp_path / where / "manifest.json").read_text() for where in ("device", "host")]
    assert not any("data_on" in plan for plan in plans)  # it is no part of what a run is


def test_workers_gather_ahead_as_well(tmp_path: Path) -> None:
    path = tmp_path / "x.offbench"
    save(data(), path)
    options = {
        "seeds": 2,
        "steps": 120,
        "quiet": True,
        "compile": "never",
        "group": 1,
        "hidden": (8, 8),
        "batch_size": 7,
    }
    alone = offbench.train("bc", path, data_on="device", workers=1, output=tmp_path / "one", **options)
    crew = offbench.train("bc", path, data_on="host", workers=2, output=tmp_path / "two", **options)
    assert [one.losses for one in alone.records] == [two.losses for two in crew.records]


def test_data_stay_on_the_host_where_they_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    t = data()
    needed = sum(column.nbytes for column in (t.observations, t.actions, t.rewards, t.terminations))
    monkeypatch.setattr(views, "free_memory", lambda: needed * 1.26)
    assert home_of("auto", t, "cpu") is None
    monkeypatch.setattr(views, "free_memory", lambda: needed * 1.24)
    assert home_of("auto", t, "cpu") == "cpu"
    assert home_of("device", t, "cpu") is None
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (needed, 2**40))
    assert home_of("auto", t, "cuda") == "cpu"
    assert home_of("auto", SemiSupervised(t[:20], t[20:].without("actions"), "x"), "cuda") == "cpu"
    assert home_of("host", t, "cuda:0") == "cpu"
    assert Options().data_on == "auto"


def test_a_view_of_others_that_has_no_home_is_told() -> None:
    class Own(BC):
        view = staticmethod(lambda data, action_range, device, dtype: Transitions(data))  # type: ignore[assignment]

    assert len(make_view(Own, BC.Config(), data())) == data().steps
    with pytest.raises(
        DataError, match="the view of Own keeps its data on the device, and takes no home; give data_on"
    ):
        make_view(Own, BC.Config(), data(), home="cpu")


def test_columns_of_any_origin_may_be_read_at_random(tmp_path: Path) -> None:
    save(data(), tmp_path / "x.offbench")
    mapped = offbench.load(tmp_path / "x.offbench")
    read_at_random(mapped.observations, mapped.actions, None, data().rewards)
    assert mapped.digest == data().digest


@pytest.mark.slow
def test_a_compiled_run_is_the_same_wherever_its_data_are(tmp_path: Path) -> None:
    options = {"seeds": 2, "steps": 230, "quiet": True, "dtype": "float64", "compile": "always", "workers": 1}
    runs = [
        offbench.train("iql", data(), data_on=where, output=tmp_path / where, hidden=(8, 8), batch_size=7, **options)
        for where in ("device", "host")
    ]
    first, second = (run.records for run in runs)
    assert [one.losses for one in first] == [two.losses for two in second]


class Log:
    """Stands in for CUDA: what is done on the host, and what each stream of the device is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.current, log = "updates", self

        class Event:
            def __init__(self) -> None:
                self.recorded: int | None = None  # how much had been told by then

            def record(self, stream: Stream) -> None:
                self.recorded = len(log.told)
                log.told.append(("record", stream.name, self))

            def synchronize(self) -> None:
                log.told.append(("host waits", self, self.recorded))

        class Stream:
            def __init__(self, device: object = None, name: str = "copies") -> None:
                self.name = name

            def wait_event(self, event: Event) -> None:
                log.told.append(("wait", self.name, event, event.recorded))

            def __enter__(self) -> None:
                log.current = self.name

            def __exit__(self, *_: object) -> None:
                log.current = "updates"

        self.Event, self.Stream = Event, Stream


def test_the_order_of_copies_and_updates_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(ahead, "is_cuda", lambda device: True)
    monkeypatch.setattr(ahead, "pinned", lambda shape, dtype: torch.empty(shape, dtype=dtype))
    monkeypatch.setattr(ahead, "BUFFER", 1)  # one update a buffer
    monkeypatch.setattr(torch.cuda, "Event", log.Event)
    monkeypatch.setattr(torch.cuda, "Stream", log.Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: log.Stream(name="updates"))
    there, here = Transitions(data()), Transitions(data(), home="cpu")
    gathered, indices = Ahead(here, drawn(here), BLOCK), drawn(there)
    fill, send = gathered._fill, gathered._send

    def filling(stretch: int) -> None:
        log.told.append(("fill", stretch % 2))
        fill(stretch)

    def sending(stretch: int, filled: object) -> None:
        send(stretch, filled)  # type: ignore[arg-type]
        log.told.append(("sent", stretch % 2))

    monkeypatch.setattr(gathered, "_fill", filling)
    monkeypatch.setattr(gathered, "_send", sending)
    for update in [0, 1, 2, 3, 3, 4, 9, 10, 8, 8, 10, 11, 12, 30, 28]:
        number, row = divmod(update, BLOCK)
        places = gathered.places(update)
        log.told.append(("update", update % 2))
        assert all(map(torch.equal, flat(there.batch(indices(number)[row])), flat(gathered.view.batch(places))))
    gathered.close()
    check_order(gathered, log.told)


def check_order(gathered: Ahead, told: list[tuple[object, ...]]) -> None:
    """That no buffer is written before whoever read it is done, and none read before it is written."""
    copied, free = gathered._copied, gathered._free
    for place, (what, *rest) in enumerate(told):
        before = told[:place]
        half = rest[0]
        if what == "sent":  # the copy waits for the last update that reads its half
            last = max((i for i, each in enumerate(before) if each == ("update", half)), default=-1)
            waits = [each for each in before if each[:3] == ("wait", "copies", free[half])]
            assert waits
            assert (waits[-1][3] or -1) >= last if last >= 0 else True
        if what == "update":  # an update waits for the last copy to its half
            sent = max(i for i, each in enumerate(before) if each == ("sent", half))
            waits = [i for i, each in enumerate(before) if each[:3] == ("wait", "updates", copied[half])]
            recorded = max(i for i, each in enumerate(before) if each == ("record", "copies", copied[half]))
            assert recorded < sent < waits[-1]
        if what == "fill" and ("sent", half) in before:  # the host waits for the copy from that half
            recorded = max(i for i, each in enumerate(before) if each == ("record", "copies", copied[half]))
            assert any(each[:2] == ("host waits", copied[half]) for each in before[recorded:])
