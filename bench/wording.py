"""Numbers with the words they count."""

from __future__ import annotations

_PLURALS = {"index": "indexes", "query": "queries", "batch": "batches"}


def counted(count: int, *words: str) -> str:
    """`1 index built`, `2 indexes built`: the noun in its number, then what else is said of it."""
    noun, *rest = words
    return " ".join([f"{count:,}", noun if count == 1 else plural(noun), *rest])


def singular(noun: str) -> str:
    """Of a unit of work, which events carry in the plural."""
    return next((one for one, many in _PLURALS.items() if many == noun), noun.removesuffix("s"))


def plural(noun: str) -> str:
    """Of the last word, which is the one that takes it: `hard negative` makes `hard negatives`."""
    first, _, last = noun.rpartition(" ")
    return f"{first} {_PLURALS.get(last, f'{last}s')}".lstrip()
