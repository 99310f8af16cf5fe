"""What a report computes from a result's files, by the name under which paths reach it: `computed.answer.best`.

It is made of mappings, lists, texts and numbers, so that a path leads to each number; whoever checks a report computes
it again from the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.report.answer import answer
from bench.report.document import (
    decision,
    doubts,
    fronts,
    groups,
    pairs,
    portions,
    side_by_side,
    stages,
    times,
    unjudged,
)
from bench.report.document.source import Compute, Source
from bench.results.fields import Fields


def _answer(source: Source) -> dict[str, Any]:
    found = answer(source.result, source.figures)
    values: dict[str, Any] = _bare(asdict(found))
    return values


def _bare(value: Any) -> Any:
    """The value as mappings, lists, texts and numbers."""
    if isinstance(value, Fields):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): _bare(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_bare(item) for item in value]
    return value


def _models(source: Source) -> list[dict[str, Any]]:
    """Of each trained model how many seeds it has, and the means over them."""
    models = source.result.models
    return [{"seeds": len(model.seeds), "dev": model.dev, "dev_base": model.dev_base} for model in models]


def _approximate(source: Source) -> list[dict[str, str]]:
    """Recall against exact search, by cut-off, where it is no measure of the experiment."""
    found = {k for system in source.systems for k, value in system.ann_recall.items() if value is not None}
    shown = [k for k in sorted(found, key=int) if f"ANN@{k}" not in source.measures]
    return [{"k": k, "name": f"ANN@{k}"} for k in shown]


def _name(source: Source) -> str:
    """The experiment's name."""
    name = source.result.experiment.get("experiment")
    return name if isinstance(name, str) and name.strip() else "experiment"


COMPUTED: Mapping[str, Compute] = {
    "answer": _answer,
    "decision": decision.decide,
    "measures": lambda source: source.named_measures,
    "doubts": doubts.gather,
    "unread": Source.all_unread,
    "bounds": unjudged.bounds,
    "fronts": fronts.all_fronts,
    "times": times.distributions,
    "groups": groups.by_group,
    "pairs": pairs.moved,
    "models": _models,
    "approximate": _approximate,
    "counting": lambda source: list(range(1, 1 + max((len(system.seeds) for system in source.systems), default=0))),
    "packages": lambda source: list(source.result.provenance.packages),
    "servers": lambda source: list(source.result.provenance.servers),
    "name": _name,
    "title": side_by_side.title,
    "leaves": side_by_side.leaves,
    "losses": stages.largest_loss,
    "costs": portions.costs,
}
"""By name, what fills the paths under `computed`."""
