"""A folder in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from .. import base
from ..base import DatasetInvalid, DatasetSource, FilePath, Tables, numbered_lines
from ._reading import (
    QrelsTable,
    TextTable,
    identifier,
    json_objects,
    optional_text,
    required_text,
    whole_grade,
)

_GRADE_HEADINGS = {"score", "relevance", "grade", "rel", "label"}


class BeirOptions(base.Options):
    path: FilePath = Field(description="The folder that holds corpus.jsonl and queries.jsonl.")
    split: str = Field("test", min_length=1, description="Which judgements: the file qrels/<split>.tsv.")
    qrels: Literal["split", "none"] = Field("split", description="none: there are no judgements, measure ANN@k alone.")


class BeirFolder(DatasetSource):
    """Further fields of a row become meta.<name>, and so do the entries of an object called `metadata`.

    Source: the wiki of the beir package on loading a custom data set.
    """

    name: ClassVar[str] = "beir"
    Options = BeirOptions

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """corpus, queries, qrels. Raises DatasetInvalid when one is not there."""
        folder = self.context.path(self.options.path)
        if not folder.is_dir():
            raise DatasetInvalid(str(folder), "there is no such folder. Set `path` to a folder with corpus.jsonl.")
        files = [folder / "corpus.jsonl", folder / "queries.jsonl"]
        if self.options.qrels == "split":
            files.append(folder / "qrels" / f"{self.options.split}.tsv")
        for file in files:
            if not file.is_file():
                raise DatasetInvalid(str(file), _absence(file, self.options.split))
        return tuple(files)

    def load(self) -> Tables:
        corpus, queries, *judgements = self.sources()
        return Tables(
            corpus=read_texts(corpus, titled=True),
            queries=read_texts(queries, titled=False),
            qrels=read_qrels(judgements[0]) if judgements else None,
        )


def read_texts(path: Path, *, titled: bool) -> pa.Table:
    """A corpus (titled) or queries file in JSON Lines: `_id`, `text`, `title`, and whatever else the rows hold."""
    table = TextTable(path, titled=titled)
    for line, row in json_objects(path):
        where = f"{path}:{line}"
        table.add(
            identifier(row, "_id", where),
            required_text(row, "text", where),
            title=optional_text(row, "title", where) if titled else None,
            meta=_further(row, where, titled=titled),
            line=line,
        )
    return table.finish()


def read_qrels(path: Path) -> pa.Table:
    """Judgements: query id, document id and whole grade on a line, separated by tabs; a heading is optional."""
    table = QrelsTable(path)
    first = True
    for line, text in numbered_lines(path):
        cells = text.split("\t")
        heading = first and cells[-1].strip().lower() in _GRADE_HEADINGS
        first = False
        if heading:
            continue
        if len(cells) != 3:
            hint = " A TREC file's second column has to go." if len(cells) == 4 else ""
            raise DatasetInvalid(
                f"{path}:{line}", f"has {len(cells)} tab-separated cells, expected query id, document id, grade.{hint}"
            )
        query, document, grade = cells
        if not query or not document:
            raise DatasetInvalid(f"{path}:{line}", "an id is empty.")
        table.add(query, document, whole_grade(grade.strip(), f"{path}:{line}"), line)
    return table.finish()


def _further(row: Mapping[str, Any], where: str, *, titled: bool) -> dict[str, Any]:
    known = {"_id", "text", "title"} if titled else {"_id", "text"}
    if len(row) <= len(known) and row.keys() <= known:
        return {}
    nested = row.get("metadata")
    further = {key: value for key, value in row.items() if key not in known}
    if isinstance(nested, dict):
        del further["metadata"]
        for key, value in nested.items():
            if key in further:
                raise DatasetInvalid(where, f'"{key}" stands in the row and in its "metadata". Rename one of them.')
            further[key] = value
    return further


def _absence(file: Path, split: str) -> str:
    if file.parent.name != "qrels":
        return "there is no such file. A BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv."
    splits = sorted(p.stem for p in file.parent.glob("*.tsv")) if file.parent.is_dir() else []
    if splits:
        return f"there is no split {split!r}. Set `split` to one of: {', '.join(splits)}."
    return "there are no judgements. Add the file, or set `qrels: none` and measure ANN@k."
