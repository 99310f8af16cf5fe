"""The cache on disk: everything computed once, addressed by what it was computed from.

    <cache>/vectors/<key>/<segment>.npz      vectors by text, written segment by segment
    <cache>/scores/<key>/<segment>.npz       reranker scores by (query text, document text)
    <cache>/candidates/<key>/<chunk>.npz     rankings of a search, chunk of queries by chunk
    <cache>/timings/<key>.npz                raw samples of a latency pass
    <cache>/indexes/<key>/                   an engine's files; ref.json is written last and makes it whole
    <cache>/datasets/                        parsed collections
    <cache>/models/<key>/                    trained models; provenance.json holds the digests of their files
    <cache>/negatives/<key>.parquet          mined negatives as n-tuples; <key>.json has the report and makes it whole
    <cache>/synthetic/<key>/                 what a generator wrote, a file for each piece of its work
    <cache>/retrievers/<key>/                what written retrievers open beside indexes and models: documents, vectors
    <cache>/environments/<key>/              virtual environments in which retrievers were checked
    <cache>/users/                           who uses which of them: `bench.cache.users`

A file appears whole (written, synced, renamed) or not at all, carries a checksum, and is computed anew when the
checksum does not match. Runs use a cache side by side: `bench.cache.locks`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, TypeAlias
from zipfile import ZIP_STORED, BadZipFile

import numpy as np
import numpy.typing as npt

from bench.cache.claims import Claims
from bench.cache.digests import DIGEST_BYTES, Digests, content_key
from bench.cache.drafts import draft_beside
from bench.cache.locks import Waiting
from bench.cache.own_files import NOT_ITSELF, is_own_folder, own_folder, read_own
from bench.cache.uses import note

MAGIC = b"RBA1"
"""The first bytes of every file of arrays."""
_ADDRESS = "address"  # the entry of a file that names its artefact; files of earlier versions have none

# What numpy raises for a file that holds no arrays; the first two come from reading a header as Python.
_NO_ARRAYS = (
    *(SyntaxError, TokenError, ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError),
    *(RecursionError, NotImplementedError, struct.error, BadZipFile),
)

# The values of a segment's rows, and their axes.
_VALUES = {"vectors": 2, "scores": 1}

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut. Raises OSError, naming `path`."""
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place whole when the block ends, and not at all when the block fails."""
    try:
        with _draft_of(path) as file:
            yield file
    except OSError as error:
        if error.errno is None or Path(os.fsdecode(error.filename or path)).parent != path.parent:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_writable(path: Path) -> None:
    """Raise OSError where a file cannot be written, before the work whose result it will hold. Leaves nothing
    behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():  # what is written takes its place
        raise OSError(errno.EINVAL, "is a pipe or a device, where a file is needed", str(path))
    probe = draft_beside(path)
    try:
        probe.open("xb").close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    probe.unlink()


