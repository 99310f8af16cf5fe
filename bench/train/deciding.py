"""What decides on dev for one training, and how a model fares before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import (
    Context,
    Corpus,
    Encoder,
    EncodesTexts,
    Floats,
    Hits,
    Queries,
    Reranker,
    Role,
    Rows,
    ScoresPairs,
    TextRows,
    exact_scores,
    exact_top_k,
)
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.data.own_documents import left_out
from bench.money.budget import Budget
from bench.quality.embedding import Embedding
from bench.quality.stages import Count, Emit
from bench.train.dev import DECIDING, FIRST, DevSet, Measured, correlations
from bench.train.mining.lexical import lexical

Model = EncodesTexts | ScoresPairs
SPEARMAN = "Spearman"
_ON = " on "  # between a measure and its split, where several splits are measured


def split_of(measure: str) -> str:
    """The split that a measure of held-out data is of: that in its name, else dev."""
    return measure.partition(_ON)[2] or "dev"


@dataclass(frozen=True, slots=True)
class After:
    """A model that was written and loaded back. value: what `Deciding.evaluate` gives for it, outputs: what
    `Deciding.outputs` does."""

    measured: Measured
    value: float
    outputs: Floats


class Deciding(Protocol):
    """What decides between steps, seeds and options. measure: its name; None where nothing does. before: measures of
    what a training starts from."""

    measure: str | None
    before: Measured

    def evaluate(self, model: Model) -> float:
        """What decides while a model learns; larger is better."""

    def outputs(self, model: Model) -> Floats:
        """What a model gives for a few inputs, float32, by which it is known again."""

    def after(self, folder: Path) -> After:
        """The model in a folder, as the harness loads it."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads a model that was written as the encoders and rerankers of an experiment load theirs."""

    reference: str
    context: Context

    def encoder(self, folder: Path) -> Encoder:
        encoder: Encoder = self._adapter("encoders", folder)
        return encoder

    def reranker(self, folder: Path) -> Reranker:
        reranker: Reranker = self._adapter("rerankers", folder)
        return reranker

    def _adapter(self, role: registry.RoleName, folder: Path) -> Any:
        kind = registry.load(role, registry.LOCAL[role])
        context = Context(self.context.base, models={self.reference: folder})
        return kind(kind.Options(model=self.reference), context)


class _Encoding:
    """An encoder adapter as a model that is measured."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        return self._encoder.encode(TextRows(texts), role).vectors


class _Scoring:
    """A reranker adapter as a model that is measured."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        texts = list(dict.fromkeys(document for _, document in pairs))
        place = {text: row for row, text in enumerate(texts)}
        asked: dict[str, list[int]] = {}
        for number, (query, _) in enumerate(pairs):
            asked.setdefault(query, []).append(number)
        rows = np.full((len(asked), max(map(len, asked.values()), default=1)), -1, np.int32)
        for line, numbers in zip(rows, asked.values(), strict=True):
            line[: len(numbers)] = [place[pairs[number][1]] for number in numbers]
        self._reranker.prepare(Corpus(texts))
        scored = self._reranker.score(Queries(texts=list(asked)), rows).scores
        found = np.empty(len(pairs), np.float32)
        for line, numbers in zip(scored, asked.values(), strict=True):
            found[numbers] = line[: len(numbers)]
        return found


class OnQueries:
    """Decides by nDCG@10 of the dev queries: for an encoder over the pool while it learns and over the whole corpus at
    the end, for a reranker over the base's first candidates."""

    measure: str | None = str(DECIDING)

    def __init__(
        self,
        dev: DevSet,
        before: Measured,
        loader: Loader,
        embedding: Embedding,
        *,
        reranks: bool,
        documents: Floats | None = None,
    ) -> None:
        """documents: vectors of the whole corpus where the model encodes queries alone."""
        self.before = before
        self._dev = dev
        self._loader = loader
        self._embedding = embedding
        self._reranks = reranks
        self._documents = documents

    def evaluate(self, model: Model) -> float:
        if self._documents is None or isinstance(model, ScoresPairs):
            return self._dev.evaluate(model)
        queries = model.encode(list(self._dev.dataset.query_texts), "query")
        return self._dev.over_pool(queries, self._documents[self._dev.pool])

    def outputs(self, model: Model) -> Floats:
        queries, texts = list(self._dev.dataset.query_texts[:_PROBES]), self._dev.dataset.document_texts
        if isinstance(model, ScoresPairs):
            return model.score([(query, texts[0]) for query in queries])
        return _of_length_one(model.encode(queries, "query"))

    def after(self, folder: Path) -> After:
        if self._reranks:
            with self._loader.reranker(folder) as reranker:
                model = _Scoring(reranker)
                measured = self._dev.of_reranker(model)
                return After(measured, measured.values[str(self.measure)] or 0.0, self.outputs(model))
        with self._loader.encoder(folder) as encoder:
            queries = self._embedding.vectors(self._loader.reference, encoder, "query").array
            documents = self._documents
            if documents is None:
                documents = self._embedding.vectors(self._loader.reference, encoder, "document").array
        value = self._dev.over_pool(queries, documents[self._dev.pool])
        return After(self._dev.of_vectors(queries, documents), value, _of_length_one(queries[:_PROBES]))


