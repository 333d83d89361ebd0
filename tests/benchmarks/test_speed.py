"""Records of rates, and the tables of docs/speed.md that are made of them."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import _limits
import _speed

RECORD = {
    "algorithm": "iql",
    "device": "cpu",
    "date": "2030-01-02",
    "commit": "0123456789abcdef",
    "hardware": {"cpu": "Some CPU", "gpu": "none"},
    "packages": {"python": "3.11", "torch": "2.13.0", "jax": "0.10.2"},
    "rounds": 3,
    "seeds": [1, 4],
    "batch_size": 256,
    "networks": "256-256",
    "operations": 524e6,
    "products": 41.0,
    "compile_seconds": 17.2,
    "absent": {"jax": "jax is not installed"},
    "rates": {
        "plain": {"1": [50.0, 100.0, 120.0]},
        "corl": {"1": [80.0, 80.0, 80.0]},
        "offbench": {"1": [150.0, 160.0, 180.0], "4": [1999.6, 2000.0, 2000.4]},
        "products": {"1": [2500.0, 2500.0, 2500.0]},
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def printed(capsys, *arguments):
    assert _speed.main(arguments) == 0
    return capsys.readouterr().out


def test_a_method_has_a_row_with_medians_ratios_and_what_the_machine_allows(capsys):
    _speed.write(RECORD)
    head, rule, row, _, source = printed(capsys, "methods", "cpu").splitlines()
    assert head.startswith("| method | networks | batch | plain | 1 seed | 4 seeds | times plain, 1 seed |")
    assert rule.count("|") == head.count("|")
    assert row == "| `iql` | 256-256 | 256 | 100 | 160 | 2,000 | 1.60 (1.50 to 3.00) | 2,500 | 80% | 17 |"
    assert source == (
        "Measured 2030-01-02, commit 0123456789, one core of Some CPU, torch 2.13.0, jax 0.10.2, medians of 3 rounds."
    )


def test_contenders_of_one_method_have_a_row_each(capsys):
    _speed.write(RECORD)
    lines = printed(capsys, "method", "cpu", "iql").splitlines()
    assert lines[0] == "| | 1 seed | 4 seeds | times CORL's style, 1 seed |"
    assert "| plain, one seed | 100 | | 1.25 (0.62 to 1.50) |" in lines
    assert "| offbench | 160 | 2,000 | 2.00 (1.88 to 2.25) |" in lines
    assert "An update of one seed is 524 million operations in 41 products." in lines
    assert "Without jax: jax is not installed." in lines


def test_methods_that_were_measured_at_other_times_are_told_apart(capsys):
    _speed.write(RECORD)
    _speed.write(RECORD | {"algorithm": "xql", "date": "2030-02-03", "commit": "f" * 40 + "-dirty"})
    told = printed(capsys, "methods", "cpu").splitlines()[-2:]
    assert told[0].endswith("3 rounds: `iql`.")
    assert "2030-02-03" in told[1]
    assert "with changes that are in no commit" in told[1]
    assert told[1].endswith("`xql`.")


def test_a_new_record_takes_the_place_of_the_old_one(capsys):
    _speed.write(RECORD)
    _speed.write(RECORD | {"date": "2031-01-01"})
    assert [record["date"] for record in _speed.records("cpu")] == ["2031-01-01"]
    assert printed(capsys, "methods", "cuda") == _speed.UNMEASURED + "\n"


def test_the_products_of_an_update_are_counted():
    """IQL: two Q forwards and backwards, two targets and V(s') forwards, V(s) and the policy both ways."""
    found, b, h = _limits.products("iql"), 256, 256

    def forward(inputs, outputs):
        return 2 * b * (inputs * h + h * h + h * outputs)

    def both(inputs, outputs):  # no gradient by the input
        return 3 * forward(inputs, outputs) - 2 * b * inputs * h

    expected = 2 * both(14, 1) + 2 * forward(14, 1) + both(11, 1) + forward(11, 1) + both(11, 3)
    assert _limits.operations(found) == expected == pytest.approx(524e6, rel=0.01)
    assert sum(stack * count for (stack, *_), count in found.items()) == 41


def test_products_of_kinds_of_updates_are_averaged():
    """TD3+BC moves its policy every second time."""
    assert any(count % 1 == 0.5 for count in _limits.products("td3_bc").values())
