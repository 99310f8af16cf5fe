"""Searches a collection of a Weaviate server: by vector, by text or by both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.code.clients import ClientPart
from adapters.code.contract import Hit, RetrieverError, SearchEngine
from adapters.code.exchange import key_from

# A call waits for the channel, and so ends at its own deadline; the client would try again for a minute.
_WEAVIATE_CHANNEL = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "weaviate.v1.Weaviate"}],
                "waitForReady": True,
                "maxResponseMessageBytes": 128 << 20,
            }
        ]
    }
)
_WEAVIATE_SHARED = "UpdateVectorIndexConfigs"  # what the server says while another client changes the collection


class WeaviateSearch(ClientPart[Any, Any], SearchEngine):
    """Opens a collection at its first use, and checks that it is the one that was measured.

    http, grpc: host and port. key: environment variable of the server's key; key_needed: whether it must be set;
        key_file: JSON file with the key of a server that this machine started for itself, read where the variable is
        not set. rows: that the collection holds.
        settings: options of searches that the collection keeps; set as given where it has others. kind, codec: its
        index and quantizer. mode: vector, text or hybrid. added: what is added to minus the distance to make a score.
        filters: (property, operator, value), all of which must hold. hybrid: options of a hybrid search. text: whether
        hits carry the documents' texts.
    """

    def __init__(
        self,
        *,
        collection: str,
        http: Sequence[str | int],
        grpc: Sequence[str | int],
        secure: bool,
        key: str | None,
        key_needed: bool = True,
        key_file: Path | str | None = None,
        rows: int,
        settings: Mapping[str, Any],
        kind: str,
        codec: str,
        mode: str,
        added: float = 0.0,
        filters: Sequence[Sequence[Any]] = (),
        hybrid: Mapping[str, Any] | None = None,
        operator: str | None = None,
        minimum_match: int = 1,
        tenant: str | None = None,
        consistency: str | None = None,
        connect_seconds: float = 3,
        query_seconds: float = 10,
        text: bool = False,
    ) -> None:
        super().__init__()
        self._name = collection
        self._http = str(http[0]), int(http[1])
        self._grpc = str(grpc[0]), int(grpc[1])
        self._secure = secure
        self._key_variable = key
        self._key_needed = key_needed
        self._key_file = key_file
        self._rows = rows
        self._settings = dict(settings)
        self._kind = kind
        self._codec = codec
        self._mode = mode
        self._added = added
        self._filters = [tuple(each) for each in filters]
        self._hybrid = dict(hybrid or {})
        self._operator = operator, minimum_match
        self._tenant = tenant
        self._consistency = consistency
        self._seconds = connect_seconds, query_seconds
        self._properties = ["row", "text"] if text else ["row"]

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        if self._mode == "text" and not text.strip():
            return []
        collection = self._opened()
        method, arguments = self._request(text, vector, limit)
        with self._errors():
            found = getattr(collection.query, method)(**arguments)
        return self._hits(found.objects)

    async def asearch(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        if self._mode == "text" and not text.strip():
            return []
        collection = await self._each_loop.client()
        method, arguments = self._request(text, vector, limit)
        with self._errors():
            found = await getattr(collection.query, method)(**arguments)
        return self._hits(found.objects)

    def _made(self, closing: ExitStack) -> Any:
        """The collection, which is the one that was measured and is set as it was."""
        import weaviate

        address = self._address()
        with self._errors():
            client = weaviate.connect_to_custom(**address)
            closing.callback(client.close)
            self._check_there(client.collections.exists(self._name))
            collection = client.collections.use(self._name, skip_argument_validation=True)
            searched = self._searched(collection)
            self._check_rows(searched.aggregate.over_all(total_count=True).total_count)
            if self._settings and (changes := self._changes(collection.config.get())):
                collection.config.update(vector_config=self._reconfigured(changes))
        return searched

    async def _amade(self, closing: AsyncExitStack) -> Any:
        import weaviate

        client: Any = weaviate.use_async_with_custom(**self._address())
        closing.push_async_callback(client.close)
        with self._errors():
            await client.connect()
            self._check_there(await client.collections.exists(self._name))
            collection = client.collections.use(self._name, skip_argument_validation=True)
            searched = self._searched(collection)
            self._check_rows((await searched.aggregate.over_all(total_count=True)).total_count)
            if self._settings and (changes := self._changes(await collection.config.get())):
                await collection.config.update(vector_config=self._reconfigured(changes))
        return searched

    def _searched(self, collection: Any) -> Any:
        """The collection as searches use it."""
        from weaviate.classes.config import ConsistencyLevel

        if self._tenant is not None:
            collection = collection.with_tenant(self._tenant)
        if self._consistency is not None:
            collection = collection.with_consistency_level(ConsistencyLevel(self._consistency))
        return collection

    def _address(self) -> dict[str, Any]:
        from weaviate.auth import Auth
        from weaviate.config import AdditionalConfig, GrpcConfig, Timeout

        connect_seconds, query_seconds = self._seconds
        key = self._key()
        return {
            "http_host": self._http[0],
            "http_port": self._http[1],
            "http_secure": self._secure,
            "grpc_host": self._grpc[0],
            "grpc_port": self._grpc[1],
            "grpc_secure": self._secure,
            "auth_credentials": Auth.api_key(key) if key else None,
            "additional_config": AdditionalConfig(
                timeout=Timeout(init=connect_seconds, query=query_seconds),
                grpc_config=GrpcConfig(channel_options=[("grpc.service_config", _WEAVIATE_CHANNEL)]),
            ),
            "skip_init_checks": True,  # they ask the Python package index for a newer client on every connect
        }

    def _key(self) -> str | None:
        key = key_from(self._key_variable, f"The Weaviate server at {self._at}", needed=self._key_needed)
        if key is not None or self._key_file is None:
            return key
        try:
            return str(json.loads(Path(self._key_file).read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError):
            return None  # a server that wants a key says so

    @property
    def _at(self) -> str:
        return f"{'https' if self._secure else 'http'}://{self._http[0]}:{self._http[1]}"

    def _check_there(self, there: bool) -> None:
        if not there:
            raise RetrieverError(
                f"The Weaviate server at {self._at} has no collection {self._name}. Run the experiment again, which "
                "builds it anew, and have this file written again."
            )

    def _check_rows(self, held: int | None) -> None:
        if held != self._rows:
            raise RetrieverError(
                f"The collection {self._name} at {self._at} holds {held} rows; the one that was measured held "
                f"{self._rows}. Run the experiment again, which builds it anew, and have this file written again."
            )

    def _changes(self, config: Any) -> dict[str, Any]:
        """The settings that the collection has otherwise."""
        index = config.vector_config["default"].vector_index_config
        part = index.hnsw if self._kind == "dynamic" else index
        held: dict[str, Any] = {name: getattr(part, name, None) for name in self._settings}
        if "rescore_limit" in held:
            held["rescore_limit"] = getattr(part.quantizer, "rescore_limit", None)
        plain = {name: getattr(value, "value", value) for name, value in held.items()}
        return {name: value for name, value in self._settings.items() if plain[name] != value}

    def _reconfigured(self, changes: Mapping[str, Any]) -> Any:
        from weaviate.classes.config import Reconfigure, VectorFilterStrategy

        part: Any = Reconfigure.VectorIndex
        values = {name: value for name, value in changes.items() if name != "rescore_limit"}
        if "filter_strategy" in values:
            values["filter_strategy"] = VectorFilterStrategy(values["filter_strategy"])
        if "rescore_limit" in changes:
            values["quantizer"] = getattr(part.Quantizer, self._codec)(rescore_limit=changes["rescore_limit"])
        dynamic = self._kind == "dynamic"
        update = part.dynamic(hnsw=part.hnsw(**values)) if dynamic else getattr(part, self._kind)(**values)
        return Reconfigure.Vectors.update(vector_index_config=update)

    def _request(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> tuple[str, dict[str, Any]]:
        """The method of the client's query that searches, and its arguments."""
        from weaviate.classes.query import BM25Operator, HybridFusion, MetadataQuery

        common: dict[str, Any] = {
            "limit": limit,
            "filters": self._native_filter(),
            "return_properties": self._properties,
            "return_metadata": MetadataQuery(distance=self._mode == "vector", score=self._mode != "vector"),
        }
        if self._mode == "vector":
            return "near_vector", {"near_vector": vector, **common}
        kind, least = self._operator
        operator: Any = None
        if kind is not None:
            operator = BM25Operator.and_() if kind == "and" else BM25Operator.or_(minimum_match=least)
        if self._mode == "text":
            return "bm25", {"query": text, "query_properties": ["text"], "operator": operator, **common}
        hybrid = dict(self._hybrid)
        if "fusion_type" in hybrid:
            hybrid["fusion_type"] = HybridFusion[str(hybrid["fusion_type"])]
        searched = {"query": text, "vector": vector, "query_properties": ["text"], "bm25_operator": operator}
        return "hybrid", {**searched, **hybrid, **common}

    def _native_filter(self) -> Any:
        from weaviate.classes.query import Filter

        if not self._filters:
            return None
        made: list[Any] = [getattr(Filter.by_property(name), method)(value) for name, method, value in self._filters]
        return Filter.all_of(made)

    def _hits(self, objects: Sequence[Any]) -> list[Hit]:
        """Cosine distance is 1 - cosine, dot distance minus the product, l2 the squared distance."""
        vector = self._mode == "vector"
        return [
            Hit(
                int(held.properties["row"]),
                self._added - held.metadata.distance if vector else held.metadata.score,
                held.properties["text"] if "text" in self._properties else None,
            )
            for held in objects
        ]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell what the client raises inside as the retriever's error."""
        try:
            yield
        except Exception as error:
            if (told := self._told(error)) is None:
                raise
            raise told from error

    def _told(self, error: Exception) -> RetrieverError | None:
        import httpx
        from weaviate import exceptions

        said = str(error)
        lost = (exceptions.WeaviateConnectionError, exceptions.WeaviateStartUpError, httpx.TransportError)
        if isinstance(error, lost):
            return RetrieverError(f"The Weaviate server at {self._at} cannot be reached: {said}. Start it.")
        if not isinstance(error, exceptions.WeaviateBaseError):
            return None
        refused = isinstance(error, exceptions.AuthenticationFailedError | exceptions.InsufficientPermissionsError)
        if refused or getattr(error, "status_code", None) in (401, 403) or "unauth" in said.lower():
            where = f"in {self._key_variable}" if self._key_variable else "because this file names no variable of one"
            return RetrieverError(f"The Weaviate server at {self._at} refused the key {where}: {said}")
        if _WEAVIATE_SHARED in said:
            return RetrieverError(
                f"Another program changes the settings of the collection {self._name} at {self._at} now. Ask again."
            )
        return RetrieverError(
            f"The Weaviate server at {self._at} did not search the collection {self._name} (by gRPC at "
            f"{self._grpc[0]}:{self._grpc[1]}): {said}"
        )
