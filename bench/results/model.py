"""Result: what a run leaves on disk. Written as "started" first, replaced atomically, read without any service."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from bench.cache.artifacts import write_atomically
from bench.cache.own_files import read_own
from bench.messages.secrets import redacted_values
from bench.results.cost import Cost, PartOfCost, Used
from bench.results.fields import Fields, Options
from bench.results.fronts import Front, OnFront, Target
from bench.results.history import FORMAT
from bench.results.latency import Encoding, Ingest, Latency, LatencyAgainst, StageLatency
from bench.results.provenance import DatasetInfo, Machine, Provenance
from bench.results.quality import Against, DetectableBasis, Loss, MeasureValue
from bench.results.seal import changes, sealed
from bench.results.system import Index, Memory, PipelineInfo, SystemResult, SystemStatus, UnknownDocuments
from bench.results.training import (
    Leak,
    Leaks,
    MinedNegatives,
    TrainedModel,
    TrainedSeed,
    Variant,
    mean_over_seeds,
)

__all__ = [
    "FORMAT",
    "RESULT_FILE",
    "Against",
    "Cost",
    "DatasetInfo",
    "DetectableBasis",
    "Done",
    "Encoding",
    "Front",
    "Index",
    "Ingest",
    "Latency",
    "LatencyAgainst",
    "Leak",
    "Leaks",
    "Loss",
    "Machine",
    "MeasureValue",
    "Memory",
    "MinedNegatives",
    "OnFront",
    "PartOfCost",
    "PipelineInfo",
    "Provenance",
    "Result",
    "ResultUnreadable",
    "StageLatency",
    "Status",
    "SystemResult",
    "SystemStatus",
    "Target",
    "Tracked",
    "TrainedModel",
    "TrainedSeed",
    "UnknownDocuments",
    "Used",
    "Variant",
    "WorkDone",
    "check_unchanged",
    "mean_over_seeds",
    "read_result",
    "result_schema",
    "write_result",
]

RESULT_FILE = "result.json"
PACKAGE = "retrieval-bench"
CUT_SHORT = "it is cut short. Copy the folder again, or run the experiment again: what was computed is in the cache"

Status = Literal["started", "success", "partial", "error", "cancelled"]


class ResultUnreadable(Exception):
    """A result folder that this version cannot read; says why. newer: a later version wrote it."""

    def __init__(self, message: str, *, newer: bool = False) -> None:
        super().__init__(message)
        self.newer = newer


class Done(Fields):
    """How much of one kind of work was done."""

    computed: int = Field(0, description="Units that this run computed.")
    reused: int = Field(0, description="Units that came from the cache.")


class WorkDone(Fields):
    """Distinct units that the quality pass needed."""

    texts_embedded: Done = Field(Done(), description="Distinct texts that were embedded, per encoder.")
    indexes_built: Done = Field(Done(), description="Indexes that were built.")
    queries_searched: Done = Field(Done(), description="Queries that were searched, per search.")
    pairs_scored: Done = Field(Done(), description="Pairs of query and document that were scored, per reranker.")


class Tracked(Fields):
    """What a tracker delivered."""

    tracker: str = Field(description="Name of the tracker in the experiment.")
    sent: int = Field(description="How many rows arrived.")
    unsent: int = Field(description="How many rows did not arrive; `bench track` sends them later.")
    link: str | None = Field(None, description="Where to look at it; null where there is no such place.")
    notes: list[str] = Field([], description="Why rows were not sent, a sentence each.")


class Result(Fields):
    """result.json. Within a format version fields are only added."""

    format: int = Field(FORMAT, description="Version of this format.")
    status: Status = Field(
        description="How the run ended: `success`, `partial`, `error` or `cancelled`; `started` while it goes on."
    )
    experiment: Options = Field(description="The experiment file as it was run, with `--set` applied.")
    config_hash: str = Field(description="Digest of everything in the experiment that can change a result.")
    started_at: str = Field(description="When the run began, in UTC.")
    finished_at: str | None = Field(None, description="When the run ended, in UTC; null while it goes on.")
    dataset: DatasetInfo = Field(description="What was searched.")
    provenance: Provenance = Field(
        description="Where the result comes from: code, packages, machine, and who answered."
    )
    baseline: str | None = Field(description="System that the others are compared with; null where there is none.")
    primary: str = Field(description="Measure that decides.")
    margin: float | None = Field(
        description="How much worse in the primary measure does not matter; null where the experiment does not say."
    )
    latency_margin: float | None = Field(
        None, description="Ratio to the baseline's times that still is not slower; null where the experiment says none."
    )
    detectable_difference: float | None = Field(
        None, description="Smallest difference of the primary measure that this test set shows reliably."
    )
    detectable_basis: DetectableBasis | None = Field(
        None, description="What that difference rests on; null in older results."
    )
    work: WorkDone = Field(WorkDone(), description="What the quality pass computed and reused.")
    latency_samples: int = Field(0, description="Live samples that this run took; reused ones are not counted.")
    encoding: list[Encoding] = Field([], description="What the encoders take live, each once per load point.")
    latency_notes: list[str] = Field(
        [], description="How the latency pass differed from what was asked, and why, a sentence each."
    )
    warnings: list[str] = Field([], description="What a reader must know before using a figure, a sentence each.")
    systems: list[SystemResult] = Field([], description="One entry for each system.")
    models: list[TrainedModel] = Field([], description="Models that the experiment trained, in the order of its file.")
    tracked: list[Tracked] = Field([], description="What the trackers delivered, one entry for each.")
    fronts: list[Front] = Field([], description="What quality costs in time, for systems that search one build.")
    targets: list[Target] = Field([], description="Cheapest setting of each engine that reaches a target.")
    files: dict[str, str] = Field(
        {}, description="Digests of the run files and tables in the folder, as they were written."
    )
    digest: str | None = Field(None, description="Digest of all other fields, as they were written.")


def write_result(folder: Path, result: Result) -> None:
    """Replace result.json whole."""
    values = sealed(redacted_values(result.model_dump(mode="json")))
    text = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / RESULT_FILE, (text + "\n").encode("utf-8"))


def read_result(folder: Path) -> Result:
    """Read a result folder. What in it is not as its run wrote it stands among the warnings; fields that this version
    does not know are left out, at every level.

    Raises ResultUnreadable with the cause and the cure.
    """
    path = folder / RESULT_FILE if folder.is_dir() else folder
    raw = _values(path)
    number = raw.get("format") if isinstance(raw, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ResultUnreadable(f"{path}: is not a result (it has no format version).")
    if number > FORMAT:
        raise ResultUnreadable(
            f"{path}: was written in format {number}; this version reads up to {FORMAT}. "
            f"Upgrade: pip install --upgrade {PACKAGE}{_releases(raw)}",
            newer=True,
        )
    try:
        result = Result.model_validate(raw, extra="ignore")
        result.warnings += [f"{change}." for change in changes(path.parent, raw)]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ResultUnreadable(
            f"{path}: {where}: {first['msg']}. No run wrote this. Copy the folder again, or run the experiment again."
        ) from error
    except RecursionError as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
    return result


def _values(path: Path) -> Any:
    """What a file of JSON holds. Raises ResultUnreadable."""
    try:
        text = read_own(path)
    except FileNotFoundError:
        raise ResultUnreadable(f"{path}: there is no such file. A result folder holds {RESULT_FILE}.") from None
    except OSError as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, numbers of thousands of digits
        cause = CUT_SHORT if _cut(text, error) else error
        raise ResultUnreadable(f"{path}: cannot be read: {cause}.") from error


def _cut(text: bytes, error: Exception) -> bool:
    """Whether a text is the beginning of one that is JSON, as far as its end tells."""
    end = text.rstrip()
    if not end:
        return True
    if isinstance(error, UnicodeDecodeError):
        return error.end == len(text) and error.reason == "unexpected end of data"
    return isinstance(error, json.JSONDecodeError) and (
        not end.endswith(b"}") or error.msg.startswith("Unterminated") or error.pos >= len(end.decode("utf-8"))
    )


def _releases(raw: dict[str, Any]) -> str:
    """Which release wrote a result, where it says so, and which one this is."""
    provenance = raw.get("provenance")
    packages = provenance.get("packages") if isinstance(provenance, dict) else None
    wrote = packages.get(PACKAGE) if isinstance(packages, dict) else None
    if not isinstance(wrote, str):
        return ""
    try:
        return f" ({wrote[:40]} wrote it, this is {version(PACKAGE)})"
    except PackageNotFoundError:
        return f" ({wrote[:40]} wrote it)"


def check_unchanged(folder: Path) -> None:
    """Raise ResultUnreadable where a result's folder is not as its run wrote it."""
    for change in changes(folder, json.loads(read_own(folder / RESULT_FILE))):
        raise ResultUnreadable(f"{change}.")


def result_schema() -> dict[str, Any]:
    """The JSON schema of result.json, of this version and of all that add fields to it."""
    schema = Result.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        del model["additionalProperties"]  # what makes a result is held to its fields; who reads one is not
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
