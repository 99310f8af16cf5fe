"""The options of the store `weaviate`. Names are those of the Python client, in one flat list per part."""

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

# option: the index types and quantizers under which the server uses it; elsewhere it silently drops the option.
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
    """Build options. An option that is left out keeps the server's default, which the result shows."""

    type: Literal["hnsw", "flat", "dynamic", "hfresh", "ivf_pq"] = Field(
        "hnsw",
        description="Index of the vectors; dynamic goes from flat to hnsw as it grows, and ivf_pq stands for "
        "hfresh, the nearest that Weaviate has.",
    )
    quantizer: Quantizer | None = Field(
        None, description="How vectors are compressed; left out, not at all, and by rq in hfresh, which has no other."
    )
    bits: Literal[8, 1] | None = Field(
        None, description="Bits of a dimension's code under rq; left out, 8, and 1 in hfresh."
    )
    centering: bool | None = Field(
        None,
        description="Whether rq codes a vector's difference from the centre of the data; unknown up to server 1.38.",
    )
    segments: Positive | None = Field(
        None,
        description="Sub-vectors that pq gives a code each, a divisor of the dimension; left out, the server "
        "cuts vectors into pieces of 8, 6, 4, 2 or 1 dimensions, fewer for short vectors.",
    )
    centroids: Positive | None = Field(None, description="Codes that pq has for each segment; left out, 256.")
    encoder_type: Literal["kmeans", "tile"] | None = Field(
        None, description="How pq finds its codes; left out, kmeans."
    )
    encoder_distribution: Literal["log-normal", "normal"] | None = Field(
        None, description="Distribution that pq's tile encoder assumes; left out, log-normal."
    )
    training_limit: Positive | None = Field(
        None,
        description="Vectors that the quantizer is trained on; pq and sq compress nothing before there are as "
        "many; left out, 100,000.",
    )
    cache: bool | None = Field(None, description="Whether a flat index keeps its codes in memory; left out, no.")
    ef_construction: Positive | None = Field(
        None, description="Candidates looked at for each node while the graph is built, at least 4; left out, 128."
    )
    max_connections: Annotated[int, Field(ge=4)] | None = Field(
        None, description="Neighbours of a node in the graph, 4 to 2,047; left out, 32."
    )
    cleanup_interval_seconds: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Seconds between two clean-ups of deleted nodes, 0 for none; left out, 300."
    )
    vector_cache_max_objects: Positive | None = Field(
        None, description="Vectors that are kept in memory at most; left out, a million million."
    )
    threshold: Positive | None = Field(
        None, description="Objects from which a dynamic index is a graph; left out, 10,000."
    )
    flat_quantizer: Literal["none", "bq", "rq"] | None = Field(
        None, description="How a dynamic index compresses vectors while it is flat; left out, not at all."
    )
    max_posting_size_kb: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        None, description="KiB of one inverted list of hfresh at most, 8 to 1,024; left out, 48."
    )
    replicas: Positive | None = Field(
        None, description="Lists of hfresh that a vector may stand in, 1 to 10; left out, 4."
    )

    full_text: bool = Field(
        False, description="Whether the texts are kept and indexed, which the query modes text and hybrid need."
    )
    tokenization: (
        Literal["word", "lowercase", "whitespace", "field", "trigram", "gse", "gse_ch", "kagome_ja", "kagome_kr"] | None
    ) = Field(None, description="How texts become words in the full-text index; left out, word.")
    bm25_b: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="How much a document's length counts in BM25, 0 (not at all) to 1; left out, 0.75."
    )
    bm25_k1: Annotated[float, Field(ge=0)] | None = Field(
        None, description="How slowly repeated words saturate in BM25, from 0 on; left out, 1.2."
    )
    stopwords: Literal["en", "none"] | None = Field(
        None, description="Words that BM25 leaves out, English ones or none; left out, en."
    )
    range_filters: bool = Field(
        False, description="Whether numbers get an index of their own for the conditions gt, gte, lt and lte."
    )

    tenant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the tenant that all rows belong to; left out, a collection without tenants.",
    )
    shards: Positive | None = Field(None, description="Shards of the collection; left out, one for each node.")
    virtual_per_physical: Positive | None = Field(None, description="Virtual shards for each real one; left out, 128.")
    replication_factor: Positive | None = Field(None, description="Nodes that hold each row; left out, 1.")
    async_replication: bool | None = Field(
        None, description="Whether nodes compare their rows in the background; left out, no."
    )
    deletion_strategy: Literal["DeleteOnConflict", "NoAutomatedResolution", "TimeBasedResolution"] | None = Field(
        None,
        description="What counts where one node deleted a row that another still holds; left out, TimeBasedResolution.",
    )

    @field_validator("type", "quantizer", "flat_quantizer", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
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
        # Source: product_quantization.go gives the distribution to the tile encoder alone.
        self.refuse_idle("encoder_distribution", "encoder_type: tile", heeded=self.encoder_type == "tile")
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
    """Search options. An option that is left out has the value that the index was built with."""

    mode: Literal["vector", "text", "hybrid"] = Field(
        "vector", description="What is searched by; text and hybrid need index.full_text."
    )
    ef: Annotated[int, Field(ge=-1)] | None = Field(
        None,
        description="Candidates that a search keeps in the graph; -1 takes 8 times as many as are asked for, "
        "within bounds.",
    )
    dynamic_ef_min: Positive | None = Field(None, description="Fewest candidates where ef is -1; left out, 100.")
    dynamic_ef_max: Positive | None = Field(None, description="Most candidates where ef is -1; left out, 500.")
    dynamic_ef_factor: Positive | None = Field(
        None, description="Candidates for each document asked for where ef is -1; left out, 8."
    )
    filter_strategy: Literal["sweeping", "acorn"] | None = Field(
        None, description="How the graph is walked under a filter; left out, acorn."
    )
    flat_search_cutoff: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Rows that match a filter below which all of them are compared instead of the graph being "
        "walked; left out, 40,000.",
    )
    search_probe: Positive | None = Field(
        None, description="Inverted lists of hfresh that a search looks into; left out, 256."
    )
    rescore_limit: Annotated[int, Field(ge=-1)] | None = Field(
        None,
        description="Candidates that are scored again with the vectors themselves; left out, 20, in hfresh 350, "
        "under rq of 1 bit 512 and in a flat index as the server picks (-1).",
    )
    alpha: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Share of the vector's score in hybrid search, 0 (only text) to 1 (only vectors); left out, 0.75.",
    )
    fusion: Literal["relative_score", "ranked"] | None = Field(
        None, description="How hybrid search makes one ranking of two; left out, relative_score."
    )
    max_vector_distance: float | None = Field(
        None, description="Distance beyond which hybrid search drops what it found by vector; left out, no bound."
    )
    bm25_operator: Literal["or", "and"] | None = Field(
        None, description="Whether a document must hold all words of a query (and) or some (or); left out, or."
    )
    minimum_match: Positive | None = Field(
        None, description="Words of a query that a document must hold at least under or; left out, 1."
    )
    consistency: Literal["ONE", "QUORUM", "ALL"] | None = Field(
        None, description="Nodes that must answer a search on a replicated collection; left out, the server's default."
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for options, modes in ((_HYBRID, ("hybrid",)), (_TEXT, ("text", "hybrid"))):
            for option in options:
                if getattr(self, option) is not None and self.mode not in modes:
                    raise ValueError(f"{option} has no effect in mode {self.mode}; it needs mode {' or '.join(modes)}.")
        if self.ef is not None and self.ef > 0:
            for option in ("dynamic_ef_min", "dynamic_ef_max", "dynamic_ef_factor"):
                self.refuse_idle(option, "ef: -1", heeded=False)
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

    Every wait is bounded. Files of a server in Docker cannot be seen.
    """

    host: str = Field("localhost", description="Name of the server's machine.")
    port: Positive = Field(8080, description="Port of the server's REST interface.")
    url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Address of the server, such as https://host:8080, instead of host and port.",
    )
    cloud: str | None = Field(
        None, description="Address of a cluster on Weaviate Cloud, instead of host and port; it needs api_key_env."
    )
    grpc_host: str | None = Field(None, description="Machine of the gRPC interface; left out, that of REST.")
    grpc_port: Positive | None = Field(
        None, description="Port of the gRPC interface; left out, 50051, and 443 on Weaviate Cloud."
    )
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the server's key; a server of `make weaviate-up`, or one at "
        "the default address with WEAVIATE_API_KEY, needs none.",
    )
    connect_seconds: Annotated[float, Field(gt=0)] = Field(3, description="Seconds that connecting may take.")
    query_seconds: Annotated[float, Field(gt=0)] = Field(10, description="Seconds that a search may take.")
    insert_seconds: Annotated[float, Field(gt=0)] = Field(90, description="Seconds that inserting one batch may take.")
    stall_seconds: Annotated[float, Field(gt=0)] = Field(
        300, description="Seconds that the server's queue of vectors to index may stand still."
    )
    batch_size: Positive = Field(1000, description="Rows in one insert.")
    insert_threads: Positive = Field(2, description="Inserts under way at once.")
    search_threads: Positive = Field(
        4, description="Requests under way at once where several queries come in one call."
    )
    data_path: FilePath | tuple[FilePath, ...] | None = Field(
        None,
        description="Data folder of a server on this machine (its PERSISTENCE_DATA_PATH), or one for each node, "
        "to show bytes on disk; left out, known of a server of `make weaviate-up`.",
    )
    metrics_url: _Url | tuple[_Url, ...] | None = Field(
        None,
        description="Address of the server's Prometheus metrics, or one for each node, to show its memory; left "
        "out, known of a server of `make weaviate-up` or Docker's.",
    )

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

    @property
    def key_file(self) -> Path | None:
        """The file with the key of a server that the Makefile started at this address, where no variable is named."""
        started = None if self.api_key_env else self._running_here()
        return None if started is None else started.credentials_file

    def contacts(self, own_addresses: frozenset[str]) -> Sequence[Contact]:
        """The contacts: the server, its gRPC port and its metrics, with the variable whose key the first two get."""
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
