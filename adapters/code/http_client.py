"""Holds the HTTP clients of a part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack

import httpx

from adapters.code.clients import ClientPart


class HttpPart(ClientPart[httpx.Client, httpx.AsyncClient]):
    """A part that asks a service by HTTP."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__()
        self._seconds = timeout_seconds

    @abstractmethod
    def _sent_headers(self) -> Mapping[str, str]:
        """The headers of every request. Raises RetrieverError for a key that is missing."""

    def _made(self, closing: ExitStack) -> httpx.Client:
        return closing.enter_context(httpx.Client(timeout=self._seconds, headers=self._sent_headers()))

    async def _amade(self, closing: AsyncExitStack) -> httpx.AsyncClient:
        client = httpx.AsyncClient(timeout=self._seconds, headers=self._sent_headers())
        return await closing.enter_async_context(client)
