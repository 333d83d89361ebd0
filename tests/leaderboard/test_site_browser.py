"""The site in a real browser: sorting, filtering, links, the keyboard, a phone, and an accessibility checker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_entries import PENDULUM, make_suite, write_board

from offbench.catalog.cards import card
from offbench.leaderboard.dataset_facts import facts
from offbench.leaderboard.site import build_site

pytestmark = pytest.mark.slow

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which the extra dev brings")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs a browser; on Debian and Ubuntu, 'apt-get install chromium' brings one")
    with sync_api.sync_playwright() as playwright:
        # As root, in which containers run, Chromium has no sandbox of its own; the pages are ours.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    write_board(folder / "results")
    facts(card(PENDULUM), folder / "cache", generate=True)
    build_site(folder / "results", folder / "site", of={"small": make_suite()}, cache=folder / "cache")
    return folder / "site"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A tab that fails the test where anything was printed to its console, or a script failed."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("requestfailed", lambda request: said.append(request.url))
    tab.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    yield tab
    context.close()
    assert said == []


def methods(page: Any) -> list[str]:
    """Names of the methods in the rows that are in sight, from top to bottom."""
    rows = page.locator("#scores-table tbody tr:not(.group):visible th a")
    return [text.strip() for text in rows.all_inner_texts()]


def open_suite(page: Any, site: Path) -> None:
    page.goto((site / "suites" / "small.html").as_uri())


RANKED = ["IQL", "TD3+BC", "<script>alert(1)</script>\\u202egnp.exe\\u202c", "BC"]
OTHERS = ["Edited", "Claimed", "Partly"]


def test_columns_sort_ranked_and_other_entries_apart(page: Any, site: Path):
    open_suite(page, site)
    assert methods(page) == RANKED + OTHERS
    button = page.get_by_role("button", name="Pendulum swingup")
    head = page.locator("th", has=button)
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert methods(page) == ["TD3+BC", "IQL", RANKED[2], "BC", "Edited", "Claimed", "Partly"]
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert methods(page) == ["BC", RANKED[2], "IQL", "TD3+BC", "Partly", "Claimed", "Edited"]
    page.get_by_role("button", name="Method").click()
    assert head.get_attribute("aria-sort") is None
    assert methods(page) == [RANKED[2], "BC", "IQL", "TD3+BC", "Claimed", "Edited", "Partly"]


def test_cells_without_a_value_stay_last(page: Any, site: Path):
    open_suite(page, site)
    button = page.get_by_role("button", name="Point maze umaze")
    for _ in range(2):
        button.click()
        assert methods(page)[-1] == "Partly"


def test_rows_are_filtered_by_words_and_trust(page: Any, site: Path):
    open_suite(page, site)
    status = page.get_by_role("status")
    words, trust = page.get_by_role("searchbox"), page.get_by_role("combobox")
    words.fill("a team")
    assert methods(page) == ["IQL", "TD3+BC", "BC"]
    assert status.inner_text() == "3 of 7 rows shown"
    assert not page.get_by_text("Not ranked", exact=True).is_visible()
    trust.select_option(label="retrained or better")
    assert methods(page) == ["BC"]
    words.fill("")
    trust.select_option(label="any level")
    assert methods(page) == RANKED + OTHERS
    assert status.inner_text() == "7 of 7 rows shown"


def test_every_page_is_reached_by_links_and_none_fails(page: Any, site: Path):
    todo, seen = [(site / "index.html").as_uri()], set()
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        page.goto(address)
        assert page.locator("h1").count() == 1
        found = page.eval_on_selector_all("a", "links => links.map(link => link.href.split('#')[0])")
        todo += [each for each in found if each.startswith("file:") and each.endswith(".html")]
        wide = page.eval_on_selector_all("img", "all => all.map(i => i.loading === 'lazy' || i.naturalWidth > 0)")
        assert all(wide), address
    assert {Path(each.removeprefix("file://")) for each in seen} == set(site.rglob("*.html"))


def test_a_method_is_opened_by_the_keyboard_alone(page: Any, site: Path):
    open_suite(page, site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", names[-1]
        if names[-1] == "IQM" and "sorted" not in names:
            page.keyboard.press("Space")
            assert page.locator("th[aria-sort]").inner_text().startswith("IQM")
            names.append("sorted")
        if names[-1] == "IQL":
            break
    assert "sorted" in names
    page.keyboard.press("Enter")
    page.wait_for_url("**/entries/small/iql.html")
    assert page.locator("h1").inner_text() == "IQL"


def test_without_scripts_the_tables_are_there_and_nothing_that_would_not_work(browser: Any, site: Path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    open_suite(page, site)
    assert methods(page) == RANKED + OTHERS
    assert page.locator("button:visible, input:visible, select:visible").count() == 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_are_accessible(size: str, scheme: str, browser: Any, site: Path):
    axe = pytest.importorskip("axe_playwright_python.base", reason="needs axe, which the extra dev brings")
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    names = ["index", "submit", "suites/small", "entries/small/iql", f"datasets/{PENDULUM.replace('/', '--')}"]
    for name in [*names, "entries/small/edited"]:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        # Evaluated as a debugger does it, because the page's own policy keeps other scripts out.
        page.evaluate(axe.AXE_SCRIPT)
        found = page.evaluate("axe.run().then(found => found.violations)")
        assert [(each["id"], each["impact"], [node["html"] for node in each["nodes"]]) for each in found] == [], name
    context.close()


def test_print_shows_whole_tables_and_no_controls(page: Any, site: Path):
    open_suite(page, site)
    page.emulate_media(media="print")
    assert not page.locator(".controls").is_visible()
    assert page.eval_on_selector(".scroll", "each => getComputedStyle(each).overflowX") == "visible"


def test_nothing_moves_unless_it_is_asked_for(page: Any, site: Path):
    page.emulate_media(reduced_motion="reduce")
    page.goto((site / "datasets" / f"{PENDULUM.replace('/', '--')}.html").as_uri())
    assert page.locator("img[src$='.gif']:visible").count() == 0
    assert page.eval_on_selector("main a", "each => getComputedStyle(each).transitionDuration") == "0s"
