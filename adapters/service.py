"""A managed service as its adapters see it: options of a call, address and key, and what its failures mean."""

from __future__ import annotations

import email.utils
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field

from adapters.answers import LARGEST, Bounds, bounded_client, one_line
from adapters.base import (
    AdapterError,
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    Contact,
    ModelNotFound,
    Options,
    Value,
)
from adapters.slots import Slots

# What reading an answer raises that has another shape than the interface promises: other keys, types and numbers, or
# brackets in brackets without end.
MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

# What one text or too many of them can cause; 424 is how text-embeddings-inference tells that its model failed.
_ABOUT_CONTENT = frozenset({400, 413, 422, 424, 451})
_TOO_LARGE = re.compile(
    r"too (large|long|many|big)|exceed|maximum|\bmax\b|at most|less than|longer than|larger than|reduce|context length",
    re.IGNORECASE,
)
# As OpenAI words a request above its limit per minute and llama.cpp one above its batch, under the status of a failure
# that passes by itself.
_REQUEST_TOO_LARGE = re.compile(r"(request|input|prompt|payload)\b[\w ]{0,20} too (large|long)", re.IGNORECASE)
_NUMBER = r"\D{0,20}?(\d[\d,]*)"
_ASKED = re.compile(
    r"(?:requested|batch size|given|input has|you have|has|resulted in|too many tokens|got)" + _NUMBER, re.IGNORECASE
)
_MOST = re.compile(
    r"(?:\bmax(?:imum)?\b[a-z' ]{0,40}|less than|at most|\blimit|shorter than|exceeds?[a-z' ]{0,40}?)" + _NUMBER,
    re.IGNORECASE,
)
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_MESSAGE_CHARACTERS = 300
_MOST_COUNTED = 10**12  # tokens of one request


class CallOptions(Options):
    """What every managed service takes."""

    base_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Address of the service, such as https://host/v1; left out, the variable that the provider's "
        "SDK reads, else the provider's own.",
    )
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key; left out, the one that the provider's SDK reads, "
        "and none for an address that this file names.",
    )
    concurrency: int = Field(8, ge=1, le=256, description="Requests under way at once, 1 to 256.")
    requests_per_minute: float | None = Field(
        None, gt=0, description="Requests sent in a minute at most, every try counted; left out, no limit."
    )
    tokens_per_minute: float | None = Field(
        None,
        gt=0,
        description="Tokens sent in a minute at most, estimated before a call and corrected by its answer; left "
        "out, no limit.",
    )
    timeout_seconds: float = Field(
        60.0, gt=0, description="Seconds after which the answer of one try must have come whole."
    )
    max_retries: int = Field(
        8, ge=0, le=50, description="Further tries of a request that failed in a way that passes, 0 to 50."
    )
    backoff_seconds: float = Field(
        0.5, ge=0, description="Seconds of the first pause between tries; later ones double, jittered."
    )
    longest_wait_seconds: float = Field(
        120.0,
        ge=0,
        description="Seconds that a pause between tries lasts at most, also where the service asks for more.",
    )