class Undecided:
    """Nothing decides, because no judged queries do: the weights of the last step are kept, and no measure is taken.
    The model is loaded back all the same."""

    measure: str | None = None
    before = Measured({})

    def __init__(self, collection: Dataset, loader: Loader, *, reranks: bool) -> None:
        self._texts = [text for text in collection.document_texts[: 10 * _PROBES] if text.strip()][:_PROBES]
        self._loader = loader
        self._reranks = reranks

    def evaluate(self, model: Model) -> float:
        raise NotImplementedError("nothing decides")

    def outputs(self, model: Model) -> Floats:
        if isinstance(model, ScoresPairs):
            return model.score([(text, self._texts[0]) for text in self._texts])
        return _of_length_one(model.encode(self._texts, "document"))

    def after(self, folder: Path) -> After:
        if self._reranks:
            with self._loader.reranker(folder) as reranker:
                return After(Measured({}), 0.0, self.outputs(_Scoring(reranker)))
        with self._loader.encoder(folder) as encoder:
            return After(Measured({}), 0.0, self.outputs(_Encoding(encoder)))


class OnScoredPairs:
    """Decides by Spearman's correlation on the dev part of pairs with a similarity; the test part is told besides."""

    measure: str | None = SPEARMAN

    def __init__(self, dev: pa.Table, test: pa.Table | None, base: Encoder, loader: Loader) -> None:
        self._dev = dev
        self._test = test
        self._loader = loader
        self._similarity = base.similarity
        self.before = self._measured(_Encoding(base))

    def evaluate(self, model: Model) -> float:
        assert isinstance(model, EncodesTexts)
        return self._correlations(model, self._dev)[0] or 0.0

    def outputs(self, model: Model) -> Floats:
        assert isinstance(model, EncodesTexts)
        return _of_length_one(model.encode(self._dev.column("first").slice(0, _PROBES).to_pylist(), "document"))

    def after(self, folder: Path) -> After:
        with self._loader.encoder(folder) as encoder:
            model = _Encoding(encoder)
            measured = self._measured(model)
            return After(measured, measured.values[f"{SPEARMAN}{_ON}dev"] or 0.0, self.outputs(model))

    def _measured(self, model: EncodesTexts) -> Measured:
        values: dict[str, float | None] = {}
        counts: dict[str, int] = {}
        for split, table in (("dev", self._dev), ("test", self._test)):
            for name, value in zip((SPEARMAN, "Pearson"), self._correlations(model, table), strict=True):
                if table is not None:
                    values[f"{name}{_ON}{split}"] = value
                    counts[f"{name}{_ON}{split}"] = table.num_rows
        return Measured(values, counts)

    def _correlations(self, model: EncodesTexts, table: pa.Table | None) -> tuple[float | None, float | None]:
        if table is None:
            return None, None
        first, second = (model.encode(table.column(name).to_pylist(), "document") for name in ("first", "second"))
        pairs: Rows = np.arange(len(second), dtype=np.int32)[:, None]
        scores = exact_scores(first, second, pairs, self._similarity)[:, 0].astype(np.float64)
        return correlations(scores, table.column("score").to_numpy().astype(np.float64))


_PROBES = 16  # inputs whose outputs tell whether a model was kept as it was trained


def on_queries(
    dev: Dataset,
    base: Encoder | Reranker,
    miner: Encoder | None,
    loader: Loader,
    *,
    reranks: bool,
    seed: int,
    services: tuple[Cache, Emit, Budget],
    teacher: Encoder | None = None,
    queries_alone: bool = False,
) -> OnQueries:
    """What decides for a model that is measured on queries. The candidates are the first documents of the base where it
    is an encoder, else of the mining model, else of BM25. teacher: the encoder whose space the model is to be in; with
    `queries_alone` it embeds the documents."""
    cache, emit, budget = services
    embedding = Embedding(dev, cache, Count(), emit, budget)
    encoder = base if isinstance(base, Encoder) else miner
    if encoder is None:
        with lexical(dev, list(dev.query_texts), folder=cache.folder, emit=emit) as index:
            found = index.ranking(np.arange(dev.judged), FIRST + 1)
        ranked = DevSet(dev, _first(dev, found), seed)
        return OnQueries(ranked, ranked.unranked(), loader, embedding, reranks=reranks)
    queries, documents = _vectors(embedding, encoder.name, encoder)
    hits = exact_top_k(queries, documents, FIRST + 1, encoder.similarity)
    known = DevSet(dev, _first(dev, hits), seed, encoder.similarity)
    before = known.unranked() if reranks else known.of_vectors(queries, documents)
    if teacher is None:
        return OnQueries(known, before, loader, embedding, reranks=reranks)
    with teacher:
        known = replace(known, similarity=teacher.similarity)
        theirs = embedding.vectors(teacher.identity.model, teacher, "document").array if queries_alone else None
    return OnQueries(known, before, loader, embedding, reranks=reranks, documents=theirs)


def _of_length_one(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def _first(dev: Dataset, hits: Hits) -> Rows:
    """The first documents of each query, (n, 100), without its own."""
    return hits.rows[:, :FIRST] if dev.own_rows is None else left_out(hits, dev.own_rows, FIRST).rows


def _vectors(embedding: Embedding, label: str, encoder: Encoder) -> tuple[Floats, Floats]:
    """Of the dev queries and of the whole corpus."""
    queries = embedding.vectors(label, encoder, "query").array
    return queries, embedding.vectors(label, encoder, "document").array
