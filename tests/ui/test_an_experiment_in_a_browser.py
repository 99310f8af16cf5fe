"""From an empty folder to a trained model and a conversation, as somebody goes there who never opens a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import pytest
import yaml

from bench.ui.runs.files import STARTED
from tests.standin import StandIn
from tests.ui.browsing import (
    NARROW,
    WIDE,
    button,
    check_readable,
    choose,
    fill,
    go,
    not_reached,
    opened,
    sees,
    step,
    text,
)
from tests.ui.serving import page as served_page
from tests.ui.test_runs import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SLOW = """\
experiment: slow
dataset: {{adapter: api_docs, packages: [numpy], split: test, limit: 60}}
encoders:
  # slow as long as a file is there, but for the first texts of a process
  words: {{adapter: words, seconds_per_text: 1, slow_after: 200, slow_while: {gate}}}
  table: {{adapter: sentence_transformers, model: {table}}}
stores: {{bm25: {{adapter: bm25}}}}
systems:
  - {{name: bm25, store: bm25}}
  - {{name: words, encoder: words}}
baseline: bm25
latency: false
"""


class Place(NamedTuple):
    """home: the folder that the page is started for. gate: while it is there, the run is slow. options: of the
    command."""

    home: Path
    gate: Path
    table: Path
    options: tuple[str, ...]
    variables: dict[str, str]

    @property
    def slow(self) -> str:
        return SLOW.format(gate=self.gate, table=self.table)


class First(NamedTuple):
    """A tab, the process of its page, what the browser complains of, and where the page was."""

    page: Any
    process: Popen[str]
    complaints: list[str]
    address: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, static_model: Path) -> Iterator[Place]:
    gate = tmp_path_factory.mktemp("gate") / "slow"
    gate.touch()
    options = ("--also", str(static_model.parent), "--also", str(gate.parent),
               "--cache", str(tmp_path_factory.mktemp("kept")))  # fmt: skip
    with StandIn() as service:
        service.says = lambda messages: "It makes an array [1]."
        yield Place(tmp_path_factory.mktemp("empty"), gate, static_model, options, service.environment())


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the browser complains of."""
    return []


@pytest.fixture(scope="module")
def first(browser: Any, place: Place, third_party: None) -> Iterator[First]:
    """A tab of a page that will be killed."""
    complaints: list[str] = []
    with served_page(place.home, *place.options, **place.variables) as (address, process):
        context = browser.new_context(viewport=WIDE)
        yield First(opened(context, address.rstrip("/"), complaints), process, complaints, address)
        context.close()


@pytest.fixture(scope="module")
def address(place: Place, first: First) -> Iterator[str]:
    """The page as it was started again, over the same folder and at the same address."""
    first.process.kill()
    first.process.wait()
    port = first.address.rstrip("/").rpartition(":")[2]
    with served_page(place.home, *place.options, "--port", port, **place.variables) as (found, _):
        yield found.rstrip("/")


@pytest.fixture(scope="module")
def tab(browser: Any, address: str, told: list[str]) -> Iterator[Any]:
    context = browser.new_context(viewport=WIDE)
    yield opened(context, address, told)
    context.close()


def process_of_the_last_run(home: Path, before: int = 0) -> int:
    """The process of the run that was asked for last, once it is another one than before."""

    def found() -> int:
        *_, last = sorted((home / ".bench-ui" / "runs").iterdir())
        record = last / STARTED
        number = json.loads(record.read_text())["pid"] if record.exists() else before
        return 0 if number == before else int(number)

    return int(until(found))


def test_the_quick_start_is_picked_in_an_empty_folder_and_tried_dry(first: First, place: Place) -> None:
    page = first.page
    step(page, "01-empty")
    choose(page, "Start from", "Quick start")
    sees(page, "Nothing is wrong with it. Systems: bm25, dense")
    assert "experiment: quickstart" in text(page).input_value() and not list(place.home.glob("*.yaml"))
    step(page, "02-picked")
    button(page, "Dry run").click()
    sees(page, "cannot be detected by this test set")
    sees(page, "about 60 s in all")
    step(page, "03-dry")
    assert (place.home / "quickstart.yaml").is_file()


