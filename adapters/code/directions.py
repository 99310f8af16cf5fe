"""Vectors under cosine that need care: those without a direction, and those whose squares float32 cannot hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Squared lengths between these are far from the ends of float32, and sums and products of such vectors too.
_SHORT = np.float32(2.0**-80)
_LONG = np.float32(2.0**80)


def without_direction(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which vectors (n, d) are zero and so have no direction, bool (n,): under cosine nothing is near them."""
    flags: npt.NDArray[np.bool_] = np.logical_not(vectors.any(axis=1))
    return flags


def all_ordinary(vectors: npt.NDArray[np.float32]) -> bool:
    """Whether each of the vectors (n, d) has a direction, and a length whose square float32 can hold. Cheap for one
    vector: a live search looks too."""
    if len(vectors) == 1:
        return bool(_SHORT <= np.vdot(vectors[0], vectors[0]) <= _LONG)
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    return not len(squares) or bool(squares.min() >= _SHORT and squares.max() <= _LONG)


def of_ordinary_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors (n, d) to be compared by cosine, whose squares float32 can hold.

    A vector whose squares would vanish or overflow is scaled by a power of two, which keeps its direction. All others
    are returned as they are, zero vectors included.
    """
    if all_ordinary(vectors):
        return vectors
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    odd = np.flatnonzero(~((squares >= _SHORT) & (squares <= _LONG)))
    exponents = np.frexp(np.abs(vectors[odd]).max(axis=1))[1]  # 0 for a zero vector
    if not exponents.any():
        return vectors
    scaled = vectors.copy()
    scaled[odd] = np.ldexp(vectors[odd], -exponents[:, None])
    return scaled
