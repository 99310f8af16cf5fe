"""The server: one request in, one answer, fault or delay out, everything counted."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.standin import braintrust_api, chat_api, cohere_api, openai_api, tei_api
from tests.standin.faults import FaultPlan, Faults
from tests.standin.wire import Answer, Refusal, Request

Route = tuple[str, re.Pattern[str], Callable[["StandIn", Request], Answer]]

_ERRORS = {"429": "too many requests", "500": "internal error", "503": "overloaded, try again"}


@dataclass(slots=True)
class Seen:
    """What was asked and answered. answered: whole undisturbed answers by (path, model, role, text), so a value over
    1 is a text that was sent again after its answer had arrived. peak: requests under way at once, at most."""

    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, ...]] = field(default_factory=Counter)
    batch_sizes: Counter[int] = field(default_factory=Counter)
    under_way: int = 0
    peak: int = 0

    @property
    def repeated(self) -> int:
        """How many texts were answered more than once."""
        return sum(count > 1 for count in self.answered.values())


class StandIn:
    """A server on loopback; a context manager that starts and stops it.

    latency_seconds: how long every call takes. keys: accepted keys, None for any that is not empty.
    requests_per_minute: above it, 429 with Retry-After. remember: give the same answer to the same request without
    computing it again, for measurements in which only `latency_seconds` shall count. expired: whether every key is
    refused; exhausted: whether every account's quota is spent, a 429 as OpenAI sends it. objects_to: words that no text
    may hold (400). most_texts: that a request may hold (413). keyless: whether a call needs no key. says: what a chat
    model writes, given the messages; None for an answer made of the passages. counts_tokens: whether a chat tells its
    usage. event_seconds: pause between two events of a streamed answer.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency_seconds: float = 0.0,
        faults: Faults = Faults(),
        keys: frozenset[str] | None = None,
        requests_per_minute: int | None = None,
        git_metadata: Mapping[str, Any] | None = None,
        remember: bool = False,
    ) -> None:
        self._remembered: dict[tuple[str, bytes], Answer] | None = {} if remember else None
        self.latency_seconds = latency_seconds
        self.faults = faults
        self.keys = keys
        self.requests_per_minute = requests_per_minute
        self.expired = False
        self.requests_until_expired: int | None = None
        self.exhausted = False
        self.keyless = False
        self.says: Callable[[Sequence[Mapping[str, str]]], str] | None = None
        self.counts_tokens = True
        self.event_seconds = 0.0
        self.objects_to: tuple[str, ...] = ()
        self.most_texts: int | None = None
        self.seen = Seen()
        self.tracking = braintrust_api.Tracking(git_metadata)
        self.lock = threading.Lock()
        self._plan = FaultPlan()
        self._recent: deque[float] = deque()
        self._routes: list[Route] = [
            (method, re.compile(pattern), answer)
            for api in (cohere_api, openai_api, chat_api, tei_api, braintrust_api)
            for method, pattern, answer in api.ROUTES
        ]
        standin = self

        class Handler(_Handler):
            service = standin

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address without a path: what Cohere's client and Braintrust's take as theirs."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Variables that point the SDKs here."""
        key = next(iter(sorted(self.keys))) if self.keys else "stand-in"
        return {
            "CO_API_URL": self.url,
            "CO_API_KEY": key,
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": key,
            "BRAINTRUST_APP_URL": self.url,
            "BRAINTRUST_API_URL": self.url,
            "BRAINTRUST_API_KEY": key,
        }

    def serve(self) -> None:
        """Answer until the process is interrupted."""
        self._server.serve_forever(poll_interval=0.1)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Start counting anew."""
        self.seen = Seen()

    def answer(self, request: Request) -> Answer:
        """The undisturbed answer. Raises Refusal."""
        if request.path.startswith("/standin/"):
            return self._control(request)
        self._admit(request)
        self._object(request)
        if self._remembered is not None:
            return self._remembered_answer(self._remembered, request)
        return self._computed(request)

    def _remembered_answer(self, kept: dict[tuple[str, bytes], Answer], request: Request) -> Answer:
        key = request.path, request.body
        if key not in kept:
            answer = self._computed(request)
            kept[key] = replace(answer, ready=answer.data(None))
        return kept[key]

    def _computed(self, request: Request) -> Answer:
        for method, pattern, make in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                return make(self, replace(request, places=match.groups()))
        raise Refusal(404, f"{request.method} {request.path} is not spoken here")

    def fault(self, request: Request) -> str | None:
        """The fault that this request meets."""
        if request.path.startswith("/standin/"):
            return None
        kind = self._plan.kind(self.faults, request.path, request.body)
        if kind:
            with self.lock:
                self.seen.faults[kind] += 1
        return kind

    def _admit(self, request: Request) -> None:
        with self.lock:
            if self.requests_until_expired is not None:
                self.expired = self.expired or self.requests_until_expired <= 0
                self.requests_until_expired -= 1
        if (
            (not request.key and not self.keyless)
            or self.expired
            or (self.keys is not None and request.key not in self.keys)
        ):
            # Services do repeat the key in this message; clients must not pass it on.
            raise Refusal(401, f"invalid or expired api token: {request.key}")
        if self.exhausted:
            said = "You exceeded your current quota, please check your plan and billing details."
            raise Refusal(429, said, code="insufficient_quota")
        if self.requests_per_minute is None:
            return
        with self.lock:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            if len(self._recent) >= self.requests_per_minute:
                raise Refusal(429, "rate limit", {"Retry-After": str(int(self._recent[0] + 61 - now))})
            self._recent.append(now)

    def _object(self, request: Request) -> None:
        if not self.objects_to and self.most_texts is None:
            return
        asked = request.json()
        texts = [text for key in ("input", "texts", "documents") for text in asked.get(key) or ()]
        texts += [str(message.get("content")) for message in asked.get("messages") or ()]
        if self.most_texts is not None and len(texts) > self.most_texts:
            raise Refusal(413, "Payload Too Large")
        if any(word in text for word in self.objects_to for text in (*texts, asked.get("query") or "")):
            raise Refusal(400, "content policy violation")

    def _control(self, request: Request) -> Answer:
        if request.method == "POST":
            wanted = json.loads(request.body or b"{}")
            if wanted.pop("forget", False):
                self.forget()
            faults = wanted.pop("faults", None)
            if faults is not None:
                self.faults = Faults(**{**faults, "kinds": tuple(faults.get("kinds", Faults().kinds))})
            for name in ("latency_seconds", "expired", "exhausted", "requests_per_minute"):
                if name in wanted:
                    setattr(self, name, wanted.pop(name))
            if wanted:
                raise Refusal(400, f"unknown: {', '.join(wanted)}")
        seen = self.seen
        return Answer(
            {
                "requests": dict(seen.requests),
                "faults": dict(seen.faults),
                "texts_answered": len(seen.answered),
                "texts_answered_again": seen.repeated,
                "peak_requests": seen.peak,
                "settings": {"latency_seconds": self.latency_seconds, "expired": self.expired, **asdict(self.faults)},
            }
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: StandIn
    _kind = "application/json"  # of the answer

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        return

    def parse_request(self) -> bool:
        self._began = time.perf_counter()  # the request line has come: what follows is the service's own time
        return super().parse_request()

    def _handle(self) -> None:
        service = self.service
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        request = Request(self.command, url.path, parse_qs(url.query), body, key)
        with service.lock:
            seen = service.seen
            seen.requests[url.path] += 1
            seen.under_way += 1
            seen.peak = max(seen.peak, seen.under_way)
        try:
            self._respond(request, self._began)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with service.lock:
                seen.under_way -= 1

    def _respond(self, request: Request, began: float) -> None:
        service = self.service
        self._kind = "application/json"
        kind = service.fault(request)
        if kind in _ERRORS:
            self._pause(began)
            headers = {"Retry-After": service.faults.retry_after} if kind == "429" else {}
            self._send(int(kind), {"message": _ERRORS[kind]}, headers)
            return
        if kind == "reset":
            self._reset()
            return
        try:
            answer = service.answer(request)
        except Refusal as refusal:
            self._pause(began)
            self._send(refusal.status, refusal.body, refusal.headers)
            return
        self._pause(began)
        data = answer.data(kind)
        self._kind = answer.kind
        if kind == "truncated":
            self._write(200, data[: len(data) // 2], {}, len(data) // 2)
        elif kind == "cut":
            self._write(200, data[: len(data) // 2], {}, len(data))
            self._reset()
        elif kind == "slow":
            size = -(-len(data) // service.faults.slow_pieces)
            self._write(200, data[:size], {}, len(data))
            for start in range(size, len(data), size):
                time.sleep(service.faults.slow_seconds)
                if self._gone():
                    return
                self.wfile.write(data[start : start + size])
            self._count(answer)
        elif kind in ("count", "nan") and answer.spoilt is not None:
            self._write(200, data, {}, len(data))
        else:
            self._count(answer)  # before it is sent: the client may look at the count as soon as it has the answer
            if answer.events is None or not service.event_seconds:
                self._write(200, data, {}, len(data))
            else:
                self._dribble(answer.events)

    def _dribble(self, events: Sequence[bytes]) -> None:
        """Events with a pause between them."""
        self._write(200, events[0], {}, sum(map(len, events)))
        for event in events[1:]:
            time.sleep(self.service.event_seconds)
            if self._gone():
                return
            self.wfile.write(event)
            self.wfile.flush()

    def _count(self, answer: Answer) -> None:
        with self.service.lock:
            self.service.seen.answered.update(answer.texts)
            if answer.texts:
                self.service.seen.batch_sizes[len(answer.texts)] += 1

    def _pause(self, began: float) -> None:
        rest = self.service.latency_seconds - (time.perf_counter() - began)
        if rest > 0:
            time.sleep(rest)

    def _send(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        data = json.dumps(content).encode()
        self._write(status, data, headers, len(data))

    def _write(self, status: int, data: bytes, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": self._kind, **headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        # One write for head and body: two small ones would wait for each other's acknowledgement.
        self._headers_buffer.append(b"\r\n")  # type: ignore[attr-defined]
        self._headers_buffer.append(data)  # type: ignore[attr-defined]
        self.flush_headers()

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _gone(self) -> bool:
        """Whether the client has hung up."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
