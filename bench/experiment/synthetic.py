"""Synthetic queries: questions that a generator writes for documents, and what the harness holds them to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from adapters.base import Options

PASSAGE = "{passage}"
Use: TypeAlias = Literal["all", "train"]
"""What synthetic queries are for: all, training and evaluation; train, training alone."""


PromptLanguage: TypeAlias = Annotated[
    str | None,
    Field(
        pattern=r"^[a-z]{2}$",
        description="Language of the prompt, such as de; left out, that of the documents as far as it is known.",
    ),
]
PassageCharacters: TypeAlias = Annotated[
    int,
    Field(
        ge=50,
        le=1_000_000,
        description="Characters of a document that the generator reads, from its beginning. Fewer make a model on this "
        "machine faster.",
    ),
]


class RoundTrip(Options):
    """A question is kept where a system finds the document that it was written for."""

    system: str = Field(
        description="Which system must find it: the name of one of the file, or of an encoder or a store of the file; "
        "bm25 needs none."
    )
    top: int = Field(10, ge=1, le=1000, description="Among how many documents it must be found.")


class Synthetic(Options):
    """Questions for documents, written by a generator of the file."""

    by: str = Field(description="Name of the generator that writes them.")
    per_document: int = Field(3, ge=1, le=50, description="Questions that are asked for each document.")
    sample: int | None = Field(
        None,
        ge=1,
        description="Documents that questions are written for, chosen by a hash of their texts; left out, all.",
    )
    round_trip: RoundTrip | None = Field(
        None, description="Which questions are kept: those whose document a system finds. Left out, all."
    )
    prompt: str | None = Field(
        None,
        description="What the generator is asked, with {passage} where the document stands, and {count} for the number "
        "of questions; left out, a prompt in the language of the documents.",
    )
    language: PromptLanguage = None
    passage_characters: PassageCharacters = 4_000
    longest: int = Field(
        300, ge=10, le=10_000, description="Characters that a question may have; longer ones are left out."
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Seed of which documents are chosen, and of the generator where it names none; left out, the "
        "experiment's.",
    )

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if self.prompt is not None and PASSAGE not in self.prompt:
            raise ValueError("the prompt has no {passage}, so that the generator would not see the document")
        self.refuse_idle("language", "a prompt of ours (yours is in its own language)", heeded=self.prompt is None)
        return self


@dataclass(frozen=True, slots=True)
class Written:
    """Synthetic queries. table: Arrow columns `id`, `text`, `document_ids` (the documents that it is for, equal to each
    other) and `share` (where the documents' hash lies, from 0 to 1). about: how they came about, as a result holds it.
    stand_in: whether these only stand in while a run is planned."""

    table: Any
    about: Mapping[str, Any]
    stand_in: bool = False
