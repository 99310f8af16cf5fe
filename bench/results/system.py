"""What a result holds of one system."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.results.cost import Cost, Used
from bench.results.fields import Fields, Options, Payload
from bench.results.latency import Latency, LatencyAgainst
from bench.results.quality import Against, Loss, MeasureValue

SystemStatus = Literal["started", "success", "partial", "not_indexed", "void", "error", "cancelled"]


class EncodersInfo(Fields):
    """The encoders of a system's search; usually one and the same."""

    document: Options | None = Field(
        None, description="Encoder of the index: `name`, `adapter` and the options that the experiment gives it."
    )
    query: Options | None = Field(
        None, description="Encoder of the queries: `name`, `adapter` and the options that the experiment gives it."
    )


class FusionInfo(Fields):
    """How rankings are fused."""

    by: Literal["rrf", "weighted"] = Field(description="Whether ranks (`rrf`) or scores (`weighted`) are summed.")
    legs: list[str] = Field(description="Names of the systems that are fused.")
    weights: dict[str, float] = Field(description="Weight of each leg, by its name.")
    rrf_k: int | None = Field(None, description="Constant of reciprocal rank fusion; null for `weighted`.")


class PipelineInfo(Fields):
    """A system's parts with their options: enough to tell two systems apart and to find the same one again."""

    encoder: EncodersInfo | None = Field(None, description="Its encoders; null where it searches by text alone.")
    store: Options | None = Field(
        None, description="Its store: `name`, `adapter` and the connection options as the adapter names them."
    )
    index: Options | None = Field(None, description="Its index options, as the adapter names them.")
    query: Options | None = Field(None, description="Its query options, as the adapter names them.")
    filter: Options | None = Field(None, description="Its conditions on metadata, by field; null where it has none.")
    fusion: FusionInfo | None = Field(None, description="How it fuses rankings; null where it does not.")
    run: str | None = Field(None, description="Name of the run file that it reads; null where it searches itself.")
    reranker: Options | None = Field(
        None, description="Its reranker: `name`, `adapter` and the options that the experiment gives it."
    )
    depth: int | None = Field(
        None, description="Candidates that a fusion or a reranker is given; null where neither follows."
    )
    k: int | None = Field(None, description="Length of its final rankings.")
    payload: Payload = Field("none", description="`text` where its searches return the documents' texts.")


class Index(Fields):
    """The effective index, read back from the engine."""

    type: str = Field(description="The engine's own word for its kind.")
    rows: int = Field(description="Rows that the engine holds.")
    rows_indexed: int = Field(description="Rows that its index covers.")
    flat: bool = Field(description="Whether a search is exact by construction.")
    adjusted: list[str] = Field(description="One sentence for each option that differs from what was asked for.")
    parameters: Options = Field(description="Options as they took effect, as the adapter names them.")
    builds: int = Field(description="How many builds the figures rest on.")
    reproducible: bool = Field(description="Whether building twice gives the same index.")
    built_at: str = Field(description="When it was built, in UTC.")
    note: str | None = Field(None, description="What a reader must know of this index; null where nothing is special.")


class Memory(Fields):
    """Resident bytes of what holds the index; null where not measured.

    This process holds models and corpus too: the build's part is its peak less what was there before. The first build
    by an engine counts the engine's own threads and buffers. A server holds its other collections too.
    """

    where: Literal["this process", "server"] = Field(
        description="Whose memory it is: that of `this process` or of the `server`."
    )
    build_before_bytes: int | None = Field(None, description="Bytes as the build began.")
    build_peak_bytes: int | None = Field(
        None, description="Most bytes during the build; of a server the highest of readings once a second."
    )
    search_peak_bytes: int | None = Field(
        None,
        description="Most bytes over the turns of the latency pass: this process's peak in each, a server's after it.",
    )


class UnknownDocuments(Fields):
    """Documents that a run file or a service found and the corpus does not hold."""

    count: int = Field(description="How many documents that were found the corpus does not hold.")
    of: int = Field(description="How many documents were found for the judged queries.")
    example: str = Field(description="Id of one of the unknown documents.")


