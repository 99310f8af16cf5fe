"""What generators share: options of how a text is written, and where it stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from pydantic import Field, model_validator

from adapters.base import Message, Options


class WritingOptions(Options):
    """How texts are written. Omitted options are as the model ships."""

    max_tokens: int = Field(1024, ge=1, description="Tokens that a text may have at most.")
    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        description="How freely words are chosen: 0 takes the likeliest; left out, as it ships.",
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the probability that the likeliest next words must hold together to be chosen from; "
        "left out, as the model ships.",
    )
    seed: int | None = Field(
        None, ge=0, lt=2**31, description="Seed of what is chosen at random; left out, the experiment's."
    )
    stop: tuple[str, ...] = Field(
        (), max_length=4, description="Texts at which writing stops, at most four; they are not part of the result."
    )
    system: str | None = Field(
        None, description="Instruction that goes before every prompt that does not bring one; left out, none."
    )

    @model_validator(mode="after")
    def _writes(self) -> Self:
        self.refuse_idle("top_p", "a temperature above 0", heeded=self.temperature != 0)
        if not all(self.stop):
            raise ValueError("stop holds an empty text, at which every text would stop before it begins")
        return self

    def instructed(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, after the instruction of the options where they bring none."""
        if self.system is None or messages[0].role == "system":
            return list(messages)
        return [Message("system", self.system), *messages]


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces of a text up to the first of the stops. Of what could be the beginning of one, nothing is given before
    that is decided."""
    longest = max(map(len, stops), default=0)
    held = ""
    for piece in pieces:
        held += piece
        if found := [place for stop in stops if (place := held.find(stop)) >= 0]:
            if min(found):
                yield held[: min(found)]
            return
        certain = len(held) - max(0, longest - 1)
        if certain > 0:
            yield held[:certain]
            held = held[certain:]
    if held:
        yield held
