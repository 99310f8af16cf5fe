"""A Hugging Face data set, from the hub or from a local copy of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from adapters import base
from adapters.base import (
    Contact,
    DatasetInvalid,
    DatasetSource,
    FilePath,
    InvalidOptions,
    ModelNotFound,
    PathText,
    Tables,
)
from adapters.base.records import BATCH_ROWS
from adapters.datasets._columns import as_ids, as_text, as_vectors, column_of, meta_columns, named
from adapters.datasets._qrels import named_columns
from adapters.datasets._reading import identifier, whole_grade
from adapters.datasets._records import PairColumns, pair_tables
from adapters.datasets._tables import QrelsTable

Preset: TypeAlias = Literal["mteb", "klue_mrc", "miracl", "wikipedia"]
_PRESETS: Mapping[Preset, re.Pattern[str]] = {
    "mteb": re.compile(r"(mteb|BeIR)/.+", re.IGNORECASE),
    "klue_mrc": re.compile(r"(klue/)?klue"),
    "miracl": re.compile(r"Cohere/miracl-\w+-corpus-22-12"),
    "wikipedia": re.compile(r"Cohere/wikipedia-22-12-.+"),
}
_SPLITS: Mapping[Preset, str] = {"mteb": "test", "klue_mrc": "validation", "miracl": "dev", "wikipedia": "train"}
# The columns of the presets' data sets, and of copies that other tools made.
_IDS = ("_id", "id", "docid")


class HubOptions(base.Options):
    dataset: str = Field(min_length=1, description="Name on the Hugging Face hub, such as mteb/scifact.")
    path: FilePath | None = Field(
        None, description="Local copy, a folder of the same layout, that is read instead of the hub."
    )
    preset: Preset | None = Field(None, description="How the dataset is laid out; left out, known from its name.")
    config: str | None = Field(
        None,
        description="Configuration on the hub; for mteb sets of many languages the prefix of their configurations.",
    )
    split: str | None = Field(
        None, description="Split of the judgements; left out, test, and for klue validation, for miracl dev."
    )
    revision: str | None = Field(None, description="Commit or tag on the hub; left out, the newest.")
    columns: Mapping[str, str] | None = Field(
        None,
        description="Columns of a dataset without preset: query, passage or label, and title, grade, query_id and"
        " document_id where there are any.",
    )
    queries: PathText | None = Field(
        None, description="Name or folder of miracl's queries; left out, known from the corpus' name."
    )
    rows: int | None = Field(None, ge=1, description="First rows of the corpus that are read; left out, all.")
    sample: int = Field(
        1000,
        ge=1,
        description="Rows of wikipedia that are held out as queries; of other data sets, how many of the queries are "
        "used, chosen by a hash.",
    )
    cache_dir: FilePath | None = Field(
        None, description="Folder where the package `datasets` keeps what it prepared; left out, its own."
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.columns is not None:
            if self.preset is not None:
                raise ValueError("set `preset` or `columns`, not both")
            allowed = PairColumns.__dataclass_fields__
            if unknown := sorted(set(self.columns) - set(allowed)):
                raise ValueError(f"columns.{unknown[0]} is unknown; known: {', '.join(allowed)}")
            if "query" not in self.columns or ("passage" in self.columns) == ("label" in self.columns):
                raise ValueError("`columns` needs query, and passage or label")
        elif self.layout is None:
            raise ValueError(
                f"{self.dataset!r} is none that the presets know; set `columns: {{query: …, passage: …}}` or `preset`"
            )
        layout = self.layout
        self.refuse_idle("rows", "another preset than klue_mrc, which is read whole", heeded=layout != "klue_mrc")
        self.refuse_idle("queries", "preset miracl", heeded=layout == "miracl")
        self.refuse_idle("sample", "preset wikipedia", heeded=layout == "wikipedia")
        self.refuse_idle("revision", "the hub: the copy in `path` is read as it is", heeded=self.path is None)
        return self

    @property
    def layout(self) -> Preset | None:
        """The preset that reads it; None with a column mapping."""
        if self.preset is not None or self.columns is not None:
            return self.preset
        return _known_layout(self.dataset)


class HubDataset(DatasetSource):
    """Reads through the `datasets` package, with presets for sets whose layout is known.

    mteb: configurations corpus, queries, default (judgements). klue_mrc: question to context; questions that their
    context does not answer are left out. miracl: corpus and queries with their vectors, to be compared by dot product.
    wikipedia: vectors alone, queries a held-out sample, no judgements.
    Raises ModelNotFound where the hub cannot be reached or has no such data set.
    """

    name: ClassVar[str] = "hub"
    requires = ("datasets",)
    Options = HubOptions

    @classmethod
    def takes(cls, key: str, spec: Mapping[str, Any]) -> bool:
        """`sample` is an option for wikipedia alone, which has no queries of its own."""
        if key != "sample":
            return super().takes(key, spec)
        layout = spec.get("preset") or ("columns" not in spec and _known_layout(str(spec.get("dataset"))))
        return layout == "wikipedia"

    def contacts(self) -> Sequence[Contact]:
        return [Contact("huggingface.co", None, own=True)] if self.options.path is None else []

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...] | None:
        """All files of a local copy; None for the hub, whose client has a cache of its own."""
        if self.options.path is None:
            return None
        folders = [self._folder(None), *([self._folder("queries")] if self.options.layout == "miracl" else [])]
        # `hf download` and git keep files of their own in hidden folders.
        return tuple(
            sorted(
                file
                for folder in folders
                for file in folder.rglob("*")
                if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
            )
        )

    @property
    def judged_split(self) -> str | None:
        return None if self.options.layout == "wikipedia" else self._split()

    def splits(self) -> tuple[str, ...]:
        """The splits of the configuration that holds the judgements."""
        layout = self.options.layout
        if layout == "wikipedia":
            return ()
        sibling = self._queries() if layout == "miracl" else None
        name, arguments = self._place(self._judging(), sibling)
        with self._reading(name) as datasets:
            # Streamed, because only the names are wanted.
            return tuple(datasets.load_dataset(**arguments, streaming=True))

    def load(self) -> Tables:
        layout = self.options.layout
        read = {"mteb": self._mteb, "klue_mrc": self._klue_mrc, "miracl": self._miracl, "wikipedia": self._wikipedia}
        tables = self._mapped() if layout is None else read[layout]()
        origin = {"dataset": self.options.dataset, "revision": self.options.revision, "preset": layout}
        if self.options.path is not None:
            origin["copy"] = self.options.path.name
        return Tables(tables.corpus, tables.queries, tables.qrels, notes=tables.notes, provenance={"hub": origin})

    def _mteb(self) -> Tables:
        prefix = f"{self.options.config}-" if self.options.config else ""
        corpus = self._read(f"{prefix}corpus", "corpus", first=self.options.rows)
        queries = self._read(f"{prefix}queries", "queries")
        qrels = self._read(self._judging(), self._split(), exact=True)
        return Tables(_texts(corpus, "corpus", titled=True), _texts(queries, "queries", titled=False), _qrels(qrels))

    def _klue_mrc(self) -> Tables:
        table = self._read(self._judging(), self._split(), exact=True)
        total = table.num_rows
        if "is_impossible" in table.column_names:
            table = table.filter(pc.invert(table.column("is_impossible")))
        columns = PairColumns(query="question", passage="context", title="title", query_id="guid")
        tables = self._pairs(table, columns)
        left = total - table.num_rows
        notes = (f"{left:,} of {total:,} questions that their context does not answer are left out.",) if left else ()
        return Tables(tables.corpus, tables.queries, tables.qrels, notes=notes)

    def _miracl(self) -> Tables:
        corpus = self._read(self.options.config, "train", first=self.options.rows)
        name = self._queries()
        queries = self._read(self._judging(), self._split(), exact=True, sibling=name)
        qrels = QrelsTable()
        for row in _rows(queries.select(["query_id", "positive_passages", "negative_passages"])):
            for grade, column in ((1, "positive_passages"), (0, "negative_passages")):
                for passage in row[column] or ():
                    where = f"{name}, query {row['query_id']}"
                    qrels.add(str(row["query_id"]), identifier(passage, "docid", where), grade)
        asked = queries.drop_columns(["positive_passages", "negative_passages"]).rename_columns(
            {"query_id": "_id", "query": "text"}
        )
        return Tables(
            _texts(corpus, "corpus", titled=True, vector="emb"),
            _texts(asked, "queries", titled=False, vector="emb"),
            qrels.finish(),
            notes=("The vectors are those of multilingual-22-12, meant for the dot product.",),
        )

    def _wikipedia(self) -> Tables:
        table = self._read(self.options.config, self._split(), first=self.options.rows)
        where = self.options.dataset
        sample = self.options.sample
        if sample >= table.num_rows:
            raise InvalidOptions(
                f"{where} has {table.num_rows:,} rows: too few to hold out {sample:,} as queries.", key="sample"
            )
        held = np.zeros(table.num_rows, np.bool_)
        held[np.random.default_rng(self.context.seed).choice(table.num_rows, sample, replace=False)] = True
        nothing = pa.nulls(table.num_rows, pa.string())
        ids = as_ids(column_of(table, "id", where), f"{where}.id")
        vectors = as_vectors(column_of(table, "emb", where), f"{where}.emb")
        rows = pa.table({"id": ids, "text": nothing, "vector": vectors})
        queries, corpus = rows.filter(pa.array(held)), rows.filter(pa.array(~held))
        note = (
            f"Queries are {sample:,} rows held out of the corpus by seed {self.context.seed}; there are no judgements."
        )
        return Tables(corpus.append_column("title", nothing[sample:]), queries, None, notes=(note,))

    def _mapped(self) -> Tables:
        table = self._read(self._judging(), self._split(), exact=True, first=self.options.rows)
        return self._pairs(table, PairColumns(**self.options.columns))

    def _pairs(self, table: pa.Table, columns: PairColumns) -> Tables:
        for name in columns.used():
            column_of(table, name, self.options.dataset)
        # The rows are counted from 1 in a split of the data set, as they are in a file.
        return pair_tables(enumerate(_rows(table), start=1), columns, Path(self.options.dataset))

    def _judging(self) -> str | None:
        """The configuration that holds the judgements."""
        config: str | None = self.options.config
        match self.options.layout:
            case "mteb":
                return f"{config}-qrels" if config else "default"
            case "klue_mrc":
                return config or "mrc"
            case _:
                return config

    def _queries(self) -> str:
        """The data set that holds miracl's queries."""
        return self.options.queries or str(self.options.dataset).replace("-corpus-", "-queries-")

    def _split(self) -> str:
        layout = self.options.layout
        return self.options.split or (_SPLITS[layout] if layout else "train")

    def _read(
        self,
        config: str | None,
        split: str,
        *,
        exact: bool = False,
        first: int | None = None,
        sibling: str | None = None,
    ) -> pa.Table:
        """One split of one configuration as an Arrow table; unless `exact`, the only split there is will do."""
        name, arguments = self._place(config, sibling)
        with self._reading(name) as datasets:
            # Streamed when only the first rows are wanted: the whole may be hundreds of gigabytes.
            loaded = datasets.load_dataset(**arguments, streaming=first is not None)
            split = _chosen(name, config, split, list(loaded), exact=exact)
            rows = loaded[split].with_format("arrow")
            return rows[:] if first is None else pa.concat_tables(rows.take(first).iter(batch_size=BATCH_ROWS))

    @contextmanager
    def _reading(self, name: str) -> Iterator[Any]:
        """The package `datasets`; what it raises inside the context is told in the words of this adapter."""
        import datasets

        try:
            yield datasets
        except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
            raise ModelNotFound(_absence(name)) from error
        except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
            if self.options.path is None and datasets.config.HF_HUB_OFFLINE:
                raise ModelNotFound(_absence(name)) from error
            raise DatasetInvalid(name, f"`datasets` cannot read it: {error}") from error

    def _place(self, config: str | None, sibling: str | None) -> tuple[str, dict[str, Any]]:
        """The data set's name for messages, and the arguments of `load_dataset` that say where it is."""
        kept = self.options.cache_dir
        cache = {} if kept is None else {"cache_dir": str(self.context.path(kept))}
        if self.options.path is None:
            name = sibling or self.options.dataset
            return name, {"path": name, "name": config, "revision": self.options.revision, **cache}
        folder = self._folder(sibling)
        if not config or (folder / "README.md").is_file():
            return str(folder), {"path": str(folder), "name": config, **cache}
        # Without the card that defines the configurations, each is a folder of its name.
        names = (config, "qrels") if config == "default" else (config,)
        for name in names:
            if (folder / name).is_dir():
                return str(folder / name), {"path": str(folder / name), **cache}
        raise DatasetInvalid(
            str(folder), f"has neither a README.md that defines the configuration {config!r} nor a folder of that name."
        )

    def _folder(self, sibling: str | None) -> Path:
        folder = self.context.path(self.options.path)
        if sibling is not None:
            beside = folder.with_name(folder.name.replace("corpus", "queries"))
            folder = self.context.path(self.options.queries) if self.options.queries else beside
        if not folder.is_dir():
            key = "queries" if sibling is not None else "path"
            raise DatasetInvalid(str(folder), f"there is no such folder. Set `{key}` to a local copy of the data set.")
        return folder


