"""Holds the HTTP clients of a part: one for calls that wait, and one for each event loop."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack

import httpx

from adapters.code.contract import Part
from adapters.code.event_loops import ClientOfEachLoop


class HttpPart(Part):
    """A part that asks a service by HTTP. Its clients are made at their first use, and closed with it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._seconds = timeout_seconds
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None
        self._each_loop: ClientOfEachLoop[httpx.AsyncClient] = ClientOfEachLoop(self._amade)

    @abstractmethod
    def _sent_headers(self) -> Mapping[str, str]:
        """The headers of every request. Raises RetrieverError for a key that is missing."""

    def _opened(self) -> httpx.Client:
        with self._opening:
            if self._client is None:
                self._client = httpx.Client(timeout=self._seconds, headers=self._sent_headers())
            return self._client

    async def _amade(self, closing: AsyncExitStack) -> httpx.AsyncClient:
        client = httpx.AsyncClient(timeout=self._seconds, headers=self._sent_headers())
        return await closing.enter_async_context(client)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        self.close()
        await self._each_loop.aclose()

    def __del__(self) -> None:
        if getattr(self, "_client", None) is not None:
            self.close()
