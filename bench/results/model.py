"""Result: what a run leaves on disk. Written as "started" first, replaced atomically, read without any service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.cache.artifacts import write_atomically
from bench.cache.own_files import read_own
from bench.messages.secrets import redacted_values
from bench.results.seal import changes, sealed
from bench.statistics.latency_verdicts import LatencyVerdict
from bench.statistics.significance import Verdict

FORMAT = 1
RESULT_FILE = "result.json"

Status = Literal["started", "success", "partial", "error", "cancelled"]
SystemStatus = Literal["started", "success", "partial", "not_indexed", "void", "error", "cancelled"]


class ResultUnreadable(Exception):
    """A result folder that this version cannot read; says why. newer: a later version wrote it."""

    def __init__(self, message: str, *, newer: bool = False) -> None:
        super().__init__(message)
        self.newer = newer


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DatasetInfo(_Model):
    """queries: in the file; judged: evaluated. only_positives: no document was judged non-relevant."""

    name: str
    split: str | None = None
    fingerprint: str
    documents: int
    queries: int
    judged: int
    only_positives: bool | None = None
    own_documents_left_out: int = Field(0, description="queries whose own document, of the same id, no ranking holds")
    notes: list[str] = []
    warnings: list[str] = []
    provenance: dict[str, Any] = {}


class Done(_Model):
    computed: int = 0
    reused: int = 0


class WorkDone(_Model):
    """Distinct units that the quality pass needed."""

    texts_embedded: Done = Done()
    indexes_built: Done = Done()
    queries_searched: Done = Done()
    pairs_scored: Done = Done()


class MeasureValue(_Model):
    """mean over all judged queries (a failed one counts 0); None where not measured, never 0 for that. Recall against
    exact search is the mean over those for which that finds something."""

    mean: float | None
    interval: tuple[float, float] | None
    queries: int
    failed: int


class Against(_Model):
    """A system minus the baseline. p, p_corrected, verdict: primary measure alone. interval: simultaneous over the
    family there, plain for exploratory measures."""

    difference: float
    percent: float | None = Field(description="difference in per cent of the baseline's mean")
    interval: tuple[float, float] | None
    p: float | None = None
    p_corrected: float | None = None
    verdict: Verdict | None = None
    queries_to_decide: int | None = None
    wins: int
    ties: int
    losses: int


class Loss(_Model):
    """Where quality goes between exact search and the final ranking. leg: of a fusion."""

    stage: str
    measure: str
    mean: float
    interval: tuple[float, float]
    leg: str | None = None


class StageLatency(_Model):
    """Nearest-rank percentiles. null without their support: p50 under 20 samples, p95 under 100, p99 under 1,000."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    samples: int


class Ingest(_Model):
    """Rows written while the queries of a load point ran. p50_ms, p95_ms: of the calls that wrote a batch."""

    rows: int = Field(description="held back from the index at first")
    rows_while_searching: int = Field(description="of those, written while queries ran; the others untimed")
    rows_per_second: float = Field(description="as planned")
    achieved_per_second: float
    kept_up: bool = Field(description="at least .97 of the planned rate was achieved")
    batch: int = Field(description="rows in a batch")
    batches: int = Field(description="timed ones")
    p50_ms: float | None
    p95_ms: float | None
    failed_batches: int
    rows_expected: int
    rows_held_after: int | None = Field(description="counted by the engine; null where `error` says that rows miss")
    found_after: float | None = Field(
        description="mean share of the quality pass's hits found when all was written; under 1 for approximate search, "
        "because the quality pass searched another build"
    )
    error: str | None = None


class Latency(_Model):
    """One system under one load point; a stage that the system does not have is None.

    encode is what the system's encoders take, pooled over all systems that use them under this load; own is what is
    the system's alone: search, fuse and rerank of a query together. total is the two, paired by query; the raw totals
    stand in timings.parquet. Of an open loop the total is the raw one, from the planned start of a query: waiting
    cannot be put together from parts.
    """

    load: str
    mode: Literal["closed", "open"]
    workers: int | None = None
    rate: float | None = None
    measured_at: str
    reused: bool
    distinct_queries: int
    agreement: float | None = Field(description="null where rows were written meanwhile: some were not there yet")
    failed: int
    achieved_per_second: float
    saturated: bool
    ingest: Ingest | None = None
    processes: int = Field(1, description="that sent the queries, from threads")
    client_share: float | None = Field(
        None,
        description="processor time per wall-clock second of the process that sent the queries, the busiest of several",
    )
    others_share: float | None = Field(None, description="share of the processors that other programs took meanwhile")
    rounds: int | None = Field(None, description="that the figures come from; null where an older version wrote them")
    disturbed_rounds: int = Field(0, description="of those, rounds that something else than the measured disturbed")
    disturbances: list[str] = Field([], description="what disturbed them, a sentence each")
    turn_seconds: float | None = Field(
        None,
        description="closed loop of one worker: how long a system's turn in a round lasted at least; under 1 there is "
        "no verdict on latency, because shorter turns measure the scheduler",
    )
    encoders: list[str] = Field([], description="that a live query calls")
    own: StageLatency | None = None
    wait: StageLatency | None = None
    encode: StageLatency | None = None
    search: StageLatency | None = None
    fuse: StageLatency | None = None
    rerank: StageLatency | None = None
    total: StageLatency | None = None


