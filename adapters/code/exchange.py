"""Exchanges with a service that are written once and carried out with a client of either kind, synchronous or not.

An exchange is a generator: it yields what is to be asked, gets the answer or the client's exception, and returns what
came of it. Where it yields a `Pause`, it waits.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from adapters.code.contract import RetrieverError

Outcome = TypeVar("Outcome")
Exchange: TypeAlias = Generator[Any, Any, Outcome]


@dataclass(frozen=True)
class Pause:
    """A wait before the next question."""

    seconds: float


@dataclass(frozen=True)
class _End:
    """What came of an exchange."""

    outcome: Any


def carried_out(exchange: Exchange[Outcome], ask: Callable[[Any], Any], told: tuple[type[Exception], ...]) -> Outcome:
    """What comes of an exchange. ask: puts one question; told: its exceptions that the exchange deals with."""
    answer: Any = None
    failure: Exception | None = None
    while True:
        step = _next(exchange, answer, failure)
        if isinstance(step, _End):
            outcome: Outcome = step.outcome
            return outcome
        answer, failure = None, None
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            continue
        try:
            answer = ask(step)
        except told as error:
            failure = error


async def acarried_out(
    exchange: Exchange[Outcome], ask: Callable[[Any], Awaitable[Any]], told: tuple[type[Exception], ...]
) -> Outcome:
    """As `carried_out`, without holding up the event loop."""
    answer: Any = None
    failure: Exception | None = None
    while True:
        step = _next(exchange, answer, failure)
        if isinstance(step, _End):
            outcome: Outcome = step.outcome
            return outcome
        answer, failure = None, None
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            continue
        try:
            answer = await ask(step)
        except told as error:
            failure = error


def _next(exchange: Exchange[Outcome], answer: Any, failure: Exception | None) -> Any:
    """The exchange's next step, given the answer to the last one, or why there is none."""
    try:
        return exchange.send(answer) if failure is None else exchange.throw(failure)
    except StopIteration as end:
        return _End(end.value)


def key_from(variable: str | None, service: str, *, needed: bool = True) -> str | None:
    """The key in an environment variable; None where no variable is named, or it is not set and not needed.

    Raises RetrieverError.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key and needed:
        raise RetrieverError(
            f"{service} takes its key from the environment variable {variable}, which is not set. Set it: export "
            f"{variable}=…"
        )
    return key or None
