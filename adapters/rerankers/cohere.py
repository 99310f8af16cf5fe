"""Cohere's rerankers through ClientV2: rerank v3.5, v4 and v5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from adapters._cohere import KEY_ENV, Cohere, check_not_retired
from adapters.base import CodePiece, Context, CorpusFiles, Floats, Identity, Usage, Value
from adapters.rerankers._managed import ManagedReranker, scores_in_order
from adapters.service import CallOptions, counted


class CohereRerankOptions(CallOptions):
    """The model and what it reads. At most 10,000 documents in a request is the service's rule."""

    model: str = Field(description="Name of Cohere's rerank model, such as rerank-v5.0-pro.")
    max_tokens_per_doc: int | None = Field(
        None,
        ge=1,
        description="Tokens that are read of a document; left out, 4,096; the service scores the best of its chunks.",
    )
    documents_per_request: int = Field(1000, ge=1, le=10_000, description="Documents in a request, 1 to 10,000.")


class CohereReranker(ManagedReranker):
    """Billed by search units up to v4 and by tokens from v5: whichever the answer says."""

    name: ClassVar[str] = "cohere"
    requires: ClassVar[tuple[str, ...]] = ("cohere",)
    extra: ClassVar[str | None] = "cohere"
    key_env: ClassVar[str | None] = KEY_ENV
    Options = CohereRerankOptions

    def __init__(self, options: CohereRerankOptions, context: Context = Context()) -> None:
        self.service: Cohere = Cohere(options, context.own_addresses)
        super().__init__(options, context)

    def check(self) -> None:
        check_not_retired(self.options.model)
        super().check()

    @property
    def identity(self) -> Identity:
        settings = {"max_tokens_per_doc": self.options.max_tokens_per_doc}
        return Identity("cohere", self.options.model, self.service.address, settings)

    def close(self) -> None:
        super().close()
        self.service.close()

    def export(self, corpus: CorpusFiles) -> CodePiece:
        options = self.options
        arguments: dict[str, Value] = {
            "model": options.model,
            "max_tokens_per_doc": options.max_tokens_per_doc,
            "documents_per_request": options.documents_per_request,
            **self.service.called(),
        }
        keys = () if self.service.key_variable is None else (self.service.key_variable,)
        module, name = "adapters.code.cohere_models", "CohereScorer"
        return CodePiece(module, name, arguments, requires=("cohere", "httpx"), keys=keys, exact=False)

    def _send(self, query: str, documents: Sequence[str]) -> tuple[Floats, Usage]:
        options = self.options
        limit = {} if options.max_tokens_per_doc is None else {"max_tokens_per_doc": options.max_tokens_per_doc}

        def call(client: Any, request: Mapping[str, Any]) -> tuple[Floats, Usage]:
            answer = client.rerank(
                model=options.model,
                query=query,
                documents=list(documents),
                top_n=len(documents),
                request_options=request,
                **limit,
            )
            found = [(item.index, item.relevance_score) for item in answer.results]
            return scores_in_order(self.service, found, len(documents)), _billed(answer)

        return self.service.ask(call)


def _billed(answer: Any) -> Usage:
    """Tokens or search units, as the answer says."""
    units = getattr(answer.meta, "billed_units", None)
    tokens = counted(getattr(units, "input_tokens", None), getattr(units, "text_tokens", None))
    return Usage(tokens=tokens, search_units=counted(getattr(units, "search_units", None)))
