"""Laws of the page Results: what a stranger wrote is text, and nothing outside is read."""

from __future__ import annotations

import csv
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.ui import shown_results as parts
from bench.ui.desk import Desk
from tests.report.conftest import SCRIPTED, strange

__all__ = ["strange"]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "results"
HOSTILE = "<img src=x onerror=window.stolen=1>"
OURS = {
    "p", "strong", "div", "pre", "code", "iframe", "article", "ul", "ol", "li", "br", "section", "table", "caption",
    "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


class Tags(HTMLParser):
    """The elements of a text of HTML, and the attributes that a browser would run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.running: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.running += [name for name, _ in attrs if name.startswith("on")]


def check_harmless(text: str) -> None:
    found = Tags(text)
    assert found.tags <= OURS and found.running == []


@pytest.fixture(scope="module")
def desk(strange: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    home = tmp_path_factory.mktemp("desk")
    shutil.copytree(strange, home / "results" / HOSTILE / "1")
    for name in ("basis", "billed", "trained"):
        (home / "results" / name / "1").mkdir(parents=True)
        shutil.copy(GOLDEN / f"{name}.json", home / "results" / name / "1" / "result.json")
    (home / "outside").mkdir()
    (home / "outside" / "result.json").write_text("{}")
    return Desk.at(home)


@pytest.fixture(scope="module")
def hostile(desk: Desk) -> str:
    return str(desk.results / HOSTILE / "1")


def test_all_results_are_listed_and_those_that_can_be_read_are_offered(desk: Desk, hostile: str) -> None:
    found = parts.results_of(desk)
    assert len(found) == 5 and len(parts.rows(desk, found)) == 5
    assert hostile in [value for _, value in parts.choices(desk, found)]
    assert "outside" in parts.unreadable_part(found)


def test_a_result_that_changed_is_read_again(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "a" / "1"
    folder.mkdir(parents=True)
    other = Desk.at(tmp_path)
    for name in ("basis", "billed"):
        shutil.copy(GOLDEN / f"{name}.json", folder / "result.json")
        [listed] = parts.results_of(other)
        assert listed.result is not None and len(listed.result.systems) == {"basis": 2, "billed": 4}[name]


@pytest.mark.parametrize("kind", parts.KINDS)
def test_texts_of_a_stranger_are_text_in_every_part(desk: Desk, hostile: str, kind: str) -> None:
    words = "q2" if parts.KINDS[kind] == "query" else ""
    told = parts.queries_part(desk, hostile, kind, "", "", "", words, 20)
    check_harmless(told)
    assert "note bad" not in told and "bench queries" in told
    if words:
        assert "&lt;script&gt;window.stolen=1" in told


def test_the_answer_and_a_comparison_are_those_of_the_commands(desk: Desk, hostile: str) -> None:
    told = parts.answer_part(desk, hostile)
    check_harmless(told)
    assert "MRR@3" in told and "today" in told and "bench show" in told
    compared = parts.comparison_part(desk, hostile, hostile, False)
    check_harmless(compared)
    assert "bench compare" in compared and "identical" in compared


def test_the_report_is_in_a_frame_that_reaches_neither_the_page_nor_its_origin(desk: Desk, hostile: str) -> None:
    told = parts.report_part(desk, hostile)
    check_harmless(told)
    [sandbox] = re.findall(r'sandbox="([^"]*)"', told)
    assert sandbox == "allow-scripts"
    assert SCRIPTED not in told and "<script" not in told


@pytest.mark.parametrize("sent", ["/etc", "../../etc", "results/../../..", "\0", "results/absent", "outside"])
def test_what_is_outside_or_no_result_is_refused_in_a_sentence(desk: Desk, sent: str) -> None:
    refused = [
        parts.answer_part(desk, sent),
        parts.report_part(desk, sent),
        parts.comparison_part(desk, sent, sent, True),
        parts.queries_part(desk, sent, "Got worse", "", "", "", "", 5),
    ]
    for told in refused:
        assert "note bad" in told and "Traceback" not in told
        check_harmless(told)
    assert parts.asked_of(desk, sent) == ([], [])


def test_what_cannot_be_told_is_said(desk: Desk, hostile: str) -> None:
    basis = str(desk.results / "basis" / "1")
    assert "Cannot compare" in parts.comparison_part(desk, basis, hostile, False)
    assert "note bad" in parts.queries_part(desk, basis, "Got worse", "", "", "", "", 5)
    assert "no system" in parts.queries_part(desk, hostile, "Got worse", "absent", "", "", "", 5)


def test_the_table_of_all_systems_is_a_file_of_the_page(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with Path(parts.table_file(parts.results_of(desk))).open(encoding="utf-8", newline="") as file:
        assert {row["run_status"] for row in csv.DictReader(file)} == {"success", "unreadable"}
