"""How hard negatives are found: documents that look like answers to a query and are none, or texts that a language
model writes to look so."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from adapters.base import Options, listed
from bench.experiment.synthetic import PASSAGE, PassageCharacters, PromptLanguage

Strategy: TypeAlias = Literal["random", "bm25", "top", "hybrid", "cluster", "system", "adversarial"]
BY_VECTORS: tuple[Strategy, ...] = ("top", "hybrid", "cluster")
"""The strategies that rank by a mining model."""
WRITTEN: Strategy = "adversarial"
"""The strategy whose negatives are no documents of the collection."""

QUERY = "{query}"
_BOUNDS = ("min_score", "max_score", "absolute_margin", "relative_margin")
_OF_WRITING = ("by", "prompt", "language", "passage_characters")
PLACES = 100  # of a ranking that are looked at where range_max is left out


class Negatives(Options):
    """Hard negatives for the pairs that a model learns from."""

    strategy: Strategy = Field(
        "top",
        description="random: documents drawn at random; bm25: the best by BM25; top: the nearest by the mining model; "
        "hybrid: BM25's and the mining model's rankings made one; cluster: documents of the positive's cluster "
        "(k-means over the mining model's vectors); system: the candidates of a system of this file; adversarial: "
        "texts that a generator of this file writes to look like answers.",
    )
    system: str | None = Field(
        None,
        description="Whose candidates are taken, with strategy: system: the name of a system of this file, or of an "
        "encoder or a store of it; bm25 needs none.",
    )
    by: str | None = Field(
        None, description="Name of the generator of this file that writes them, with strategy: adversarial."
    )
    prompt: str | None = Field(
        None,
        description="What the generator is asked, with {query} and {passage} where a question and its relevant "
        "document stand, and {count} for the number of texts; left out, a prompt in the language of the documents.",
    )
    language: PromptLanguage = None
    passage_characters: PassageCharacters = 4_000
    model: str | None = Field(
        None,
        description="Name of the encoder of this file that mines, perhaps on a device of its own; left out, the base "
        "of the model that is trained.",
    )
    per_query: int = Field(3, ge=1, le=10_000, description="Negatives wanted for each pair, from 1.")
    range_min: int = Field(
        1, ge=1, le=1_000_000, description="First place of the ranking that is taken, from 1; positives have no place."
    )
    range_max: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Last place of the ranking that is taken; left out, 100 places are looked at, or per_query where "
        "that is more.",
    )
    min_score: float | None = Field(
        None, allow_inf_nan=False, description="Lowest score of a negative by the mining model; left out, any."
    )
    max_score: float | None = Field(
        None, allow_inf_nan=False, description="Highest score of a negative by the mining model; left out, any."
    )
    absolute_margin: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="How far a negative's score must be below that of the pair's positive; left out, any.",
    )
    relative_margin: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the positive's score by which a negative must be below it: with 0.05, a negative has at "
        "most 95 % of the positive's score; left out, any.",
    )
    sampling: Literal["top", "random"] | None = Field(
        None,
        description="Which of the places are taken: the first (top) or any, by seed (random); left out, top, and "
        "random with strategy cluster.",
    )
    clusters: int | None = Field(
        None, ge=2, le=100_000, description="Number of clusters; left out, the square root of the number of documents."
    )
    not_same: str | None = Field(
        None,
        pattern=r"^(title|meta\..+)$",
        description="Column of the documents, such as meta.page or title (also as meta.title): a document that shares "
        "the positive's value is no negative; left out, none is left out for that.",
    )
    filter: str | None = Field(
        None,
        description="Name of the reranker of this file, a cross-encoder, that throws out what may be relevant after "
        "all; left out, none does.",
    )
    filter_max_score: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Score by the filter up to which a document may be a negative; left out, up to that of the pair's "
        "positive.",
    )
    lacking: Literal["drop", "random"] = Field(
        "drop",
        description="What becomes of a pair for which fewer negatives are found than wanted: drop leaves it out of "
        "the training, random fills up with documents drawn at random, which only the positives and not_same bar. "
        "Either is told.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Texts that the mining model reads at once; left out, as its own options say.",
    )
    chunk: int = Field(
        200_000, ge=1, le=100_000_000, description="Documents whose vectors are in memory at once, at most."
    )
    memory_gb: float = Field(
        4.0,
        gt=0,
        le=100_000,
        description="Memory for documents' vectors in GB (the model's own not counted): a chunk gets fewer documents "
        "where it would need more.",
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        ranks, written = self.strategy in BY_VECTORS, self.strategy == WRITTEN
        for option in _BOUNDS:
            self.refuse_idle(option, "strategy: top, hybrid, cluster or adversarial", heeded=ranks or written)
        for option in ("model", "batch_size"):
            needs = f"{listed(_BOUNDS)}" if written else "strategy: top, hybrid or cluster"
            self.refuse_idle(option, needs, heeded=self.by_vectors)
        for option in ("chunk", "memory_gb"):
            self.refuse_idle(option, "strategy: top, hybrid or cluster", heeded=ranks)
        needs = f"a ranking: strategy: {self.strategy} has none"
        for option in ("range_min", "range_max", "sampling"):
            self.refuse_idle(option, needs, heeded=self.strategy not in ("random", WRITTEN))
        other = "another strategy: random finds all there are"
        self.refuse_idle("lacking", other, heeded=self.strategy != "random")
        self.refuse_idle("clusters", "strategy: cluster", heeded=self.strategy == "cluster")
        self.refuse_idle("filter_max_score", "filter", heeded=self.filter is not None)
        self.refuse_idle("not_same", "documents: a text that is written has no columns", heeded=not self._columnless)
        self._check_sources()
        if self.range_max is not None and self.range_max < self.range_min + self.per_query - 1:
            raise ValueError(
                f"range_max: the places from {self.range_min:,} to {self.range_max:,} are fewer than the "
                f"{self.per_query:,} negatives wanted (per_query)"
            )
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise ValueError(f"min_score ({self.min_score:g}) is above max_score ({self.max_score:g})")
        return self

    def _check_sources(self) -> None:
        """Refuse a strategy without the part that it takes its negatives from, and such a part without it."""
        for option in _OF_WRITING:
            self.refuse_idle(option, "strategy: adversarial", heeded=self.strategy == WRITTEN)
        self.refuse_idle("system", "strategy: system", heeded=self.strategy == "system")
        if self.strategy == "system" and self.system is None:
            raise ValueError("system is missing: say whose candidates are taken, such as system: bm25")
        if self.strategy != WRITTEN:
            return
        if self.by is None:
            raise ValueError("by is missing: name the generator of this file that writes adversarial negatives")
        lacking = [place for place in (QUERY, PASSAGE) if self.prompt is not None and place not in self.prompt]
        if lacking:
            raise ValueError(f"the prompt has no {' and no '.join(lacking)}, so that the generator would not see it")
        self.refuse_idle("language", "a prompt of ours (yours is in its own language)", heeded=self.prompt is None)

    @property
    def _columnless(self) -> bool:
        return self.strategy == WRITTEN and self.lacking != "random"

    @property
    def bounded(self) -> bool:
        """Whether scores by a mining model leave some out."""
        return any(getattr(self, option) is not None for option in _BOUNDS)

    @property
    def by_vectors(self) -> bool:
        """Whether a mining model is asked."""
        return self.strategy in BY_VECTORS or (self.strategy == WRITTEN and self.bounded)

    @property
    def last_place(self) -> int:
        """The last place of a ranking that is taken."""
        return self.range_max or self.range_min - 1 + max(PLACES, self.per_query)

    @property
    def at_random(self) -> bool:
        """Whether any of the places are taken, not the first."""
        return self.sampling == "random" or (self.sampling is None and self.strategy == "cluster")

    @property
    def draws(self) -> bool:
        """Whether chance has a part in which negatives are found."""
        return self.strategy in ("random", "cluster") or self.at_random or self.lacking == "random"

    def deciding(self) -> dict[str, Any]:
        """The options that decide which negatives are found, for a key. The models stand in it by their identities
        elsewhere; memory decides nothing."""
        elsewhere = {"model", "filter", "batch_size", "chunk", "memory_gb", "system", "by"}
        written = self.model_dump(mode="json", exclude={*elsewhere, *_OF_WRITING})
        # Left out where there is none, so that what was mined before there were any is found again.
        return written | ({} if self.prompt is None else {"prompt": self.prompt})
