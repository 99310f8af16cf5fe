"""The options of the store `http`: what it asks, how it reads the answer, and how it reaches the service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from adapters.base import Options
from adapters.code.http_template import PLACEHOLDER

Json: TypeAlias = Any
Scalar: TypeAlias = str | int | float | bool

_ENVIRONMENT = r"^[A-Za-z_][A-Za-z0-9_]*$"


class HttpIndex(Options):
    """What is asked and how the answer is read; all of it determines the result. The URL, the body and the parameters
    are templates."""

    url: str = Field(
        pattern=r"^https?://[^/\s]",
        description="Address that is asked, with {query}, {k} and other placeholders in its path where the "
        "service wants them there.",
    )
    method: Literal["GET", "POST"] = Field("POST", description="HTTP method of a search.")
    body: Json = Field(
        None,
        description="JSON that a search sends; a string that is nothing but {vector} or {k} becomes numbers, {query} "
        "and other names may stand inside a string.",
    )
    parameters: Mapping[str, Scalar] = Field(
        default_factory=dict,
        description="Parameters of the URL, by name; their values may hold placeholders as the body does.",
    )
    headers: Mapping[str, str] = Field(
        default_factory=dict, description="HTTP headers that are sent along, by name; keys belong into api_key_env."
    )
    ids: str = Field(
        description="Path to the documents' ids in the answer, such as hits.hits.*._id, where * goes over a list."
    )
    scores: str | None = Field(
        None, description="Path to the scores in the answer; left out, the service's order counts."
    )
    texts: str | None = Field(
        None,
        exclude_if=lambda path: path is None,  # an index without it has the key that it had before there was the option
        description="Path to the documents' texts in the answer, such as hits.hits.*._source.text, for systems with "
        "payload: text; left out, no texts are returned.",
    )
    smaller_is_better: bool = Field(
        False, description="Whether the scores are distances, of which the smaller is the better."
    )
    unknown_ids: Literal["error", "ignore"] = Field(
        "error",
        description="What an id that is not in the corpus means: error ends the system, ignore leaves the "
        "document out and counts it.",
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if urlsplit(url).username or urlsplit(url).password:
            raise ValueError("the URL holds a name or a password. Send the key by api_key_env instead.")
        if "{" in urlsplit(url).netloc:
            raise ValueError("the host of the URL cannot be a placeholder. Write it out.")
        return url

    @field_validator("headers")
    @classmethod
    def _no_key(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name in headers:
            if re.search(r"auth|key|token|secret|cookie", name, re.IGNORECASE):
                raise ValueError(f"{name} looks like a key. Name its variable in api_key_env instead.")
        return headers

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        self.refuse_idle("smaller_is_better", "scores", heeded=self.scores is not None)
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """The names in braces in the templates."""
        return frozenset(_names([self.url, self.body, dict(self.parameters)]))


class HttpQuery(Options):
    """What the templates leave open."""

    values: Mapping[str, Scalar] = Field(
        default_factory=dict, description="Values of further placeholders in the templates, such as {ef: 64} for {ef}."
    )


class HttpConnection(Options):
    """How the service is reached."""

    api_key_env: str | None = Field(
        None,
        pattern=_ENVIRONMENT,
        description="Environment variable that holds the service's key; left out, no key is sent.",
    )
    api_key_header: str = Field(
        "Authorization: Bearer {key}",
        pattern=r"^[A-Za-z0-9-]+: .*\{key\}",
        description="Header that carries the key, {key} standing for it.",
    )
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        10, description="Seconds that a request may take, its answer read whole."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="Further tries after 429, 502, 503, 504 or a lost connection, 0 to 10."
    )
    search_threads: Annotated[int, Field(ge=1, le=256)] = Field(
        4, description="Requests under way at once where several queries come in one call, 1 to 256."
    )


def _names(template: Json) -> Iterator[str]:
    if isinstance(template, str):
        yield from PLACEHOLDER.findall(template)
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _names(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _names(value)