class SystemResult(Fields):
    """One system. Of a status `not_indexed` or `void` the measures are null."""

    name: str = Field(description="The system's name, unique in the experiment.")
    status: SystemStatus = Field(
        description="How the system ended: `success`, `partial`, `not_indexed`, `void`, `error` or `cancelled`; "
        "`started` while the run goes on."
    )
    error: str | None = Field(None, description="Why it did not succeed; null where it did.")
    incomplete: bool | None = Field(
        None,
        description="Whether queries failed or more than 1 % of what it ranks is missing, so that it is never called "
        "better; null where it was not measured or an older version wrote this.",
    )
    hash: str = Field(description="Digest of its pipeline, by which two results match their systems.")
    pipeline: PipelineInfo = Field(description="Its parts with their options.")
    index: Index | None = Field(None, description="Its index, read back from the engine; null where it has none.")
    measures: dict[str, MeasureValue] = Field({}, description="Values of the measures, by measure.")
    against_baseline: dict[str, Against] = Field({}, description="Differences to the baseline, by measure.")
    ann_recall: dict[str, float | None] = Field(
        {}, description="Recall against exact search, by cut-off; null for text and hybrid search."
    )
    builds: list[dict[str, float | None]] = Field(
        [], description="Means of each build or seed by measure, where there are several."
    )
    models: dict[str, str] = Field(
        {},
        description="Trained models that it uses, by the part that does, such as `encoders.tuned`; empty where all its "
        "parts are as they came.",
    )
    seeds: list[int] = Field(
        [], description="Seeds of its trained models, in the order of its builds; empty where it uses none."
    )
    chosen_seed: int | None = Field(
        None, description="Seed whose models its latency was measured with; null where it uses no trained model."
    )
    loss: list[Loss] = Field([], description="Where quality goes, one entry for each stage.")
    latency: Latency | None = Field(None, description="Its times under the first load point; null where not measured.")
    latency_against_baseline: dict[str, LatencyAgainst] = Field(
        {},
        description="Its times against the baseline's by figure: `own p50`, and `total p95` where every round has 100 "
        "samples. Each is a family of its own.",
    )
    loads: list[Latency] = Field([], description="Its times under each load point.")
    truncated_texts: int = Field(0, description="How many texts were cut at the model's maximum length.")
    documents_without_direction: int = Field(
        0,
        description="How many documents have a zero vector where vectors are compared by cosine: no query finds them.",
    )
    queries_without_direction: int = Field(
        0, description="How many queries have a zero vector where vectors are compared by cosine: they find nothing."
    )
    documents_without_vector: int = Field(
        0, description="How many documents their encoder's service refused: they cannot be found."
    )
    truncated_pairs: int | None = Field(
        None,
        description="How many pairs of query and document were cut at the reranker's length; null where not known.",
    )
    unscored_pairs: int = Field(0, description="How many pairs the reranker's service refused: they were ranked last.")
    queries_without_terms: int | None = Field(
        None,
        description="How many queries have no term that stands in the index; null for a system that does not search "
        "by text.",
    )
    queries_without_line: int | None = Field(
        None,
        description="How many judged queries the run file does not hold: they found nothing and score 0. It is null "
        "for a system that searches itself.",
    )
    unknown_documents: UnknownDocuments | None = Field(
        None, description="Documents it found that the corpus does not hold; null where there are none."
    )
    build_seconds: float | None = Field(None, description="Seconds that its index took to build.")
    index_bytes: int | None = Field(None, description="Bytes of its index on disk; on a server those of all its nodes.")
    memory: Memory | None = Field(None, description="What held its index; null for a system without one of its own.")
    usage: Used = Field(Used(), description="What its services reported, summed over the parts.")
    cost: Cost | None = Field(None, description="What it costs, in US dollars.")
    notes: list[str] = Field([], description="What a reader must know of it, a sentence or phrase each.")
