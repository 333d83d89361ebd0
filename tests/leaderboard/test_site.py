import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_pages import Page, dead_links, pages, read_page
from synthetic_entries import ALL, HOSTILE, PENDULUM, make_suite, write_board, write_entry

from offbench.errors import OffbenchError
from offbench.leaderboard.site import Built, build_site
from offbench.leaderboard.suite import suites

OF = {"small": make_suite()}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board") / "results"
    write_board(folder)
    return folder


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    build_site(results, folder, of=OF, cache=tmp_path_factory.mktemp("cache"))
    return folder


@pytest.fixture(scope="module")
def read(site: Path) -> dict[str, Page]:
    return pages(site)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rebuilt(results: Path, folder: Path) -> Built:
    return build_site(results, folder, of=OF, cache=folder.parent / "cache")


def test_there_is_a_page_for_everything(read: dict[str, Page], site: Path):
    entries = {f"entries/small/{name}.html" for name in ("iql", "td3-bc", "bc", "claimed", "partly", "edited", "older")}
    assert entries | {"index.html", "submit.html", "suites/small.html"} <= read.keys()
    assert sum(name.startswith("datasets/") for name in read) == 3
    for name in read:
        assert name == "submit.html" or (site / name).with_suffix(".json").is_file()


def test_every_link_leads_somewhere(site: Path):
    assert dead_links(site) == []


def test_a_dead_link_is_found(site: Path, tmp_path: Path):
    for name in ("style.css", "tables.js", "submit.html", "index.html"):
        (tmp_path / name).write_bytes((site / name).read_bytes())
    (tmp_path / "a.html").write_text('<a href="b.html">x</a><a href="submit.html#nowhere">y</a><a href="#z">z</a>')
    found = [each for each in dead_links(tmp_path) if each.startswith("a.html")]
    assert len(found) == 3


def test_pages_are_well_formed(read: dict[str, Page]):
    for name, page in read.items():
        assert page.faults == [], name
        assert len(page.ids) == len(set(page.ids)), name
        assert len(page.all("h1")) == 1
        assert page.all("html")[0]["lang"] == "en"
        assert page.all("main")
        assert page.all("a")[0] == {"class": "skip", "href": "#content"}


def test_tables_have_captions_scopes_and_names(read: dict[str, Page]):
    for page in read.values():
        assert len(page.all("caption")) == len(page.all("table"))
        assert all("scope" in each for each in page.all("th"))
        assert all(each.get("alt") for each in page.all("img"))
        regions = [each for each in page.all("div") if each.get("role") == "region"]
        assert len(regions) == len(page.all("table"))
        assert all(each["aria-label"] and each["tabindex"] == "0" for each in regions)
        assert sum("role" in each for each in page.all("svg")) == len(page.all("title")) - 1


def test_pages_need_nothing_from_elsewhere_and_run_nothing_of_their_own(read: dict[str, Page]):
    for name, page in read.items():
        root = "../" * name.count("/")
        assert page.all("script") == [{"src": f"{root}tables.js", "defer": ""}]
        assert [each["href"] for each in page.all("link")] == ["data:,", f"{root}style.css"]
        policies = [each["content"] for each in page.all("meta") if "http-equiv" in each]
        assert len(policies) == 1
        assert policies[0].startswith("default-src 'none';")
        assert "unsafe" not in policies[0]
        for _, attributes in page.tags:
            assert not [key for key in attributes if key.startswith("on") or key == "style"]
            assert re.fullmatch(r"(https://|[^:]*$|data:,$).*", attributes.get("href", ""))


def test_the_style_sheet_and_the_script_fetch_nothing(site: Path):
    assert "url(" not in (site / "style.css").read_text()
    assert "@import" not in (site / "style.css").read_text()
    script = (site / "tables.js").read_text()
    for word in ("fetch", "XMLHttp", "innerHTML", "eval", "import(", "insertAdjacent", "document.write"):
        assert word not in script


def test_hostile_names_are_shown_as_text(site: Path, read: dict[str, Page]):
    (name,) = (name for name in read if "hostile" in name)
    text = (site / name).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202egnp.exe\\u202c" in text
    assert "&lt;img src=x onerror=alert(3)&gt;" in text
    assert "{{ 7 * 7 }}" in text
    for path in site.rglob("*"):
        if path.suffix in (".html", ".json"):
            categories = {unicodedata.category(c) for c in path.read_text(encoding="utf-8")} - {"Cc"}
            assert "Cf" not in categories, path


def test_links_that_strangers_gave_are_marked(read: dict[str, Page]):
    outside = [each for page in read.values() for each in page.all("a") if each["href"].startswith("http")]
    assert outside
    assert all(each["rel"] == "nofollow noopener noreferrer ugc" for each in outside)
    assert HOSTILE["paper"] in {each["href"] for each in outside}


