"""Which keys may stand where: in the experiment file, and in the options of an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from adapters import registry
from bench.experiment.file import ExperimentFile

BESIDE_ADAPTER = "beside adapter"
_SECTIONS = {"under index": "Index", "under query": "Query", BESIDE_ADAPTER: "Connection"}


def known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a location inside a model."""
    current: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, int) or current is None:
            continue
        field = current.model_fields.get(step)
        current = _model_within(field.annotation) if field is not None else None
    return list(current.model_fields) if current is not None else []


def elsewhere(model: type[BaseModel], location: Sequence[str | int]) -> dict[str, list[str]]:
    """The keys of every other place, by the words for that place in a sentence. The nearest places come first: those of
    the same options, then those of the file, and those within others last."""
    here = known_keys(model, location)
    found = dict(sorted(_nested(model, ""), key=lambda place: place[0].count(".")))
    if model is ExperimentFile:
        found = {"at the top of the file": list(model.model_fields), **found}
    else:
        entry = {place: keys for place, keys in _nested(ExperimentFile, "") if place == "in an entry of systems"}
        found |= {**entry, "at the top of the file": list(ExperimentFile.model_fields)}
    return {place: keys for place, keys in found.items() if keys != here}


def of_store(kind: Any, own: str) -> dict[str, list[str]]:
    """The keys of a store's other sections than its own (Index, Query or Connection), by how each is called."""
    found = {place: list(getattr(kind, name).model_fields) for place, name in _SECTIONS.items() if name != own}
    return {**found, "to the encoder": ["similarity"]}


def of_parts(raw: Mapping[str, Any], word: str) -> dict[str, list[str]]:
    """The parts of a file whose adapter has an option of exactly that name, by how each is called."""
    found: dict[str, list[str]] = {}
    for section in ("stores", "encoders", "rerankers", "generators", "models"):
        parts = raw.get(section)
        for name, spec in parts.items() if isinstance(parts, Mapping) else ():
            path = f"under {section}.{name}"
            for place, options in _options_of(section, spec):
                if word in options.model_fields:
                    found[f"{path}{place}"] = [word]
    return found


def _options_of(section: Any, spec: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    try:
        kind = registry.load(*(("trainers", spec["recipe"]) if section == "models" else (section, spec["adapter"])))
    except BaseException:  # reading the part names this fault
        return
    if section == "stores":
        yield from ((".index", kind.Index), (".query", kind.Query), ("", kind.Connection))
    else:
        yield "", kind.Options


def _nested(model: type[BaseModel], above: str) -> Iterator[tuple[str, list[str]]]:
    for name, field in model.model_fields.items():
        if (inner := _model_within(field.annotation)) is not None and inner is not model:
            path = f"{above}{name}"
            yield "in an entry of systems" if path == "systems" else f"under {path}", list(inner.model_fields)
            yield from _nested(inner, f"{path}.")


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if found := _model_within(argument):
            return found
    return None


def holding(value: Any, known: Sequence[str]) -> list[str]:
    """The keys that a mapping holds and that may stand where the mapping itself stands."""
    return [key for key in value if key in known] if isinstance(value, Mapping) else []
