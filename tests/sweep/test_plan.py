"""Plans are TOML files; what is wrong in one is told by its name."""

import pytest

from offbench.algorithms.method import method
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.sweep.plan import OPTIONS, Plan, jobs, read_plan

GOOD = """
datasets = ["offbench/pendulum/swingup-v0", "offbench/pointmaze/stitch-v0"]
seeds = [3, 5]
steps = 20
dtype = "float64"
output = "somewhere"
[[methods]]
algorithm = "iql"
expectile = [0.5, 0.9]
[[methods]]
algorithm = "BC"
"""


def plan_of(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path)


def test_a_plan_is_every_method_on_every_dataset(tmp_path):
    plan = plan_of(tmp_path, GOOD)
    assert [each.name for each in plan.methods] == ["iql,expectile=0.5", "iql,expectile=0.9", "bc"]
    assert str(plan.output) == "somewhere"
    made = jobs(plan, tmp_path)
    assert len(made) == 6
    assert made[0].folder == tmp_path / "iql-expectile=0.5" / "offbench--pendulum--swingup-v0"
    assert all(job.seeds == [3, 5] and job.steps == 20 and job.options["dtype"] == "float64" for job in made)


def test_draws_are_of_methods_that_have_something_to_draw(tmp_path):
    text = 'draws = 4\nsuite = "starter-mini"\n[[methods]]\nalgorithm="iql"\nexpectile={low=0.5, high=0.9}\n'
    plan = plan_of(tmp_path, text + '[[methods]]\nalgorithm="bc"\n')
    assert plan.suite == "starter-mini"
    assert [each.algorithm for each in plan.methods] == ["iql"] * 4 + ["bc"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("datasets = [", "no valid TOML"),
        ("seeds = " + "9" * 5000, "no valid TOML"),
        ("seeds = " + "[" * 5000, "no valid TOML"),
        ("", "no methods"),
        ('datasets=["a"]\nmethods=["iql"]', "no methods"),
        ('datasets=["a"]\n[[methods]]\nexpectile=0.5', "has no algorithm"),
        ('[[methods]]\nalgorithm="bc"', "either datasets or a suite"),
        ('suite="starter"\ndatasets=["a"]\n[[methods]]\nalgorithm="bc"', "either datasets or a suite"),
        ('datasets="a"\n[[methods]]\nalgorithm="bc"', "list of ids"),
        ('datasets=["a"]\ndraws=0\n[[methods]]\nalgorithm="bc"', "draws"),
        ('datasets=["a"]\nstep=5\n[[methods]]\nalgorithm="bc"', "'step'; nearest: steps"),
        ('datasets=["a"]\ndevice="cpu"\n[[methods]]\nalgorithm="bc"', "'device'"),
        ('datasets=["a"]\n[[methods]]\nalgorithm="bc"\ntop_fractoin=0.5', "top_fraction"),
    ],
)
def test_what_is_wrong_with_a_plan_is_told_with_its_name(tmp_path, text, told):
    with pytest.raises(OffbenchError, match=told) as caught:
        plan_of(tmp_path, text)
    assert "plan.toml" in str(caught.value)


def test_a_plan_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OffbenchError, match=r"cannot read the plan .*none\.toml: No such file"):
        read_plan(tmp_path / "none.toml")


def test_datasets_and_numbers_are_looked_at_before_anything_runs(tmp_path):
    bc = [method("bc")]
    with pytest.raises(UnknownNameError, match="swingup-v0"):
        jobs(Plan(bc, ["offbench/pendulum/swingup-v9"]), tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        jobs(Plan(bc, [str(tmp_path / "none.hdf5")]), tmp_path)
    with pytest.raises(OffbenchError, match="steps"):
        jobs(Plan(bc, ["offbench/pendulum/swingup-v0"], options={"steps": 0}), tmp_path)
    with pytest.raises(OffbenchError, match="is named twice"):
        jobs(Plan(bc, ["offbench/pendulum/swingup-v0"] * 2), tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.hdf5").touch()
    with pytest.raises(OffbenchError, match="have one folder"):
        jobs(Plan(bc, [str(tmp_path / name / "same.hdf5") for name in ("a", "b")]), tmp_path)


def test_a_plan_states_what_a_run_is_and_not_where_it_is_made():
    assert {"seeds", "steps", "task", "dtype"} <= set(OPTIONS)
    assert not {"output", "resume", "device", "workers", "quiet"} & set(OPTIONS)
