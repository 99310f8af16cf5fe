"""Pairs that the structure of documents gives, without any label: a title and its text, neighbouring passages of one
document, the halves of a long text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import pyarrow as pa

from adapters.base import InvalidOptions, listed
from bench.data.dataset import Dataset
from bench.data.normal import normalised, plain_query
from bench.data.splits import hashed
from bench.data.tables import scalars, table_digest
from bench.experiment.structure import PairsFrom
from bench.messages.wording import counted
from bench.train.near_copies import nearly_alike
from bench.train.pairs import (
    FEWEST_PAIRS,
    Evaluated,
    Leak,
    PairsReport,
    TrainingPairs,
    WhenLeaked,
    evaluated_queries,
    refusal,
)

_FEWEST_WORDS = 5  # of a half; a text of fewer words says little alone
_FEWEST_LETTERS = 20  # the same, where words are not told apart by spaces
_PARAGRAPHS = re.compile(r"\n\s*\n")
_SENTENCES = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])")
_MIDDLE = 1 / 3  # of a text, in which a paragraph's end is taken before a sentence's
# What stands before a passage's number: these say that it is one ...
_NUMBERED = re.compile(r"^(.+?)(#|::|/)(\d+)$")
# ... and these may as well stand in serial numbers of documents.
_PERHAPS_NUMBERED = re.compile(r"^(.+)(_|-|\.|:|@)(\d+)$")
_MOST_OF_GROUP = 500  # positives that are kept from being negatives of each other; more share a topic, and no document
# Where numbers may be serial ones: the fewest documents in passages, and the most passages that the middle one has.
_FEWEST_DOCUMENTS, _LARGEST_DOCUMENT = 3, 50

FOUND_NONE: Mapping[PairsFrom, str] = {
    "title": "no document has a title and a text",
    "neighbours": "no column says which passages are of one document, as passages_of: meta.NAME would, and no ids do, "
    "as d1#0 and d1#1 would",
    "halves": "no text has two sentences of some length",
}


class _Found(NamedTuple):
    # In the order that the table is sorted by.
    query: str
    positive: str
    source: str  # the document
    kind: PairsFrom
    place: str  # tells the pairs of one document apart
    group: str  # documents whose texts are no negatives of each other


@dataclass(frozen=True)
class StructurePairs(TrainingPairs):
    """table: columns query_id, document_id, query, positive, group (string), in an order that depends on their content
    alone. collection: the positives as documents and the first texts as queries, in which negatives are looked for.
    counts: pairs kept, by what gave them."""

    collection: Dataset
    counts: Mapping[PairsFrom, int]
    notes: tuple[str, ...]


def structure_pairs(
    documents: Dataset,
    evaluation: Sequence[Dataset],
    *,
    pairs_from: Sequence[PairsFrom],
    passages_of: str | None = None,
    leaks: WhenLeaked = "drop",
    limit: int | None = None,
    seed: int = 0,
) -> StructurePairs:
    """The pairs that the documents of a collection give.

    evaluation: collections whose queries must not be learned. pairs_from: which pairs. passages_of: the column whose
    value passages of one document share; None: what their ids say. limit: at most so many pairs, the first by a hash.
    Raises InvalidOptions for a column that is not there, leaks that are refused, and too few pairs.
    """
    passages = _Passages(documents, passages_of)
    given = sorted(_given(documents, pairs_from, passages))
    kept, dropped, leaked = _sorted_out(given, evaluated_queries(evaluation))
    if leaked and leaks == "refuse":
        raise InvalidOptions(refusal(leaked), key="leaks")
    chosen = sorted(_first(kept, limit, seed))
    counts = {kind: sum(pair.kind == kind for pair in chosen) for kind in pairs_from}
    _check(chosen, pairs_from, given, documents)
    report = PairsReport(
        found=len(given),
        kept=len(chosen),
        leaks=tuple(leaked),
        repeated=dropped["repeated"],
        identical=dropped["identical"],
        nearly_identical=dropped["near"],
        beyond_limit=len(kept) - len(chosen),
        wanted=limit,
    )
    table = _table(chosen)
    notes = (_told(documents, chosen, counts, given), *passages.notes)
    return StructurePairs(table, report, _collection(documents, table), counts, notes)


def _sorted_out(
    given: Sequence[_Found], evaluated: Mapping[str, Evaluated]
) -> tuple[dict[tuple[str, str], _Found], Counter[str], list[Leak]]:
    """The pairs that teach something, by their texts; how many of the others there are, by why; and the leaks."""
    dropped: Counter[str] = Counter()
    leaked: list[Leak] = []
    kept: dict[tuple[str, str], _Found] = {}
    for pair in given:
        key = normalised(pair.query), normalised(pair.positive)
        leak = next((text for text in (pair.query, pair.positive) if plain_query(text) in evaluated), None)
        if key[0] == key[1]:
            dropped["identical"] += 1
        elif nearly_alike(*key):
            dropped["near"] += 1
        elif leak is not None:
            other = evaluated[plain_query(leak)]
            leaked.append(Leak(leak, other.text, other.split, pair.source, other.name))
        elif kept.setdefault(key, pair) is not pair:
            dropped["repeated"] += 1
    return kept, dropped, leaked


def _given(documents: Dataset, pairs_from: Sequence[PairsFrom], passages: _Passages) -> Iterator[_Found]:
    """All pairs, whatever becomes of them."""
    ids, texts, groups = list(documents.document_ids), list(documents.document_texts), passages.documents
    if "title" in pairs_from:
        titles, bodies = (documents.corpus.column(name).to_pylist() for name in ("title", "text"))
        for row, (title, body) in enumerate(zip(titles, bodies, strict=True)):
            if (title or "").strip() and (body or "").strip():
                yield _Found(title.strip(), body.strip(), ids[row], "title", "title", groups[row])
    if "halves" in pairs_from:
        for row, text in enumerate(texts):
            if (both := halves(text)) is not None:
                yield _Found(*both, ids[row], "halves", "halves", groups[row])
    if "neighbours" in pairs_from:
        for row, following in passages.neighbours():
            if texts[row].strip() and texts[following].strip():
                yield _Found(texts[row], texts[following], ids[row], "neighbours", "next", groups[row])


def halves(text: str) -> tuple[str, str] | None:
    """The two halves of a text: at a paragraph's end in its middle third, else at the sentence's end that is nearest to
    the middle. None for a text without such an end, or with a half of few words."""
    middle = len(text) / 2
    ends = [found.end() for found in _PARAGRAPHS.finditer(text) if abs(found.end() - middle) < len(text) * _MIDDLE / 2]
    ends = ends or [found.end() for found in _SENTENCES.finditer(text)]
    if not ends:
        return None
    at = min(ends, key=lambda end: (abs(end - middle), end))
    first, second = text[:at].strip(), text[at:].strip()
    return (first, second) if _says_enough(first) and _says_enough(second) else None


def _says_enough(text: str) -> bool:
    words = text.split()
    spaceless = len(text) > _FEWEST_LETTERS * max(1, len(words))  # whole sentences without a space
    return len(words) >= _FEWEST_WORDS or spaceless


class _Passages:
    """Which documents are passages of one document. documents: of each row, what it is a passage of; its own id where
    it is none. notes: how that was found out."""

    def __init__(self, dataset: Dataset, column: str | None) -> None:
        self._ids = list(dataset.document_ids)
        self.notes: tuple[str, ...] = ()
        self._gaps = column is not None  # numbers in ids say what follows what; a column, the order of the collection
        if column is None:
            self._of = _by_ids(self._ids)
        else:
            found = _values(dataset, column)
            self._of = [None if value is None else (str(value), row) for row, value in enumerate(found)]
        self.documents = [
            self._ids[row] if each is None else f"{column or 'ids'}={each[0]}" for row, each in enumerate(self._of)
        ]
        sizes = Counter(each[0] for each in self._of if each is not None)
        several = {name: size for name, size in sizes.items() if size > 1}
        if several:
            of = counted(len(several), "document")
            how = f"by {column}" if column else "by their ids"
            self.notes = (f"{sum(several.values()):,} documents of the collection are passages of {of}, {how}.",)

    def neighbours(self) -> Iterator[tuple[int, int]]:
        """Rows of passages and of those that follow them."""
        rows = {each: row for row, each in enumerate(self._of) if each is not None}
        ordered = sorted(rows)
        for one, other in pairwise(ordered):
            if one[0] == other[0] and (self._gaps or other[1] == one[1] + 1):
                yield rows[one], rows[other]


def _values(dataset: Dataset, column: str) -> list[object]:
    there = [name for name in dataset.corpus.column_names if name.startswith("meta.")]
    if column not in there:
        known = f"They have: {listed(there, [column])}" if there else "They have no meta columns"
        raise InvalidOptions(f"the documents have no column {column}. {known}.", key="passages_of")
    values: list[object] = scalars(dataset.corpus.column(column)).to_pylist()
    return values


def _by_ids(ids: Sequence[str]) -> list[tuple[str, int] | None]:
    """The document and the number of each passage, by ids such as d1#0 and d1#1; None for an id that is none."""
    for pattern in (_NUMBERED, _PERHAPS_NUMBERED):
        found = [pattern.match(name) for name in ids]
        numbered = [None if each is None else (each[1], int(each[3])) for each in found]
        sizes = [size for size in Counter(each[0] for each in numbered if each is not None).values() if size > 1]
        surely = pattern is _NUMBERED
        if sizes and (surely or (len(sizes) >= _FEWEST_DOCUMENTS and median(sizes) <= _LARGEST_DOCUMENT)):
            return numbered
    return [None] * len(ids)


