"""The examples of a training, checked, with their columns in the places that a loss expects.

Losses of sentence-transformers go by the place of a column and ignore its name, so that exchanged columns train
without a word. Columns are therefore put in order here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import InvalidOptions, Role

FEWEST = 8
"""The fewest examples that are trained on: with fewer a model learns them by heart and nothing else."""

LABEL = "label"  # the name by which the library knows that a column is no text

Column: TypeAlias = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples in the order of the training data.

    columns: by name, in the order of the loss; texts, lists of texts, or under `label` numbers. apart: columns whose
        texts may stand only once in a batch, taken together. prompts: what stands before the texts of a column.
        groups: of each example, a value that may stand only once in a batch as well. together: of each example, a class
        of which a batch holds several, `at_once`, where there are as many.
    """

    columns: Mapping[str, Column]
    apart: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    groups: Column | None = None
    together: Column | None = None
    at_once: int = 1

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def alone_teaches_nothing(self) -> bool:
        """Whether an example needs others in its batch: its negatives are their texts, and it has none of its own."""
        return bool(self.apart) and len(self.columns) <= 2

    def texts(self) -> list[tuple[str, Column]]:
        """The columns of texts with their names."""
        return [(name, values) for name, values in self.columns.items() if name != LABEL]


def pairs_in_batch(table: pa.Table, prompts: Mapping[Role, str]) -> Rows:
    """Queries, their positives and negatives, for losses that take the other texts of a batch for negatives.

    prompts: of the roles query and document. Raises InvalidOptions for pairs that nothing can be learnt from.
    """
    check_pairs(table)
    columns: dict[str, Column] = {"query": _list(table, "query"), "positive": _list(table, "positive")}
    columns |= negatives_by_place(table)
    roles = {name: prompts.get("query" if name == "query" else "document", "") for name in columns}
    before = {name: text for name, text in roles.items() if text}
    groups = _list(table, "group") if "group" in table.column_names else None
    return Rows(columns, apart=tuple(columns), prompts=before, groups=groups)


def single_texts(table: pa.Table, prompts: Mapping[Role, str]) -> Rows:
    """Documents, for losses that need no labels. Raises InvalidOptions for texts that nothing can be learnt from."""
    _check_count(len(table), "documents", "documents")
    texts = _list(table, "text")
    _check_texts(texts, "text", None)
    if len(set(texts)) == 1:
        raise InvalidOptions(
            f"All {len(texts):,} documents have the same text, so there is nothing to tell apart. Check the documents.",
            key="recipe",
        )
    prompt = prompts.get("document", "")
    return Rows({"text": texts}, apart=("text",), prompts={"text": prompt} if prompt else {})


def scored_pairs(table: pa.Table, prompts: Mapping[Role, str]) -> Rows:
    """Two texts and how alike they are. Raises InvalidOptions for scores that nothing can be learnt from."""
    check_scored(table)
    columns: dict[str, Column] = {name: _list(table, name) for name in ("first", "second")}
    columns[LABEL] = _list(table, "score")
    roles = {"first": prompts.get("query", ""), "second": prompts.get("document", "")}
    return Rows(columns, prompts={name: text for name, text in roles.items() if text})


def negatives_by_place(table: pa.Table) -> dict[str, Column]:
    """The negatives as columns negative_1, negative_2 and so on; none where the pairs have none."""
    lists = _list(table, "negatives")
    counts = {len(each) for each in lists}
    if len(counts) > 1:
        raise InvalidOptions(
            f"The pairs have between {min(counts)} and {max(counts)} negatives; each must have as many as the others.",
            key="negatives",
        )
    return {f"negative_{place + 1}": [each[place] for each in lists] for place in range(counts.pop())}


def check_pairs(table: pa.Table) -> None:
    """Raise InvalidOptions for pairs that nothing can be learnt from."""
    _check_count(len(table), "pairs of a query and a relevant document", "judgements of the train split")
    for name in ("query", "positive"):
        _check_texts(_list(table, name), name, _list(table, "query_id"))
    for query, texts in zip(_list(table, "query_id"), _list(table, "negatives"), strict=True):
        _check_texts(texts, "negative", [query] * len(texts))
    if pc.count_distinct(table["positive"]).as_py() == 1:
        raise InvalidOptions(
            f"All {len(table):,} pairs have the same relevant text, so there is nothing to tell apart. Check the "
            "judgements of the train split.",
            key="recipe",
        )


def check_scored(table: pa.Table) -> None:
    """Raise InvalidOptions for scored pairs that nothing can be learnt from."""
    _check_count(len(table), "pairs of texts with a similarity", "lines of the file")
    for name in ("first", "second"):
        _check_texts(_list(table, name), name, None)
    scores = np.asarray(table["score"].to_numpy(), np.float64)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if wrong.size:
        raise InvalidOptions(
            f"Pair {int(wrong[0]) + 1:,} has the similarity {scores[wrong[0]]:g}, outside 0 to 1 ({wrong.size:,} "
            "such pairs). Divide the scores by their largest possible value, such as 5.",
            key="recipe",
        )
    if np.ptp(scores) == 0:
        raise InvalidOptions(
            f"All {len(scores):,} pairs have the similarity {scores[0]:g}, so there is nothing to tell apart.",
            key="recipe",
        )


def check_documents(table: pa.Table) -> None:
    """Raise InvalidOptions for documents that nothing can be learnt from."""
    _check_count(len(table), "documents", "documents to the collection")
    _check_texts(_list(table, "text"), "text", None)
    if pc.count_distinct(table["text"]).as_py() == 1:
        raise InvalidOptions(
            f"All {len(table):,} documents have the same text, so there is nothing to tell apart.", key="recipe"
        )


def _check_count(count: int, what: str, where: str) -> None:
    if count < FEWEST:
        raise InvalidOptions(
            f"{count} {what} are too few to train on; at least {FEWEST} are needed, and some hundreds before it is "
            f"worth the while. Add {where}.",
            key="recipe",
        )


def _check_texts(texts: Column, name: str, queries: Column | None) -> None:
    for place, text in enumerate(texts):
        if text is None or not text.strip():
            whose = f" of query {queries[place]!r}" if queries is not None else ""
            raise InvalidOptions(
                f"Training example {place + 1:,}{whose} has an empty text ({name}). Remove it from the training data, "
                "or give it a text.",
                key="recipe",
            )


def _list(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table[name].to_pylist()
    return values
