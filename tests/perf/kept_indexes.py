"""Comparing an index's files with their digests, against its build: `python -m tests.perf kept_indexes`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.cache.index_files import damaged_files, file_digests
from tests.perf.searching import system_on

ROWS, AT_MOST = 20_000, 0.02


def main() -> None:
    os.environ.setdefault("LANCEDB_LOG", "error")
    store = {"adapter": "lancedb", "index": {"type": "IVF_PQ"}}
    with tempfile.TemporaryDirectory() as folder, system_on(Path(folder), ROWS, store) as (pipeline, system, _):
        built = pipeline.index(system.source)
        place = built.store.index_folder(built.ref)
        assert place is not None
        kept = file_digests(place)
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            assert not damaged_files(place, kept)
            seconds.append(time.perf_counter() - began)
    share = min(seconds) / built.build_seconds
    print(
        f"  LanceDB IVF_PQ, {ROWS:,} × 384: digests {1000 * min(seconds):.0f} ms, build {built.build_seconds:.1f} s, "
        f"{100 * share:.2f} %"
    )
    if share > AT_MOST:
        raise SystemExit(f"Looking at an index's files took {100 * share:.1f} % of its build.")


if __name__ == "__main__":
    main()
