"""Bounds what a client accepts from a server: a whole answer within a time, of a bounded size, and only from the
address that was asked.

A library is httpx or one with its interface (httpx2, which the OpenAI SDK speaks with).
"""

from __future__ import annotations

import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from adapters.base import AdapterRejected, is_loopback

LARGEST = 64 << 20  # bytes of an unpacked answer
_SHORTEST_WAIT = 0.001  # seconds; zero would make a socket non-blocking
_PIECE = 1 << 16  # bytes that are unpacked or sent at a time
# Brotli and zstd are not offered, because their decoders in the HTTP libraries cannot bound how much they return at a
# time.
ACCEPTED = "gzip, deflate"
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds. who: the server, in words. seconds: from the sending of a request to the last byte of its answer.
    cure: what to do about an answer that is too large, as a sentence."""

    who: str
    seconds: float
    largest: int = LARGEST
    cure: str = "Check that the address is that of the service."

    def too_large(self) -> AdapterRejected:
        """The error for an answer that is too large."""
        return AdapterRejected(f"{self.who} answered with more than {self.largest / (1 << 20):,.0f} MiB. {self.cure}")

    def elsewhere(self, status: int, url: str, target: str) -> AdapterRejected:
        """The error for an answer that redirects: following it would send key and texts to another address."""
        return AdapterRejected(
            f"{self.who} sends on to {address_shown(target, url)} ({status}), and is not followed there. If "
            "that is where the service is, name that address instead."
        )

    def unreadable(self, coding: str) -> AdapterRejected:
        """The error for an answer in a compression that was not asked for."""
        return AdapterRejected(
            f"{self.who} answered in the compression {one_line(coding)}, which was not asked for. Only "
            f"{ACCEPTED.replace(', ', ' and ')} are read."
        )


def bounded_client(
    library: Any,
    url: str,
    bounds: Bounds,
    *,
    connections: int | None,
    kept_alive: int,
    headers: Mapping[str, str] | None = None,
    hooks: Mapping[str, list[Callable[[Any], None]]] | None = None,
) -> Any:
    """A client of the library for the server at that address. Raises what the library raises, and AdapterRejected.

    connections: the most at a time, None for any number. kept_alive: how many of them stay open.
    """
    limits = library.Limits(max_connections=connections, max_keepalive_connections=kept_alive)
    return library.Client(
        transport=_transport(library, bounds, limits=limits, proxy=proxy_for(url)),
        timeout=bounds.seconds,
        headers=dict(headers or {}),
        event_hooks=dict(hooks or {}),
        follow_redirects=False,
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address; none stands before a server on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return None if not found else found if "://" in found else f"http://{found}"


def address_shown(url: str, base: str = "") -> str:
    """An address without credentials and query, short and printable. base: the address that a relative one starts
    from."""
    try:
        parts = urlsplit(urljoin(base, url))
    except ValueError:  # a half bracket, for instance
        return "an address that is none"
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def one_line(text: str) -> str:
    """Text of foreign origin on one line, short, without control characters."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]} …"


def unpacked(pieces: Iterator[bytes], coding: str, bounds: Bounds) -> Iterator[bytes]:
    """The unpacked bytes of an answer, a little at a time. coding: of Content-Encoding, lower case.

    Raises AdapterRejected above the bound, EOFError and zlib.error for what cannot be unpacked.
    """
    total = 0
    for piece in pieces if coding in ("", "identity") else _inflated(pieces):
        total += len(piece)
        if total > bounds.largest:
            raise bounds.too_large()
        yield piece


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflate: Any = None
    for piece in pieces:
        if not piece:
            continue
        if inflate is None:
            # gzip or zlib by their headers; some servers send deflate without one.
            wrapped = piece[0] == 0x1F or piece[0] & 0x0F == 8
            inflate = zlib.decompressobj(zlib.MAX_WBITS | 32 if wrapped else -zlib.MAX_WBITS)
        while piece and not inflate.eof:
            yield inflate.decompress(piece, _PIECE)
            piece = inflate.unconsumed_tail
    while inflate is not None and not inflate.eof:
        if not (rest := inflate.decompress(b"", _PIECE)):
            raise EOFError("the compressed answer ends in the middle")
        yield rest


def coding_of(value: str | None, bounds: Bounds) -> str:
    """The one compression that Content-Encoding names. Raises AdapterRejected for any that was not asked for."""
    coding = (value or "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise bounds.unreadable(coding)
    return coding


def _transport(library: Any, bounds: Bounds, *, limits: Any, proxy: str | None) -> Any:
    """A transport of the library that keeps the bounds."""

    class Unpacked(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, coding: str) -> None:
            self._stream = stream
            self._coding = coding

        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from unpacked(iter(self._stream), self._coding, bounds)
            except (zlib.error, EOFError) as error:
                raise library.RemoteProtocolError(f"the answer cannot be unpacked ({error})") from error

        def close(self) -> None:
            self._stream.close()

    class Bounded(library.HTTPTransport):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(limits=limits, proxy=proxy)
            self._until = _Until()
            # The library offers no way to pass a backend to its pool, and its own timeouts are for single reads.
            # Without this, an answer whose bytes, or header bytes, come one by one would never end.
            self._pool._network_backend = _Timed(self._pool._network_backend, self._until)

        def handle_request(self, request: Any) -> Any:
            request.headers["Accept-Encoding"] = ACCEPTED
            self._until.moment = time.monotonic() + bounds.seconds
            response = super().handle_request(request)
            try:
                if response.has_redirect_location:
                    raise bounds.elsewhere(response.status_code, str(request.url), response.headers["Location"])
                coding = coding_of(response.headers.get("Content-Encoding"), bounds)
            except BaseException:
                response.close()
                raise
            kept = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
            return library.Response(
                response.status_code,
                headers=kept,
                stream=Unpacked(response.stream, coding),
                extensions=response.extensions,
            )

    return Bounded()


class _Until(threading.local):
    """When the answer to this thread's request must be whole, by time.monotonic()."""

    moment = float("inf")

    def bounded(self, timeout: float | None) -> float:
        left = max(self.moment - time.monotonic(), _SHORTEST_WAIT)
        return left if timeout is None else min(timeout, left)


class _Timed:
    """A network backend, or a stream of one. Its waits end at the time when the answer must be whole."""

    def __init__(self, inner: Any, until: _Until) -> None:
        self._inner = inner
        self._until = until

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, *args: Any, timeout: float | None = None, **more: Any) -> _Timed:
        return _Timed(self._inner.connect_tcp(*args, timeout=self._until.bounded(timeout), **more), self._until)

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Timed:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._until.bounded(timeout))
        return _Timed(inner, self._until)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, timeout=self._until.bounded(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], timeout=self._until.bounded(timeout))
