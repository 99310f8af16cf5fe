"""Digests of values, texts and arrays: the addresses of everything that a cache keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

Digests: TypeAlias = npt.NDArray[np.bytes_]

DIGEST_BYTES = 16


def content_key(value: Any) -> str:
    """32 hex digits of a JSON value; equal values have equal keys whatever the order of their keys.

    Raises TypeError for what JSON has no form for: an object's text may hold its address in memory, or hide a
    difference.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_refuse)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()


def deciding(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What of a model's identity decides what it gives, for keys that outlive an upgrade: neither library versions nor
    the device."""
    return {name: value for name, value in identity.items() if name not in ("libraries", "device")}


def _refuse(value: object) -> NoReturn:
    raise TypeError(
        f"No key can be made of {str(value)[:80]!r}, which is of type {type(value).__name__}: it has no form in JSON. "
        "An identity or an option holds text, numbers, true, false, null, lists and mappings of these."
    )


def text_digests(texts: Sequence[str]) -> Digests:
    """16-byte digests of texts, shape (n,), dtype S16."""
    digest = hashlib.blake2b
    joined = b"".join(digest(t.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest() for t in texts)
    return np.frombuffer(joined, dtype=f"S{DIGEST_BYTES}")


def array_digest(array: npt.NDArray[Any]) -> str:
    """32 hex digits of an array's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(array).data.cast("B"), digest_size=DIGEST_BYTES).hexdigest()


def pair_digests(left: Digests, right: Digests) -> Digests:
    """Digests of pairs of digests, shape (n,), dtype S16."""
    digest = hashlib.blake2b
    width = DIGEST_BYTES
    joined = b"".join(
        digest(a.ljust(width, b"\0") + b.ljust(width, b"\0"), digest_size=width).digest()
        for a, b in zip(left.tolist(), right.tolist(), strict=True)
    )
    return np.frombuffer(joined, dtype=f"S{width}")
