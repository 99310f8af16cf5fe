"""Shared by Cohere's encoder, reranker and generator: the client, and the mapping of its errors. It uses only what
cohere 5.18 to 7 have in common.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from adapters.base import InvalidOptions
from adapters.service import MISSHAPEN, CallOptions, Service

T = TypeVar("T")

OWN_ADDRESS = "https://api.cohere.com"
KEY_ENV = "CO_API_KEY"  # the SDK reads it

# Source: docs.cohere.com/docs/deprecations, read in November 2026.
_RETIRED = re.compile(r"(embed|rerank)-(english|multilingual)(-light)?-v2\.0")
_GONE_SINCE = {"embed": "2026-04-04", "rerank": "2025-04-30"}
_INSTEAD = {"embed": "embed-v5.0-pro or embed-v5.0-fast", "rerank": "rerank-v5.0-pro or rerank-v5.0-fast"}


class Cohere(Service):
    """The service, with a client that is made at the first call."""

    def __init__(self, options: CallOptions, own_addresses: frozenset[str] = frozenset()) -> None:
        super().__init__(
            "Cohere",
            options,
            own_address=OWN_ADDRESS,
            address_env="CO_API_URL",
            key_env=KEY_ENV,
            own_addresses=own_addresses,
        )
        self._making = threading.Lock()
        self._clients: dict[bool, Any] = {}  # by whether they stream
        self._sdks: dict[bool, Any] = {}

    def ask(self, call: Callable[[Any, Mapping[str, Any]], T], *, streams: bool = False) -> T:
        """One try of a call, given the client and its request options. streams: whether answers are handed on as they
        come. Raises Retryable or an AdapterError."""
        import httpx
        import pydantic
        from cohere.core.api_error import ApiError

        seconds = self._options.timeout_seconds
        try:
            return call(self._made(streams), {"max_retries": 0, "timeout_in_seconds": seconds})
        except ApiError as error:
            raised = self._refused(error)
        except httpx.TimeoutException as error:
            raised = self.timed_out(seconds, error)
        except httpx.TransportError as error:
            raised = self.unreachable(error)
        except (pydantic.ValidationError, *MISSHAPEN) as error:
            # The SDK builds its typed models from any JSON, without checking it.
            raised = self.misshapen(f"not the promised form ({type(error).__name__})", error)
        except Exception as error:
            if type(error).__name__ != "ParsingError":  # of cohere.core, since 5.15
                raise
            raised = self.misshapen("not the promised form", error)
        raise raised from raised.__cause__

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _refused(self, error: Any) -> Exception:
        if error.status_code is None or error.status_code < 400:  # JSON that ends in the middle
            return self.malformed(f"no JSON (status {error.status_code})", error)
        body = error.body
        said = body.get("message", body) if isinstance(body, dict) else body
        return self.failed(error.status_code, said, headers=error.headers, error=error)

    def _made(self, streams: bool) -> Any:
        import cohere
        import httpx

        with self._making:
            if streams not in self._sdks:
                client = self._clients[streams] = self.client(httpx, streams=streams)
                # A user's own server may need no key, but the SDK always wants one.
                self._sdks[streams] = cohere.ClientV2(self.key or "none", base_url=self.url, httpx_client=client)
            return self._sdks[streams]


def check_not_retired(model: str) -> None:
    """Raise InvalidOptions for a model that Cohere has switched off."""
    if match := _RETIRED.fullmatch(model):
        kind = match[1]
        raise InvalidOptions(
            f"{model} was retired on {_GONE_SINCE[kind]}; requests with it fail. Use {_INSTEAD[kind]}.", key="model"
        )
