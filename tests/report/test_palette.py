import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colors

from offbench.algorithms import registry
from offbench.report.palette import COLORS, DASHES, KNOWN, MARKERS, SAME_GREY, apart, lightness, style_of, styles_of

# Complete dichromacy in linear sRGB: Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for
# Simulation of Color Vision Deficiency", severity 1.0.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Distances in CIELAB; about 2.3 is just noticeable side by side. The smallest here is 16.
FAR = 15.0
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE = [0.95047, 1.0, 1.08883]


def lab(color: str, vision: str) -> np.ndarray:
    value = np.array(colors.to_rgb(color))
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_every_two_colours_are_far_apart_with_every_kind_of_colour_vision(vision: str) -> None:
    for one, other in itertools.combinations(COLORS, 2):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > FAR, (one, other)


def test_lightness_is_that_of_cielab() -> None:
    for color in (*COLORS, "#ffffff", "#030303"):
        assert lightness(color) == pytest.approx(lab(color, "normal")[0], abs=0.01)


def test_what_is_one_grey_differs_in_dashes_and_marker() -> None:
    for (one, first), (other, second) in itertools.combinations(KNOWN.items(), 2):
        if abs(lightness(first.color) - lightness(second.color)) < SAME_GREY:
            assert first.dash != second.dash, (one, other)
            assert first.marker != second.marker, (one, other)
        assert apart(first, second)


def test_every_algorithm_of_the_package_has_a_style_of_its_own() -> None:
    assert set(registry.names()) <= set(KNOWN)
    assert len(set(KNOWN.values())) == len(KNOWN)


names = st.one_of(st.sampled_from(sorted(KNOWN)), st.text(max_size=8), st.sampled_from(["bc (a=1)", "bc (a=2)"]))


@given(st.lists(names, unique=True, max_size=8), st.randoms(use_true_random=False))
def test_styles_of_a_figure_depend_on_no_order_and_collide_never(chosen, random) -> None:
    styles = styles_of(chosen)
    assert list(styles) == chosen
    shuffled = random.sample(chosen, len(chosen))
    assert styles_of(shuffled) == styles
    for one, other in itertools.combinations(styles.values(), 2):
        assert apart(one, other)
    for name in KNOWN.keys() & styles.keys():
        assert styles[name] == style_of(name)


@given(st.text())
def test_a_name_alone_has_its_own_style(name: str) -> None:
    style = style_of(name)
    assert styles_of([name]) == {name: style}
    assert (style.color in COLORS, style.dash in DASHES, style.marker in MARKERS) == (True, True, True)


def test_the_unknown_one_gives_way() -> None:
    taken = style_of("bc")
    collides = next(name for name in (f"mine{i}" for i in range(10_000)) if not apart(style_of(name), taken))
    styles = styles_of([collides, "bc"])
    assert styles["bc"] == taken
    assert styles[collides] != style_of(collides)
    assert styles_of([collides]) == {collides: style_of(collides)}


def test_configurations_of_one_algorithm_have_colours_of_their_own() -> None:
    names = ["mopo", *(f"mopo (penalty={penalty})" for penalty in "abcdefg")]
    assert len({style.color for style in styles_of(names).values()}) == len(COLORS)
    assert styles_of(names)["mopo"] == KNOWN["mopo"]


def test_styles_are_the_same_in_every_process() -> None:
    code = "from offbench.report.palette import style_of; print([style_of(n) for n in ('mine', 'iql', 'bc (x=1)')])"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{[style_of(name) for name in ('mine', 'iql', 'bc (x=1)')]}\n"}
