from synthetic_records import seeds

from offbench.report.groups import group
from offbench.report.labels import read_labels
from offbench.report.naming import algorithm_labels, algorithm_styles, dataset_labels
from offbench.report.palette import style_of

LABELS = read_labels(None)


def of(*runs):
    return group([record for each in runs for record in each])[0]


def test_what_a_label_says_is_not_said_again():
    groups = of(
        seeds([1.0, 2.0], config={"top_fraction": 0.1}),
        seeds([1.0, 2.0], config={"top_fraction": 1.0}),
        seeds([1.0, 2.0], algorithm="iql", config={}),
    )
    assert algorithm_labels(groups, LABELS) == {
        "bc (top_fraction=0.1)": "10% BC",
        "bc (top_fraction=1.0)": "BC",
        "iql": "IQL",
    }
    styles = algorithm_styles(groups, LABELS)
    assert styles["bc (top_fraction=1.0)"] == style_of("bc")
    assert len({style.color for style in styles.values()}) == 3


def test_labels_say_more_where_they_would_be_alike():
    groups = of(*(seeds([1.0, 2.0], algorithm="iql", config={"expectile": e}) for e in (0.7, 0.9)))
    assert list(algorithm_labels(groups, LABELS).values()) == ["IQL (expectile=0.7)", "IQL (expectile=0.9)"]
    assert len({style.color for style in algorithm_styles(groups, LABELS).values()}) == 2


def test_versions_of_a_dataset_are_told_apart():
    runs = [seeds([1.0], dataset="offbench/pointmaze/stitch-v0", dataset_revision=r) for r in (1, 2)]
    groups = of(*runs, seeds([1.0], dataset="d4rl/hopper-medium-v2"))
    assert list(dataset_labels(groups, LABELS).values()) == [
        "Hopper medium",
        "Point maze stitch (revision=1)",
        "Point maze stitch (revision=2)",
    ]


def test_a_name_that_is_the_label_of_another_one_is_told_apart(tmp_path):
    file = tmp_path / "labels.toml"
    file.write_text('[algorithms]\na = "X"\nb = "X"\nc = "a"\n')
    shown = algorithm_labels(of(*(seeds([1.0], algorithm=name) for name in "abc")), read_labels(file))
    assert shown == {"a": "a", "b": "b", "c": "c"}
