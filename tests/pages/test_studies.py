"""The tables on the page of studies are what `bench show` prints of results that were measured.

`python -P -m tests.pages.test_studies RESULT NAME` keeps a result as the study NAME: what was measured, without the
folder of the machine that measured it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.comparing.conclusions import compare_conclusions
from bench.results.model import Result, read_result, write_result
from tests import small
from tests.conftest import REPOSITORY
from tests.pages import blocks as pages

KEPT = REPOSITORY / "tests/golden/studies"
STUDIES = ("study-rerankers", "study-finetune", "study-no-labels")
AGREEMENT = KEPT / "agreement"  # results over real and over synthetic queries, by collection
WAYS = {"no": "synthetic", "yes": "round-trip"}


def keep(result: Path, name: str) -> Path:
    """Write the file of a study anew from a result's folder."""
    values = without_folders(read_result(result).model_dump(mode="json"))
    values["provenance"]["base"] = None
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    write_result(folder, Result.model_validate({**values, "files": {}}))
    return folder


def without_folders(value: Any) -> Any:
    """The values with the names of files and folders in place of where they lay."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def test_the_page_of_studies_shows_each_that_is_kept() -> None:
    shown = [block.name for block in pages.blocks("text", "docs/studies.md")]
    assert sorted(shown) == sorted(STUDIES)
    assert sorted(f"study-{path.name}" for path in KEPT.iterdir() if path != AGREEMENT) == sorted(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_every_line_of_a_study_is_printed_by_its_result(name: str) -> None:
    [block] = [block for block in pages.blocks("text") if block.name == name]
    lines: set[str] = set()
    for how in ((), ("--full",)):
        printed = small.bench("show", KEPT / name.removeprefix("study-"), *how)
        assert printed.exit_code == 0, printed.stderr
        lines |= {line.rstrip() for line in printed.stdout.splitlines()}
    assert [line for line in block.text.splitlines() if line and line.rstrip() not in lines] == []


def test_the_table_on_synthetic_queries_is_what_compare_finds_in_their_results() -> None:
    told = pages.rows("docs/studies.md", "## Do synthetic queries conclude what real ones do?")
    assert {row[0] for row in told} == {path.name for path in AGREEMENT.iterdir()}
    assert told == [_agreement(name, way) for name in dict.fromkeys(row[0] for row in told) for way in WAYS]


def _agreement(name: str, way: str) -> list[str]:
    found = compare_conclusions(AGREEMENT / name / "real", AGREEMENT / name / WAYS[way])
    names = ", ".join(system.name for system in found.that("contradict")) or "none"
    counts = (
        f"{len(found.that('agree'))} of {len(found.systems)}",
        names,
        f"{found.order.alike} of {found.order.pairs}",
    )
    return [name, way, f"{found.old_queries:,}", f"{found.new_queries:,}", *counts]


@pytest.mark.parametrize("path", sorted(KEPT.glob("**/result.json")), ids=lambda path: path.parent.name)
def test_a_study_that_is_kept_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/home/", "/tmp/", "/root/", "/work/", "/Users/"))


if __name__ == "__main__":
    print(keep(Path(sys.argv[1]), sys.argv[2]))
