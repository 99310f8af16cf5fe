"""Cohere's models through its client: vectors of queries, and scores of candidates."""

from __future__ import annotations

import binascii
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.code.clients import ClientPart
from adapters.code.contract import CandidateScorer, QueryEncoder, RetrieverError
from adapters.code.exchange import acarried_out, carried_out, key_from
from adapters.code.managed import (
    ServiceRefusal,
    encode_exchange,
    one_line,
    refusal_of,
    score_exchange,
    scores_by_document,
    showable,
)


class CohereClients(ClientPart[Any, Any]):
    """Clients of Cohere, or of a server with its interface at base_url.

    base_url: left out, what the variable CO_API_URL says, else Cohere itself. key: environment variable of the key.
    """

    def __init__(self, base_url: str | None, key: str | None, timeout_seconds: float, max_retries: int) -> None:
        super().__init__()
        self._base_url = base_url
        self.key = key
        self.options = {"timeout_in_seconds": timeout_seconds, "max_retries": max_retries}

    @property
    def at(self) -> str:
        """The service in words."""
        address = self._address()
        return "Cohere" if address is None else f"Cohere at {address}"

    def client(self) -> Any:
        """The client, made at the first use."""
        return self._opened()

    async def aclient(self) -> Any:
        """The client of the running event loop."""
        return await self._each_loop.client()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Tell what the client raises inside as an error of this file."""
        import httpx
        from cohere.core.api_error import ApiError

        try:
            yield
        except RetrieverError:
            raise
        except ApiError as error:
            said: Any = error.body
            said = said.get("message", said) if isinstance(said, dict) else said
            raise refusal_of(self.at, error.status_code, said, self.key) from showable(error, self.key)
        except httpx.TimeoutException as error:
            seconds = self.options["timeout_in_seconds"]
            raise RetrieverError(f"{self.at} gave no answer within {seconds:g} s.") from error
        except httpx.TransportError as error:
            raise RetrieverError(f"{self.at} cannot be reached: {one_line(error)}") from error
        except Exception as error:
            raise RetrieverError(f"{self.at} answered with something unusable: {one_line(error)}") from error

    def _made(self, closing: ExitStack) -> Any:
        import cohere

        return closing.enter_context(cohere.ClientV2(self._sent_key(), base_url=self._address()))

    async def _amade(self, closing: AsyncExitStack) -> Any:
        import cohere

        return await closing.enter_async_context(cohere.AsyncClientV2(self._sent_key(), base_url=self._address()))

    def _sent_key(self) -> str:
        # A server of one's own may do without a key; the client may not.
        return key_from(self.key, "Cohere", needed=self._address() is None) or "none"

    def _address(self) -> str | None:
        return self._base_url or os.environ.get("CO_API_URL") or None


class CohereQueryEncoder(QueryEncoder):
    """Vectors as an embedding model of Cohere gives them for queries.

    input_type: as which texts are embedded. embedding_type: what the service sends: base64 and float as they are, int8
        as whole numbers, uint8 less 128, binary and ubinary as +1 and -1. dimension: of a vector. output_dimension:
        what the service is asked for, None for the model's own. truncate: NONE, START or END.
    """

    def __init__(
        self,
        *,
        model: str,
        input_type: str,
        embedding_type: str,
        dimension: int,
        output_dimension: int | None = None,
        truncate: str = "END",
        base_url: str | None = None,
        key: str | None = "CO_API_KEY",
        timeout_seconds: float = 60,
        max_retries: int = 2,
    ) -> None:
        self._clients = CohereClients(base_url, key, timeout_seconds, max_retries)
        self._kind = embedding_type
        self._dimension = dimension
        self._cut = {"START": "start", "END": "end"}.get(truncate)
        self._request = {
            "model": model,
            "input_type": input_type,
            "embedding_types": [embedding_type],
            "truncate": truncate,
            "request_options": self._clients.options,
            **({} if output_dimension is None else {"output_dimension": output_dimension}),
        }

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        client = self._clients.client()

        def ask(sent: list[str]) -> list[npt.NDArray[np.float32]]:
            with self._clients.errors():
                return self._vectors(client.embed(texts=sent, **self._request), len(sent))

        return self._array(carried_out(encode_exchange(texts, per_request=96, cut=self._cut), ask, (ServiceRefusal,)))

    async def aencode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        client = await self._clients.aclient()

        async def ask(sent: list[str]) -> list[npt.NDArray[np.float32]]:
            with self._clients.errors():
                return self._vectors(await client.embed(texts=sent, **self._request), len(sent))

        return self._array(
            await acarried_out(encode_exchange(texts, per_request=96, cut=self._cut), ask, (ServiceRefusal,))
        )

    def close(self) -> None:
        self._clients.close()

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _vectors(self, answer: Any, count: int) -> list[npt.NDArray[np.float32]]:
        found = getattr(answer.embeddings, "float_" if self._kind == "float" else self._kind)
        if len(found) != count:
            raise ValueError(f"{len(found)} vectors for {count} texts")
        return [self._vector(each) for each in found]

    def _vector(self, found: Any) -> npt.NDArray[np.float32]:
        kind = self._kind
        vector: npt.NDArray[np.float32]
        if kind == "base64":
            vector = np.frombuffer(binascii.a2b_base64(found), dtype="<f4").astype(np.float32)
        elif kind in ("binary", "ubinary"):
            packed = (np.array(found, np.int16) + (128 if kind == "binary" else 0)).astype(np.uint8)
            vector = np.unpackbits(packed).astype(np.float32) * 2 - 1
        else:
            vector = np.array(found, np.float32) - np.float32(128 if kind == "uint8" else 0)
        if vector.shape != (self._dimension,) or not np.isfinite(vector).all():
            raise ValueError(f"no vector of {self._dimension} finite numbers")
        return vector

    def _array(self, vectors: Sequence[Any]) -> npt.NDArray[np.float32]:
        return np.array(vectors, np.float32).reshape(len(vectors), self._dimension)


class CohereScorer(CandidateScorer):
    """Scores of a rerank model of Cohere. max_tokens_per_doc: tokens that are read of a document, None for 4,096."""

    def __init__(
        self,
        *,
        model: str,
        max_tokens_per_doc: int | None = None,
        documents_per_request: int = 1000,
        base_url: str | None = None,
        key: str | None = "CO_API_KEY",
        timeout_seconds: float = 60,
        max_retries: int = 2,
    ) -> None:
        self._clients = CohereClients(base_url, key, timeout_seconds, max_retries)
        self._per_request = documents_per_request
        limit = {} if max_tokens_per_doc is None else {"max_tokens_per_doc": max_tokens_per_doc}
        self._request = {"model": model, "request_options": self._clients.options, **limit}

    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        client = self._clients.client()

        def ask(step: tuple[str, list[str]]) -> list[float]:
            with self._clients.errors():
                return self._scores(client.rerank(**self._asked(*step)), len(step[1]))

        return carried_out(score_exchange(query, texts, per_request=self._per_request), ask, (ServiceRefusal,))

    async def ascore(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        client = await self._clients.aclient()

        async def ask(step: tuple[str, list[str]]) -> list[float]:
            with self._clients.errors():
                return self._scores(await client.rerank(**self._asked(*step)), len(step[1]))

        return await acarried_out(score_exchange(query, texts, per_request=self._per_request), ask, (ServiceRefusal,))

    def close(self) -> None:
        self._clients.close()

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _asked(self, query: str, documents: list[str]) -> dict[str, Any]:
        return {"query": query, "documents": documents, "top_n": len(documents), **self._request}

    def _scores(self, answer: Any, count: int) -> list[float]:
        found = [(item.index, item.relevance_score) for item in answer.results]
        return scores_by_document(self._clients.at, found, count)
