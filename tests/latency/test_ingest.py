"""Rows written while queries run: all there afterwards, nothing kept is touched, and what fails is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.experiment.file import IngestPlan
from bench.latency.ingest import Batch, Written, rows_held_back
from bench.report.table import render
from bench.results.model import Ingest, Result
from tests import small

DOCUMENTS = 400
PLAN = {"rows_per_second": 400, "batch": 5, "share": 0.2}  # 80 rows in .2 s
LOADS = [{"samples": 30, "turn_seconds": 0.001}, {"name": "writing", "seconds": 5, "ingest": PLAN}]
STORES = {
    "flat": {"adapter": "lancedb"},
    "ivf": {"adapter": "lancedb", "index": {"type": "IVF_FLAT", "num_partitions": 2}, "query": {"nprobes": 2}},
    "faiss": {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": 2}, "query": {"nprobe": 2}},
}


@pytest.fixture(autouse=True)
def _third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small.installed(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.vectors(tmp_path / "data", documents=DOCUMENTS, queries=20)
    return tmp_path


def spec(systems: list[Any], **keys: Any) -> dict[str, Any]:
    return {
        "experiment": "writing",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": STORES,
        "systems": systems,
        "measures": ["ANN@10"],
        "latency": LOADS,
        **keys,
    }


def dense(store: str) -> dict[str, str]:
    return {"name": store, "encoder": "given", "store": store}


def clumsy(**index: Any) -> dict[str, Any]:
    return spec([dense("exact"), dense("clumsy")], stores={"clumsy": {"adapter": "clumsy", "index": index}})


def of(result: Result, system: str) -> Ingest:
    """What was written into a system's index."""
    found = small.by_name(result)[system].loads[-1].ingest
    assert found is not None
    return found


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


# -- what a run shows ----------------------------------------------------------------------------------------------


def test_all_rows_are_held_and_found_afterwards(folder: Path) -> None:
    systems = [dense("exact"), dense("flat"), dense("ivf"), dense("faiss")]
    _, result = small.measure(folder, spec(systems))
    assert result.status == "success" and not result.warnings
    for entry in result.systems:
        plain, writing = entry.loads
        assert plain.ingest is None and plain.agreement == 1.0
        assert writing.agreement is None  # rows were missing while queries ran
        assert writing.total is not None and writing.total.samples > 0 and not writing.failed
        ingest = of(result, entry.name)
        assert (ingest.rows, ingest.rows_expected, ingest.rows_held_after) == (80, DOCUMENTS, DOCUMENTS)
        assert ingest.found_after == 1.0  # every one of these searches is exhaustive
        assert (ingest.failed_batches, ingest.error) == (0, None)
        assert 0 < ingest.rows_while_searching <= 80
        assert (ingest.p50_ms, ingest.p95_ms) == (None, None)  # of 16 batches there is no percentile


def test_a_reranked_system_is_measured_while_rows_are_written(folder: Path) -> None:
    small.collection(folder / "data")
    systems = [{"name": "x", "encoder": "w", "store": "exact", "reranker": "b", "depth": 20}]
    keys = {"encoders": {"w": {"adapter": "words"}}, "rerankers": {"b": {"adapter": "bm25"}}, "latency": LOADS}
    _, result = small.measure(folder, small.spec(systems, **keys))
    assert (of(result, "x").rows_held_after, of(result, "x").found_after) == (60, 1.0)


def test_kept_indexes_are_not_touched(folder: Path) -> None:
    systems = [dense("exact"), dense("flat"), dense("faiss")]
    small.measure(folder, spec(systems, latency=False))
    before = digests(folder / "cache" / "indexes")
    _, result = small.measure(folder, spec(systems))
    assert digests(folder / "cache" / "indexes") == before
    assert result.work.indexes_built.computed == 0  # the scratch indexes are no part of the quality pass


def test_scratch_indexes_are_gone_afterwards(folder: Path) -> None:
    small.measure(folder, spec([dense("exact"), dense("flat"), dense("faiss")]))
    assert not list((folder / "cache").glob(".scratch-*"))
    assert len(list((folder / "cache" / "indexes").iterdir())) == 3


def test_timings_are_kept_with_what_was_written(folder: Path) -> None:
    _, first = small.measure(folder, spec([dense("exact")]))
    path, second = small.measure(folder, spec([dense("exact")]))
    assert second.systems[0].loads[1].reused
    assert of(second, "exact") == of(first, "exact")
    rows = pq.read_table(path / "timings.parquet").to_pylist()
    batches = [row for row in rows if row["phase"] == "insert"]
    assert len(batches) == of(first, "exact").batches
    assert all(row["query_id"] is None and row["load"] == "writing" and row["total_seconds"] > 0 for row in batches)
    third = small.measure(folder, spec([dense("exact")]), "latency[1].ingest.batch=10")[1]
    assert not third.systems[0].loads[1].reused  # another plan is another measurement


def test_the_table_says_in_a_line_what_was_written(folder: Path) -> None:
    _, result = small.measure(folder, spec([dense("exact")]))
    shown = render(result)
    assert "rows written while searching" in shown
    line = next(line for line in shown.splitlines() if "400 rows/s" in line)
    assert "all 400 rows held, 100 % found again" in line


