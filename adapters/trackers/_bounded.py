"""Bounds what SDKs that use `requests` accept, in the process of a sender."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from adapters.answers import ACCEPTED, Bounds, address_shown, coding_of, unpacked
from adapters.base import AdapterRejected, is_loopback

_PIECE = 1 << 16


def bound_answers(who: str, seconds: float, *, only: Sequence[str] = ()) -> None:
    """Let `requests` follow no redirect, read no more than is accepted, and ask those addresses alone where any are
    named.

    The SDKs make their own sessions, so the adapter class of `requests` is changed for the whole process. The end of
    the process bounds how long an answer takes.
    """
    import requests

    plain = requests.adapters.HTTPAdapter.send
    origins = {_origin(url) for url in only}

    def send(self: Any, request: Any, stream: bool = False, *args: Any, **more: Any) -> Any:
        parts = urlsplit(request.url)
        if origins and _origin(request.url) not in origins:
            raise AdapterRejected(
                f"{who} sends on to {address_shown(request.url)}, which the file does not name. Nothing was sent there."
            )
        if is_loopback(parts.hostname or ""):
            more["proxies"] = {}  # none stands before a server on this machine
        bounds = Bounds(f"{who} at {address_shown(f'{parts.scheme}://{parts.netloc}')}", seconds)
        request.headers["Accept-Encoding"] = ACCEPTED
        response = plain(self, request, True, *args, **more)
        try:
            if response.is_redirect:
                raise bounds.elsewhere(response.status_code, request.url, response.headers["Location"])
            coding = coding_of(response.headers.pop("Content-Encoding", None), bounds)
            pieces = response.raw.stream(_PIECE, decode_content=False)
            content = b"".join(unpacked(pieces, coding, bounds))
        except (zlib.error, EOFError) as error:
            raise requests.exceptions.ContentDecodingError(str(error)) from error
        except BaseException:
            response.close()
            raise
        response.raw = io.BytesIO(content)
        return response

    requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(scheme)
