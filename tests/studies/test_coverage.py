import json
import re
from pathlib import Path

import numpy as np
import pytest

from offbench.cli.main import main
from offbench.studies import coverage, coverage_aggregates
from offbench.studies.coverage_page import tables

DOCS = Path(__file__).resolve().parents[2] / "docs"


def kept() -> dict[str, dict]:
    return {part: json.loads((DOCS / "statistics" / f"{part}.json").read_text()) for part in coverage.SETS}


@pytest.mark.parametrize("name", coverage.scenarios())
def test_scenarios_have_the_mean_that_they_say(name: str) -> None:
    draw, mean = coverage.scenarios()[name]
    scores = draw(np.random.default_rng(1), (40_000, 5))
    assert scores.mean() == pytest.approx(mean, abs=5 * scores.std() / np.sqrt(scores.size))
    assert name == "normal" or -20 < scores.min() < scores.max() < 120


def test_a_small_study_agrees_with_the_kept_one(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(coverage, "SETS", dict.fromkeys(coverage.SETS, 300) | {"aggregates": 4})
    monkeypatch.setattr(coverage_aggregates, "MANY", 20_000)
    assert main(["study", "coverage", "--output", str(tmp_path)]) == 0
    fresh = {part: json.loads((tmp_path / f"{part}.json").read_text()) for part in coverage.SETS}
    for part in ("means", "successes", "aggregates"):
        for ours, theirs in zip(fresh[part]["rows"], kept()[part]["rows"], strict=True):
            for method, share in theirs["coverage"].items():
                # Five standard errors of so few sets.
                error = 5 * np.sqrt(max(share * (1 - share), 0.0025) / fresh[part]["sets"])
                assert ours["coverage"][method] == pytest.approx(share, abs=error), (ours, method)
    for ours, theirs in zip(fresh["rule"]["rows"], kept()["rule"]["rows"], strict=True):
        assert ours["called"] == pytest.approx(theirs["called"], abs=0.15)
    capsys.readouterr()
    assert main(["study", "coverage", "--output", str(tmp_path), "--page-only"]) == 0
    monkeypatch.setitem(coverage.SETS, "means", 10)
    assert main(["study", "coverage", "--output", str(tmp_path)]) == 2
    assert "of 300 sets, not of 10" in capsys.readouterr().err


def test_the_tables_of_the_page_are_made_of_the_records() -> None:
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    for name, table in tables(kept()).items():
        assert table in page, name


def test_what_the_choice_of_the_interval_rests_on_holds_in_the_records() -> None:
    rows = {(row["scenario"], row["seeds"]): row for row in kept()["means"]["rows"]}
    for seeds in coverage.SEEDS:
        normal = rows["normal", seeds]["coverage"]
        assert normal["Student t"] == pytest.approx(0.95, abs=0.01)
        assert max(normal["percentile bootstrap"], normal["BCa bootstrap"]) < 0.92
        for (name, count), row in rows.items():
            # Intervals for bounded scores keep their word everywhere.
            if count == seeds:
                assert min(row["coverage"]["Anderson"], row["coverage"]["Hoeffding"]) >= 0.95, name
    for (name, seeds), row in rows.items():
        if found := re.fullmatch(r"(\d+)% succeed", name):
            share = int(found[1]) / 100
            alike = share**seeds + (1 - share) ** seeds
            # No interval that trusts the spread covers sets in which all seeds are alike.
            assert row["split"] == pytest.approx(1 - alike, abs=0.02)
