"""Any rerank server: those that speak the interface of Cohere and Jina (vLLM, Infinity, LiteLLM …), and
text-embeddings-inference with its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adapters.base import (
    CodePiece,
    Context,
    CorpusFiles,
    Floats,
    Identity,
    InvalidOptions,
    ModelNotFound,
    Usage,
    Value,
)
from adapters.rerankers._managed import ManagedReranker, scores_in_order
from adapters.service import MISSHAPEN, CallOptions, Service, counted, quota_exhausted

Interface = Literal["cohere", "tei"]
_READ_CHARACTERS = 2000  # of a refusal


class RerankApiOptions(CallOptions):
    """Which server, and what it is sent. A key is sent as a bearer token."""

    base_url: str = Field(
        pattern=r"^https?://", description="Address of the rerank server, such as http://localhost:8000."
    )
    model: str = Field(description="Name of the model as the server knows it.")
    path: str | None = Field(
        None,
        pattern=r"^/",
        description="Path of the call below the address; left out, /v1/rerank, or /rerank where interface is tei.",
    )
    interface: Interface | None = Field(
        None,
        description="Form of request and answer: cohere is that of Cohere and Jina, tei that of text-embeddings-"
        "inference; left out, whichever the server takes.",
    )
    truncate: bool = Field(
        True,
        description="Whether a server of interface tei cuts texts that are too long, which it does not tell; "
        "otherwise they are cut here and counted.",
    )
    raw_scores: bool = Field(
        False, description="Whether a server of interface tei gives scores before the model's last function."
    )
    documents_per_request: int = Field(1000, ge=1, le=10_000, description="Documents in a request, 1 to 10,000.")

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option in ("truncate", "raw_scores"):
            self.refuse_idle(option, "interface: tei", heeded=self.interface != "cohere")
        return self


class RerankApiReranker(ManagedReranker):
    """Posts {model, query, documents, top_n} and reads {results: [{index, relevance_score}]}, or posts
    {query, texts, truncate, raw_scores} and reads [{index, score}]."""

    name: ClassVar[str] = "rerank_api"
    requires: ClassVar[tuple[str, ...]] = ("httpx",)
    figures_from: ClassVar[tuple[str, ...] | None] = ()  # the server does the work
    Options = RerankApiOptions

    def __init__(self, options: RerankApiOptions, context: Context = Context()) -> None:
        self.service = Service(
            "The rerank server",
            options,
            own_address=None,
            address_env=None,
            key_env=None,
            own_addresses=context.own_addresses,
        )
        super().__init__(options, context)
        self.bills = options.api_key_env is not None  # a server without a key is one's own
        self._making = threading.Lock()
        self._client: Any = None
        self._interface: Interface = options.interface or "cohere"

    def check(self) -> None:
        if self.options.api_key_env is not None and self.service.key is None:
            raise InvalidOptions(
                f"the variable {self.options.api_key_env} is not set. Set it: export {self.options.api_key_env}=…",
                key="api_key_env",
            )
        super().check()

    @property
    def identity(self) -> Identity:
        changed = self.options.model_dump(include={"truncate", "raw_scores"}, exclude_defaults=True)
        return Identity("rerank_api", self.options.model, f"{self.service.url_shown}{self._path}", changed)

    @property
    def _path(self) -> str:
        return self.options.path or ("/rerank" if self.options.interface == "tei" else "/v1/rerank")

    def close(self) -> None:
        super().close()
        if self._client is not None:
            self._client.close()

    def export(self, corpus: CorpusFiles) -> CodePiece:
        options, called = self.options, self.service.called()
        arguments: dict[str, Value] = {
            "url": f"{self.service.url}{self._path}",
            "model": options.model,
            "interface": options.interface,
            "truncate": options.truncate,
            "raw_scores": options.raw_scores,
            "documents_per_request": options.documents_per_request,
            **{name: value for name, value in called.items() if name != "base_url"},
        }
        keys = () if self.service.key_variable is None else (self.service.key_variable,)
        module, name = "adapters.code.rerank_api", "RerankApiScorer"
        return CodePiece(module, name, arguments, requires=("httpx",), keys=keys, exact=False)

    def _send(self, query: str, documents: Sequence[str]) -> tuple[Floats, Usage]:
        import httpx

        seconds = self.options.timeout_seconds
        raised: Exception
        try:
            content = self._read(self._posted(query, documents))
            items = content if isinstance(content, list) else content["results"]
            found = [(item["index"], _score(item)) for item in items]
            return scores_in_order(self.service, found, len(documents)), _billed(content)
        except httpx.HTTPStatusError as error:
            raised = self._refused(error)
        except httpx.TimeoutException as error:
            raised = self.service.timed_out(seconds, error)
        except httpx.TransportError as error:
            raised = self.service.unreachable(error)
        except MISSHAPEN as error:
            raised = self.service.misshapen(f"not the promised form ({type(error).__name__})", error)
        raise raised from raised.__cause__

    def _read(self, answer: Any) -> Any:
        """The JSON of an answer. Raises Retryable where it is none: it may have ended in the middle."""
        try:
            return answer.json()
        except ValueError as error:
            raise self.service.malformed("no JSON", error) from error

    def _posted(self, query: str, documents: Sequence[str]) -> Any:
        """The answer to one request. Raises what httpx raises."""
        options, spoken = self.options, self._interface
        body: dict[str, Any]
        if spoken == "tei":
            body = {"query": query, "texts": list(documents)}
            body |= {"truncate": options.truncate, "raw_scores": options.raw_scores}
        else:
            # Some servers give the best few unless they are asked for more.
            body = {"model": options.model, "query": query, "documents": list(documents), "top_n": len(documents)}
        answer = self._made().post(f"{self.service.url}{self._path}", json=body)
        if options.interface is None and spoken == "cohere" and _wants_texts(answer):
            self._interface = "tei"
            return self._posted(query, documents)
        return answer.raise_for_status()

    def _refused(self, error: Any) -> Exception:
        answer = error.response
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = None
        refused = self.service.failed(
            answer.status_code,
            answer.text,
            headers=dict(answer.headers),
            error=error,
            exhausted=quota_exhausted(content),
        )
        if not isinstance(refused, ModelNotFound):
            return refused
        told = ModelNotFound(
            f"{refused} If {self._path} is not where it reranks, say where: path: /rerank (text-embeddings-inference, "
            "Infinity), /v1/rerank (vLLM, Jina), /v2/rerank (Cohere)."
        )
        told.__cause__ = refused.__cause__
        return told

    def _made(self) -> Any:
        import httpx

        with self._making:
            if self._client is None:
                key = self.service.key
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                self._client = self.service.client(httpx, headers=headers)
        return self._client


def _score(item: Mapping[str, Any]) -> Any:
    """`relevance_score` by Cohere and Jina, `score` by some that follow them."""
    return item["relevance_score"] if "relevance_score" in item else item["score"]


def _wants_texts(answer: Any) -> bool:
    """Whether a server refuses a request for the lack of `texts`, as text-embeddings-inference does."""
    return answer.status_code in (400, 422) and bool(
        re.search(r"missing field\W+texts\b|\btexts\b.*required", answer.text[:_READ_CHARACTERS])
    )


def _billed(content: Any) -> Usage:
    """What the answer says: Cohere's meta.billed_units, or Jina's usage.total_tokens."""
    if not isinstance(content, Mapping):
        return Usage()
    units = (content.get("meta") or {}).get("billed_units") or {}
    usage = content.get("usage") or {}
    tokens = counted(units.get("input_tokens"), usage.get("total_tokens"), usage.get("prompt_tokens"))
    return Usage(tokens=tokens, search_units=counted(units.get("search_units")))
