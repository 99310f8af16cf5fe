"""What an adapter exports, so that a stand-alone retriever can be written without this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from adapters.base.errors import AdapterError

# What can be written as a literal, or as a call that makes another piece.
Value: TypeAlias = "bool | int | float | str | CodePiece | Sequence[Value] | Mapping[str, Value] | None"


@dataclass(frozen=True, slots=True)
class CodePiece:
    """A class whose source is copied into a retriever, and the values that it is made with.

    module: importable name of the module that holds it. It may import the standard library, installed packages, and
        modules of its own package, whose source is copied too, as far as it is needed; nothing else of this project
        but `adapters.code`.
    class_name: the class in it: a `QueryEncoder`, `SearchEngine` or `CandidateScorer` of `adapters.code.contract`.
    arguments: keyword arguments of its constructor; another piece among them is made first.
    requires: distributions that must be installed, as a package index names them. They are pinned to the versions that
        were measured.
    files: files and folders that it opens, by the keyword argument that takes their `Path`. They are copied where a
        retriever shall have its own data.
    keys: environment variables that it reads keys from.
    exact: whether it gives the same figures on every call and machine, short of rounding; not of a service's model.
    """

    module: str
    class_name: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    exact: bool = True


@dataclass(frozen=True, slots=True)
class CorpusFiles:
    """What a reranker's code may have of the corpus.

    documents: Parquet table with the columns id and text, in row order. vectors: .npy file, float32 (rows, dimension),
    of the encoder that the reranker names; None where it names none. encoder: the code of that encoder for queries.
    similarity: how its vectors are compared. folder: an empty folder for files that the code shall find there.
    """

    documents: Path
    folder: Path
    vectors: Path | None = None
    encoder: CodePiece | None = None
    similarity: str | None = None


class NoCode(AdapterError):
    """An adapter exports no code. what: it would do; written: what is not written then; method: that is lacking."""

    def __init__(
        self, adapter: str, what: str = "", written: str = "stand-alone retriever", method: str = "export"
    ) -> None:
        super().__init__(
            f"Adapter {adapter} exports no code{f' {what}' if what else ''}, so no {written} can be written for a "
            f"system that uses it. Its author can give it a method `{method}`."
        )
