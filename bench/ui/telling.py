"""What stands against something, as the page shows it: a sentence instead of a fault of the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from bench.ui.text import lines, note

Arguments = ParamSpec("Arguments")


def reasons(error: Exception) -> list[str]:
    """What an exception says, a sentence each: what our own refusals say, and of anything else its cause."""
    from bench.comparing.model import CannotCompare
    from bench.experiment.faults import ConfigFaults
    from bench.messages.failures import failure_of
    from bench.messages.refusals import refusal

    if isinstance(error, CannotCompare):
        return [f"Cannot compare: {key}" for key in error.keys]
    if isinstance(error, ConfigFaults):
        return list(error.faults)
    if isinstance(error, OSError):
        return [refusal(error)]
    if _is_ours(error):
        return [str(error)]
    return [failure_of(error).where]


def _is_ours(error: Exception) -> bool:
    """Whether the message was written for a user."""
    from adapters.base import AdapterError

    return isinstance(error, AdapterError) or type(error).__module__.partition(".")[0] == "bench"


def telling(part: Callable[Arguments, str]) -> Callable[Arguments, str]:
    """A function that makes a part of the page: where it raises, the part says why."""

    @wraps(part)
    def told(*args: Arguments.args, **keys: Arguments.kwargs) -> str:
        try:
            return part(*args, **keys)
        except Exception as error:
            return lines(reasons(error), "bad")

    return told


def nothing(text: str) -> str:
    """What stands where there is nothing to show yet."""
    return note(text)


def refusal(error: Exception) -> str:
    """Why something is not done, as the page shows it; what YAML cannot read is told as it is."""
    return lines([str(error)] if type(error) is ValueError else reasons(error), "bad")