def _first(pairs: Mapping[tuple[str, str], _Found], limit: int | None, seed: int) -> list[_Found]:
    if limit is None or limit >= len(pairs):
        return list(pairs.values())
    order = sorted(pairs, key=lambda key: (hashed(f"{seed}\0{key[0]}", "pairs"), *key))
    return [pairs[key] for key in order[:limit]]


def _check(
    pairs: Sequence[_Found], pairs_from: Sequence[PairsFrom], given: Sequence[_Found], documents: Dataset
) -> None:
    if len(pairs) >= FEWEST_PAIRS:
        return
    there = {pair.kind for pair in given}
    why = "; ".join(f"{kind}: {FOUND_NONE[kind]}" for kind in pairs_from if kind not in there)
    raise InvalidOptions(
        f"the structure of {counted(documents.documents, 'document')} gives {counted(len(pairs), 'pair')} to learn "
        f"from, and {FEWEST_PAIRS} are the fewest{f' ({why})' if why else ''}. Name further kinds of pairs (title, "
        "neighbours, halves), or take a recipe that learns from documents as they are: contrastive_tension or tsdae.",
        key="pairs_from",
    )


def _told(documents: Dataset, pairs: Sequence[_Found], counts: Mapping[PairsFrom, int], given: Sequence[_Found]) -> str:
    there = {pair.kind for pair in given}
    each = [
        f"{count:,} from {kind}" if kind in there else f"none from {kind} ({FOUND_NONE[kind]})"
        for kind, count in counts.items()
    ]
    sources = len({pair.source for pair in pairs})
    return (
        f"It learns from {counted(len(pairs), 'pair')} that the structure of {sources:,} of "
        f"{counted(documents.documents, 'document')} gives, and from no judgement: {', '.join(each)}."
    )


