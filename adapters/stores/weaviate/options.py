"""What can be set on the store `weaviate`. Names are those of the Python client, in one flat list per part."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from adapters._scripts import Writing
from adapters.base import AdapterRejected, Contact, FilePath, InvalidOptions, Options, is_loopback
from adapters.servers.weaviate import Server, local_cluster, local_server
from adapters.service import without_credentials

Kind: TypeAlias = Literal["hnsw", "flat", "dynamic", "hfresh"]
Quantizer: TypeAlias = Literal["none", "pq", "bq", "sq", "rq"]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
_Url: TypeAlias = Annotated[str, Field(pattern=r"^https?://")]

TRAINED: frozenset[str] = frozenset({"pq", "sq"})
"""Quantizers that learn from the data: the server compresses only once it has seen enough of them."""

# option: (index types, quantizers) under which the server heeds it; anywhere else it would drop it in silence.
_ANY = ("none", "pq", "bq", "sq", "rq")
_INDEX_APPLIES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bits": (("hnsw", "flat", "dynamic", "hfresh"), ("rq",)),
    "centering": (("hnsw", "flat", "dynamic", "hfresh"), ("rq",)),
    "segments": (("hnsw", "dynamic"), ("pq",)),
    "centroids": (("hnsw", "dynamic"), ("pq",)),
    "encoder_type": (("hnsw", "dynamic"), ("pq",)),
    "encoder_distribution": (("hnsw", "dynamic"), ("pq",)),
    "training_limit": (("hnsw", "dynamic"), ("pq", "sq", "rq")),
    "cache": (("flat",), ("bq", "rq")),
    "flat_quantizer": (("dynamic",), _ANY),
    "threshold": (("dynamic",), _ANY),
    "ef_construction": (("hnsw", "dynamic"), _ANY),
    "max_connections": (("hnsw", "dynamic"), _ANY),
    "cleanup_interval_seconds": (("hnsw", "dynamic"), _ANY),
    "vector_cache_max_objects": (("hnsw", "flat", "dynamic"), _ANY),
    "max_posting_size_kb": (("hfresh",), _ANY),
    "replicas": (("hfresh",), _ANY),
}
_QUANTIZERS: Mapping[str, tuple[str, ...]] = {
    "hnsw": _ANY,
    "flat": ("none", "bq", "rq"),
    "dynamic": _ANY,
    "hfresh": ("rq",),
}


TOKENIZATIONS: Mapping[Writing, str] = {
    "Chinese": "gse_ch or trigram",
    "Japanese": "kagome_ja, gse or trigram",
    "Korean": "kagome_kr or trigram",
    "Thai, Lao, Khmer or Burmese": "trigram",
    "names like C++, R or 3.5": "whitespace",
}


class WeaviateIndex(Options):
    """Build options. What is left out keeps the server's default, which the result shows."""

    type: Literal["hnsw", "flat", "dynamic", "hfresh", "ivf_pq"] = "hnsw"
    quantizer: Quantizer | None = None  # none; hfresh has rq always
    bits: Literal[8, 1] | None = None
    centering: bool | None = None
    segments: Positive | None = None
    centroids: Positive | None = None
    encoder_type: Literal["kmeans", "tile"] | None = None
    encoder_distribution: Literal["log-normal", "normal"] | None = None
    training_limit: Positive | None = None
    cache: bool | None = None
    ef_construction: Positive | None = None
    max_connections: Annotated[int, Field(ge=4)] | None = None
    cleanup_interval_seconds: Annotated[int, Field(ge=0)] | None = None
    vector_cache_max_objects: Positive | None = None
    threshold: Positive | None = None
    flat_quantizer: Literal["none", "bq", "rq"] | None = None
    max_posting_size_kb: Annotated[int, Field(ge=8, le=1024)] | None = None
    replicas: Positive | None = None

    full_text: bool = False  # keep the texts and index them: needed by the query modes text and hybrid
    tokenization: Literal["word", "lowercase", "whitespace", "field", "trigram", "gse", "gse_ch", "kagome_ja",
                          "kagome_kr"] | None = None  # fmt: skip
    bm25_b: Annotated[float, Field(ge=0, le=1)] | None = None
    bm25_k1: Annotated[float, Field(ge=0)] | None = None
    stopwords: Literal["en", "none"] | None = None
    range_filters: bool = False  # an index of its own for gt, gte, lt, lte over numbers

    tenant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    shards: Positive | None = None
    virtual_per_physical: Positive | None = None
    replication_factor: Positive | None = None
    async_replication: bool | None = None
    deletion_strategy: (
        Literal["DeleteOnConflict", "NoAutomatedResolution", "TimeBasedResolution"] | None
    ) = None  # fmt: skip

    @field_validator("type", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("quantizer", "flat_quantizer", mode="before")
    @classmethod
    def _lower_quantizer(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        if self.codec not in _QUANTIZERS[self.kind]:
            allowed = ", ".join(_QUANTIZERS[self.kind])
            raise ValueError(f"quantizer {self.codec} does not go with type {self.type}, which takes: {allowed}.")
        for option, (kinds, codecs) in _INDEX_APPLIES.items():
            if getattr(self, option) is None:
                continue
            if self.kind not in kinds:
                raise ValueError(f"{option} has no effect on type {self.type}; it belongs to {', '.join(kinds)}.")
            if self.codec not in codecs:
                raise ValueError(f"{option} has no effect with quantizer {self.codec}; it needs {', '.join(codecs)}.")
        for option in ("tokenization", "bm25_b", "bm25_k1", "stopwords"):
            if getattr(self, option) is not None and not self.full_text:
                raise ValueError(f"{option} has no effect without full_text: true.")
        if self.tenant is not None and (self.shards is not None or self.virtual_per_physical is not None):
            raise ValueError("shards have no effect with a tenant: each tenant is one shard.")
        if self.kind == "hfresh" and self.bits == 8:
            raise ValueError("bits 8 does not go with hfresh, whose codes have 1 bit.")
        return self

    @property
    def kind(self) -> Kind:
        """The server's index type: `ivf_pq` resolves to hfresh."""
        return "hfresh" if self.type == "ivf_pq" else self.type

    @property
    def codec(self) -> Quantizer:
        """The quantizer in effect."""
        return self.quantizer or ("rq" if self.kind == "hfresh" else "none")


_GRAPH = ("ef", "dynamic_ef_min", "dynamic_ef_max", "dynamic_ef_factor", "filter_strategy", "flat_search_cutoff")
_TEXT = ("bm25_operator", "minimum_match")
_HYBRID = ("alpha", "fusion", "max_vector_distance")


class WeaviateQuery(Options):
    """Search options. What is left out has the value that the index was built with."""

    mode: Literal["vector", "text", "hybrid"] = "vector"
    ef: Annotated[int, Field(ge=-1)] | None = None
    dynamic_ef_min: Positive | None = None
    dynamic_ef_max: Positive | None = None
    dynamic_ef_factor: Positive | None = None
    filter_strategy: Literal["sweeping", "acorn"] | None = None
    flat_search_cutoff: Annotated[int, Field(ge=0)] | None = None
    search_probe: Positive | None = None
    rescore_limit: Annotated[int, Field(ge=-1)] | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None  # 0 only text, 1 only vectors
    fusion: Literal["relative_score", "ranked"] | None = None
    max_vector_distance: float | None = None
    bm25_operator: Literal["or", "and"] | None = None
    minimum_match: Positive | None = None
    consistency: Literal["ONE", "QUORUM", "ALL"] | None = None

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for options, modes in ((_HYBRID, ("hybrid",)), (_TEXT, ("text", "hybrid"))):
            for option in options:
                if getattr(self, option) is not None and self.mode not in modes:
                    raise ValueError(f"{option} has no effect in mode {self.mode}; it needs mode {' or '.join(modes)}.")
        if self.minimum_match is not None and self.bm25_operator == "and":
            raise ValueError("minimum_match has no effect with bm25_operator and.")
        return self

    def check(self, index: WeaviateIndex) -> None:
        """Raise InvalidOptions where the index cannot answer such a search."""
        if self.mode != "vector" and not index.full_text:
            raise InvalidOptions(
                f"Mode {self.mode} needs an index that holds the texts. Set index.full_text: true.", key="query.mode"
            )
        applies = dict.fromkeys(_GRAPH, index.kind in ("hnsw", "dynamic"))
        applies["search_probe"] = index.kind == "hfresh"
        applies["rescore_limit"] = index.codec in (("bq", "rq") if index.kind == "flat" else ("sq", "rq"))
        for option, heeded in applies.items():
            if getattr(self, option) is not None and not heeded:
                raise InvalidOptions(
                    f"{option} has no effect on a {index.kind} index with quantizer {index.codec}. Leave it out.",
                    key=f"query.{option}",
                )

    def kept_in_collection(self) -> dict[str, Any]:
        """The options that Weaviate keeps in the collection, by the client's names, where they are given."""
        names = (*_GRAPH, "search_probe", "rescore_limit")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


DEFAULT_KEY_ENV = "WEAVIATE_API_KEY"  # docker-compose.yml takes the key of its servers from it


class WeaviateConnection(Options):
    """How to reach the server: host and ports, or a url, or the cluster url of Weaviate Cloud.

    Keys come from the environment variable that api_key_env names; a server that `make weaviate-up` started, or one at
    the default address with WEAVIATE_API_KEY, needs no such name. Seconds bound every wait. data_path and metrics_url
    show bytes on disk and memory; of a cluster each names those of every node. At the address of servers that
    `make weaviate-up` or `weaviate-cluster-up` starts here they need not be given, nor metrics_url at that of Docker's,
    whose files cannot be seen.
    """

    host: str = "localhost"
    port: Positive = 8080
    url: str | None = Field(default=None, pattern=r"^https?://")
    cloud: str | None = None
    grpc_host: str | None = None  # that of the REST address
    grpc_port: Positive | None = None  # 50051; 443 in the cloud
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    connect_seconds: Annotated[float, Field(gt=0)] = 3
    query_seconds: Annotated[float, Field(gt=0)] = 10
    insert_seconds: Annotated[float, Field(gt=0)] = 90
    stall_seconds: Annotated[float, Field(gt=0)] = 300  # the index queue may stand still so long
    batch_size: Positive = 1000
    insert_threads: Positive = 2
    search_threads: Positive = 4  # for several queries in one call; one query is one request
    data_path: FilePath | tuple[FilePath, ...] | None = None  # PERSISTENCE_DATA_PATH of a server on this machine
    metrics_url: _Url | tuple[_Url, ...] | None = None

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        given = [name for name in ("url", "cloud") if getattr(self, name) is not None]
        if {"host", "port"} & self.model_fields_set:
            given.append("host")
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} name the server twice. Keep one.")
        rest = urlsplit(self.address)
        if self.grpc == (rest.hostname, rest.port):
            raise ValueError(f"grpc_port {self.grpc[1]} is the port of REST. The server has another one for gRPC.")
        if self.cloud is not None and self.api_key_env is None:
            raise ValueError("cloud needs api_key_env: the name of the environment variable that holds the key.")
        return self

    @property
    def address(self) -> str:
        """The REST address, without a slash at the end."""
        if self.cloud is not None:
            return "https://" + self.cloud.removeprefix("https://").rstrip("/")
        return (self.url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def grpc(self) -> tuple[str, int]:
        """Host and port of gRPC."""
        host = urlsplit(self.address).hostname or self.host
        if self.cloud is not None:
            return self.grpc_host or f"grpc-{host}", self.grpc_port or 443
        return self.grpc_host or host, self.grpc_port or 50051

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.address).hostname in ("localhost", "127.0.0.1", "::1")

    def resident_bytes(self) -> int | None:
        """Memory of the servers that the Makefile started at this address, None where it started none."""
        each = [server.resident_bytes() for server in self._started_here()]
        known = [size for size in each if size is not None]
        return sum(known) if known else None

    @property
    def metrics_urls(self) -> tuple[str, ...]:
        """The metrics endpoint of each node, none where they are not known."""
        return _several(self.metrics_url) or tuple(server.metrics_url for server in self._started_here())

    @property
    def data_paths(self) -> tuple[Path, ...]:
        """The data folder of each node, none where they are not known."""
        if (given := self.data_path) is not None:
            return (given,) if isinstance(given, Path) else given
        servers = self._started_here()
        # A server in Docker has the same address and its files elsewhere: these may be left from another day.
        return tuple(server.data_path for server in servers) if all(server.pid() for server in servers) else ()

    def _started_here(self) -> Sequence[Server]:
        """The servers that the Makefile or Docker starts at this address."""
        for servers in ([local_server()], local_cluster()):
            if self.local and urlsplit(self.address).port in {server.ports.http for server in servers}:
                return servers
        return ()

    def key(self) -> str | None:
        """The API key: that of `api_key_env`, of the server that the Makefile started at this address, or, where the
        file names no address, of WEAVIATE_API_KEY. Raises AdapterRejected when the variable it names is not set."""
        if self.api_key_env is not None:
            if not (key := os.environ.get(self.api_key_env)):
                raise AdapterRejected(
                    f'Adapter "weaviate" takes its key from the environment variable {self.api_key_env}, which is not '
                    f"set. Set it: export {self.api_key_env}=…"
                )
            return key
        started = self._running_here()
        if started is not None:
            return started.key
        return os.environ.get(DEFAULT_KEY_ENV) if not self._named else None

    def contacts(self, own_addresses: frozenset[str]) -> Sequence[Contact]:
        """The server, its gRPC port and its metrics, and the variable whose key the first two are shown."""
        started = self._running_here() is not None
        variable = self.api_key_env or (DEFAULT_KEY_ENV if not self._named and not started else None)
        named = {str(getattr(self, name)) for name in self._named}
        own = (started and self.api_key_env is None) or named <= own_addresses
        found = [Contact(without_credentials(self.address), variable, own)]
        if self.grpc[0] != urlsplit(self.address).hostname:
            found.append(Contact(f"grpc://{self.grpc[0]}:{self.grpc[1]}", variable, own))
        return [*found, *(Contact(url, None, url in own_addresses) for url in _several(self.metrics_url))]

    @property
    def _named(self) -> frozenset[str]:
        """The options that say where the server is, as far as they are given."""
        return frozenset({"host", "port", "url", "cloud", "grpc_host", "grpc_port"} & self.model_fields_set)

    def _running_here(self) -> Server | None:
        """A server that the Makefile started at this address and that runs; None where gRPC goes elsewhere."""
        if not is_loopback(self.grpc[0]):
            return None
        return next((server for server in self._started_here() if server.pid() is not None), None)


def _several(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given or ()
