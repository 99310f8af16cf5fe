"""The pairs that negatives are wanted for, and what each of them bars."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import EMPTY_ROW, InvalidOptions, Rows
from bench.data.dataset import Dataset
from bench.data.normal import normalised, plain_query
from bench.data.tables import scalars

ORDER = ("query", "positive", "query_id", "document_id")


class Asked:
    """Pairs in an order that depends on their content alone, over one corpus.

    table: columns query_id, document_id, query, positive. order: where each of its rows stands in the table that was
    given. texts: the distinct queries; query_of: int (pairs,), which of them a pair has. positive_rows: int32 (pairs,),
    the corpus's row of a pair's positive. groups: int (pairs,), equal for queries that are equal but for their
    spelling. written: texts that were written for pairs; their rows come after those of the corpus.
    """

    def __init__(self, pairs: pa.Table, dataset: Dataset) -> None:
        self.dataset = dataset
        self.order: npt.NDArray[np.int64] = pc.sort_indices(pairs, [(name, "ascending") for name in ORDER]).to_numpy()
        self.table = pairs.select(["query_id", "document_id", "query", "positive"]).take(self.order)
        queries: list[str] = self.table.column("query").to_pylist()
        self.positives: list[str] = self.table.column("positive").to_pylist()
        self.texts: list[str] = sorted(set(queries))
        place = {text: i for i, text in enumerate(self.texts)}
        self.query_of = np.array([place[text] for text in queries], np.int64)
        self.names: list[str] = list(dict.fromkeys(map(plain_query, self.texts)))
        group = {name: i for i, name in enumerate(self.names)}
        self._group_of_name = group
        self.groups = np.array([group[plain_query(text)] for text in self.texts], np.int64)[self.query_of]
        self.positive_rows = _rows_of(self.table.column("document_id"), dataset)
        if (self.positive_rows == EMPTY_ROW).any():
            lost = self.table.column("document_id")[int(np.argmin(self.positive_rows))].as_py()
            raise InvalidOptions(f"the positive {lost!r} is not in the corpus, so nothing can be compared with it.")
        self._texts_of_rows: dict[int, str] = {}
        self.written: list[str] = []

    def __len__(self) -> int:
        return len(self.groups)

    def text(self, row: int) -> str:
        """A document's text, normalised."""
        found = self._texts_of_rows.get(row)
        if found is None:
            found = self._texts_of_rows[row] = normalised(self.document_text(row))
        return found

    def document_text(self, row: int) -> str:
        """The text of a row, as it is."""
        past = row - self.dataset.documents
        return self.dataset.document_texts[row] if past < 0 else self.written[past]

    def document_id(self, row: int) -> str | None:
        """The document of a row; None for a text that was written."""
        return self.dataset.document_ids[row] if row < self.dataset.documents else None

    def add(self, text: str) -> int:
        """Take in a text that was written, and give it a row."""
        self.written.append(text)
        return self.dataset.documents + len(self.written) - 1

    @property
    def document_texts(self) -> Sequence[str]:
        """The texts of all rows."""
        return [*self.dataset.document_texts, *self.written] if self.written else self.dataset.document_texts

    @cached_property
    def positives_of(self) -> list[set[int]]:
        """Rows of the positives of each group: of its pairs, and those that the split's judgements name for any query
        that equals its query."""
        found: list[set[int]] = [set() for _ in self.names]
        for group, row in zip(self.groups.tolist(), self.positive_rows.tolist(), strict=True):
            found[group].add(row)
        if self.dataset.qrels is not None:
            coded, group_of = self.dataset.qrels_coded(), self._groups_of_dataset
            relevant = (coded.grades >= 1) & (coded.document_rows < self.dataset.documents)
            for query, row in zip(*(c[relevant].tolist() for c in coded[:2]), strict=True):
                if (group := group_of[query]) is not None:
                    found[group].add(row)
        return found

    @cached_property
    def barred_texts(self) -> list[set[str]]:
        """Texts of the positives of each group, normalised."""
        found = [{self.text(row) for row in rows} for rows in self.positives_of]
        for group, positive in zip(self.groups.tolist(), self.positives, strict=True):
            found[group].add(normalised(positive))
        return found

    @cached_property
    def query_texts(self) -> list[set[str]]:
        """Texts of the queries of each group, normalised."""
        found: list[set[str]] = [{name} for name in self.names]
        for text in self.texts:
            found[self._group_of_name[plain_query(text)]].add(normalised(text))
        return found

    @cached_property
    def own_of(self) -> list[set[int]]:
        """Rows of the documents that are a query of the group itself."""
        found: list[set[int]] = [set() for _ in self.names]
        if self.dataset.own_rows is not None:
            for group, row in zip(self._groups_of_dataset, self.dataset.own_rows.tolist(), strict=True):
                if group is not None and row != EMPTY_ROW:
                    found[group].add(row)
        return found

    @cached_property
    def _groups_of_dataset(self) -> list[int | None]:
        """The group of each of the dataset's queries, None for one that no pair has."""
        return [self._group_of_name.get(plain_query(text)) for text in self.dataset.query_texts]

    @property
    def most_barred(self) -> int:
        """How many documents a query bars by their ids, at most."""
        return max((len(one | other) for one, other in zip(self.positives_of, self.own_of, strict=True)), default=0)

    def rng(self, pair: int, seed: int) -> np.random.Generator:
        """Chance for one pair, by the seed and by what the pair says: the same wherever the pair stands."""
        query, positive = self.names[self.groups[pair]], self.positives[pair]
        text = f"{len(query)}:{query}{positive}".encode("utf-8", "surrogatepass")
        return np.random.default_rng([seed, int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")])

    def drawn(self, pair: int, count: int, seed: int) -> Rows:
        """Documents at random for a pair, each once."""
        documents = self.dataset.documents
        rows: Rows = self.rng(pair, seed).choice(documents, min(count, documents), replace=False).astype(np.int32)
        return rows

    def query_table(self) -> pa.Table:
        """The distinct queries as a dataset's table: its own rows where it holds them, which may carry vectors."""
        first = np.unique(self.query_of, return_index=True)[1]
        ids = self.table.column("query_id").take(first)
        found = pc.index_in(ids, value_set=self.dataset.queries.column("id"))
        if not found.null_count:
            own = self.dataset.queries.take(found)
            if pc.fill_null(own.column("text"), "").to_pylist() == self.texts:
                return own
        return pa.table({"id": pa.array([str(i) for i in range(len(self.texts))]), "text": pa.array(self.texts)})

    def values(self, column: str) -> npt.NDArray[np.int64]:
        """Codes of a column's values by row, -1 where there is none. Raises InvalidOptions for an unknown column."""
        values = scalars(self.dataset.corpus.column(column_of(column, self.dataset)))
        if pa.types.is_string(values.type):
            values = pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
        found = pc.index_in(values, value_set=pc.unique(values.drop_null()))
        codes: npt.NDArray[np.int64] = pc.fill_null(found, EMPTY_ROW).to_numpy().astype(np.int64)
        return codes

    def restored(self, columns: Sequence[tuple[str, pa.Array]], pairs: pa.Table) -> pa.Table:
        """The table that was given, with columns whose rows are in this order."""
        back = np.empty(len(self.order), np.int64)
        back[self.order] = np.arange(len(self.order))
        for name, column in columns:
            if name in pairs.column_names:
                pairs = pairs.drop_columns([name])
            pairs = pairs.append_column(name, column.take(pa.array(back)))
        return pairs


def _rows_of(ids: pa.ChunkedArray, dataset: Dataset) -> Rows:
    found = pc.index_in(ids, value_set=dataset.corpus.column("id"))
    rows: Rows = pc.fill_null(found, EMPTY_ROW).to_numpy().astype(np.int32)
    return rows


def column_of(name: str, dataset: Dataset) -> str:
    """The column of the documents that the option not_same names. Titles stand in the column title, where no meta
    column has that name. Raises InvalidOptions for an unknown one."""
    columns = dataset.corpus.column_names
    found = "title" if name == "meta.title" and name not in columns else name
    if found not in columns:
        there = [each for each in columns if each == "title" or each.startswith("meta.")]
        raise InvalidOptions(f"the documents have no column {name}. They have: {', '.join(there)}.", key="not_same")
    return found
