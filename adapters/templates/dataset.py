"""Documents and the questions that they answer, one JSON object a line: id, text, questions."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from adapters.base import DatasetInvalid, DatasetSource, FilePath, Options, Tables, numbered_lines


class MineOptions(Options):
    path: FilePath = Field(description="The file of documents, in JSON Lines.")


class MineDataset(DatasetSource):
    """Replace `load`. It gives three tables with fixed columns, and the same at every call."""

    name = "mine"
    Options = MineOptions

    def sources(self) -> tuple[Path, ...]:
        return (self.context.path(self.options.path),)

    def load(self) -> Tables:
        documents: list[dict[str, Any]] = []
        queries: list[dict[str, str]] = []
        judged: list[dict[str, Any]] = []
        (path,) = self.sources()
        for number, line in numbered_lines(path):
            try:
                row = json.loads(line)
                documents.append({"id": row["id"], "title": None, "text": row["text"]})
                questions = list(row["questions"])
            except (ValueError, TypeError, KeyError) as error:
                problem = f"expected an object with id, text and questions: {error!r}"
                raise DatasetInvalid(f"{path}:{number}", problem) from error
            for question in questions:
                queries.append({"id": f"q{len(queries) + 1}", "text": question})
                judged.append({"query_id": queries[-1]["id"], "document_id": row["id"], "grade": 1})
        texts = [("id", pa.string()), ("title", pa.string()), ("text", pa.string())]
        grades = [("query_id", pa.string()), ("document_id", pa.string()), ("grade", pa.int32())]
        return Tables(
            corpus=pa.Table.from_pylist(documents, pa.schema(texts)),
            queries=pa.Table.from_pylist(queries, pa.schema([texts[0], texts[2]])),
            qrels=pa.Table.from_pylist(judged, pa.schema(grades)),
        )
