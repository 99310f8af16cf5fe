"""Checks the indexes of earlier runs before they are used. An engine that reads damaged files, or vectors that another
user overwrote, finds other documents and reports no error."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.base import EffectiveIndex, Floats, IndexMissing, IndexRef, Similarity, Store, Warned
from bench.cache.artifacts import Cache
from bench.cache.index_files import damaged_files, file_digests
from bench.cache.index_records import kept_record
from bench.machine.clock import utc_now
from bench.machine.memory import BuildMemory
from bench.messages.failures import closing
from bench.messages.refusals import full_disk, refused_by_system
from bench.messages.wording import counted
from bench.quality.stages import Emit

SAMPLE = 256
"""How many stored vectors are compared with ours. With one foreign vector in 50 a check misses all of them once in 175
checks; with one in 20, once in 500,000."""

_TOLERANCE = 1e-5  # of vectors that went through an engine as float32, relative to their length

Vectors = Callable[[], Floats | None]
"""The vectors that an index was built of, by row; None where it holds none."""


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index as it stands, with what its build took and what the engine says it is.

    build_id: tells builds apart, because what one build found says nothing of another. Empty for stores that build the
    same index again, and for indexes that were built before builds had one.
    """

    store: Store
    ref: IndexRef
    effective: EffectiveIndex
    key: str
    build_seconds: float
    build_memory: BuildMemory
    built_at: str
    build_id: str = ""


def index_record(store: Store, ref: IndexRef) -> dict[str, Any]:
    """What it takes to drop an index later, as the cache keeps it."""
    return {
        "ref": ref.as_dict(),
        "adapter": store.name,
        "index": store.index.model_dump(mode="json"),
        "connection": store.connection.model_dump(mode="json"),
        "base": str(store.context.base),
    }


@dataclass(frozen=True, slots=True)
class KeptIndexes:
    """The indexes of a cache."""

    cache: Cache
    emit: Emit

    def find(self, key: str, store: Store, label: str, vectors: Vectors, *, undirected: bool) -> BuiltIndex | None:
        """A kept index that is unchanged since it was built; None where one has to be built. Where a damaged index was
        there, a warning says so, and what is left of it is dropped.

        undirected: whether documents without a direction are among those it was built of.
        """
        kept = self.cache.index_ref(key)
        record = None if kept is None else kept_record(kept, key, self.cache.folder / "indexes" / key / "data")
        if record is None:
            if self.cache.has_index_ref(key):
                self._tell(label, "the record of its index is damaged; the index is built again.")
            return None
        ref = IndexRef.from_dict(record["ref"])
        if undirected and "withheld" not in record["ref"]:  # built when such documents were not yet told apart
            store.drop(ref)
            return None
        if (cause := _damage(store, ref, record, vectors)) is not None:
            self.lost(store, ref, label, cause)
            return None
        try:
            effective = store.effective(ref)
        except IndexMissing as error:
            self._tell(label, str(error))
            return None
        if "files" not in record and (folder := store.index_folder(ref)) is not None:
            # Built by a version that took no digests: it is used as it is, and its digests are taken now.
            self.cache.keep_index(key, {**record, "files": file_digests(folder)})
        memory = BuildMemory(**record.get("build_memory", {}))  # an older record holds none
        build_id = record.get("build_id", "")
        return BuiltIndex(store, ref, effective, key, record["build_seconds"], memory, record["built_at"], build_id)

    def keep(self, key: str, store: Store, ref: IndexRef, seconds: float, memory: BuildMemory) -> BuiltIndex:
        """Record an index that was built, with the digests of its files."""
        built_at = utc_now()
        build_id = "" if store.reproducible else secrets.token_hex(8)
        effective = store.effective(ref)
        details = {"build_seconds": seconds, "build_memory": asdict(memory), "built_at": built_at, "build_id": build_id}
        folder = store.index_folder(ref)
        files = {} if folder is None else {"files": file_digests(folder)}
        self.cache.keep_index(key, {**index_record(store, ref), **details, **files})
        return BuiltIndex(store, ref, effective, key, seconds, memory, built_at, build_id)

    def lost(self, store: Store, ref: IndexRef, label: str, cause: str) -> None:
        """Say why an index is built again, and drop what is left of it."""
        self._tell(label, f"{cause}; the index is built again.")
        for failure in closing([partial(store.drop, ref)]):
            self.emit(failure.warned(label, "what is left of the damaged index could not be dropped"))

    def _tell(self, label: str, message: str) -> None:
        self.emit(Warned(label, message))


def foreign_vectors(store: Store, ref: IndexRef, vectors: Vectors) -> str | None:
    """What is wrong with the vectors that an engine holds; None where nothing is found, or where it cannot be asked.

    Each check looks at other rows, so that the next may find what this one misses. No figure depends on them.
    """
    if ref.dimension is None or not ref.rows or (ours := vectors()) is None:
        return None
    given = np.setdiff1d(np.flatnonzero(~np.isnan(ours[:, 0])), ref.withheld)
    rows = np.sort(np.random.default_rng().choice(given, min(SAMPLE, len(given)), replace=False)).astype(np.int32)
    held = store.stored_vectors(ref, rows)
    if held is None:
        return None
    differing = int(_differing(held, ours[rows], ref.similarity).sum())
    if not differing:
        return None
    return f"{differing} of {counted(len(rows), 'stored vector')} that were compared are not those it was built of"


@contextmanager
def room_given_back(folder: Path) -> Iterator[None]:
    """Delete the folder of a build that fails inside, because other indexes need the room. Where no room was left, that
    is the failure that is raised, whatever the engine said."""
    try:
        yield
    except BaseException as error:
        full = None if refused_by_system(error) or not folder.is_dir() else full_disk(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if full is not None and isinstance(error, Exception):
            raise full from error
        raise


def _damage(store: Store, ref: IndexRef, record: Mapping[str, Any], vectors: Vectors) -> str | None:
    """What is wrong with a kept index, None where nothing is found."""
    folder = store.index_folder(ref)
    if folder is None:
        try:
            return foreign_vectors(store, ref, vectors)
        except IndexMissing:
            return None  # whoever opens it tells the causes apart
    if not (kept := record.get("files")):
        return None
    damaged = damaged_files(folder, kept)
    if not damaged:
        return None
    return f"{len(damaged)} of {counted(len(kept), 'file')} of its index are damaged or gone (first: {damaged[0]})"


def _differing(held: Floats, ours: Floats, similarity: Similarity) -> npt.NDArray[np.bool_]:
    """Which rows differ by more than the rounding of float32; NaN differs. Under cosine only directions count: an
    engine may keep vectors at length 1."""
    a, b = held.astype(np.float64), ours.astype(np.float64)
    lengths = np.linalg.norm(b, axis=1)
    if similarity is Similarity.COSINE:
        a, b, lengths = _directions(a), _directions(b), np.ones(len(b))
    near: npt.NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) <= _TOLERANCE * np.maximum(lengths, 1e-30)
    return ~near


def _directions(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: npt.NDArray[np.float64] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths != 0)
    return directions
