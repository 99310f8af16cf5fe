"""Texts that searches return: the same rankings with them and without, what they cost, and who cannot return any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.latency.steps import LiveSystem, PartsOfRun
from bench.report.table import render
from bench.results.model import Result
from bench.run.preflight import prepare
from tests import small
from tests.search_service import Service

STORES = {
    "bm25": {"adapter": "bm25"},
    "faiss": {"adapter": "faiss"},
    "lance": {"adapter": "lancedb"},
    "lance-text": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "hybrid"}},
    "mute": {"adapter": "mute"},
    "lying": {"adapter": "lying"},
}
PARTS = {
    "stores": STORES,
    "encoders": {"words": {"adapter": "words"}},
    "rerankers": {"again": {"adapter": "bi_encoder", "encoder": "words"}},
}
LEGS = [{"name": "lexical", "store": "bm25"}, {"name": "dense", "encoder": "words", "store": "lance"}]
BOTH = {"payload": ["none", "text"]}
TEXT_STORES = "[retrieval_bench.stores]\nmute = text_stores:MuteStore\nlying = text_stores:LyingStore\n"


@pytest.fixture(scope="module", autouse=True)
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folders = [tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("site")]
    with small.installed(folders[0]), small.installed(folders[1], "text_stores", TEXT_STORES):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data")
    return tmp_path


def measured(folder: Path, systems: list[dict[str, Any]], **keys: Any) -> tuple[Path, Result]:
    return small.measure(folder, small.spec(systems, **PARTS, **keys))


def faults(folder: Path, systems: list[dict[str, Any]], **keys: Any) -> str:
    with pytest.raises(ConfigFaults) as found:
        measured(folder, systems, **keys)
    return str(found.value)


def test_rankings_with_texts_are_those_without(folder: Path) -> None:
    dense = {"encoder": "words", "store": ["exact", "faiss", "lance", "lance-text"], **BOTH}
    fused = {"name": "fused", "fuse": ["lexical", "dense"], "reranker": [None, "again"], **BOTH}
    made, result = measured(folder, [*LEGS, dense, {"store": "bm25", **BOTH}, fused])
    assert {system.status for system in result.systems} == {"success"}
    rankings: dict[str, dict[str, list[list[str]]]] = {"none": {}, "text": {}}
    for system in result.systems:
        name, there, swept = system.name.rpartition("payload=")
        if there:
            assert system.pipeline.payload == swept.removesuffix(")")
            lines = (made / "runs" / f"{system.name.replace(':', '_')}.trec").read_text().splitlines()
            rankings[swept.removesuffix(")")][name] = [line.split()[:5] for line in lines]
    assert len(rankings["text"]) == 7  # four dense, one lexical, fused with and without a reranker
    assert rankings["text"] == rankings["none"]


def test_only_systems_with_texts_need_another_index(folder: Path) -> None:
    """What was built before there were texts to return is used, and an index that holds them for its search as well."""
    systems = [{"store": "bm25"}, {"encoder": "words", "store": ["exact", "lance", "lance-text"]}]
    _, before = measured(folder, systems)
    assert before.work.indexes_built.computed == 4
    _, after = measured(folder, [{**system, **BOTH} for system in systems])
    work = after.work
    assert (work.indexes_built.computed, work.indexes_built.reused) == (3, 4)  # all but lance-text hold them for this
    assert (work.texts_embedded.computed, work.queries_searched.computed) == (0, 4 * 12)
    bytes_of = {system.name: system.index_bytes or 0 for system in after.systems}
    for store in ("exact", "lance"):
        assert bytes_of[f"words+{store}(payload=text)"] > bytes_of[f"words+{store}(payload=none)"]
    _, again = measured(folder, [{**system, **BOTH} for system in systems])
    assert (again.work.indexes_built.computed, again.work.queries_searched.computed) == (0, 0)


def test_the_sheet_shows_what_texts_cost_beside_the_same_system_without(folder: Path) -> None:
    load = {"workers": 2, "samples": 21, "seconds": 5}
    systems = [{"encoder": "words", "store": ["exact", "lance"], **BOTH}, {"name": "alone", "store": "bm25"}]
    _, result = measured(folder, systems, latency=load)
    section = render(result).partition("what returning texts costs")[2].partition("\n\n")[0].splitlines()
    assert section[1].split() == [
        "system", "beside", "own", "p50", "ms", "without", "ms", "×", "disk", "MiB", "without", "MiB",
    ]  # fmt: skip
    assert [line.split()[:2] for line in section[2:]] == [
        [f"words+{store}(payload=text)", f"words+{store}(payload=none)"] for store in ("exact", "lance")
    ]
    search = {system.name: system.latency.search for system in result.systems if system.latency}
    assert all(figures is not None and figures.p50_ms for figures in search.values())
    assert all(system.latency and system.latency.agreement == 1.0 for system in result.systems)


@pytest.mark.parametrize("reranker", [None, "again"])
def test_fused_and_reranked_documents_keep_the_texts_that_searches_returned(folder: Path, reranker: str | None) -> None:
    """A fusion's own payload decides: its systems return none where they stand alone, and texts below it."""
    fused = {"name": "fused", "fuse": ["lexical", "dense"], "reranker": reranker, "payload": "text"}
    experiment = load_experiment(small.write(folder, small.spec([*LEGS, fused], **PARTS)))
    pipeline, _ = prepare(experiment, folder / "cache", lambda event: None)
    texts = pipeline.dataset.document_texts
    told: dict[str, Any] = {}
    for system in experiment.systems:
        live = LiveSystem(PartsOfRun(pipeline), system)
        live.configure()
        for query in range(3):
            state = live.start(query)
            for step in live.steps:
                step.run(state)
            told[system.name] = live.ranking(state)
            rows = told[system.name].rows[0].tolist()
            if system.name == "fused":
                assert told["fused"].texts == [[texts[row] for row in rows if row >= 0]]
                assert len(told["fused"].texts[0]) == 10
        live.close()
    pipeline.close()
    assert told["lexical"].texts is told["dense"].texts is None