class LatencyAgainst(_Model):
    """A system's time over the baseline's in the same round of the first load point; under 1 the system is faster.

    ratio: geometric mean over the rounds. interval: simultaneous over all systems that are compared, by sign flips over
    rounds; null where there are too few of them. verdict: read from the interval, against `latency_margin` where there
    is one. rounds_to_decide: how many more rounds like these would decide.
    """

    ratio: float
    interval: tuple[float, float] | None
    p: float | None = None
    p_corrected: float | None = None
    verdict: LatencyVerdict
    rounds: int
    rounds_to_decide: int | None = None


class Encoding(_Model):
    """Encoding a query by one encoder under one load point, pooled over the systems that use it there."""

    encoder: str
    load: str
    latency: StageLatency
    systems: list[str]
    disturbed_rounds: int = 0


class Index(_Model):
    """The effective index, read back from the engine. builds: how many builds the figures rest on."""

    type: str
    rows: int
    rows_indexed: int
    flat: bool
    adjusted: list[str]
    parameters: dict[str, Any]
    builds: int
    reproducible: bool
    built_at: str
    note: str | None = None


class Memory(_Model):
    """Resident bytes of what holds the index; None where not measured.

    This process holds models and corpus too: the build's part is its peak less what was there before. The first build
    by an engine counts the engine's own threads and buffers. A server holds its other collections too.
    """

    where: Literal["this process", "server"]
    build_before_bytes: int | None = Field(None, description="as the build began")
    build_peak_bytes: int | None = Field(None, description="of a server: the highest of readings once a second")
    search_peak_bytes: int | None = Field(
        None, description="highest over the turns of the latency pass: this process's peak in, the server's after each"
    )


class UnknownDocuments(_Model):
    """Documents that a run file or a service found and the corpus does not hold."""

    count: int
    of: int = Field(description="documents found for the judged queries")
    example: str


class SystemResult(_Model):
    """One system. status not_indexed or void: measures are None."""

    name: str
    status: SystemStatus
    error: str | None = None
    incomplete: bool | None = Field(
        None,
        description="whether queries failed or more than 1 % of what it ranks is missing, so that it is never called "
        "better; null where it was not measured or an older version wrote this",
    )
    hash: str
    pipeline: dict[str, Any]
    index: Index | None = None
    measures: dict[str, MeasureValue] = {}
    against_baseline: dict[str, Against] = {}
    ann_recall: dict[str, float | None] = {}
    builds: list[dict[str, float | None]] = Field([], description="each build's means, where there are several")
    loss: list[Loss] = []
    latency: Latency | None = None
    latency_against_baseline: dict[str, LatencyAgainst] = Field(
        {},
        description="by figure: `own p50`, and `total p95` where every round has 100 samples; each a family of its own",
    )
    loads: list[Latency] = []
    truncated_texts: int = 0
    documents_without_direction: int = Field(
        0, description="their vector is zero, and vectors are compared by cosine: no neighbour of any query"
    )
    queries_without_direction: int = Field(0, description="likewise: a search by vector finds nothing for them")
    documents_without_vector: int = Field(0, description="that their encoder's service refused: they cannot be found")
    truncated_pairs: int | None = Field(
        None, description="of query and document, cut at the reranker's length; null where that is not known"
    )
    unscored_pairs: int = Field(0, description="that the reranker's service refused: they were ranked last")
    queries_without_terms: int | None = Field(
        None, description="none of their terms stands in the index; null for a system that does not search by text"
    )
    queries_without_line: int | None = Field(
        None, description="judged queries that a run file does not hold: they found nothing and score 0"
    )
    unknown_documents: UnknownDocuments | None = Field(None, description="null where there are none")
    build_seconds: float | None = None
    index_bytes: int | None = Field(None, description="on disk; on a server that of all its nodes")
    memory: Memory | None = Field(None, description="of a system with an index of its own")
    usage: dict[str, Any] = {}
    cost: dict[str, Any] | None = None
    notes: list[str] = []


class OnFront(_Model):
    """A system among those of its front. on_front: no other has a better mean at no higher p95, or the other way."""

    name: str
    quality: float
    p95_ms: float
    per_second: float | None
    bytes: int | None
    on_front: bool
    not_told_apart: list[str] = Field(
        [], description="its neighbours by p95 from which neither quality nor time tells it apart"
    )


