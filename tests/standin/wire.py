"""What the services' answers have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. key: of the Authorization header. places: what the route's pattern caught."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: bytes
    key: str
    places: Sequence[str] = ()

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises Refusal."""
        try:
            content = json.loads(self.body or b"{}")
        except json.JSONDecodeError as error:
            raise Refusal(400, f"not JSON: {error}") from error
        if not isinstance(content, dict):
            raise Refusal(400, "expected an object")
        return content


@dataclass(frozen=True, slots=True)
class Answer:
    """content: what is sent. texts: what the answer is about, for the count of texts. spoilt: makes the content with
    an item too few ("count") or with NaN ("nan"); None where there is nothing to spoil. ready: the content as bytes,
    where it is made already. events: what is streamed instead, each as the bytes of a server-sent event."""

    content: Mapping[str, Any] | Sequence[Any]
    texts: Sequence[tuple[str, ...]] = ()
    spoilt: Callable[[str], Mapping[str, Any]] | None = None
    ready: bytes | None = None
    events: Sequence[bytes] | None = None

    @property
    def kind(self) -> str:
        """The type that the answer bears."""
        return "application/json" if self.events is None else "text/event-stream"

    def data(self, kind: str | None) -> bytes:
        """The bytes of the answer, spoilt if the fault is of that kind."""
        if self.spoilt is not None and kind in ("count", "nan"):
            return json.dumps(self.spoilt(kind)).encode()
        if self.events is not None:
            return b"".join(self.events)
        return json.dumps(self.content).encode() if self.ready is None else self.ready


class Refusal(Exception):
    """An answer that is an error. code: what OpenAI calls its kind."""

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, *, code: str = "refused"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"message": message, "error": {"message": message, "type": code, "code": code}}
