"""The latency pass: percentiles that carry n, turns that interleave, an open loop in which a stall is felt."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import AdapterTimeout, AdapterUnavailable, Event, Warned
from bench.experiment.file import LoadPoint
from bench.latency.disturbance import Observed, Sighting
from bench.latency.figures import LoadFigures
from bench.latency.loops import COLUMNS, Assignment, Least
from bench.latency.samples import Samples, saturated
from bench.latency.steps import State, Step
from bench.latency.turns import WARM_UP_FIRST, Subject, measure
from bench.results.model import Latency
from bench.statistics.percentiles import percentiles
from tests import small

TOTAL, WAIT, SEARCH = (COLUMNS.index(name) for name in ("total", "wait", "search"))
QUERIES = 40
ROUNDS, IN_A_TURN = 10, 20  # of one worker, at least
SHORT = {"turn_seconds": 1e-6}  # a turn of one worker lasts its 20 queries, or its share of the samples


class Worker:
    """A system with one stage; calls tells how often any worker of it was asked."""

    encoders = ()

    def __init__(self, search: Callable[[int], None], told: list[tuple[str, int]], name: str = "x") -> None:
        self.name = name
        self._told = told
        self._search = search
        self.steps = (Step(None, lambda state: None), Step("search", self._step))

    def _step(self, state: State) -> None:
        self._told.append((self.name, state.query))
        self._search(state.query)

    def configure(self) -> None:
        self._told.append((self.name, -1))

    def start(self, query: int) -> State:
        return State(query)

    def answer(self, state: State) -> Any:
        return np.array([state.query, state.query + 1], np.int32)

    def close(self) -> None:
        self._told.append((self.name, -2))


EXPECTED = np.stack([np.arange(QUERIES), np.arange(QUERIES) + 1], axis=1).astype(np.int32)


def subject(
    search: Callable[[int], None], samples: int, *, told: list[tuple[str, int]] | None = None, name: str = "x",
    expected: Any = EXPECTED,
) -> Subject:  # fmt: skip
    record: list[tuple[str, int]] = [] if told is None else told
    return Subject(name, lambda: Worker(search, record, name), expected, samples)  # type: ignore[arg-type,return-value]


def quiet(event: Event) -> None:
    pass


class Told:
    """Watches nothing: what disturbed each turn is told beforehand, a reason or none, in the order of the turns."""

    def __init__(self, reasons: Sequence[str | None] = ()) -> None:
        self._reasons = iter(reasons)
        self._known: dict[Observed, str | None] = {}

    @contextmanager
    def turn(self, others: Sequence[int] | None) -> Iterator[Sighting]:
        sighting = Sighting(Observed(standstill=float(len(self._known))))
        self._known[sighting.observed] = next(self._reasons, None)
        yield sighting

    def reasons(self, observed: Observed) -> list[str]:
        reason = self._known[observed]
        return [] if reason is None else [reason]

    def close(self) -> None:
        self._known.clear()


def all_taken(load: LoadPoint, subjects: Sequence[Subject], *, seed: int = 1, **keys: Any) -> dict[str, Samples]:
    return measure(load, subjects, seed=seed, **{"emit": quiet, "watch": Told, **keys})


def taken(load: LoadPoint, search: Callable[[int], None], samples: int, **keys: Any) -> Samples:
    return all_taken(load, [subject(search, samples, **keys)])["x"]


def summary(load: LoadPoint, samples: Samples) -> Latency:
    return LoadFigures(load, {"x": samples}, seed=0).latency("x")


# -- percentiles ---------------------------------------------------------------------------------------------------


def test_percentiles_are_nearest_ranks() -> None:
    # 1,000 values .001 .. 1 s: p50 is the 500th, p95 the 950th, p99 the 990th
    found = percentiles(np.arange(1000, 0, -1) / 1000.0)
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.samples) == (500.0, 950.0, 990.0, 1000)
    # 21 values: ceil(.5 · 21) = 11
    assert percentiles(np.arange(1, 22) / 1000.0).p50_ms == 11.0


@pytest.mark.parametrize(
    ("samples", "known"), [(1, 0), (19, 0), (20, 1), (99, 1), (100, 2), (999, 2), (1000, 3), (5000, 3)]
)
def test_no_percentile_without_its_support(samples: int, known: int) -> None:
    found = percentiles(np.full(samples, 0.004))
    values = (found.p50_ms, found.p95_ms, found.p99_ms)
    assert values == (4.0,) * known + (None,) * (3 - known)
    assert found.samples == samples


def test_what_was_not_measured_does_not_count() -> None:
    found = percentiles(np.array([np.nan, *[0.002] * 20, np.nan]))
    assert (found.p50_ms, found.samples) == (2.0, 20)
    assert percentiles(np.array([np.nan, *[0.002] * 19])).p50_ms is None
    assert percentiles(np.array([np.nan])).p50_ms is None


@given(st.lists(st.floats(0, 10), min_size=100, max_size=120))
def test_a_percentile_is_a_value_that_was_seen(values: list[float]) -> None:
    found = percentiles(np.array(values))
    assert found.p50_ms in {value * 1000.0 for value in values}
    assert (found.p50_ms or 0.0) <= (found.p95_ms or 0.0)


# -- turns ---------------------------------------------------------------------------------------------------------


def test_warm_up_is_kept_apart_and_in_no_percentile() -> None:
    calls = 0

    def slow_at_first(query: int) -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.02 if calls <= WARM_UP_FIRST else 0.0)

    load = LoadPoint(samples=30, **SHORT)
    samples = taken(load, slow_at_first, 30)
    assert int(samples.measured.sum()) == ROUNDS * IN_A_TURN
    assert int((~samples.measured).sum()) == 10 + 9 * 2  # ten before the first round, two before each further one
    assert samples.seconds[~samples.measured][:WARM_UP_FIRST, SEARCH].min() >= 0.02
    latency = summary(load, samples)
    measured = percentiles(samples.seconds[samples.measured, SEARCH])
    assert latency.search is not None and measured.samples == latency.search.samples == ROUNDS * IN_A_TURN
    assert (latency.search.p50_ms, latency.search.p95_ms) == (measured.p50_ms, measured.p95_ms)
    assert latency.encode is None and latency.fuse is None


def test_each_round_has_a_turn_of_every_system_in_an_order_drawn_anew() -> None:
    names = ["a", "b", "c"]

    def orders(seed: int) -> list[list[str]]:
        told: list[tuple[str, int]] = []
        subjects = [subject(lambda query: None, 9, told=told, name=name) for name in names]
        found = all_taken(LoadPoint(samples=9, **SHORT), subjects, seed=seed)
        assert all(np.bincount(one.round[one.measured]).tolist() == [IN_A_TURN] * ROUNDS for one in found.values())
        assert [name for name, query in told if query == -2] == names  # closed
        turns = [name for name, query in told if query == -1]
        return [turns[i : i + 3] for i in range(0, len(turns), 3)]

    first = orders(1)
    assert len(first) == ROUNDS and all(sorted(order) == names for order in first)
    assert len({tuple(order) for order in first}) > 2
    assert orders(1) == first and orders(2) != first


@pytest.mark.parametrize("load", [LoadPoint(rounds=3, **SHORT), LoadPoint(rounds=10, **SHORT), LoadPoint(**SHORT)])
def test_one_worker_has_at_least_ten_rounds(load: LoadPoint) -> None:
    assert load.planned_rounds == len(taken(load, lambda query: None, 5).turn_seconds) == 10
    assert LoadPoint(rounds=12).planned_rounds == 12


def test_open_loops_many_workers_and_writing_keep_three_long_turns() -> None:
    for keys in ({"mode": "open", "rate": 50}, {"workers": 2}, {"ingest": {"rows_per_second": 5}}):
        load = LoadPoint.model_validate(keys)
        assert (load.planned_rounds, load.alone) == (3, False)
        assert LoadPoint.model_validate({**keys, "rounds": 5}).planned_rounds == 5


def test_a_turn_of_one_worker_lasts_its_least_seconds_its_queries_and_its_share_of_the_samples() -> None:
    turn = Assignment(0, [], None, 3.0, least=Least(1.0, 20), wanted=50)
    ends = [(0.9, 1000), (1.0, 19), (1.0, 49), (2.9, 49), (1.0, 50), (3.0, 20), (9.0, 19)]  # seconds, queries sent
    assert [turn.over(seconds, sent, 0) for seconds, sent in ends] == [False, False, False, False, True, True, False]
    # Where most queries fail nothing is gained by waiting for twenty of them.
    assert turn.over(3.0, 4, 3) and not turn.over(3.0, 4, 2)


def test_a_turn_of_one_worker_is_no_shorter_than_asked() -> None:
    load = LoadPoint(samples=1, seconds=0.001, turn_seconds=0.03)
    samples = taken(load, lambda query: None, 1)
    assert samples.turn_seconds.min() >= 0.03
    assert np.bincount(samples.round[samples.measured]).min() >= IN_A_TURN


def test_what_costs_money_is_asked_no_more_than_its_samples_and_warms_up_once() -> None:
    for samples, shares in ((25, [3, 2, 3, 2, 3, 2, 3, 2, 3, 2]), (4, [1, 0, 1, 0, 0, 1, 0, 1, 0, 0])):
        told: list[tuple[str, int]] = []
        bills = replace(subject(lambda query: None, samples, told=told, name="bills"), capped=True)
        free = subject(lambda query: None, samples, name="free")
        found = all_taken(LoadPoint(samples=samples, turn_seconds=1e-6), [bills, free])
        asked = found["bills"].round[found["bills"].measured]
        assert np.bincount(asked, minlength=ROUNDS).tolist() == shares  # ceil(n (r + 1) / 10) - ceil(n r / 10)
        assert len([query for _, query in told if query >= 0]) == samples + WARM_UP_FIRST
        assert int(found["free"].measured.sum()) == ROUNDS * IN_A_TURN


def test_every_system_is_asked_the_same_queries_in_the_same_order() -> None:
    subjects = [subject(lambda query: None, 500, name=name) for name in "ab"]
    found = all_taken(LoadPoint(samples=500, **SHORT), subjects, seed=3)
    asked = [found[name].query[found[name].measured].tolist() for name in "ab"]
    assert asked[0] == asked[1]


def test_a_shuffle_holds_every_query_once() -> None:
    samples = taken(LoadPoint(samples=ROUNDS * QUERIES, **SHORT), lambda query: None, ROUNDS * QUERIES)
    orders = [samples.query[samples.measured & (samples.round == turn)].tolist() for turn in range(ROUNDS)]
    assert all(sorted(asked) == list(range(QUERIES)) for asked in orders)
    assert len({tuple(asked) for asked in orders}) == ROUNDS


def test_time_ends_a_turn_when_samples_do_not() -> None:
    load = LoadPoint(samples=100_000, seconds=2, **SHORT)
    samples = taken(load, lambda query: time.sleep(0.005), 100_000)
    # .2 s for a turn / 5 ms, and one under way at its end
    assert IN_A_TURN <= np.bincount(samples.round[samples.measured]).max() <= 41


@pytest.mark.parametrize("own", [True, False])
def test_garbage_is_not_looked_for_in_what_is_loaded_and_what_a_program_froze_itself_stays_frozen(own: bool) -> None:
    frozen: set[bool] = set()

    def seen(query: int) -> None:
        if query == 0:  # the count takes long
            frozen.add(gc.get_freeze_count() > 0)

    gc.unfreeze()
    if own:
        gc.freeze()
    try:
        taken(LoadPoint(samples=20, **SHORT), seen, 20)
        assert True in frozen and (False in frozen) <= (not own)  # not while it warms up
        assert (gc.get_freeze_count() > 0) == own
    finally:
        gc.freeze()  # as tests/conftest.py leaves it


def test_a_failing_query_is_counted_and_not_timed() -> None:
    def fails(query: int) -> None:
        if query == 7:
            raise AdapterTimeout("no answer")

    load = LoadPoint(samples=ROUNDS * QUERIES, **SHORT)
    latency = summary(load, taken(load, fails, ROUNDS * QUERIES))
    assert latency.failed == ROUNDS  # once in each round's shuffle
    assert latency.total is not None and latency.total.samples == ROUNDS * QUERIES - ROUNDS
    assert latency.distinct_queries == QUERIES - 1


def test_agreement_is_the_share_of_the_judged_ranking_found_again() -> None:
    load = LoadPoint(samples=QUERIES, **SHORT)
    same = summary(load, taken(load, lambda query: None, QUERIES))
    assert same.agreement == 1.0
    other = EXPECTED.copy()
    other[:, 1] = 1000
    half = summary(load, taken(load, lambda query: None, QUERIES, expected=other))
    assert half.agreement == 0.5


def test_many_workers_share_the_samples_and_ask_at_the_same_time() -> None:
    calls, under_way, all_four = itertools.count(), itertools.count(1), threading.Event()

    def waits_for_the_others(query: int) -> None:
        if next(calls) < WARM_UP_FIRST:
            return  # one worker warms up
        if next(under_way) == 4:
            all_four.set()
        assert all_four.wait(30)

    samples = taken(LoadPoint(samples=60, workers=4), waits_for_the_others, 60)
    assert int(samples.measured.sum()) == 60 and not samples.failed.any()


# -- what goes away ------------------------------------------------------------------------------------------------


def gone(query: int) -> None:
    raise AdapterUnavailable("nobody listens")


@pytest.mark.parametrize("load", [LoadPoint(workers=4), LoadPoint(mode="open", rate=400, max_in_flight=4)])
def test_a_system_whose_server_stays_away_gets_three_queries_from_each_worker_and_no_further_turn(
    load: LoadPoint,
) -> None:
    asked = itertools.count()

    def goes_away(query: int) -> None:
        if next(asked) >= 50:
            gone(query)
        time.sleep(0.001)

    events: list[Event] = []
    subjects = [subject(goes_away, 600, name="mortal"), subject(lambda query: None, 90, name="other")]
    found = all_taken(load, subjects, emit=events.append)
    mortal, other = found["mortal"], found["other"]
    assert mortal.cut_off == f"its latency under {load.label} ended in round 1 of 3: nobody listens"
    assert [event for event in events if isinstance(event, Warned)] == [Warned("mortal", mortal.cut_off)]
    assert int((~mortal.failed).sum()) == 50 and 3 <= int(mortal.failed.sum()) <= 12
    assert other.cut_off is None and int(other.measured.sum()) == 90


def test_a_server_that_is_away_for_two_queries_fails_those_and_is_measured_on() -> None:
    asked = 0

    def busy_twice_in_ten(query: int) -> None:
        nonlocal asked
        asked += 1
        if asked % 10 < 2:
            gone(query)

    samples = taken(LoadPoint(samples=90, **SHORT), busy_twice_in_ten, 90)
    assert samples.cut_off is None
    # 200 measured and 28 to warm up: of the numbers 1 to 228, 22 end in 0 and 23 in 1
    assert (len(samples.failed), int(samples.failed.sum())) == (228, 45)


def test_a_system_that_cannot_be_warmed_up_opened_or_set_up_leaves_the_turns_to_the_others() -> None:
    class Unsettled(Worker):
        def configure(self) -> None:
            gone(0)

    def closed() -> Any:
        gone(0)

    load = LoadPoint(samples=9, **SHORT)
    unsettled = Subject("unsettled", lambda: Unsettled(lambda query: None, []), EXPECTED, 9)  # type: ignore[arg-type,return-value]
    subjects = [subject(gone, 9, name="cold"), Subject("closed", closed, EXPECTED, 9), unsettled]
    found = all_taken(load, [*subjects, subject(lambda query: None, 9, name="other")])
    for name in ("cold", "closed", "unsettled"):
        assert found[name].cut_off == "its latency under closed-1 was not measured: nobody listens"
        assert not found[name].measured.any()
        assert summary(load, found[name]).total is None
    assert (int(found["cold"].failed.sum()), len(found["closed"].query)) == (3, 0)
    assert int(found["other"].measured.sum()) == ROUNDS * IN_A_TURN


# -- open and closed loops -----------------------------------------------------------------------------------------


class Stalling:
    """Answers in a millisecond, but once stands still for half a second."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, query: int) -> None:
        self.left -= 1
        time.sleep(0.5 if self.left == 0 else 0.001)


