"""Computes the figures of systems under one load point from raw samples.

Encoding a query is one distribution per encoder, pooled over the systems that use it: what two systems share cannot
make one of them slower. A system's own part is searching, fusing and reranking. Of a closed loop the total is put
together from the two, by query; of an open loop it is the raw one, from the planned start, because waiting cannot be
put together from parts. Figures come from the rounds that count; everything else stays in the raw samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from bench.experiment.file import LoadPoint
from bench.latency import ingest
from bench.latency.loops import COLUMNS
from bench.latency.samples import Samples, saturated
from bench.latency.steps import STAGES
from bench.results.model import Encoding, Latency, StageLatency
from bench.statistics.arrays import Values
from bench.statistics.percentiles import MINIMUM_FOR_P95, percentiles

OWN = tuple(COLUMNS.index(stage) for stage in STAGES if stage != "encode")
FEWEST_IN_A_ROUND = 5  # the fewest samples whose median stands for a round; systems that bill have ten


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """A system's seconds by round, float64 (rounds,), NaN where the round gives none; the same rounds in the same order
    for all systems of a load point. total_p95: NaN for a round of fewer than 100 samples. means: by part of a query, as
    `LoadFigures.means` names them."""

    rounds: npt.NDArray[np.int16]
    disturbed: npt.NDArray[np.bool_]
    own_p50: Values
    total_p95: Values
    means: Mapping[str, Values]


@dataclass(slots=True)
class _Pool:
    """All encodings of queries by one encoder."""

    seconds: Values
    query: npt.NDArray[np.int32]
    systems: list[str] = field(default_factory=list)
    disturbed_rounds: int = 0

    def at(self, queries: npt.NDArray[np.int32], rng: np.random.Generator) -> Values:
        """One measured encoding for each of the queries. A query that was encoded several times gives all of its
        encodings in turn; a query that was never encoded gets one of any query. rng: draws the order."""
        order = rng.permutation(len(self.seconds))
        order = order[np.argsort(self.query[order], kind="stable")]
        known = self.query[order]
        first = np.searchsorted(known, queries, side="left")
        count = np.searchsorted(known, queries, side="right") - first
        chosen = np.where(count > 0, first + _occurrence(queries) % np.maximum(count, 1), 0)
        strangers = count == 0
        chosen[strangers] = rng.integers(0, max(1, len(order)), int(strangers.sum()))
        found: Values = self.seconds[order[chosen]] if len(order) else np.full(len(queries), np.nan)
        return found


def _occurrence(values: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """For each value, how many equal values come before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    found = np.empty(len(values), np.intp)
    found[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered, side="left")
    return found


