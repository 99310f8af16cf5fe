"""Files as they get broken: seeded mutations of valid bytes, such as disks, editors, exports and people make them."""

from __future__ import annotations

import copy
import gzip
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Mutation: TypeAlias = Callable[[np.random.Generator, bytes, Sequence[bytes]], bytes]

# Bytes that mean something to one of the formats, to a decoder or to a number's reader.
TOKENS = (
    b'"', b"'", b"\\", b"\t", b",", b";", b" ", b"\r", b"\n", b"\r\n", b"\0", b"\x1a", b"\x85", b"\xe2\x80\xa8",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PK\x03\x04", b"\xff", b"\xc3", b"\xed\xa0\x80",
    b"\\ud83d", b"\\udfff", b"\\u0000", b'"\\ud83d":1,', b'"a\\ud83d"', b"\\x", b"\xf0\x9f\x98\x80", b"\xcc\x88",
    b"1e999", b"-1e999", b"NaN", b"Infinity", b"nan", b"inf", b"0x1F", b"1_000", b"-0", b"1e5", b"0.5", b".5",
    b"99999999999999999999", b"9" * 400, b"9" * 5000, b"2147483648", b"-9223372036854775809", b"18446744073709551616",
    b"[", b"]", b"{", b"}", b"[" * 300, b'{"a":' * 300, b"[" * 100_000, b"null", b"true", b"~", b"[]", b"{}", b'""',
    b"&a ", b"*a", b"&a [*a]", b"<<: *a", b"!!python/object:os.system x", b"!!binary x", b"!!set {x}", b"? ", b"- ",
    b": ", b":", b"# ", b"| ", b"> ", b"%", b"@", b"`", b"...\n", b"---\n", b"2024-11-01", b"2024-13-41", b"12:30:45",
    b".inf", b".nan", b"0o7", b"=", b"<<", b"!", b"../../", b"/dev/null", b"$HOME", b"$NOPE", b"~nobody", b"file:///",
    b"<![", b"<!--", b"<![CDATA[", b"&#xD800;", b"&#99999999999;", b"</", b"<script>", b"Q0", b"query-id", b"score",
)  # fmt: skip


def _place(rng: np.random.Generator, data: bytes) -> tuple[int, int]:
    start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return start, min(end, start + int(rng.choice([1, 4, 40, 400])))


def _flip(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, 5)).tolist() if data else ():
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _insert(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + TOKENS[int(rng.integers(len(TOKENS)))] + data[at:]


def _put_first(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    return TOKENS[int(rng.integers(len(TOKENS)))] + data


def _replace(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _place(rng, data)
    return data[:start] + TOKENS[int(rng.integers(len(TOKENS)))] + data[end:]


def _replace_word(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    """A token in place of a whole run of letters or digits, so that the rest stays well formed."""
    at = int(rng.integers(0, len(data) + 1))
    start = end = at
    while start and data[start - 1 : start].isalnum():
        start -= 1
    while end < len(data) and data[end : end + 1].isalnum():
        end += 1
    return data[:start] + TOKENS[int(rng.integers(len(TOKENS)))] + data[end:]


def _remove(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _place(rng, data)
    return data[:start] + data[end:]


def _repeat(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _place(rng, data)
    return data[:end] + data[start:end] * int(rng.integers(1, 4)) + data[end:]


def _splice(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    other = others[int(rng.integers(len(others)))]
    return data[: int(rng.integers(0, len(data) + 1))] + other[int(rng.integers(0, len(other) + 1)) :]


def _swap_lines(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    return b"\n".join(rng.permutation(np.array(data.split(b"\n"), object)).tolist())


def _encode(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    encoding = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")[int(rng.integers(5))]
    return data.decode("latin-1").encode(encoding)


def _pack(rng: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    packed = gzip.compress(data, 1)
    return packed if rng.random() < 0.5 else _flip(rng, packed, others)


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _cut, _insert, _insert, _put_first, _replace, _replace_word, _replace_word, _replace_word, _remove, _repeat,
    _splice, _swap_lines, _encode, _pack,
)  # fmt: skip


def mutated(rng: np.random.Generator, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to three mutations."""
    data = seeds[int(rng.integers(len(seeds)))]
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](rng, data, seeds)
    return data


_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, -(2**63), 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", " ",
    "a\ud83d", "\ud83d", "\0", "a\nb", "😀", "x" * 5000, "1", "none", "nan", "../..", "~", "$NOPE/x", "package:x",
    "a:b", "[0]", ".",
    "a.b", "meta.lang", "2024-11-01", [], {}, [[]], [None], [{}], {"": 0}, {"a\ud83d": 0}, {"list": 1},
    {"gte": "x"}, {"in": []}, [1, "a", None], [[1, 2], [3]], {"adapter": "bm25"}, {"adapter": None},
    {"document": "a", "query": "b"}, ["bm25", "both"],
)  # fmt: skip


def mutated_value(rng: np.random.Generator, value: Any) -> Any:
    """A copy of nested lists and mappings in which one to three places hold something odd, or are gone, or renamed."""
    root = [copy.deepcopy(value)]
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        node: Any = root
        key: Any = 0
        while isinstance(node[key], dict | list) and node[key] and rng.random() < 0.9:
            node = node[key]
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[int(rng.integers(len(keys)))]
        odd = copy.deepcopy(_ODD[int(rng.integers(len(_ODD)))])
        if node is root or rng.random() < 0.6:
            node[key] = odd
        elif rng.random() < 0.5:
            del node[key]
        elif isinstance(node, dict):
            node[str(odd)[:50]] = node.pop(key)
        else:
            node += [node[key], odd]
    return root[0]
