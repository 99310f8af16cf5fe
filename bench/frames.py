"""A result as data frames, for whoever analyses it in Python: `bench.load(RESULT)`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.results.folders import result_in
from bench.results.model import Result, ResultUnreadable, SystemResult, read_result
from bench.results.per_query import PER_QUERY
from bench.results.rankings import Rankings, run_file, shown_build
from bench.results.texts import KeptTexts, read_judgements, read_query_texts

if TYPE_CHECKING:
    import pandas as pd

# Columns by their types. A text or a count that is not known is missing, a figure is NaN.
_TEXT, _FIGURE, _COUNT, _FLAG = "string", "float64", "Int64", "boolean"
_SYSTEMS = {
    **dict.fromkeys(("system", "status", "encoder", "store", "index", "fusion", "reranker", "filter"), _TEXT),
    "build_seconds": _FIGURE,
    "index_bytes": _COUNT,
    **dict.fromkeys(("own_p50_ms", "total_p50_ms", "total_p95_ms", "usd_per_1000_queries", "corpus_usd"), _FIGURE),
    "error": _TEXT,
}
_MEASURES = {
    "system": _TEXT,
    "measure": _TEXT,
    "mean": _FIGURE,
    "low": _FIGURE,
    "high": _FIGURE,
    "queries": _COUNT,
    "failed": _COUNT,
    **dict.fromkeys(("difference", "difference_low", "difference_high", "percent", "p", "p_corrected"), _FIGURE),
    "verdict": _TEXT,
    "wins": _COUNT,
    "ties": _COUNT,
    "losses": _COUNT,
}
_PER_QUERY = {"system": _TEXT, "build": _COUNT, "query_id": _TEXT, "cluster": _COUNT, "failed": _FLAG}
_TIMINGS = {"system": _TEXT, "load": _TEXT, "phase": _TEXT, "query_id": _TEXT, "total_seconds": _FIGURE}
_KEPT = {"text": _TEXT, "cut": _FLAG, "characters": _COUNT}
_JUDGEMENTS = {"query_id": _TEXT, "document_id": _TEXT, "grade": _COUNT}
_RANKINGS = {"system": _TEXT, "query_id": _TEXT, "place": _COUNT, "document_id": _TEXT, "score": _FIGURE}


class Frames:
    """The data frames of one result. Each is read when it is asked for first, and kept; docs/python.md has the columns
    with their units. What was not measured is null, never 0.

    folder: where the result lies; result: what its result.json holds.
    """

    def __init__(self, folder: Path, result: Result) -> None:
        self.folder = folder
        self.result = result

    def __repr__(self) -> str:
        return f"<result {self.folder}: {len(self.result.systems)} systems, {self.result.status}>"

    @cached_property
    def systems(self) -> pd.DataFrame:
        """A row for each system: its parts, what its index took, its times and its cost."""
        return _frame(map(_system, self.result.systems), _SYSTEMS)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row for each system and measure: the mean with its interval, and the comparison with the baseline."""
        return _frame((row for system in self.result.systems for row in _measures(system)), _MEASURES)

    @cached_property
    def per_query(self) -> pd.DataFrame:
        """A row for each system, build and query, a column for each measure."""
        return self._table(PER_QUERY, _PER_QUERY)

    @cached_property
    def timings(self) -> pd.DataFrame:
        """A row for each query that was sent in the latency pass, warm-up included; none where there was no such
        pass."""
        return self._table("timings.parquet", _TIMINGS)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """A row for each judged query: its text as far as it is kept, and its metadata."""
        texts = KeptTexts(self.folder)
        if texts.kept:
            kept: pd.DataFrame = texts.query_table().drop_columns(["kind", "title"]).to_pandas()
            return kept.rename(columns={"id": "query_id"})
        found = read_query_texts(self.folder)
        names = list(dict.fromkeys([*self.per_query["query_id"], *found]))
        rows = [{"query_id": name, **_text(found[name])} if name in found else {"query_id": name} for name in names]
        return _frame(rows, {"query_id": _TEXT, **_KEPT})

    @cached_property
    def texts(self) -> pd.DataFrame:
        """A row for each document that is kept: those that are relevant to a query or among the first hits of a
        system."""
        rows = KeptTexts(self.folder).all_documents()
        return _frame(
            ({"document_id": text.id, "title": text.title, **_text(text)} for text in rows),
            {"document_id": _TEXT, "title": _TEXT, **_KEPT},
        )

    @cached_property
    def judgements(self) -> pd.DataFrame:
        """A row for each judgement of a judged query."""
        judged = read_judgements(self.folder) or {}
        return _frame(
            (
                {"query_id": query, "document_id": document, "grade": grade}
                for query, grades in judged.items()
                for document, grade in grades.items()
            ),
            _JUDGEMENTS,
        )

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """A row for each hit of each system, of the build that a user would take."""
        import pandas as pd

        queries = frozenset(self.per_query["query_id"])
        documents = frozenset(self.judgements["document_id"]) | KeptTexts(self.folder).document_ids()
        parts = []
        for system in self.result.systems:
            ranking = Rankings(run_file(self.folder, system.name, shown_build(system)), queries, documents)
            if ranking.kept:
                parts.append(ranking.table().to_pandas().assign(system=system.name)[list(_RANKINGS)])
        return pd.concat(parts, ignore_index=True) if parts else _frame([], _RANKINGS)

    def _table(self, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
        """A table of the folder; an empty one where it is absent."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / name
        if not path.is_file():
            return _frame([], columns)
        try:
            frame: pd.DataFrame = pq.read_table(path).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
        return frame


def load(result: str | os.PathLike[str]) -> Frames:
    """Read a result: its folder, its result.json, or a folder of results, of which the newest is taken.

    Raises `bench.results.model.ResultUnreadable`, which says what is wrong and what to do.
    """
    folder = result_in(Path(result).expanduser())
    return Frames(folder, read_result(folder))


def _frame(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    known = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in known], dtype=kind) for name, kind in columns.items()}
    )


def _text(text: Any) -> dict[str, Any]:
    return {"text": text.text, "cut": text.cut, "characters": text.characters}


def _system(system: SystemResult) -> dict[str, Any]:
    parts, latency, cost = system.pipeline, system.latency, system.cost
    encoder = parts.encoder.query or parts.encoder.document if parts.encoder else None
    own, total = (latency.own, latency.total) if latency else (None, None)
    return {
        "system": system.name,
        "status": system.status,
        "encoder": encoder.get("name") if encoder else None,
        "store": parts.store.get("name") if parts.store else None,
        "index": system.index.type if system.index else None,
        "fusion": ", ".join(parts.fusion.legs) if parts.fusion else None,
        "reranker": parts.reranker.get("name") if parts.reranker else None,
        "filter": json.dumps(parts.filter, ensure_ascii=False) if parts.filter is not None else None,
        "build_seconds": system.build_seconds,
        "index_bytes": system.index_bytes,
        "own_p50_ms": own.p50_ms if own else None,
        "total_p50_ms": total.p50_ms if total else None,
        "total_p95_ms": total.p95_ms if total else None,
        "usd_per_1000_queries": cost.per_1000_queries_usd if cost else None,
        "corpus_usd": cost.corpus_usd if cost else None,
        "error": system.error,
    }


def _measures(system: SystemResult) -> Iterable[dict[str, Any]]:
    for name, value in system.measures.items():
        row: dict[str, Any] = {"system": system.name, "measure": name, "mean": value.mean}
        row |= {"queries": value.queries, "failed": value.failed}
        row["low"], row["high"] = value.interval or (None, None)
        if (against := system.against_baseline.get(name)) is not None:
            row |= against.model_dump(exclude={"interval", "queries_to_decide"})
            row["difference_low"], row["difference_high"] = against.interval or (None, None)
        yield row
