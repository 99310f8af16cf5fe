"""Shared by the adapters of OpenAI's interface: the client, and the mapping of its errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, TypeVar

from adapters.answers import LARGEST
from adapters.base import AdapterError
from adapters.service import MISSHAPEN, CallOptions, Service, quota_exhausted

T = TypeVar("T")

OWN_ADDRESS = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"  # the SDK reads it


class OpenAI(Service):
    """The service, or one with its interface; clients are made at the first call.

    own: whether it is a server of the user's own, whose work nobody bills.
    """

    def __init__(self, options: CallOptions, own_addresses: frozenset[str] = frozenset()) -> None:
        super().__init__(
            "OpenAI",
            options,
            own_address=OWN_ADDRESS,
            address_env="OPENAI_BASE_URL",
            key_env=KEY_ENV,
            own_addresses=own_addresses,
        )
        self.own = options.base_url is not None and options.api_key_env is None and self.address is not None
        self._options = options
        self._making = threading.Lock()
        self._clients: dict[bool, Any] = {}  # by whether they stream

    def ask(self, path: str, body: Mapping[str, Any], *, largest: int = LARGEST) -> Any:
        """The JSON of an answer. largest: bytes of it, the same at every call. Raises Retryable or an AdapterError."""

        # The client's general call: the typed one spends more time on its models than on the rest of a call.
        def posted() -> Any:
            return self._made(largest).post(path, cast_to=object, body=body, options=self._limits())

        content = self._mapped(posted)
        if isinstance(content, str):  # what the SDK gives where the answer says that it is no JSON
            raise self.misshapen("a text")
        return content

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """The JSON of each event of a streamed answer, as it comes. Raises Retryable or an AdapterError."""
        import openai

        def opened() -> Any:
            return self._made(LARGEST, streams=True).post(
                path,
                cast_to=object,
                body=body,
                options=self._limits(),
                stream=True,
                stream_cls=openai.Stream[object],
            )

        with closing(self._mapped(opened)) as events:
            while True:
                try:
                    yield self._mapped(lambda: next(events))
                except StopIteration:
                    return

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _limits(self) -> dict[str, Any]:
        return {"timeout": self._options.timeout_seconds}

    def _mapped(self, call: Callable[[], T]) -> T:
        """What a call gives. Raises Retryable or an AdapterError instead of the SDK's errors."""
        import openai

        try:
            return call()
        except StopIteration:
            raise
        except openai.APITimeoutError as error:
            raised: Exception = self.timed_out(self._options.timeout_seconds, error)
        except openai.APIConnectionError as error:
            raised = self.unreachable(error)
        except openai.APIStatusError as error:
            raised = self._refused(error)
        except openai.APIError as error:
            body = error.body if isinstance(error.body, dict) else None
            # An event of a stream can say that the service failed after it began to answer.
            raised = self.broke_off(body.get("message")) if body else self.malformed("no JSON", error)
        except RecursionError as error:
            raised = self.misshapen("brackets in brackets without end", error)
        except MISSHAPEN as error:
            raised = self.malformed(f"no JSON ({type(error).__name__})", error)
        raise raised from raised.__cause__

    def _refused(self, error: Any) -> Exception:
        said = error.body.get("message", error.message) if isinstance(error.body, dict) else error.message
        return self.failed(
            error.status_code,
            said,
            headers=dict(error.response.headers),
            error=error,
            exhausted=quota_exhausted(error.body),
        )

    def _made(self, largest: int, *, streams: bool = False) -> Any:
        import httpx2  # what the SDK speaks HTTP with
        import openai

        with self._making:
            if streams not in self._clients:
                try:
                    client = openai.OpenAI(
                        # A server of one's own may do without a key; the SDK may not.
                        api_key=self.key or "none",
                        base_url=self.url,
                        max_retries=0,
                        http_client=self.client(httpx2, largest=largest, streams=streams),
                    )
                except openai.OpenAIError as error:
                    raise AdapterError(self.scrubbed(error)) from self.showable(error)
                if self.named_by_file:
                    # The SDK takes these from the environment, and no file may draw them to an address of its own:
                    # OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_ADMIN_KEY, OPENAI_CUSTOM_HEADERS.
                    client.organization = client.project = client.admin_api_key = None
                    client._custom_headers = {}
                self._clients[streams] = client
            return self._clients[streams]
