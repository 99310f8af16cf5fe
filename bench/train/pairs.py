"""The pairs that a model learns from: queries of the train split with what is relevant to them, and without any query
that is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import InvalidOptions, listed
from bench.data.dataset import Dataset
from bench.data.normal import normalised, plain_query
from bench.data.splits import hashed
from bench.data.tables import scalars, table_digest
from bench.messages.wording import counted
from bench.train.near_copies import Near, near_copies

FEWEST_PAIRS = 8
_SHOWN = 10  # leaks that a fault spells out
_SHOWN_NEAR = 3  # near copies that a warning spells out

WhenLeaked: TypeAlias = Literal["drop", "refuse"]


@dataclass(frozen=True, slots=True)
class Leak:
    """A query of the training data that the evaluation has too, the same or nearly. split: of the evaluation. why: what
    both share, where they are not equal."""

    training: str
    evaluation: str
    split: str
    training_id: str
    evaluation_id: str
    why: str | None = None

    def __str__(self) -> str:
        both = f"{self.training_id} {_quoted(self.training)}, {self.split} {self.evaluation_id}"
        return f"train {both} {_quoted(self.evaluation)}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True, slots=True)
class PairsReport:
    """What became of the judgements of a train split.

    found: those that call a document relevant. kept: pairs that are learned from. leaks: one for each pair that was
    dropped because its query is evaluated. near_copies: one for each query that is nearly an evaluated one; its pairs
    are kept. repeated: pairs whose texts stood before. identical, nearly_identical: pairs whose two texts are the same,
    or have nearly all words in common, so that nothing is to be learnt. empty: pairs with an empty text. absent: judged
    documents that the corpus does not hold. beyond_limit: pairs that a limit left out. wanted: that limit.
    """

    found: int
    kept: int
    leaks: tuple[Leak, ...] = ()
    near_copies: tuple[Leak, ...] = ()
    repeated: int = 0
    empty: int = 0
    absent: int = 0
    beyond_limit: int = 0
    wanted: int | None = None
    identical: int = 0
    nearly_identical: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was left out beside leaks, which are listed."""
        told = [
            (self.repeated, "left out, because the same texts stand in another one"),
            (self.empty, "left out, because a text is empty"),
            (self.identical, "left out, because both texts are the same"),
            (self.nearly_identical, "left out, because both texts have nearly all words in common"),
            (self.absent, "left out, because the document is not there"),
            (self.beyond_limit, "not used, because fewer are wanted"),
        ]
        notes = [
            f"{counted(count, 'training pair')} {'is' if count == 1 else 'are'} {fate}."
            for count, fate in told
            if count
        ]
        if self.wanted is not None and self.kept < self.wanted:
            notes.append(f"{self.wanted:,} pairs are wanted, and there are {self.kept:,}.")
        return tuple(notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on near copies, with both queries of the first ones."""
        if not self.near_copies:
            return ()
        count = len(self.near_copies)
        shown = "; ".join(map(str, self.near_copies[:_SHOWN_NEAR]))
        more = f"; and {count - _SHOWN_NEAR:,} more" if count > _SHOWN_NEAR else ""
        subject = "1 training query is" if count == 1 else f"{count:,} training queries are"
        return (f"{subject} nearly a query that is evaluated, and kept: {shown}{more}.",)

    def as_dict(self) -> dict[str, Any]:
        """Counts, as JSON can hold them."""
        return {
            "found": self.found,
            "kept": self.kept,
            "leaks": len(self.leaks),
            "near_copies": len(self.near_copies),
            "repeated": self.repeated,
            "empty": self.empty,
            "absent": self.absent,
            "identical": self.identical,
            "nearly_identical": self.nearly_identical,
            "beyond_limit": self.beyond_limit,
        }


@dataclass(frozen=True)
class TrainingPairs:
    """Columns query_id, document_id, query, positive (string), in an order that depends on their content alone."""

    table: pa.Table
    report: PairsReport

    @cached_property
    def digest(self) -> str:
        """Of the pairs' content."""
        return table_digest(self.table)

    @property
    def rows(self) -> int:
        """How many pairs there are."""
        return int(self.table.num_rows)

    @cached_property
    def plain_queries(self) -> tuple[str, ...]:
        """The distinct queries in the plain form by which leaks are found, in order."""
        return tuple(sorted({plain_query(text) for text in self.table.column("query").to_pylist()}))


class _Pair(NamedTuple):
    # In the order that the table is sorted by.
    query: str
    positive: str
    query_id: str
    document_id: str


def training_pairs(
    train: Dataset,
    evaluation: Sequence[Dataset],
    *,
    leaks: WhenLeaked = "drop",
    limit: int | None = None,
    seed: int = 0,
) -> TrainingPairs:
    """The pairs of a train split.

    evaluation: collections whose queries must not be learned, dev and test. leaks: whether a pair of such a query is
    dropped, or a fault. limit: at most so many pairs, the first by a hash of the query and the seed: those of a smaller
    limit are among those of a larger one.
    Raises InvalidOptions for leaks that are refused, for too few pairs, and where nothing tells the pairs apart.
    """
    if train.qrels is None or not train.has_text:
        raise InvalidOptions("a model learns from queries with relevant documents, and the data has no such texts.")
    given, absent = _judged(train)
    evaluated = evaluated_queries(evaluation)
    evaluated.pop("", None)  # of a query without a letter no other one is a copy
    whole = sorted(pair for pair in given if pair.query.strip() and pair.positive.strip())
    asked = [plain_query(pair.query) for pair in whole]
    leaked = [_leak(pair, evaluated[key]) for pair, key in zip(whole, asked, strict=True) if key in evaluated]
    if leaked and leaks == "refuse":
        raise InvalidOptions(refusal(leaked), key="leaks")
    free: dict[tuple[str, str], _Pair] = {}
    clean = [(key, pair) for key, pair in zip(asked, whole, strict=True) if key not in evaluated]
    for key, pair in clean:
        free.setdefault((key, normalised(pair.positive)), pair)
    kept = sorted(_first(free, limit, seed))
    _check(kept, found=len(given))
    table = pa.table({name: pa.array([getattr(pair, name) for pair in kept], pa.string()) for name in _COLUMNS})
    report = PairsReport(
        found=len(given) + absent,
        kept=len(kept),
        leaks=tuple(leaked),
        near_copies=tuple(_near(kept, evaluated)),
        repeated=len(clean) - len(free),
        empty=len(given) - len(whole),
        absent=absent,
        beyond_limit=len(free) - len(kept),
        wanted=limit,
    )
    return TrainingPairs(table, report)


_COLUMNS = ("query_id", "document_id", "query", "positive")


def with_columns(pairs: TrainingPairs, train: Dataset, columns: Sequence[str]) -> TrainingPairs:
    """The pairs with columns of their queries, as text. Raises InvalidOptions for a column that is not there."""
    table, there = pairs.table, [name for name in train.queries.column_names if name.startswith("meta.")]
    for name in columns:
        if name not in there:
            known = f"They have: {listed(there, [name])}" if there else "They have no meta columns"
            raise InvalidOptions(f"the queries have no column {name}. {known}.", key="label")
        places = pc.index_in(table.column("query_id"), value_set=train.queries.column("id"))
        table = table.append_column(name, pc.cast(scalars(train.queries.column(name)).take(places), pa.string()))
    return replace(pairs, table=table)


class Evaluated(NamedTuple):
    text: str
    name: str
    split: str


def _judged(train: Dataset) -> tuple[list[_Pair], int]:
    """Every query with every document that is relevant to it, and how many of such documents are not there."""
    coded = train.qrels_coded()
    relevant = coded.grades >= 1
    there = relevant & (coded.document_rows < train.documents)
    queries, query_ids = list(train.query_texts), list(train.query_ids)
    texts, ids = train.document_texts, train.document_ids
    known: dict[int, tuple[str, str]] = {}
    pairs = []
    for query, row in zip(coded.query_rows[there].tolist(), coded.document_rows[there].tolist(), strict=True):
        if row not in known:
            known[row] = texts[row], ids[row]
        positive, name = known[row]
        pairs.append(_Pair(queries[query], positive, query_ids[query], name))
    return pairs, int(relevant.sum() - there.sum())


def evaluated_queries(evaluation: Sequence[Dataset]) -> dict[str, Evaluated]:
    """The queries of the evaluation by their texts in plain form, the first of equal ones."""
    found: dict[str, Evaluated] = {}
    for dataset in evaluation:
        for name, text in zip(dataset.query_ids, dataset.query_texts, strict=True):
            found.setdefault(plain_query(text), Evaluated(text, name, dataset.split or "evaluation"))
    return found


def _leak(pair: _Pair, query: Evaluated, why: str | None = None) -> Leak:
    return Leak(pair.query, query.text, query.split, pair.query_id, query.name, why)


def _first(pairs: Mapping[tuple[str, str], _Pair], limit: int | None, seed: int) -> list[_Pair]:
    if limit is None or limit >= len(pairs):
        return list(pairs.values())
    order = sorted(pairs.items(), key=lambda item: (hashed(f"{seed}\0{item[0][0]}", "pairs"), *item[0]))
    return [pair for _, pair in order[:limit]]


def _near(pairs: Sequence[_Pair], evaluated: Mapping[str, Evaluated]) -> Iterator[Leak]:
    """The training queries that are nearly evaluated ones, each with the nearest of them."""
    training: dict[str, _Pair] = {}
    for pair in pairs:
        training.setdefault(plain_query(pair.query), pair)
    for key, near in near_copies(list(training), list(evaluated)).items():
        yield _leak(training[key], evaluated[near.text], _why(near))


def _why(near: Near) -> str:
    return f"{near.shared} words in a row" if near.of is None else f"{near.shared} of {near.of} words"


def _check(pairs: Sequence[_Pair], *, found: int) -> None:
    if len(pairs) < FEWEST_PAIRS:
        raise InvalidOptions(
            f"there {'is' if len(pairs) == 1 else 'are'} {counted(len(pairs), 'pair')} to learn from (of "
            f"{counted(found, 'relevant document')}), and {FEWEST_PAIRS} are the fewest. Give the split train more "
            "judgements, or a larger part of the queries."
        )
    if len({normalised(pair.positive) for pair in pairs}) == 1:
        raise InvalidOptions(
            f"all {len(pairs):,} pairs have the same positive, {pairs[0].document_id} {_quoted(pairs[0].positive)}: "
            "there is nothing to tell it from. Judge further documents."
        )
    if len({plain_query(pair.query) for pair in pairs}) == 1:
        raise InvalidOptions(
            f"all {len(pairs):,} pairs have the same query, {_quoted(pairs[0].query)}. Judge further queries."
        )


def refusal(leaks: Sequence[Leak]) -> str:
    more = f"; and {len(leaks) - _SHOWN:,} more" if len(leaks) > _SHOWN else ""
    pairs = "1 training pair has a query that is" if len(leaks) == 1 else f"{len(leaks):,} training pairs have queries"
    return (
        f"{pairs}{'' if len(leaks) == 1 else ' that are'} evaluated: {'; '.join(map(str, leaks[:_SHOWN]))}{more}. "
        "Remove them from the split train, or write leaks: drop"
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
