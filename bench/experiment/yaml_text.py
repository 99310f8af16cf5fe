"""Reads YAML that a user wrote, as plain values: those of JSON, and dates."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from typing import Any

import yaml

_DEEPEST = 100
LONGEST = 300_000  # characters of a file
LONGEST_TEXT = 100_000  # characters of one value
LONGEST_KEY = 200
LONGEST_NUMBER = 100
_MOST_MERGED = 10_000  # keys that `<<` brings in
_MOST_NODES = 10_000  # values as they are written, aliases counted once
LONGEST_FAULT = 300
_MOST = 100_000  # values; a few lines of aliases to aliases make billions


def parse_yaml(text: str) -> Any:
    """The value of a YAML text: mappings, lists, strings, numbers, booleans, null and dates.

    Raises ValueError that says where it is no YAML, or holds what an experiment cannot hold.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has over {LONGEST:,} characters, which no experiment needs. Put data into files.")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ValueError(_fault(error)) from error
    except RecursionError as error:
        raise ValueError("its mappings and lists are nested too deeply.") from error
    except (ValueError, TypeError, OverflowError, AttributeError, IndexError, KeyError) as error:
        # Dates that no calendar has, numbers of five thousand digits, keys that are lists: PyYAML passes these on.
        raise ValueError(f"a value cannot be read: {error}.") from error
    _check(value)
    return value


_TOO_DEEP = "mappings and lists are nested too deeply"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses two equal keys: YAML silently takes the later one. Refuses also what keeps a parser busy for hours with a
    few lines: deep nesting, numbers of a million digits, and merged mappings that double at each step."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._merged = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            many = f"more than {_MOST_NODES:,} values, which no experiment needs"
            raise yaml.composer.ComposerError(None, None, many, self.get_mark())
        return super().compose_node(parent, index)

    def fetch_flow_collection_start(self, token: Any) -> None:
        # The scanner walks every open level at every token.
        if self.flow_level >= _DEEPEST:
            raise yaml.scanner.ScannerError(None, None, _TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        if len(self.indents) >= _DEEPEST:
            raise yaml.scanner.ScannerError(None, None, _TOO_DEEP, self.get_mark())
        added: bool = super().add_indent(column)
        return added

    def flatten_mapping(self, node: Any) -> None:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if each is node:
                        raise yaml.constructor.ConstructorError(None, None, "it is merged into itself", key.start_mark)
                    if isinstance(each, yaml.MappingNode):
                        self.flatten_mapping(each)
                        self._merged += len(each.value)
                    if self._merged > _MOST_MERGED:
                        many = f"`<<` brings in more than {_MOST_MERGED:,} keys"
                        raise yaml.constructor.ConstructorError(None, None, many, key.start_mark)
        super().flatten_mapping(node)

    def construct_yaml_int(self, node: Any) -> Any:
        return super().construct_yaml_int(_short(node))

    def construct_yaml_float(self, node: Any) -> Any:
        return super().construct_yaml_float(_short(node))


def _short(node: Any) -> Any:
    if len(node.value) > LONGEST_NUMBER:
        long = f"a number of more than {LONGEST_NUMBER} characters; put a text into quotes"
        raise yaml.constructor.ConstructorError(None, None, long, node.start_mark)
    return node


def _unique_mapping(loader: Any, node: Any) -> dict[Any, Any]:
    seen: set[Any] = set()
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(None, None, "expected a mapping", node.start_mark)
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, str) and len(key) > LONGEST_KEY:
            long = f"a key of more than {LONGEST_KEY} characters"
            raise yaml.constructor.ConstructorError(None, None, long, key_node.start_mark)
        if isinstance(key, list | dict | set):
            raise yaml.constructor.ConstructorError(
                None, None, "a key cannot be a list or mapping", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands here twice", key_node.start_mark
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:int", _UniqueKeyLoader.construct_yaml_int)
_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:float", _UniqueKeyLoader.construct_yaml_float)
_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    if len(problem) > LONGEST_FAULT:  # it repeats a tag of any length
        problem = f"{problem[:LONGEST_FAULT]} …"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}." if mark else f"{problem}."


def _check(value: Any) -> None:
    """Refuse values that a result cannot hold, and endless ones that aliases make."""
    for count, (path, leaf) in enumerate(_leaves(value, "", 0)):
        if count > _MOST:
            raise ValueError("its aliases stand for more than 100,000 values.")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError(f"{path}: {leaf} is no number that an experiment can hold.")
        if isinstance(leaf, int) and not -(2**63) <= leaf < 2**64:
            raise ValueError(f"{path}: a whole number must fit 64 bits.")
        if isinstance(leaf, str) and len(leaf) > LONGEST_TEXT:
            raise ValueError(f"{path}: a text of more than {LONGEST_TEXT:,} characters has no place in an experiment.")
        if isinstance(leaf, str) and not _is_text(leaf):
            raise ValueError(
                f"{f'{path}: ' if path else ''}{leaf!r} holds half of a surrogate pair, which is no Unicode text."
            )
        if not isinstance(leaf, str | int | float | datetime.date | None):
            raise ValueError(f"{path}: a value of the kind {type(leaf).__name__} has no place in an experiment.")


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every key, and every value that is neither a list nor a mapping, with its key path."""
    if depth > _DEEPEST:
        raise ValueError(f"{path[:80]}…: mappings and lists are nested too deeply, or hold themselves.")
    if isinstance(value, dict):
        for key, below in value.items():
            at = f"{path}.{key!s}" if path else f"{key!s}"
            if isinstance(key, datetime.date):
                raise ValueError(f"{at}: a date cannot be a key. Put it in quotes.")
            yield (at if _is_text(at) else path), key
            yield from _leaves(below, at, depth + 1)
    elif isinstance(value, list):
        for i, below in enumerate(value):
            yield from _leaves(below, f"{path}[{i}]", depth + 1)
    else:
        yield path, value


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