def test_what_is_wrong_with_the_text_is_told_beside_it(first: First, place: Place) -> None:
    page = first.page
    text(page).fill(place.slow.replace("systems:", "sistems:"))
    sees(page, "sistems is unknown. Did you mean systems?")
    step(page, "04-wrong")
    text(page).fill(place.slow)
    sees(page, "Nothing is wrong with it. Systems: bm25, words.")


def test_a_killed_page_leaves_its_run_going(first: First, place: Place) -> None:
    page = first.page
    fill(page, "File Where it is saved", "slow.yaml")
    button(page, "Run").click()
    sees(page, re.compile("embedding with words.*: 128 of"))
    step(page, "05-running")
    assert first.complaints == []
    first.process.kill()
    first.process.wait()
    os.kill(process_of_the_last_run(place.home), 0)  # raises where it is gone


def test_a_page_that_is_started_again_finds_the_run_and_cancels_it(
    browser: Any, first: First, tab: Any, address: str, told: list[str]
) -> None:
    sees(tab, "embedding with words")
    first.page.get_by_role("tab", name="Data", exact=True, selected=True).wait_for()  # it loaded itself again
    go(first.page, "Experiment")
    sees(first.page, "embedding with words")
    context = browser.new_context(viewport=NARROW, color_scheme="dark")
    other = opened(context, address, told)
    sees(other, "embedding with words")
    step(other, "06-found-again")
    button(other, "Cancel").click()
    sees(tab, "cancelled: it was cut off")
    step(tab, "07-cancelled")
    context.close()


def test_a_killed_run_is_shown_with_its_cause_and_goes_on(tab: Any, place: Place) -> None:
    before = process_of_the_last_run(place.home)
    button(tab, "Resume").click()
    os.kill(process_of_the_last_run(place.home, before), signal.SIGKILL)
    sees(tab, "killed: it was killed by SIGKILL: often because memory ran out")
    step(tab, "08-killed")
    place.gate.unlink()
    button(tab, "Resume").click()
    sees(tab, "which is continued")
    sees(tab, re.compile("^finished"))
    choose(tab, "Run to look at", "killed, asked for")  # the list of runs has grown with them
    sees(tab, "killed: it was killed by SIGKILL: often because memory ran out")
    choose(tab, "Run to look at", "the latest")
    sees(tab, re.compile("^finished"))
    step(tab, "09-finished")
    assert len(list(place.home.glob("results/slow/*/result.json"))) == 1


def test_the_result_is_opened_from_its_run_with_its_report_and_what_got_worse(tab: Any) -> None:
    button(tab, "Open its result").click()
    tab.get_by_role("tab", name="Results", exact=True, selected=True).wait_for()
    sees(tab, "bench show results/slow/")
    step(tab, "10-result")
    go(tab, "Report")
    button(tab, "Show the report").click()
    tab.frame_locator("iframe.report").get_by_role("heading", name="The decision").wait_for()
    step(tab, "11-report")
    go(tab, "Queries")
    button(tab, "Show queries").click()
    sees(tab, "--worse")
    assert tab.locator("article.card").filter(visible=True).count() > 0
    step(tab, "12-worse")


def test_a_model_is_trained_by_the_form_and_measured_beside_its_base(tab: Any, place: Place) -> None:
    go(tab, "Train")
    choose(tab, "Start from", "slow.yaml")
    choose(tab, "Recipe", "static")
    choose(tab, "Starts from", "table")
    fill(tab, "epochs", "3")
    step(tab, "13-train")
    button(tab, "Put it into the file").click()
    sees(tab, "Systems: bm25, words, table, tuned. Models to train: tuned.")
    sees(tab, "The baseline is table now")
    written = text(tab).input_value()
    assert yaml.safe_load(written)["models"] == {"tuned": {"recipe": "static", "base": "table", "epochs": 3}}
    assert written.startswith("experiment: slow\n") and "# slow as long as" in written
    text(tab).fill(written.replace("experiment: slow", "experiment: trained"))
    sees(tab, "Nothing is wrong with it. Systems: bm25, words, table, tuned.")
    step(tab, "14-train-file")
    button(tab, "Train and measure").click()
    sees(tab, re.compile("slow-tuned.yaml runs"))
    tab.get_by_role("img", name=re.compile("tuned.*: loss")).filter(visible=True).first.wait_for()
    step(tab, "15-training")
    sees(tab, re.compile("^finished"))
    assert (place.home / "slow-tuned.yaml").is_file() and "\nmodels:" not in (place.home / "slow.yaml").read_text()
    go(tab, "Trained models")
    sees(tab, "bench models show")
    step(tab, "16-models")


