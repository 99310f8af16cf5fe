"""What Weaviate's client adds to a query, called from threads, from asyncio and from threads of two processes.

Run: python -P -m tests.perf.clients. The server is a stand-in, a process of its own that answers every search after a
known pause with the same ten hits: whatever a query takes longer is the client's. The pauses are chosen so that the
workers of each row together offer the rate it names.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np

from adapters.servers.weaviate import Ports

SPAWNED = multiprocessing.get_context("spawn")
DIMENSION, HITS, SECONDS = 384, 10, 6.0
LOADS = ((1, 100), (8, 200), (8, 400), (32, 400), (32, 800), (64, 1600))  # workers, queries per second offered


class Run(NamedTuple):
    """Seconds of every query, and the processor time of the process that sent the most."""

    spent: list[float]
    processor_seconds: float


def serve(ports: Ports, pause: Any) -> None:
    """Answer until killed. pause: seconds, a shared value."""
    import grpc
    from weaviate.proto.v1 import properties_pb2, search_get_pb2

    hits = [
        search_get_pb2.SearchResult(
            properties=search_get_pb2.PropertiesResult(
                non_ref_props=properties_pb2.Properties(fields={"row": properties_pb2.Value(int_value=i)})
            ),
            metadata=search_get_pb2.MetadataResult(
                id=f"00000000-0000-0000-0000-{i:012}", distance=i / 100, distance_present=True
            ),
        )
        for i in range(HITS)
    ]
    answer = search_get_pb2.SearchReply(took=0.001, results=hits).SerializeToString()

    async def search(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(pause.value)
        return answer

    async def until_killed() -> None:
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(search)  # bytes in, bytes out
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("weaviate.v1.Weaviate", {"Search": method}),)
        )
        server.add_insecure_port(f"127.0.0.1:{ports.grpc}")
        await server.start()
        await server.wait_for_termination()

    class Rest(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"version": "1.38.11", "modules": {}}'
            self.send_response(200 if self.path == "/v1/meta" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", ports.http), Rest).serve_forever, daemon=True).start()
    asyncio.run(until_killed())


@contextmanager
def server() -> Iterator[tuple[Ports, Any]]:
    """The stand-in's ports and its pause."""
    ports, pause = Ports.free(), SPAWNED.Value("d", 0.0)
    process = SPAWNED.Process(target=serve, args=(ports, pause), daemon=True)
    process.start()
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                with _client(ports) as client:
                    _ask(client.collections.use("Any"), np.zeros(DIMENSION, np.float32))
                break
            except Exception:  # not there yet: whatever the client calls that
                time.sleep(0.2)
        yield ports, pause
    finally:
        process.kill()


def _client(ports: Ports) -> Any:
    import weaviate

    return weaviate.connect_to_local(host="127.0.0.1", port=ports.http, grpc_port=ports.grpc, skip_init_checks=True)


def _request() -> dict[str, Any]:
    from weaviate.classes.query import MetadataQuery

    return {"limit": HITS, "return_properties": ["row"], "return_metadata": MetadataQuery(distance=True)}


def _ask(collection: Any, vector: Any) -> object:
    found = collection.query.near_vector(vector, **_request())
    return [(o.properties["row"], o.metadata.distance) for o in found.objects]


def threads(ports: Ports, workers: int) -> Run:
    """A thread per worker, one client."""
    vector = np.random.default_rng(0).standard_normal(DIMENSION).astype(np.float32)
    spent: list[float] = []
    with _client(ports) as client:
        collection = client.collections.use("Any")
        _ask(collection, vector)
        until = time.perf_counter() + SECONDS

        def work() -> None:
            while (began := time.perf_counter()) < until:
                _ask(collection, vector)
                spent.append(time.perf_counter() - began)

        processor = time.process_time()
        running = [threading.Thread(target=work) for _ in range(workers)]
        for each in running:
            each.start()
        for each in running:
            each.join()
        return Run(spent, time.process_time() - processor)


def event_loop(ports: Ports, workers: int) -> Run:
    """A coroutine per worker, one asynchronous client."""
    return asyncio.run(_event_loop(ports, workers))


async def _event_loop(ports: Ports, workers: int) -> Run:
    import weaviate

    vector = np.random.default_rng(0).standard_normal(DIMENSION).astype(np.float32)
    spent: list[float] = []
    request = _request()
    client = weaviate.use_async_with_local(
        host="127.0.0.1", port=ports.http, grpc_port=ports.grpc, skip_init_checks=True
    )
    async with client:
        collection = client.collections.use("Any")
        await collection.query.near_vector(vector, **request)
        until = time.perf_counter() + SECONDS

        async def work() -> None:
            while (began := time.perf_counter()) < until:
                found = await collection.query.near_vector(vector, **request)
                _ = [(o.properties["row"], o.metadata.distance) for o in found.objects]
                spent.append(time.perf_counter() - began)

        processor = time.process_time()
        await asyncio.gather(*(work() for _ in range(workers)))
        return Run(spent, time.process_time() - processor)


def two_processes(ports: Ports, workers: int) -> Run:
    """Half of the threads in each of two processes."""
    with SPAWNED.Pool(2) as pool:
        runs = pool.starmap(threads, [(ports, workers // 2)] * 2)
    return Run([s for run in runs for s in run.spent], max(run.processor_seconds for run in runs))


ARMS: tuple[tuple[str, Callable[[Ports, int], Run]], ...] = (
    ("threads", threads),
    ("asyncio", event_loop),
    ("2 processes", two_processes),
)


def main() -> None:
    """Print a line per load and arm."""
    with server() as (ports, pause):
        print(
            f"{'workers':>7} {'offered':>8} {'client':12} {'reached':>8} {'p50 added':>10} {'p95 added':>10}  busiest"
        )
        for workers, offered in LOADS:
            pause.value = workers / offered
            for name, arm in ARMS:
                if workers == 1 and arm is two_processes:
                    continue
                run = arm(ports, workers)
                added = (np.sort(run.spent) - pause.value) * 1000
                p50, p95 = (added[int(share * len(added))] for share in (0.5, 0.95))
                print(
                    f"{workers:7} {offered:6}/s {name:12} {len(added) / SECONDS:6.0f}/s {p50:7.2f} ms {p95:7.2f} ms "
                    f"{100 * run.processor_seconds / SECONDS:6.0f} %",
                    flush=True,
                )


if __name__ == "__main__":
    main()
