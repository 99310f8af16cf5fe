"""Quality by group of queries: how long they are, in which script they are written, and what their metadata says."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.report.document.forms import text_of
from bench.report.document.source import Source
from bench.statistics.measure_names import Measure
from bench.statistics.significance import builds_interval

FEWEST = 5
"""Queries under which a group is not shown."""
MOST_SYSTEMS = 4
MOST_GROUPS = 8
_MOST_VALUES = 40
_RESAMPLES = 2_000


class _Grouping(NamedTuple):
    """by: what the queries are grouped by. labels: of each query, None where it belongs to no group."""

    by: str
    labels: Sequence[str | None]


def by_group(source: Source) -> list[Mapping[str, Any]]:
    """For each grouping its groups, and in each the mean and the interval of a few systems. An interval is that of this
    group's queries alone."""
    figures = source.figures
    if figures is None or not source.query_texts:
        return []
    systems = _systems(source)
    found: list[Mapping[str, Any]] = []
    for grouping in _groupings(source, figures.query_ids):
        groups = _groups(source, grouping, systems)
        if len(groups) > 1:
            found.append({"by": grouping.by, "groups": groups})
    return found


def _systems(source: Source) -> list[str]:
    """The proposed system, the baseline, and the best others."""
    answer = source.computed("answer")
    names = [answer["proposed"], answer["baseline"], *answer["contenders"]]
    measured = source.figures.systems if source.figures is not None else {}
    return list(dict.fromkeys(name for name in names if name in measured))[:MOST_SYSTEMS]


def _groups(source: Source, grouping: _Grouping, systems: Sequence[str]) -> list[Mapping[str, Any]]:
    assert source.figures is not None
    measure = Measure.parse(source.result.primary)
    counts = Counter(label for label in grouping.labels if label is not None)
    labels = [label for label in dict.fromkeys(grouping.labels) if label is not None and counts[label] >= FEWEST]
    if grouping.by != _LENGTH:
        labels = [label for label, _ in counts.most_common(MOST_GROUPS) if label in labels]
    else:
        labels.sort(key=_LENGTHS.index)
    found: list[Mapping[str, Any]] = []
    for label in labels:
        chosen = np.array([each == label for each in grouping.labels])
        values = []
        for name in systems:
            per_query = source.figures.systems[name].values.get(measure)
            if per_query is None or np.isnan(per_query[:, chosen]).any():
                continue
            rng = np.random.default_rng(source.result.provenance.seed or 0)
            part = per_query[:, chosen]
            ends = builds_interval(part, rng=rng, binary=measure.is_binary, resamples=_RESAMPLES)
            values.append({"system": name, "mean": float(part.mean()), "interval": [ends.low, ends.high]})
        if values:
            found.append({"label": label, "queries": counts[label], "systems": values})
    return found


# -- groupings -------------------------------------------------------------------------------------------------------

_LENGTH = "length of the query"
_LENGTHS = ("short", "middling", "long")


def _groupings(source: Source, ids: Sequence[str]) -> Iterator[_Grouping]:
    texts = [source.query_texts[query].whole if query in source.query_texts else None for query in ids]
    lengths = [None if text is None else len(text) for text in texts]
    known = [length for length in lengths if length is not None]
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    yield _Grouping(_LENGTH, [None if n is None else _LENGTHS[int(n > low) + int(n > high)] for n in lengths])
    yield _Grouping("script of the query", [None if text is None else _script(text) for text in texts])
    for name, values in source.query_metadata.items():
        if (labels := _labels([values.get(query) for query in ids])) is not None:
            yield _Grouping(name, labels)


def _labels(values: Sequence[Any]) -> list[str | None] | None:
    """A label for each query by a field of its metadata: numbers of many values by thirds; None where the values are
    too many to be groups, or lists."""
    known = [value for value in values if value is not None]
    if not known or any(isinstance(value, (list, dict)) for value in known):
        return None
    distinct = set(known)
    if len(distinct) <= _MOST_VALUES:
        return [None if value is None else text_of(value) for value in values]
    if not all(isinstance(value, (int, float)) for value in known):
        return None
    low, high = np.quantile(np.array(known, np.float64), [1 / 3, 2 / 3])
    thirds = ("lowest third", "middle third", "highest third")
    return [None if value is None else thirds[int(value > low) + int(value > high)] for value in values]


def _script(text: str) -> str:
    """The script of most of its letters, as Unicode names it."""
    letters = (unicodedata.name(char, "OTHER").split()[0] for char in text if char.isalpha())
    common = Counter("HAN" if name == "CJK" else name for name in letters).most_common(1)
    return common[0][0].capitalize() if common else "none"
