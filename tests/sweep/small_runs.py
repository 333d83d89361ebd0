"""Small runs of a sweep, and what of their results must not depend on who made them."""

import json
from pathlib import Path

from offbench.algorithms.method import method
from offbench.sweep.job import Job
from offbench.training.folder import RunFolder

OPTIONS = {"steps": 20, "seeds": 2, "episodes": 2, "compile": "never", "checkpoint_every": 4}


def small_jobs(dataset, folder, names=("bc,batch_size=8", "bc,batch_size=16", "iql,batch_size=8"), **options):
    shape = ",hidden=[8]"
    return [
        Job(method(name + shape), str(dataset), Path(folder) / method(name).slug, OPTIONS | options) for name in names
    ]


def results(job):
    """The records of a run without when and where it was made, by file name, and its policies as lists."""
    records = {}
    for path in sorted(job.folder.glob("seed-*.json")):
        record = json.loads(path.read_text())
        for name in ("created", "wall_seconds", "evaluation_seconds", "git_commit", "hardware", "group_size"):
            del record[name]
        records[path.name] = record
    state = RunFolder(job.folder).state(job.manifest)
    return records, {name: value.tolist() for name, value in state.items()}


class Hearing:
    """A listener that remembers."""

    def __init__(self):
        self.events = []

    def started(self, job, where):
        self.events.append(("started", job.folder.name))

    def finished(self, job):
        self.events.append(("finished", job.folder.name))

    def failed(self, job, why):
        self.events.append(("failed", job.folder.name, why))

    def lost(self, job, why):
        self.events.append(("lost", job.folder.name, why))

    def tick(self):
        pass

    def of(self, kind):
        return [event[1] for event in self.events if event[0] == kind]
