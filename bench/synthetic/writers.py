"""Generators that write for many documents: made ready, and what they are asked in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from adapters.base import Context, Generator, InvalidOptions
from bench.experiment.languages import language_of
from bench.experiment.parts import Part

DEFAULT = "en"
_DRAWN_FROM = 0.95  # of the probability, where the file says nothing: as doc2query is meant to be used


def ready(part: Part, context: Context, *, tokens: int) -> Generator:
    """A generator of the file. A model on this machine draws, and stops early, where the file does not say otherwise.
    tokens: that it may write for a text where the file says nothing."""
    plain: Generator = part.kind(part.options, context)
    if not plain.samples:
        return plain
    usual: dict[str, Any] = {"max_tokens": tokens, "top_p": _DRAWN_FROM}
    if part.options.model_fields_set & {"temperature", "top_p"}:
        del usual["top_p"]
    if plain.manner == "continuation":
        usual["stop"] = ("\n",)
    changed = {
        name: value
        for name, value in usual.items()
        if name in type(part.options).model_fields and name not in part.options.model_fields_set
    }
    plain.close()
    generator: Generator = part.kind(part.options.model_copy(update=changed), context)
    return generator


def prompt_language(given: str | None, texts: Iterable[str], known: Collection[str]) -> str:
    """The language of a prompt: the one that is given, else that of some texts, where there are prompts in it. Raises
    InvalidOptions for a given one that there is no prompt in."""
    found = given or language_of(texts)
    if found in known:
        return str(found)
    if given is not None:
        raise InvalidOptions(
            f"({given}) is a language that there is no prompt in; there are {', '.join(known)}. Write one of your own: "
            "prompt: …",
            key="language",
        )
    return DEFAULT
