"""Weaviate as a store: its vector indexes, BM25 and hybrid search, on one server or a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pyarrow as pa

from adapters.base import (
    AdapterRejected,
    AdapterUnavailable,
    CodePiece,
    Consumes,
    Contact,
    Context,
    EffectiveIndex,
    Filter,
    Floats,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    NotIndexed,
    Place,
    Rows,
    Similarity,
    Store,
    Value,
    asks_others,
)
from adapters.base.processes import is_this_machine, listeners, named
from adapters.servers import weaviate as weaviate_server
from adapters.stores._fields import MetaFields
from adapters.stores._rows import folder_bytes
from adapters.stores.weaviate.client import ServerLink
from adapters.stores.weaviate.collection import Collection, build, insert, settle, stored_vectors
from adapters.stores.weaviate.fields import check_columns, conditions
from adapters.stores.weaviate.options import DEFAULT_KEY_ENV, WeaviateConnection, WeaviateIndex, WeaviateQuery
from adapters.stores.weaviate.schema import Mark, class_definition, class_name, differences, vector_config
from adapters.stores.weaviate.session import WeaviateSession, search_arguments

_MINIMUM = {"hfresh": (1, 36), "rq": (1, 32), "dynamic": (1, 25)}  # server versions


class WeaviateStore(Store):
    """Collections are named by the content's hash and reused where they hold exactly that content.

    Ingest is `insert_many` of 1,000 objects from two threads: on 20,000 × 384 floats and two cores it took 1.7 to
    1.9 s, the client's `batch.dynamic` 2.5 to 3.1 s, `batch.fixed_size(1000, 2)` 2.5 s, `batch.stream` 3.4 s; it also
    tells at once which objects were rejected.

    Searches come from threads, one client for all: against a server of known pause they added 2.5 to 3.3 ms to the
    median where the asynchronous client added 2.5 to 4.6, until one process was too busy, which more processes cure
    better than an event loop does (`python -P -m tests.perf.clients`, bench/latency/processes.py). One way to call
    serves every store and every stage.
    """

    name = "weaviate"
    requires = ("weaviate",)
    further_key_envs: ClassVar[tuple[str, ...]] = (DEFAULT_KEY_ENV,)
    brought_by: ClassVar[Mapping[str, str]] = {"weaviate": "weaviate-client"}
    extra = "weaviate"
    Index = WeaviateIndex
    Query = WeaviateQuery
    Connection = WeaviateConnection
    embedded = False
    keeps_settings = True
    takes_rows = True
    returns_text = True

    def __init__(self, index: WeaviateIndex, connection: WeaviateConnection, context: Context = Context()) -> None:
        super().__init__(index, connection, context)
        self._link = ServerLink(connection)
        self._verified: set[str] = set()

    @classmethod
    def server_advice(cls) -> str:
        return f"Weaviate server: {weaviate_server.advice()}"

    def consumes(self, query: Any) -> frozenset[Consumes]:
        query.check(self.index)
        needs: Mapping[str, frozenset[Consumes]] = {
            "vector": frozenset({"vector"}),
            "text": frozenset({"text"}),
            "hybrid": frozenset({"vector", "text"}),
        }
        return needs[query.mode]

    @property
    def uses_text(self) -> bool:
        return bool(self.index.full_text)

    @property
    def holds_text(self) -> bool:
        return self.uses_text

    @property
    def identity(self) -> Identity:
        """The server's version is part of it: another version may build another index and answer at another speed."""
        try:
            left_alone = self.context.alone and asks_others(self.contacts())
            version = "unknown" if left_alone else self._link.version
        except (AdapterUnavailable, AdapterRejected):
            version = "unknown"  # `check` tells why, before anything is built
        return Identity("weaviate", "weaviate", settings={"server_version": version, "layout": 1})

    def contacts(self) -> Sequence[Contact]:
        found: Sequence[Contact] = self.connection.contacts(self.context.own_addresses)
        return found

    def check(self) -> None:
        super().check()
        version = self._link.version
        have = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
        for feature in (self.index.kind, self.index.codec):
            if have < (least := _MINIMUM.get(feature, (0, 0))):
                raise AdapterRejected(
                    f"The server at {self._link.address} is Weaviate {version}; {feature} needs "
                    f"{'.'.join(map(str, least))} or newer. Upgrade it or choose another index."
                )
        _ = self._link.client  # the key and the gRPC port

    def plan(self, rows: int, dimension: int | None, similarity: Similarity | None) -> None:
        if dimension is None and not self.index.full_text:
            raise InvalidOptions(
                "The system has no encoder and the index holds no text. Set index.full_text: true, or name an encoder.",
                key="index.full_text",
            )
        if self.index.kind == "hfresh" and similarity is Similarity.DOT:
            raise InvalidOptions(
                "hfresh searches by cosine or l2, and this encoder's vectors are compared by dot product. Use hnsw.",
                key="index.type",
            )
        if dimension is not None and self.index.segments is not None and dimension % self.index.segments:
            raise InvalidOptions(
                f"segments {self.index.segments} does not divide the dimension {dimension}.", key="index.segments"
            )

    def shortcomings(self, rows: int, dimension: int | None) -> tuple[str, ...]:
        index = self.index
        if dimension is None or index.codec != "pq" or index.segments is not None or dimension % 2 == 0:
            return ()
        # Source: CalculateOptimalSegments in Weaviate's vector/common/vector_util.go.
        return (
            f"pq keeps a code for each of the {dimension} dimensions where index.segments is not given: it saves no "
            "more than sq or rq does. Set index.segments to a divisor, or take rq.",
        )

    def check_columns(self, columns: pa.Table) -> None:
        check_columns(columns)

    def note(self) -> str | None:
        if self.index.type != "ivf_pq":
            return None
        return (
            "ivf_pq on Weaviate is hfresh, the nearest it has: inverted lists behind a graph of centroids, 1-bit "
            "rotational codes instead of product quantization, rescored with the full vectors."
        )

    def close(self) -> None:
        self._link.close()

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        """details: build_seconds is what building the collection took, also when it is reused now."""
        self.plan(0, dimension, similarity)
        built = build(self._at(place.name), place.name, batches, similarity=similarity, dimension=dimension)
        return {
            "fields": built.fields.dump(),
            "settings": dict(built.settings),
            "build_seconds": built.seconds,
            "reused": built.reused,
        }

    def built_earlier(self, ref: IndexRef) -> float | None:
        return float(ref.details["build_seconds"]) if ref.details.get("reused") else None

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        """An asynchronous server accepts rows before their vectors are in the index."""
        insert(self._at(ref.name), MetaFields.load(ref.details["fields"]), batch)

    def _settle(self, ref: IndexRef) -> None:
        collection = self._at(ref.name)
        settle(collection, ref.rows)
        if (mark := Mark.read(collection.schema().get("description"))) is not None:
            with self._link.errors():
                collection.whole.config.update(description=replace(mark, rows=ref.rows).write())

    def _at(self, origin: str) -> Collection:
        return Collection(self._link, class_name(origin), self.index)

    def open(self, ref: IndexRef) -> WeaviateSession:
        collection = self._at(ref.name)
        # A count needs every node and times out when one is down: once is enough, later sessions ask for the class.
        if collection.name in self._verified:
            collection.schema(nearest=True)
        else:
            self._verify(collection, ref)
            self._verified.add(collection.name)
        return WeaviateSession(ref, collection)

    def _verify(self, collection: Collection, ref: IndexRef) -> Mapping[str, Any]:
        schema = collection.schema()
        mark = Mark.read(schema.get("description"))
        if mark is not None and mark.seconds not in (None, ref.details.get("build_seconds", mark.seconds)):
            raise IndexMissing(
                f"Collection {collection.name} on {self._link.address} was built anew by another run; what it finds "
                "has to be asked again."
            )
        if ref.rows and (held := collection.count()) != ref.rows:
            raise IndexMissing(
                f"Collection {collection.name} on {self._link.address} holds {held} rows, the index was built of "
                f"{ref.rows}; it has to be built again."
            )
        return schema

    def stored_vectors(self, ref: IndexRef, rows: Rows) -> Floats:
        collection = self._at(ref.name)
        collection.schema()  # of a collection that is gone the server says that it holds none of the objects
        return stored_vectors(collection, rows, ref.dimension or 0)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        collection = self._at(ref.name)
        schema = self._verify(collection, ref)
        config, shards = vector_config(schema), collection.shards()
        vectors, codec = ref.dimension is not None, self.index.codec
        if vectors and ref.rows and codec != "none" and not collection.compressed():
            raise collection.untrained(ref.rows, config)
        asked = class_definition(
            collection.name,
            self.index,
            MetaFields.load(ref.details["fields"]),
            ref.similarity,
            vectors=vectors,
            mark="",
            trained=bool(ref.rows),
        )
        if vectors and config.get("distance") != vector_config(asked)["distance"]:
            raise NotIndexed(
                f"Collection {collection.name} compares by {config.get('distance')}, not by {ref.similarity}."
            )
        copies = int(schema.get("replicationConfig", {}).get("factor") or 1)
        queue = sum(int(shard.vector_queue_length) for shard in shards)
        return EffectiveIndex(
            type=self._type if vectors else "inverted",
            rows=ref.rows,
            rows_indexed=ref.rows - queue,
            flat=vectors and self._type == "flat",
            bytes=self._bytes(collection.name, {shard.name for shard in shards}, copies),
            parameters={
                "server_version": self._link.version,
                "quantizer": codec if vectors else None,
                "vector_index": {key: value for key, value in config.items() if not _switched_off(value)},
                "text": self.index.full_text,
                "shards": len({shard.name for shard in shards}),
                "nodes": sorted({shard.node for shard in shards}),
                "replication_factor": copies,
            },
            adjusted=tuple(differences(asked, schema)),
        )

    @property
    def _type(self) -> str:
        kind, codec = self.index.kind, self.index.codec
        return kind if kind == "hfresh" or codec == "none" else f"{kind}+{codec}"

    def _bytes(self, name: str, shards: Set[str], copies: int) -> int | None:
        """Size on disk of all copies of all shards; None unless every one lies in a folder that is known."""
        folders = [self.context.path(path) / name.lower() for path in self.connection.data_paths]
        found = sum((folder / shard).is_dir() for folder in folders for shard in shards)
        return sum(map(folder_bytes, folders)) if found == len(shards) * copies else None

    def _drop(self, ref: IndexRef) -> None:
        collection = self._at(ref.name)
        self._verified.discard(collection.name)
        schema = collection.find()
        if schema is None:
            return
        if Mark.read(schema.get("description")) is None:
            raise collection.other_data("this harness did not make it")
        collection.delete()

    def export(
        self, ref: IndexRef, query: WeaviateQuery, *, filter: Filter | None = None, payload: bool = False
    ) -> CodePiece:
        query.check(self.index)
        address, connection = urlsplit(self._link.address), self.connection
        secure = address.scheme == "https"
        file = connection.key_file
        variable = self.contacts()[0].variable if file is None else DEFAULT_KEY_ENV
        arguments: dict[str, Value] = {
            "collection": class_name(ref.name),
            "http": [address.hostname or "", address.port or (443 if secure else 80)],
            "grpc": list(connection.grpc),
            "secure": secure,
            "key": variable,
            "key_needed": connection.api_key_env is not None,
            "key_file": None if file is None else str(file),
            "rows": ref.rows,
            "settings": {**(ref.details["settings"] or {}), **query.kept_in_collection()},
            "kind": self.index.kind,
            "codec": self.index.codec,
            "filters": [] if filter is None else conditions(filter, MetaFields.load(ref.details["fields"])),
            "tenant": self.index.tenant,
            "connect_seconds": connection.connect_seconds,
            "query_seconds": connection.query_seconds,
            "text": payload,
            **search_arguments(query, ref.similarity),
        }
        return CodePiece(
            "adapters.code.weaviate_search",
            "WeaviateSearch",
            arguments,
            requires=("weaviate-client",),
            keys=() if variable is None else (variable,),
        )

    def server_processes(self) -> tuple[int, ...] | None:
        """On this machine all processes of that name: the other nodes of a cluster listen at other ports. None behind
        a container's port, where another program listens."""
        address = urlsplit(self._link.address)
        if not is_this_machine(address.hostname or ""):
            return ()
        servers = named("weaviate")
        return servers if set(listeners(address.port or 80)) & set(servers) else None

    def server_memory(self) -> int | None:
        """Resident bytes of the server process, of all nodes of a cluster: of servers started here as the system tells
        them, of others from their metrics endpoints."""
        held: int | None = self.connection.resident_bytes()
        if self.connection.metrics_url is None and held is not None:
            return held
        urls = self.connection.metrics_urls
        if not urls:
            return None
        if (nodes := len(self.health())) != len(urls):
            raise AdapterRejected(
                f"The cluster at {self._link.address} has {nodes} nodes, and metrics_url names {len(urls)} "
                "endpoints. Name that of every node."
            )
        return sum(self._link.metric(url, "process_resident_memory_bytes") for url in urls)

    def health(self) -> tuple[str, ...]:
        """The cluster's nodes with their state."""
        answer = self._link.get("/v1/nodes") or {}
        return tuple(f"{node['name']} {node.get('status')}" for node in answer.get("nodes", ()))


def _switched_off(part: Any) -> bool:
    """Whether it is a quantizer, or another part of the config, that is not in use."""
    return isinstance(part, Mapping) and part.get("enabled") is False
