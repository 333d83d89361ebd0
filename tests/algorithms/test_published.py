import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from offbench.algorithms import registry
from offbench.algorithms.published import (
    PublishedRow,
    folder,
    published_rows,
    published_scores,
    read_published,
    unknown_datasets,
)
from offbench.catalog.cards import cards
from offbench.catalog.single_tasks import single_task_of
from offbench.errors import OffbenchError


def test_every_score_is_of_an_algorithm_and_a_dataset_that_exist():
    known = cards()
    for score in published_scores():
        assert score.algorithm in registry.OURS
        assert score.dataset in known
        if score.settings:
            name, _, value = score.settings.partition("=")
            registry.configure(registry.algorithm(score.algorithm), score.dataset, {name: float(value)})
        assert score.seeds > 1
        assert score.std >= 0


def test_scores_of_one_algorithm():
    (score,) = [s for s in published_scores("rebrac") if s.dataset == "d4rl/hopper-medium-v2"]
    assert (score.mean, score.std, score.seeds) == (102.29, 0.17, 4)
    assert {s.settings for s in published_scores("bc")} == {"", "top_fraction=0.1"}
    assert published_scores("nowhere:Nothing") == []


def test_scores_agree_with_the_table_they_were_taken_from(shared):
    names = {"BC": "bc", "TD3+BC": "td3_bc", "AWAC": "awac", "CQL": "cql", "IQL": "iql", "ReBRAC": "rebrac"}
    names |= {"SAC-N": "sac_n", "EDAC": "edac", "DT": "dt", "10% BC": "bc"}
    corl = [s for s in published_scores() if s.source.startswith("CORL")]
    own = {(s.algorithm, s.settings, s.dataset): (s.mean, s.std, s.seeds) for s in corl}
    with (shared / "reference_scores" / "corl_offline_published.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["statistic"] == "last"]
    for row in rows:
        settings = "top_fraction=0.1" if row["method"] == "10% BC" else ""
        expected = float(row["normalized_mean"]), float(row["normalized_std"]), int(row["seeds"])
        assert own[names[row["method"]], settings, f"d4rl/{row['dataset']}"] == expected
    assert len(rows) == len(corl) == 300


# -------------------------------------------------------------------- all rows


def cells(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "reference_scores" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(name: str) -> list[PublishedRow]:
    return read_published(folder() / name)


def ours(name: str) -> str:
    """The name of a dataset without its family."""
    return name.rpartition("/")[2]


def test_every_row_has_a_source_and_a_dataset_that_exists_or_is_listed_as_unknown() -> None:
    known, unknown, used = cards(), unknown_datasets(), set()
    for row in published_rows():
        assert row.source.strip()
        if row.dataset in unknown:
            used.add(row.dataset)
        else:
            assert row.dataset in known or single_task_of(row.dataset)
    assert used == unknown


def test_no_cell_is_there_twice() -> None:
    keys = [(r.method, r.settings, r.dataset, r.statistic, r.stage, r.source) for r in published_rows()]
    assert len(set(keys)) == len(keys)


def test_every_file_is_explained() -> None:
    readme = (folder() / "README.md").read_text()
    assert all(f"`{path.name}`" in readme for path in folder().glob("*.csv"))


def test_corl_and_d3rlpy_are_the_reference_files_cell_by_cell(shared: Path) -> None:
    found = {(r.method, ours(r.dataset), r.statistic): (r.mean, r.spread, r.seeds) for r in rows_of("corl.csv")}
    table = cells(shared, "corl_offline_published.csv")
    for row in table:
        expected = float(row["normalized_mean"]), float(row["normalized_std"]), int(row["seeds"])
        assert found[row["method"], row["dataset"], row["statistic"]] == expected
    assert len(table) == 600 == sum(r.source.startswith("CORL") for r in rows_of("corl.csv"))
    table = cells(shared, "d3rlpy_d4rl_published.csv")
    assert [(r.method, ours(r.dataset), r.mean, r.spread) for r in rows_of("d3rlpy.csv")] == [
        (r["method"], r["dataset"], float(r["final_normalized_mean"]), float(r["final_normalized_std"])) for r in table
    ]


def test_d3rlpys_seeds_are_those_of_its_runs(shared: Path) -> None:
    counted = Counter((row["method"], row["dataset"]) for row in cells(shared, "d3rlpy_d4rl_runs.csv"))
    assert all(r.seeds == counted[r.method, ours(r.dataset)] for r in rows_of("d3rlpy.csv"))


def test_fine_tuning_is_counted_from_the_runs(shared: Path) -> None:
    table = cells(shared, "corl_finetune_runs.csv")
    for row in rows_of("corl_finetuning.csv"):
        runs = [
            float(each[f"normalized_after_{row.stage}"])
            for each in table
            if (each["method"], each["dataset"]) == (row.method, ours(row.dataset))
        ]
        assert row.seeds == len(runs)
        assert row.mean == pytest.approx(np.mean(runs), abs=0.005001)
        assert row.spread == pytest.approx(np.std(runs), abs=0.005001)
    assert len(rows_of("corl_finetuning.csv")) == 2 * len({(each["method"], each["dataset"]) for each in table})


@pytest.mark.parametrize(
    ("name", "reference"), [("ogbench.csv", "ogbench_published.csv"), ("fql.csv", "fql_published.csv")]
)
def test_ogbenchs_and_fqls_are_the_reference_files_row_by_row(shared: Path, name: str, reference: str) -> None:
    rows, table = rows_of(name), cells(shared, reference)
    assert len(rows) == len(table)
    for row, cell in zip(rows, table, strict=True):
        assert (row.method, ours(row.dataset), row.mean) == (cell["algorithm"], cell["dataset"], float(cell["mean"]))
        assert str(row.seeds or "") == cell["seeds"]
        assert cell["source"].startswith(row.source)
        if row.spread_kind == "95% half-width":
            assert f"half-width {row.spread}" in cell["source"]
        elif row.spread is not None:
            assert row.spread == float(cell["std"])
        else:
            assert not cell["std"]
        if "Q-chunking" in row.source:
            assert row.stage == ("offline" if "; offline, " in cell["source"] else "online")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"source": ""}, "line 2 of .*: source"),
        ({"mean": "nan"}, "mean"),
        ({"spread": ""}, "belong together"),
        ({"statistic": "median"}, "statistic"),
        ({"algorithm": ""}, "algorithm of ours"),
        ({"seeds": "0"}, "seeds"),
    ],
)
def test_rows_that_are_wrong_are_told_by_line(tmp_path: Path, change: dict[str, str], wrong: str) -> None:
    good = {"method": "10% BC", "algorithm": "bc", "settings": "top_fraction=0.1", "dataset": "a/b", "stage": ""}
    good |= {"statistic": "last", "mean": "1.5", "spread": "0.1", "spread_kind": "std", "seeds": "4", "updates": ""}
    good |= {"episodes": "", "source": "somebody", "note": ""}
    path = tmp_path / "scores.csv"

    def write(cells: dict[str, str]) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(cells))
            writer.writeheader()
            writer.writerow(cells)

    write(good)
    assert read_published(path)[0].mean == 1.5
    write(good | change)
    with pytest.raises(OffbenchError, match=wrong):
        read_published(path)
    with pytest.raises(OffbenchError, match="cannot read"):
        read_published(tmp_path / "absent.csv")
