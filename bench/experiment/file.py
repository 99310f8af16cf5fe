"""The experiment file as pydantic models: the face of the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from adapters.base import FolderOrUri

DEFAULT_MEASURES = ("nDCG@10", "Recall@1", "Recall@3", "Recall@5", "Recall@10", "MRR@1", "MRR@3", "MRR@5", "MRR@10")
DEFAULT_DEPTH = 100
ROUNDS = 3  # of long turns: a backlog cannot be seen in a second
ROUNDS_ALONE = 10  # of a closed loop of one worker: with fewer, sign flips over rounds tell little apart

Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IngestPlan(_Model):
    """Rows written into the index while a load point's queries run: the last part of the corpus, held back until
    then from an index of their own."""

    rows_per_second: float = Field(gt=0)
    batch: int = Field(100, ge=1, description="rows written at once")
    share: float = Field(0.1, gt=0, lt=1, description="part of the corpus that is written during the queries")


class LoadPoint(_Model):
    """One way of putting load on a system in the latency pass.

    closed: `workers` each send their next query when the last was answered. open: queries start on a schedule of
    `rate` a second fixed beforehand, whatever the answers do; a query's time runs from its planned start.
    """

    name: str | None = None
    mode: Literal["closed", "open"] = "closed"
    workers: int = Field(1, ge=1, le=1024, description="closed loop: queries under way at once")
    rate: float | None = Field(None, gt=0, description="open loop: queries per second")
    arrivals: Literal["poisson", "constant"] = "poisson"
    processes: int | None = Field(
        None, ge=1, le=256, description="that send the queries to servers; default: as many as keep each half idle"
    )
    max_in_flight: int = Field(
        64, ge=1, le=1024, description="open loop: queries under way at most; beyond, they queue"
    )
    samples: int | None = Field(None, ge=1, description="measured queries wanted per system, over all rounds")
    seconds: float = Field(
        60.0,
        gt=0,
        description="for the whole pass over all systems, whichever ends first; a closed loop of one worker takes "
        "longer where its turns do not fit",
    )
    rounds: int | None = Field(
        None,
        ge=3,
        description="systems take turns this often; default 3, and 10 in a closed loop of one worker, where fewer are "
        "raised to 10",
    )
    turn_seconds: float = Field(
        1.0,
        gt=0,
        description="closed loop of one worker: a turn lasts at least this long, and 20 queries; shorter turns measure "
        "the scheduler: under one second there is no verdict on latency",
    )
    ingest: IngestPlan | None = Field(None, description="write rows while the queries run")

    @property
    def alone(self) -> bool:
        """Whether queries follow one another from a single worker: systems are then compared round by round."""
        return self.mode == "closed" and self.workers == 1 and self.ingest is None

    @property
    def planned_rounds(self) -> int:
        """How often systems take turns."""
        if self.alone:
            return max(ROUNDS_ALONE, self.rounds or 0)
        return ROUNDS if self.rounds is None else self.rounds

    @property
    def label(self) -> str:
        """The load point's name in files and tables."""
        if self.name:
            return self.name
        label = f"closed-{self.workers}" if self.mode == "closed" else f"open-{self.rate:g}qps"
        return f"{label}-ingest-{self.ingest.rows_per_second:g}" if self.ingest else label


QualityMargin = Annotated[float, Field(gt=0, lt=1)]


class Margins(_Model):
    """What a system may be worse by than the baseline without being called worse."""

    quality: QualityMargin | None = Field(None, description="loss of the first measure that does not matter to you")
    latency: float | None = Field(
        None, gt=1, allow_inf_nan=False, description="ratio of times that does not matter to you, such as 1.10"
    )


class ProjectedSize(_Model):
    """The size that costs are projected to."""

    documents: int = Field(ge=0)
    queries_per_month: int = Field(ge=0)


