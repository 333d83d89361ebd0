"""The Ray engine: each run is a task of a Ray cluster, whose nodes need offbench and share no disk.

A task makes its run in a folder of its own and gives back the files, which this process writes: one place decides what
is there. Checkpoints come back while it runs, so that the folder here shows how far it is, and whoever makes the run
next, here or there, goes on from the last of them: a node that dies, or Ctrl-C, costs what was done since. A dataset
with an id is loaded by each node, which checks it as ever; a file is sent, once to each node that asks. Ray hands
functions and results around as pickles, among the nodes of one's own cluster.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from offbench.basis.code import package_digest
from offbench.basis.files import atomic, cache_folder
from offbench.errors import OffbenchError
from offbench.sweep.desk import MANIFEST, SEND_EVERY, Desk, run_files, sending
from offbench.sweep.job import Job
from offbench.sweep.local import RETRIES, Listener
from offbench.training.interruption import Interrupted, interrupts

_LOOK = 0.5  # seconds between two looks at what the cluster has done


def run_on_cluster(todo: Sequence[Job], listener: Listener, address: str | None, cores: int, gpus: float) -> None:
    """Make runs on a cluster.

    Args:
        todo: the runs.
        listener: hears what becomes of them.
        address: of the cluster; None for one of this machine alone, which ends with this process.
        cores: of each run.
        gpus: of each run.

    Raises:
        OffbenchError: Ray is not installed, there is no cluster, or no node of it has so many cores or GPUs.
        Interrupted: Ctrl-C or SIGTERM; the last checkpoints that came are kept.
    """
    ray = _ray()
    own = not ray.is_initialized()
    if own:
        try:
            _check_reachable(address)
            ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise OffbenchError(f"there is no Ray cluster at {address}: {error}") from error
    try:
        _check_nodes(ray.nodes(), cores, gpus)
        with interrupts() as flag:
            tasks = _Tasks(ray, listener, cores, gpus)
            for job in todo:
                tasks.submit(job)
            while tasks.running and not flag.is_set():
                tasks.look()
                listener.tick()
            tasks.cancel()
        if flag.is_set():
            raise Interrupted(
                "interrupted; the same command goes on, with runs of the cluster from the checkpoints that came back"
            )
    finally:
        if own:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise OffbenchError("the engine ray needs Ray: pip install 'offbench[ray]'") from error
    return ray


def _check_reachable(address: str | None) -> None:
    """Raise OSError or ValueError where nobody listens, for whom Ray would wait for minutes."""
    if address not in (None, "auto", "local"):
        host, _, port = str(address).removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()


def _check_nodes(nodes: Sequence[Mapping[str, Any]], cores: int, gpus: float) -> None:
    """Refuse runs that no node could ever make, for which Ray would wait without a word."""
    for node in nodes:
        has = node.get("Resources", {})
        if node.get("Alive") and has.get("CPU", 0) >= cores and has.get("GPU", 0) >= gpus:
            return
    most = [max((node.get("Resources", {}).get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")]
    raise OffbenchError(
        f"no node of the cluster has {cores} cores and {gpus:g} GPUs for a run; the most are {most[0]:g} cores and "
        f"{most[1]:g} GPUs"
    )


class _Tasks:
    """The runs that a cluster is making."""

    def __init__(self, ray: Any, listener: Listener, cores: int, gpus: float) -> None:
        self.ray, self.listener = ray, listener
        # A run that was lost is submitted again here, which is told, and not by Ray, which would say nothing.
        self.function = ray.remote(make).options(num_cpus=cores, num_gpus=gpus, max_retries=0)
        self.desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=_here(ray)).remote()
        self.environment = {"OFFBENCH_WORKERS": str(cores)}
        self.device = "cuda" if gpus else "cpu"
        self.running: dict[Any, Job] = {}
        self.begun: set[Path] = set()
        self.came: Counter[Path] = Counter()  # states of each run that were written
        self.lost: Counter[Path] = Counter()
        self.sent: dict[str, Any] = {}  # files, which are put where all nodes find them once

    def submit(self, job: Job) -> None:
        """Hand a run to the cluster."""
        order = {
            "job": job.to_json(),
            "code": package_digest(),
            "environment": self.environment,
            "options": {"device": self.device, "quiet": True},
            "files": run_files(job.folder),
            "send_every": SEND_EVERY,
        }
        reference = self.function.remote(order, self._data(job), self.desk)
        self.running[reference] = job

    def _data(self, job: Job) -> Any:
        """What is sent of the dataset: nothing where each node finds it by its id."""
        source = str(job.data or job.dataset)
        if job.data is None and not Path(job.dataset).exists():
            return None
        if source not in self.sent:
            self.sent[source] = self.ray.put(_packed(source))
        return self.sent[source]

    def look(self) -> None:
        """Hear what began and what ended."""
        ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=_LOOK)
        self._hear()
        for reference in ready:
            job = self.running.pop(reference)
            try:
                answer = self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                self.listener.failed(job, f"it failed unexpectedly: {str(error).strip().splitlines()[-1]}")
            except self.ray.exceptions.RayError as error:
                self._lose(job, f"its worker is gone ({type(error).__name__})")
            else:
                self._take(job, answer)

    def _hear(self) -> None:
        """Ask the desk of runs that began, and for checkpoints that came; where it does not answer, the next time."""
        with suppress(self.ray.exceptions.RayError):
            self._note(*self.ray.get(self.desk.seen.remote(), timeout=5))

    def _note(self, places: Mapping[str, str], versions: Mapping[str, int]) -> None:
        """Tell of runs that began, and write the checkpoints that are new."""
        for job in self.running.values():
            name, folder = str(job.folder), job.folder
            if name in places and folder not in self.begun:
                self.begun.add(folder)
                self.listener.started(job, places[name])
            if versions.get(name, 0) > self.came[folder]:
                write_files(folder, self.ray.get(self.desk.state.remote(name), timeout=60))
                self.came[folder] = versions[name]

    def _lose(self, job: Job, why: str) -> None:
        self.lost[job.folder] += 1
        self.begun.discard(job.folder)
        if self.lost[job.folder] > RETRIES:
            self.listener.failed(job, f"{why}; it was tried {RETRIES + 1} times")
        else:
            self.listener.lost(job, why)
            self.submit(job)

    def _take(self, job: Job, answer: Mapping[str, Any]) -> None:
        """Write what a task gave back."""
        self.desk.forget.remote(str(job.folder))
        if "error" in answer:
            self.listener.failed(job, answer["error"])
            return
        write_files(job.folder, answer["files"])
        self.listener.finished(job)

    def cancel(self) -> None:
        """End what still runs, and keep how far it is."""
        self._hear()
        for reference in self.running:
            with suppress(self.ray.exceptions.RayError):
                self.ray.cancel(reference, force=True)


def _here(ray: Any) -> Any:
    """To have an actor where this process is, and elsewhere only if that cannot be."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)


