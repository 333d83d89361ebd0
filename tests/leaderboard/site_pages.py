"""A built site as its pages are read: their tags, links and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "input", "br", "line"}


@dataclass
class Page(HTMLParser):
    """Tags of a page with their attributes, and what is wrong with how they are nested."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) < len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    page.faults += [f"<{tag}> stays open" for tag in page._open]
    return page


def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): read_page(path) for path in sorted(site.rglob("*.html"))}


def dead_links(site: Path) -> list[str]:
    """Links, pictures, scripts and style sheets within the site that lead nowhere, with the page they stand on."""
    found = pages(site)
    dead = []
    for name, page in found.items():
        for tag, attributes in page.tags:
            for key in ("href", "src"):
                target = attributes.get(key)
                if target is None or target.startswith(("https://", "http://", "data:")):
                    continue
                place, _, anchor = target.partition("#")
                path = ((site / name).parent / place).resolve() if place else site / name
                exists = path.is_file() and path.is_relative_to(site.resolve())
                if exists and anchor:
                    exists = anchor in found[path.relative_to(site.resolve()).as_posix()].ids
                if not exists:
                    dead.append(f"{name}: <{tag} {key}={target}>")
    return dead
