"""A query through the harness against a bare LanceDB loop on the same table: `python -P -m tests.perf.lancedb`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.perf.searching import AT_MOST, search_ratio, system_on

ROWS, NPROBES, LIMIT = 20_000, 4, 10


def main() -> None:
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    store = {
        "adapter": "lancedb",
        "index": {"type": "IVF_FLAT", "num_partitions": 64},
        "query": {"nprobes": NPROBES},
    }
    with tempfile.TemporaryDirectory() as folder, system_on(Path(folder), ROWS, store) as (pipeline, system, queries):
        ref = pipeline.indexes.built(system.source).ref
        table = lancedb.connect(ref.folder).open_table(ref.name)

        def bare(query: int) -> object:
            search = table.search(queries[query], query_type="vector", vector_column_name="vector")
            search = search.distance_type("cosine").nprobes(NPROBES).limit(LIMIT).select(["row", "_distance"])
            found = search.to_arrow()
            return found.column("row").to_numpy(), found.column("_distance").to_numpy()

        ratio = search_ratio(f"LanceDB IVF_FLAT, {ROWS:,} × 384, nprobes {NPROBES}", pipeline, system, bare)
    if ratio > AT_MOST:
        raise SystemExit(f"A query through the harness took {ratio:.2f} times as long as the bare client's.")


if __name__ == "__main__":
    main()