def test_a_text_that_the_index_was_not_given_ends_the_system(folder: Path) -> None:
    _, result = measured(folder, [{"encoder": "words", "store": ["exact", "lying"], "payload": "text"}])
    one, other = result.systems
    assert (one.status, other.status) == ("success", "error")
    assert "Store lying returned another text for row" in (other.error or "")


def test_a_store_that_returns_no_texts_is_a_fault(folder: Path) -> None:
    told = faults(folder, [{"encoder": "words", "store": "mute", "payload": "text"}])
    assert "systems[0].payload: store mute returns no texts; leave payload out." in told
    told = faults(
        folder, [LEGS[0], {"name": "m", "encoder": "words", "store": "mute"}, {"fuse": ["lexical", "m"], **BOTH}]
    )
    assert "systems[2].payload: store mute returns no texts; leave payload out." in told


def test_a_run_file_and_texts_are_a_fault(folder: Path) -> None:
    (folder / "a.trec").write_text("q0 Q0 d0 1 1.0 x\n", encoding="utf-8")
    old = {"name": "old", "run": "a.trec"}
    told = faults(folder, [{**old, "payload": "text"}])
    assert "systems[0]" in told and "payload has no effect without a search (a run file holds no texts)" in told
    assert "payload has no effect" in faults(folder, [{**old, **BOTH}])
    inner = {"name": "inner", "fuse": ["old", "lexical"]}
    told = faults(folder, [old, LEGS[0], inner, {"fuse": ["inner", "lexical"], **BOTH}])
    assert "systems[3].payload cannot be text: old is a run file, which holds no texts." in told
    assert measured(folder, [{**old, "payload": "none"}])[1].status == "success"


def test_documents_without_texts_and_payload_are_a_fault(tmp_path: Path) -> None:
    small.vectors(tmp_path, documents=50, queries=5)
    experiment = small.spec([{"encoder": "given", **BOTH}], encoders={"given": {"adapter": "precomputed"}})
    experiment |= {"dataset": {"adapter": "vectors", "corpus": "corpus.npy", "queries": "queries.npy"}}
    experiment |= {"measures": ["ANN@5"]}
    with pytest.raises(ConfigFaults, match="the documents have no texts to return; leave payload out"):
        small.measure(tmp_path, experiment)


def test_a_service_returns_texts_where_an_option_says_where_they_are(folder: Path) -> None:
    service = Service(lambda path, headers, body: (200, json.dumps({"ids": ["d3", "d1"], "texts": ["a", None]}), {}))
    try:
        index = {"url": service.url, "body": {"q": "{query}"}, "ids": "ids.*"}
        unsaid = {"stores": {"service": {"adapter": "http", "index": index}}}
        said = {"stores": {"service": {"adapter": "http", "index": {**index, "texts": "texts.*"}}}}
        experiment = small.spec([{"store": "service", **BOTH}])
        with pytest.raises(ConfigFaults, match=r"systems\[0\]\.payload: .*Set index\.texts, or leave payload out"):
            small.measure(folder, {**experiment, **unsaid})
        with pytest.raises(ConfigFaults, match=r"stores\.service: .* no system returns any\. Set payload: text on"):
            small.measure(folder, {**small.spec([{"store": "service"}]), **said})
        _, result = small.measure(folder, {**experiment, **said})
    finally:
        service.stop()
    assert [system.status for system in result.systems] == ["success", "success"]
    assert result.work.indexes_built.computed == 1  # which row each id is does not depend on the texts


def test_texts_ids_and_what_they_are_called_are_written_as_in_any_list(folder: Path) -> None:
    one = small.spec([{"store": "bm25", "payload": ["text"]}, {"store": "exact", "encoder": "words", **BOTH}], **PARTS)
    experiment = load_experiment(small.write(folder, one))
    assert [system.name for system in experiment.systems] == [
        "bm25", "words+exact(payload=none)", "words+exact(payload=text)",
    ]  # fmt: skip
    assert [system.payload for system in experiment.systems] == [True, False, True]
    for wrong in ("texts", ["none", "all"], True):
        with pytest.raises(ConfigFaults, match="payload"):
            load_experiment(small.write(folder, small.spec([{"store": "bm25", "payload": wrong}], **PARTS)))
    with pytest.raises(ConfigFaults, match=r"payload is unknown\. It belongs in an entry of systems"):
        load_experiment(small.write(folder, small.spec([{"store": "bm25"}], payload="ids", **PARTS)))


def test_two_pipelines_that_differ_in_their_texts_alone_differ_there_in_the_result(folder: Path) -> None:
    made, _ = measured(folder, [{"store": "bm25", **BOTH}])
    written = json.loads((made / "result.json").read_text(encoding="utf-8"))
    none, text = (system["pipeline"] for system in written["systems"])
    assert none["payload"] == "none" and text == {**none, "payload": "text"}
    assert len({system["hash"] for system in written["systems"]}) == 2
