"""The store of trained models, a part of the cache.

    <cache>/models/<key>/                 a whole sentence-transformers folder, and beside its files:
        provenance.json                   where it comes from, with the digests of all other files
        README.md                         its card, which says the same in prose
        training.csv                      what was told on the way: loss, dev, learning rate
        training-queries.csv              digests of the queries that it learnt from, by which leaks are found elsewhere
    <cache>/models/<key>.checkpoints/     of a training that is under way or was interrupted
    <cache>/models/trainings.csv          one row for each training
    <cache>/models/tensorboard/           event files for TensorBoard

A model appears whole (written, synced, renamed) or not at all, and is trained anew when its files are not as they were.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adapters.base.trainer import TrainingStep
from bench.cache.artifacts import Cache, new_folder, sync_folder, write_atomically
from bench.cache.digests import DIGEST_BYTES, text_digests
from bench.cache.mark import named_by_us
from bench.cache.own_files import NOT_ITSELF, is_own_folder, open_own, own_folder, read_own
from bench.cache.uses import note
from bench.train.card import model_card
from bench.train.provenance import FileDigest, ModelProvenance, read_provenance
from bench.train.trainings import record_trainings

PROVENANCE, CARD, CURVE, QUERIES = "provenance.json", "README.md", "training.csv", "training-queries.csv"
STEP_COLUMNS = ("step", "steps", "epoch", "loss", "dev", "learning_rate", "seconds")
_CHECKPOINTS = ".checkpoints"
_KEY = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A trained model and where it is."""

    folder: Path
    provenance: ModelProvenance

    @property
    def key(self) -> str:
        return self.provenance.key

    @property
    def bytes(self) -> int:
        """What its files take on disk, without provenance.json."""
        return sum(file.bytes for file in self.provenance.files.values())

    def curve(self) -> list[TrainingStep]:
        """What was told during its training; nothing of a model that was trained elsewhere."""
        return read_curve(_text(self.folder / CURVE))

    def card(self) -> str:
        """Its model card."""
        return _text(self.folder / CARD)

    def query_digests(self) -> frozenset[str] | None:
        """Digests of the normalised queries that it learnt from; None where they are not known."""
        return read_query_digests(self.folder)


def read_query_digests(folder: Path) -> frozenset[str] | None:
    """Digests of the normalised queries that a model in a folder learnt from; None where they are not known."""
    lines = _text(folder / QUERIES).split()
    return frozenset(lines[1:]) if lines[:1] == ["blake2b"] else None


def file_digests(folder: Path) -> dict[str, FileDigest]:
    """The files of a model's folder but provenance.json and hidden ones. Raises ValueError for a link, a pipe and the
    like."""
    found: dict[str, FileDigest] = {}
    for name in _files(folder):
        digest = _digest(folder / name)
        if digest is None:
            raise ValueError(f"{folder / name} is a link, a pipe or a device; a model consists of files.")
        found[name] = digest
    return found


def is_key(word: str) -> bool:
    """Whether a word can be the key of a model."""
    return _KEY.fullmatch(word) is not None


