"""Versions of suites: what each version scored on, as a digest, so that nothing that moves scores keeps its version.

``leaderboards/suites/versions.json`` holds the digests. Run as ``python -m offbench.leaderboard.versions`` this adds
those of new suites and of suites whose version rose, and changes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from offbench.basis.files import atomic
from offbench.basis.resources import resources
from offbench.catalog.cards import card
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.evaluation.record import digest_of
from offbench.leaderboard.suite import Suite, suites

# Words about a suite, which move no score; what was committed to is new for a new organiser.
_WORDS = {"title", "description", "version", "commitment", "salt"}


def scored_content(suite: Suite) -> str:
    """SHA-256 of all that the scores of a suite depend on: its fields, and the tasks behind its datasets.

    The data themselves are their cards' revisions, which are among the fields.
    """
    found = suite.model_dump(mode="json", exclude=_WORDS)
    behind: list[JsonValue] = []
    for each in suite.tasks:
        name = each.task or card(each.card_id).task
        if name is None:
            raise OffbenchError(f"the suite {suite.name}: nothing says what {each.dataset} is scored in")
        chosen = task(name)
        scored = chosen.model_dump(mode="json", include={"environment", "arguments", "episode_limit", "dynamics"})
        behind.append({**scored, "low": chosen.low.mean, "high": chosen.high.mean})
    return digest_of([found, behind])


def recorded() -> dict[str, dict[str, str]]:
    """Digests by suite and version."""
    found: dict[str, dict[str, str]] = json.loads(_path().read_text(encoding="utf-8"))
    return found


def updated(known: Mapping[str, Mapping[str, str]], current: Mapping[str, Suite]) -> dict[str, dict[str, str]]:
    """The digests with those of versions that are new.

    Raises:
        OffbenchError: a suite scores on something else than its version did, or its version fell or skipped a number.
    """
    found = {name: dict(versions) for name, versions in known.items()}
    for name, suite in current.items():
        versions = found.setdefault(name, {})
        now, digest = str(suite.version), scored_content(suite)
        if now in versions and int(now) < len(versions):
            raise OffbenchError(f"the suite {name} went back to version {now}; {len(versions)} is its newest")
        if now not in versions and suite.version != len(versions) + 1:
            raise OffbenchError(f"version {now} of the suite {name} does not follow {len(versions)}")
        if versions.setdefault(now, digest) != digest:
            raise OffbenchError(
                f"the suite {name} scores on something else than its version {now} did; raise its version to "
                f"{suite.version + 1} and run python -m offbench.leaderboard.versions"
            )
    return found


def _path() -> Path:
    return resources("leaderboards") / "suites" / "versions.json"


def main() -> None:
    """Write down the digests of new versions."""
    known = recorded() if _path().exists() else {}
    with atomic(_path()) as temporary:
        temporary.write_text(json.dumps(updated(known, suites()), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
