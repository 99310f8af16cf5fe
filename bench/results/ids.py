"""Ids as TREC's files hold them. What a field cannot hold (white space) is percent-encoded there, and nowhere else.

Files of other programs hold ids as they are, percent signs included. So an id is read as it stands, and it is decoded
only where the dataset has no id of that name. The writer makes sure that its own files are read back correctly.
"""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import quote, unquote

CANNOT_STAND = re.compile(r"[\s\x00\ufeff]")
"""Characters that would end a field or a line, that a reader strips from the file's beginning, or that are no text."""
# Where an id is encoded, a percent sign that would read as an encoding is encoded too.
_TO_ENCODE = re.compile(r"[\s\x00\ufeff]|%(?=[0-9A-Fa-f]{2})")
# No text holds this byte in UTF-8. It ends an encoded id that would otherwise equal another id.
_PADDING = "%FE"


def encode_id(name: str, known: Container[str] = ()) -> str:
    """An id as a run file holds it. known: the dataset's ids, none of which the encoded one may be."""
    if not CANNOT_STAND.search(name):
        return name
    text = _TO_ENCODE.sub(lambda match: quote(match[0], safe=""), name)
    while text in known:
        text += _PADDING
    return text


def known_id(name: str, known: Container[str]) -> str | None:
    """The dataset's id that an id of a run file stands for, None where there is none."""
    if name in known:
        return name
    if "%" not in name:
        return None
    while name.endswith(_PADDING):
        name = name.removesuffix(_PADDING)
    decoded = unquote(name)
    return decoded if decoded in known else None
