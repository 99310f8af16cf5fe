"""A collection looked at before anything is measured: how much there is, how long, in which language, what is repeated,
what models will cut, and whether the splits share queries. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.data.tables import load_tables
from bench.experiment.faults import ConfigFaults
from bench.experiment.languages import language_of
from bench.experiment.parts import Experiment
from bench.messages.failures import failure_of
from bench.messages.wording import counted
from bench.quality.collection import naming, own_source, parts_of
from bench.quality.stages import Emit, waiting

_SAMPLED = 2_000  # texts whose language is asked
_READ = (128, 256, 512, 8_192)  # the usual maximum lengths of models, in tokens
_TEXTS = ("Documents", "Queries")

Section = tuple[str, list[tuple[str, str]]]
"""A heading, and what is told under it: what, and how much."""


@dataclass(frozen=True, slots=True)
class Overview:
    """dataset: all judged queries of the split. warnings: sentences on what may spoil a measurement."""

    dataset: Dataset
    sections: list[Section]
    warnings: list[str]


def look_at(experiment: Experiment, cache_folder: Path, emit: Emit = lambda event: None) -> Overview:
    """The collection of an experiment, also where nothing is judged. Raises ConfigFaults."""
    faults: list[str] = []
    with naming(experiment.file, "dataset", faults, set()), own_source(experiment, emit) as source:
        (dataset,) = parts_of(
            source, experiment, cache_folder, {source.judged_split: None}, emit, needs_judgements=False
        )
        asked = {plain_query(text) for text in dataset.query_texts}
        splits = list(_splits(source, asked, cache_folder, emit))
        return _overview(dataset, splits)
    raise ConfigFaults(faults)


def _splits(source: Any, asked: set[str], cache_folder: Path, emit: Emit) -> Iterator[tuple[str, str, str | None]]:
    """Each further split: its name, how many queries it judges, and a warning where it shares some."""
    for name in source.splits():
        if name == source.judged_split:
            continue
        try:
            tables, _ = load_tables(source.of_split(name), cache_folder / "datasets", waiting(emit))
        except BaseException as error:
            yield name, f"cannot be read: {failure_of(error).cause}", None
            continue
        queries = tables.queries
        if tables.qrels is not None:
            queries = queries.filter(pc.is_in(queries.column("id"), value_set=tables.qrels.column("query_id")))
        texts = pc.fill_null(queries.column("text"), "").to_pylist() if "text" in queries.column_names else []
        shared = sum(plain_query(text) in asked for text in texts if text)
        told = f"{counted(shared, 'query')} of split {name} {'stands' if shared == 1 else 'stand'} in the evaluated one"
        leak = f"{told}: a model that learns from them has seen the test. Trainings leave them out." if shared else None
        yield name, counted(queries.num_rows, "judged query"), leak


def _overview(dataset: Dataset, splits: list[tuple[str, str, str | None]]) -> Overview:
    warnings = [*dataset.warnings, *(leak for _, _, leak in splits if leak)]
    amounts = [
        ("Name", dataset.name),
        ("Documents", f"{dataset.documents:,}"),
        ("Queries in the file", f"{dataset.queries_in_file:,}"),
        ("Evaluated split", f"{dataset.split or 'the only one'}: {counted(dataset.judged, 'query')}"),
        *((f"Split {name}", amount) for name, amount, _ in splits),
        ("Fingerprint", dataset.fingerprint[:12]),
    ]
    sections: list[Section] = [("Amounts", amounts)]
    if dataset.qrels is not None:
        sections.append(("Judgements", list(_judgements(dataset, dataset.qrels))))
    for what, column in zip(_TEXTS, (dataset.document_texts.column, dataset.query_texts.column), strict=True):
        if dataset.has_text:
            sections.append((what, list(_texts(column, what))))
    if dataset.vector_dimension is not None:
        sections.append(("Vectors", [("Dimension", f"{dataset.vector_dimension:,}")]))
    languages = {dict(rows).get("Language") for name, rows in sections if name in _TEXTS} - {None, "not known"}
    if len(languages) > 1:
        warnings.append(
            f"Documents and queries seem to be in different languages ({', '.join(sorted(map(str, languages)))})."
        )
    if dataset.notes:
        sections.append(("Notes", [("", note) for note in dataset.notes]))
    return Overview(dataset, sections, warnings)


def _judgements(dataset: Dataset, qrels: pa.Table) -> Iterator[tuple[str, str]]:
    coded = dataset.qrels_coded()
    yield "Judgements", f"{qrels.num_rows:,}"
    grades, counts = np.unique(coded.grades, return_counts=True)
    yield "Grades", ", ".join(f"{grade}: {count:,}" for grade, count in zip(grades, counts, strict=True))
    relevant = np.bincount(coded.query_rows[coded.grades > 0], minlength=dataset.judged)
    if len(relevant):
        yield "Relevant documents of a query", _spread(relevant)
        yield "Queries without a relevant document", f"{int((relevant == 0).sum()):,}"
    there = coded.document_rows[coded.document_rows < dataset.documents]
    yield "Documents that are judged for some query", _share(len(np.unique(there)), dataset.documents)


def _texts(column: pa.ChunkedArray, what: str) -> Iterator[tuple[str, str]]:
    """Lengths, language, repeats and, of documents, what models cut."""
    words = pc.list_value_length(pc.utf8_split_whitespace(column)).to_numpy()
    yield "Words", _spread(words)
    yield "Characters", _spread(pc.utf8_length(column).to_numpy())
    yield "Language", language_of(column.slice(0, _SAMPLED).to_pylist()) or "not known"
    yield "Without any text", f"{int(pc.sum(pc.equal(pc.binary_length(column), 0)).as_py() or 0):,}"
    yield "With the same text as an earlier one", _share(len(column) - pc.count_distinct(column).as_py(), len(column))
    for tokens in _READ if what == "Documents" else ():
        yield f"Cut by a model that reads {tokens:,} tokens, at least", _share(int((words > tokens).sum()), len(words))


def _spread(values: npt.NDArray[Any]) -> str:
    if not len(values):
        return "none"
    low, middle, high, most = (float(np.quantile(values, share)) for share in (0, 0.5, 0.95, 1))
    return f"{low:,.0f} to {most:,.0f}, half of them up to {middle:,.0f}, 95 % up to {high:,.0f}"


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,}" + (f" ({100 * count / of:.1f} %)" if of else "")


def text_of(sections: list[Section], warnings: list[str]) -> str:
    """The overview as lines for a terminal."""
    found: list[str] = []
    for heading, rows in sections:
        width = max(len(name) for name, _ in rows)
        found += [heading, *(f"  {name:<{width}}  {value}".rstrip() for name, value in rows), ""]
    return "\n".join([*found, *(f"! {warning}" for warning in warnings), ""]).lstrip("\n")


def described(overview: Overview) -> Mapping[str, Any]:
    """The overview as JSON."""
    return {"sections": dict(overview.sections), "warnings": overview.warnings}
