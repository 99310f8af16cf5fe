"""LanceDB, embedded: flat, IVF and HNSW indexes over vectors, full text, and the hybrid of both."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from adapters.base import (
    AdapterError,
    AdapterUnavailable,
    CodePiece,
    Consumes,
    Contact,
    EffectiveIndex,
    Filter,
    FolderOrUri,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    NotIndexed,
    Options,
    Place,
    Similarity,
    Store,
    Value,
)
from adapters.stores._fields import MetaFields
from adapters.stores._rows import folder_bytes
from adapters.stores.lancedb.errors import told
from adapters.stores.lancedb.options import LanceDbIndex, LanceDbQuery
from adapters.stores.lancedb.session import LanceDbSession, scored_by_codes, settings, vector_query
from adapters.stores.lancedb.table import batches_for, rows_for, where_clause
from adapters.versions import version

# Endings of the storage options that hold addresses.
_ADDRESSES = ("endpoint", "endpoint_url", "base_url", "authority", "host")
_ON_THIS_MACHINE = ("file://", "memory://", "file-object-store://")
_VECTOR_INDEX, _TEXT_INDEX = "vector_idx", "text_idx"
# "A good rule of thumb is to run optimize if you have added or modified 100,000 or more records or run more than 20
# data modification operations." Source: lancedb 0.40, Table.optimize. New rows are scanned until then.
_OPTIMIZE_ROWS, _OPTIMIZE_INSERTS = 100_000, 20


class LanceDbConnection(Options):
    """Where the tables are. Credentials come from the variables that the provider's own tools read. An address among
    the storage options gets them only where api_key_env names the variable, such as AWS_SECRET_ACCESS_KEY."""

    uri: FolderOrUri | None = Field(
        None,
        description="Folder of the tables, or an address such as s3://bucket/folder, gs:// or az://; left out, "
        "the cache.",
    )
    storage_options: dict[str, str] = Field(
        {}, description="Options of the object storage by name, such as endpoint or region."
    )
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable of the credentials that may go to an address among the storage options,"
        " such as AWS_SECRET_ACCESS_KEY.",
    )

    @field_validator("uri")
    @classmethod
    def _is_not_the_managed_service(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("db://"):
            raise ValueError("is LanceDB Cloud; give a folder or object storage")
        return value


class LanceDbStore(Store):
    """One table per index. k-means is unseeded in this engine: two builds of the same rows differ."""

    name = "lancedb"
    requires = ("lancedb", "lance")
    brought_by: ClassVar[Mapping[str, str]] = {"lance": "pylance"}
    scores_exact = False  # those of SQ, PQ and RQ are of codes unless refine_factor is set
    Index = LanceDbIndex
    Query = LanceDbQuery
    Connection = LanceDbConnection
    takes_rows = True
    returns_text = True

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # A handle sees what another handle wrote only after it looks at the storage: in every search
        # (read_consistency_interval), or never. Writes through the same handle, as in an application, are seen at once.
        self._handles: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._unoptimized: dict[str, tuple[int, int]] = {}  # by table, inserts and their rows

    @property
    def identity(self) -> Identity:
        versions = {"lancedb": version("lancedb"), "pylance": version("pylance")}
        return Identity("lancedb", "lancedb", settings={"layout": 1, **versions})

    @property
    def uses_text(self) -> bool:
        return self.index.text_options is not None

    @property
    def holds_text(self) -> bool:
        return self.uses_text

    def consumes(self, query: Any) -> frozenset[Consumes]:
        """Raises InvalidOptions for query options that this index has no use for."""
        query.check(self.index)
        needs: dict[str, frozenset[Consumes]] = {
            "vector": frozenset({"vector"}), "text": frozenset({"text"}), "hybrid": frozenset({"vector", "text"}),
        }  # fmt: skip
        return needs[query.mode]

    def plan(self, rows: int, dimension: int | None, similarity: Similarity | None) -> None:
        if dimension is not None:
            self.index.check_dimension(dimension)
        elif self.index.type != "none":
            raise InvalidOptions(
                f"Index type {self.index.type} needs vectors: give the system an encoder.", key="index.type"
            )
        elif not self.uses_text:
            raise InvalidOptions("Without vectors there is only full text: set index.full_text.", key="index.full_text")

    def shortcomings(self, rows: int, dimension: int | None) -> tuple[str, ...]:
        return () if dimension is None else self.index.shortcomings(rows, dimension)

    def contacts(self) -> Sequence[Contact]:
        uri, variable = self._uri or "", self.connection.api_key_env
        if "://" not in uri or uri.startswith(_ON_THIS_MACHINE):
            return ()
        if not self._addresses:
            return [Contact(uri, None, own=True)]
        return [Contact(each, variable, own=each in self.context.own_addresses) for each in self._addresses]

    @property
    def _addresses(self) -> list[str]:
        """The addresses among the storage options."""
        given = self.connection.storage_options.items()
        return [value for key, value in given if key.lower().endswith(_ADDRESSES)]

    def _refuse_to_draw_credentials(self) -> None:
        """The engine takes credentials from the environment by itself. Raises InvalidOptions where they would go to an
        address of the file and the file does not name them."""
        options = {key.lower().removeprefix("aws_"): value for key, value in self.connection.storage_options.items()}
        unsigned = options.get("skip_signature", "").lower() in ("true", "1")
        foreign = [each for each in self._addresses if each not in self.context.own_addresses]
        if foreign and not unsigned and self.connection.api_key_env is None:
            raise InvalidOptions(
                f"they name the address {foreign[0]}, and the credentials of the environment would go there. If they "
                "may, name the variable: api_key_env: AWS_SECRET_ACCESS_KEY. For storage that wants none, set "
                'skip_signature: "true".',
                key="storage_options",
            )

    def check(self) -> None:
        super().check()
        self._refuse_to_draw_credentials()
        if self.connection.uri is not None:
            with self._reached():
                self._connect("").list_tables()

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        self.plan(0, dimension, similarity)
        rows = batches_for(batches, dimension)
        with self._reached():
            database = self._connect(str(place.folder))
        self._handles.pop(place.name, None)
        try:
            table = database.create_table(place.name, rows.reader(), mode="overwrite")
        except Exception as error:
            # The engine reads in threads of its own, and wraps what the batches raised.
            if rows.failure is not None:
                raise rows.failure from None
            raise told(error, f"LanceDB could not write the table {place.name}") from error
        details: dict[str, Any] = {"fields": rows.fields.dump()}
        if table.count_rows():
            self._index(table, similarity, dimension)
            if self.index.type != "none":
                details["partitions"] = _partition_statistics(table)["num_partitions"]
        return details

    def _index(self, table: Any, similarity: Similarity, dimension: int | None) -> None:
        import lancedb.index

        try:
            if self.index.type != "none":
                table.create_index("vector", config=self.index.config(similarity), name=_VECTOR_INDEX)
                self._check_covered(table, _VECTOR_INDEX)
            if (options := self.index.text_options) is not None:
                table.create_index("text", config=lancedb.index.FTS(**options.arguments()), name=_TEXT_INDEX)
                self._check_covered(table, _TEXT_INDEX)
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise told(error, f"LanceDB could not build {self.index.type}", NotIndexed) from error

    def _check_covered(self, table: Any, name: str) -> Any:
        """The engine's statistics of an index that covers every row; NotIndexed otherwise."""
        rows, found = table.count_rows(), table.index_stats(name)
        if found is None or found.num_indexed_rows < rows or found.num_unindexed_rows:
            covered = 0 if found is None else found.num_indexed_rows
            cause = "Build it again."
            if name == _VECTOR_INDEX and rows < self.index.least_rows:
                cause = (
                    f"{self.index.type} needs at least {self.index.least_rows} rows to train its codes. Take more "
                    "documents or a type without PQ."
                )
            raise NotIndexed(f"LanceDB indexed {covered} of {rows} rows; the others would be scanned. {cause}")
        return found

    def open(self, ref: IndexRef) -> LanceDbSession:
        return LanceDbSession(ref, self._handle(ref), self.index)

    def _handle(self, ref: IndexRef) -> Any:
        """The handle of the table that all sessions of this store share."""
        with self._lock:
            table = self._handles.get(ref.name)
            if table is None:
                table = self._handles[ref.name] = self._table(ref)
            return table

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        table = self._handle(ref)
        inserts, rows = self._unoptimized.get(ref.name, (0, 0))
        inserts, rows = inserts + 1, rows + batch.num_rows
        try:
            table.add(rows_for(batch, table.schema, MetaFields.load(ref.details.get("fields"))))
            if inserts > _OPTIMIZE_INSERTS or rows >= _OPTIMIZE_ROWS:
                table.optimize()
                inserts, rows = 0, 0
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise told(error, f"LanceDB could not add {batch.num_rows:,} rows to the table {ref.name}") from error
        self._unoptimized[ref.name] = inserts, rows

    def _settle(self, ref: IndexRef) -> None:
        self._unoptimized.pop(ref.name, None)
        try:
            self._handle(ref).optimize()
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise told(error, f"LanceDB could not index what was added to {ref.name}", NotIndexed) from error

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        table = self._table(ref)
        rows = table.count_rows()
        size = self._bytes(ref, table)
        parameters: dict[str, Any] = {}
        if not rows:
            return EffectiveIndex("FLAT", 0, 0, flat=True, bytes=size)
        if self.uses_text:
            self._check_covered(table, _TEXT_INDEX)
            parameters["full_text"] = next(
                dict(index.index_details or {}) for index in table.list_indices() if index.name == _TEXT_INDEX
            )
        if self.index.type == "none":
            kind = "FTS" if ref.dimension is None else "FLAT"
            return EffectiveIndex(kind, rows, rows, flat=kind == "FLAT", bytes=size, parameters=parameters)
        found = self._check_covered(table, _VECTOR_INDEX)
        if found.distance_type != ref.similarity:
            raise NotIndexed(
                f"The index compares by {found.distance_type}, searches by {ref.similarity}: LanceDB would scan every "
                "vector. Build the index again."
            )
        plan = vector_query(table, np.ones(ref.dimension or 1, np.float32), ref.similarity, 1).explain_plan()
        if "ANNSubIndex" not in plan:
            raise NotIndexed(f"LanceDB's plan of a search does not use the index:\n{plan}")
        partitions = _partition_statistics(table)
        parameters |= _parameters(partitions)
        return EffectiveIndex(
            type=found.index_type,
            rows=rows,
            rows_indexed=found.num_indexed_rows,
            flat=False,
            bytes=size,
            parameters=parameters,
            adjusted=self._adjusted(parameters),
        )

    def _bytes(self, ref: IndexRef, table: Any) -> int:
        if self.connection.uri is None:
            return folder_bytes(Path(ref.folder))
        return int(table.stats()["total_bytes"]) + sum(index.size_bytes or 0 for index in table.list_indices())

    def _adjusted(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """What the engine built differently from what was asked."""
        least = "256 rows" if self.index.type.endswith("_PQ") else "a row"
        reasons = {"num_partitions": f" (LanceDB wants {least} in each)"}
        sentences = []
        for name, got in parameters.items():
            asked = getattr(self.index, name, None)
            if asked is not None and asked != got:
                sentences.append(f"{name} {asked} was asked for, {got} built{reasons.get(name, '')}.")
        return tuple(sentences)

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        fields = MetaFields.load(ref.details.get("fields")) if filter is not None else MetaFields.of(None)
        builder = CodePiece(
            "adapters.code.lancedb_builder",
            "LanceDbBuilder",
            {
                "table": ref.name,
                "similarity": str(ref.similarity),
                **self.index.build_arguments(),
                "fields": list(fields.shapes),
                "dated": list(fields.dated),
                "text": payload,
            },
            requires=("lancedb",),
        )
        built: dict[str, Value] = {"builder": builder, "argument": "place", "every_row": self.needs_every_row}
        return CodePiece("adapters.code.building", "BuiltPart", built)

    def export(
        self, ref: IndexRef, query: LanceDbQuery, *, filter: Filter | None = None, payload: bool = False
    ) -> CodePiece:
        query.check(self.index)
        where = None if filter is None else where_clause(filter, MetaFields.load(ref.details.get("fields")))
        arguments: dict[str, Value] = {
            "table": ref.name,
            "mode": query.mode,
            "similarity": str(ref.similarity),
            "settings": dict(settings(query, ref)),
            "bypass_vector_index": query.bypass_vector_index,
            "code_distances": scored_by_codes(query, self.index),
            "where": where,
            "text": payload,
        }
        if query.mode == "hybrid":
            arguments |= {"fuse": query.fuse, "constant": query.rrf_k if query.fuse == "rrf" else query.weight}
        files: dict[str, Path] = {}
        if (uri := self._uri) is None:
            files["place"] = Path(ref.folder)
        else:
            arguments |= {"place": uri, "storage_options": dict(self.connection.storage_options)}
        variable = self.connection.api_key_env
        return CodePiece(
            "adapters.code.lancedb_search",
            "LanceDbSearch",
            arguments,
            requires=("lancedb",),
            files=files,
            keys=() if variable is None else (variable,),
        )

    def _drop(self, ref: IndexRef) -> None:
        self._handles.pop(ref.name, None)
        self._unoptimized.pop(ref.name, None)
        if self.connection.uri is not None:
            with self._reached():
                self._connect(ref.folder).drop_table(ref.name, ignore_missing=True)

    def index_folder(self, ref: IndexRef) -> Path | None:
        uri = self._uri
        if uri is None:
            return Path(ref.folder)
        return None if "://" in uri else Path(uri) / f"{ref.name}.lance"

    @property
    def _uri(self) -> str | None:
        """Where the tables lie, if not in the cache; a relative folder starts at the experiment file."""
        uri = self.connection.uri
        return uri if uri is None or "://" in uri else str(self.context.path(uri))

    def _connect(self, folder: str) -> Any:
        import lancedb

        self._refuse_to_draw_credentials()
        return lancedb.connect(self._uri or folder, storage_options=self.connection.storage_options or None)

    def _table(self, ref: IndexRef) -> Any:
        with self._reached():
            try:
                return self._connect(ref.folder).open_table(ref.name)
            except ValueError as error:
                if "not found" not in str(error):
                    raise
                raise IndexMissing(
                    f"There is no table {ref.name} in {self._uri or ref.folder}: it has to be built again."
                ) from error

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Maps the engine's errors of reaching its storage."""
        try:
            yield
        except AdapterError:
            raise
        except (RuntimeError, ValueError, OSError) as error:
            raise AdapterUnavailable(
                f"LanceDB cannot reach {self._uri or 'its folder'}: {error}. Check connection.uri, "
                "storage_options and the credentials in the environment."
            ) from error


def _partition_statistics(table: Any) -> dict[str, Any]:
    # Otherwise pylance writes all centroids into the statistics.
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    statistics: dict[str, Any] = table.to_lance().stats.index_stats(_VECTOR_INDEX)["indices"][0]
    return statistics


def _parameters(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The build parameters in the words of the options, as the engine reports them."""
    inner = statistics["sub_index"]
    sizes = [partition["size"] for partition in statistics["partitions"]]
    parameters = {
        "num_partitions": statistics["num_partitions"],
        "smallest_partition": min(sizes),
        "largest_partition": max(sizes),
        "num_bits": inner.get("nbits", inner.get("num_bits")),
        "num_sub_vectors": inner.get("num_sub_vectors"),
        "m": inner.get("params", {}).get("m"),
        "ef_construction": inner.get("params", {}).get("ef_construction"),
    }
    return {name: value for name, value in parameters.items() if value is not None}
