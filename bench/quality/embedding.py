"""Texts to vectors, once per distinct text and encoder, kept segment by segment as they are computed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import (
    AdapterError,
    AdapterRejected,
    Encoded,
    Encoder,
    Flags,
    Floats,
    Role,
    Similarity,
    TextRows,
    Usage,
    Warned,
)
from bench.cache.artifacts import Arrays, Cache, Segments
from bench.cache.digests import Digests, array_digest, content_key, text_digests
from bench.cache.machine_lock import at_work, pause
from bench.data.dataset import Dataset
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.money.cost import ABOUT, AT_MOST, Integers, embedding_usage, text_bytes
from bench.quality.stages import Count, Emit, Stage, usage_from, waiting

LARGEST_SEGMENT = 4096  # texts

PLURAL: dict[Role, str] = {"document": "documents", "query": "queries"}


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of all documents or queries, float32 (n, dimension), with what they cost when they were computed. A
    document's text counts once, because an index is filled once; a query's text counts as often as the query is asked.
    failures: why a text has no vector, by its row; the row holds NaN."""

    array: Floats
    key: str
    similarity: Similarity
    texts: int  # distinct texts behind them; 0 where the dataset carried the vectors
    truncated: int  # rows whose text was cut at the model's length
    usage: Usage
    seconds: float
    failures: Mapping[int, str] = field(default_factory=dict)


