"""Parts that ask a service through its client: one for calls that wait, and one for each event loop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, ExitStack
from typing import Generic, TypeVar

from adapters.code.contract import Part
from adapters.code.event_loops import ClientOfEachLoop

WaitingClient = TypeVar("WaitingClient")
LoopClient = TypeVar("LoopClient")


class ClientPart(Part, ABC, Generic[WaitingClient, LoopClient]):
    """Makes its clients at their first use, and closes them when it is closed or when nobody holds it any more."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._client: WaitingClient | None = None
        self._closing = ExitStack()
        self._each_loop: ClientOfEachLoop[LoopClient] = ClientOfEachLoop(self._amade)

    @abstractmethod
    def _made(self, closing: ExitStack) -> WaitingClient:
        """A client for calls that wait; what closes it is left with the stack. Raises RetrieverError."""

    @abstractmethod
    async def _amade(self, closing: AsyncExitStack) -> LoopClient:
        """A client for the running event loop; what closes it is left with the stack. Raises RetrieverError."""

    def _opened(self) -> WaitingClient:
        with self._opening:
            if self._client is None:
                with ExitStack() as closing:
                    self._client = self._made(closing)
                    self._closing = closing.pop_all()
            return self._client

    def close(self) -> None:
        closing, self._client, self._closing = self._closing, None, ExitStack()
        closing.close()

    async def aclose(self) -> None:
        self.close()
        await self._each_loop.aclose()

    def __del__(self) -> None:
        if getattr(self, "_client", None) is not None:
            self.close()