def _chosen(name: str, config: str | None, split: str, there: list[str], *, exact: bool) -> str:
    # `datasets` calls the split of a file named dev validation, where no card names it.
    for candidate in (split, {"dev": "validation", "validation": "dev"}.get(split)):
        if candidate in there:
            return candidate
    if exact or len(there) != 1:
        of = f" ({config})" if config else ""
        raise InvalidOptions(f"{name}{of} has no split {split!r}. It has: {', '.join(there)}.", key="split")
    return there[0]


def _known_layout(dataset: str) -> Preset | None:
    return next((name for name, pattern in _PRESETS.items() if pattern.fullmatch(dataset)), None)


def _absence(name: str) -> str:
    return (
        f"The data set {name} is not on this machine, and the hub does not give it. Check the name; without network, "
        f"download it elsewhere (hf download {name} --repo-type dataset --local-dir DIR), copy the folder here, and "
        "set `path: DIR` beside `dataset`."
    )


def _texts(table: pa.Table, which: str, *, titled: bool, vector: str | None = None) -> pa.Table:
    key = named(table, _IDS, which)
    columns = {"id": as_ids(table.column(key), f"{which}.{key}")}
    if titled and "title" in table.column_names:
        columns["title"] = as_text(table.column("title"), f"{which}.title")
    columns["text"] = as_text(column_of(table, "text", which), f"{which}.text")
    if vector is not None:
        columns["vector"] = as_vectors(column_of(table, vector, which), f"{which}.{vector}")
    return pa.table({**columns, **meta_columns(table, {key, "title", "text", vector or ""}, which)})


def _qrels(table: pa.Table) -> pa.Table:
    queries, documents, grade = named_columns(table.column_names, "qrels")
    grades = table.column(grade).to_pylist()
    return pa.table(
        {
            "query_id": as_ids(table.column(queries), f"qrels.{queries}"),
            "document_id": as_ids(table.column(documents), f"qrels.{documents}"),
            "grade": pa.array(
                [whole_grade(grade, f"qrels, row {row}") for row, grade in enumerate(grades, start=1)], pa.int32()
            ),
        }
    )


def _rows(table: pa.Table) -> Iterator[Mapping[str, Any]]:
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield from batch.to_pylist()