@contextmanager
def _draft_of(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by mkstemp, whose files only their owner may read: a result has the same permissions as the user's other
    # files.
    temporary = draft_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def new_folder(parent: Path, prefix: str) -> Path:
    """Make a folder with a new name. Others may read it as they may the user's other folders, unlike one of mkdtemp."""
    folder = parent / f"{prefix}{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def sync_folder(folder: Path) -> None:
    """Make names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


SCRATCH = ".scratch-"
"""Prefix of temporary folders: nobody needs them once their process has ended."""


class Cache:
    """The folder of artefacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segments(self, kind: str, key: str, fits: Callable[[Arrays], bool] = lambda arrays: True) -> Segments:
        """An append-only table of values by digest. fits: whether arrays can be those of a segment here."""
        return Segments(self.folder / kind / key, fits)

    def read(self, kind: str, key: str) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays stored under a key, None when absent or damaged."""
        note(self.folder, kind, key.partition("/")[0])
        return _read_arrays(self.folder / kind / f"{key}.npz")

    def read_ranking(self, key: str, queries: int, documents: int) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays of a ranking, `rows` and `scores`, for that many queries over that many documents. None when absent,
        damaged or of another shape: somebody else may have made the cache."""
        arrays = self.read("candidates", key)
        if arrays is None or not arrays.keys() >= {"rows", "scores"}:
            return None
        rows, scores = arrays["rows"], arrays["scores"]
        fitting = rows.ndim == 2 and len(rows) == queries and scores.shape == rows.shape
        if not fitting or rows.dtype.kind != "i" or scores.dtype.kind != "f":
            return None
        if rows.size and not (rows.min() >= -1 and rows.max() < documents):
            return None
        return arrays

    def write(self, kind: str, key: str, arrays: Arrays) -> None:
        """Store arrays under a key (which may hold one slash: folder/chunk)."""
        _write_arrays(self.folder / kind / f"{key}.npz", arrays)
        note(self.folder, kind, key.partition("/")[0])

    def index_ref(self, key: str) -> dict[str, Any] | None:
        """What `keep_index` stored for a whole index; None where it is absent or was changed."""
        note(self.folder, "indexes", key)
        return _read_record(self._index_ref(key))

    def has_index_ref(self, key: str) -> bool:
        """Whether there is anything at the place of `keep_index`, even if it is damaged."""
        return os.path.lexists(self._index_ref(key))

    def _index_ref(self, key: str) -> Path:
        return self.folder / "indexes" / key / "ref.json"

    def index_folder(self, key: str) -> Path:
        """An empty folder for the engine's files; what an interrupted build left there is deleted."""
        folder = self.folder / "indexes" / key
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        return folder / "data"

    def begin_index(self, folder: Path, ref: Mapping[str, Any]) -> None:
        """Write into an index's folder what the engine will hold of it if the build does not end."""
        _write_record(folder / "begun.json", ref)

    def begun_indexes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Folders of builds that did not end, of indexes to keep and of scratch ones, with what was noted."""
        for folder in sorted([*(self.folder / "indexes").glob("*"), *self.folder.glob(f"{SCRATCH}*")]):
            begun = _read_record(folder / "begun.json") if is_own_folder(folder) else None
            if begun is not None and not (folder / "ref.json").exists():
                yield folder, begun

    def keep_index(self, key: str, ref: Mapping[str, Any]) -> None:
        """Mark an index as whole."""
        _write_record(self._index_ref(key), ref)

    def index_refs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All whole indexes: key and what was kept."""
        for path in sorted((self.folder / "indexes").glob("*/ref.json")):
            if is_own_folder(path.parent) and (ref := _read_record(path)):
                yield path.parent.name, ref

    def forget_index(self, key: str) -> None:
        """Delete an index's files."""
        shutil.rmtree(self.folder / "indexes" / key, ignore_errors=True)


class Segments:
    """Values by 16-byte digest: each segment is one file, written whole, never changed.

    Columns are arrays with one row per digest. The digests are held in memory; the values are read when asked for.
    damaged: files that hold nothing that could be used; they are written anew, or stay as they are.
    """

    def __init__(self, folder: Path, fits: Callable[[Arrays], bool] = lambda arrays: True) -> None:
        self._folder = folder
        self.damaged = 0
        self._fits = fits
        self._files: list[Path] = []
        self._digests_of: list[Digests] = []  # by file
        self._sorted: Digests | None = None
        self._known: set[str] = set()
        self._foreign: list[Digests] = []  # what other runs have added meanwhile
        self._cache, self._kind = folder.parent.parent, folder.parent.name
        self._claims = Claims(self._cache, f"{self._kind}-{folder.name}")
        self._read_new()

    @contextmanager
    def claimed(self, digests: Digests) -> Iterator[npt.NDArray[np.bool_]]:
        """Have values to oneself while they are computed. Yields which of these digests, (n,), all missing when last
        looked for, are to be computed: the others another run computes now, or has computed meanwhile."""
        with self._claims.taken(digests) as free:
            self._foreign += self._read_new()
            yield free & ~np.isin(digests, np.concatenate(self._foreign)) if self._foreign else free

    def await_others(self, digests: Digests, wait: Waiting) -> npt.NDArray[np.bool_]:
        """Wait until nobody computes any of these digests, (n,). Returns which have no value even then."""
        self._claims.ended(digests, wait)
        self._foreign += self._read_new()
        return self.missing(digests)

    def _read_new(self) -> list[Digests]:
        """Take in the files that are there and not known yet. Returns their digests."""
        found: list[Digests] = []
        for path in sorted(path for path in self._folder.glob("*.npz") if path.name not in self._known):
            arrays = _read_arrays(path)
            self._known.add(path.name)
            if arrays is not None and _by_digest(arrays, self._kind) and self._fits(arrays):
                self._index(path, arrays["digest"])
                found.append(arrays["digest"])
            else:
                self.damaged += 1
        return found

    def missing(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Which digests have no value yet: bool (n,)."""
        return self._positions(digests) < 0

    def append(self, digests: Digests, columns: Arrays) -> None:
        """Store one segment."""
        name = hashlib.blake2b(digests.tobytes(), digest_size=DIGEST_BYTES).hexdigest()
        path = self._folder / f"{name}.npz"
        _write_arrays(path, {"digest": digests, **columns})
        self._used(path)
        self._index(path, digests)

    def gather(self, digests: Digests, columns: Sequence[str]) -> list[npt.NDArray[Any]]:
        """The columns' values for digests that are all present, rows in the order of the digests."""
        positions = self._positions(digests)
        if (positions < 0).any():
            raise KeyError(f"{int((positions < 0).sum())} values are missing in {self._folder}")
        found: list[npt.NDArray[Any]] = []
        numbers = np.unique(self._file_of[positions])
        self._used(*(self._files[number] for number in numbers))
        for number in numbers:
            arrays = _read_arrays(self._files[number])
            if arrays is None:
                raise OSError(f"{self._files[number]} was damaged while in use. Run again.")
            here = np.flatnonzero(self._file_of[positions] == number)
            rows = self._row_of[positions[here]]
            if not found:
                found = [np.empty((len(digests), *arrays[c].shape[1:]), arrays[c].dtype) for c in columns]
            for target, column in zip(found, columns, strict=True):
                target[here] = arrays[column][rows]
        return found

    def flagged(self, digests: Digests, column: str) -> int | None:
        """How many of these digests, all present, have a flag set in a column; None where some segment lacks it."""
        positions = self._positions(digests)
        count = 0
        for number in np.unique(self._file_of[positions]) if len(positions) else ():
            flags = (_read_arrays(self._files[number]) or {}).get(column)
            if flags is None:
                return None
            count += int(flags[self._row_of[positions[self._file_of[positions] == number]]].sum())
        return count

    def total(self, digests: Digests, prefix: str) -> dict[str, float]:
        """What the values of these digests cost when they were computed: sums of the segments' numbers whose names
        start with a prefix, each weighted by the share of the segment that these digests use."""
        positions = self._positions(digests)
        numbers, used = np.unique(self._file_of[positions[positions >= 0]], return_counts=True)
        sums: dict[str, float] = {}
        for number, count in zip(numbers, used, strict=True):
            arrays = _read_arrays(self._files[number]) or {}
            for name, value in arrays.items():
                if name.startswith(prefix):
                    share = float(value) * int(count) / len(arrays["digest"])
                    sums[name.removeprefix(prefix)] = sums.get(name.removeprefix(prefix), 0.0) + share
        return sums

    def whole(self, digests: Digests) -> dict[str, npt.NDArray[Any]] | None:
        """The segment that holds just these digests, None where there is none."""
        positions = self._positions(digests)
        numbers = np.unique(self._file_of[positions[positions >= 0]])
        if len(numbers) != 1 or (positions < 0).any():
            return None
        self._used(self._files[numbers[0]])
        arrays = _read_arrays(self._files[numbers[0]])
        return arrays if arrays is not None and len(arrays["digest"]) == len(np.unique(digests)) else None

    def _used(self, *paths: Path) -> None:
        note(self._cache, self._kind, *(f"{self._folder.name}/{path.stem}" for path in paths))

    def _index(self, path: Path, digests: Digests) -> None:
        self._known.add(path.name)
        self._files.append(path)
        self._digests_of.append(digests)
        self._sorted = None

    def _positions(self, digests: Digests) -> npt.NDArray[np.int64]:
        if self._sorted is None:
            lengths = [len(digests) for digests in self._digests_of]
            self._file_of = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
            self._row_of = np.concatenate([np.arange(n, dtype=np.int32) for n in (*lengths, 0)])
            known = np.concatenate([np.empty(0, dtype=f"S{DIGEST_BYTES}"), *self._digests_of])
            self._order = np.argsort(known, kind="stable")
            self._sorted = known[self._order]
        if not len(self._sorted):
            return np.full(len(digests), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._sorted, digests), len(self._sorted) - 1)
        return np.where(self._sorted[at] == digests, self._order[at], -1)


def _write_record(path: Path, record: Mapping[str, Any]) -> None:
    own_folder(path.parent)
    write_atomically(path, json.dumps({**_unsealed(record), "digest": _record_digest(record)}).encode())


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(read_own(path))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        if error.errno not in NOT_ITSELF:
            raise
        return None
    if not isinstance(record, dict) or not isinstance(record.get("ref"), dict):
        return None
    # A record from before there were digests has none of the keys that came with them or later.
    whole = record.get("digest") == _record_digest(record) if record.keys() & {"digest", "files", "build_id"} else True
    return _unsealed(record) if whole else None


def _record_digest(record: Mapping[str, Any]) -> str:
    return content_key(json.loads(json.dumps(_unsealed(record))))


def _unsealed(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "digest"}


def _write_arrays(path: Path, arrays: Arrays) -> None:
    own_folder(path.parent)
    # One array after another, the first of them the names: a zip archive of as many small arrays takes twice as long,
    # and every answer of a managed model is a file.
    buffer = io.BytesIO()
    arrays = {_ADDRESS: np.array(_address(path)), **arrays}
    for array in (np.array(list(arrays)), *arrays.values()):
        np.save(buffer, array, allow_pickle=False)
    payload = buffer.getbuffer()
    digest = hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
    write_atomically(path, b"".join((MAGIC, digest, payload)))


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    try:
        data = read_own(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EFBIG):  # somebody put a link there, or a hole
            path.unlink(missing_ok=True)
            return None
        raise
    head = len(MAGIC) + DIGEST_BYTES
    payload = memoryview(data)[head:]
    digest = hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : head] != digest:
        path.unlink(missing_ok=True)
        return None
    try:
        arrays = _loaded(io.BytesIO(payload))
    except _NO_ARRAYS:
        arrays = None  # the file is whole, but holds no arrays
    if arrays is None or str(arrays.pop(_ADDRESS, _address(path))) != _address(path):  # or another artefact's file
        path.unlink(missing_ok=True)
        return None
    return arrays


