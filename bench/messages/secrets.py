"""Finds what looks like a secret. Files may not hold it, and it is replaced in whatever is printed, logged or sent.

The shapes are those that their issuers publish. No library is used: detect-secrets has had no release since 2024.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any, TypeVar

Event = TypeVar("Event")

REDACTED = "[redacted]"
_SHORTEST = 8  # fewest characters of a variable's value that is searched for in texts

_NAME = re.compile(
    r"(api[_-]?key|secret|passw(or)?d|passphrase|(access|account|subscription|private|shared|signing)[_-]?key"
    r"|(^|[_-])(token|pwd|sas|bearer|authorization|credentials?|cookie)|connection[_-]?string)$",
    re.IGNORECASE,
)
_QUERY_NAME = (
    r"(?:sig|signature|key|code|auth|pwd|passw(?:or)?d|secret|sas|(?:[a-z]+[_-])?token|(?:[a-z]+[_-])?api[_-]?key"
    r"|subscription[_-]key|client[_-]secret|x-(?:amz|goog)-(?:signature|credential|security-token))"
)
_IN_QUERY = re.compile(rf"([?&;]{_QUERY_NAME}=)(?!\{{)[^&#\s\"'<>]+", re.IGNORECASE)
_PARAMETER = re.compile(_QUERY_NAME, re.IGNORECASE)
# A user name without a password counts as a secret in a web address; elsewhere it may be a container of Azure or a
# login. Every repetition is bounded, because an unbounded search takes time by the square of the text's length.
_IN_ADDRESS = re.compile(
    r"(?<![a-z0-9+.-])(https?://)[^/?#\s@]{1,500}@"
    r"|(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://)[^/?#\s:@]{0,200}:[^/?#\s@]{0,500}@",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9_/.-])(?:"
    # docs.github.com, "About authentication to GitHub", token formats
    r"gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{20,255}"
    # docs.gitlab.com, "Token overview"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{16,255}"
    # docs.aws.amazon.com/IAM, "Unique identifiers": access keys and temporary ones
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    # docs.slack.dev, "Tokens"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255}"
    # RFC 7519: base64url of `{\"`, header and payload
    r"|eyJ[A-Za-z0-9_-]{10,4000}(?:\.[A-Za-z0-9_-]{1,4000}){0,2}"
    # OpenAI, Anthropic, Stripe, Hugging Face, Groq, Replicate, Jina, npm, PyPI, SendGrid, DigitalOcean: their consoles
    r"|sk[-_][A-Za-z0-9_-]{16,255}|rk_live_[A-Za-z0-9]{16,255}|hf_[A-Za-z0-9]{16,255}|gsk_[A-Za-z0-9]{16,255}"
    r"|r8_[A-Za-z0-9]{16,255}|jina_[A-Za-z0-9]{16,255}|npm_[A-Za-z0-9]{16,255}|pypi-AgEI[A-Za-z0-9_-]{16,255}"
    r"|SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}|do[opr]_v1_[a-f0-9]{16,255}"
    # cloud.google.com, "Manage API keys"; OAuth tokens
    r"|AIza[A-Za-z0-9_-]{30,60}|ya29\.[A-Za-z0-9_-]{16,255}"
    r"|(?:Bearer|Basic) +[A-Za-z0-9._~+/-]{16,4000}=*"
    r")"
    # RFC 7468; learn.microsoft.com, "Configure Azure Storage connection strings"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]{0,20000}-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    r"|(?<![A-Za-z])(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)=[^;\s\"'{]{8,2000}"
)
_WHOLE = re.compile(r"co_[A-Za-z0-9_-]{16,255}")
_OF_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)


def is_secret(name: str, value: str, *, below: str = "") -> bool:
    """Whether an option of a file holds a secret, by its name or by its value. below: the key path it stands under."""
    if not value.strip():
        return False
    if _NAME.search(name):
        return True
    if below.rpartition(".")[2] in ("parameters", "headers") and _PARAMETER.fullmatch(name) and "{" not in value:
        return True
    return looks_secret(value)


def looks_secret(value: str) -> bool:
    """Whether a text is or holds something of a well-known secret's shape."""
    return _SHAPES.search(value) is not None or _WHOLE.fullmatch(value) is not None


def secret_in_address(text: str) -> str | None:
    """What an address holds that must stay private; None where it holds nothing such or is no address."""
    if "://" in text and _IN_ADDRESS.search(text):
        return "a user or a password"
    if ("://" in text or text.startswith("/")) and _IN_QUERY.search(text):
        return "a key or a signature"
    return None


def redacted(text: str) -> str:
    """The text with every secret replaced: those of a known shape, those in addresses, and values of variables whose
    names say that they hold one."""
    return _redacted(text, _of_variables())


def holds_secret(variable: str) -> bool:
    """Whether an environment variable holds a secret, by its name."""
    return _OF_VARIABLE.search(variable) is not None


def _of_variables() -> list[str]:
    """The values of variables whose names say that they hold secrets; paths are left out."""
    return [
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and not value.startswith("/") and holds_secret(name)
    ]


def _redacted(text: str, values: Sequence[str]) -> str:
    for value in values:
        text = text.replace(value, REDACTED)
    if "://" in text:
        text = _IN_ADDRESS.sub(lambda match: f"{match[1] or match[2]}{REDACTED}@", text)
    text = _IN_QUERY.sub(lambda match: f"{match[1]}{REDACTED}", text)
    return _SHAPES.sub(REDACTED, text)


def redacted_values(node: Any) -> Any:
    """`redacted` for every text in nested mappings, lists and tuples."""
    return _redacted_values(node, _of_variables())


def _redacted_values(node: Any, values: Sequence[str]) -> Any:
    if isinstance(node, str):
        return _redacted(node, values)
    if isinstance(node, dict):
        return {key: _redacted_values(value, values) for key, value in node.items()}
    if type(node) in (list, tuple):
        return type(node)(_redacted_values(each, values) for each in node)
    return node


def redacted_event(event: Event) -> Event:
    """An event whose texts hold no secret."""
    if not dataclasses.is_dataclass(event) or isinstance(event, type):
        return event
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    changed = {name: new for name, value in values.items() if (new := redacted_values(value)) != value}
    return dataclasses.replace(event, **changed) if changed else event
