"""Laws of reports in a browser: nothing is asked for, nothing runs that a text holds, nothing is wider than the screen,
and everybody can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.report.document.build import build, open_results
from bench.report.html import page

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "results"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(strange: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("pages")
    results = {"strange": [strange], "statuses": [GOLDEN / "statuses.json"], "targets": [GOLDEN / "targets.json"],
               "trained": [GOLDEN / "trained.json"], "both": [strange, GOLDEN / "billed.json"]}  # fmt: skip
    for name, folders in results.items():
        (home / f"{name}.html").write_text(page.render(build(open_results(folders))), encoding="utf-8")
    return {name: home / f"{name}.html" for name in results}


@pytest.mark.parametrize("name", ["strange", "statuses", "targets", "trained", "both"])
@pytest.mark.parametrize(("width", "scheme", "media"), [
    (1280, "light", "screen"), (1280, "dark", "screen"), (390, "light", "screen"), (780, "light", "print"),
])  # fmt: skip
def test_a_report_is_readable_by_everybody_and_asks_for_nothing(
    browser: Any, files: dict[str, Path], name: str, width: int, scheme: str, media: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    told: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        opened = context.new_page()
        opened.on("console", lambda message: told.append(f"console: {message.text}"))
        opened.on("pageerror", lambda error: told.append(f"error: {error}"))
        opened.on("dialog", lambda dialog: (told.append("dialog"), dialog.dismiss()))
        opened.on("request", lambda request: told.append(request.url) if request.url != files[name].as_uri() else None)
        opened.goto(files[name].as_uri())
        opened.emulate_media(media=media)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("window.stolen") is None
        faults = Axe().run(opened).response["violations"] if media == "screen" else []
        assert [(fault["id"], [node["html"][:200] for node in fault["nodes"]]) for fault in faults] == []
        assert told == []
    finally:
        context.close()


def test_the_queries_can_be_searched_and_a_word_is_explained(browser: Any, files: dict[str, Path]) -> None:
    opened = browser.new_page()
    opened.goto(files["strange"].as_uri())
    all_of_them = opened.locator("article:visible").count()
    opened.get_by_label("Search in the queries").fill("query q3")
    assert 0 < opened.locator("article:visible").count() < all_of_them
    opened.locator("button.term").first.click()
    assert opened.locator(".explained:popover-open").count() == 1
    opened.keyboard.press("Escape")
    assert opened.locator(".explained:popover-open").count() == 0
    opened.close()


def test_a_report_can_be_read_without_javascript(browser: Any, files: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(files["strange"].as_uri())
    assert opened.locator("article").count() > 0 and not opened.locator("form.search").is_visible()
    opened.locator("button.term").first.click()
    assert opened.locator(".explained").first.text_content()
    context.close()