def test_an_address_that_is_none_for_browsers_is_shown_and_not_linked(tmp_path: Path):
    write_entry(tmp_path / "results", "odd", ALL, paper="https://user:word@example.org/\u202egpj")
    rebuilt(tmp_path / "results", tmp_path / "site")
    page = tmp_path / "site" / "entries" / "small" / "odd.html"
    assert not [a for a in read_page(page).all("a") if "user" in a["href"]]
    assert "https://user:word@example.org/\\u202egpj" in page.read_text(encoding="utf-8")


def test_folders_of_entries_with_odd_names_have_pages(tmp_path: Path):
    for name in ("IQL", "a b", "<b>", "x" * 120):
        write_entry(tmp_path / "results", name, {PENDULUM: 50.0})
    rebuilt(tmp_path / "results", tmp_path / "site")
    assert len(list((tmp_path / "site" / "entries" / "small").glob("*.html"))) == 4
    assert dead_links(tmp_path / "site") == []


def test_the_same_results_give_the_same_bytes(results: Path, site: Path, tmp_path: Path):
    rebuilt(results, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(site)


def test_the_table_shows_what_the_json_beside_it_holds(site: Path):
    content = json.loads((site / "suites" / "small.json").read_text())
    text = (site / "suites" / "small.html").read_text(encoding="utf-8")
    assert [each["entry"] for each in content["entries"]][:2] == ["iql", "td3-bc"]
    for entry in content["entries"]:
        assert "hostile" in entry["page"] or f'href="../{entry["page"]}"' in text
        for cell in entry["tasks"].values():
            assert f'data-value="{cell["mean"]}"' in text
            assert cell["mean"] == pytest.approx(sum(cell["scores"].values()) / len(cell["scores"]))


@pytest.mark.parametrize("name", ["entry.json", "verification.json", "records"])
def test_a_broken_entry_leaves_the_site_as_it_was(name: str, tmp_path: Path):
    folder = write_entry(tmp_path / "results", "iql", ALL)
    rebuilt(tmp_path / "results", tmp_path / "site")
    before = contents(tmp_path / "site")
    broken = folder / name
    if broken.is_dir():
        broken = next(broken.rglob("seed-1.json"))
    broken.write_text("{")
    with pytest.raises(OffbenchError):
        rebuilt(tmp_path / "results", tmp_path / "site")
    assert contents(tmp_path / "site") == before
    assert {path.name for path in tmp_path.iterdir()} <= {"results", "site", "cache"}


def test_what_fails_while_pages_are_written_leaves_no_half_built_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_entry(tmp_path / "results", "iql", ALL)
    rebuilt(tmp_path / "results", tmp_path / "site")
    before = contents(tmp_path / "site")

    def fail(*_: object) -> Iterator[None]:
        raise RuntimeError("while writing")

    monkeypatch.setattr("offbench.leaderboard.site.entry_page.page", fail)
    write_entry(tmp_path / "results", "another", ALL)
    with pytest.raises(RuntimeError):
        rebuilt(tmp_path / "results", tmp_path / "site")
    assert contents(tmp_path / "site") == before
    assert {path.name for path in tmp_path.iterdir()} <= {"results", "site", "cache"}


def test_a_site_takes_the_place_of_the_one_before(tmp_path: Path):
    folder = write_entry(tmp_path / "results", "iql", ALL)
    write_entry(tmp_path / "results", "bc", ALL, method="BC")
    rebuilt(tmp_path / "results", tmp_path / "site")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    rebuilt(tmp_path / "results", tmp_path / "site")
    assert [path.stem for path in (tmp_path / "site" / "entries" / "small").glob("*.html")] == ["bc"]


def test_a_folder_of_somebody_is_not_replaced(results: Path, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OffbenchError, match="no site of ours"):
        rebuilt(results, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "x"
    with pytest.raises(OffbenchError, match="is no folder"):
        rebuilt(results, tmp_path / "thesis.tex")


def test_an_entry_of_no_suite_or_in_the_wrong_folder_is_refused(tmp_path: Path):
    folder = write_entry(tmp_path / "one", "iql", ALL, suite="smal")
    with pytest.raises(OffbenchError, match="no suite named 'smal'; nearest: small"):
        rebuilt(tmp_path / "one", tmp_path / "site")
    moved = tmp_path / "two" / "other" / "iql"
    moved.parent.mkdir(parents=True)
    write_entry(tmp_path / "three", "iql", ALL).rename(moved)
    with pytest.raises(OffbenchError, match="must lie in its folder"):
        rebuilt(tmp_path / "two", tmp_path / "site")
    assert folder.is_dir()


def test_the_suites_that_come_along_have_pages_without_any_entry(tmp_path: Path):
    (tmp_path / "results").mkdir()
    built = build_site(tmp_path / "results", tmp_path / "site", cache=tmp_path / "cache")
    assert dead_links(tmp_path / "site") == []
    assert {path.stem for path in (tmp_path / "site" / "suites").glob("*.html")} == set(suites())
    assert built.entries == 0
    assert "No entries yet" in (tmp_path / "site" / "suites" / "starter.html").read_text()
    for page in pages(tmp_path / "site").values():
        assert page.faults == []
        assert len(page.ids) == len(set(page.ids))
