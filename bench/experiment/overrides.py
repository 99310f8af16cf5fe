"""`--set KEY=VALUE`: changes of a file's keys from the command line, by the path form that faults are printed in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adapters import registry
from adapters.base import TRAINED, holds_path, is_address, resolve_path
from bench.experiment.file import ExperimentFile, SystemEntry
from bench.experiment.yaml_text import parse_yaml
from bench.messages.failures import failure_of
from bench.messages.suggestions import meant

Steps: TypeAlias = tuple[str | int, ...]

_PIECE = re.compile(r"([^\[\]]+)((?:\[\d{1,9}\])*)")
_MOST_STEPS = 100
_LONGEST_SHOWN = 200  # characters that a message quotes of the given and of the present value
_SECTIONS = {"index": "Index", "query": "Query"}


def override(raw: dict[str, Any], overrides: Sequence[str], working_directory: Path) -> list[str]:
    """Change the file's keys in place. A path that is given here starts where the user stands, not at the file.

    Returns the faults, one sentence each.
    """
    faults: list[str] = []
    given: list[Steps] = []
    for text in overrides:
        key, sign, value = text.partition("=")
        try:
            if not sign or not key.strip():
                raise _Fault("expected KEY.PATH=VALUE, such as --set systems[0].depth=50")
            steps = _steps(key.strip())
            _put(raw, steps, _parsed(value))
            given.append(steps)
        except _Fault as fault:
            faults.append(f"--set {_short(text)}: {fault}")
    for steps in given:
        _resolve(raw, steps, working_directory)
    return faults


# The options of adapters that say where something is.
_ADDRESS = ("base_url", "url", "host", "port", "cloud", "grpc_host", "grpc_port", "metrics_url", "app_url", "uri")
_PLACES = frozenset({*_ADDRESS, "storage_options"})


def addresses_given(overrides: Sequence[str]) -> frozenset[str]:
    """The addresses, hosts, ports and variables of keys that --set gives: the user's own, whatever the file says.
    Faults are passed over; `override` names them."""
    found: set[str] = set()
    for text in overrides:
        key, _, value = text.partition("=")
        with suppress(_Fault):
            steps, parsed = _steps(key.strip()), _parsed(value)
            found |= {str(leaf) for path, leaf in _leaves(parsed, steps) if _names_place(path, leaf)}
    return frozenset(found)


def _names_place(path: Sequence[str | int], leaf: Any) -> bool:
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    return bool(_PLACES.intersection(path)) or key.endswith("_env") or is_address(key, leaf)


class _Fault(Exception):
    pass


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} …"


def _parsed(value: str) -> Any:
    try:
        return parse_yaml(value)
    except ValueError as error:
        raise _Fault(f"the value is not YAML: {error}") from error


def _steps(key: str) -> Steps:
    steps: list[str | int] = []
    if key.count(".") + key.count("[") > _MOST_STEPS:
        raise _Fault(f"no key stands more than {_MOST_STEPS} steps deep.")
    for piece in key.split("."):
        match = _PIECE.fullmatch(piece)
        if not match:
            raise _Fault(f"{_short(repr(piece))} is not a key or a key with [number].")
        steps += [match[1], *(int(number) for number in re.findall(r"\d+", match[2]))]
    return tuple(steps)


def _put(raw: dict[str, Any], steps: Steps, value: Any) -> None:
    node: Any = raw
    for i, step in enumerate(steps):
        _check_step(node, step, steps[:i])
        if i == len(steps) - 1:
            node[step] = value
        else:
            if isinstance(step, str) and node.get(step) is None:
                node[step] = {}
            node = node[step]


def _check_step(node: Any, step: str | int, above: Steps) -> None:
    """Raise a fault where a step does not lead on from what stands at the steps above it."""
    here = written(above)
    if isinstance(step, int):
        if isinstance(node, Mapping):
            raise _Fault(f"{here} is no list but a mapping. Write a key: {here}.KEY")
        if not isinstance(node, list):
            raise _Fault(f"{here} is no list. It is {_short(repr(node))}.")
        if step >= len(node):
            raise _Fault(f"there is no item [{step}]; {here} has {len(node)}, counted from 0.")
    elif isinstance(node, list):
        raise _Fault(f"{here} is a list, whose items have numbers. {_numbered(node, step, here)}")
    elif not isinstance(node, dict):
        raise _Fault(f"{here} is {_short(repr(node))}, which has no keys.")


def _numbered(items: Sequence[Any], name: str, here: str) -> str:
    """How the item that somebody named is written."""
    names = [item.get("name") if isinstance(item, Mapping) else item for item in items]
    known = [each for each in names if isinstance(each, str)]
    found = name if name in known else meant(name, known)
    if found is not None:
        return f"{found} is {here}[{names.index(found)}]."
    return f"Write {here}[0]{f' to {here}[{len(items) - 1}]' if len(items) > 1 else ''}."


def written(steps: Sequence[str | int]) -> str:
    """Steps in the form that `--set` takes and faults are printed in."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else str(step))
    return path


