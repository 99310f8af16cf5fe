"""All results below some folders: a line for each, and one table of what each system was made of and what it measured.

What was not measured leaves its cell empty, and is never 0.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.messages.wording import counted, no_formula, writable
from bench.report import synthetic
from bench.report.cells import DASH, grid, number
from bench.report.layout import cleaned
from bench.results.folders import results_below
from bench.results.model import Result, ResultUnreadable, SystemResult, read_result

_FIRST = (
    "result", "experiment", "started_at", "run_status", "dataset", "split", "documents", "judged", "queries",
    "baseline", "system", "status", "error",
)  # fmt: skip
_PARTS = ("store", "index", "query", "reranker")
SORTS = ("started", "experiment", "dataset", "status", "measure")
"""By what a list is sorted; `measure` puts the highest first, among results of the same measure."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A result as a list shows it. folder: where it lies; result: None where it cannot be read, which `fault` says."""

    folder: Path
    result: Result | None
    fault: str | None = None

    @property
    def experiment(self) -> str:
        """The experiment's name; the folder's where it cannot be read."""
        named = self.result.experiment.get("experiment") if self.result is not None else None
        return str(named) if named else self.folder.parent.name

    @property
    def started(self) -> str:
        """Day and minute of its beginning, in UTC."""
        return DASH if self.result is None else self.result.started_at[:16].replace("T", " ")

    @property
    def status(self) -> str:
        """How its run ended, or `unreadable`."""
        return "unreadable" if self.result is None else self.result.status

    @property
    def dataset(self) -> str:
        """Its collection, with the split."""
        if self.result is None:
            return DASH
        data = self.result.dataset
        return data.name if data.split is None else f"{data.name} ({data.split})"

    @property
    def highest(self) -> tuple[float, str] | None:
        """The highest mean of the primary measure, and the system that has it; None where nothing was measured."""
        if self.result is None:
            return None
        means = [
            (value.mean, system.name)
            for system in self.result.systems
            if (value := system.measures.get(self.result.primary)) is not None and value.mean is not None
        ]
        return max(means, key=lambda each: each[0], default=None)

    def holds(self, words: str) -> bool:
        """Whether all of these words stand in what a list shows of it, in any order and case."""
        told = [self.experiment, self.dataset, self.status, self.started, str(self.folder), self.fault or ""]
        if self.result is not None:
            told += [self.result.primary, *(system.name for system in self.result.systems)]
        text = " ".join(told).casefold()
        return all(word in text for word in words.casefold().split())


def all_results(places: Iterable[Path]) -> list[Listed]:
    """All results below some folders, each once, the newest first. Those that cannot be read are among them."""
    found: dict[Path, Listed] = {}
    for place in places:
        for folder in results_below(place):
            if (known := folder.resolve()) not in found:
                found[known] = listed_result(folder)
    return in_order(list(found.values()), "started")


def listed_result(folder: Path) -> Listed:
    """A result that lies in a folder."""
    try:
        return Listed(folder, read_result(folder))
    except ResultUnreadable as error:
        return Listed(folder, None, str(error))


def in_order(results: Sequence[Listed], by: str) -> list[Listed]:
    """In the order of one of SORTS; those that are equal in it stand newest first."""
    newest = sorted(results, key=_by_time, reverse=True)
    if by == "started":
        return newest
    if by == "measure":
        return sorted(newest, key=_by_measure)
    return sorted(newest, key=lambda each: str(getattr(each, by)).casefold())


def _by_time(each: Listed) -> tuple[str, str]:
    return each.result.started_at if each.result is not None else "", each.folder.name


def _by_measure(each: Listed) -> tuple[bool, str, float]:
    highest = each.highest
    if each.result is None or highest is None:
        return True, "", 0.0
    return False, each.result.primary, -highest[0]


# -- a list --------------------------------------------------------------------------------------------------------

HEADER = ("started", "experiment", "dataset", "systems", "status", "measure", "highest", "by", "folder")


def rows_of(results: Sequence[Listed]) -> list[list[str]]:
    """A row for each result, under HEADER: texts on one line."""
    return [[cleaned(cell) for cell in _row(each)] for each in results]


def _row(each: Listed) -> list[str]:
    systems = str(len(each.result.systems)) if each.result is not None else DASH
    primary = each.result.primary if each.result is not None else DASH
    highest, by = (number(each.highest[0]), each.highest[1]) if each.highest is not None else (DASH, DASH)
    return [each.started, each.experiment, each.dataset, systems, each.status, primary, highest, by, str(each.folder)]


def listed(results: Sequence[Listed]) -> str:
    """The list for a terminal, ending in a line break."""
    lines = grid([HEADER, *rows_of(results)])
    lines += [f"! {cleaned(each.fault)}" for each in results if each.fault is not None]
    lines.append(f"· {counted(len(results), 'result')}")
    return "".join(f"{line}\n" for line in lines)


