"""The JSON schema of experiment files, with the options of every adapter that is here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from adapters import registry
from bench.experiment.cuts import Cuts
from bench.experiment.file import ExperimentFile
from bench.experiment.models import ModelEntry
from bench.messages.failures import failure_of

_ADAPTER = "Which adapter does the work; its name decides which options there are."
_INDEX = "Options that decide what is built; a list makes one system of each value."
_QUERY = "Options of a search; a list makes one system of each value, on one build."


def experiment_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) for editors. Options may be lists where lists multiply (index and query)."""
    schema = ExperimentFile.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    properties = schema["properties"]
    properties["dataset"] = {**_described(properties["dataset"]), **_choices("datasets", definitions)}
    # One load point stands for a list of one; false is none. `ExperimentFile` turns both into a list.
    loads = properties["latency"]
    several = {key: loads.pop(key) for key in ("type", "items")}
    loads["anyOf"] = [several, several["items"], {"enum": [False, None]}]
    named: tuple[registry.RoleName, ...] = ("encoders", "stores", "rerankers", "generators", "trackers")
    for role in named:
        properties[role] = {
            **_described(properties[role]),
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9_-]+$"},
            "additionalProperties": _choices(role, definitions),
        }
    properties["models"] = {
        **_described(properties["models"]),
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9_-]+$"},
        "additionalProperties": _recipes(definitions),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "retrieval-bench experiment", **schema}


def _recipes(definitions: dict[str, Any]) -> dict[str, Any]:
    """One object per recipe, told apart by its `recipe`: the harness's own keys and the recipe's options."""
    own = _options(ModelEntry, definitions)
    choices: list[dict[str, Any]] = []
    for name, kind in _loaded("trainers"):
        swept = _swept(kind.Options, definitions)["properties"]
        recipe = {"const": name, "description": own["recipe"]["description"]}
        required = [n for n, field in kind.Options.model_fields.items() if field.is_required()]
        choices.append(_object(name, {**own, "recipe": recipe, **swept}, ["recipe", *required]))
    return {"oneOf": choices} if choices else {"type": "object"}


def _loaded(role: registry.RoleName) -> Iterator[tuple[str, Any]]:
    """The adapters of a role. A third party's that does not load has no options to show; `bench doctor` names it."""
    for name in registry.names(role):
        try:
            kind = registry.load(role, name)
        except BaseException as error:
            failure_of(error)
            continue
        yield name, kind


def _object(title: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _choices(role: registry.RoleName, definitions: dict[str, Any]) -> dict[str, Any]:
    """One object per adapter of the role, told apart by its `adapter`."""
    choices: list[dict[str, Any]] = []
    for name, kind in _loaded(role):
        properties: dict[str, Any] = {"adapter": {"const": name, "description": _ADAPTER}}
        if role == "stores":
            properties |= _options(kind.Connection, definitions)
            properties["index"] = {"description": _INDEX, **_swept(kind.Index, definitions)}
            properties["query"] = {"description": _QUERY, **_swept(kind.Query, definitions)}
        else:
            properties |= _options(Cuts, definitions) if role == "datasets" else {}
            properties |= _options(kind.Options, definitions)
        required = ["adapter"]
        if role != "stores":
            required += [n for n, field in kind.Options.model_fields.items() if field.is_required()]
        choices.append(_object(name, properties, required))
    return {"oneOf": choices} if choices else {"type": "object"}


def _options(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(schema.pop("$defs", {}))
    properties: dict[str, Any] = schema.get("properties", {})
    return properties


def _swept(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for name, option in _options(model, definitions).items():
        one = {key: value for key, value in option.items() if key != "description"}
        properties[name] = {**_described(option), "anyOf": [one, {"type": "array", "items": one}]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _described(option: dict[str, Any]) -> dict[str, Any]:
    """An option's description, for an option that has a form of its own."""
    return {key: value for key, value in option.items() if key == "description"}
