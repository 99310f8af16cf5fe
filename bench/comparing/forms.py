"""The forms in which a comparison is written: text, Markdown, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bench.comparing.markdown import refusal
from bench.comparing.model import Compared, SystemChange
from bench.comparing.sentences import EXIT_STATUS, answer
from bench.comparing.text import gains, losses

Form: TypeAlias = Literal["text", "markdown", "json"]
_ENDINGS: Mapping[str, Form] = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".txt": "text"}


def form_of(output: Path | None, *, as_json: bool, as_markdown: bool) -> Form | None:
    """What to write; None where neither an option nor the file's ending says it."""
    if as_json or as_markdown:
        return "json" if as_json else "markdown"
    return "text" if output is None else _ENDINGS.get(output.suffix.lower())


def json_of(values: Mapping[str, Any]) -> str:
    """Plain values as one object."""
    return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False, default=str)


def values_of(compared: Compared, queries: int) -> dict[str, Any]:
    """All of it as plain values. queries: how many of each system, losses and gains."""
    values = asdict(compared)
    values["answer"] = answer(compared)
    values["identical"] = compared.identical
    for written, system in zip(values["systems"], compared.systems, strict=True):
        written["queries_changed"] = len(system.queries)
        written["queries"] = _extremes(system, queries)
    if compared.gate is not None:
        values["gate"] |= {
            "outcome": compared.gate.outcome,
            "exit_status": EXIT_STATUS[compared.gate.outcome],
        }
    found: dict[str, Any] = _plain(values)
    return found


def refusal_in(form: Form, keys: Sequence[str]) -> str:
    """Why two results cannot be compared."""
    if form == "json":
        return json.dumps({"cannot_compare": list(keys), "exit_status": 2}, ensure_ascii=False, indent=1)
    return refusal(keys) if form == "markdown" else "\n".join(keys) + "\n"


def _extremes(system: SystemChange, most: int) -> dict[str, list[dict[str, Any]]]:
    return {
        "lost": [asdict(query) for query in losses(system, most)],
        "gained": [asdict(query) for query in gains(system, most)],
    }


def _plain(value: Any) -> Any:
    """Numbers that JSON has not are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
