"""What a result holds of times: percentiles by stage, verdicts, and rows that were written meanwhile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.results.fields import Fields, Interval
from bench.statistics.latency_verdicts import LatencyVerdict


class StageLatency(Fields):
    """Nearest-rank percentiles of one stage, in milliseconds."""

    p50_ms: float | None = Field(description="Median in milliseconds; null under 20 samples.")
    p95_ms: float | None = Field(description="95th percentile in milliseconds; null under 100 samples.")
    p99_ms: float | None = Field(description="99th percentile in milliseconds; null under 1,000 samples.")
    samples: int = Field(description="How many samples the percentiles come from.")


class Ingest(Fields):
    """Rows that were written into the index while the queries of a load point ran."""

    rows: int = Field(description="How many rows were held back from the index at first.")
    rows_while_searching: int = Field(
        description="How many of them were written while queries ran; the others untimed."
    )
    rows_per_second: float = Field(description="Planned rate, in rows a second.")
    achieved_per_second: float = Field(description="Rate that was achieved, in rows a second.")
    kept_up: bool = Field(description="Whether at least .97 of the planned rate was achieved.")
    batch: int = Field(description="How many rows were written at once.")
    batches: int = Field(description="How many batches were timed.")
    p50_ms: float | None = Field(description="Median time of writing a batch, in milliseconds.")
    p95_ms: float | None = Field(description="95th percentile of the time of writing a batch, in milliseconds.")
    failed_batches: int = Field(description="How many batches failed.")
    rows_expected: int = Field(description="How many rows the index should hold afterwards.")
    rows_held_after: int | None = Field(
        description="How many rows the engine counted afterwards; null where `error` says that rows miss."
    )
    found_after: float | None = Field(
        description="Mean share of the quality pass's hits that were found when all was written. It is under 1 for "
        "approximate search, because the quality pass searched another build."
    )
    error: str | None = Field(None, description="Why the rows could not be written or counted; null where they were.")


class Latency(Fields):
    """One system under one load point; a stage that the system does not have is null.

    encode is what the system's encoders take, pooled over all systems that use them under this load; own is what is
    the system's alone: search, fuse and rerank of a query together. total is the two, paired by query; the raw totals
    stand in timings.parquet. Of an open loop the total is the raw one, from the planned start of a query: waiting
    cannot be put together from parts.
    """

    load: str = Field(description="Label of the load point, such as `closed-1`.")
    mode: Literal["closed", "open"] = Field(
        description="Whether the next query follows an answer (`closed`) or a schedule (`open`)."
    )
    workers: int | None = Field(None, description="Queries that were under way at once; null in an open loop.")
    rate: float | None = Field(None, description="Queries sent a second by the schedule; null in a closed loop.")
    measured_at: str = Field(description="When it was measured, in UTC.")
    reused: bool = Field(description="Whether an earlier run measured it.")
    distinct_queries: int = Field(description="How many different queries are among the samples.")
    agreement: float | None = Field(
        description="Mean overlap with the rankings of the quality pass; null where rows were written meanwhile, "
        "because some were not there yet."
    )
    failed: int = Field(description="How many live queries failed.")
    achieved_per_second: float = Field(description="How many queries were answered a second.")
    saturated: bool = Field(description="Whether the system did not keep up with the schedule.")
    ingest: Ingest | None = Field(None, description="Rows that were written meanwhile; null where none were.")
    processes: int = Field(1, description="How many processes sent the queries, from threads of theirs.")
    client_share: float | None = Field(
        None,
        description="Processor time per wall-clock second of the process that sent the queries, or of the busiest "
        "of several.",
    )
    others_share: float | None = Field(
        None, description="Share of the processors that other programs took meanwhile; null where that is not known."
    )
    rounds: int | None = Field(
        None, description="How many rounds the figures come from; null where an older version wrote them."
    )
    disturbed_rounds: int = Field(
        0, description="How many of those rounds were disturbed by something else than what was measured."
    )
    disturbances: list[str] = Field([], description="What disturbed the rounds, a sentence each.")
    turn_seconds: float | None = Field(
        None,
        description="Least length of a system's turn in a round of a closed loop of one worker. Under 1 there is no "
        "verdict on latency, because shorter turns measure the scheduler.",
    )
    encoders: list[str] = Field([], description="Names of the encoders that a live query calls.")
    own: StageLatency | None = Field(None, description="What is the system's alone: search, fuse and rerank together.")
    wait: StageLatency | None = Field(
        None, description="Time before a query was sent: in a queue, or for a limit of the program's own."
    )
    encode: StageLatency | None = Field(
        None, description="Time of the system's encoders, pooled over all systems that use them."
    )
    search: StageLatency | None = Field(None, description="Time of all searches of a query.")
    fuse: StageLatency | None = Field(None, description="Time of the fusion of a query's rankings.")
    rerank: StageLatency | None = Field(None, description="Time of the rerankers of a query.")
    total: StageLatency | None = Field(
        None, description="Encode and own together, paired by query; in an open loop the raw total."
    )


class LatencyAgainst(Fields):
    """A system's time over the baseline's in the same round of the first load point; under 1 the system is faster."""

    ratio: float = Field(description="Geometric mean over the rounds of the system's time over the baseline's.")
    interval: Interval | None = Field(
        description="Interval of the ratio at 95 % for all systems at once; null where there are too few rounds."
    )
    p: float | None = Field(None, description="P value of the sign flips over rounds.")
    p_corrected: float | None = Field(None, description="That p value, corrected for all systems at once.")
    verdict: LatencyVerdict = Field(
        description="What the interval of the ratio says, against `latency_margin` where there is one: `faster`, "
        "`not_slower`, `slower` or `undecided`."
    )
    rounds: int = Field(description="How many rounds were compared.")
    rounds_to_decide: int | None = Field(
        None, description="About how many more rounds like these would decide; null where it is decided."
    )


class Encoding(Fields):
    """Encoding a query by one encoder under one load point, pooled over the systems that use it there."""

    encoder: str = Field(description="Name of the encoder, as the experiment calls it.")
    load: str = Field(description="Label of the load point, such as `closed-1`.")
    latency: StageLatency = Field(description="What encoding a query takes.")
    systems: list[str] = Field(description="Names of the systems that share this figure.")
    disturbed_rounds: int = Field(0, description="How many rounds of it were disturbed by something else.")
