"""Results and questions in a browser, over a collection that a stranger made: nothing of it runs, nothing is asked of
another server, nothing is wider than the screen, and everybody can read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import small
from tests.report.conftest import SCRIPTED, strange
from tests.ui.browsing import button, check_readable, go, opened, sees, step
from tests.ui.serving import served

__all__ = ["strange"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HOSTILE = "<img src=x onerror=window.stolen=1>${window.stolen=1}{{7*7}}"


@pytest.fixture(scope="module")
def home(strange: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("looked")
    data = small.collection(home / "data", documents=20, queries=4)
    with (data / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": HOSTILE, "text": f"violin violin {SCRIPTED}"}) + "\n")
    stores = {"bm25": {"adapter": "bm25"}, "flat": {"adapter": "bm25", "index": {"k1": 0.0}}}
    systems = [{"name": "bm25", "store": "bm25"}, {"name": HOSTILE, "store": "flat"}]
    small.measure(home, small.spec(systems, stores=stores, baseline="bm25"))
    shutil.copytree(strange, home / "results" / "<img src=x onerror=window.stolen=1>" / "1")
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with served(home, "--cache", str(home / "cache")) as found:
        yield found.rstrip("/")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_results_are_looked_at_and_systems_asked(browser: Any, address: str, width: int, scheme: str) -> None:
    told: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page = opened(context, address, told, "Data")
        go(page, "Results")
        sees(page, "MRR@3" if width > 390 else "The same by a command")
        page.get_by_label("Result", exact=True).filter(visible=True).click()
        page.get_by_role("option", name="a-report").first.click()
        sees(page, "bench show results/")
        step(page, "strange-results")
        go(page, "Report")
        button(page, "Show the report").click()
        page.frame_locator("iframe.report").get_by_role("heading", name="The decision").wait_for()
        go(page, "Queries")
        button(page, "Show queries").click()
        sees(page, "<script>window.stolen=1")
        step(page, "strange-queries")
        go(page, "Try it")
        page.get_by_label("Question", exact=True).filter(visible=True).fill("violin")
        for name in ("bm25", HOSTILE):
            page.get_by_label(name, exact=True).filter(visible=True).check()
        button(page, "Ask").click()
        page.locator("section.found li").filter(has_text=HOSTILE).first.wait_for()
        sees(page, "bench try results/")
        step(page, "strange-try")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("window.stolen") is None and "49" not in page.locator("section.found").first.inner_text()
        check_readable(page)
        assert told == []
    finally:
        context.close()
