"""Timings as artefacts: which are still valid, and what a plan and a result say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from adapters.base import Event, StageStarted
from bench.experiment.reader import load_experiment
from bench.latency.kept import unmeasured
from bench.latency.timings import EVERYONE
from bench.run.preflight import prepare
from tests import small
from tests.search_service import Service

BM25 = {"name": "bm25", "store": "bm25"}
DENSE = {"name": "dense", "encoder": "words"}
WORDS = {"words": {"adapter": "words"}}
ALONE = {"samples": 6, "seconds": 5, "turn_seconds": 0.001}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    small.collection(tmp_path / "data")
    site = tmp_path / "site"
    site.mkdir()
    with small.installed(site):
        yield tmp_path


def spec(latency: Any, *systems: Any) -> dict[str, Any]:
    return small.spec(list(systems or (BM25, DENSE)), encoders=WORDS, latency=latency)


def dry(folder: Path, *more: str) -> str:
    return small.bench("run", folder / "bench.yaml", "--dry-run", "--cache", folder / "cache", *more).stdout


@pytest.mark.parametrize(("workers", "reused"), [(1, [False, False]), (2, [True, False])])
def test_rounds_of_one_worker_are_taken_by_all_together(folder: Path, workers: int, reused: list[bool]) -> None:
    experiment = spec({**ALONE, "workers": workers})
    small.measure(folder, experiment)
    kept = sorted((folder / "cache" / "timings").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(kept) == 2
    kept[-1].unlink()  # that of the system that is named last
    told = "all are measured, because rounds compare only within one pass"
    assert ("1 of 2 systems have no timings yet: " + told in dry(folder)) is (workers == 1)
    _, second = small.measure(folder, experiment)
    assert [entry.latency.reused for entry in second.systems if entry.latency] == reused
    assert "0 of 2 systems to measure" in dry(folder)
    _, third = small.measure(folder, experiment)
    assert third.latency_samples == 0 and third.encoding == second.encoding
    assert [entry.latency.total for entry in third.systems if entry.latency] == [
        entry.latency.total for entry in second.systems if entry.latency
    ]


def test_timings_belong_to_the_ranking_that_was_judged(folder: Path) -> None:
    small.measure(folder, spec({**ALONE, "workers": 2}))
    pipeline, _ = prepare(load_experiment(folder / "bench.yaml"), folder / "cache", lambda event: None)
    try:
        systems, (load,) = pipeline.experiment.systems, pipeline.experiment.loads
        rankings = {system.name: pipeline.ranking(system.top).rows for system in systems}

        def missing() -> list[str]:
            found = unmeasured(pipeline, load, systems, remeasure=False, occasion=EVERYONE, rankings=rankings)
            return [system.name for system in found]

        assert missing() == []
        # As when a server was killed in the midst of the searches that were judged, and answers all of them now.
        rankings["dense"] = np.where(np.arange(len(rankings["dense"]))[:, None] < 6, rankings["dense"], -1)
        assert missing() == ["dense"]
    finally:
        pipeline.close()


def test_a_service_that_was_away_in_the_search_is_timed_again_when_it_answers(folder: Path) -> None:
    """Its first timings were compared with rankings that lack what it did not answer."""
    away = True

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        if away and int(body["q"].rpartition(" ")[2]) >= 6:  # "… question 7"
            return 400, "{}", {}
        return 200, json.dumps({"ids": [f"d{i}" for i in range(body["k"])]}), {}

    def returns(event: Event) -> None:
        nonlocal away
        away = away and not (isinstance(event, StageStarted) and event.stage == "latency")

    service = Service(answer)
    asked = {"url": service.url, "body": {"q": "{query}", "k": "{k}"}, "ids": "ids.*"}
    experiment = small.spec(
        [{"name": "service", "store": "service"}],
        stores={"service": {"adapter": "http", "index": asked}},
        latency={"workers": 2, "processes": 1, "samples": 24, "seconds": 5},
    )
    try:
        _, first = small.measure(folder, experiment, listeners=[returns])
        _, second = small.measure(folder, experiment)
        _, third = small.measure(folder, experiment)
    finally:
        service.stop()
    differ = "its live rankings differ from those that were judged: the latency is flagged"
    found = [small.by_name(result)["service"] for result in (first, second, third)]
    assert [system.status for system in found] == ["partial", "success", "success"]
    assert [differ in system.notes for system in found] == [True, False, False]
    latencies = [system.latency for system in found]
    assert [one and one.reused for one in latencies] == [False, False, True]
    # 6 of 12 queries found nothing in the first search and everything live; each is asked about as often as the others.
    agreements = [one.agreement if one else None for one in latencies]
    assert agreements[0] is not None and agreements[0] < 0.8 and agreements[1:] == [1.0, 1.0]


def test_a_result_says_how_its_passes_differ_from_what_was_asked(folder: Path) -> None:
    _, result = small.measure(folder, spec({**ALONE, "rounds": 3}))
    raised, short = result.latency_notes[:2]
    assert raised == "closed-1: 3 rounds were raised to 10, because fewer cannot tell two systems apart"
    assert short == "closed-1: turns of 0.001 s measure the scheduler: there is no verdict on latency"
    assert "3 rounds were raised to 10" in dry(folder) and "there is no verdict on latency" in dry(folder)
    notes = small.measure(folder, spec({**ALONE, "workers": 2}))[1].latency_notes
    assert not [note for note in notes if "disturbed" not in note]  # that this machine is busy may be true


def test_the_dry_run_says_where_seconds_do_not_suffice(folder: Path) -> None:
    small.write(folder, spec({"seconds": 15}))
    assert "at least 2 systems × 10 rounds × 1 s = 20 s, more than the 15 s asked for" in dry(folder)
    assert "a system's turn lasts at least 1 s and 20 queries" in dry(folder)
    small.write(folder, spec({"seconds": 20}))
    assert "more than" not in dry(folder)


def test_raw_samples_tell_their_round_and_what_each_encoder_took(folder: Path) -> None:
    made, result = small.measure(folder, spec(ALONE))
    table = pq.read_table(made / "timings.parquet")
    assert {"round", "counted", "disturbed", "repeated", "total_seconds", "encode_seconds.words"} <= set(
        table.column_names
    )
    rows = table.to_pylist()
    counted = [row for row in rows if row["counted"]]
    for name in ("bm25", "dense"):
        own = [row for row in counted if row["system"] == name]
        assert len({row["round"] for row in own}) == 10
        assert all((row["encode_seconds.words"] is None) is (name == "bm25") for row in own)
        assert all(row["phase"] == "measured" for row in own)
    (encoding,) = result.encoding
    dense = small.by_name(result)["dense"].latency
    assert dense is not None and dense.encoders == ["words"]
    assert (encoding.encoder, encoding.systems, encoding.latency) == ("words", ["dense"], dense.encode)
    assert sum(row["repeated"] for row in rows) == sum(row["round"] > 10 for row in rows)
