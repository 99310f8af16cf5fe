"""The experiment file as pydantic models: the face of the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from adapters.base import FolderOrUri, Options
from bench.experiment.structured import Structured
from bench.experiment.synthetic import Synthetic

DEFAULT_MEASURES = ("nDCG@10", "Recall@1", "Recall@3", "Recall@5", "Recall@10", "MRR@1", "MRR@3", "MRR@5", "MRR@10")
DEFAULT_DEPTH = 100
LONGEST_RANKING = 1_000_000  # documents
ROUNDS = 3  # of long turns, because a backlog does not show within a second
ROUNDS_ALONE = 10  # of a closed loop of one worker, because sign flips over fewer rounds find few differences

Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class IngestPlan(Options):
    """Rows that are written while a load point's queries run. They are the last part of the corpus, held back from an
    index that is built for this purpose."""

    rows_per_second: float = Field(
        gt=0, le=10_000_000, description="Rows that are written in a second while the queries run."
    )
    batch: int = Field(100, ge=1, le=1_000_000, description="Rows written at once.")
    share: float = Field(
        0.1, gt=0, lt=1, description="Part of the corpus that is written during the queries, above 0 and below 1."
    )


class LoadPoint(Options):
    """One way of putting load on a system in the latency pass.

    closed: `workers` each send their next query when the last was answered. open: queries start on a schedule of
    `rate` a second fixed beforehand, whatever the answers do; a query's time runs from its planned start.
    """

    name: str | None = Field(
        None, description="Name of the load point in files and tables; left out, made of its mode with workers or rate."
    )
    mode: Literal["closed", "open"] = Field(
        "closed",
        description="closed: each worker sends its next query when the last was answered; open: queries start on "
        "a schedule, whatever the answers do.",
    )
    workers: int = Field(1, ge=1, le=1024, description="Queries under way at once in a closed loop, 1 to 1,024.")
    rate: float | None = Field(
        None, gt=0, le=1_000_000, description="Queries that start in a second in an open loop, which must have it."
    )
    arrivals: Literal["poisson", "constant"] = Field(
        "poisson",
        description="Gaps between the starts of an open loop: random as of independent users (poisson), or all alike.",
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes that send the queries to servers, 1 to 256; left out, as many as keep each half idle.",
    )
    max_in_flight: int = Field(
        64, ge=1, le=1024, description="Queries under way at most in an open loop, 1 to 1,024; beyond, they queue."
    )
    samples: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Measured queries wanted of each system, over all rounds; left out, 1,000, and 100 where "
        "calls are billed.",
    )
    seconds: float = Field(
        60.0,
        gt=0,
        le=604_800,
        description="Seconds for the whole pass over all systems, if the samples are not there before; a closed "
        "loop of one worker takes longer where its turns do not fit.",
    )
    rounds: int | None = Field(
        None,
        ge=3,
        le=10_000,
        description="How often systems take turns, at least 3; left out, 3, and 10 in a closed loop of one "
        "worker, where fewer are raised to 10.",
    )
    turn_seconds: float = Field(
        1.0,
        gt=0,
        le=86_400,
        description="Seconds that a turn lasts at least in a closed loop of one worker, and 20 queries; shorter "
        "turns measure the scheduler, so that under one second there is no verdict on latency.",
    )
    ingest: IngestPlan | None = Field(
        None, description="Rows to write into the index while the queries run; left out, none."
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option in ("rate", "arrivals", "max_in_flight"):
            self.refuse_idle(option, "mode: open", heeded=self.mode == "open")
        self.refuse_idle("workers", "mode: closed", heeded=self.mode == "closed")
        return self

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


class Margins(Options):
    """How much worse than the baseline a system may be without being called worse."""

    quality: QualityMargin | None = Field(
        None, description="Loss of the first measure that does not matter to you, above 0 and below 1."
    )
    latency: float | None = Field(
        None,
        gt=1,
        allow_inf_nan=False,
        description="Ratio of times that does not matter to you, above 1, such as 1.10.",
    )


class ProjectedSize(Options):
    """The size that costs are projected to."""

    documents: int = Field(ge=0, description="Documents in the corpus that costs are projected to.")
    queries_per_month: int = Field(ge=0, description="Queries in a month that costs are projected to.")


Payload: TypeAlias = Literal["none", "text"]  # what a search returns beside ids and scores


class SystemEntry(Options):
    """One entry of `systems`. Lists multiply; `fuse` multiplies when it is a list of lists."""

    name: str | None = Field(
        None, description="Name of the system; left out, that of its parts, and of the options that a list multiplies."
    )
    run: FolderOrUri | list[FolderOrUri] | None = Field(
        None,
        description="TREC run file with the rankings of whatever is used today, instead of a store or fused systems.",
    )
    encoder: Any = Field(
        None,
        description="Name of the encoder, {document: NAME, query: NAME} for two that share a vector space, or a "
        "list of these.",
    )
    store: str | list[str] | None = Field(
        None, description="Name of the store, or a list of names; left out, exact search."
    )
    fuse: list[Any] | None = Field(None, description="Names of the systems whose rankings are made one.")
    by: Literal["rrf", "weighted"] | list[Literal["rrf", "weighted"]] | None = Field(
        None,
        description="How rankings are made one: rrf by reciprocal ranks, weighted by scores brought to one scale;"
        " left out, rrf.",
    )
    weights: list[float] | dict[str, float] | None = Field(
        None, description="Weight of each fused system, in their order or by name; left out, all weigh the same."
    )
    rrf_k: int | list[int] = Field(
        60, description="Constant of reciprocal rank fusion; the larger, the less the first ranks stand out."
    )
    reranker: str | list[str | None] | None = Field(
        None, description="Name of the reranker, or a list of names in which null is none."
    )
    depth: int | list[int] = Field(
        DEFAULT_DEPTH, description="Documents that are asked for where fusion or a reranker follows."
    )
    k: int | None = Field(
        None, description="Documents in the final ranking; left out, the largest cut-off of the measures."
    )
    filter: Any = Field(
        None,
        description="Conditions that documents must meet, such as {lang: en, year: {gte: 2020}} over meta "
        "columns, or a list of these.",
    )
    payload: Payload | list[Payload] = Field(
        "none",
        description="What a search returns beside ids and scores: none, or text, which is the documents' texts; or a "
        "list of both. A fusion asks its systems for it.",
    )
    shared_space: bool = Field(
        False, description="Whether the document encoder and the query encoder are known to share a vector space."
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option in ("by", "weights", "rrf_k"):
            self.refuse_idle(option, "fuse", heeded=self.fuse is not None)
        self.refuse_idle("payload", "a search (a run file holds no texts)", heeded=self.run is None)
        ways = self.by if isinstance(self.by, list) else [self.by]
        self.refuse_idle("rrf_k", "by: rrf", heeded=any(way != "weighted" for way in ways))
        given = self.encoder if isinstance(self.encoder, list) else [self.encoder]
        self.refuse_idle("shared_space", "two encoders", heeded=any(isinstance(each, Mapping) for each in given))
        return self


def _has_template(value: Any) -> bool:
    return isinstance(value, Structured) or (isinstance(value, Mapping) and "template" in value)


class ExperimentFile(Options):
    """The face of the product: parts are named once, systems combine them, lists multiply."""

    experiment: Name = Field(description="Name of the experiment and of its folder of results, of a-z, 0-9, _ and -.")
    dataset: dict[str, Any] = Field(description="The collection: its adapter and that adapter's options.")
    encoders: dict[Name, dict[str, Any]] = Field({}, description="Encoders by name: what turns texts into vectors.")
    stores: dict[Name, dict[str, Any]] = Field({}, description="Stores by name: what holds an index and searches it.")
    rerankers: dict[Name, dict[str, Any]] = Field(
        {}, description="Rerankers by name: what scores the candidates of a query."
    )
    generators: dict[Name, dict[str, Any]] = Field(
        {}, description="Generators by name: what writes texts, such as the answers of bench chat."
    )
    synthetic: (
        Annotated[
            Annotated[Synthetic, Tag("dict[questions]")] | Annotated[Structured, Tag("dict[examples]")],
            Discriminator(lambda value: "dict[examples]" if _has_template(value) else "dict[questions]"),
        ]
        | None
    ) = Field(
        None,
        description="Questions that a generator writes for documents: for dataset with queries: synthetic, and for "
        "bench generate. With a template, labelled examples instead, for bench generate alone.",
    )
    models: dict[Name, dict[str, Any]] = Field(
        {},
        description="Models to train, by name: each a recipe with its options, used as `model: trained:NAME`. A list "
        "multiplies; the dev split chooses.",
    )
    systems: list[SystemEntry] = Field(
        min_length=1, description="Systems to compare, each a pipeline of named parts; lists multiply."
    )
    baseline: str | None = Field(
        None, description="Name of the system that the others are compared with; left out, there are no verdicts."
    )
    margin: (
        Annotated[
            Annotated[QualityMargin, Tag("float")] | Annotated[Margins, Tag("dict")],
            Discriminator(lambda value: "dict" if isinstance(value, Mapping | Margins) else "float"),
        ]
        | None
    ) = Field(
        None,
        description="Loss of the first measure that does not matter to you, such as 0.01; or {quality: 0.01, "
        "latency: 1.10}.",
    )
    measures: list[str | int] = Field(
        list(DEFAULT_MEASURES),
        description="Measures with their cut-offs, of nDCG, Recall, R_cap, MRR, MAP, Hit, Precision, Judged and "
        "ANN; the first decides. A bare number repeats the measure before it. Recall(rel=2)@10: "
        "relevant from grade 2 on. nDCG(dcg='exp-log2')@10: gains of 2^grade - 1.",
    )
    latency: list[LoadPoint] = Field(
        [LoadPoint()], description="Load points, one or several, under which systems are timed; false for none."
    )
    seed: int = Field(
        0, ge=0, description="Seed of everything drawn at random: intervals, tests, samples and order of queries."
    )
    builds: int = Field(
        1, ge=1, le=64, description="How often every index is built, 1 to 64, to show how far builds differ."
    )
    targets: dict[str, list[Annotated[float, Field(gt=0, le=1)]]] = Field(
        {},
        description="Values of a measure to compare engines at, such as {ANN@10: [0.90, 0.95, 0.99]}: the "
        "cheapest setting of each that reaches them.",
    )
    cluster: str | None = Field(
        None,
        pattern=r"^meta\..+",
        description="Column of the queries, such as meta.passage, whose groups are resampled as wholes; left out,"
        " queries are.",
    )
    dangling: Literal["error", "keep"] = Field(
        "error",
        description="What a judgement of a query or document that is not there means: error stops; keep leaves out "
        "such a query and counts such a document as never found.",
    )
    exclude_self: bool | None = Field(
        None,
        description="Whether a query's own document (of the same id) is left out of its rankings; left out, where"
        " at least half of such documents have the query's text.",
    )
    texts: bool = Field(
        True,
        description="Whether the result keeps the texts of judged queries, relevant documents and first hits, so that "
        "it can be read without the collection; false keeps none, and sends none to trackers.",
    )
    trackers: dict[Name, dict[str, Any]] = Field({}, description="Trackers by name: where results are sent.")
    max_cost: float | None = Field(
        None, ge=0, description="US dollars that one run may spend and does not pass; left out, no limit."
    )
    prices: list[dict[str, Any]] = Field(
        [],
        description="Prices over those that come with the harness, each {provider, model, unit, usd}; unit is "
        "per_million_tokens or per_thousand_searches; output_usd is per million tokens that a model writes.",
    )
    projection: ProjectedSize | None = Field(
        None, description="Corpus and traffic to project costs to; left out, no projection."
    )
    machine_usd_per_hour: float | None = Field(
        None,
        ge=0,
        description="US dollars that an hour of this machine costs, so that times become money; left out, "
        "machines cost nothing here.",
    )
    cache: FolderOrUri | None = Field(
        None,
        description="Folder of the cache, from the file's folder on; left out, that of the variable BENCH_CACHE, else "
        "the user's.",
    )

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
