"""Laws of reports: six parts in their order, each number with its path in the result, and nothing that a text holds
gets out of its place."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.report import markdown, table_of_numbers
from bench.report.document.build import build, open_results
from bench.report.document.forms import FORMS, written
from bench.report.document.parts import Picture, Report, Section, Term
from bench.report.document.paths import NoSuchPath, at, step, steps_of
from bench.report.document.terms import _lines, _terms
from bench.report.glossary import explain
from bench.report.html import page
from bench.report.html.script import SCRIPT
from bench.report.html.verify import Checked, verify
from tests import small

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RESULTS = [GOLDEN / "result.json", GOLDEN / "first_version" / "result.json", *sorted((GOLDEN / "results").iterdir())]
by_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: f"{path.parent.name}-{path.stem}")


@pytest.fixture(scope="module")
def report(strange: Path) -> Report:
    return build(open_results([strange]))


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return page.render(report)


def checked(html: str, *folders: Path) -> Checked:
    return verify(html, open_results(folders))


def faults(html: str, *folders: Path) -> str:
    return "\n".join(fault.told for fault in checked(html, *folders).faults)


def pictures(sections: tuple[Section, ...]) -> list[Picture]:
    found: list[Picture] = []
    for section in sections:
        found += [block for block in section.blocks if isinstance(block, Picture)]
        found += pictures(section.sections)
    return found


# -- what it holds ---------------------------------------------------------------------------------------------------


def test_a_report_has_its_six_parts_in_their_order(report: Report) -> None:
    assert [section.key for section in report.sections] == [
        "decision", "doubts", "systems", "pictures", "queries", "origin",
    ]  # fmt: skip


@by_result
def test_any_result_can_be_reported_and_each_number_is_found_again(path: Path) -> None:
    sources = open_results([path])
    found = verify(page.render(build(sources)), sources)
    assert (found.faults, found.figures > 10) == ([], True)


def test_each_number_of_a_report_with_queries_and_texts_is_found_again(html: str, strange: Path) -> None:
    found = checked(html, strange)
    assert (found.faults, found.figures > 100) == ([], True)


def test_a_path_leads_to_the_number_that_is_shown(html: str, strange: Path) -> None:
    values = json.loads((strange / "result.json").read_text(encoding="utf-8"))
    plain = re.findall(r'<span class="n" data-path="([^"]+)" data-form="number">([^<]*)</span>', html)
    direct = [(path, text) for path, text in plain if not path.startswith("computed")]
    assert len(direct) > 5
    for path, text in direct:
        assert written("number", at(values, path.replace("&quot;", '"'))) == text


def test_the_same_numbers_stand_in_html_markdown_and_csv(html: str, report: Report) -> None:
    shown = set(re.findall(r'data-path="([^"]+)"', html))
    rows = list(csv.DictReader(io.StringIO(table_of_numbers.render(report))))
    told = {row["path"] for row in rows}
    assert {path for path in shown if ".mean" in path} <= {path.replace('"', "&quot;") for path in told}
    text = markdown.render(report)
    numbers = {row["shown"] for row in rows if row["form"] in ("number", "signed", "percent")}
    assert {number for number in numbers if number not in text} == set()


def test_each_picture_has_a_title_a_table_and_two_widths() -> None:
    drawn = pictures(build(open_results([GOLDEN / "results" / "statuses.json"])).sections)
    assert drawn
    for picture in drawn:
        assert picture.title and picture.table.rows and picture.plotted
        assert picture.wide.startswith("<svg") and picture.narrow.startswith("<svg")
        assert "#0" not in picture.wide  # each colour is a variable of the page
        shown = {figure.path for row in picture.table.rows for cell in row for figure in _figures(cell.parts)}
        assert {figure.path for figure in picture.plotted} <= shown


def _figures(parts: object) -> list[object]:
    from bench.report.document.parts import figures_of

    return figures_of(parts)  # type: ignore[arg-type]


def test_a_picture_is_the_same_each_time(strange: Path) -> None:
    path = GOLDEN / "results" / "statuses.json"
    one, other = (pictures(build(open_results([path])).sections) for _ in range(2))
    assert [(p.wide, p.narrow) for p in one] == [(p.wide, p.narrow) for p in other]


def test_results_side_by_side_tell_in_what_they_differ(strange: Path) -> None:
    other = GOLDEN / "results" / "statuses.json"
    sources = open_results([strange, other])
    html = page.render(build(sources))
    assert verify(html, sources).faults == []
    assert "results[1].systems[0]" in html and "In what the results differ" in html
    assert "fingerprint of the collection" in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


# -- the check -------------------------------------------------------------------------------------------------------


def changed(html: str, pattern: str) -> str:
    """The page with one digit of the first match's group changed."""
    match = re.search(pattern, html, re.DOTALL)
    assert match is not None, pattern
    start, end = match.span(1)
    place = next(i for i in range(start, end) if html[i].isdigit())
    return f"{html[:place]}{(int(html[place]) + 1) % 10}{html[place + 1 :]}"


