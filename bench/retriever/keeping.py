"""The files that a retriever opens: the table of documents, and what its pieces name; in the cache or copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.base import CodePiece
from bench.cache.artifacts import Cache, new_folder
from bench.cache.drafts import draft_beside
from bench.cache.own_files import own_folder
from bench.data.dataset import Dataset
from bench.retriever.forms import Form
from bench.retriever.literals import literal
from bench.retriever.refusal import RetrieverRefused

PART = "retrievers"
DOCUMENTS = "documents.parquet"
_FINGERPRINT = b"corpus"  # as adapters.code.documents reads it


def kept_folder(cache: Cache, key: str) -> Path:
    """The folder of the cache for what retrievers of that key open, made where it is absent."""
    own_folder(cache.folder / PART)
    folder = cache.folder / PART / key
    own_folder(folder)
    return folder


def empty_folder(parent: Path, name: str) -> Path:
    """An empty folder; what was there is deleted."""
    folder = parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_documents(path: Path, dataset: Dataset, fingerprint: str) -> None:
    """Write the table of documents in row order, whole or not at all: id, text as it was searched, metadata."""
    corpus = dataset.corpus
    columns = {"id": corpus.column("id"), "text": dataset.document_texts.column}
    columns |= {name: corpus.column(name) for name in corpus.column_names if name.startswith("meta.")}
    table = pa.table(columns).replace_schema_metadata({_FINGERPRINT: fingerprint.encode()})
    draft = draft_beside(path)
    try:
        pq.write_table(table, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def in_cache(path: Path) -> str:
    """The expression of a file where it lies."""
    return f"Path({literal(str(path.resolve()))})"


@dataclass(slots=True)
class DataFolder:
    """The folder that a retriever takes with it. It appears whole or not at all.

    target: where it will be; output: the file beside which it is looked for.
    """

    target: Path
    output: Path
    draft: Path
    copied: dict[Path, str] = field(default_factory=dict)

    @staticmethod
    def begun(target: Path, output: Path) -> DataFolder:
        target.parent.mkdir(parents=True, exist_ok=True)
        return DataFolder(target, output, new_folder(target.parent, f".{target.name}-"))

    def place(self, path: Path) -> str:
        """Copy a file or folder, once; the expression of its place, which starts at the retriever's file."""
        if path not in self.copied:
            name = path.name if path.name == DOCUMENTS else f"{len(self.copied)}-{_plain(path)}"
            copy = self.draft / name
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copy2(path, copy)
            self.copied[path] = name
        there = os.path.relpath(self.target.resolve() / self.copied[path], self.output.parent.resolve())
        return f"_HERE / {literal(Path(there).as_posix())}"

    def finish(self) -> None:
        """Put the folder at its place. What was there, which `check_data` allowed, is replaced."""
        if self.target.is_dir():
            shutil.rmtree(self.target)
        self.draft.rename(self.target)

    def drop(self) -> None:
        """Delete what was copied, where it was not finished."""
        shutil.rmtree(self.draft, ignore_errors=True)


def check_data(target: Path, *, force: bool) -> None:
    """Raise RetrieverRefused for a folder that holds something. With force, one of an earlier retriever may be
    replaced."""
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise RetrieverRefused(f"{target} is there already, and is no folder. Take another place: --data DIR")
    held = sorted(entry.name for entry in target.iterdir())
    if not held:
        return
    if not _is_ours(target, held):
        raise RetrieverRefused(
            f"{target} holds files that are no retriever's ({held[0]}), which stay. Take a new folder: --data DIR"
        )
    if not force:
        raise RetrieverRefused(f"{target} holds the data of a retriever already. Replace it: --force")


def _is_ours(folder: Path, held: Sequence[str]) -> bool:
    """Whether a retriever's data, and nothing else, lies in a folder."""
    if DOCUMENTS not in held or not all(name == DOCUMENTS or name.partition("-")[0].isdigit() for name in held):
        return False
    try:
        metadata = pq.read_schema(folder / DOCUMENTS).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return _FINGERPRINT in metadata


def _plain(path: Path) -> str:
    """What a copy is called behind its number: an index's folder is called `data` in the cache."""
    name = path.parent.name[:8] if path.name == "data" else path.name
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)[
        :60
    ]


def requirements_of(pieces: Sequence[CodePiece], form: Form) -> set[str]:
    """The distributions that a retriever needs."""
    return {*form.requires, "numpy", "pyarrow", *(name for piece in pieces for name in piece.requires)}
