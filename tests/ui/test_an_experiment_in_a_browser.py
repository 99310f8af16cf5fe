"""An experiment from the first look to its result, as somebody does it who never opens a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.serving import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LONG = 300_000  # milliseconds, however slow the machine is
SLOW = """\
experiment: slow
dataset: {adapter: api_docs, packages: [numpy], split: test, limit: 20}
encoders:
  words: {adapter: words, seconds_per_text: 0.02}
systems:
  - {name: words, encoder: words}
latency: false
"""
# What axe finds in Gradio's own components, whatever stands in them.
GRADIO = {"region", "landmark-one-main", "page-has-heading-one"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def address(home: Path, third_party: None) -> Iterator[str]:
    with served(home) as found:
        yield found.rstrip("/")


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the browser complains of."""
    return []


@pytest.fixture(scope="module")
def tab(browser: Any, address: str, told: list[str]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield opened(context, address, told)
    context.close()


def opened(context: Any, address: str, told: list[str], page: str = "Experiment") -> Any:
    found = context.new_page()
    found.set_default_timeout(LONG)
    found.on("console", lambda each: told.append(each.text) if each.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: told.append(str(error)))
    found.on("dialog", lambda dialog: (told.append("dialog"), dialog.dismiss()))
    found.on(
        "request", lambda each: None if each.url.startswith((address, "data:", "blob:")) else told.append(each.url)
    )
    found.goto(address, wait_until="load")
    found.get_by_role("tab", name=page, exact=True).click()
    return found


def picture(page: Any, name: str) -> None:
    """A screenshot for whoever wants to look: BENCH_PICTURES names the folder."""
    if folder := os.environ.get("BENCH_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_label(label).filter(visible=True).first.click()
    page.get_by_role("option", name=option).first.click()


def text(page: Any) -> Any:
    return page.get_by_label("Experiment", exact=True).filter(visible=True)


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True).filter(visible=True)


def sees(page: Any, words: str) -> None:
    page.get_by_text(words).filter(visible=True).first.wait_for()


def test_the_quick_start_is_picked_in_an_empty_folder_and_tried_dry(tab: Any, home: Path) -> None:
    choose(tab, "Start from", "Quick start")
    sees(tab, "Nothing is wrong with it. Systems: bm25, dense")
    assert "experiment: quickstart" in text(tab).input_value() and not list(home.glob("*.yaml"))
    button(tab, "Dry run").click()
    sees(tab, "cannot be detected by this test set")
    sees(tab, "about 60 s in all")
    picture(tab, "dry-1280")
    assert (home / "quickstart.yaml").is_file()


def test_what_is_wrong_with_the_text_is_told_beside_it(tab: Any) -> None:
    text(tab).fill(SLOW.replace("systems:", "sistems:"))
    sees(tab, "sistems is unknown. Did you mean systems?")
    text(tab).fill(SLOW)
    sees(tab, "Nothing is wrong with it. Systems: words.")


def test_a_run_is_cancelled_and_resumed_and_all_tabs_see_it(
    browser: Any, tab: Any, address: str, told: list[str], home: Path
) -> None:
    tab.get_by_label("File Where it is saved").filter(visible=True).fill("slow.yaml")
    button(tab, "Run").click()
    sees(tab, "embedding with words")
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    other = opened(context, address, told)
    sees(other, "embedding with words")
    picture(other, "running-390")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    button(other, "Cancel").click()
    sees(tab, "cancelled: it was cut off")
    picture(tab, "cancelled-1280")
    other.close()
    context.close()
    button(tab, "Resume").click()
    sees(tab, "which is continued")
    sees(tab, "finished")
    picture(tab, "finished-1280")
    assert len(list(home.glob("results/slow/*/result.json"))) == 1


def test_the_result_is_opened_from_its_run(tab: Any) -> None:
    button(tab, "Open its result").click()
    tab.get_by_role("tab", name="Results", exact=True, selected=True).wait_for()
    sees(tab, "words")
    picture(tab, "result-1280")


def test_ten_thousand_rows_of_a_hostile_table_scroll_as_text(
    browser: Any, address: str, told: list[str], home: Path
) -> None:
    rows = "".join(f"<b>question</b> {i}?,answer {i} <img src=x onerror=alert(1)>\n" for i in range(10_000))
    (home / "pairs.csv").write_text("question,answer\n" + rows)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = opened(context, address, told, "Data")
    page.get_by_role("tab", name="Files or a folder").click()
    page.get_by_label("File or folder").filter(visible=True).fill("pairs.csv")
    button(page, "Find out what is there").click()
    sees(page, "Rows 1 to 1,000 of 10,000")
    choose(page, "Rows at once", "10000")
    sees(page, "Rows 1 to 10,000 of 10,000")
    sees(page, "answer 1 <img src=x onerror=alert(1)>")
    table = page.locator(".virtual-table-viewport, .table-wrap, [role=grid]").filter(visible=True).last
    table.hover()
    page.mouse.wheel(0, 5_000_000)
    picture(page, "data-1280")
    sees(page, "answer 9999 <img src=x onerror=alert(1)>")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_is_readable_by_everybody(
    browser: Any, address: str, told: list[str], width: int, scheme: str, tab: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = opened(context, address, told)
    sees(page, "Add or change")
    sees(page, "Put it into the file")
    picture(page, f"experiment-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    faults = [
        (fault["id"], [node["html"][:300] for node in fault["nodes"]][:5])
        for fault in Axe().run(page).response["violations"]
        if fault["id"] not in GRADIO
    ]
    context.close()
    assert faults == []


def test_the_browser_complained_of_nothing_and_asked_nobody_else(tab: Any, told: list[str]) -> None:
    assert told == []