class LoadFigures:
    """The figures of all systems under one load point, which share their encoders' time."""

    def __init__(self, load: LoadPoint, samples: Mapping[str, Samples], *, seed: int) -> None:
        self._load, self._samples, self._seed = load, samples, seed
        self._pools: dict[str, _Pool] = {}
        for encoder in dict.fromkeys(name for one in samples.values() for name in one.encoders):
            users = {name: one for name, one in samples.items() if encoder in one.encoders}
            chosen = [(one, one.answered) for one in users.values()]
            self._pools[encoder] = _Pool(
                np.concatenate([one.encoding[rows, one.encoders.index(encoder)] for one, rows in chosen]),
                np.concatenate([one.query[rows] for one, rows in chosen]),
                list(users),
                max(int((one.disturbed & one.counts).sum()) for one, _ in chosen),
            )
        self._parts = cache(self._parts_of)

    def latency(self, name: str, *, reused: bool = False, written: ingest.Written | None = None) -> Latency:
        """Of one system. Percentiles are null where the load could not be kept up (saturated)."""
        load, samples = self._load, self._samples[name]
        chosen = samples.answered
        achieved, overrun = saturated(load, samples)
        turns = samples.counts
        wall = float(samples.turn_seconds[turns].sum())

        def stage(seconds: Values) -> StageLatency | None:
            return None if np.isnan(seconds).all() else stage_latency(seconds, known=not overrun)

        parts = self._parts(name)
        pool = self._pools[samples.encoders[0]].seconds if len(samples.encoders) == 1 else parts["encode"]
        return Latency(
            load=load.label,
            mode=load.mode,
            workers=load.workers if load.mode == "closed" else None,
            rate=load.rate if load.mode == "open" else None,
            measured_at=samples.measured_at,
            reused=reused,
            distinct_queries=len(np.unique(samples.query[chosen])),
            agreement=float(samples.overlap[chosen].mean()) if chosen.any() and load.ingest is None else None,
            failed=int((samples.counted & samples.failed).sum()),
            achieved_per_second=achieved,
            saturated=overrun,
            processes=int(samples.generators.max(initial=1)),
            ingest=None if written is None or load.ingest is None else written.summary(load.ingest),
            client_share=float(samples.processor_seconds[turns].sum()) / wall if wall else None,
            others_share=_others_share(samples),
            rounds=int(turns.sum()),
            disturbed_rounds=int((turns & samples.disturbed).sum()),
            disturbances=list(samples.disturbances),
            turn_seconds=load.turn_seconds if load.alone else None,
            encoders=list(samples.encoders),
            own=stage(parts["own"]),
            wait=stage(parts["wait"]),
            encode=stage(pool),
            search=stage(parts["search"]),
            fuse=stage(parts["fuse"]),
            rerank=stage(parts["rerank"]),
            total=stage(parts["total"]),
        )

    def encodings(self) -> list[Encoding]:
        """The times of each encoder."""
        return [
            Encoding(
                encoder=name,
                load=self._load.label,
                latency=stage_latency(pool.seconds),
                systems=pool.systems,
                disturbed_rounds=pool.disturbed_rounds,
            )
            for name, pool in self._pools.items()
            if len(pool.seconds)
        ]

    def means(self, name: str) -> dict[str, float]:
        """Mean seconds per query by stage, own part and total, and `encode NAME` of each encoder; what the system does
        not have is left out."""
        return {part: float(np.nanmean(s)) for part, s in self._parts(name).items() if not np.isnan(s).all()}

    def per_query(self, name: str) -> dict[int, dict[str, float]]:
        """The same by query position."""
        samples, parts = self._samples[name], self._parts(name)
        query = samples.query[samples.answered]
        found: dict[int, dict[str, float]] = {}
        for position in np.unique(query).tolist():
            here = query == position
            found[position] = {
                f"{part}_seconds": float(np.nanmean(seconds[here]))
                for part, seconds in parts.items()
                if not np.isnan(seconds[here]).all()
            }
        return found

    def rounds(self) -> dict[str, RoundFigures]:
        """The figures by round, of the rounds that count for any of the systems."""
        numbers = np.unique(np.concatenate([one.turn_round[one.counts] for one in self._samples.values()]))
        return {name: self._of_rounds(name, numbers) for name in self._samples}

    def _of_rounds(self, name: str, numbers: npt.NDArray[np.int16]) -> RoundFigures:
        samples, parts = self._samples[name], self._parts(name)
        place = samples.round[samples.answered]
        own_p50, total_p95 = list[float](), list[float]()
        means: dict[str, list[float]] = {part: [] for part, seconds in parts.items() if not np.isnan(seconds).all()}
        for number in numbers.tolist():
            here = place == number
            own, total, enough = parts["own"][here], parts["total"][here], here.sum() >= FEWEST_IN_A_ROUND
            own_p50.append(float(np.median(own)) if enough else np.nan)
            p95 = np.quantile(total, 0.95, method="inverted_cdf") if len(total) >= MINIMUM_FOR_P95 else np.nan
            total_p95.append(float(p95))
            for part, values in means.items():
                values.append(float(np.nanmean(parts[part][here])) if enough else np.nan)
        disturbed = np.isin(numbers, samples.turn_round[samples.disturbed])
        shown = {part: np.array(values, np.float64) for part, values in means.items()}
        return RoundFigures(numbers, disturbed, np.array(own_p50), np.array(total_p95), shown)

    def _parts_of(self, name: str) -> dict[str, Values]:
        """Seconds of every answered sample: stages, own part and total; NaN for what the system does not have."""
        samples = self._samples[name]
        rows = samples.answered
        found = {column: samples.of(column)[rows] for column in COLUMNS}
        own = samples.seconds[rows][:, OWN]
        found["own"] = np.where(np.isnan(own).all(axis=1), np.nan, np.nansum(own, axis=1))
        if samples.encoders:
            rng = np.random.default_rng([self._seed, 11])
            drawn = [self._pools[encoder].at(samples.query[rows], rng) for encoder in samples.encoders]
            found["encode"] = np.sum(drawn, axis=0)
            found |= {f"encode {encoder}": each for encoder, each in zip(samples.encoders, drawn, strict=True)}
        if self._load.mode == "closed":
            found["total"] = found["own"] + (found["encode"] if samples.encoders else 0.0)
        return found


def stage_latency(seconds: Values, *, known: bool = True) -> StageLatency:
    """Percentiles of durations. known: whether they may be shown."""
    found = percentiles(seconds)
    if not known:
        return StageLatency(p50_ms=None, p95_ms=None, p99_ms=None, samples=found.samples)
    return StageLatency(p50_ms=found.p50_ms, p95_ms=found.p95_ms, p99_ms=found.p99_ms, samples=found.samples)


def _others_share(samples: Samples) -> float | None:
    """The share of the machine's processors that other programs took, over the turns for which it is known."""
    known = samples.counts & ~np.isnan(samples.others_share)
    if not known.any():
        return None
    return float(np.average(samples.others_share[known], weights=samples.turn_seconds[known]))