@pytest.mark.parametrize(
    "pattern",
    [
        r'<p class=lead>.*?data-form="number">([^<]*)<',
        r'<dl class="tiles">.*?data-form="number">([^<]*)<',
        r'<table id="main">.*?data-form="signed">([^<]*)<',
        r'<table id="main">.*?data-form="count">([^<]*)<',
        r'<article.*?data-form="signed">([^<]*)<',
        r'<bdi data-path="dataset.fingerprint" data-form="text">([^<]*)<',
        r"<bdi data-path=\"experiment\" data-form=\"block\">([^<]*)<",
        r'<td class="num"><span class="n" data-path="([^"]*)"',
        r"<title>([^<]*)</title>",
        r"<style>(.*?)</style>",
        r"<script>(.*?)</script>",
    ],
)  # fmt: skip
def test_one_changed_digit_is_found(html: str, strange: Path, pattern: str) -> None:
    if "<title>" in pattern:
        html = html.replace("<title>", "<title>1 ")
    assert faults(changed(html, pattern), strange) != ""


@pytest.mark.parametrize(
    "pattern",
    [
        r'data-picture="[^"]*">(?:(?!</svg>).)*?<text[^>]*>([^<]*\d[^<]*)<',
        r'data-picture="[^"]*">(?:(?!</svg>).)*?<path[^>]* transform="translate\(([^"]*)"',
        r'class="plotted">\[\["[^"]*", "[^"]*", "([^"]*)"\]',
        r"<figcaption>.*?<details.*?data-form=\"number\">([^<]*)<",
    ],
)
def test_one_changed_digit_of_a_picture_is_found(pattern: str) -> None:
    path = GOLDEN / "results" / "statuses.json"
    html = page.render(build(open_results([path])))
    assert faults(changed(html, pattern), path) != ""


def test_the_fault_names_the_path_and_both_numbers(html: str, strange: Path) -> None:
    told = faults(changed(html, r'<table id="main">.*?\.mean" data-form="number">([^<]*)<'), strange)
    assert re.search(r"systems\[\d\]\.measures\.MRR@3\.mean: the report says '[\d.]+', the result '[\d.]+'", told)


def test_a_number_without_a_path_is_refused(html: str, strange: Path) -> None:
    assert "'saves 40 %' holds a number without a path" in faults(html.replace("</h2>", "</h2>saves 40 %", 1), strange)
    without = re.sub(r'<span class="n" data-path="[^"]*" data-form="number">', "<span>", html, count=1)
    assert "without a path" in faults(without, strange)


def test_a_number_in_a_spoken_attribute_is_refused(html: str, strange: Path) -> None:
    assert "without a path" in faults(html.replace("<main ", '<main aria-label="7 wins" ', 1), strange)


def test_another_result_is_told_from_the_reports_own(html: str, strange: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(strange, copy)
    values = json.loads((copy / "result.json").read_text(encoding="utf-8"))
    values["systems"][1]["measures"]["MRR@3"]["mean"] += 0.1
    (copy / "result.json").write_text(json.dumps(values), encoding="utf-8")
    assert "systems[1].measures.MRR@3.mean" in faults(html, copy)


def test_a_picture_from_elsewhere_is_found(html: str, strange: Path) -> None:
    assert "a picture that was not drawn" in faults(html.replace("</h2>", "</h2><svg></svg>", 1), strange)


def test_a_file_that_was_changed_beside_its_numbers_is_found(html: str, strange: Path) -> None:
    assert "not as it was written" in faults(html.replace("The decision", "The indecision"), strange)


# -- what a stranger wrote -------------------------------------------------------------------------------------------


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_texts_of_a_stranger_are_text_in_html(html: str) -> None:
    elements = _Elements()
    elements.feed(html)
    tags = [tag for tag, _ in elements.found]
    code = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert code == [SCRIPT]
    assert "img" not in tags and "b" not in tags and "i" not in tags and "q" not in tags
    assert not any(name.startswith("on") for _, attrs in elements.found for name in attrs)
    shown = " ".join("".join(elements.text).split())
    assert "<script>window.stolen=1</script>" in shown and "<i>d7</i>" in shown and "👩‍👩‍👧" in shown


def test_a_report_asks_for_nothing(html: str) -> None:
    elements = _Elements()
    elements.feed(html)
    asked = [value for _, attrs in elements.found for name, value in attrs.items() if name in ("src", "href", "action")]
    assert [value for value in asked if not str(value).startswith(("#", "data:,"))] == []
    assert "default-src 'none'" in html
    assert not re.search(r"url\(|@import", html)


def test_long_texts_are_cut(html: str) -> None:
    assert len(html) < 400_000
    assert "word word" in html


def test_texts_of_a_stranger_are_text_in_markdown(report: Report) -> None:
    text = markdown.render(report)
    assert "<script" not in text and "<img" not in text and "<details" not in text
    assert "](javascript" not in text and "![x]" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
    tables = [line for line in text.split("\n") if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables if "today" in line and "baseline" in line}
    assert len(widths) <= 3 and all(widths)


def test_texts_of_a_stranger_are_no_formula_in_csv(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(table_of_numbers.render(report))))
    texts = [row["shown"] for row in rows if row["form"] == "text"]
    assert any(text.startswith("'=cmd") for text in texts) and any(text.startswith("'+SUM") for text in texts)
    assert [text for text in texts if text.startswith(("=", "+", "-", "@"))] == []
    assert any(row["shown"].startswith("-") for row in rows if row["form"] == "signed")


