"""A query and loading, through the harness against the bare client of one server: `python -P -m tests.perf.weaviate`.

Starts a server of its own from the local binary, on free ports with its data in a scratch folder; without the binary
it says how to get one and measures nothing.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from adapters.base import Floats, IndexRef, Place, Similarity, index_name
from adapters.servers import weaviate as weaviate_server
from adapters.servers.weaviate import Ports, Server
from adapters.stores.weaviate import WeaviateStore
from tests.perf.searching import AT_MOST, clustered, search_ratio, system_on
from tests.stores.arrays import batches

ROWS, EF, LIMIT = 10_000, 64, 10
LOADED, TURNS = 20_000, 4
AT_LEAST = 0.9  # of the bare client's rate of loading


def main() -> None:
    if weaviate_server.binary() is None:
        print(f"Weaviate: not measured, there is no server binary. {weaviate_server.advice()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", Ports.free())
        server.start()
        try:
            server.wait_ready()
            missed = [*_searching(Path(folder), server), *_loading(Path(folder), server)]
        finally:
            server.kill()
    if missed:
        raise SystemExit(" ".join(missed))


def _connection(server: Server) -> dict[str, Any]:
    os.environ["WEAVIATE_API_KEY"] = server.key or ""
    address = {"host": "127.0.0.1", "port": server.ports.http, "grpc_port": server.ports.grpc}
    return {**address, "api_key_env": "WEAVIATE_API_KEY"}


def _client(server: Server) -> Any:
    import weaviate
    from weaviate.auth import Auth

    return weaviate.connect_to_local(
        host="127.0.0.1",
        port=server.ports.http,
        grpc_port=server.ports.grpc,
        auth_credentials=Auth.api_key(server.key or ""),
        skip_init_checks=True,
    )


def _searching(folder: Path, server: Server) -> list[str]:
    from weaviate.classes.query import MetadataQuery

    store = {"adapter": "weaviate", "index": {"type": "hnsw"}, "query": {"ef": EF}, **_connection(server)}
    with system_on(folder, ROWS, store) as (pipeline, system, queries), _client(server) as client:
        (name,) = client.collections.list_all()
        collection = client.collections.use(name)
        distance = MetadataQuery(distance=True)

        def bare(query: int) -> object:
            found = collection.query.near_vector(
                queries[query], limit=LIMIT, return_properties=["row"], return_metadata=distance
            )
            return [(o.properties["row"], o.metadata.distance) for o in found.objects]

        ratio = search_ratio(f"Weaviate HNSW, {ROWS:,} × 384, ef {EF}", pipeline, system, bare)
        client.collections.delete(name)
    if ratio > AT_MOST:
        return [f"A query through the harness took {ratio:.2f} times as long as the bare client's."]
    return []


def _loading(folder: Path, server: Server) -> list[str]:
    """Rows per second until every row is in, counted by the server, into a flat index: its graph would take far longer
    to build than the rows to arrive, and would hide the client."""
    vectors, _ = clustered(LOADED)
    seconds: dict[str, list[float]] = {"harness": [], "bare": []}
    with _client(server) as client:
        for turn in range(TURNS):
            for name in ("harness", "bare") if turn % 2 else ("bare", "harness"):
                took = _harness(folder, server, vectors, turn) if name == "harness" else _bare(client, vectors, turn)
                seconds[name].append(took)
    ratio = statistics.median(seconds["bare"]) / statistics.median(seconds["harness"])
    print(f"Weaviate, loading {LOADED:,} × 384 into a flat index, {TURNS} turns each:")
    for name, values in seconds.items():
        print(
            f"  {name:8} {LOADED / statistics.median(values):8,.0f} rows/s  [{min(values):.2f} s, {max(values):.2f} s]"
        )
    print(f"  harness / bare batch client: {ratio:.3f} (at least {AT_LEAST:.2f})", flush=True)
    return [] if ratio >= AT_LEAST else [f"Loading reached {ratio:.2f} of the bare batch client's rate."]


def _harness(folder: Path, server: Server, vectors: Floats, turn: int) -> float:
    store = WeaviateStore(
        WeaviateStore.Index(type="flat", quantizer="none"), WeaviateStore.Connection(**_connection(server))
    )
    with store:
        store.check()  # connects
        place = Place(index_name(f"{turn:032x}", "perf"), folder)
        began = time.perf_counter()
        ref: IndexRef = store.build(
            batches(vectors=vectors, size=8192), place=place, similarity=Similarity.COSINE, dimension=vectors.shape[1]
        )
        took = time.perf_counter() - began
        store.drop(ref)
    return took


def _bare(client: Any, vectors: Floats, turn: int) -> float:
    """The client's own batching as its documentation shows it, until the server counts every row and its queue is
    empty."""
    from weaviate.classes.config import Configure, DataType, Property

    name = f"Bare{turn}"
    began = time.perf_counter()
    collection = client.collections.create(
        name,
        properties=[Property(name="row", data_type=DataType.INT)],
        vector_config=Configure.Vectors.self_provided(vector_index_config=Configure.VectorIndex.flat()),
    )
    with collection.batch.dynamic() as batch:
        for row, vector in enumerate(vectors):
            batch.add_object(properties={"row": row}, vector=vector)
    assert not collection.batch.failed_objects
    while collection.aggregate.over_all(total_count=True).total_count < len(vectors) or _queued(client, name):
        time.sleep(0.1)
    took = time.perf_counter() - began
    client.collections.delete(name)
    return took


def _queued(client: Any, name: str) -> int:
    nodes = client.cluster.nodes(collection=name, output="verbose")
    return sum(int(shard.vector_queue_length) for node in nodes for shard in node.shards or ())


if __name__ == "__main__":
    main()