def test_base_and_tuned_are_compared(tab: Any) -> None:
    go(tab, "Train")
    tab.get_by_role("tab", name="Train", exact=True).filter(visible=True).last.click()
    button(tab, "Open its result").click()
    tab.get_by_role("tab", name="Results", exact=True, selected=True).wait_for()
    go(tab, "Answer")
    sees(tab, "bench show results/trained/")
    tab.locator("pre").filter(visible=True, has_text="tuned").first.wait_for()
    step(tab, "17-tuned")
    go(tab, "Compare two")
    choose(tab, "Before the change", "· slow ·")
    button(tab, "Compare").click()
    sees(tab, "bench compare results/slow/")
    step(tab, "18-compared")


def test_base_and_tuned_are_asked_side_by_side_and_one_is_talked_to(tab: Any) -> None:
    go(tab, "Try it")
    choose(tab, "Result", "· trained ·")
    for name in ("table", "tuned"):
        tab.get_by_label(name, exact=True).filter(visible=True).check()
    fill(tab, "Question", "an array of ones")
    button(tab, "Ask").click()
    sees(tab, "bench try results/trained/")
    assert tab.locator("section.found").filter(visible=True).count() >= 2
    step(tab, "19-tried")
    go(tab, "Chat")
    choose(tab, "System that searches", "tuned")
    fill(tab, "Who answers", "openai:gpt-5-mini")
    tab.keyboard.press("Enter")
    fill(tab, "Question", "How do I make an array of ones?")
    button(tab, "Ask").click()
    sees(tab, "It makes an array [1].")
    sees(tab, "Cost: 0.0")
    step(tab, "20-talked")


def test_ten_thousand_rows_of_a_hostile_table_scroll_as_text(
    browser: Any, address: str, told: list[str], place: Place
) -> None:
    rows = "".join(f"<b>question</b> {i}?,answer {i} <img src=x onerror=alert(1)>\n" for i in range(10_000))
    (place.home / "pairs.csv").write_text("question,answer\n" + rows)
    context = browser.new_context(viewport=WIDE)
    page = opened(context, address, told, "Data")
    page.get_by_role("tab", name="Files or a folder").click()
    fill(page, "File or folder", "pairs.csv")
    button(page, "Find out what is there").click()
    sees(page, "Rows 1 to 1,000 of 10,000")
    choose(page, "Rows at once", "10000")
    sees(page, "Rows 1 to 10,000 of 10,000")
    sees(page, "answer 1 <img src=x onerror=alert(1)>")
    table = page.locator(".virtual-table-viewport, .table-wrap, [role=grid]").filter(visible=True).last
    table.hover()
    page.mouse.wheel(0, 5_000_000)
    step(page, "21-data")
    sees(page, "answer 9999 <img src=x onerror=alert(1)>")
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_the_page_is_readable_by_everybody_and_reached_by_keys_alone(
    browser: Any, address: str, told: list[str], size: Any, scheme: str, tab: Any
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = opened(context, address, told)
    for name, part in (
        ("Experiment", "Put it into the file"), ("Train", "Put it into the file"), ("Results", "bench show"),
        ("Try it", "Documents of each"), ("Data", "Which data"),
    ):  # fmt: skip
        go(page, name)
        sees(page, part)
        check_readable(page)
        assert not_reached(page) == [], name
    context.close()


def test_the_browser_complained_of_nothing_and_asked_nobody_else(tab: Any, told: list[str]) -> None:
    assert told == []
