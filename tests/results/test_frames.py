"""Laws: a result is frames whose columns the page names, with null where nothing was measured."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.frames import Frames
from bench.results.model import ResultUnreadable
from tests import small
from tests.pages import blocks as pages

FRAMES = ("systems", "measures", "queries", "texts", "judgements", "rankings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("frames")
    small.collection(home / "data", documents=20, queries=4)
    (home / "today.trec").write_text("q0 Q0 d1 1 2.0 x\nq0 Q0 d0 2 1.0 x\n")
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "today", "run": "today.trec"}]
    return small.measure(home, small.spec(systems, baseline="bm25", measures=["nDCG@10", "Recall@10"]))[0]


@pytest.fixture(scope="module")
def frames(folder: Path) -> Frames:
    return bench.load(folder)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_has_the_columns_that_the_page_names(frames: Frames, name: str) -> None:
    told = [column for row in pages.rows("docs/python.md", f"### {name}") for column in re.split(r", ", row[0])]
    assert sorted(getattr(frames, name).columns) == sorted(set(told) - {"meta.<name>"})


def test_what_was_not_measured_is_missing_and_a_figure_is_a_number(frames: Frames) -> None:
    systems, measures = frames.systems.set_index("system"), frames.measures
    assert systems["total_p95_ms"].isna().all() and systems["total_p95_ms"].dtype == "float64"
    assert pd.isna(systems.loc["today", "index_bytes"]) and systems.loc["bm25", "index_bytes"] > 0
    assert measures[measures["system"] == "bm25"]["difference"].isna().all()
    row = measures[(measures["system"] == "today") & (measures["measure"] == "nDCG@10")].iloc[0]
    value = frames.result.systems[1].measures["nDCG@10"]
    assert (row["mean"], row["low"], row["high"]) == (value.mean, *(value.interval or ()))
    assert row["losses"] == frames.result.systems[1].against_baseline["nDCG@10"].losses


def test_rankings_are_the_run_files(frames: Frames) -> None:
    today = frames.rankings[frames.rankings["system"] == "today"]
    assert today[["query_id", "place", "document_id", "score"]].to_numpy().tolist() == [
        ["q0", 1, "d1", 2.0],
        ["q0", 2, "d0", 1.0],
    ]
    assert len(frames.per_query) == 8 and frames.timings.empty and len(frames.queries) == 4


def test_an_older_result_has_all_frames_less_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "old")
    for name in ("texts.parquet", "qrels.parquet", "per_query.parquet"):
        (tmp_path / "old" / name).unlink()
    old = bench.load(str(tmp_path / "old" / "result.json"))
    assert old.texts.empty and old.per_query.empty
    assert old.queries["text"].notna().all() and len(old.judgements) == 8


def test_what_is_no_result_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultUnreadable, match="there is no result"):
        bench.load(tmp_path)
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'laod'"):
        _ = bench.laod


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import bench, sys; assert not {'pandas', 'pyarrow', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_example_of_the_page_runs(folder: Path, tmp_path: Path) -> None:
    [block] = pages.blocks("python", "docs/python.md")
    shutil.copytree(folder, tmp_path / "results" / "small" / folder.name)
    program = block.text.replace('values["dense"]', 'values["today"]')
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verdict" in done.stdout and "question 0" in done.stdout