class Front(_Model):
    """What quality costs. p95_ms: total, first load point. per_second: the highest rate achieved under any load point
    that was kept up. systems: by p95."""

    encoder: str | None
    filter: dict[str, Any] | None = None
    measure: str
    systems: list[OnFront]


class Target(_Model):
    """The cheapest setting of one build that reaches a target, None where none was shown to.

    Cheapest: the lowest p50 of searching under the first load point. Chosen on one half of the queries, where the
    one-sided 95 % lower bound of the mean had to reach the target; mean and interval are those of the other half.
    best_bound: the highest lower bound among the settings. loads: measured anew after the choice.
    """

    encoder: str | None
    engine: str
    index: dict[str, Any]
    index_type: str | None
    reranker: str | None = None
    filter: dict[str, Any] | None = None
    measure: str
    target: float
    system: str | None
    setting: dict[str, Any] | None
    mean: float | None
    interval: tuple[float, float] | None
    builds: list[float] = Field([], description="each build's mean on the reporting half, where there are several")
    chosen_on: int
    reported_on: int
    settings: int = Field(description="settings that were measured without a failed query")
    bound: float | None = Field(description="lower bound of the chosen setting on the choosing half")
    best_bound: float | None
    attainable: float = Field(
        description="the bound of a setting that misses nothing; higher targets need more queries"
    )
    loads: list[Latency] = []
    not_told_apart: list[str] = Field(
        [], description="systems chosen for the same target whose own p50 cannot be told apart from this one's"
    )
    build_seconds: float | None
    index_bytes: int | None
    memory: Memory | None = None


class Tracked(_Model):
    """What a tracker delivered. unsent: rows that did not arrive; `bench track` sends them later."""

    tracker: str
    sent: int
    unsent: int
    link: str | None = None
    notes: list[str] = []


class Result(_Model):
    """result.json. Fields are only added within a format version."""

    model_config = ConfigDict(extra="allow")

    format: int = FORMAT
    status: Status
    experiment: dict[str, Any]
    config_hash: str
    started_at: str
    finished_at: str | None = None
    dataset: DatasetInfo
    provenance: dict[str, Any]
    baseline: str | None
    primary: str
    margin: float | None = Field(description="of the primary measure")
    latency_margin: float | None = Field(None, description="ratio to the baseline's times that still is not slower")
    detectable_difference: float | None = None
    work: WorkDone = WorkDone()
    latency_samples: int = Field(0, description="live samples that this run took; reused ones are not counted")
    encoding: list[Encoding] = Field([], description="what the encoders take live, each once per load point")
    latency_notes: list[str] = Field([], description="how the latency pass differed from what was asked, and why")
    warnings: list[str] = []
    systems: list[SystemResult] = []
    tracked: list[Tracked] = []
    fronts: list[Front] = []
    targets: list[Target] = []
    files: dict[str, str] = Field(
        {}, description="digests of the run files and tables in the folder, as they were written"
    )
    digest: str | None = Field(None, description="of all other fields as they were written")


def write_result(folder: Path, result: Result) -> None:
    """Replace result.json whole."""
    values = sealed(redacted_values(result.model_dump(mode="json")))
    text = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / RESULT_FILE, (text + "\n").encode("utf-8"))


def read_result(folder: Path) -> Result:
    """Read a result folder. What in it is not as its run wrote it stands among the warnings.

    Raises ResultUnreadable with the cause and the cure.
    """
    path = folder / RESULT_FILE if folder.is_dir() else folder
    try:
        raw = json.loads(read_own(path).decode("utf-8"))
    except FileNotFoundError:
        raise ResultUnreadable(f"{path}: there is no such file. A result folder holds {RESULT_FILE}.") from None
    except (OSError, ValueError, RecursionError) as error:  # no JSON, no UTF-8, numbers of thousands of digits
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
    version = raw.get("format") if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise ResultUnreadable(f"{path}: is not a result (it has no format version).")
    if version > FORMAT:
        raise ResultUnreadable(
            f"{path}: was written in format {version}; this version reads up to {FORMAT}. "
            "Upgrade: pip install --upgrade retrieval-bench",
            newer=True,
        )
    try:
        result = Result.model_validate(raw)
        result.warnings += [f"{change}." for change in changes(path.parent, raw)]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ResultUnreadable(f"{path}: {where}: {first['msg']}") from error
    except RecursionError as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
    return result


def check_unchanged(folder: Path) -> None:
    """Raise ResultUnreadable where a result's folder is not as its run wrote it."""
    for change in changes(folder, json.loads(read_own(folder / RESULT_FILE))):
        raise ResultUnreadable(f"{change}.")


def result_schema() -> dict[str, Any]:
    """The JSON schema of result.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Result.model_json_schema()}
