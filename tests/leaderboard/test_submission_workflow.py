"""What the workflow takes of a pull request: new entries as plain files; its own commands, in a repository."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

WORKFLOW = yaml.safe_load((Path(__file__).parents[2] / ".github/workflows/submission.yml").read_text(encoding="utf-8"))
TAKE = next(step for step in WORKFLOW["jobs"]["verify"]["steps"] if step.get("name", "").startswith("Take the entries"))
OLD, NEW = "leaderboards/results/tiny/old", "leaderboards/results/tiny/new"
FILES = ("entry.json", "records/a--b/seed-0.json", "policies/a--b/seed-0.onnx")

pytestmark = pytest.mark.skipif(not (shutil.which("git") and shutil.which("bash")), reason="git and bash are needed")


def git(folder, *arguments):
    names = {f"GIT_{role}_{part}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | names | settings, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def write(folder, name, content="{}"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def link(folder, name, target):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(target)


def taken(tmp_path, change, new_entry=True):
    """Exit code and output of the workflow's step on a pull request with this change, and the folder afterwards."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    for name in (*FILES, "verification.json"):
        write(origin, f"{OLD}/{name}")
    write(origin, "code.py", "1")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=base")
    base = git(origin, "rev-parse", "HEAD")
    git(origin, "checkout", "--quiet", "-b", "theirs")
    for name in FILES if new_entry else ():
        write(origin, f"{NEW}/{name}", f"new {name}")
    change(origin)
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=entry", "--allow-empty")
    head = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "refs/pull/1/head", head)
    git(origin, "checkout", "--quiet", "main")
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    given = {"HEAD": head, "BASE": base, "NUMBER": "1"}
    done = subprocess.run(
        ["bash", "-e", "-c", TAKE["run"]],
        cwd=clone,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, clone


def test_a_new_entry_is_taken(tmp_path):
    code, told, clone = taken(tmp_path, lambda folder: None)
    assert (code, told) == (0, "")
    assert [(clone / NEW / name).read_text() for name in FILES] == [f"new {name}" for name in FILES]


REFUSED = {
    "code": (lambda f: write(f, "code.py", "2"), "changes leaderboards/results alone"),
    "an entry that is there": (lambda f: write(f, f"{OLD}/entry.json", "other"), "entries that are there stay"),
    "a verdict": (lambda f: write(f, f"{NEW}/verification.json"), "verification.json is written by who verifies"),
    "a record more for an entry that is there": (
        lambda f: write(f, f"{OLD}/records/a--b/seed-1.json"),
        "old is no new entry",
    ),
    "attributes that hide an entry": (
        lambda f: write(f, "leaderboards/results/.gitattributes", "entry.json export-ignore"),
        "is no file of an entry",
    ),
    "a link": (lambda f: link(f, f"{NEW}/records/a--b/seed-1.json", "../../../old/entry.json"), "no file of an entry"),
    "a link to a folder": (lambda f: link(f, "leaderboards/results/other", "tiny"), "is no file of an entry"),
    "a suite of its own": (lambda f: write(f, "leaderboards/results/tiny.toml"), "is no file of an entry"),
    "a program": (lambda f: (f / NEW / "records/a--b/seed-0.json").chmod(0o755), "is no file of an entry"),
    "an entry without its list": (lambda f: (f / NEW / "entry.json").unlink(), "new is no new entry with"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_is_taken(name, tmp_path):
    change, sentence = REFUSED[name]
    code, told, clone = taken(tmp_path, change)
    assert code == 1, told
    assert sentence in told
    assert not (clone / NEW).exists()


def test_a_pull_request_without_an_entry_is_refused(tmp_path):
    code, told, _ = taken(tmp_path, lambda folder: None, new_entry=False)
    assert code == 1
    assert "adds no entry" in told


def test_no_job_that_sees_an_entry_may_write_and_a_refusal_keeps_no_verdict_back():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in WORKFLOW["jobs"]["verify"]
    assert "pull_request_target" not in WORKFLOW[True]  # YAML reads the key on as true
    keep = next(step for step in WORKFLOW["jobs"]["verify"]["steps"] if step.get("name") == "Keep the verdicts")
    for condition in (keep["if"], WORKFLOW["jobs"]["record"]["if"]):
        assert condition == "${{ !cancelled() && github.event_name == 'push' }}"