def test_a_stall_is_felt_by_one_query_in_a_closed_loop_and_by_all_who_wait_in_an_open_one() -> None:
    n = 300
    shut = taken(LoadPoint(samples=n, seconds=60, **SHORT), Stalling(after=50), n)
    for turn in range(ROUNDS):  # a worker's queries follow one another: none holds time of another
        assert shut.seconds[shut.measured & (shut.round == turn), TOTAL].sum() <= shut.turn_seconds[turn]
    assert shut.seconds[shut.measured, TOTAL].max() >= 0.5

    # One query under way at a time, 100 a second: some 50 queries are planned to start during the stall.
    load = LoadPoint(mode="open", rate=100, samples=n, seconds=60, arrivals="constant", max_in_flight=1)
    opened = taken(load, Stalling(after=50), n)
    first = opened.measured & (opened.round == 0)
    started, total, wait = opened.started[first], opened.seconds[first, TOTAL], opened.seconds[first, WAIT]
    stalled = int(opened.seconds[first, SEARCH].argmax())
    over = started[stalled] + total[stalled]  # when the stalled query was answered
    behind = (started > started[stalled]) & (started < over)
    assert int(behind.sum()) >= 49
    # What they lost is waiting, and it is counted from when each was planned to start.
    assert (wait[behind] >= over - started[behind] - 1e-6).all() and (total >= wait).all()


