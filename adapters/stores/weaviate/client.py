"""The connection to a Weaviate server: every wait is bounded, the client's exceptions become the adapters' errors."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from adapters.base import AdapterError, AdapterRejected, AdapterTimeout, AdapterUnavailable, IndexMissing
from adapters.servers import weaviate as weaviate_server
from adapters.stores.weaviate.options import DEFAULT_KEY_ENV, WeaviateConnection

_T = TypeVar("_T")

# The client replaces the channel's own bound by the one that the server names.
_BOUNDED = {"maxResponseMessageBytes": 128 << 20}
# The client answers UNAVAILABLE with pauses of 1, 2, 4 … seconds (weaviate/retry.py), a minute in all, and no setting
# shortens them. A call that waits for the channel instead ends at the query's own deadline. Inserts go on failing at
# once: they have a long deadline, and are watched from outside.
_SERVICE = "weaviate.v1.Weaviate"
_CHANNEL = json.dumps(
    {
        "methodConfig": [
            {"name": [{"service": _SERVICE}], "waitForReady": True, **_BOUNDED},
            {"name": [{"service": _SERVICE, "method": "BatchObjects"}], "waitForReady": False, **_BOUNDED},
        ]
    }
)
CHANNEL_OPTIONS: list[tuple[str, Any]] = [("grpc.service_config", _CHANNEL)]
_WATCH_SECONDS = 0.5
_ANSWER_BYTES = 64 << 20  # even a schema of thousands of collections is smaller


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would be shown to whatever host it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


class ServerLink:
    """One server as the store sees it; safe to use from many threads."""

    def __init__(self, connection: WeaviateConnection) -> None:
        self.connection = connection
        self.address = connection.address
        self._client: Any = None
        self._lock = threading.Lock()
        self._version: str | None = None
        self._key: str | None = None
        # No proxy stands before a server on this machine, whatever the environment says.
        direct = [urllib.request.ProxyHandler({})] if connection.local else []
        self._opener = urllib.request.build_opener(_Stays, *direct)

    @property
    def key(self) -> str | None:
        """The key that the server is shown. It is looked for again while there is none, because the server may start
        later."""
        self._key = self._key or self.connection.key()
        return self._key

    @property
    def client(self) -> Any:
        """The connected client. Raises AdapterUnavailable, AdapterRejected."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        import weaviate
        from weaviate.auth import Auth
        from weaviate.config import AdditionalConfig, GrpcConfig, Timeout

        connection, rest = self.connection, urlsplit(self.address)
        secure = rest.scheme == "https"
        grpc_host, grpc_port = connection.grpc
        key = self.key
        self.get("/v1/meta")  # names the cause of a failure better than the client does
        self._shake_hands(grpc_host, grpc_port, secure=secure)
        with self.errors():
            return weaviate.connect_to_custom(
                http_host=rest.hostname or "",
                http_port=rest.port or (443 if secure else 80),
                http_secure=secure,
                grpc_host=grpc_host,
                grpc_port=grpc_port,
                grpc_secure=secure,
                auth_credentials=Auth.api_key(key) if key else None,
                additional_config=AdditionalConfig(
                    timeout=Timeout(
                        init=connection.connect_seconds,
                        query=connection.query_seconds,
                        insert=connection.insert_seconds,
                    ),
                    grpc_config=GrpcConfig(channel_options=CHANNEL_OPTIONS),
                ),
                # The checks ask the Python package index for the newest client on every connect.
                skip_init_checks=True,
            )

    def _shake_hands(self, host: str, port: int, *, secure: bool) -> None:
        """Raise AdapterUnavailable where no gRPC server listens. An open port alone may belong to any server, and every
        search would then time out."""
        import grpc

        seconds, target = self.connection.connect_seconds, f"{host}:{port}"
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            with (
                grpc.secure_channel(target, grpc.ssl_channel_credentials()) if secure else grpc.insecure_channel(target)
            ) as channel:
                grpc.channel_ready_future(channel).result(timeout=seconds)
        except (OSError, grpc.FutureTimeoutError) as error:
            cause = error if isinstance(error, OSError) else f"what listens there is no gRPC server, {seconds:g} s"
            raise AdapterUnavailable(
                f'Adapter "weaviate": {self.address} answers, but not its gRPC port {target} ({cause}). '
                "Set grpc_port, or open that port."
            ) from error

    def close(self) -> None:
        """Close the client; a later use connects again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __del__(self) -> None:
        self.close()  # the client warns when it is dropped while it is open

    def get(self, path: str, *, nearest: bool = False) -> Any:
        """The JSON that REST answers with, None for 404. Raises AdapterUnavailable, AdapterTimeout, AdapterRejected.

        nearest: ask this node alone and not the cluster's leader, which may be the node that died.
        """
        request = urllib.request.Request(self.address + path)
        if nearest:
            request.add_header("consistency", "false")
        if key := self.key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with self._opener.open(request, timeout=self.connection.query_seconds) as answer:
                return json.loads(_bounded(answer, self.address + path))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if target := error.headers.get("Location"):
                raise AdapterRejected(
                    f"{self.address}{path} sends on to {target}. Name the address where the server itself answers."
                ) from error
            raise self._refused(error.code, error.read(2000).decode("utf-8", "replace")) from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", error), TimeoutError):
                raise self._late(error) from error
            raise self._unreachable(error) from error
        except ValueError as error:
            raise AdapterRejected(
                f"{self.address}{path} answers, but not as a Weaviate server does: {error}"
            ) from error

    def metric(self, url: str, name: str) -> int:
        """A gauge of a server's Prometheus endpoint. Raises AdapterUnavailable, AdapterRejected."""
        try:
            with self._opener.open(url, timeout=max(self.connection.connect_seconds, 5)) as answer:
                text = _bounded(answer, url).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise AdapterUnavailable(
                f"No metrics at {url} ({error}). Start the server with PROMETHEUS_MONITORING_ENABLED=true, and name "
                "its endpoint in metrics_url."
            ) from error
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        # Any program's endpoint tells its process's figures; only a Weaviate server has metrics of its own name.
        if found is None or "\nweaviate_" not in text:
            raise AdapterRejected(
                f"{url} shows no {name} of a Weaviate server. Name the server's own endpoint in metrics_url."
            )
        return int(float(found[1]))

    @property
    def version(self) -> str:
        """The server's version. Raises AdapterUnavailable."""
        if self._version is None:
            meta = self.get("/v1/meta")
            if not isinstance(meta, dict) or "version" not in meta:
                raise AdapterRejected(f"{self.address} is no Weaviate server: /v1/meta names no version.")
            self._version = str(meta["version"])
        return self._version

    def alive(self) -> bool:
        """False only when nothing listens at the address: a busy server counts as alive."""
        try:
            with self._opener.open(f"{self.address}/v1/.well-known/live", timeout=2):
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            return isinstance(reason, TimeoutError)

    def watched(self, future: Future[_T]) -> _T:
        """The result of an insert in another thread, or AdapterUnavailable as soon as the server is gone."""
        while True:
            try:
                return future.result(timeout=_WATCH_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                if not self.alive():
                    raise self.gone() from None

    def gone(self) -> AdapterUnavailable:
        """The error for a server that was there."""
        return AdapterUnavailable(f"The Weaviate server at {self.address} went away. Start it again and run again.")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Map what the client raises inside."""
        try:
            yield
        except AdapterError:
            raise
        except Exception as error:
            if (mapped := self.mapped(error)) is None:
                raise
            raise mapped from error

    def mapped(self, error: Exception) -> AdapterError | None:
        """The adapters' error for one of the client's; None for anything else."""
        import httpx
        from weaviate import exceptions as ex

        if isinstance(error, ex.WeaviateTimeoutError | httpx.TimeoutException):
            return self._late(error)
        if isinstance(error, ex.AuthenticationFailedError | ex.InsufficientPermissionsError):
            return self._refused(401, str(error))
        if isinstance(error, ex.UnexpectedStatusCodeError):
            return self._refused(error.status_code, str(error.error or error))
        lost = (ex.WeaviateConnectionError, ex.WeaviateStartUpError, ex.WeaviateGRPCUnavailableError)
        if isinstance(error, (*lost, ex.WeaviateClosedClientError, ex.WeaviateRetryError, httpx.TransportError)):
            return self._unreachable(error)
        if not isinstance(error, ex.WeaviateBaseError):
            return None
        text = str(error)
        if re.search(r"deadline exceeded|timed? ?out", text, re.IGNORECASE):
            return self._late(error)
        if re.search(r"unavailable|failed to connect|socket closed|retries", text, re.IGNORECASE):
            return self.gone()
        if "could not find class" in text:
            return IndexMissing(f"The Weaviate server at {self.address} no longer holds the collection: {text}")
        if re.search(r"unauth|forbidden|permission", text, re.IGNORECASE):
            return self._refused(401, text)
        return AdapterRejected(f"The Weaviate server at {self.address} refused: {text}")

    def _late(self, error: Exception) -> AdapterError:
        if not self.alive():
            return self.gone()
        return AdapterTimeout(
            f"The Weaviate server at {self.address} gave no answer in time ({error}). Raise "
            "query_seconds or insert_seconds if it is only slow."
        )

    def _refused(self, status: int, text: str) -> AdapterRejected:
        if status in (401, 403):
            env = self.connection.api_key_env
            cure = (
                f"Check the key in {env}."
                if env
                else "It wants a key: put it into an environment variable and name that in api_key_env; of a server "
                f"at the default address {DEFAULT_KEY_ENV} needs no naming."
            )
            return AdapterRejected(f"The Weaviate server at {self.address} refused the key ({status}). {cure}")
        messages = re.findall(r"""['"]message['"]: ?['"](.*?)['"]\}""", text)
        return AdapterRejected(
            f"The Weaviate server at {self.address} refused ({status}): {'; '.join(messages) or text}"
        )

    def _unreachable(self, error: Exception) -> AdapterUnavailable:
        if self._client is not None:
            return self.gone()
        reason = getattr(error, "reason", error)
        local = weaviate_server.local_server().url
        if not self.connection.local:
            cure = "Check its address."
        elif not isinstance(reason, ConnectionRefusedError):
            cure = "Another program may listen there: check the port."
        elif weaviate_server.ready(local):
            cure = f"One answers at {local}: check the port."
        else:
            cure = weaviate_server.advice()
        return AdapterUnavailable(f'Adapter "weaviate" needs a server at {self.address} ({reason}). {cure}')


def _bounded(answer: Any, address: str) -> bytes:
    """The body of an answer. Raises AdapterRejected for one that is longer than any server's."""
    body: bytes = answer.read(_ANSWER_BYTES + 1)
    if len(body) > _ANSWER_BYTES:
        raise AdapterRejected(
            f"{address} answers with more than {_ANSWER_BYTES >> 20} MiB, as no Weaviate server does."
        )
    return body
