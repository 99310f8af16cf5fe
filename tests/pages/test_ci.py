"""The page on continuous integration: its jobs are YAML whose commands are there, and post what the page shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import small
from tests.comparing.made import changed, values, write
from tests.pages import blocks as pages

PAGE = "docs/ci.md"
JOBS = pages.blocks("yaml", PAGE)


def sides(folder: Path) -> tuple[Path, Path]:
    """Two results of which a system lost, one is undecided, and one is identical."""
    old = {
        name: {"nDCG@10": values(seed=i), "Recall@10": values(seed=i)}
        for i, name in enumerate(("bm25", "dense", "hybrid"))
    }
    new = {
        "bm25": old["bm25"],
        "dense": {**old["dense"], "nDCG@10": changed(old["dense"]["nDCG@10"], -0.005, deviation=0.08)},
        "hybrid": {**old["hybrid"], "nDCG@10": changed(old["hybrid"]["nDCG@10"], 0.031, deviation=0.09)},
    }
    experiments = [{"experiment": "search", "encoders": {"small": {"max_length": length}}} for length in (256, 128)]
    texts = {f"q{i}": f"what is meant by term {i}?" for i in range(300)}
    return (
        write(folder / "old/result", old, baseline="bm25", experiment=experiments[0]),
        write(folder / "new/result", new, baseline="bm25", experiment=experiments[1], texts=texts),
    )


def scripts(value: Any) -> Iterator[str]:
    """Every string of a job."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from scripts(inner)


@pytest.mark.parametrize("block", JOBS, ids=lambda block: block.name)
def test_the_commands_of_a_job_are_there(block: pages.Block) -> None:
    lines = [line.strip() for script in scripts(yaml.safe_load(block.text)) for line in script.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("bench ")]
    assert {words[1] for words in commands} == {"run", "compare"}
    for words in commands:
        told = small.bench(words[1], "--help").stdout
        assert {word for word in words if word.startswith("--")} <= {*re.findall(r"--[a-z-]+", told)}, words


def test_there_is_a_job_for_both() -> None:
    assert [block.name for block in JOBS] == [".github/workflows/retrieval.yml", ".gitlab-ci.yml"]


def test_what_a_job_posts_is_what_the_page_shows(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    done = small.bench("compare", old, new, "--fail-on", "nDCG@10", "--markdown", "--queries", "2")
    [shown] = [block for block in pages.blocks("text", PAGE) if block.name == "comment"]
    assert done.exit_code == 3
    assert shown.text == done.stdout


def test_the_python_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sides(tmp_path)
    monkeypatch.chdir(tmp_path)
    [block] = [block for block in pages.blocks("text", PAGE) if block.name == "python"]
    exec(block.text, {})
    assert capsys.readouterr().out.startswith("The gate on nDCG@10 fails.")


@pytest.mark.parametrize("word", ["LOST", "gained", "within margin", "undecided", "identical", "gate", "total p95"])
def test_every_word_of_a_comparison_is_explained(word: str) -> None:
    assert small.bench("explain", word).exit_code == 0
