"""The canonical order of a ranking: score descending, ties by document id descending, as trec_eval has it.

This module imports numpy alone, so that `bench --help` may.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.statistics.arrays import Ranked, Scores

Keys: TypeAlias = npt.NDArray[np.uint64]

EMPTY_ROW = -1  # adapters.base.EMPTY_ROW, whose package would load pydantic
_EMPTY_KEY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
BLOCK = 1 << 16  # elements of a block's largest array, so that a block fits into the processor's cache


def canonical(rows: Ranked, scores: Scores, id_order: Ranked, depth: int | None = None) -> tuple[Ranked, Scores]:
    """Rankings in the one order that every measure reads: score descending, ties by document id descending.

    rows: (n, width), each -1 or a position in id_order. scores: (n, width), compared as float32. id_order: (m,), each
    document's place in the ascending order of ids. depth: places to keep, all by default. Of a document that stands
    twice in a ranking the best-scored place counts. A place of row -1 or score -inf is empty; empty places come last.
    Returns int32 and float32 (n, depth). Raises ValueError for a score that is NaN and a row that id_order lacks.
    Source: the order is trec_eval's, which ignores the ranks of a run file.
    """
    if rows.shape != scores.shape or rows.ndim != 2:
        raise ValueError(f"rankings: rows of shape {rows.shape} with scores of shape {scores.shape}.")
    count, width = rows.shape
    depth = width if depth is None else depth
    if rows.size and (rows.min() < EMPTY_ROW or rows.max() >= len(id_order)):
        raise ValueError(f"rankings: rows must lie in -1 … {len(id_order) - 1}.")
    rows, scores = rows.astype(np.int32, copy=False), scores.astype(np.float32, copy=False)
    ordered_rows = np.full((count, depth), EMPTY_ROW, np.int32)
    ordered_scores = np.full((count, depth), -np.inf, np.float32)
    if not rows.size or not depth or rows.max() == EMPTY_ROW:
        return ordered_rows, ordered_scores
    kept = min(depth, width)
    row_of = _rows_by_key(rows, id_order)
    step = max(1, BLOCK // width)
    for start in range(0, count, step):
        block = slice(start, start + step)
        keys = _keys(rows[block], scores[block], id_order)
        keys.sort(axis=1)
        if _repeats(rows[block]):
            keys[_repeated(row_of(keys))] = _EMPTY_KEY
            keys.sort(axis=1)
        keys = np.ascontiguousarray(keys[:, :kept])
        ordered_rows[block, :kept] = row_of(keys)
        ordered_scores[block, :kept] = _scores(keys)
    return ordered_rows, ordered_scores


def _keys(rows: Ranked, scores: Scores, id_order: Ranked) -> Keys:
    """A number per place whose ascending order is the canonical one: the score's bits, then the id's inverted place.

    One plain sort of such numbers is several times faster than an argsort by two columns. The bits of non-negative
    floats ascend with them and those of negative ones descend (IEEE 754), so inverting the former makes all descend.
    Adding 0 turns -0 into 0, which compares equal to it.
    """
    keys = np.empty(rows.shape, np.uint64)
    halves = _halves(keys)
    halves[..., _HIGH] = _turned((scores + np.float32(0)).view(np.int32))
    halves[..., _LOW] = np.invert(np.take(id_order, rows, mode="clip"))
    if rows.min() == EMPTY_ROW or not np.isfinite(scores.min()):
        empty = (rows == EMPTY_ROW) | (scores == -np.inf)
        if np.isnan(scores[~empty]).any():
            raise ValueError("rankings: a score is NaN.")
        keys[empty] = _EMPTY_KEY
    return keys


def _halves(keys: Keys) -> npt.NDArray[np.int32]:
    """The same memory as numbers of 32 bits, in a last axis of two."""
    return keys.view(np.int32).reshape(*keys.shape, 2)


def _scores(keys: Keys) -> Scores:
    """The scores that keys were made of, -inf for an empty one."""
    scores = _turned(_halves(keys)[..., _HIGH]).view(np.float32)
    np.copyto(scores, -np.inf, where=keys == _EMPTY_KEY)
    return scores


def _turned(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Invert the bits of the numbers that are not negative, except for the sign bit. Doing it twice gives the same bits
    back."""
    return bits ^ (~(bits >> 31) & np.int32(0x7FFF_FFFF))


def _rows_by_key(rows: Ranked, id_order: Ranked) -> Callable[[Keys], Ranked]:
    """The way back from keys to rows, -1 for an empty one. rows holds at least one document.

    Inverting the whole order would make a single query over a large corpus pay for the corpus: a small request is
    looked up among its own rows.
    """
    if rows.size >= len(id_order):
        row_at = np.empty(len(id_order), np.int32)
        row_at[id_order] = np.arange(len(id_order), dtype=np.int32)
        known = None
    else:
        present = np.unique(rows[rows != EMPTY_ROW])
        order = np.argsort(id_order[present])
        row_at, known = present[order], id_order[present[order]]

    def row_of(keys: Keys) -> Ranked:
        found = np.invert(_halves(keys)[..., _LOW])
        at = found if known is None else np.searchsorted(known, found)
        found_rows = np.take(row_at, at, mode="clip")
        np.copyto(found_rows, EMPTY_ROW, where=keys == _EMPTY_KEY)
        return found_rows

    return row_of


def _repeats(rows: Ranked) -> bool:
    """Whether any ranking holds a document twice."""
    ordered = np.sort(rows, axis=1)
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != EMPTY_ROW)).any())


def _repeated(ranked: Ranked) -> npt.NDArray[np.bool_]:
    """Which places hold a document that stands further to the left too: bool, shaped as the rows."""
    by_document = np.argsort(ranked, axis=1, kind="stable")
    documents = np.take_along_axis(ranked, by_document, axis=1)
    again = np.zeros(ranked.shape, np.bool_)
    again[:, 1:] = documents[:, 1:] == documents[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, by_document, again, axis=1)
    return repeated
