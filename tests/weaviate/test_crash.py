"""What happens when the server dies: kill -9 while it takes rows, while it answers, and of one node of three."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import AdapterRejected, AdapterUnavailable, IndexRef, Place, Queries, Similarity, index_name
from adapters.servers.weaviate import Ports, Server, cluster, start_cluster
from tests.weaviate.conftest import METRICS, connection_of, revive, store_at
from tests.weaviate.corpora import DIMENSION, build, corpus, recall, with_columns

ROWS = 4000
SECONDS = 30  # "within seconds": the client's own pauses take 63


def build_at(store: Any, batches: Iterator[pa.RecordBatch], folder: Path) -> IndexRef:
    ref: IndexRef = store.build(
        batches, place=Place(index_name("8" * 32), folder), similarity=Similarity.COSINE, dimension=DIMENSION
    )
    return ref


@pytest.mark.slow
def test_a_killed_server_fails_the_call_within_seconds_and_comes_back_whole(mortal: Server, tmp_path: Path) -> None:
    vectors, queries = corpus(ROWS)
    connection = {**connection_of(mortal), "query_seconds": 10, "batch_size": 250}
    killed = 0.0

    def interrupted() -> Iterator[pa.RecordBatch]:
        nonlocal killed
        for i, batch in enumerate(with_columns(vectors)):
            if i == 4:
                mortal.kill()
                killed = time.monotonic()
            yield batch

    with store_at(connection, type="flat") as store:
        with pytest.raises(AdapterUnavailable, match="went away"):
            build_at(store, interrupted(), tmp_path)
        assert time.monotonic() - killed < SECONDS
    with store_at(connection, type="flat") as store, pytest.raises(AdapterUnavailable, match="needs a server"):
        store.check()

    revive(mortal)
    with store_at(connection, type="flat") as store:
        ref = build_at(store, with_columns(vectors), tmp_path)
        assert (ref.details["reused"], store.describe(ref).rows) == (False, ROWS)
        found = store.open(ref).search(Queries(queries[:1]), ROWS).rows[0]
        assert sorted(found.tolist()) == list(range(ROWS))  # no row is missing, none is doubled

        session = store.open(ref)
        session.search(Queries(queries), 10)
        mortal.kill()
        for asked, seconds in ((queries, SECONDS), (queries[:1], 8)):  # the second call knows that nobody is there
            start = time.monotonic()
            with pytest.raises(AdapterUnavailable, match="went away"):
                session.search(Queries(asked), 10)
            assert time.monotonic() - start < seconds
        start = time.monotonic()
        with pytest.raises(AdapterUnavailable, match="went away"):
            store.insert(ref, next(with_columns(vectors)))
        assert time.monotonic() - start < SECONDS

        revive(mortal)
        hits = session.search(Queries(queries), 10)  # the open session goes on
        assert recall(hits, vectors, queries) == 1.0
        assert build_at(store, with_columns(vectors), tmp_path).details["reused"]


@pytest.mark.slow
def test_a_cluster_answers_on_when_one_node_is_killed(server_binary: Path, tmp_path: Path) -> None:
    servers = cluster(tmp_path, [Ports.free() for _ in range(3)], METRICS)
    vectors, queries = corpus(1500)
    try:
        start_cluster(servers)
        of_all = {
            "data_path": [str(server.data_path) for server in servers],
            "metrics_url": [server.metrics_url for server in servers],
        }
        connection = connection_of(servers[0])
        with store_at({**connection, **of_all}, type="hnsw", shards=3, replication_factor=2) as store:
            store.check()
            ref = build(store, vectors, tmp_path)
            held = store.describe(ref)
            assert (held.bytes or 0) > 2 * vectors.nbytes  # two copies, spread over three folders
            memory = store.server_memory()
            with store_at(connection, type="hnsw", shards=3, replication_factor=2) as part:
                assert part.describe(ref).bytes is None
                with pytest.raises(AdapterRejected, match=r"has 3 nodes, and metrics_url names 1"):
                    part.server_memory()
            assert memory is not None and memory > 3 * 50e6
            assert (held.rows, held.parameters["shards"], held.parameters["replication_factor"]) == (1500, 3, 2)
            assert held.parameters["nodes"] == ["weaviate-0", "weaviate-1", "weaviate-2"]
            with store.open(ref) as session:
                session.configure(store.Query(ef=200))
                before = session.search(Queries(queries), 10)
                servers[2].kill()
                after = session.search(Queries(queries), 10)
                with store.open(ref) as another:
                    again = another.search(Queries(queries), 10)
            assert recall(before, vectors, queries) >= 0.99
            assert recall(after, vectors, queries) >= 0.99
            assert np.array_equal(after.rows[:, 0], before.rows[:, 0]) and np.array_equal(after.rows, again.rows)
            until = time.monotonic() + 30
            while all(node.endswith("HEALTHY") for node in store.health()) and time.monotonic() < until:
                time.sleep(0.2)
            assert [node for node in store.health() if not node.endswith("HEALTHY")] == ["weaviate-2 UNAVAILABLE"]
    finally:
        for server in servers:
            server.kill()