def test_one_stall_of_a_store_shows_in_the_99th_percentile_of_an_open_loop_and_not_of_a_closed_one(
    tmp_path: Path,
) -> None:
    small.vectors(tmp_path / "data", documents=50, queries=40)
    loads = [
        {"name": "closed", "samples": 1000, "seconds": 60, **SHORT},
        {"name": "open", "mode": "open", "rate": 200, "samples": 1000, "seconds": 60, "max_in_flight": 1},
    ]
    plan = small.spec(
        [{"name": "x", "encoder": "given", "store": "slow"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={"slow": {"adapter": "slow", "query": {"stall_after": 500, "stall_seconds": 0.5}}},
        measures=["ANN@10"],
        latency=loads,
    )
    site = tmp_path / "site"
    site.mkdir()
    with small.installed(site):
        folder, _ = small.measure(tmp_path, plan)
    rows = pq.read_table(folder / "timings.parquet").to_pylist()
    p99 = {}
    for load in ("closed", "open"):
        seconds = [row["total_seconds"] for row in rows if (row["load"], row["phase"]) == (load, "measured")]
        assert len(seconds) >= 1000 and max(seconds) >= 0.5
        p99[load] = percentiles(np.array(seconds)).p99_ms
    assert (p99["closed"] or 0.0) < 300 < (p99["open"] or 0.0)


def schedule(samples: Samples, turn: int) -> Any:
    """Planned starts of the measured queries of a turn, in seconds."""
    return np.sort(samples.started[samples.measured & (samples.round == turn)])


def test_time_runs_from_the_planned_start() -> None:
    load = LoadPoint(mode="open", rate=50, samples=30, arrivals="constant", max_in_flight=1)
    samples = taken(load, lambda query: time.sleep(0.001), 30)
    for turn in range(3):
        assert np.allclose(schedule(samples, turn), np.arange(10) / 50 + schedule(samples, turn)[0], atol=1e-9)
    total, wait = samples.seconds[samples.measured, TOTAL], samples.seconds[samples.measured, WAIT]
    assert (total >= wait).all()


def test_a_schedule_is_the_same_for_every_system() -> None:
    load = LoadPoint(mode="open", rate=400, samples=60)
    subjects = [subject(lambda query: None, 60, name=name) for name in "ab"]
    found = all_taken(load, subjects, seed=5)
    for turn in range(3):
        assert np.allclose(schedule(found["a"], turn), schedule(found["b"], turn), atol=1e-9)


# -- what an open loop comes to, reckoned from given times: no machine is fast or idle enough for such laws ---------


def answered(load: LoadPoint, wait: Any, search: Any, failed: Any = False) -> Samples:
    """Samples of three turns whose queries start at the load's rate. wait, search: seconds by query of a turn."""
    n, turns = (load.samples or 0) // 3, 3
    assert load.rate is not None
    seconds = np.full((n, len(COLUMNS)), np.nan)
    seconds[:, WAIT], seconds[:, SEARCH] = wait, search
    seconds[:, TOTAL] = seconds[:, WAIT] + seconds[:, SEARCH]
    planned = np.arange(n) / load.rate
    each = np.full(turns, (planned + seconds[:, TOTAL]).max())
    return Samples(
        seconds=np.tile(seconds, (turns, 1)),
        encoding=np.empty((turns * n, 0)),
        query=np.tile(np.arange(n, dtype=np.int32), turns),
        phase=np.ones(turns * n, np.int8),
        round=np.repeat(np.arange(turns, dtype=np.int16), n),
        failed=np.tile(np.broadcast_to(np.asarray(failed, np.bool_), n), turns),
        overlap=np.ones(turns * n),
        started=np.tile(planned, turns),
        turn_round=np.arange(turns, dtype=np.int16),
        turn_seconds=each,
        processor_seconds=each * 0.1,
        others_share=each * 0,
        generators=np.ones(turns, np.int16),
        memory_bytes=np.full(turns, np.nan),
        counts=np.ones(turns, np.bool_),
        disturbed=np.zeros(turns, np.bool_),
        encoders=(),
        disturbances=(),
        measured_at="2026-01-01T00:00:00Z",
        taken_together="one",
    )


def in_turn(rate: float, seconds: float, n: int) -> Any:
    """How long each of n queries waits for those before it, where one at a time is answered in so many seconds."""
    return np.arange(n) * max(0.0, seconds - 1 / rate)


def test_a_load_that_is_kept_up_is_not_saturated() -> None:
    load = LoadPoint(mode="open", rate=40, samples=60, arrivals="constant")
    latency = summary(load, answered(load, 0.0, 0.001))
    assert not latency.saturated
    assert latency.achieved_per_second == pytest.approx(40)
    assert latency.total is not None and latency.total.p50_ms == pytest.approx(1)


def test_a_latency_that_stays_as_it_is_costs_no_rate() -> None:
    load = LoadPoint(mode="open", rate=50, samples=150, arrivals="constant")
    latency = summary(load, answered(load, 0.0, 0.12))
    assert not latency.saturated
    assert latency.achieved_per_second == pytest.approx(50)


def test_a_load_that_cannot_be_kept_up_is_saturated_and_has_no_percentiles() -> None:
    load = LoadPoint(mode="open", rate=400, samples=300, arrivals="constant", max_in_flight=1)
    latency = summary(load, answered(load, in_turn(400, 0.01, 100), 0.01))
    assert latency.saturated
    # The medians of the first and the last tenth lie 90 queries apart, each of which adds 7.5 ms.
    assert latency.achieved_per_second == pytest.approx(100 / (100 / 400 + 90 * 0.0075))
    assert latency.total is not None and latency.total.p50_ms is None and latency.total.p95_ms is None
    assert latency.total.samples == 300


def test_a_backlog_within_the_service_is_one_too() -> None:
    """No query waits to be sent, and each is answered later than the one before."""
    load = LoadPoint(mode="open", rate=100, samples=300, arrivals="constant", max_in_flight=128)
    latency = summary(load, answered(load, 0.0, 0.02 + in_turn(100, 0.02, 100)))
    assert latency.saturated
    assert latency.achieved_per_second == pytest.approx(100 / (1 + 90 * 0.01))


def test_what_failed_was_not_achieved() -> None:
    load = LoadPoint(mode="open", rate=100, samples=120, arrivals="constant", max_in_flight=1)
    latency = summary(load, answered(load, 0.0, 0.001, failed=np.arange(40) % 2 == 1))
    assert latency.failed == 60
    assert latency.achieved_per_second == pytest.approx(50)
    assert latency.saturated


def test_a_load_beyond_what_is_served_is_sent_and_told() -> None:
    load = LoadPoint(mode="open", rate=400, samples=120, arrivals="constant", max_in_flight=1)
    latency = summary(load, taken(load, lambda query: time.sleep(0.01), 120))
    assert latency.saturated and latency.achieved_per_second < 0.97 * 400
    assert latency.total is not None and latency.total.samples > 0


def test_as_many_queries_are_under_way_as_the_load_allows() -> None:
    calls, under_way, all_there = itertools.count(), itertools.count(1), threading.Event()

    def waits_for_the_others(query: int) -> None:
        if next(calls) < WARM_UP_FIRST:
            return
        if next(under_way) == 100:
            all_there.set()
        assert all_there.wait(30)

    load = LoadPoint(mode="open", rate=2000, samples=300, arrivals="constant", max_in_flight=100)
    samples = taken(load, waits_for_the_others, 300)
    assert int(samples.measured.sum()) == 300 and not samples.failed.any()


def test_a_closed_loop_is_never_saturated() -> None:
    load = LoadPoint(samples=30, **SHORT)
    assert saturated(load, taken(load, lambda query: time.sleep(0.001), 30))[1] is False


# -- what is disturbed ---------------------------------------------------------------------------------------------


def disturbed_in(load: LoadPoint, rounds: Sequence[int], *, again: int = 0, **keys: Any) -> dict[str, Samples]:
    """Two systems whose second turn of these rounds is disturbed, and of so many rounds that follow."""
    reasons = [None if turn % 2 == 0 or turn // 2 not in rounds else "a neighbour" for turn in range(20)]
    reasons += [None if turn % 2 == 0 else "a neighbour" for turn in range(2 * again)]
    subjects = [replace(subject(lambda query: None, 5, name=name), **keys.get(name, {})) for name in "ab"]
    return all_taken(load, subjects, watch=lambda: Told(reasons))


def test_a_disturbed_round_is_taken_again_by_all_while_time_is_left() -> None:
    for one in disturbed_in(LoadPoint(samples=5, **SHORT), [2, 7]).values():
        assert one.turn_round.tolist() == list(range(12))
        assert np.flatnonzero(one.disturbed).tolist() == [2, 7]
        assert one.turn_round[one.counts].tolist() == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
        assert int(one.measured.sum()) == 12 * IN_A_TURN  # nothing is thrown away
        latency = summary(LoadPoint(**SHORT), one)
        assert (latency.rounds, latency.disturbed_rounds, latency.disturbances) == (10, 0, [])
        assert latency.total is not None and latency.total.samples == 10 * IN_A_TURN


def test_what_is_still_disturbed_when_time_is_over_counts_and_is_marked() -> None:
    for one in disturbed_in(LoadPoint(samples=5, seconds=1e-9, **SHORT), [2, 7]).values():
        assert one.turn_round[one.counts].tolist() == list(range(10))
        latency = summary(LoadPoint(**SHORT), one)
        assert (latency.rounds, latency.disturbed_rounds) == (10, 2)
        assert latency.disturbances == ["round 3: a neighbour", "round 8: a neighbour"]


def test_rounds_are_at_most_doubled() -> None:
    for one in disturbed_in(LoadPoint(samples=5, **SHORT), range(10), again=50).values():
        assert len(one.turn_round) == 20
        assert one.turn_round[one.counts].tolist() == list(range(10))  # the first of the disturbed ones
        assert summary(LoadPoint(**SHORT), one).disturbed_rounds == 10


def test_what_costs_money_takes_no_round_again_and_its_disturbed_one_is_marked() -> None:
    found = disturbed_in(LoadPoint(samples=100, **SHORT), [2], a={"capped": True, "samples": 100})
    assert int(found["a"].measured.sum()) == 100 and found["a"].counts.all() and len(found["a"].counts) == 10
    figures = LoadFigures(LoadPoint(**SHORT), found, seed=0)
    assert [figures.latency(name).disturbed_rounds for name in "ab"] == [1, 0]
    rounds = figures.rounds()
    assert rounds["a"].rounds.tolist() == rounds["b"].rounds.tolist() == list(range(11))
    assert np.flatnonzero(np.isnan(rounds["a"].own_p50)).tolist() == [10]
    assert np.flatnonzero(np.isnan(rounds["b"].own_p50)).tolist() == [2]
    assert np.flatnonzero(rounds["b"].disturbed).tolist() == [2]


def test_rows_are_written_once_so_that_no_round_of_theirs_is_taken_again() -> None:
    load = LoadPoint.model_validate({"samples": 9, "ingest": {"rows_per_second": 5}})
    one = all_taken(load, [subject(lambda query: None, 9)], watch=lambda: Told(["a neighbour"]))["x"]
    assert one.turn_round[one.counts].tolist() == [0, 1, 2] and one.disturbed.tolist() == [True, False, False]


def test_a_disturbed_round_of_an_open_loop_is_taken_again_too() -> None:
    load = LoadPoint(mode="open", rate=1000, samples=30, arrivals="constant")
    one = all_taken(load, [subject(lambda query: None, 30)], watch=lambda: Told(["a neighbour"]))["x"]
    assert one.turn_round[one.counts].tolist() == [1, 2, 3]
    assert summary(load, one).achieved_per_second == pytest.approx(1000, rel=0.5)


def test_a_round_is_not_disturbed_by_a_stall_of_what_is_measured() -> None:
    samples = measure(
        LoadPoint(samples=5, seconds=1e-9, **SHORT),
        [subject(Stalling(after=60), 5)], seed=1, emit=quiet,
    )["x"]  # fmt: skip
    assert samples.seconds[samples.counted, SEARCH].max() >= 0.5  # whoever else was busy
    assert not any("stood still" in reason for reason in samples.disturbances)
