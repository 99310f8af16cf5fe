"""What a whole run does when its Weaviate server dies: one system is lost, no other, and the next run goes on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Event, IndexRef, Queries, StageAdvanced, StageFinished, Warned
from adapters.servers.weaviate import Ports, Server, cluster, start_cluster
from bench.cache.artifacts import Cache
from bench.quality.indexes import ROWS_PER_BATCH
from bench.quality.searches import QUERIES_PER_CHUNK
from bench.results.model import Result, SystemResult
from tests import small
from tests.weaviate.conftest import METRICS, answered, connection_of, revive, store_at

ROWS = ROWS_PER_BATCH + 1500  # more batches than may be under way: the last are never reached
QUERIES = QUERIES_PER_CHUNK + 60
SECONDS = 30  # "within seconds": the client's own pauses take 63
OTHERS = ["lance", "exact"]


class Killer:
    """Kills a server when an event says so, and takes down when, and when the run told that its system was lost."""

    def __init__(self, server: Server, when: Callable[[Event], bool], *, after_seconds: float = 0.0) -> None:
        """after_seconds: from the event to the kill; 0: before the run goes on."""
        self.killed = self.told = 0.0
        self.events: list[Event] = []
        self._server, self._when, self._after = server, when, after_seconds

    def __call__(self, event: Event) -> None:
        if not self.killed and self._when(event) and not any(self._when(earlier) for earlier in self.events):
            if self._after:
                threading.Timer(self._after, self._kill).start()
            else:
                self._kill()
        elif self.killed and not self.told and isinstance(event, Warned) and event.about == "weaviate":
            self.told = time.monotonic()
        self.events.append(event)

    def _kill(self) -> None:
        self.killed = time.monotonic()  # first: the news may come before the kill returns
        self._server.kill()

    @property
    def gap_seconds(self) -> float:
        """From the kill to the news of it."""
        assert self.killed and self.told
        return self.told - self.killed


def experiment(folder: Path, connection: dict[str, Any], *, rows: int = ROWS, **keys: Any) -> dict[str, Any]:
    """Weaviate first, then engines that cannot die."""
    small.vectors(folder / "data", documents=rows, queries=QUERIES)
    weaviate = {"adapter": "weaviate", "index": {"type": "flat"}, "query_seconds": 2, "batch_size": 250, **connection}
    return small.spec(
        [{"name": name, "encoder": "given", "store": name} for name in ("weaviate", *OTHERS)],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        **{
            "stores": {"weaviate": weaviate, "lance": {"adapter": "lancedb", "index": {"type": "none"}},
                       "exact": {"adapter": "exact"}},
            "measures": ["ANN@10"],
            **keys,
        },
    )  # fmt: skip


def work(result: Result) -> tuple[tuple[int, int], tuple[int, int]]:
    """Indexes and searched queries: computed, reused."""
    built, searched = result.work.indexes_built, result.work.queries_searched
    return (built.computed, built.reused), (searched.computed, searched.reused)


def others_are_measured(result: Result) -> None:
    found = small.by_name(result)
    assert [(found[name].status, found[name].measures["ANN@10"].mean) for name in OTHERS] == [("success", 1.0)] * 2


def assert_lost(result: Result, killer: Killer) -> None:
    lost = small.by_name(result)["weaviate"]
    assert (result.status, lost.status) == ("partial", "error")
    assert lost.error is not None and "went away. Start it again and run again." in lost.error
    assert lost.measures["ANN@10"].mean is None
    assert any("at its start weaviate-0 HEALTHY; at its end The" in note and "went away" in note for note in lost.notes)
    assert killer.gap_seconds < SECONDS
    others_are_measured(result)


def rows_held(folder: Path, connection: dict[str, Any]) -> list[int]:
    """The rows that a search of everything finds in the run's collection."""
    (ref,) = (kept["ref"] for _, kept in Cache(folder / "cache").index_refs() if kept["adapter"] == "weaviate")
    with store_at(connection, type="flat") as store, store.open(IndexRef.from_dict(ref)) as session:
        query = np.load(folder / "data" / "queries.npy")[:1]
        return sorted(session.search(Queries(query), ROWS).rows[0].tolist())


@pytest.mark.slow
def test_a_server_killed_while_it_takes_rows_loses_one_system_and_the_next_run_goes_on(
    mortal: Server, tmp_path: Path
) -> None:
    connection = connection_of(mortal)
    plan = experiment(tmp_path, connection)
    killer = Killer(mortal, lambda event: event == StageAdvanced("build", "weaviate", ROWS_PER_BATCH))
    _, first = small.measure(tmp_path, plan, listeners=[killer])
    assert_lost(first, killer)
    (built,) = (
        e for e in killer.events if isinstance(e, StageFinished) and (e.stage, e.label) == ("build", "weaviate")
    )
    assert built.computed == ROWS_PER_BATCH < ROWS  # it died in the middle
    assert work(first) == ((2, 0), (2 * QUERIES, 0))

    revive(mortal)
    _, second = small.measure(tmp_path, plan)
    assert second.status == "success"
    assert work(second) == ((1, 2), (QUERIES, 2 * QUERIES))
    others_are_measured(second)
    assert small.by_name(second)["weaviate"].measures["ANN@10"].mean == 1.0
    assert rows_held(tmp_path, connection) == list(range(ROWS))  # none is missing, none is doubled


