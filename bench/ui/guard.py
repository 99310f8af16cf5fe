"""Who may ask the page: requests of its own tabs, to its own name, and beyond loopback only with the login."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})

# What the tabs ask for, and nothing else that Gradio offers: no code writing, no proxy, no monitoring, no history.
# A number that is drawn at the start says to a tab of an earlier start that it must load the page again.
_STARTED = "/gradio_api/app_id"
_OPEN = ("/assets/", "/static/", "/svelte/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", _STARTED)
_TABS = (
    "/config", "/gradio_api/queue/", "/gradio_api/upload", "/gradio_api/upload_progress", "/gradio_api/file=",
    "/gradio_api/run/", "/gradio_api/heartbeat/", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/info",
    "/gradio_api/startup-events", "/gradio_api/component_server", "/gradio_api/theme.css",
    "/gradio_api/custom_component/", "/gradio_api/stream/", "/theme.css",
)  # fmt: skip

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "object-src 'none'; frame-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Login:
    """Who may come in from beyond loopback."""

    user: str
    password: str = field(repr=False)

    def fits(self, header: str | None) -> bool:
        """Whether a header `Authorization` holds it, as HTTP's basic scheme writes it."""
        kind, _, value = (header or "").partition(" ")
        try:
            given = base64.b64decode(value.strip(), validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())


@dataclass(frozen=True, slots=True)
class Door:
    """Where the page is served. login: None on loopback alone. token: what only tabs of this page send back."""

    host: str
    port: int
    login: Login | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie(self) -> str:
        """Browsers keep cookies by host, so the port stands in the name: two pages on one machine do not meet."""
        return f"bench_{self.port}"

    def knows(self, name: str) -> bool:
        """Whether a request may be addressed to this host: otherwise a stranger's name that leads here (DNS rebinding)
        would make the stranger's page one of ours. With a login the browser sends nothing to another name."""
        return name in LOOPBACK or name == self.host.lower() or (self.host in EVERYWHERE and self.login is not None)


class Guard:
    """An ASGI application around another one. It answers what may not pass itself."""

    def __init__(self, inner: Any, door: Door) -> None:
        self.inner = inner
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, reason = refusal(self.door, scope, headers)
        if scope["type"] != "http":  # the page uses no web sockets
            await send({"type": "websocket.close", "code": 1008, "reason": reason or "no web sockets"})
        elif status:
            await _answer(send, status, reason)
        else:
            await self.inner(scope, receive, _with_headers(send, self.door, page=scope["path"] == "/"))


def refusal(door: Door, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str]:
    """Why a request may not pass, as a status and a sentence; 0 where it may."""
    path, method = unquote(scope["path"]), scope.get("method", "GET")
    host = headers.get("host", "")
    if not door.knows(_name(f"//{host}")):
        return 421, f"{host or 'no host'}: this page is served for {door.host} alone."
    if door.login is not None and not door.login.fits(headers.get("authorization")):
        return 401, "Name and password, please."
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return 403, f"{origin}: requests of other sites are refused."
    page = path == "/" and method in ("GET", "HEAD")
    if headers.get("sec-fetch-site") not in (None, "same-origin", "none") and not page:
        return 403, "Requests of other sites are refused."
    if page or (method in ("GET", "HEAD") and path.startswith(_OPEN)):
        return 0, ""
    if not path.startswith(_TABS) or path.lower().startswith("/gradio_api/file=http"):
        return 404, "There is no such page."
    if not hmac.compare_digest(_cookies(headers).get(door.cookie, "").encode(), door.token.encode()):
        return 403, "Load the page again: this tab was opened before the page was started."
    return 0, ""


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}


def _with_headers(send: Send, door: Door, *, page: bool) -> Send:
    """Answers with the headers of this page. The page itself hands its tab the token."""
    own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if page:
        cookie = f"{door.cookie}={door.token}; Path=/; HttpOnly; SameSite=Strict"
        own += [(b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sending


async def _answer(send: Send, status: int, reason: str) -> None:
    body = f"{reason}\n".encode("utf-8", "backslashreplace")
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="bench", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
