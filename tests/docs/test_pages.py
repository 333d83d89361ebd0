"""Every Python example on these pages runs, in order, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from offbench.algorithms import registry
from offbench.catalog import store
from offbench.conformance import checks, learners
from offbench.conformance.report import findings
from offbench.conformance.subject import Subject
from offbench.d4rl.registry import card_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def examples(page: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    return "\n".join(blocks)


def page_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def run(code: str, folder: Path, where: Path | None = None) -> list[str]:
    # A small dataset of the same id would be another one; this one is generated in about two seconds.
    environment = {**os.environ, "OFFBENCH_CACHE": str(folder), "OFFBENCH_OFFLINE": "1", "PYTHONPATH": str(DOCS.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
        cwd=where,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_lint(cache: Path):
    page = (DOCS / "lint.md").read_text(encoding="utf-8")
    printed = run(examples("lint.md"), cache)
    assert printed
    for line in printed:
        assert f"\n    {line}\n" in page


def test_supervision(cache: Path):
    code = examples("supervision.md")
    promised = re.findall(r"print\(.*\)  # (.*)", code)
    assert len(promised) == 6
    assert run(code, cache) == promised


def test_logging(cache: Path, tmp_path: Path):
    assert run(examples("logging.md"), cache, tmp_path) == re.findall(r"print\(.*\)  # (.*)", examples("logging.md"))
    assert {"metrics.csv", "tensorboard"} <= {path.name for path in (tmp_path / "runs" / "mine").iterdir()}


def test_logging_says_what_all_scores_are_called():
    from offbench.training.logs import BACKENDS
    from offbench.training.metric_rows import EVALUATION

    page = page_of("logging.md")
    assert [name for name in EVALUATION if f"| `{name}` |" not in page] == []
    assert [name for name in BACKENDS if f"`--log {name}`" not in page] == []


def test_d4rl(tmp_path: Path):
    path = store.source_paths(card_of("hopper-medium-v2"), tmp_path)[0]
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["observations"] = rng.standard_normal((20, 11)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (20, 3)).astype(np.float32)
        file["rewards"] = rng.standard_normal(20).astype(np.float32)
        file["terminals"], file["timeouts"] = np.zeros(20, dtype=bool), np.arange(20) % 10 == 9
    keys, score = run(f"H5PATH = {str(path)!r}\n" + examples("d4rl.md"), tmp_path)
    assert keys == "['actions', 'next_observations', 'observations', 'rewards', 'terminals']"
    assert float(score) == pytest.approx(50, abs=0.01)


def test_the_algorithms_of_the_page_pass_their_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page_of("your-algorithm.md"), flags=re.DOTALL))
    for name, code in files.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    fast = [check for check in checks.CHECKS if check.run is not checks.compiling]
    for name in ("awr:AWR", "scheduled:Clone", "contrast:Contrast"):
        found = list(findings(Subject(registry.find(name)), fast))
        assert [one for one in found if one.outcome == "failed"] == [], name
        # What imitates does not bootstrap, and has no next observations in its batches.
        assert (name == "awr:AWR") == all(one.outcome == "passed" for one in found)
    for name in ("neighbours:Neighbours", "proxies:Proxies"):
        found = list(findings(learners.Subject(registry.find(name)), learners.CHECKS))
        assert {one.outcome for one in found} == {"passed"}, name
    assert sum(len(files[name].splitlines()) for name in ("awr", "neighbours")) < 100


def test_every_check_is_on_the_page_with_both_kinds():
    rows = re.findall(r"^\| ([^|]+) \|([^|]*)\|([^|]*)\|$", page_of("your-algorithm.md"), flags=re.MULTILINE)
    ours, theirs = ({name for name, *texts in rows if texts[column].strip()} for column in (0, 1))
    assert {check.name for check in checks.CHECKS} <= ours
    assert {check.name for check in learners.CHECKS} <= theirs


def test_every_code_of_the_lint_is_on_its_page():
    page = (DOCS / "lint.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text() for path in (DOCS.parent / "offbench" / "lint").glob("*.py"))
    codes = set(re.findall(r'Finding\(\s*"(?:error|warning|note)", "([a-z-]+)"', sources))
    assert len(codes) > 15
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_suites(cache: Path):
    learned = "offbench/pendulum/swingup-v0?preferences=500x50&seed=0"
    assert run(examples("suites.md"), cache) == [learned, "500 50 None"]


def test_the_table_of_suites_says_what_they_are():
    from offbench.leaderboard.suite import suites

    page = page_of("suites.md")
    for name, each in suites().items():
        at_most = " at most" if each.kind == "time" else ""
        assert re.search(rf"\| `{name}` \| {len(each.tasks)} \| {each.steps:,}{at_most} \| {each.seeds} \|", page)
        assert re.search(rf"\| `{name}` \|.*\| {each.episodes}( episodes)? \|", page)
