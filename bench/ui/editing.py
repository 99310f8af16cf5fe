"""Puts parts into the text of an experiment file and leaves the rest of it as it was written, comments too."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import yaml

from bench.experiment.yaml_text import parse_yaml

_HEAD = "experiment: my-experiment\n"


def with_part(text: str, section: str, name: str, part: Mapping[str, Any]) -> str:
    """The text with a part under a section, in place of one of the same name."""
    values = _values(text)
    section_before = values.get(section)
    wanted = {**(section_before if isinstance(section_before, dict) else {}), name: dict(part)}
    line = f"{_flow(name)}: {_flow(part)}"
    return _checked(text, values, section, wanted, lambda indent: f"{indent}{line}\n", name)


def with_value(text: str, section: str, value: Any) -> str:
    """The text with a section of this value, in place of what it had and where that stood."""
    values = _values(text)
    rows = text.splitlines(keepends=True)
    line = f"{section}: {_flow(value)}\n"
    if (span := _span(rows, section)) is not None:
        start, end = span
        gap = ["\n"] if end < len(rows) and not rows[end - 1].strip() else []
        edited = "".join([*rows[:start], line, *gap, *rows[end:]])
    else:
        edited = text.rstrip("\n") + f"\n\n{line}"
    return _sure(edited.lstrip("\n"), {**values, section: value})


def with_system(text: str, system: Mapping[str, Any]) -> str:
    """The text with a system at the end of the list."""
    values = _values(text)
    before = values.get("systems")
    wanted = [*(before if isinstance(before, list) else []), dict(system)]
    return _checked(text, values, "systems", wanted, lambda indent: f"{indent}- {_flow(system)}\n", None)


def _values(text: str) -> dict[str, Any]:
    """What the text says. Raises ValueError where it is no YAML, or no mapping."""
    values = parse_yaml(text if text.strip() else _HEAD)
    if not isinstance(values, dict):
        raise ValueError("The file is no mapping that starts with `experiment: NAME`.")
    return values


def _checked(text: str, values: dict[str, Any], section: str, wanted: Any, written: Any, replaced: str | None) -> str:
    """Insert lines at the end of a block section; where that does not come out as wanted, write the section anew."""
    text = text if text.strip() else _HEAD
    rows = text.splitlines(keepends=True)
    expected = {**copy.deepcopy(values), section: wanted}
    span = _span(rows, section)
    if span is not None and re.match(rf"{re.escape(section)}:\s*(#.*)?$", rows[span[0]].rstrip("\n")):
        start, end = span
        body = [row for row in rows[start + 1 : end] if row.strip() and not row.lstrip().startswith("#")]
        indent = re.match(r" *", body[0]).group() if body else "  "  # type: ignore[union-attr]
        block = rows[start + 1 : end]
        if replaced is not None:
            block = _without_entry(block, indent, replaced)
        while block and not block[-1].strip():
            block.pop()
        if block and not block[-1].endswith("\n"):
            block[-1] += "\n"
        gap = ["\n"] if end < len(rows) else []
        edited = "".join([*rows[: start + 1], *block, written(indent), *gap, *rows[end:]])
        if _is(edited, expected):
            return edited
    whole = yaml.safe_dump({section: wanted}, sort_keys=False, allow_unicode=True, width=1000)
    return _sure(_without(text, section).rstrip("\n") + f"\n\n{whole}", expected)


def _sure(edited: str, expected: Mapping[str, Any]) -> str:
    """The text, or the values written anew where the text does not say them."""
    edited = edited.lstrip("\n")
    return edited if _is(edited, expected) else yaml.safe_dump(dict(expected), sort_keys=False, allow_unicode=True)


def _is(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return bool(parse_yaml(text) == expected)
    except ValueError:
        return False


def _span(rows: list[str], section: str) -> tuple[int, int] | None:
    """The lines of a section of the file: from its key to the line after its last."""
    for start, row in enumerate(rows):
        if re.match(rf"{re.escape(section)}\s*:", row):
            end = start + 1
            while end < len(rows) and (not rows[end].strip() or rows[end][0] in " \t-"):
                end += 1
            return start, end
    return None


def _without(text: str, section: str) -> str:
    rows = text.splitlines(keepends=True)
    span = _span(rows, section)
    return text if span is None else "".join(rows[: span[0]] + rows[span[1] :])


def _without_entry(block: list[str], indent: str, name: str) -> list[str]:
    """A section's lines without those of an entry."""
    kept: list[str] = []
    inside = False
    for row in block:
        if row.startswith(indent) and row[len(indent) : len(indent) + 1] not in (" ", "", "\n"):
            inside = re.match(rf"{re.escape(indent)}[\"']?{re.escape(name)}[\"']?\s*:", row) is not None
        if not inside:
            kept.append(row)
    return kept


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.removesuffix("...\n").strip()
