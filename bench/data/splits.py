"""Cuts splits out of a collection's queries by a hash of each query, and by nothing else that is in the collection.

A share is a stretch of the hash: a query keeps its split whatever other queries are added. A number takes the queries
with the lowest hashes, so a larger number holds a smaller one's queries. Queries that are equal but for case, white
space and punctuation stay together, because one that is trained on must not be evaluated in another spelling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adapters.base import Flags, InvalidOptions
from bench.data.normal import plain_query

DEFAULT_DEV = 0.1
LEAST_DEV, MOST_DEV = 50, 500
_MOST_OF_FEW = 3  # a dev split by default takes no more than one in so many queries


def keys_of(queries: pa.Table) -> list[str]:
    """What each query is told apart by: its text in plain form, and its id where it has none."""
    pairs = zip(queries.column("id").to_pylist(), queries.column("text").to_pylist(), strict=True)
    return [plain_query(text or "") or f"\0{name}" for name, text in pairs]


def hashed(key: str, purpose: str) -> int:
    """64 bits of a query's hash. purpose: what they decide, so that no decision depends on another."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, slots=True)
class Cut:
    """Which of n queries stand in which split, bool (n,) each; no query stands in two. sampled: those that the cut was
    made from."""

    sampled: Flags
    test: Flags
    dev: Flags

    @property
    def train(self) -> Flags:
        """The others of the sample."""
        flags: Flags = self.sampled & ~self.test & ~self.dev
        return flags


def cut(queries: pa.Table, *, sample: float | None = None, test: float = 0, dev: float | None = 0) -> Cut:
    """Cut splits. Sizes are numbers of queries from 1 on, and shares below.

    sample: what is used of the queries; None: all. test, dev: of the sample; dev None: a tenth of what is not in test,
    LEAST_DEV to MOST_DEV queries.
    Raises InvalidOptions, with the key that the experiment file has for it, where there are fewer queries than that.
    """
    keys = keys_of(queries)
    sampled = np.ones(len(keys), np.bool_)
    if sample is not None:
        sampled = _taken(keys, "sample", sample, sampled)
    there = int(sampled.sum())
    _enough(test, there, "test_size")
    tested = _taken(keys, "test", test, sampled)
    others = sampled & ~tested
    if dev is None:
        return Cut(sampled, tested, _taken(keys, "dev", default_dev(int(others.sum())), others))
    _enough(dev, int(others.sum()), "dev_size")
    if dev < 1:  # of the sample, and the test split has gone from what it is cut from
        left = 1 - test if test < 1 else others.sum() / max(1, there)
        return Cut(sampled, tested, _share(keys, "dev", dev / left if left > 0 else 0.0, others))
    return Cut(sampled, tested, _taken(keys, "dev", dev, others))


def default_dev(others: int) -> float:
    """The size of a dev split that nobody gave one, of so many queries: a share where that stays in bounds."""
    tenth = DEFAULT_DEV * others
    if LEAST_DEV <= tenth <= MOST_DEV:
        return DEFAULT_DEV
    return float(MOST_DEV if tenth > MOST_DEV else min(LEAST_DEV, others // _MOST_OF_FEW))


def _enough(size: float, there: int, key: str) -> None:
    if size >= 1 and size > there:
        raise InvalidOptions(f"asks for {size:,.0f} queries, and there are {there:,}. Write fewer.", key=key)


def _taken(keys: Sequence[str], purpose: str, size: float, among: Flags) -> Flags:
    """A number of some queries from 1 on, a share of them below."""
    return _share(keys, purpose, size, among) if size < 1 else _first(keys, purpose, int(size), among)


def _share(keys: Sequence[str], purpose: str, share: float, among: Flags) -> Flags:
    """Those of some queries whose hashes lie in the lowest part of the hash's range."""
    bound = int(share * 2**64)
    chosen = np.zeros(len(keys), np.bool_)
    chosen[[at for at in np.flatnonzero(among).tolist() if hashed(keys[at], purpose) < bound]] = True
    return chosen


def _first(keys: Sequence[str], purpose: str, count: int, among: Flags) -> Flags:
    """At most so many of some queries, those with the lowest hashes; equal ones together or not at all."""
    groups: dict[str, list[int]] = {}
    for at in np.flatnonzero(among).tolist():
        groups.setdefault(keys[at], []).append(at)
    chosen = np.zeros(len(keys), np.bool_)
    for key in sorted(groups, key=lambda key: (hashed(key, purpose), key)):
        if (count := count - len(groups[key])) < 0:
            break
        chosen[groups[key]] = True
    return chosen
