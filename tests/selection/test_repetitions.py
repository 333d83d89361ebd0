"""Several repetitions stand side by side, each with its own numbers."""

import json

import pytest

from offbench.cli.main import main
from offbench.errors import OffbenchError
from offbench.selection.repetitions import markdown, read


def one(rank, regret, defined=True):
    judged = {"estimator": "FQE", "spearman": rank, "defined": defined, "regret": {"1": regret}}
    return {"estimators": [judged], "policies": [{}, {}]}


def test_means_stand_beside_what_they_are_means_of():
    text = markdown([one(0.5, 0.0), one(1.0, 0.5), one(0.0, 0.25, defined=False)])
    assert "| FQE | 0.75 | 0.50, 1.00, none | 0.25 | 0.00, 0.50, 0.25 |" in text
    assert "3 repetitions, 2 policies each" in text


def test_regrets_of_different_k_are_refused():
    other = one(0.5, 0.0)
    other["estimators"][0]["regret"] = {"3": 0.0}
    with pytest.raises(OffbenchError, match="different k"):
        markdown([one(0.5, 0.0), other])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"estimators": [{"estimator": "FQE"}]}', '{"estimators": 5}'])
def test_other_files_are_told(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(OffbenchError, match=r"other\.json is not what offbench ope --output writes"):
        read(path)


def test_the_command_reads_files(tmp_path, capsys):
    paths = []
    for number in range(2):
        paths.append(str(tmp_path / f"{number}.json"))
        (tmp_path / f"{number}.json").write_text(json.dumps(one(number, 0.0)))
    assert main(["ope", "table", *paths]) == 0
    assert "2 repetitions" in capsys.readouterr().out
    assert main(["ope", "table", str(tmp_path / "none.json")]) == 2
    assert "cannot read" in capsys.readouterr().err