def _loaded(file: io.BytesIO) -> dict[str, npt.NDArray[Any]]:
    first = np.load(file, allow_pickle=False)
    if not isinstance(first, np.lib.npyio.NpzFile):
        return {str(name): np.load(file, allow_pickle=False) for name in first}
    # Written by an earlier version, which packed nothing. It is read, because it was paid for.
    if first.zip is None or any(member.compress_type != ZIP_STORED for member in first.zip.infolist()):
        raise ValueError("a member is packed, and may be larger than all memory")
    return {name: first[name] for name in first.files}


def _by_digest(arrays: Arrays, kind: str) -> bool:
    """Whether the arrays are those of a segment of this kind: a row for each digest, beside single numbers."""
    digests = arrays.get("digest")
    if digests is None or digests.dtype != np.dtype(f"S{DIGEST_BYTES}") or digests.ndim != 1:
        return False
    if kind in _VALUES and (kind not in arrays or arrays[kind].ndim != _VALUES[kind] or arrays[kind].dtype.kind != "f"):
        return False
    if not all(_is_amount(value) for name, value in arrays.items() if name.startswith("usage.")):
        return False
    return all(column.ndim == 0 or len(column) == len(digests) for column in arrays.values())


def _is_amount(value: npt.NDArray[Any]) -> bool:
    return value.ndim == 0 and value.dtype.kind in "fiu" and bool(np.isfinite(value)) and float(value) >= 0


def _address(path: Path) -> str:
    """The address of the artefact in a file: its key and the kind before it."""
    return f"{path.parent.name}/{path.stem}"
