"""Clients of an event loop: one for each loop that is running, closed when its loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar
from weakref import WeakMethod

Client = TypeVar("Client")


class ClientOfEachLoop(Generic[Client]):
    """Makes a client at its first use in an event loop. An asynchronous client belongs to the loop that it was made in,
    and a program may run several, one after another.

    make: a method of the part that holds this: it makes the client and leaves with the stack what closes it. It is held
        weakly: a part that nobody holds any more goes at once, and not when the garbage collector finds a circle.
    """

    def __init__(self, make: Callable[[AsyncExitStack], Awaitable[Client]]) -> None:
        self._make = WeakMethod(make)
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
            make = self._make()
            assert make is not None  # who asks holds the part
            # A loop that ends closes all generators at the same time, so the client's closing must not be another one.
            async with AsyncExitStack() as closing:
                yield await make(closing)
        finally:
            self._held.pop(loop, None)