def make(order: Mapping[str, Any], data: bytes | None, desk: Any) -> dict[str, Any]:
    """The task: make a run in a folder of its own.

    Args:
        order: the run, and the files of what was made of it before.
        data: the dataset as a native file; None where it has an id.
        desk: hears that it begins, and how far it is.

    Returns:
        Either ``files``, the content of each file of the run by its path in the folder, or ``error``, a sentence.
    """
    job = Job.of_json(order["job"])
    desk.begin.remote(str(job.folder), f"{socket.gethostname()}, process {os.getpid()}")
    os.environ.update(order["environment"])
    if order["code"] != package_digest():
        return {"error": f"{socket.gethostname()} has other code of offbench; install the same on all nodes"}
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="offbench-run-") as folder:
        here = replace(job, folder=Path(folder) / "run")
        try:
            if data is not None:
                here = replace(here, data=_unpacked(data))
            write_files(here.folder, order["files"])
            with sending(here.folder, str(job.folder), desk, order["send_every"]):
                here.run(**order["options"])
        except OffbenchError as error:
            return {"error": str(error).replace(folder, "")}
        return {"files": run_files(here.folder)}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold these files of a run and no others of it.

    The manifest is written after what it names: whenever this is interrupted, the run is the old one or the new one.

    Raises:
        OffbenchError: the folder cannot be written to.
    """
    names = sorted(files, key=lambda name: (name == MANIFEST, name))
    before = run_files(folder)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise OffbenchError(f"a run has no file {name!r}")
        with atomic(folder / name) as temporary:
            temporary.write_bytes(files[name])
    for name in before.keys() - files.keys() if files else ():
        (folder / name).unlink(missing_ok=True)


def _packed(source: str) -> bytes:
    """A dataset as the bytes of a native file, called as records of a run here would call it."""
    from offbench.catalog.loading import load
    from offbench.data.learned import whole
    from offbench.formats import native
    from offbench.training.run import dataset_name

    data = load(source)
    if data is not whole(data):
        raise OffbenchError(f"{source} is not sent to a cluster: only whole trajectories are; give it an id")
    named = replace(data, provenance=replace(data.provenance, dataset=dataset_name(data)))
    with tempfile.TemporaryDirectory(prefix="offbench-sent-") as folder:
        path = Path(folder) / "data.offbench"
        native.save(named, path)
        return path.read_bytes()


def _unpacked(content: bytes) -> Path:
    """The file of a dataset that was sent, written once on each node."""
    import hashlib

    path = cache_folder() / "sent" / f"{hashlib.sha256(content).hexdigest()}.offbench"
    if not path.exists():
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return path