def _resolve(raw: dict[str, Any], steps: Steps, working_directory: Path) -> None:
    """Make the paths of a given value absolute."""
    node: Any = raw
    try:
        for step in steps[:-1]:
            node = node[step]
        value = node[steps[-1]]
    except (KeyError, IndexError, TypeError):
        return  # a later --set has put something else above it
    for below, text in list(_leaves(value, steps)):
        if not isinstance(text, str):
            continue
        kind = _path_kind(raw, below)
        if kind is None or "://" in text or text.startswith(("package:", TRAINED)):
            continue
        try:
            path = resolve_path(working_directory, text)
        except ValueError:
            continue  # named as a fault where the option is read
        if kind == "path" or path.exists():
            holder: Any = raw
            for step in below[:-1]:
                holder = holder[step]
            holder[below[-1]] = str(path)


def _leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    """Every value below these steps that is neither a mapping nor a list."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*steps, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _leaves(item, (*steps, i))
    else:
        yield steps, value


def _path_kind(raw: Mapping[str, Any], steps: Steps) -> str | None:
    """Whether the text at these steps is a path ("path"), may be one ("text"), or is none, by the option's type."""
    names = [step for step in steps if isinstance(step, str)]
    match names:
        case [key] if key in ExperimentFile.model_fields:
            return holds_path(ExperimentFile.model_fields[key])
        case ["systems", key] if key in SystemEntry.model_fields:
            return holds_path(SystemEntry.model_fields[key])
        case ["dataset", *group, option]:
            return _option_kind("datasets", raw.get("dataset"), "Options", option, *group)
        case ["stores", part, section, option] if section in _SECTIONS:
            return _option_kind("stores", _part(raw, "stores", part), _SECTIONS[section], option)
        case ["stores", part, option]:
            return _option_kind("stores", _part(raw, "stores", part), "Connection", option)
        case ["models", _, "data", "path"]:
            return "path"
        case ["models", part, option]:
            return _option_kind("trainers", _part(raw, "models", part), "Options", option, key="recipe")
        case [role, part, option] if role in registry.ROLES:
            return _option_kind(role, _part(raw, role, part), "Options", option)
    return None


def _part(raw: Mapping[str, Any], role: str, name: str) -> Any:
    parts = raw.get(role)
    return parts.get(name) if isinstance(parts, Mapping) else None


def _option_kind(role: Any, spec: Any, model: str, option: str, *group: str, key: str = "adapter") -> str | None:
    """group: the options that the option stands in, outermost first."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get(key), str):
        return None
    try:
        fields = getattr(registry.load(role, spec[key]), model).model_fields
        for name in group:
            fields = _fields_of(fields[name].annotation) if name in fields else {}
        field = fields.get(option)
    except BaseException as error:
        failure_of(error)  # reading the parts names an adapter that does not load
        return None
    return None if field is None else holds_path(field)


def _fields_of(annotation: Any) -> Mapping[str, FieldInfo]:
    """The options of a group, which may be left out; empty for what is none."""
    kinds = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
    return next((each.model_fields for each in kinds if issubclass(each, BaseModel)), {})
