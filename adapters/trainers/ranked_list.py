"""Ranked List Loss: texts of one class come within a distance of each other, those of other classes beyond another one.

A class is what answers the same: the queries of one document and the document itself, or queries that share a label.
Source: Wang et al. 2019, https://arxiv.org/abs/1903.03238.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from adapters.base import InvalidOptions, LearnsFrom
from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._ranked_list import ranked_list
from adapters.trainers._rows import LABEL, Column, Rows, check_pairs


class RankedListOptions(EncoderTrainingOptions):
    """What a class is, and how far texts of one class and of others are to lie from each other."""

    boundary: float = Field(
        1.2,
        gt=0,
        le=2,
        description="Euclidean distance of vectors of length 1, from 0 to 2, beyond which texts of other classes are "
        "left alone (alpha).",
    )
    margin: float = Field(
        0.4, gt=0, description="How far within the boundary texts of one class are left alone (m); below the boundary."
    )
    negative_temperature: float = Field(
        10.0, ge=0, description="How much more the nearer texts of other classes weigh (T); 0: all weigh alike."
    )
    negative_share: float = Field(
        0.5, ge=0, le=1, description="Share of the texts of other classes in the loss (lambda); the class has the rest."
    )
    label: str | None = Field(
        None,
        description="Column of the queries that says their class, such as meta.intent; left out, the document that "
        "answers them.",
    )
    with_documents: bool = Field(
        True, description="Whether the document is a member of its class too; without it classes are of queries alone."
    )
    per_class: int = Field(
        4, ge=2, description="Examples of one class that stand in a batch together, where it has as many."
    )

    @field_validator("label")
    @classmethod
    def _is_a_column(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("meta."):
            raise ValueError(f"name a column of the queries, such as meta.{value or 'label'}")
        return value

    @model_validator(mode="after")
    def _leave_room(self) -> RankedListOptions:
        if self.margin >= self.boundary:
            raise ValueError(f"margin ({self.margin:g}) must be below boundary ({self.boundary:g})")
        return self


class RankedListTrainer(EncoderTrainer):
    """Ranked List Loss."""

    name: ClassVar[str] = "ranked_list"
    learns_from: ClassVar[LearnsFrom] = "pairs"
    Options = RankedListOptions

    @property
    def query_columns(self) -> tuple[str, ...]:
        return () if self.options.label is None else (self.options.label,)

    def _rows(self, table: pa.Table) -> Rows:
        check_pairs(table)
        queries, positives = table["query"].to_pylist(), table["positive"].to_pylist()
        classes = self._classes(table)
        options = self.options
        if not options.with_documents:  # a query with several documents of one class stands once in it
            once = dict.fromkeys(zip(queries, classes, strict=True))
            queries, classes = [query for query, _ in once], [label for _, label in once]
        self._check(classes, len(queries))
        numbers: dict[Any, int] = {}
        numbered = [
            [numbers.setdefault(("query", query), len(numbers)), numbers.setdefault(("class", label), len(numbers))]
            for query, label in zip(queries, classes, strict=True)
        ]
        columns: dict[str, Column] = {"query": queries}
        columns |= {"positive": positives} if options.with_documents else {}
        columns[LABEL] = numbered
        prompts = {name: self._prompts["query" if name == "query" else "document"] for name in columns if name != LABEL}
        return Rows(
            columns,
            prompts={name: text for name, text in prompts.items() if text},
            together=classes,
            at_once=options.per_class,
        )

    def _classes(self, table: pa.Table) -> list[str]:
        label = self.options.label
        if label is None:
            return [str(each) for each in table["positive"].to_pylist()]  # equal documents are one, whatever their ids
        if label not in table.column_names:
            raise InvalidOptions(
                f"the queries have no column {label}. Leave label out, or name one of theirs.", key="label"
            )
        found = table[label].to_pylist()
        missing = [query for query, value in zip(table["query_id"].to_pylist(), found, strict=True) if value is None]
        if missing:
            raise InvalidOptions(
                f"{len(missing):,} training examples have no {label}, such as query {missing[0]}. Give each query one, "
                "or leave label out.",
                key="label",
            )
        return [str(each) for each in found]

    def _check(self, classes: list[str], count: int) -> None:
        sizes = Counter(classes)
        if len(sizes) == 1:
            raise InvalidOptions(
                f"All {count:,} examples are of one class, so there is nothing to tell apart.",
                key="recipe" if self.options.label is None else "label",
            )
        if not self.options.with_documents and max(sizes.values()) == 1:
            what = "document that answers it" if self.options.label is None else self.options.label
            raise InvalidOptions(
                f"Each of the {count:,} classes has one query, so there is nothing to bring together: a class is made "
                f"of the queries with the same {what}. Write with_documents: true, which makes the document a member "
                "of its class; or name a column of the queries that several share, such as label: meta.topic; or take "
                "the recipe mnrl.",
                key="with_documents",
            )

    def _loss(self, model: Any, rows: Rows) -> Any:
        options = self.options
        of_query: dict[int, set[int]] = {}
        for query, label in rows.columns[LABEL]:
            of_query.setdefault(query, set()).add(label)
        several = {query: sorted(classes) for query, classes in of_query.items() if len(classes) > 1}
        return ranked_list(
            model,
            several,
            boundary=options.boundary,
            margin=options.margin,
            temperature=options.negative_temperature,
            negative_share=options.negative_share,
        )
