"""Finds the queries that a lexical index cannot answer at all, because it contains none of their terms."""

from __future__ import annotations

import numpy as np

from adapters.base import AdapterError, Unmatched
from bench.cache.digests import array_digest, content_key
from bench.experiment.parts import Searched, System
from bench.quality.pipeline import Pipeline
from bench.quality.searches import configured_alone, opened


def before(pipeline: Pipeline, system: System) -> Unmatched | None:
    """What is known before anything is built. None for a system that does not search by terms, and for one whose terms
    only the engine knows."""
    if (searched := _by_text(pipeline, system)) is None:
        return None
    dataset = pipeline.dataset
    return pipeline.materials.store(searched.store).unmatched(dataset.document_texts, dataset.query_texts)


def after(pipeline: Pipeline, system: System) -> Unmatched | None:
    """What the system's index and its reranker tell after they were built: the answer of the one that lacks more."""
    found = [each for each in (_of_store(pipeline, system), _of_reranker(pipeline, system)) if each is not None]
    return max(found, key=lambda each: int(each.queries.sum()), default=None)


def sentence(found: Unmatched) -> str | None:
    """`32 of 40 queries hold no term of its index: …`; None where every query holds one."""
    if not (count := int(found.queries.sum())):
        return None
    advice = f" {found.advice}" if found.advice else ""
    return f"{count:,} of {len(found.queries):,} queries hold no term of its index: they find nothing by text.{advice}"


def _by_text(pipeline: Pipeline, system: System) -> Searched | None:
    """The system's source if that is a search by text, else None."""
    searched = system.searched
    if searched is None or "text" not in pipeline.materials.store(searched.store).consumes(searched.store.query):
        return None
    return searched


def _of_store(pipeline: Pipeline, system: System) -> Unmatched | None:
    """The answer of the index. It is kept, so that a second run asks no engine."""
    if (searched := _by_text(pipeline, system)) is None:
        return None
    queries = content_key(array_digest(pipeline.materials.query_digests))
    key = content_key(["unmatched", pipeline.indexes.key(searched), queries])
    if (kept := _kept(pipeline, key)) is not None:
        return kept
    built = pipeline.indexes.built(searched)
    try:
        with configured_alone(built, pipeline.emit), opened(built.store, built.ref, pipeline.emit) as session:
            session.configure(searched.store.query)
            found = session.unmatched(pipeline.dataset.query_texts)
    except AdapterError:
        return None  # the searches themselves tell what is wrong with the engine
    if found is not None:
        advice = np.frombuffer((found.advice or "").encode(), np.uint8)
        pipeline.cache.write("candidates", key, {"queries": found.queries, "advice": advice})
    return found


def _kept(pipeline: Pipeline, key: str) -> Unmatched | None:
    kept = pipeline.cache.read("candidates", key)
    if kept is None or not kept.keys() >= {"queries", "advice"} or kept["queries"].shape != (pipeline.dataset.judged,):
        return None
    advice = kept["advice"].astype(np.uint8).tobytes().decode("utf-8", "replace")
    return Unmatched(kept["queries"].astype(np.bool_), advice or None)


def _of_reranker(pipeline: Pipeline, system: System) -> Unmatched | None:
    if system.reranker is None or not pipeline.materials.reranker(system.reranker).depends_on_corpus:
        return None
    return pipeline.reranking.prepared(system.reranker).unmatched(pipeline.dataset.query_texts)