class KeptModels:
    """The trained models of a cache. Every key is checked to be one: it becomes a path, which may be deleted."""

    def __init__(self, cache: Cache) -> None:
        self.folder = cache.folder / "models"

    def find(self, key: str) -> KeptModel | None:
        """The model with that key; None where it is absent or damaged, which `damage` tells apart. Its files are
        compared with their digests, each once per process."""
        if self._fault(key):
            return None
        self._used(key)
        return self._read(key)

    def damage(self, key: str) -> str | None:
        """Why what stands at the key's place cannot be used; None where it can, and where nothing stands there."""
        return self._fault(key) if os.path.lexists(self._place(key)) else None

    def draft(self, key: str) -> Path:
        """An empty folder on the file system of the store, for a model to be written into. What an interrupted training
        of that key left in another one is deleted."""
        own_folder(self.folder)
        for left in self.folder.glob(f".{self._place(key).name}-*"):
            _delete(left)
        return new_folder(self.folder, f".{self._place(key).name}-")

    def keep(
        self,
        key: str,
        draft: Path,
        provenance: ModelProvenance,
        *,
        curve: Sequence[TrainingStep] = (),
        queries: Iterable[str] | None = None,
    ) -> KeptModel:
        """Make a draft the model of that key, and record its training; what stood at its place is deleted.

        curve: what was told on the way. queries: the normalised queries that it learnt from; None where they are not
        known. Raises OSError; the draft is then deleted, because a disk may be full.
        """
        try:
            whole = self._completed(key, draft, provenance, curve, queries)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        place = self._place(key)
        if os.path.lexists(place):
            _delete(place)
        draft.rename(place)
        self._used(key)
        sync_folder(self.folder)
        record_trainings(self.folder, [kept.provenance for kept in self.all()])
        return KeptModel(place, whole)

    def checkpoints(self, key: str) -> Path:
        """The folder of a training's checkpoints, kept between runs; made where it is absent."""
        folder = self._place(key).with_suffix(_CHECKPOINTS)
        own_folder(folder)
        self._used(key)
        return folder

    def drop_checkpoints(self, key: str) -> None:
        """Delete a training's checkpoints, where there are some."""
        folder = self._place(key).with_suffix(_CHECKPOINTS)
        if os.path.lexists(folder):
            _delete(folder)

    def all(self) -> Iterator[KeptModel]:
        """Every model whose provenance can be read, in the order in which they were trained. Their weights are not
        read."""
        found = [kept for name in self._names() if is_key(name) and (kept := self._read(name))]
        yield from sorted(found, key=lambda kept: (kept.provenance.created_at, kept.key))

    def interrupted(self) -> list[str]:
        """Keys of trainings that have checkpoints: they did not end."""
        return [name.removesuffix(_CHECKPOINTS) for name in self._names() if name.endswith(_CHECKPOINTS)]

    def remove(self, key: str) -> None:
        """Delete a model and its checkpoints. Its row among the trainings stays."""
        self.drop_checkpoints(key)
        if os.path.lexists(self._place(key)):
            _delete(self._place(key))

    def _used(self, key: str) -> None:
        note(self.folder.parent, self.folder.name, key)

    def _place(self, key: str) -> Path:
        if not is_key(key):
            raise ValueError(f"{key!r} is no key of a model.")
        return self.folder / key

    def _names(self) -> list[str]:
        if not is_own_folder(self.folder):
            return []
        return sorted(path.name for path in self.folder.iterdir() if named_by_us("models", path.name))

    def _read(self, key: str) -> KeptModel | None:
        folder = self._place(key)
        if not is_own_folder(folder):
            return None
        try:
            provenance = read_provenance(read_own(folder / PROVENANCE))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NOT_ITSELF:
                raise
            return None
        return KeptModel(folder, provenance) if provenance is not None and provenance.key == key else None

    def _fault(self, key: str) -> str | None:
        place = self._place(key)
        kept = self._read(key)
        if kept is None:
            return f"{place} holds no {PROVENANCE} of a model of this key"
        there = set(_files(place))
        for name in sorted(there - kept.provenance.files.keys()):
            return f"{place / name} was not there when the model was kept"
        for name, digest in kept.provenance.files.items():
            if name not in there:
                return f"{place / name} is not there any more"
            if _digest(place / name) != digest:
                return f"{place / name} is not as it was when the model was kept"
        return None

    def _completed(
        self,
        key: str,
        draft: Path,
        provenance: ModelProvenance,
        curve: Sequence[TrainingStep],
        queries: Iterable[str] | None,
    ) -> ModelProvenance:
        """The provenance with the digests of all files, which are written and synced."""
        if provenance.key != key:
            raise ValueError(f"The provenance is that of {provenance.key}, the model that of {key}.")
        if curve:
            write_atomically(draft / CURVE, written_curve(curve).encode())
        if queries is not None:
            write_atomically(draft / QUERIES, _digest_lines(queries).encode())
        write_atomically(draft / CARD, model_card(provenance).encode("utf-8", "backslashreplace"))
        digests = file_digests(draft)
        for name in digests:
            _sync(draft / name)
        for folder in {(draft / name).parent for name in digests}:
            sync_folder(folder)
        whole = provenance.model_copy(update={"files": digests})
        write_atomically(draft / PROVENANCE, whole.model_dump_json(indent=1).encode("utf-8", "backslashreplace"))
        return whole


def written_curve(curve: Sequence[TrainingStep]) -> str:
    """The steps as CSV; an empty cell where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(STEP_COLUMNS)
    writer.writerows([getattr(step, name) for name in STEP_COLUMNS] for step in curve)
    return text.getvalue()


def read_curve(text: str) -> list[TrainingStep]:
    """The steps that `written_curve` wrote; nothing of a text that is no such CSV."""
    try:
        return [_step(row) for row in csv.DictReader(io.StringIO(text))]
    except (KeyError, TypeError, ValueError, csv.Error):
        return []


def _step(row: dict[str, str]) -> TrainingStep:
    loss, dev, rate = (float(row[name]) if row[name] else None for name in ("loss", "dev", "learning_rate"))
    return TrainingStep(
        int(row["step"]), int(row["steps"]), float(row["epoch"]), loss, dev, rate, float(row["seconds"])
    )


def _digest_lines(queries: Iterable[str]) -> str:
    digests = sorted({digest.hex() for digest in text_digests(list(queries)).tolist()})
    return "".join(f"{line}\n" for line in ("blake2b", *digests))


def _files(folder: Path) -> list[str]:
    """The files of a model's folder but provenance.json, by their paths in it. Hidden ones, which systems leave, are
    none of its files. A link stands in the list, and is refused when it is read."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in links]
        names += [(Path(place) / name).relative_to(folder).as_posix() for name in (*files, *links) if name[0] != "."]
    return sorted(name for name in names if name != PROVENANCE)


def _digest(path: Path) -> FileDigest | None:
    """What a file holds; None for a link, a pipe and the like."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in NOT_ITSELF:
            raise
        return None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
    return FileDigest(bytes=state.st_size, blake2b=_hash(path, state.st_size, state.st_mtime_ns, state.st_ino))


@lru_cache(maxsize=4096)
def _hash(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _text(path: Path) -> str:
    try:
        return read_own(path).decode("utf-8", "replace")
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.errno not in NOT_ITSELF:
            raise
        return ""


def _delete(path: Path) -> None:
    if is_own_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink()