@pytest.mark.slow
def test_a_server_killed_while_it_answers_loses_one_system_and_the_next_run_goes_on(
    mortal: Server, tmp_path: Path
) -> None:
    connection = connection_of(mortal)
    plan = experiment(tmp_path, connection)
    killer = Killer(mortal, lambda event: event == StageAdvanced("search", "weaviate", QUERIES_PER_CHUNK))
    _, first = small.measure(tmp_path, plan, listeners=[killer])
    assert_lost(first, killer)
    assert work(first) == ((3, 0), (2 * QUERIES, 0))

    revive(mortal)
    _, second = small.measure(tmp_path, plan)
    assert second.status == "success"
    assert work(second)[0] == (0, 3)  # the collection outlived its server
    answered = QUERIES_PER_CHUNK  # the chunk that was answered before the kill
    assert work(second)[1] == (QUERIES - answered, 2 * QUERIES + answered)
    assert small.by_name(second)["weaviate"].measures["ANN@10"].mean == 1.0
    assert rows_held(tmp_path, connection) == list(range(ROWS))


def leader_of(servers: Sequence[Server]) -> Server:
    """The node that leads the cluster's consensus about its schema."""
    answer = answered(f"{servers[0].url}/v1/cluster/statistics", servers[0].key)
    (name,) = {node["leaderId"] for node in answer["statistics"]}
    return servers[int(name.removeprefix("weaviate-"))]


def timed(result: Result, weaviate: str = "success") -> tuple[SystemResult, SystemResult]:
    """Weaviate, with this status, and LanceDB after the latency pass; no quality was lost."""
    found = small.by_name(result)
    assert {name: system.status for name, system in found.items()} == dict.fromkeys(found, "success") | {
        "weaviate": weaviate
    }
    assert {system.measures["ANN@10"].failed for system in result.systems} == {0}
    return found["weaviate"], found["lance"]


@pytest.mark.slow
def test_a_server_killed_between_two_turns_is_not_asked_again(mortal: Server, tmp_path: Path) -> None:
    both = {"samples": 30, "seconds": 20, "turn_seconds": 0.001}
    loads = [{"name": name, "workers": n, **both} for n, name in ((1, "first"), (2, "second"))]
    plan = experiment(tmp_path, connection_of(mortal), rows=2000, latency=loads)
    # After the third turn all have had theirs of the first round.
    killer = Killer(mortal, lambda event: event == StageAdvanced("latency", "first", 3))
    _, first = small.measure(tmp_path, plan, listeners=[killer])
    lost, lance = timed(first, "partial")
    assert killer.gap_seconds < SECONDS
    (latency,) = lost.loads
    assert latency.total is not None and (latency.total.samples, latency.failed) == (20, 0)  # its first turn's
    assert re.findall("its latency under [^:]*", lost.error or "") == [
        "its latency under first ended in round 2 of 10",
        "its latency under second was not measured",
    ]
    assert [load.total.samples for load in lance.loads if load.total] == [200, 30]  # ten rounds of twenty, and three

    revive(mortal)
    _, second = small.measure(tmp_path, plan)
    whole, lance = timed(second)
    assert [load.reused for load in lance.loads] == [False, True]  # rounds compare only within one pass
    assert [(load.reused, load.total.samples) for load in whole.loads if load.total] == [(False, 200), (False, 30)]
    assert whole.error is None


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_a_turn_fails_what_is_under_way_and_no_more(
    mortal: Server, tmp_path: Path
) -> None:
    load = {"name": "load", "workers": 4, "processes": 2, "samples": 10**6, "seconds": 6}
    plan = experiment(tmp_path, connection_of(mortal), rows=2000, latency=[load])
    plan["systems"].pop()
    # Two systems and three rounds make turns of 1 s; with this seed Weaviate begins the second round.
    killer = Killer(mortal, lambda event: event == StageAdvanced("latency", "load", 2), after_seconds=0.7)
    _, result = small.measure(tmp_path, plan, listeners=[killer])
    lost, lance = timed(result, "partial")
    assert killer.gap_seconds < SECONDS
    assert lost.latency is not None and lost.latency.total is not None
    assert lost.latency.processes == 2 and lost.latency.total.samples > 0
    assert lost.latency.failed <= 12  # three of each worker
    # The third failure of a worker may fall into the turn, or its end come first: then nobody is there for the next.
    assert re.search("ended in round [23] of 3: .*(went away|needs a server)", lost.error or "")
    assert lance.latency is not None and lance.latency.total is not None and lance.latency.failed == 0


@pytest.mark.slow
def test_a_run_goes_on_when_the_leader_of_three_nodes_is_killed(server_binary: Path, tmp_path: Path) -> None:
    servers = cluster(tmp_path, [Ports.free() for _ in range(3)], METRICS)
    try:
        start_cluster(servers)
        leader = leader_of(servers)
        near = next(server for server in servers if server is not leader)
        index, query = {"type": "hnsw", "shards": 3, "replication_factor": 2}, {"ef": 200}
        connection = {**connection_of(near), "index": index, "query": query}
        plan = experiment(tmp_path, connection, rows=3000, latency=[{"samples": 10**6, "seconds": 6}])
        plan["systems"].pop()
        killer = Killer(leader, lambda event: event == StageAdvanced("search", "weaviate", QUERIES_PER_CHUNK))
        _, result = small.measure(tmp_path, plan, listeners=[killer])
    finally:
        for server in servers:
            server.kill()
    assert killer.killed
    weaviate, _ = timed(result)
    assert (weaviate.ann_recall["10"] or 0.0) >= 0.99
    latency = weaviate.latency
    assert latency is not None and latency.total is not None and latency.total.samples > 0
    assert (latency.failed, latency.agreement) == (0, pytest.approx(1.0, abs=0.01))
    name = f"weaviate-{servers.index(leader)}"
    (note,) = weaviate.notes
    assert note.startswith("its servers changed during the run: at its start ")
    # The others may be told unhealthy too while they agree on a new leader.
    was, _, now = note.partition("; at its end ")
    assert f"{name} HEALTHY" in was and f"{name} HEALTHY" not in now
