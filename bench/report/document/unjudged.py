"""Documents that nobody judged: how many stand among the first hits, and how far they could move the measure that
decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.report.document.source import Source
from bench.statistics.measure_names import Measure
from bench.statistics.measures import Judgements, evaluate

MOST = 8
"""Systems that bounds are worked out for, the best ones."""


def bounds(source: Source) -> list[Mapping[str, Any]]:
    """Of the best systems: the share of unjudged documents among the first hits, and the mean if none, or all, of them
    were relevant; of several builds, over all of them. A filter restricts what could be judged, so systems under one
    are left out."""
    result, figures = source.result, source.figures
    if figures is None or not source.judgements:
        return []
    measure = Measure.parse(result.primary)
    if not measure.needs_judgements or measure.kind == "Judged":
        return []
    found: list[Mapping[str, Any]] = []
    for place in source.order:
        if len(found) == MOST:
            break
        if source.primary(place) is None or source.systems[place].pipeline.filter is not None:
            continue
        builds = [
            [source.hits(rankings, query)[: measure.cutoff] for query in figures.query_ids]
            for rankings in source.all_rankings(place)
        ]
        if builds:
            each = [_bound(hits, source, measure) for hits in builds]
            found.append({"system": source.systems[place].name} | {key: _over(each, key) for key in each[0]})
    return found


def _over(bounds: Sequence[Mapping[str, float | None]], key: str) -> float | None:
    """The mean over builds; None where one has none."""
    values = [value for bound in bounds if (value := bound[key]) is not None]
    return sum(values) / len(values) if len(values) == len(bounds) else None


def _bound(hits: Sequence[Sequence[str]], source: Source, measure: Measure) -> dict[str, float | None]:
    assert source.figures is not None
    grades = [source.judgements.get(query, {}) for query in source.figures.query_ids]
    names = {
        name: place
        for place, name in enumerate(dict.fromkeys(document for one in (*hits, *grades) for document in one))
    }
    rows = np.full((len(hits), measure.cutoff), -1, np.int32)
    for place, found in enumerate(hits):
        rows[place, : len(found)] = [names[document] for document in found]
    both = list(zip(hits, grades, strict=True))
    unjudged = [[document for document in found if document not in known] for found, known in both]
    seen = sum(map(len, hits))
    better = [known | dict.fromkeys(unknown, measure.rel) for known, unknown in zip(grades, unjudged, strict=True)]
    return {
        "unjudged": sum(map(len, unjudged)) / seen if seen else None,
        "none": _mean(rows, grades, names, measure),
        "all": _mean(rows, better, names, measure),
    }


def _mean(
    rows: np.ndarray[Any, np.dtype[np.int32]],
    grades: Sequence[Mapping[str, int]],
    names: Mapping[str, int],
    measure: Measure,
) -> float | None:
    pairs = [(query, names[document], grade) for query, known in enumerate(grades) for document, grade in known.items()]
    queries, documents, values = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    judged = Judgements.from_pairs(queries, documents, values, query_count=len(grades))
    found = evaluate([measure], rows, judged)[measure]
    return None if found is None else float(found.mean())
