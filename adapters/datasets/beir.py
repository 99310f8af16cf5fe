"""A folder in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field

from adapters import base
from adapters.base import DatasetInvalid, DatasetSource, FilePath, Tables
from adapters.base.records import ending, records, required_text
from adapters.datasets._links import leads_out
from adapters.datasets._qrels import JUDGEMENTS, read_qrels
from adapters.datasets._reading import identifier, optional_text
from adapters.datasets._tables import TextTable, no_queries

_TEXTS = (".jsonl", ".ndjson", ".parquet")
_SPLIT_FORMS = ("{}", "qrels.{}", "{}.qrels")  # how a split's file is called, without its ending
_SHOWN = 10  # names that a message lists


class BeirOptions(base.Options):
    path: FilePath = Field(description="Folder that holds corpus.jsonl and queries.jsonl.")
    split: str = Field("test", min_length=1, description="Judgements that count: the file qrels/<split>.tsv.")
    qrels: Literal["split", "none"] = Field(
        "split", description="Whether there are judgements: with none, ANN@k is measured alone."
    )
    follow_links: bool = Field(False, description="Whether files that are links out of the folder are read too.")


class BeirFolder(DatasetSource):
    """Further fields of a row become meta.<name>, and so do the entries of an object called `metadata`.

    Source: the wiki of the beir package on loading a custom data set.
    """

    name: ClassVar[str] = "beir"
    Options = BeirOptions
    _needs_queries = True

    def documents_alone(self) -> Self:
        other = type(self)(self.options, self.context)
        other._needs_queries = False
        return other

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """corpus, queries, qrels. Raises DatasetInvalid when one is not there."""
        folder = self._folder()
        if not folder.is_dir():
            raise DatasetInvalid(str(folder), "there is no such folder. Set `path` to a folder with corpus.jsonl.")
        stems = ("corpus", "queries") if self._needs_queries else ("corpus",)
        files = [_standing(folder, (stem,), _TEXTS) for stem in stems]
        if self.options.qrels == "split" and self._needs_queries:
            files.append(self._judgements(folder))
        for file in files:
            if not self.options.follow_links and leads_out(file, folder):
                raise DatasetInvalid(
                    str(file), f"is a link that leads out of {folder}. To read it all the same: `follow_links: true`."
                )
        return tuple(files)

    def splits(self) -> tuple[str, ...]:
        """What the files in qrels/ are called."""
        if self.options.qrels == "none":
            return ()
        return _splits(self._folder() / "qrels")

    def load(self) -> Tables:
        if not self._needs_queries:
            (corpus,) = self.sources()
            return Tables(corpus=read_texts(corpus, titled=True), queries=no_queries(), qrels=None)
        corpus, queries, *judgements = self.sources()
        folder = self._folder()
        expected = ("corpus.jsonl", "queries.jsonl", f"qrels/{self.options.split}.tsv")
        found = [file.relative_to(folder).as_posix() for file in (corpus, queries, *judgements)]
        notes = [f"{f} was read: there is no {e}." for f, e in zip(found, expected, strict=False) if f != e]
        qrels = None
        if judgements:
            qrels, told = read_qrels(judgements[0])
            notes += told
        return Tables(
            corpus=read_texts(corpus, titled=True),
            queries=read_texts(queries, titled=False),
            qrels=qrels,
            notes=tuple(notes),
        )

    def _folder(self) -> Path:
        return self.context.path(self.options.path)

    def _judgements(self, folder: Path) -> Path:
        split, folders = self.options.split, (folder / "qrels").is_dir()
        # A file without a split's name stands for the split that nobody asked for by name.
        if not folders and "split" not in self.options.model_fields_set and _candidates(folder, ("qrels",), JUDGEMENTS):
            return _standing(folder, ("qrels",), JUDGEMENTS)
        return _standing(folder / "qrels", tuple(form.format(split) for form in _SPLIT_FORMS), JUDGEMENTS)


def read_texts(path: Path, *, titled: bool) -> pa.Table:
    """A corpus (titled) or queries file: `_id`, `text`, `title`, and whatever else the rows hold."""
    table = TextTable(path, titled=titled)
    for line, row in records(path):
        where = f"{path}:{line}"
        table.add(
            identifier(row, "_id", where),
            required_text(row, "text", where),
            title=optional_text(row, "title", where) if titled else None,
            meta=_further(row, where, titled=titled),
            line=line,
        )
    return table.finish()


def _further(row: Mapping[str, Any], where: str, *, titled: bool) -> dict[str, Any]:
    known = {"_id", "text", "title"} if titled else {"_id", "text"}
    if len(row) <= len(known) and row.keys() <= known:
        return {}
    nested = row.get("metadata")
    further = {key: value for key, value in row.items() if key not in known}
    if isinstance(nested, dict):
        del further["metadata"]
        for key, value in nested.items():
            if key in further:
                raise DatasetInvalid(where, f'"{key}" stands in the row and in its "metadata". Rename one of them.')
            further[key] = value
    return further


def _standing(folder: Path, stems: tuple[str, ...], endings: tuple[str, ...]) -> Path:
    """The file of the layout, the first stem with the first ending; where it is not there, the one in its place.

    Raises DatasetInvalid where there is none, or several.
    """
    expected = folder / f"{stems[0]}{endings[0]}"
    if expected.is_file():
        return expected
    there = _candidates(folder, stems, endings)
    if len(there) > 1:
        listed = ", ".join(file.relative_to(folder).as_posix() for file in there)
        raise DatasetInvalid(
            str(expected), f"there is no such file, and several stand in its place: {listed}. Keep one."
        )
    if not there:
        raise DatasetInvalid(str(expected), _absence(expected))
    return there[0]


def _candidates(folder: Path, stems: tuple[str, ...], endings: tuple[str, ...]) -> list[Path]:
    names = (f"{stem}{ending}{packed}" for stem in stems for ending in endings for packed in ("", ".gz"))
    return [folder / name for name in names if (folder / name).is_file()]


def _absence(file: Path) -> str:
    if file.parent.name != "qrels":
        lying = sorted(path.name for path in file.parent.iterdir() if not path.name.startswith("."))
        beside = f" The folder holds: {', '.join(lying[:_SHOWN])}{', …' if lying[_SHOWN:] else ''}." if lying else ""
        return f"there is no such file. A BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv.{beside}"
    lying = sorted(path.name for path in file.parent.iterdir()) if file.parent.is_dir() else []
    if splits := _splits(file.parent):
        return f"there is no split {file.stem!r}. Set `split` to one of: {', '.join(splits)}."
    if lying:
        held, known = ", ".join(lying[:_SHOWN]), ", ".join(JUDGEMENTS)
        return f"there is no such file. The folder holds: {held}. Files of judgements end in {known}."
    return "there are no judgements. Add the file, or set `qrels: none` and measure ANN@k."


def _splits(folder: Path) -> tuple[str, ...]:
    """The splits whose files of judgements lie in a folder, by name."""
    lying = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    stems = (Path(name.removesuffix(".gz")).stem for name in lying if ending(Path(name)) in JUDGEMENTS)
    names = {stem.removeprefix("qrels.").removesuffix(".qrels") for stem in stems}
    return tuple(sorted(name for name in names if name and not name.startswith(".")))
