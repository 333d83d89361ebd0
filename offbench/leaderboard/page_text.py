"""Text of others on a page: names that are shown, addresses that are linked, names of files that are made of names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from offbench.basis.plain import plain

if TYPE_CHECKING:
    from markupsafe import Markup

LONGEST = 300  # characters of a value that are shown; the JSON beside the page has all
_SAFE = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
# Only what browsers, readers and proxies take in the same way.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?([/?#][!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]*)?")
MINUS = "\N{MINUS SIGN}"


def shown(text: object) -> Markup:
    """A name as HTML: escaped, what is invisible or turns the direction of writing made visible, and isolated.

    ``<bdi>`` keeps names that are written from right to left from moving what stands beside them.
    """
    from markupsafe import Markup

    text = str(text)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return Markup("<bdi>{}</bdi>").format(plain(text))


def web_address(text: str | None) -> str | None:
    """The text if it is an address that may be linked: http or https, a plain host, no user, plain characters."""
    return text if text and _ADDRESS.fullmatch(text) else None


def host(address: str) -> str:
    """Where a link leads, as it is shown beside it."""
    return (urlsplit(address).hostname or address).removeprefix("www.")


def slug(name: str) -> str:
    """A name as that of a file: equal for plain lower-case names; others keep what can be kept and get a digest.

    Two names never have the same one, not even where a file system takes capitals for small letters.
    """
    if _SAFE.fullmatch(name):
        return name
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    return f"{kept or 'entry'}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:10]}"


def number(value: float | None, digits: int = 1) -> str:
    """A number with thousands separated, as in print; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", MINUS)  # noqa: RUF001


def interval(pair: Sequence[float] | None, digits: int = 1) -> str:
    """``[69.6, 76.2]``; empty for none."""
    return "" if pair is None else f"[{number(pair[0], digits)}, {number(pair[1], digits)}]"


def duration(seconds: float) -> str:
    """``38 s``, ``12 min``, ``3.4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with names joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found
