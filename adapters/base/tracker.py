"""The contract of a tracker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from adapters.base.adapter import Adapter, NoOptions
from adapters.base.arrays import Context
from adapters.base.errors import InvalidOptions
from adapters.base.events import Delivery, Event
from adapters.base.paths import paths_feared


class Tracker(Adapter):
    """Where events are sent. `on` is called off every timed path and only takes notes; `finish` delivers. Neither
    raises for a service that is away, and no failure of a tracker fails a run."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    def writes(self) -> Sequence[Path]:
        """Files and folders of this machine that it writes to, known from its options and the environment alone; none
        for one that only sends, and none that the user's environment names. Asked for before a result that was handed
        over is tracked. Unless a subclass says: `places_feared`.
        """
        return places_feared(self.options, self.context)

    @abstractmethod
    def on(self, event: Event) -> None:
        """Take notice of what happened. Returns at once."""

    @abstractmethod
    def finish(self, timeout_seconds: float) -> Delivery:
        """Deliver what was taken in, within the time, and say what arrived. Called once, after RunFinished."""


def places_feared(options: Any, context: Context) -> list[Path]:
    """Where a tracker may write that does not say: what may be a path in its options, and the folder where relative
    paths start."""
    found = [context.base]
    for path in paths_feared(options.model_dump() if isinstance(options, BaseModel) else {}):
        with suppress(InvalidOptions):  # leads nowhere
            found.append(context.path(path))
    return found