class Retryable(Exception):
    """A try failed in a way that another may cure. error: what to raise when none did; after: seconds to wait first,
    as the service asks; cause: the SDK's exception where it may be shown; unusable: an answer came whole, and no use
    can be made of it."""

    def __init__(
        self,
        error: AdapterError,
        *,
        after: float | None = None,
        cause: BaseException | None = None,
        unusable: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after
        self.cause = cause
        self.unusable = unusable


class RequestRefused(AdapterRejected):
    """The service refuses a request for what it holds: in smaller ones, part of it may be taken.

    too_large: it says, or may mean, that there is too much of it; surely: no doubt of that. asked, most: how much it
    counted and how much it takes, where it tells both. known: it was not asked again.
    """

    def __init__(
        self,
        message: str,
        *,
        too_large: bool = False,
        surely: bool = False,
        asked: int | None = None,
        most: int | None = None,
        known: bool = False,
    ) -> None:
        super().__init__(message)
        self.surely = surely or asked is not None
        self.too_large = too_large or self.surely
        self.asked = asked
        self.most = most
        self.known = known


class Service:
    """Who is called: names, address and key, and how its refusals are told.

    own_address: the provider's own; anything else is the `address` of an Identity. slots: the calls under way; the
    `client` takes and gives them back.
    """

    def __init__(
        self,
        title: str,
        options: CallOptions,
        *,
        own_address: str | None,
        address_env: str | None,
        key_env: str | None,
        own_addresses: frozenset[str] = frozenset(),
    ) -> None:
        given = options.base_url or (os.environ.get(address_env) if address_env else None) or own_address
        assert given is not None
        self.title = title
        self._options = options
        self._seconds = options.timeout_seconds
        self._concurrency = options.concurrency
        self.slots = Slots(options.concurrency)
        self.url = given.rstrip("/")
        self.address = None if own_address and _same_place(self.url, own_address) else without_credentials(self.url)
        self.named_by_file = (
            options.base_url is not None and self.address is not None and options.base_url not in own_addresses
        )
        # A file that somebody else wrote must not draw a key to its address: it has to name the variable as well.
        self.key_variable = options.api_key_env or (None if self.named_by_file else key_env)

    @property
    def key(self) -> str | None:
        """The key, read when asked for and kept nowhere."""
        return (os.environ.get(self.key_variable) or "").strip() or None if self.key_variable else None

    def check_key(self) -> None:
        """Raise AdapterRejected when there is no key, unless a server of one's own may do without."""
        if self.key is None and self.address is None:
            raise AdapterRejected(
                f"{self.title} needs an API key. Set it: export {self.key_variable}=…, or name the variable that holds "
                "it: api_key_env: NAME"
            )

    def called(self) -> dict[str, Value]:
        """How a client of adapters/code calls the service. An address that a variable of the environment names is left
        to that variable."""
        return {
            "base_url": None if self._options.base_url is None else self.url,
            "key": self.key_variable,
            "timeout_seconds": self._options.timeout_seconds,
            "max_retries": self._options.max_retries,
        }

    def contact(self) -> Contact:
        """Who is called, and whose key goes there."""
        return Contact(self.url_shown, self.key_variable, own=not self.named_by_file)

    def client(
        self, library: Any, *, headers: Mapping[str, str] | None = None, largest: int = LARGEST, streams: bool = False
    ) -> Any:
        """A client of an HTTP library (httpx, or one with its interface) for this service, with the bounds of answers.

        largest: bytes of an answer. streams: whether answers are handed on as they come, not when they are whole.
        """

        def leave(request: Any) -> None:
            self.slots.leaving()

        def arrived(response: Any) -> None:
            if not streams or response.is_error:  # what was refused is told whole
                response.read()
            self.slots.answered()

        return bounded_client(
            library,
            self.url,
            Bounds(self.at, self._seconds, largest, "Check base_url, or ask for less in one request."),
            connections=self._concurrency,
            kept_alive=self._concurrency,
            headers=headers,
            hooks={"request": [leave], "response": [arrived]},
        )

    @property
    def at(self) -> str:
        """The service in words."""
        return self.title if self.address is None else f"{self.title} at {self.address}"

    def scrubbed(self, text: object) -> str:
        """Text without the key, on one line, cut to a few hundred characters."""
        line = " ".join(scrub(str(text), [self.key]).split())
        return line if len(line) <= _MESSAGE_CHARACTERS else f"{line[:_MESSAGE_CHARACTERS]} …"

    def showable(self, error: BaseException) -> BaseException | None:
        """The exception, if neither it nor what it carries shows the key: what `raise … from` may keep."""
        shown = f"{error}{error!r}{getattr(error, 'body', '')}{getattr(error, 'headers', '')}"
        return None if self.key and self.key in shown else error

    def failed(
        self,
        status: int,
        message: object,
        *,
        headers: Mapping[str, str] | None = None,
        error: BaseException,
        exhausted: bool = False,
    ) -> Exception:
        """What an answer with an error status means: Retryable, or the AdapterError to raise.

        exhausted: the service says that the account's quota is spent, which no retry cures.
        """
        said = self.scrubbed(message)
        cause = self.showable(error)
        if not exhausted and (status in _ABOUT_CONTENT or (status in TRANSIENT and _REQUEST_TOO_LARGE.search(said))):
            final: AdapterError = self._content_refused(status, said)
        elif status in TRANSIENT and not exhausted:
            return Retryable(self._transient(status, said), after=retry_after(headers or {}), cause=cause)
        elif exhausted:
            final = AdapterRejected(
                f"{self.at} refused because the quota of the account behind {self.key_variable or 'this call'} is "
                f"exhausted ({status}): {said} Check the account's plan and billing."
            )
        elif status in (401, 403):
            final = self._not_allowed(status, said)
        elif status == 404:
            final = ModelNotFound(f"{self.at} does not have it (404): {said}")
        else:
            final = AdapterRejected(f"{self.at} refused the request ({status}): {said}")
        final.__cause__ = cause
        return final

    def _content_refused(self, status: int, said: str) -> RequestRefused:
        asked, most = _amounts(said)
        return RequestRefused(
            f"{self.at} refused the request ({status}): {said}",
            too_large=_TOO_LARGE.search(said) is not None,
            surely=status == 413,
            asked=asked,
            most=most,
        )

    def _transient(self, status: int, said: str) -> AdapterError:
        if status != 429:
            return AdapterUnavailable(f"{self.at} failed ({status}): {said}")
        return AdapterRejected(
            f"{self.at} refused for its rate limit (429) until the last retry: {said} Lower "
            "requests_per_minute, tokens_per_minute or concurrency."
        )

    def _not_allowed(self, status: int, said: str) -> AdapterRejected:
        if self.key:
            return AdapterRejected(f"{self.at} refused the key in {self.key_variable} ({status}): {said}")
        if self.key_variable is None:
            return AdapterRejected(
                f"{self.at} refused a call without a key ({status}): {said} The file names this address, so it "
                "must name the variable too whose key goes there: api_key_env: NAME"
            )
        return AdapterRejected(
            f"{self.at} refused a call without a key ({self.key_variable} is not set) ({status}): {said}"
        )

    def timed_out(self, seconds: float, error: BaseException) -> Retryable:
        """No answer in time."""
        return Retryable(
            AdapterTimeout(f"{self.at} gave no answer within {seconds:g} s (timeout_seconds)."),
            cause=self.showable(error),
        )

    def unreachable(self, error: BaseException) -> Exception:
        """No connection, or one that broke; or why the client would not read the answer, where an SDK hides that."""
        if isinstance(error.__cause__, AdapterError):
            return error.__cause__
        said = self.scrubbed(error) or type(error).__name__
        return Retryable(
            AdapterUnavailable(f"{self.at} cannot be reached or broke off ({self.url_shown}): {said}"),
            cause=self.showable(error),
        )

    def broke_off(self, said: object = None) -> Retryable:
        """A streamed answer that ends before its end. said: what the service tells of it."""
        why = f": {self.scrubbed(said)}" if said else "."
        return Retryable(AdapterUnavailable(f"{self.at} broke off in the middle of its answer{why}"))

    def malformed(self, what: str, error: BaseException | None = None) -> Retryable:
        """An answer that lacks something, which another try may bring."""
        return Retryable(
            AdapterRejected(f"{self.at} answered with something unusable until the last retry: {what}"),
            cause=self.showable(error) if error else None,
            unusable=True,
        )

    def misshapen(self, what: str, error: BaseException | None = None) -> AdapterRejected:
        """An answer of another shape than the interface promises: the service speaks another one, whenever asked."""
        told = AdapterRejected(
            f"{self.at} answered with something unusable: {what}. Check that the address is of a service with this "
            "adapter's interface."
        )
        told.__cause__ = self.showable(error) if error else None
        return told

    @property
    def url_shown(self) -> str:
        """The address without credentials."""
        return without_credentials(self.url)


def _amounts(said: str) -> tuple[int, int] | tuple[None, None]:
    """How much a refusal says was asked for and may be, where it tells both: Requested 449770 tokens, max 300000."""
    found = _ASKED.search(said), _MOST.search(said)
    if found[0] is None or found[1] is None:
        return None, None
    asked, most = (int(match[1].replace(",", "")) for match in found if match)
    return (asked, most) if asked > most > 0 else (None, None)


def counted(*amounts: Any) -> int:
    """The first amount that an answer tells, as a whole number; 0 where it tells none.

    Raises ValueError for what is no amount: a bill cannot be read from it.
    """
    found = next((amount for amount in amounts if amount), 0)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _MOST_COUNTED:
        raise ValueError(f"{shown(found)} is no amount")
    return round(found)


def shown(value: Any) -> str:
    """A value of an answer as a message shows it. A number of very many digits cannot be turned into text."""
    try:
        return one_line(repr(value))
    except (ValueError, RecursionError):
        return f"of type {type(value).__name__}"


def quota_exhausted(body: object) -> bool:
    """Whether an error's body says by its code or type, as OpenAI's does, that the account's quota is exhausted."""
    error = body.get("error", body) if isinstance(body, Mapping) else None
    return isinstance(error, Mapping) and "insufficient_quota" in (error.get("code"), error.get("type"))


def scrub(text: str, secrets: Iterable[str | None]) -> str:
    """Text in which every secret is replaced, also where it stands escaped as JSON writes it."""
    for secret in secrets:
        if secret:
            for form in {secret, json.dumps(secret)[1:-1]}:
                text = text.replace(form, "[key]")
    return text


def without_credentials(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: retry-after-ms, or Retry-After in seconds or as a date. None if not said.

    Source: RFC 9110, section 10.2.3; retry-after-ms is OpenAI's.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = lower.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if np.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _same_place(url: str, other: str) -> bool:
    mine, theirs = urlsplit(url.rstrip("/")), urlsplit(other.rstrip("/"))
    return (mine.scheme, mine.netloc.lower(), mine.path) == (theirs.scheme, theirs.netloc.lower(), theirs.path)
