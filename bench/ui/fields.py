"""Forms made from the options of adapters, with their descriptions, and what was typed read as YAML reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic_core import PydanticUndefined

from adapters import registry
from adapters.base import TRAINED
from bench.experiment.cuts import Cuts
from bench.experiment.file import ExperimentFile, LoadPoint, SystemEntry
from bench.experiment.models import ModelEntry
from bench.experiment.yaml_text import parse_yaml

Section: TypeAlias = Literal[
    "dataset", "encoders", "stores", "rerankers", "generators", "models", "latency", "systems", "settings"
]

SECTIONS: Mapping[str, Section] = {
    "Dataset": "dataset", "Encoder": "encoders", "Store": "stores", "Reranker": "rerankers",
    "Model to train": "models", "System": "systems", "Latency plan": "latency", "Settings": "settings",
    "Generator": "generators",
}  # fmt: skip
_ROLES: Mapping[Section, registry.RoleName] = {
    "dataset": "datasets", "encoders": "encoders", "stores": "stores", "rerankers": "rerankers",
    "generators": "generators", "models": "trainers",
}  # fmt: skip


_MODELS: Mapping[Section, Any] = {"latency": LoadPoint, "systems": SystemEntry, "settings": ExperimentFile}
_SHOWN_ELSEWHERE = frozenset(
    {"experiment", "dataset", "encoders", "stores", "rerankers", "generators", "models", "systems", "latency"}
)
_NAMES_OF: Mapping[str, Section] = {"encoder": "encoders", "store": "stores", "reranker": "rerankers"}


@dataclass(frozen=True, slots=True)
class Field:
    """An option. group: the mapping that it stands in, such as index, or "" for the part itself. default: as YAML
    writes it, None where it must be given. choices: where only some values are allowed."""

    name: str
    group: str
    description: str
    default: str | None
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        place = f"{self.group}.{self.name}" if self.group else self.name
        return place if self.default is not None else f"{place} (must be given)"


def adapters_of(section: Section) -> list[str]:
    """The adapters that a section of the file may name; recipes for models."""
    return list(registry.names(_ROLES[section])) if section in _ROLES else []


def fields_of(section: Section, adapter: str) -> list[Field]:
    """The options of an adapter, those that must be given first. Raises InvalidOptions where there is no such one."""
    if section in _MODELS:
        return [field for field in _fields(_MODELS[section], "") if field.name not in _SHOWN_ELSEWHERE]
    kind = registry.load(_ROLES[section], adapter)
    if section == "stores":
        found = _fields(kind.Connection, "") + _fields(kind.Index, "index") + _fields(kind.Query, "query")
    else:
        found = _fields(kind.Options, "")
        own = {"dataset": Cuts, "models": ModelEntry}.get(section)
        known = {field.name for field in found} | {"recipe"}
        found += [field for field in _fields(own, "") if field.name not in known] if own is not None else []
    return sorted(found, key=lambda field: field.default is not None)


def cut_fields() -> list[Field]:
    """The options of `dataset` that say which of its queries are evaluated, and which train and decide."""
    return [field for field in _fields(Cuts, "") if field.name != "queries"]


def base_names(values: Mapping[str, Any]) -> list[str]:
    """What a training may start from: the encoders and rerankers of the file, and the models that it trains."""
    names = {section: values.get(section) for section in ("encoders", "rerankers", "models")}
    found = {section: list(map(str, each)) if isinstance(each, dict) else [] for section, each in names.items()}
    return [*found["encoders"], *found["rerankers"], *(f"{TRAINED}{name}" for name in found["models"])]


def names_for(field: Field, values: Mapping[str, Any]) -> list[str]:
    """The parts of the file that an option of a system or of a model may name."""
    if field.name == "base":
        return base_names(values)
    named = values.get(_NAMES_OF.get(field.name, ""))
    return [str(name) for name in named] if isinstance(named, dict) else []


def part_of(section: Section, adapter: str, fields: Sequence[Field], typed: Sequence[str | None]) -> dict[str, Any]:
    """The part as the file writes it: what was left empty is left out. Raises ValueError for what YAML cannot read."""
    part: dict[str, Any] = {} if section in _MODELS else {"recipe" if section == "models" else "adapter": adapter}
    for field, text in zip(fields, typed, strict=True):
        if text is None or not text.strip():
            continue
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ValueError(f"{field.label}: {error}") from error
        place = part.setdefault(field.group, {}) if field.group else part
        place[field.name] = value
    return part


def _fields(model: Any, group: str) -> list[Field]:
    return [_field(name, info, group) for name, info in model.model_fields.items()]


def _field(name: str, info: Any, group: str) -> Field:
    default = None if info.is_required() else _written(info.get_default(call_default_factory=True))
    return Field(name, group, info.description or "", default, _choices(info.annotation))


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    if get_origin(annotation) is Literal:
        return tuple(_written(value) for value in get_args(annotation))
    return ()


def _written(value: Any) -> str:
    """A value as YAML writes it in a line."""
    if value is None or value is PydanticUndefined:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