class Embedding:
    """The embedding stage of one dataset."""

    def __init__(self, dataset: Dataset, cache: Cache, count: Count, emit: Emit, budget: Budget) -> None:
        self._dataset = dataset
        self._cache = cache
        self._count = count
        self._emit = emit
        self._budget = budget
        self._digests: dict[Role, Digests] = {}
        self._refused: dict[tuple[str, Role], Mapping[bytes, str]] = {}  # by place

    def digests(self, role: Role) -> Digests:
        """Digests of the texts of a role, S16 (n,)."""
        if role not in self._digests:
            self._digests[role] = text_digests(self._texts(role))
        return self._digests[role]

    def key(self, encoder: Encoder, role: Role) -> str:
        """The key of all vectors of a role: what decides a vector, which texts or given vectors there are, and, once
        they are computed, which of those have none."""
        source = self._given(encoder, role) if encoder.consumes == "vector" else self.digests(role)
        whole = content_key([self._identity(encoder, role), array_digest(source)])
        # An index that lacks the refused texts differs from one that has them.
        refused = sorted(self._refused.get((self._place(encoder, role), role), ()))
        return content_key([whole, [digest.hex() for digest in refused]]) if refused else whole

    def pending(self, encoder: Encoder, role: Role) -> tuple[int, int, float]:
        """Distinct texts not embedded yet, distinct texts in all, and the mean length of a text in characters."""
        if encoder.consumes == "vector":
            return 0, 0, 0.0
        distinct, first = np.unique(self.digests(role), return_index=True)
        missing = int(self._segments(encoder, role).missing(distinct).sum())
        texts = self._texts(role)
        sample = first[:: max(1, len(first) // 500)]
        return missing, len(distinct), float(np.mean([len(texts[int(i)]) for i in sample])) if len(sample) else 0.0

    def sizes_pending(self, encoder: Encoder, role: Role) -> Integers:
        """Sizes, by script, of the distinct texts that are not embedded yet."""
        distinct, first = np.unique(self.digests(role), return_index=True)
        texts, missing = self._texts(role), self._segments(encoder, role).missing(distinct)
        return ABOUT.sizes(texts[int(i)] for i in first[missing])

    def vectors(self, name: str, encoder: Encoder, role: Role) -> Vectors:
        """All vectors of a role; what is missing is embedded. Raises the encoder's errors."""
        if encoder.consumes == "vector":
            encoded = encoder.encode(TextRows((), self._given(encoder, role)), role)
            return Vectors(encoded.vectors, self.key(encoder, role), encoder.similarity, 0, 0, Usage(), 0.0)
        digests = self.digests(role)
        distinct, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        in_order = np.sort(first)
        segments = self._segments(encoder, role)
        missing = segments.missing(digests[in_order])
        if missing.any() and segments.damaged:
            self._emit(Warned(name, f"{damaged(segments.damaged, 'vectors')}; what they held is embedded again."))
        refused, computed = self._embed(name, encoder, role, in_order, missing, segments) if missing.any() else ({}, 0)
        self._count.computed += computed
        self._count.reused += len(in_order) - computed - len(refused)
        self._refused[self._place(encoder, role), role] = refused
        if len(refused) == len(distinct) > 0:
            raise AdapterRejected(next(iter(refused.values())))
        there = np.array([digest not in refused for digest in distinct.tolist()], np.bool_)
        held, cut = segments.gather(distinct[there], ["vectors", "truncated"])
        array = held
        if refused:
            array, truncated = (
                np.full((len(distinct), held.shape[1]), np.nan, np.float32),
                np.zeros(len(distinct), np.bool_),
            )
            array[there], truncated[there] = held, cut
            cut = truncated
        totals = segments.total(distinct if role == "document" else digests, "usage.")
        seconds = totals.pop("seconds", 0.0)
        return Vectors(
            array=np.ascontiguousarray(array[inverse]),
            key=self.key(encoder, role),
            similarity=encoder.similarity,
            texts=len(distinct),
            truncated=int(cut[inverse].sum()),
            usage=usage_from(totals),
            seconds=seconds,
            failures={int(row): self._named(role, int(row), refused) for row in np.flatnonzero(~there[inverse])},
        )

    def _named(self, role: Role, row: int, refused: Mapping[bytes, str]) -> str:
        ids = self._dataset.document_ids if role == "document" else self._dataset.query_ids
        return f"{role} {ids[row]} could not be embedded: {refused[bytes(self.digests(role)[row])]}"

    def _embed(
        self,
        name: str,
        encoder: Encoder,
        role: Role,
        in_order: npt.NDArray[np.intp],
        missing: Flags,
        segments: Segments,
    ) -> tuple[dict[bytes, str], int]:
        """Embed what is missing, and wait for what another run embeds. Segments are cut from the whole list of texts,
        never from what is missing, so a resumed run computes the same batches as an undisturbed one. Returns why texts
        were refused, by digest, and how many were embedded here: what was refused is asked for again by the next
        run."""
        digests, refused, computed = self.digests(role), dict[bytes, str](), 0
        with Stage(self._emit, "encode", f"{name} ({PLURAL[role]})", int(missing.sum()), "texts") as advance:
            while missing.any():
                others: list[npt.NDArray[np.intp]] = []
                for rows in (
                    self._paid_lots(encoder, role, in_order[missing]) if encoder.bills else _lots(in_order, missing)
                ):
                    with segments.claimed(digests[rows]) as ours:
                        others.append(rows[~ours])
                        for positions, causes in self._embedded(encoder, role, rows[ours], segments):
                            refused |= causes
                            computed += positions - len(causes)
                            advance(positions)
                missing = np.isin(in_order, np.concatenate(others))
                if missing.any():
                    missing[missing] = segments.await_others(digests[in_order[missing]], waiting(self._emit))
                    advance(sum(map(len, others)) - int(missing.sum()))
        return refused, computed

    def _embedded(
        self, encoder: Encoder, role: Role, rows: npt.NDArray[np.intp], segments: Segments
    ) -> Iterator[tuple[int, dict[bytes, str]]]:
        """Embed some texts, and keep their vectors as they come. Yields how many came, and why some were refused."""
        if not len(rows):
            return
        texts, digests = self._texts(role), self.digests(role)
        batch = [texts[int(i)] for i in rows]
        most = embedding_usage(text_bytes(batch), AT_MOST) if encoder.bills else None
        with at_work(waiting(self._emit)):
            began = time.perf_counter()
            for positions, encoded in encoder.encode_each(TextRows(batch), role):
                now, places = time.perf_counter(), np.asarray(positions)
                failed = np.isin(np.arange(len(places)), list(encoded.failures))
                here = digests[rows[places]]
                if not failed.all():
                    self._keep(segments, here[~failed], _without(encoded, failed), now - began)
                if most is not None:
                    self._budget.after(encoder, encoded.usage, most.total(places[~failed]))
                yield len(positions), {bytes(here[i]): cause for i, cause in encoded.failures.items()}
                pause(waiting(self._emit))
                began = time.perf_counter()

    def _paid_lots(self, encoder: Encoder, role: Role, rows: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
        """Segments that are computed together: all of them, so that the encoder keeps its service busy, or fewer where
        all could pass the budget."""
        texts = self._texts(role)
        most = embedding_usage(text_bytes(texts[int(i)] for i in rows), AT_MOST)
        while len(rows):
            count = self._budget.affordable(encoder, most)
            yield rows[:count]
            rows, most = rows[count:], most.after(count)

    def _keep(self, segments: Segments, digests: Digests, encoded: Encoded, seconds: float) -> None:
        usage = {**encoded.usage.as_dict(), "seconds": seconds}
        cut = encoded.truncated if encoded.truncated is not None else np.zeros(len(digests), np.bool_)
        columns = {f"usage.{key}": np.asarray(value, np.float64) for key, value in usage.items()}
        segments.append(digests, {"vectors": encoded.vectors, "truncated": cut, **columns})

    def _texts(self, role: Role) -> Sequence[str]:
        return self._dataset.document_texts if role == "document" else self._dataset.query_texts

    def _given(self, encoder: Encoder, role: Role) -> Floats:
        given = self._dataset.document_vectors if role == "document" else self._dataset.query_vectors
        if given is None:
            raise AdapterError(f"The dataset carries no vectors for its {role}s ({encoder.identity.model}).")
        return given

    def _place(self, encoder: Encoder, role: Role) -> str:
        """Where the vectors of an encoder in a role are kept."""
        return content_key(self._identity(encoder, role))

    def _segments(self, encoder: Encoder, role: Role) -> Segments:
        width = encoder.dimension

        def fits(arrays: Arrays) -> bool:
            vectors = arrays["vectors"]
            known = vectors.dtype == np.float32 and vectors.shape[1] == width and "truncated" in arrays
            return known and bool(np.isfinite(vectors).all())

        return self._cache.segments("vectors", self._place(encoder, role), fits)

    def _identity(self, encoder: Encoder, role: Role) -> dict[str, object]:
        return {**encoder.identity.as_dict(), **encoder.role_settings(role)}


def embedding_of(
    texts: Sequence[str],
    role: Role,
    cache: Cache,
    count: Count,
    emit: Emit,
    budget: Budget,
    *,
    ids: Sequence[str] | None = None,
) -> Embedding:
    """The embedding stage of texts that belong to no dataset, in one role. ids: how a text is named where it is
    refused; left out, by its place from 0."""
    names = pa.array(map(str, range(len(texts))) if ids is None else ids, pa.string())
    given = pa.table({"id": names, "text": pa.array(list(texts), pa.string())})
    corpus = given.slice(0, 0 if role == "query" else len(texts))
    titles = pa.array([""] * corpus.num_rows, pa.string())
    queries = given if role == "query" else given.slice(0, 0)
    dataset = Dataset("texts", None, corpus.append_column("title", titles), queries, None, queries.num_rows, "")
    return Embedding(dataset, cache, count, emit, budget)


def damaged(files: int, what: str) -> str:
    """What is told of files of the cache that could not be used."""
    return f"{counted(files, 'file')} of its {what} in the cache {'is' if files == 1 else 'are'} damaged"


def _without(encoded: Encoded, failed: Flags) -> Encoded:
    """The vectors of the texts that have one."""
    if not failed.any():
        return encoded
    cut = None if encoded.truncated is None else encoded.truncated[~failed]
    return replace(encoded, vectors=encoded.vectors[~failed], truncated=cut, failures={})


def _lots(in_order: npt.NDArray[np.intp], missing: Flags) -> Iterator[npt.NDArray[np.intp]]:
    """The missing texts, cut into segments. A kill costs at most one segment."""
    size = int(np.clip(len(in_order) // 32, 128, LARGEST_SEGMENT))
    for start in range(0, len(in_order), size):
        rows = in_order[start : start + size][missing[start : start + size]]
        if len(rows):
            yield rows
