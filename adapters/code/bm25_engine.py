"""An index of the library bm25s, and its scores for a query."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Match(NamedTuple):
    """One query's scores for every document, float32 (n,), and the score of a document that holds no term of it."""

    scores: npt.NDArray[np.float32]
    none: float


def load_engine(folder: Path) -> Any:
    """The engine in a folder, memory-mapped. Raises OSError, ValueError or KeyError for what is no whole index."""
    bm25s: Any = importlib.import_module("bm25s")
    engine = bm25s.BM25.load(folder, mmap=True, show_progress=False)
    # Slicing np.memmap costs microseconds each time; a plain view of the same pages does not.
    for name in ("data", "indices", "indptr"):
        engine.scores[name] = np.asarray(engine.scores[name])
    return engine


def term_numbers(engine: Any, terms: Callable[[str], list[str]], query: str) -> list[int] | None:
    """Numbers of the query's terms that the index knows, None where it knows none. engine: None where no document has a
    term."""
    return None if engine is None else engine.get_tokens_ids(terms(query)) or None


def match(engine: Any, terms: Callable[[str], list[str]], query: str) -> Match | None:
    """The query's scores, None where the index knows none of its terms."""
    if (tokens := term_numbers(engine, terms, query)) is None:
        return None
    # bm25l and bm25+ give every document a share for each term it lacks.
    shares = engine.nonoccurrence_array
    none = np.float32(0) if shares is None else shares[np.asarray(tokens)].sum(dtype=np.float32)
    return Match(engine.get_scores_from_ids(tokens), float(none))


def best_matches(
    found: Match, limit: int, id_order: npt.NDArray[np.int32], allowed: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.intp]:
    """Positions of the best `limit` matching documents, ties by document id descending.

    Equal BM25 scores are common (short documents with one matching word), so a cut at the limit that followed another
    order than the measures' own would make recall depend on the limit.
    """
    matching = found.scores > found.none
    places = np.flatnonzero(matching if allowed is None else matching & allowed)
    scores = found.scores
    if len(places) > limit:
        kth = -np.partition(-scores[places], limit - 1)[limit - 1]
        places = places[scores[places] >= kth]
    return places[np.lexsort((-id_order[places], -scores[places]))[:limit]]