def _table(pairs: Sequence[_Found]) -> pa.Table:
    """The pairs; equal positives are one document."""
    names: dict[str, str] = {}
    for pair in pairs:
        names.setdefault(normalised(pair.positive), f"{pair.source}/{pair.place}")
    columns = {
        "query_id": [f"{pair.source}/{pair.place}" for pair in pairs],
        "document_id": [names[normalised(pair.positive)] for pair in pairs],
        "query": [pair.query for pair in pairs],
        "positive": [pair.positive for pair in pairs],
        "group": [pair.group for pair in pairs],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _collection(documents: Dataset, pairs: pa.Table) -> Dataset:
    """The pairs as a collection. To a first text every positive of the same group is relevant: it is no negative."""
    columns = {name: pairs.column(name).to_pylist() for name in pairs.column_names}
    first = {name: row for row, name in reversed([*enumerate(columns["document_id"])])}
    places = sorted(first.values())
    of_group: dict[str, dict[str, None]] = {}
    for group, name in zip(columns["group"], columns["document_id"], strict=True):
        of_group.setdefault(group, {})[name] = None
    related = [
        (query, name)
        for query, group in zip(columns["query_id"], columns["group"], strict=True)
        for name in (of_group[group] if len(of_group[group]) <= _MOST_OF_GROUP else ())
    ]
    ids = pairs.column("document_id").take(pa.array(places))
    corpus = pa.table(
        {
            "id": ids,
            "title": pa.nulls(len(places), pa.string()),
            "text": pairs.column("positive").take(pa.array(places)),
        }
    )
    queries = pa.table({"id": pairs.column("query_id"), "text": pairs.column("query")})
    qrels = pa.table(
        {
            "query_id": pa.array([query for query, _ in related], pa.string()),
            "document_id": pa.array([name for _, name in related], pa.string()),
            "grade": pa.array([1] * len(related), pa.int32()),
        }
    )
    return replace(
        documents,
        split="structure",
        corpus=corpus,
        queries=queries,
        qrels=qrels,
        queries_in_file=len(pairs),
        fingerprint=table_digest(pairs),
        own_rows=None,
    )
