"""The version of result.json, and what each release added to it. Within a version fields are only added, so that a
result of an older release stays readable, and a release that does not know a field leaves it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FORMAT = 1


class Added(NamedTuple):
    """What a release added to a version of the format. fields: by model, separated by blanks."""

    format: int
    release: str
    day: str
    what: str
    fields: Mapping[str, str]


HISTORY = (
    Added(
        1,
        "0.1.0",
        "2026-11-23",
        "The first results: measures, comparisons, indexes and times of systems.",
        {
            "Result": (
                "format status experiment config_hash started_at finished_at dataset provenance baseline primary "
                "margin detectable_difference work latency_samples warnings systems fronts targets"
            ),
            "Against": "difference percent interval p p_corrected verdict queries_to_decide wins ties losses",
            "DatasetInfo": "name split fingerprint documents queries judged only_positives notes warnings provenance",
            "Done": "computed reused",
            "EncodersInfo": "document query",
            "FusionInfo": "by legs weights rrf_k",
            "Index": "type rows rows_indexed flat adjusted parameters builds reproducible built_at note",
            "Latency": (
                "load mode workers rate measured_at reused distinct_queries agreement failed achieved_per_second "
                "saturated client_share wait encode search fuse rerank total"
            ),
            "Loss": "stage measure mean interval leg",
            "Machine": "processor cores memory_bytes system release python",
            "MeasureValue": "mean interval queries failed",
            "PipelineInfo": "encoder store index query filter fusion run reranker depth k",
            "Provenance": "commit dirty packages machine addresses seed resumed",
            "StageLatency": "p50_ms p95_ms p99_ms samples",
            "SystemResult": (
                "name status error hash pipeline index measures against_baseline ann_recall builds loss latency "
                "loads truncated_texts build_seconds index_bytes usage cost notes"
            ),
            "WorkDone": "texts_embedded indexes_built queries_searched pairs_scored",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-23",
        "What services used and what a system costs.",
        {
            "Used": "requests tokens search_units retries waited_seconds",
            "PriceUsed": "provider model unit usd source read_on",
            "PartOfCost": "part of count provider model usd price seconds usage",
            "ProjectedCost": "documents queries_per_month corpus_usd monthly_usd",
            "Cost": "currency corpus_usd per_1000_queries_usd machine_usd_per_hour projection parts",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-23",
        "The cheapest setting for a target, and fronts of quality against time.",
        {
            "Front": "encoder filter measure systems",
            "OnFront": "name quality p95_ms per_second bytes on_front",
            "Target": (
                "encoder engine index index_type reranker filter measure target system setting mean interval "
                "builds chosen_on reported_on settings bound best_bound attainable loads build_seconds "
                "index_bytes"
            ),
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-23",
        "What trackers delivered, and the folder that relative paths start from.",
        {
            "Tracked": "tracker sent unsent link notes",
            "Result": "tracked",
            "Provenance": "base",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-23",
        "Memory of builds and searches, rows written while queries run, and who else took the processors.",
        {
            "Latency": "others_share processes ingest",
            "Memory": "where build_before_bytes build_peak_bytes search_peak_bytes",
            "SystemResult": "memory",
            "Target": "memory",
            "Ingest": (
                "rows rows_while_searching rows_per_second achieved_per_second kept_up batch batches p50_ms "
                "p95_ms failed_batches rows_expected rows_held_after found_after error"
            ),
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Times in rounds: what encoders take once for all systems, a system's own part, and disturbed rounds.",
        {
            "Encoding": "encoder load latency systems disturbed_rounds",
            "Latency": "disturbances disturbed_rounds encoders own rounds turn_seconds",
            "Result": "encoding latency_margin latency_notes",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Counts of what a ranking lacks: own documents, queries without a line, refused texts and pairs.",
        {
            "DatasetInfo": "own_documents_left_out",
            "SystemResult": (
                "queries_without_line unknown_documents documents_without_direction queries_without_direction "
                "documents_without_vector truncated_pairs unscored_pairs queries_without_terms"
            ),
            "UnknownDocuments": "count of example",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Verdicts on times, and how sure money from time is.",
        {
            "LatencyAgainst": "ratio interval p p_corrected verdict rounds rounds_to_decide",
            "SystemResult": "latency_against_baseline",
            "OnFront": "not_told_apart",
            "Target": "not_told_apart",
            "Cost": "per_1000_queries_interval_usd disturbed",
            "ProjectedCost": "monthly_interval_usd",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Engines outside the process, with version and address.",
        {
            "Provenance": "servers",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Digests of the files, which tell what changed after the run.",
        {
            "Result": "files digest",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Whether a system is incomplete, so that verdicts can be computed again from a result's files.",
        {
            "SystemResult": "incomplete",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Whether searches return the documents' texts.",
        {
            "PipelineInfo": "payload",
            "Front": "payload",
            "Target": "payload",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Models that the experiment trained, and the seeds of systems that use them.",
        {
            "Result": "models",
            "SystemResult": "models seeds chosen_seed",
            "TrainedModel": (
                "name makes recipe base options measure seeds chosen_seed worse_than_base pairs leaks near_copies "
                "negatives variants error notes"
            ),
            "TrainedSeed": (
                "seed key dev dev_base kept_step steps seconds device precision reused resumed_from before after"
            ),
            "Leaks": "count examples",
            "Leak": "training evaluation split",
            "MinedNegatives": "strategy per_query wanted found dropped relevant_elsewhere",
            "Variant": "options dev kept",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Judgements and texts in files of their own.",
        {},
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "What models that write text used and cost.",
        {
            "Used": "output_tokens",
            "PriceUsed": "output_usd",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "What the smallest difference that is shown rests on.",
        {
            "Result": "detectable_basis",
            "DetectableBasis": "deviation system systems",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "Queries that a generator wrote.",
        {
            "DatasetInfo": "synthetic",
            "SyntheticQueries": (
                "used_for generator provider model address language documents queries dropped round_trip_system "
                "round_trip_top tokens output_tokens usd notes"
            ),
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-26",
        "What trained models learned from, where that is not judgements.",
        {
            "TrainedModel": "learns_from",
        },
    ),
    Added(
        1,
        "0.1.0",
        "2026-11-27",
        "Who wrote negatives that are no documents.",
        {
            "MinedNegatives": "generator",
        },
    ),
)
