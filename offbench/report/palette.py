"""How an algorithm looks in figures: colour, dashes and marker, the same whatever else is in the figure.

The eight colours can be told apart with any kind of colour vision, and algorithms whose colours are equal, or equally
bright and so the same in grey print, have other dashes and another marker. ``tests/report/test_palette.py`` measures
both.

Source of the colours: Okabe and Ito, "Color Universal Design" (2008), without their yellow, which is too bright for a
line on white paper; the wine red is Paul Tol's ("Colour Schemes", 2021).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, WINE = "#CC79A7", "#56B4E9", "#000000", "#882255"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, WINE)

# Lengths of dashes and gaps in widths of the line.
SOLID, DASHED, LONG = (), (4.0, 1.5), (9.0, 1.5)
DOTTED, DASH_DOT, DASH_DOT_DOT = (1.0, 1.2), (6.0, 1.5, 1.0, 1.5), (4.0, 1.2, 1.0, 1.2, 1.0, 1.2)
DASHES: tuple[tuple[float, ...], ...] = (SOLID, DASHED, LONG, DOTTED, DASH_DOT, DASH_DOT_DOT)

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h", "d", "8", "H")  # matplotlib's filled ones

# Colours whose lightness (CIE L*) differs by less than this are one grey on paper.
SAME_GREY = 10.0


@dataclass(frozen=True)
class Style:
    """How lines and points of one algorithm are drawn.

    Attributes:
        color: as ``#rrggbb``.
        dash: lengths of dashes and gaps in widths of the line; empty for a solid line.
        marker: matplotlib's name.
    """

    color: str
    dash: tuple[float, ...]
    marker: str

    @property
    def linestyle(self) -> Any:
        """The dashes as matplotlib takes them."""
        return (0, self.dash) if self.dash else "-"


KNOWN = {
    "bc": Style(BLUE, SOLID, "o"),
    "iql": Style(ORANGE, LONG, "s"),
    "td3_bc": Style(GREEN, LONG, "^"),
    "rebrac": Style(PURPLE, SOLID, "D"),
    "cql": Style(RED, DASH_DOT_DOT, "v"),
    "awac": Style(BLACK, SOLID, "P"),
    "sac_n": Style(WINE, SOLID, "X"),
    "edac": Style(GREEN, DASH_DOT, "*"),
    "xql": Style(ORANGE, DASH_DOT, "<"),
    "dt": Style(BLUE, DASHED, ">"),
    "rvs": Style(SKY, DASH_DOT_DOT, "p"),
    "mopo": Style(RED, DOTTED, "h"),
    "mobile": Style(SKY, DOTTED, "d"),
    "combo": Style(WINE, DASHED, "H"),
    "ravl": Style(PURPLE, DASHED, "8"),
    "mbrcsl": Style(BLACK, DASHED, "o"),
    "v_ptr": Style(BLACK, DOTTED, "s"),
    "ss_orl": Style(BLUE, LONG, "d"),
    "cpl": Style(BLUE, DASH_DOT, "^"),
    "ipl": Style(BLACK, LONG, "s"),
    "oppo": Style(BLACK, DOTTED, "^"),
    "reward_model": Style(BLACK, DASH_DOT, "v"),
}


def style_of(algorithm: str) -> Style:
    """The style of an algorithm by its name, whatever else is drawn.

    One that is not of the package has a style by the digest of its name, and so has a configuration of one that is,
    labelled ``bc (top_fraction=0.1)``.
    """
    return KNOWN.get(algorithm) or next(_candidates(algorithm))


def styles_of(algorithms: Iterable[str]) -> dict[str, Style]:
    """The styles of the algorithms of one figure, by name, in the order given.

    Each has that of `style_of`, unless it has the colour of another one or is like it in grey. Then the one that the
    package does not know gives way, of two such the one that is later in the alphabet. Where there are more algorithms
    than colours they differ in dashes and marker.
    """
    names = list(dict.fromkeys(algorithms))
    taken = {name: KNOWN[name] for name in names if name in KNOWN}
    for name in sorted(set(names) - taken.keys()):
        free = [style for style in _candidates(name) if all(apart(style, other) for other in taken.values())]
        colors = {style.color for style in taken.values()}
        unlike = (style for style in free if style.color not in colors)
        taken[name] = next(unlike, free[0] if free else style_of(name))
    return {name: taken[name] for name in names}


def apart(one: Style, other: Style) -> bool:
    """Whether two styles differ in grey: in lightness, or in dashes and marker both."""
    told = one.dash != other.dash and one.marker != other.marker
    return told or abs(lightness(one.color) - lightness(other.color)) >= SAME_GREY


def lightness(color: str) -> float:
    """CIE L* of a colour ``#rrggbb`` (sRGB), 0 for black to 100 for white: what is left of it in grey."""
    red, green, blue = (_linear(int(color[place : place + 2], 16) / 255) for place in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * luminance ** (1 / 3) - 16 if luminance > (6 / 29) ** 3 else luminance * (29 / 3) ** 3


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _candidates(name: str) -> Iterator[Style]:
    """Every style once, the one that the name has by itself first."""
    start = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])
    every = [Style(*parts) for parts in itertools.product(COLORS, DASHES, MARKERS)]
    # A stride that has no factor in common with the count visits all, neighbours far from each other.
    stride = 127
    yield from (every[(start + place * stride) % len(every)] for place in range(len(every)))
