"""The contract of a tracker."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel

from adapters.base.adapter import Adapter, NoOptions
from adapters.base.arrays import Context
from adapters.base.events import Delivery, Event


class Tracker(Adapter):
    """Where events are sent. `on` is called off every timed path and only takes notes; `finish` delivers. Neither
    raises for a service that is away, and no failure of a tracker fails a run."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def on(self, event: Event) -> None:
        """Take notice of what happened. Returns at once."""

    @abstractmethod
    def finish(self, timeout_seconds: float) -> Delivery:
        """Deliver what was taken in, within the time, and say what arrived. Called once, after RunFinished."""
