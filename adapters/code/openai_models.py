"""Vectors of queries by OpenAI's embedding models, or by any server with their interface."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.code.clients import ClientPart
from adapters.code.contract import QueryEncoder, RetrieverError
from adapters.code.exchange import acarried_out, carried_out, key_from
from adapters.code.managed import ServiceRefusal, encode_exchange, one_line, refusal_of, showable


class OpenAIQueryEncoder(ClientPart[Any, Any], QueryEncoder):
    """Texts go to the service as they are: nothing is cut into tokens here, and so no tokenizer is downloaded.

    dimension: of a vector. dimensions: what the service is asked for, None for the model's own. truncate_characters:
        characters that a text is cut to. base_url: left out, what the variable OPENAI_BASE_URL says, else OpenAI
        itself. key: environment variable of the key, None for a server that wants none.
    """

    def __init__(
        self,
        *,
        model: str,
        dimension: int,
        dimensions: int | None = None,
        truncate_characters: int | None = None,
        base_url: str | None = None,
        key: str | None = "OPENAI_API_KEY",
        timeout_seconds: float = 60,
        max_retries: int = 2,
    ) -> None:
        super().__init__()
        self._request = {"model": model, **({} if dimensions is None else {"dimensions": dimensions})}
        self._dimension = dimension
        self._characters = truncate_characters
        self._base_url = base_url
        self._key = key
        self._seconds = timeout_seconds
        self._retries = max_retries

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        client = self._opened()

        def ask(sent: list[str]) -> list[npt.NDArray[np.float32]]:
            with self._errors():
                return self._vectors(client.embeddings.create(input=sent, **self._request), len(sent))

        return self._array(
            carried_out(encode_exchange(self._cut(texts), per_request=32, cut="end"), ask, (ServiceRefusal,))
        )

    async def aencode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        client = await self._each_loop.client()

        async def ask(sent: list[str]) -> list[npt.NDArray[np.float32]]:
            with self._errors():
                return self._vectors(await client.embeddings.create(input=sent, **self._request), len(sent))

        return self._array(
            await acarried_out(encode_exchange(self._cut(texts), per_request=32, cut="end"), ask, (ServiceRefusal,))
        )

    def _made(self, closing: ExitStack) -> Any:
        import openai

        return closing.enter_context(self._own_account_only(openai.OpenAI(**self._address())))

    async def _amade(self, closing: AsyncExitStack) -> Any:
        import openai

        return await closing.enter_async_context(self._own_account_only(openai.AsyncOpenAI(**self._address())))

    def _address(self) -> dict[str, Any]:
        base_url = self._base_url or os.environ.get("OPENAI_BASE_URL") or None
        # A server of one's own may do without a key; the client may not.
        key = key_from(self._key, "OpenAI", needed=base_url is None) or "none"
        return {"api_key": key, "base_url": base_url, "timeout": self._seconds, "max_retries": self._retries}

    def _own_account_only(self, client: Any) -> Any:
        """The client, which takes the names of an account from the environment: they are shown to OpenAI alone."""
        if self._base_url is not None:
            client.organization = client.project = None
        return client

    @property
    def _at(self) -> str:
        address = self._base_url or os.environ.get("OPENAI_BASE_URL")
        return f"OpenAI at {address}" if address else "OpenAI"

    def _cut(self, texts: Sequence[str]) -> list[str]:
        return [text if self._characters is None else text[: self._characters] for text in texts]

    def _vectors(self, answer: Any, count: int) -> list[npt.NDArray[np.float32]]:
        found = {item.index: np.array(item.embedding, np.float32) for item in answer.data}
        if set(found) != set(range(count)):
            raise ValueError(f"vectors of other texts than the {count} that were sent")
        for vector in found.values():
            if vector.shape != (self._dimension,) or not np.isfinite(vector).all():
                raise ValueError(f"no vector of {self._dimension} finite numbers")
        return [found[place] for place in range(count)]

    def _array(self, vectors: Sequence[Any]) -> npt.NDArray[np.float32]:
        return np.array(vectors, np.float32).reshape(len(vectors), self._dimension)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell what the client raises inside as an error of this file."""
        import openai

        try:
            yield
        except openai.APITimeoutError as error:
            raise RetrieverError(f"{self._at} gave no answer within {self._seconds:g} s.") from error
        except openai.APIConnectionError as error:
            raise RetrieverError(f"{self._at} cannot be reached: {one_line(error.__cause__ or error)}") from error
        except openai.APIStatusError as error:
            body: Any = error.body
            said = body.get("message", error.message) if isinstance(body, dict) else error.message
            raise refusal_of(self._at, error.status_code, said, self._key) from showable(error, self._key)
        except Exception as error:
            raise RetrieverError(f"{self._at} answered with something unusable: {one_line(error)}") from error
