"""The lists of an entry and of a store's options. They are counted before they are multiplied, because a few lines can
make more combinations than a program can walk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.experiment.file import SystemEntry


def axes_of(entry: SystemEntry) -> dict[str, list[Any]]:
    """The lists of an entry that multiply."""
    return {
        "encoder": _listed(entry.encoder),
        "store": _listed(entry.store),
        "run": _listed(entry.run),
        "fuse": entry.fuse if entry.fuse and isinstance(entry.fuse[0], list) else [entry.fuse],
        "by": _listed(entry.by),
        "reranker": _listed(entry.reranker),
        "depth": _listed(entry.depth),
        "rrf_k": _listed(entry.rrf_k),
        "filter": _listed(entry.filter),
        "payload": _listed(entry.payload),
    }


def count_of(options: Mapping[str, Any]) -> int:
    """How many combinations the lists in a mapping have."""
    return math.prod(
        len(value) if isinstance(value, list) else count_of(value) if isinstance(value, Mapping) else 1
        for value in options.values()
    )


def in_words(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"more than 10^{len(str(count)) - 1}"


def combinations(options: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every combination of the lists in a mapping and in the mappings below it, with the swept options by name."""
    axes: list[list[tuple[Any, dict[str, Any]]]] = []
    for name, value in options.items():
        if isinstance(value, list):
            axes.append([(item, {name: item} if len(value) > 1 else {}) for item in value])
        elif isinstance(value, Mapping):
            axes.append([(inner, {f"{name}.{k}": v for k, v in swept.items()}) for inner, swept in combinations(value)])
        else:
            axes.append([(value, {})])
    for values in itertools.product(*axes):
        chosen = {name: item for name, (item, _) in zip(options, values, strict=True)}
        yield chosen, {key: item for _, swept in values for key, item in swept.items()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value else [None if isinstance(value, list) else value]


def shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return " ".join(f"{k}:{shown(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "|".join(shown(v) for v in value)
    return str(value)
