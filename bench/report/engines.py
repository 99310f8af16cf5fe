"""Engines at equal recall, as an answer: for each target the fastest engine, those alike, and those that miss it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.results.model import Result, Target


@dataclass(frozen=True, slots=True)
class AtTarget:
    """The engines at one target, compared under one encoder, filter, reranker and payload.

    fastest: the chosen setting with the lowest own p50 under the first load point; None where none reaches the target
    or none has times. alike: chosen settings whose times cannot be told from the fastest one's. slower: the others, by
    their times. missed: builds of which no setting was shown to reach it.
    """

    measure: str
    target: float
    encoder: str | None
    filter: Mapping[str, Any] | None
    reranker: str | None
    payload: str
    fastest: Target | None
    alike: tuple[Target, ...]
    slower: tuple[Target, ...]
    missed: tuple[Target, ...]


def at_targets(result: Result) -> tuple[AtTarget, ...]:
    """By measure and what is alike, then by target, lowest first."""
    groups: dict[str, list[Target]] = {}
    for row in result.targets:
        key = [row.measure, row.encoder, row.filter, row.reranker, row.payload]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(row)
    return tuple(
        _at([row for row in rows if row.target == target])
        for rows in groups.values()
        for target in sorted({row.target for row in rows})
    )


def own_ms(row: Target) -> float | None:
    """p50 of what is the system's alone, under the first load point, measured again after the choice."""
    own = row.loads[0].own or row.loads[0].search if row.loads else None
    return None if own is None else own.p50_ms


def _at(rows: list[Target]) -> AtTarget:
    first = rows[0]
    timed = {index: time for index, row in enumerate(rows) if (time := own_ms(row)) is not None}
    reached = [rows[index] for index in sorted(timed, key=lambda index: timed[index])]
    fastest = reached[0] if reached else None
    alike = [row for row in reached[1:] if fastest is not None and row.system in fastest.not_told_apart]
    return AtTarget(
        measure=first.measure,
        target=first.target,
        encoder=first.encoder,
        filter=first.filter,
        reranker=first.reranker,
        payload=first.payload,
        fastest=fastest,
        alike=tuple(alike),
        slower=tuple(row for row in reached[1:] if row not in alike),
        missed=tuple(row for row in rows if row.system is None),
    )