# -- paths and forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["nDCG@10", "own p50", "a.b", "x[0]", 'say "it"', "Recall(rel=2)@10", "", "ü", "a\\b"])
def test_a_path_leads_back_to_any_key(key: str) -> None:
    assert at({"measures": {key: [7]}}, f"measures{step(key)}[0]") == 7
    assert steps_of(f"measures{step(key)}[0]") == ["measures", key, 0]


@pytest.mark.parametrize("path", ["", "a..b", "a[", 'a["x]', "a[0", "[x]", "a b", "a[0]", "a.c"])
def test_a_text_that_is_no_path_leads_nowhere(path: str) -> None:
    with pytest.raises(NoSuchPath):
        at({"a": {"b": 1}}, path)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("number", 0.99999, ".999"), ("signed", -0.0761, "-.076"), ("percent", 13.54, "+13.5 %"),
        ("share", 1.0, "100 %"), ("share", 0.99999, "over 99.9 %"), ("share", 0.0, "0 %"), ("share", 0.0001, "0.01 %"),
        ("usd", 0, "$0"), ("usd", 0.000021, "$0.000021"), ("usd", 12.718, "$12.72"), ("usd", 48211.4, "$48,211"),
        ("usd", -3.5, "-$3.50"), ("count", 12000, "12,000"), ("ms", None, "–"), ("usd", None, "–"),
        ("day", "2026-11-26T17:32:00Z", "2026-11-26"),
    ],
)  # fmt: skip
def test_a_value_is_written_in_its_form(form: str, value: object, text: str) -> None:
    assert written(form, value) == text


def test_every_form_writes_what_is_not_known_as_a_dash() -> None:
    assert {name: written(name, None) for name in FORMS if name != "block"} == {n: "–" for n in FORMS if n != "block"}


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_beside_the_result_and_verifies(strange: Path, tmp_path: Path) -> None:
    copy = tmp_path / "result"
    shutil.copytree(strange, copy)
    done = small.bench("report", copy)
    assert (done.exit_code, done.output.strip()) == (0, str(copy / "report.html"))
    done = small.bench("report", copy, "--verify", copy / "report.html")
    assert done.exit_code == 0 and "agree with the result" in done.output


def test_the_command_refuses_what_it_cannot_do(strange: Path, tmp_path: Path) -> None:
    for arguments, told in [
        (["--format", "pdf"], "--format pdf: there is no such format. Known: html, markdown, csv"),
        (["--verify", "x.html", "--format", "csv"], "--verify writes nothing"),
        (["--verify", strange / "result.json"], "is no HTML report of this program"),
    ]:
        done = small.bench("report", strange, *arguments)
        assert done.exit_code == 2 and told in done.output
    done = small.bench("report", tmp_path / "nothing")
    assert done.exit_code == 2 and "there is no result" in done.output


def test_every_word_that_a_report_marks_is_in_the_glossary() -> None:
    marked: set[str] = set()
    for path in RESULTS:
        marked |= {term.entry for section in build(open_results([path])).sections for term in terms_of(section)}
    assert len(marked) > 10 and {word for word in marked if explain(word) is None} == set()


def terms_of(section: Section) -> list[Term]:
    return [term for line in _lines(section) for term in _terms(line)]
