"""The study of what intention values are worth: its rows differ in their features alone."""

from offbench.algorithms.filled import configured
from offbench.studies.value_pretraining import SPLIT, comparison


def test_rows_on_states_and_on_features_have_the_same_learner_and_the_same_data():
    methods = {method.name.split(",")[0]: method for method in comparison().methods if "1,000" in method.name}
    states, phi, random = (methods[f"IQL on {name}"] for name in ("states", "phi", "random features"))
    assert phi.settings["learner"] == random.settings["learner"]
    _, learner = configured(phi.settings["learner"])
    assert {name: getattr(learner, name) for name in states.settings} == dict(states.settings)
    assert (phi.split, random.split, states.split) == (SPLIT, SPLIT, f"{SPLIT}&part=labelled")
    assert random.settings["icvf_updates"] == 0


def test_every_method_has_a_folder_of_its_own():
    methods = comparison().methods
    assert len({method.folder for method in methods}) == len(methods)
