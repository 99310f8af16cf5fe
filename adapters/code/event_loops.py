"""Clients of an event loop: one for each loop that is running, closed when its loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

Client = TypeVar("Client")


class ClientOfEachLoop(Generic[Client]):
    """Makes a client at its first use in an event loop. An asynchronous client belongs to the loop that it was made in,
    and a program may run several, one after another.

    make: gives a context manager whose value is the client.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Client]]) -> None:
        self._make = make
        self._held: dict[asyncio.AbstractEventLoop, tuple[AsyncIterator[Client], asyncio.Task[Client]]] = {}

    async def client(self) -> Client:
        """The client of the running loop. Raises what making it raises."""
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            # asyncio.run and its kin close the generators that a loop has begun, and so close the client.
            lifetime = self._lifetime(loop)
            self._held[loop] = lifetime, asyncio.ensure_future(self._begun(lifetime))
        try:
            return await asyncio.shield(self._held[loop][1])
        except BaseException:
            held = self._held.get(loop)
            if held is not None and held[1].done():
                del self._held[loop]  # the next use tries again
            raise

    async def aclose(self) -> None:
        """Close the client of the running loop."""
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await asyncio.wait([held[1]])
            await held[0].aclose()  # type: ignore[attr-defined]

    async def _begun(self, lifetime: AsyncIterator[Client]) -> Client:
        return await anext(lifetime)

    async def _lifetime(self, loop: asyncio.AbstractEventLoop) -> AsyncIterator[Client]:
        try:
            async with self._make() as client:
                yield client
        finally:
            self._held.pop(loop, None)
