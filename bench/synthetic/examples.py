"""Structured examples with a label, drawn by a seed: a table of queries, and a document for each label."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import InvalidOptions
from bench.cache.artifacts import check_writable, write_atomically
from bench.data.normal import plain_query
from bench.data.splits import hashed
from bench.experiment.structured import NumberRange, Structured
from bench.synthetic.folder import FolderInUse

DOCUMENTS, QUESTIONS = "documents", "questions.csv"
_TRIES = 20  # draws for each example that is wanted: most of a short list are drawn twice
_ALL = 2**64


@dataclass(frozen=True, slots=True)
class Examples:
    """rows: text and label. shared: texts that were drawn for several labels and left out. lacking: by label, how many
    fewer there are than asked for, because its fields allow no more."""

    rows: tuple[tuple[str, str], ...]
    shared: int
    lacking: Mapping[str, int]

    def notes(self) -> Iterator[str]:
        """What a reader must know."""
        if self.shared:
            yield f"{self.shared:,} texts that several labels have were left out: nothing says which is meant."
        for label, count in self.lacking.items():
            yield f"{label} has {count:,} examples fewer than asked for: its fields allow no more."


def drawn_examples(spec: Structured, seed: int) -> Examples:
    """The examples: the same of the same specification and seed, on every machine."""
    by_text: dict[str, list[tuple[str, str]]] = {}
    for label in spec.labels:
        own: dict[str, str] = {}
        for number in range(spec.per_label * _TRIES):
            if len(own) == spec.per_label:
                break
            text = _text(spec, label, f"{seed}\0{label}\0{number}")
            own.setdefault(plain_query(text), text)
        for key, text in own.items():
            by_text.setdefault(key, []).append((text, label))
    rows = tuple(each[0] for each in by_text.values() if len(each) == 1)
    counts = {label: sum(row[1] == label for row in rows) for label in spec.labels}
    if not rows:
        raise InvalidOptions("every text belongs to several labels. Give the labels fields of their own.")
    lacking = {label: spec.per_label - count for label, count in counts.items() if count < spec.per_label}
    return Examples(rows, sum(len(each) > 1 for each in by_text.values()), lacking)


def check_examples_folder(folder: Path) -> None:
    """Raise FolderInUse where examples lie already, and OSError where nothing can be written."""
    there = [name for name in (DOCUMENTS, QUESTIONS) if (folder / name).exists()]
    if there:
        raise FolderInUse(f"{folder} holds {there[0]} already, which may have been edited. Name another: --output DIR")
    check_writable(folder / QUESTIONS)


def write_examples(folder: Path, examples: Examples, labels: Mapping[str, Any]) -> None:
    """Write a document for each label, and the table of examples."""
    names = {label: f"{_file_name(label)}.txt" for label in labels}
    if len(set(names.values())) < len(names):
        names = {label: f"{i}-{name}" for i, (label, name) in enumerate(names.items(), start=1)}
    for label, name in names.items():
        write_atomically(folder / DOCUMENTS / name, f"{label.replace('_', ' ')}\n".encode())
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("query", "document", "label"))
    rows.writerows((text, names[label], label) for text, label in examples.rows)
    write_atomically(folder / QUESTIONS, table.getvalue().encode("utf-8"))


def _text(spec: Structured, label: str, key: str) -> str:
    fields = spec.fields_of(label)

    def value(found: re.Match[str]) -> str:
        name = found[1]
        chance = hashed(f"{key}\0{name}", "example")
        values = fields[name]
        if isinstance(values, NumberRange):
            number = values.lowest + (values.highest - values.lowest) * chance / _ALL
            return f"{number:.{values.decimals}f}"
        return str(values[chance % len(values)])

    return re.sub(r"\{([^{}]*)\}", value, spec.template)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w-]+", "-", label).strip("-").lower() or "label"