def as_values(results: Sequence[Listed]) -> list[dict[str, Any]]:
    """The list for programs. What is not known is null."""
    return [
        {
            "folder": str(each.folder.resolve()),
            "experiment": each.experiment,
            "started_at": each.result.started_at if each.result else None,
            "status": each.status,
            "dataset": each.result.dataset.name if each.result else None,
            "split": each.result.dataset.split if each.result else None,
            "synthetic": synthetic.is_evaluated(each.result) if each.result else None,
            "systems": [system.name for system in each.result.systems] if each.result else None,
            "primary": each.result.primary if each.result else None,
            "highest": each.highest[0] if each.highest else None,
            "highest_system": each.highest[1] if each.highest else None,
            "fault": each.fault,
        }
        for each in results
    ]


# -- one table of all systems --------------------------------------------------------------------------------------


def as_csv(results: Sequence[Listed]) -> str:
    """A row for each system of each result: its parts with their options, its measures, times and costs. No text is
    taken for a formula. Results that cannot be read have a row with the cause."""
    rows = [row for each in results for row in _rows(each)]
    names = list(dict.fromkeys([*_FIRST, *_in_groups(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, [no_formula(name) for name in names], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({no_formula(name): _cell(value) for name, value in row.items()})
    return text.getvalue()


def _in_groups(names: Iterable[str]) -> list[str]:
    """Columns of one kind beside each other, in the order in which the kinds come up."""
    groups: dict[str, dict[str, None]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0], {})[name] = None
    return [name for group in groups.values() for name in group]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return no_formula(writable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return value


def _rows(each: Listed) -> Iterator[dict[str, Any]]:
    result = each.result
    if result is None:
        yield {"result": str(each.folder), "run_status": each.status, "error": each.fault}
        return
    data = result.dataset
    about = {
        "result": str(each.folder),
        "experiment": each.experiment,
        "started_at": result.started_at,
        "run_status": result.status,
        "dataset": data.name,
        "split": data.split,
        "documents": data.documents,
        "judged": data.judged,
        "queries": synthetic.WORD if synthetic.is_evaluated(result) else "given",
        "baseline": result.baseline,
    }
    for system in result.systems:
        yield {**about, "system": system.name, **_system(system, result)}


def _system(system: SystemResult, result: Result) -> dict[str, Any]:
    row: dict[str, Any] = {"status": system.status, "error": system.error, **_parts(system)}
    for name, value in system.measures.items():
        low, high = value.interval or (None, None)
        row |= {name: value.mean, f"{name}.low": low, f"{name}.high": high}
        row |= {f"{name}.queries": value.queries, f"{name}.failed": value.failed}
    if (against := system.against_baseline.get(result.primary)) is not None:
        low, high = against.interval or (None, None)
        row |= {"against.difference": against.difference, "against.low": low, "against.high": high}
        row |= {"against.p_corrected": against.p_corrected, "against.verdict": against.verdict}
    row |= {f"ann_recall.{name}": value for name, value in system.ann_recall.items()}
    latency, cost = system.latency, system.cost
    own, total = (latency.own, latency.total) if latency is not None else (None, None)
    return {
        **row,
        "build_seconds": system.build_seconds,
        "index_bytes": system.index_bytes,
        "own_p50_ms": own.p50_ms if own is not None else None,
        "total_p50_ms": total.p50_ms if total is not None else None,
        "total_p95_ms": total.p95_ms if total is not None else None,
        "usd_per_1000_queries": cost.per_1000_queries_usd if cost is not None else None,
        "corpus_usd": cost.corpus_usd if cost is not None else None,
    }


def _parts(system: SystemResult) -> dict[str, Any]:
    """What the system was made of, an option a column: `encoder.model`, `index.type`."""
    parts = system.pipeline
    row: dict[str, Any] = {}
    if parts.encoder is not None:
        query, document = parts.encoder.query, parts.encoder.document
        row |= _flat("encoder", query or document or {})
        if query is not None and document is not None and query != document:
            row |= _flat("document_encoder", document)
    for name in _PARTS:
        row |= _flat(name, getattr(parts, name) or {})
    row |= _flat("trained", system.models) | {"trained.chosen_seed": system.chosen_seed}
    if parts.fusion is not None:
        row |= _flat("fusion", parts.fusion.model_dump(mode="json"))
    return row | {
        "filter": parts.filter,
        "run_file": parts.run,
        "depth": parts.depth,
        "k": parts.k,
        "payload": parts.payload,
    }


def _flat(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Options as columns; those of a mapping inside are named `outer.inner`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = f"{name}.{key}"
        found |= _flat(inner, value) if isinstance(value, Mapping) else {inner: value}
    return found
