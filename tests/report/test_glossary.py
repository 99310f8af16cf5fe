"""Whatever a table or a screen prints has an entry of two sentences."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from bench.report.glossary import ENTRIES, explain, names
from bench.results.latency import Latency
from bench.results.model import Status, SystemStatus
from bench.statistics.latency_verdicts import LatencyVerdict
from bench.statistics.measure_names import KINDS
from bench.statistics.significance import Verdict
from tests import small
from tests.conftest import REPOSITORY
from tests.pages import blocks as pages

PRINTED = REPOSITORY / "tests/golden"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.names[0])
def test_each_entry_has_two_sentences(entry: object) -> None:
    text = re.sub(r"`[^`]*`", "", entry.text)  # type: ignore[attr-defined]
    assert len(re.findall(r"[.?!](?=\s|$)", text)) == 2


def test_no_word_has_two_entries() -> None:
    lowered = [name.lower() for name in names()]
    assert sorted(lowered) == sorted(set(lowered))


@pytest.mark.parametrize("kind", KINDS)
def test_every_measure_has_an_entry(kind: str) -> None:
    for spelled in (kind, f"{kind}@10", f"{kind}(rel=2)@5", kind.lower(), f"{kind}@10 [95 %]"):
        entry = explain(spelled)
        assert entry is not None and entry.kind == "measure", spelled
    assert explain("nDCG(dcg='exp-log2')@10") == explain("nDCG")


@pytest.mark.parametrize("word", [*get_args(Verdict), *get_args(LatencyVerdict), "at most .020 worse",
                                  "at most 10 % slower", "better (this model; training again not tried)"])  # fmt: skip
def test_every_verdict_has_an_entry(word: str) -> None:
    entry = explain(word)
    assert entry is not None and entry.kind == "verdict"


@pytest.mark.parametrize("word", sorted({*get_args(Status), *get_args(SystemStatus)}))
def test_every_status_has_an_entry(word: str) -> None:
    entry = explain(word)
    assert entry is not None and entry.kind == "status"


@pytest.mark.parametrize("word", [*get_args(Latency.model_fields["mode"].annotation), "closed-1", "open-200qps",
                                  "SATURATED", "wait", "encode", "search", "fuse", "rerank", "kept up",
                                  "NOT KEPT UP"])  # fmt: skip
def test_every_word_of_load_has_an_entry(word: str) -> None:
    assert explain(word) is not None


def test_every_heading_that_is_printed_has_an_entry() -> None:
    every = [PRINTED / "table.txt", *sorted((PRINTED / "screens").glob("*.txt"))]
    lines = [line.strip() for path in every for line in path.read_text(encoding="utf-8").splitlines()]
    headings = {cell for line in lines if re.match("(system|encoder|model|engine)  ", line)
                for cell in re.split(r"  +", line)}  # fmt: skip
    swept = {"nprobes", "refine_factor", "ef", "search_probe"}  # an engine's own words
    unexplained = {cell for cell in headings - swept if explain(cell) is None and not re.fullmatch(r"\.\d+", cell)}
    assert unexplained == set()


def test_every_column_of_the_page_on_results_has_an_entry() -> None:
    told = {name for row in pages.rows("docs/results.md", "## The printed tables") for name in row[0].split(", ")}
    named = {re.sub("<measure>", "nDCG@10", re.sub("<(k|baseline|load)>", "10", name)) for name in told}
    assert {name for name in named if explain(name) is None} == set()


def test_a_word_is_explained_on_the_command_line_and_an_unknown_one_is_guessed() -> None:
    told = small.bench("explain", "nDCG@10")
    assert told.exit_code == 0 and told.stdout.splitlines()[0] == "nDCG"
    assert small.bench("explain", "own", "p50", "ms").exit_code == 0
    unknown = small.bench("explain", "undecidd")
    assert unknown.exit_code == 2 and "Did you mean undecided?" in unknown.stderr
    listed = small.bench("explain").stdout
    assert all(entry.names[0] in listed for entry in ENTRIES)