def test_the_dry_run_tells_of_the_scratch_index(folder: Path) -> None:
    done = small.bench("run", small.write(folder, spec([dense("exact")])), "--dry-run", "--cache", folder / "cache")
    assert "80 rows written at 400 a second, 0.2 s a system, into a scratch index of the other 320" in done.stdout


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_store_that_takes_no_rows_is_named_and_the_others_are_measured(folder: Path) -> None:
    small.collection(folder / "data")
    systems = [
        {"name": "words", "store": "bm25"},
        {"name": "dense", "encoder": "w", "store": "exact"},
        {"name": "both", "fuse": ["words", "dense"]},
    ]
    _, result = small.measure(folder, small.spec(systems, encoders={"w": {"adapter": "words"}}, latency=LOADS))
    refusal = "its latency under writing was not measured: store bm25 takes no rows while it is searched"
    assert refusal in small.by_name(result)["words"].notes
    assert any(
        text.startswith("its latency under writing was not measured: ") for text in small.by_name(result)["both"].notes
    )
    assert {entry.name: len(entry.loads) for entry in result.systems} == {"words": 1, "dense": 2, "both": 1}
    assert of(result, "dense").rows_held_after == 60


def test_a_writer_that_cannot_keep_the_rate_says_so(folder: Path) -> None:
    _, result = small.measure(folder, clumsy(insert_seconds=0.05))  # at most 100 of 400 rows a second
    slow = of(result, "clumsy")
    assert not slow.kept_up
    assert slow.achieved_per_second < 100
    assert slow.rows_while_searching < slow.rows
    assert (slow.rows_held_after, slow.found_after) == (DOCUMENTS, 1.0)  # the rest was written untimed
    assert "NOT KEPT UP" in render(result)


def test_rows_that_are_lost_are_told(folder: Path) -> None:
    _, result = small.measure(folder, clumsy(loses=True))  # 80 rows in batches of 5, by rounds of 26, 27, 27
    lost = of(result, "clumsy")
    assert (lost.rows_held_after, lost.found_after, lost.failed_batches) == (None, None, 0)
    assert "given 400 rows and holds 382" in (lost.error or "")  # 6 batches a round, a row of each
    assert "NOT ALL 400 ROWS HELD" in render(result)
    assert of(result, "exact").rows_held_after == DOCUMENTS


def test_batches_that_fail_are_counted_and_the_scratch_index_is_dropped(folder: Path) -> None:
    _, result = small.measure(folder, clumsy(refuses=True))
    refused = of(result, "clumsy")
    assert refused.failed_batches == 18
    assert (refused.batches, refused.achieved_per_second, refused.kept_up) == (0, 0.0, False)
    assert refused.rows_held_after is None and "Mondays" in (refused.error or "")
    assert "18 batches FAILED" in render(result)
    assert not list((folder / "cache").glob(".scratch-*"))


def test_an_interrupted_pass_leaves_no_scratch_index(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        small.measure(folder, clumsy(interrupts=True))
    assert not list((folder / "cache").glob(".scratch-*"))
    assert len(list((folder / "cache" / "indexes").iterdir())) == 2


def test_the_first_load_point_writes_nothing(folder: Path) -> None:
    done = small.bench("run", small.write(folder, spec([dense("exact")], latency=LOADS[1])), "--dry-run")
    assert done.exit_code == 2
    assert "latency[0].ingest" in done.stderr and "Put another before it" in done.stderr


# -- sums worked by hand -------------------------------------------------------------------------------------------


def written(*batches: tuple[int, int, float, float, float]) -> Written:
    """Batches as round, rows, planned start, wait and length in seconds."""
    names = ("round", "rows", "started", "waited", "lasted")
    made = [Batch(**dict(zip(names, batch, strict=True)), failed=False) for batch in batches]  # type: ignore[arg-type]
    return Written(rows=100, expected=1000, batches=made, held=1000)


def test_the_achieved_rate_runs_from_the_first_plan_to_the_last_batch() -> None:
    plan = IngestPlan(rows_per_second=100, batch=10)
    # Two rounds of two batches, each on time and done before the next is due: 40 rows in 2 · .2 s.
    kept = written((0, 10, 0, 0, 0.02), (0, 10, 0.1, 0, 0.04), (1, 10, 0, 0, 0.01), (1, 10, 0.1, 0, 0.03)).summary(plan)
    assert kept.achieved_per_second == pytest.approx(100) and kept.kept_up
    assert (kept.batches, kept.p50_ms, kept.p95_ms) == (4, None, None)  # too few for either
    # The second batch waits .2 s for the first and ends .6 s after the plan's begin: 20 rows in .6 s.
    late = written((0, 10, 0, 0, 0.3), (0, 10, 0.1, 0.2, 0.3)).summary(plan)
    assert late.achieved_per_second == pytest.approx(20 / 0.6) and not late.kept_up


def test_the_time_of_a_batch_is_told_where_there_are_enough_of_them() -> None:
    plan = IngestPlan(rows_per_second=100, batch=10)
    batches = [(0, 10, i / 10, 0.0, (i + 1) / 1000) for i in range(100)]  # 1 to 100 ms
    assert (written(*batches[:20]).summary(plan).p50_ms, written(*batches[:20]).summary(plan).p95_ms) == (10.0, None)
    assert (written(*batches).summary(plan).p50_ms, written(*batches).summary(plan).p95_ms) == (50.0, 95.0)


def test_at_least_a_row_is_written_in_each_round() -> None:
    assert rows_held_back(IngestPlan(rows_per_second=1, share=0.1), 1000, 3) == 100
    assert rows_held_back(IngestPlan(rows_per_second=1, share=0.01), 100, 5) == 5
    with pytest.raises(Exception, match="too few"):
        rows_held_back(IngestPlan(rows_per_second=1, share=0.1), 3, 3)
