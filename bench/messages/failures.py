"""Turns an exception that ended a piece of work into text, which outlives the exception and can be sent to another
process.

An adapter may raise anything. What its author mapped is an AdapterError and says what to do. Everything else is
foreign, and is told by its type, its message and the adapter's own frames. Only KeyboardInterrupt is no failure,
because it comes from the user.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from adapters.base import (
    AdapterError,
    AdapterTimeout,
    AdapterUnavailable,
    DatasetInvalid,
    InvalidOptions,
    NotIndexed,
    OutOfMemory,
    Warned,
)
from bench.messages.refusals import refusal, refused_by_system
from bench.messages.wording import writable

LONGEST_MESSAGE = 600
"""The most characters of a foreign message in a result; the traceback holds the whole message."""

_OURS = ("bench", "adapters.base", "adapters.registry", "__main__")
_BETWEEN = ("pydantic", "pydantic_core", "pyarrow")
"""Libraries through which the harness itself calls an adapter's code."""


@dataclass(frozen=True, slots=True)
class Failure:
    """cause: one line for a reader of the result. foreign: whether no adapter mapped it. Then traceback holds its
    traceback, and frames the adapter's own frames, outermost first. passing: whether the same work may go well a minute
    later, as when a server was away."""

    cause: str
    foreign: bool = False
    frames: tuple[str, ...] = ()
    traceback: str | None = None
    status: Literal["error", "not_indexed"] = "error"
    passing: bool = False

    @property
    def where(self) -> str:
        """The cause with the innermost of the adapter's frames, for a message that stands alone."""
        return f"{self.cause} ({self.frames[-1]})" if self.frames else self.cause

    def of(self, what: str) -> Failure:
        """The failure of something that depends on this, such as `its leg x failed`."""
        return replace(self, cause=f"{what}: {self.cause}")

    def warned(self, about: str, what: str | None = None) -> Warned:
        """The event that tells of it. what: stands before the cause."""
        message = f"{what}: {self.cause}" if what else self.cause
        return Warned(about, message, self.frames, self.traceback)


class Failed(AdapterError):
    """Raises a failure again that happened earlier or in another process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """The failure for an exception. Raises the exception again where the user pressed Ctrl-C. The frames of the
    traceback are cleared: after a lack of memory the next system needs what they hold.
    """
    if _is_the_users(error):
        raise error
    if isinstance(error, Failed):
        return error.failure
    given = error
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # Python's own wrapping, of what was raised under a generator (PEP 479)
    refused = _refused(error)
    foreign = not isinstance(error, AdapterError) and refused is None
    failure = Failure(
        cause=told(error),
        foreign=foreign,
        frames=_own_frames(error) if foreign else (),
        traceback=_whole(given) if foreign else None,
        status="not_indexed" if isinstance(error, NotIndexed) and refused is None else "error",
        passing=isinstance(error, AdapterUnavailable | AdapterTimeout),
    )
    _let_go(given)
    return failure


def told(error: BaseException) -> str:
    """An exception as one line: an adapter's own words, or the type and the message of a foreign one."""
    message = _message(error)
    if (refused := _refused(error)) is not None:
        return refusal(refused) if refused is error or not message else f"{refusal(refused)} ({message})"
    if isinstance(error, AdapterError) and message:
        return message
    if isinstance(error, MemoryError):
        message = f"out of memory{': ' if message else ''}{message}"
    return f"{_type_name(type(error))}: {message}" if message else f"{_type_name(type(error))} (it says nothing more)"


def _refused(error: BaseException) -> OSError | None:
    """The refusal of the operating system behind an exception. None where an adapter knows better: it names the file of
    the user, or the option, that is the cause."""
    if isinstance(error, InvalidOptions | DatasetInvalid | OutOfMemory):
        return None
    return refused_by_system(error)


@contextmanager
def as_failure(what: str | None = None) -> Iterator[None]:
    """Whatever is raised inside goes on as Failed. what: stands before its cause."""
    try:
        yield
    except BaseException as error:
        failure = failure_of(error)
        raise Failed(failure.of(what) if what else failure) from error


def close_all(closes: Iterable[Callable[[], object]]) -> None:
    """Call every one of them, whatever the others raise; then raise the first failure."""
    failures = list(closing(closes))
    if failures:
        raise Failed(failures[0])


def closing(closes: Iterable[Callable[[], object]]) -> Iterator[Failure]:
    """Call every one of them, and yield what they raise. A caller must go through to the end, or some are not
    called."""
    for close in closes:
        try:
            close()
        except BaseException as error:
            yield failure_of(error)


def _is_the_users(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_the_users(each) for each in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


def _type_name(kind: type[BaseException]) -> str:
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def _message(error: BaseException) -> str:
    try:
        text = writable(" ".join(str(error).split()))
    except BaseException as second:  # even the text of a third party's exception may fail
        if _is_the_users(second):
            raise
        return f"its message cannot be shown ({_type_name(type(second))})"
    if isinstance(error, AdapterError) or len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[:LONGEST_MESSAGE]} …"


def _whole(error: BaseException) -> str:
    try:
        return writable("".join(traceback.format_exception(error)))
    except BaseException as second:  # a property of a foreign exception that raises, such as its __notes__
        if _is_the_users(second):
            raise
        return writable("".join(traceback.format_tb(error.__traceback__)) + told(error))


def _own_frames(error: BaseException) -> tuple[str, ...]:
    """The frames of the adapter that raised, outermost first: neither those of the harness nor, behind the adapter's,
    those of the libraries it calls. Where none is the adapter's (it returned what nobody can use), the last of all."""
    frames = list(_walk(error.__traceback__))
    foreign = [(module, frame) for module, frame in frames if not _between(module)]
    package = foreign[0][0].partition(".")[0] if foreign else ""
    own = [frame for module, frame in foreign if module.partition(".")[0] in (package, "adapters")]
    return tuple(own or [frame for _, frame in frames[-1:]])


def _walk(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Module and place of every frame, outermost first."""
    for frame, line in traceback.walk_tb(trace):
        code = frame.f_code
        module = str(frame.f_globals.get("__name__", ""))
        yield module, writable(f"{_shown(code.co_filename)}:{line} in {code.co_name}")


def _shown(file: str) -> str:
    """The path in the shortest form that is valid from the current folder."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _between(module: str) -> bool:
    top = module.partition(".")[0]
    ours = any(module == name or module.startswith(f"{name}.") for name in _OURS)
    return ours or top in _BETWEEN or top in sys.stdlib_module_names


def _let_go(error: BaseException | None) -> None:
    """Clear the frames of an exception and of its causes. Otherwise they keep their arrays as long as the exception
    lives."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