class SystemEntry(_Model):
    """One entry of `systems`. Lists multiply; `fuse` multiplies when it is a list of lists."""

    name: str | None = None
    run: FolderOrUri | list[FolderOrUri] | None = Field(
        None, description="TREC run file: rankings of whatever is used today"
    )
    encoder: Any = Field(None, description="name, or {document: name, query: name}, or a list of them")
    store: str | list[str] | None = None
    fuse: list[Any] | None = Field(None, description="names of systems whose rankings are fused")
    by: Literal["rrf", "weighted"] | list[Literal["rrf", "weighted"]] | None = None
    weights: list[float] | dict[str, float] | None = Field(None, description="one per fused system")
    rrf_k: int | list[int] = Field(60, description="the constant of reciprocal rank fusion")
    reranker: str | list[str | None] | None = None
    depth: int | list[int] = DEFAULT_DEPTH
    k: int | None = None
    filter: Any = Field(None, description="conditions over meta.*, or a list of them")
    shared_space: bool = Field(False, description="the two encoders are known to share a vector space")


class ExperimentFile(_Model):
    """The face of the product: parts are named once, systems combine them, lists multiply."""

    experiment: Name
    dataset: dict[str, Any]
    encoders: dict[Name, dict[str, Any]] = {}
    stores: dict[Name, dict[str, Any]] = {}
    rerankers: dict[Name, dict[str, Any]] = {}
    systems: list[SystemEntry] = Field(min_length=1)
    baseline: str | None = None
    margin: (
        Annotated[
            Annotated[QualityMargin, Tag("float")] | Annotated[Margins, Tag("dict")],
            Discriminator(lambda value: "dict" if isinstance(value, Mapping | Margins) else "float"),
        ]
        | None
    ) = Field(None, description="loss of the first measure that does not matter; or {quality: 0.01, latency: 1.10}")
    measures: list[str | int] = Field(
        list(DEFAULT_MEASURES),
        description="nDCG, Recall, R_cap, MRR, MAP, Hit, Precision, Judged or ANN with a cut-off; a bare number "
        "repeats the measure before it. Recall(rel=2)@10: relevant from grade 2 on. nDCG(dcg='exp-log2')@10: gains of "
        "2^grade - 1",
    )
    latency: list[LoadPoint] = Field([LoadPoint()], description="one load point or several; false for none")
    seed: int = Field(0, ge=0)
    builds: int = Field(1, ge=1, le=64, description="how often every index is built, to show the spread")
    targets: dict[str, list[Annotated[float, Field(gt=0, le=1)]]] = Field(
        {}, description="compare engines at equal recall, such as {ANN@10: [0.90, 0.95, 0.99]}"
    )
    cluster: str | None = Field(None, pattern=r"^meta\..+", description="query column whose groups are resampled")
    dangling: Literal["error", "keep"] = Field("error", description="judgements of documents that are not there")
    exclude_self: bool | None = Field(
        None,
        description="leave a query's own document (of the same id) out of its rankings; default: where at least half "
        "of such documents have the query's text",
    )
    payload: Literal["ids", "text"] = "ids"
    trackers: dict[Name, dict[str, Any]] = {}
    max_cost: float | None = Field(None, ge=0, description="US dollars that one run may spend and does not pass")
    prices: list[dict[str, Any]] = []
    projection: ProjectedSize | None = Field(None, description="a corpus and traffic to project costs to")
    machine_usd_per_hour: float | None = Field(None, ge=0)
    cache: FolderOrUri | None = Field(None, description="folder of the cache; default .bench-cache")

    @property
    def margins(self) -> Margins:
        """The margin of each kind; a plain number is that of quality."""
        return self.margin if isinstance(self.margin, Margins) else Margins(quality=self.margin)

    @field_validator("latency", mode="before")
    @classmethod
    def _one_load_or_none(cls, value: Any) -> Any:
        """`latency: {…}` is one load point, `latency: false` or null none."""
        if value is None or value is False:
            return []
        return [value] if isinstance(value, Mapping) else value
