"""Follows a run: writes what was scored into a file, one JSON object a line."""

import json
from typing import Any

from pydantic import Field

from adapters.base import Delivery, Event, FilePath, Options, QueryScored, Tracker, event_as_dict


class MineOptions(Options):
    path: FilePath = Field(description="The file that rows are added to, in JSON Lines.")


class MineTracker(Tracker):
    """Replace `finish`. `on` takes notes alone, because it is called while the run goes on."""

    name = "mine"
    Options = MineOptions

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.rows: list[str] = []

    def on(self, event: Event) -> None:
        if isinstance(event, QueryScored):
            self.rows.append(json.dumps(event_as_dict(event)))

    def finish(self, timeout_seconds: float) -> Delivery:
        path = self.context.path(self.options.path)
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{row}\n" for row in self.rows)
        except OSError as error:
            return Delivery(self.name, sent=0, unsent=len(self.rows), notes=(f"{path}: {error.strerror}.",))
        return Delivery(self.name, sent=len(self.rows), unsent=0, link=str(path))
