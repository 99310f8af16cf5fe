"""Comparing an index's files with their digests, against its build: `make perf PERF=kept_indexes PERF_ROWS=1000000`.

PERF_ROWS: how many vectors of 384 dimensions. PERF_STORES: which of the indexes below, separated by commas. A million
rows want 6 GB of memory and, on two processors, some minutes for each index.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cache.index_files import damaged_files, file_digests
from tests.perf.searching import system_on

ROWS, AT_MOST = 20_000, 0.02
STORES: dict[str, dict[str, Any]] = {
    "lancedb-ivf_pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ"}},
    "lancedb-hnsw": {"adapter": "lancedb", "index": {"type": "IVF_HNSW_SQ"}},
    "faiss-hnsw": {"adapter": "faiss", "index": {"type": "HNSW"}},
    "exact": {"adapter": "exact"},  # builds nothing: its digests are told, and held to no share of a build
}


def main() -> None:
    os.environ.setdefault("LANCEDB_LOG", "error")
    rows = int(os.environ.get("PERF_ROWS") or ROWS)
    missed = [name for name in (os.environ.get("PERF_STORES") or "lancedb-ivf_pq").split(",") if not kept(name, rows)]
    if missed:
        raise SystemExit(
            f"Looking at an index's files took over {100 * AT_MOST:.0f} % of its build: {', '.join(missed)}"
        )


def kept(name: str, rows: int) -> bool:
    """Print what digests of one index take; whether that is little beside its build."""
    with tempfile.TemporaryDirectory() as folder:
        processor = time.process_time()
        with system_on(Path(folder), rows, STORES[name]) as (pipeline, system, _):
            processor = time.process_time() - processor
            built = pipeline.indexes.built(system.source)
            place = built.store.index_folder(built.ref)
            assert place is not None
            digests = file_digests(place)
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            seconds, cpu = min(spent(lambda: damaged_files(place, digests)) for _ in range(5))
    share = seconds / built.build_seconds
    print(
        f"  {name}, {rows:,} × 384, {size / 1e6:,.0f} MB in {len(digests)} files: digests {1000 * seconds:.0f} ms "
        f"({1000 * cpu:.0f} ms of a processor), build {built.build_seconds:.1f} s (with vectors {processor:.0f} s of "
        f"processors), {100 * share:.2f} %",
        flush=True,
    )
    return name == "exact" or share <= AT_MOST


def spent(look: Callable[[], list[str]]) -> tuple[float, float]:
    """Seconds and processor seconds of one look, which finds nothing damaged."""
    began, processor = time.perf_counter(), time.process_time()
    assert not look()
    return time.perf_counter() - began, time.process_time() - processor


if __name__ == "__main__":
    main()
