"""Any server that speaks the rerank interface of Cohere and Jina: vLLM, Infinity, Jina, LiteLLM and others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from ..base import Context, Floats, Identity, InvalidOptions, Usage
from ..service import CallOptions, Service, quota_exhausted
from ._managed import ManagedReranker, scores_in_order


class RerankApiOptions(CallOptions):
    """base_url: where the server is. path: of the call below it. model: as the server names it. api_key_env: where
    the server wants a key; it is sent as a bearer token."""

    base_url: str = Field(pattern=r"^https?://")
    model: str
    path: str = Field("/v1/rerank", pattern=r"^/")
    documents_per_request: int = Field(1000, ge=1, le=10_000)


class RerankApiReranker(ManagedReranker):
    """Posts {model, query, documents} and reads {results: [{index, relevance_score}]}."""

    name: ClassVar[str] = "rerank_api"
    requires: ClassVar[tuple[str, ...]] = ("httpx",)
    Options = RerankApiOptions

    def __init__(self, options: RerankApiOptions, context: Context = Context()) -> None:
        self.service = Service("The rerank server", options, own_address=None, address_env=None, key_env=None)
        super().__init__(options, context)
        self.bills = options.api_key_env is not None  # a server without a key is one's own
        self._making = threading.Lock()
        self._client: Any = None

    def check(self) -> None:
        if self.options.api_key_env is not None and self.service.key is None:
            raise InvalidOptions(
                f"the variable {self.options.api_key_env} is not set. Set it: export {self.options.api_key_env}=…",
                key="api_key_env",
            )
        super().check()

    @property
    def identity(self) -> Identity:
        return Identity("rerank_api", self.options.model, f"{self.service.url_shown}{self.options.path}")

    def close(self) -> None:
        super().close()
        if self._client is not None:
            self._client.close()

    def _send(self, query: str, documents: Sequence[str]) -> tuple[Floats, Usage]:
        import httpx

        seconds = self.options.timeout_seconds
        raised: Exception
        body = {"model": self.options.model, "query": query, "documents": list(documents)}
        try:
            answer = self._made().post(f"{self.service.url}{self.options.path}", json=body)
            answer.raise_for_status()
            content = answer.json()
            found = [(item["index"], _score(item)) for item in content["results"]]
            return scores_in_order(self.service, found, len(documents)), _billed(content)
        except httpx.HTTPStatusError as error:
            raised = self._refused(error)
        except httpx.TimeoutException as error:
            raised = self.service.timed_out(seconds, error)
        except httpx.TransportError as error:
            raised = self.service.unreachable(error)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raised = self.service.malformed(f"not the promised form ({type(error).__name__})", error)
        raise raised from raised.__cause__

    def _refused(self, error: Any) -> Exception:
        answer = error.response
        try:
            content = answer.json()
        except ValueError:
            content = None
        return self.service.failed(
            answer.status_code,
            answer.text,
            headers=dict(answer.headers),
            error=error,
            exhausted=quota_exhausted(content),
        )

    def _made(self) -> Any:
        import httpx

        with self._making:
            if self._client is None:
                key, count = self.service.key, self.options.concurrency
                self._client = httpx.Client(
                    headers={"Authorization": f"Bearer {key}"} if key else {},
                    timeout=self.options.timeout_seconds,
                    limits=httpx.Limits(max_connections=count, max_keepalive_connections=count),
                    event_hooks=self.service.hooks(httpx),
                )
        return self._client


def _score(item: Mapping[str, Any]) -> Any:
    """`relevance_score` by Cohere and Jina, `score` by some that follow them."""
    return item["relevance_score"] if "relevance_score" in item else item["score"]


def _billed(content: Mapping[str, Any]) -> Usage:
    """What the answer says: Cohere's meta.billed_units, or Jina's usage.total_tokens."""
    units = (content.get("meta") or {}).get("billed_units") or {}
    usage = content.get("usage") or {}
    tokens = units.get("input_tokens") or usage.get("total_tokens") or usage.get("prompt_tokens") or 0
    return Usage(tokens=round(tokens), search_units=round(units.get("search_units") or 0))
