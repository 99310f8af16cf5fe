"""What raw samples come to, worked by hand: what is shared is shared, and each system answers for its own part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.experiment.file import LoadPoint
from bench.latency.figures import LoadFigures
from bench.latency.loops import COLUMNS
from bench.latency.samples import Samples

ALONE = LoadPoint()


def sampled(
    queries: Sequence[int], encoding: dict[str, Any], *, round: Any = 0, failed: Any = False, counts: Any = True,
    wait: float = 0.0, **stages: Any,
) -> Samples:  # fmt: skip
    """Samples with these seconds; a raw total that holds a wait. counts: by round."""
    n, turns = len(queries), int(np.max(round)) + 1
    seconds = np.full((n, len(COLUMNS)), np.nan)
    for name, values in stages.items():
        seconds[:, COLUMNS.index(name)] = values
    encodings = np.stack([np.broadcast_to(v, n) for v in encoding.values()], axis=1) if encoding else np.empty((n, 0))
    if encoding:
        seconds[:, COLUMNS.index("encode")] = encodings.sum(axis=1)
    seconds[:, COLUMNS.index("total")] = np.nansum(seconds, axis=1) + wait
    seconds[:, COLUMNS.index("wait")] = wait
    return Samples(
        seconds=seconds,
        encoding=encodings.astype(np.float64),
        query=np.array(queries, np.int32),
        phase=np.ones(n, np.int8),
        round=np.broadcast_to(np.asarray(round, np.int16), n).copy(),
        failed=np.broadcast_to(np.asarray(failed, np.bool_), n).copy(),
        overlap=np.ones(n),
        started=np.zeros(n),
        turn_round=np.arange(turns, dtype=np.int16),
        turn_seconds=np.ones(turns),
        processor_seconds=np.zeros(turns),
        others_share=np.full(turns, np.nan),
        generators=np.ones(turns, np.int16),
        memory_bytes=np.full(turns, np.nan),
        counts=np.broadcast_to(np.asarray(counts, np.bool_), turns).copy(),
        disturbed=np.zeros(turns, np.bool_),
        encoders=tuple(encoding),
        disturbances=(),
        measured_at="2026-01-01T00:00:00Z",
        taken_together="one",
    )


def test_two_systems_that_share_an_encoder_show_one_time_for_it() -> None:
    """One was encoded for while the machine was busy: 40 ms against 4."""
    twenty = [0] * 20
    found = LoadFigures(
        ALONE,
        {
            "plain": sampled(twenty, {"e": 0.040}, search=0.002),
            "reranked": sampled(twenty, {"e": 0.004}, search=0.002, rerank=0.010),
        },
        seed=0,
    )
    plain, reranked = found.latency("plain"), found.latency("reranked")
    assert plain.encode == reranked.encode and plain.encode is not None
    assert (plain.encode.samples, plain.encode.p50_ms) == (40, 4.0)  # the 20th of 20 times 4 and 20 times 40
    assert plain.own is not None and plain.own.p50_ms == pytest.approx(2)
    assert reranked.own is not None and reranked.own.p50_ms == pytest.approx(12)
    # Each of the 20 samples of a query is paired with another of its 40 encodings, the same ones for both systems.
    assert plain.total is not None and reranked.total is not None
    assert reranked.total.p50_ms == pytest.approx((plain.total.p50_ms or 0) + 10)
    (encoding,) = found.encodings()
    assert (encoding.encoder, encoding.load, encoding.systems) == ("e", "closed-1", ["plain", "reranked"])
    assert encoding.latency == plain.encode


def test_a_total_is_paired_by_query() -> None:
    """Query i takes i ms to encode, whoever asks, and 10·i ms to search: each total is 11·i ms."""
    queries = [1, 2, 3, 4, 5] * 4
    ms = np.array(queries) / 1000
    found = LoadFigures(
        ALONE, {"a": sampled(queries, {"e": ms}, search=10 * ms), "b": sampled(queries, {"e": ms}, search=0.0)}, seed=3
    )
    each = found.per_query("a")
    assert {query: seconds["total_seconds"] for query, seconds in each.items()} == pytest.approx(
        {query: 0.011 * query for query in (1, 2, 3, 4, 5)}
    )
    assert {query: seconds["encode_seconds"] for query, seconds in found.per_query("b").items()} == pytest.approx(
        {query: 0.001 * query for query in (1, 2, 3, 4, 5)}
    )


def test_all_encodings_of_a_query_are_used_in_turn() -> None:
    """One system encoded query 0 in 1 and 2 ms, the other in 3 and 4: over four samples each is used once."""
    found = LoadFigures(
        ALONE,
        {
            "two": sampled([0, 0], {"e": [0.001, 0.002]}, search=0.0),
            "four": sampled([0] * 4, {"e": [0.003, 0.004, 0.003, 0.004]}, search=0.0),
        },
        seed=0,
    )
    # Six in the pool; of four samples none uses one twice: a mean between that of the lowest and of the highest four.
    mean = found.per_query("four")[0]["encode_seconds"]
    assert 0.00225 <= mean <= 0.0035
    assert found.means("two")["total"] == pytest.approx(found.means("two")["encode"])


def test_a_query_that_only_failed_elsewhere_draws_from_all_encodings() -> None:
    found = LoadFigures(
        ALONE,
        {
            "a": sampled([0] * 20, {"e": 0.005}, search=0.001),
            "b": sampled([1] * 20, {"e": 0.005}, search=0.001, failed=[True] * 19 + [False]),
        },
        seed=0,
    )
    latency = found.latency("b")
    assert latency.failed == 19 and latency.total is not None and latency.total.samples == 1
    assert found.means("b")["total"] == pytest.approx(0.006)


def test_two_encoders_of_a_query_are_two_distributions() -> None:
    found = LoadFigures(
        ALONE,
        {
            "fused": sampled([0] * 20, {"e": 0.004, "f": 0.030}, search=0.002, fuse=0.001),
            "leg": sampled([0] * 20, {"f": 0.030}, search=0.002),
        },
        seed=0,
    )
    latency = found.latency("fused")
    assert latency.encoders == ["e", "f"]
    assert latency.encode is not None and latency.encode.p50_ms == pytest.approx(34)
    assert latency.own is not None and latency.own.p50_ms == pytest.approx(3)
    assert latency.total is not None and latency.total.p50_ms == pytest.approx(37)
    assert {one.encoder: (one.latency.p50_ms, one.systems) for one in found.encodings()} == {
        "e": (pytest.approx(4), ["fused"]), "f": (pytest.approx(30), ["fused", "leg"]),
    }  # fmt: skip


def test_what_needs_no_encoder_is_all_own() -> None:
    found = LoadFigures(ALONE, {"x": sampled(range(20), {}, search=0.003)}, seed=0)
    latency = found.latency("x")
    assert latency.encode is None and found.encodings() == []
    assert latency.own == latency.total and latency.total is not None and latency.total.p50_ms == 3.0


def test_the_pause_of_our_own_limiter_is_in_no_closed_total_and_the_wait_of_an_open_loop_is() -> None:
    samples = sampled([0] * 20, {"e": 0.004}, search=0.002, wait=0.5)
    closed = LoadFigures(ALONE, {"x": samples}, seed=0).latency("x")
    assert closed.total is not None and closed.total.p50_ms == pytest.approx(6)
    assert closed.wait is not None and closed.wait.p50_ms == pytest.approx(500)
    opened = LoadFigures(LoadPoint(mode="open", rate=1), {"x": samples}, seed=0).latency("x")
    assert opened.total is not None and (opened.total.p50_ms is None or opened.total.p50_ms == pytest.approx(506))
    assert opened.own is not None


def test_rounds_that_do_not_count_are_in_no_figure() -> None:
    queries, rounds = [0] * 40, [0] * 20 + [1] * 20
    search = np.where(np.array(rounds) == 0, 0.5, 0.002)
    found = LoadFigures(
        ALONE, {"x": sampled(queries, {"e": search}, round=rounds, counts=[False, True], search=search)}, seed=0
    )
    latency = found.latency("x")
    assert latency.rounds == 1
    assert latency.total is not None and (latency.total.samples, latency.total.p50_ms) == (20, pytest.approx(4))
    (encoding,) = found.encodings()
    assert encoding.latency.samples == 20
    assert found.rounds()["x"].rounds.tolist() == [1]


def test_figures_by_round_are_those_of_its_samples_alone() -> None:
    rounds = [0] * 100 + [1] * 20 + [2] * 4
    search = np.concatenate([np.arange(1, 101), np.full(20, 7.0), np.full(4, 9.0)]) / 1000
    found = LoadFigures(ALONE, {"x": sampled([0] * 124, {}, round=rounds, search=search)}, seed=0)
    figures = found.rounds()["x"]
    assert figures.own_p50 == pytest.approx([0.0505, 0.007, np.nan], nan_ok=True)  # 4 samples stand for no round
    assert figures.total_p95 == pytest.approx([0.095, np.nan, np.nan], nan_ok=True)  # under 100 there is none
    assert figures.means["own"] == pytest.approx([0.0505, 0.007, np.nan], nan_ok=True)


def test_the_pool_is_drawn_from_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    systems = {
        name: sampled(rng.integers(0, 9, 200).tolist(), {"e": rng.random(200)}, search=rng.random(200)) for name in "ab"
    }
    totals = [LoadFigures(ALONE, systems, seed=seed).latency("a").total for seed in (0, 0, 1)]
    assert totals[0] == totals[1] != totals[2]
