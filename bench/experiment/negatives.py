"""How hard negatives are found: documents that look like answers to a query and are none."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from adapters.base import Options

Strategy: TypeAlias = Literal["random", "bm25", "top", "hybrid", "cluster"]
BY_VECTORS: tuple[Strategy, ...] = ("top", "hybrid", "cluster")
"""The strategies that ask a mining model."""

PLACES = 100  # of a ranking that are looked at where range_max is left out


class Negatives(Options):
    """Hard negatives for the pairs that a model learns from."""

    strategy: Strategy = Field(
        "top",
        description="random: documents drawn at random; bm25: the best by BM25; top: the nearest by the mining model; "
        "hybrid: BM25's and the mining model's rankings made one; cluster: documents of the positive's cluster "
        "(k-means over the mining model's vectors).",
    )
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

    @field_validator("strategy", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value == "adversarial":
            raise ValueError(
                "negatives are documents of the collection, and adversarial ones, which a language model writes, are "
                "none. Take hybrid, top, cluster, bm25 or random."
            )
        return value

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option in ("model", "min_score", "max_score", "absolute_margin", "relative_margin", "batch_size"):
            self.refuse_idle(option, "strategy: top, hybrid or cluster", heeded=self.by_vectors)
        for option in ("chunk", "memory_gb"):
            self.refuse_idle(option, "strategy: top, hybrid or cluster", heeded=self.by_vectors)
        for option in ("range_min", "range_max", "sampling"):
            self.refuse_idle(option, "a ranking: strategy: random has none", heeded=self.strategy != "random")
        other = "another strategy: random finds all there are"
        self.refuse_idle("lacking", other, heeded=self.strategy != "random")
        self.refuse_idle("clusters", "strategy: cluster", heeded=self.strategy == "cluster")
        self.refuse_idle("filter_max_score", "filter", heeded=self.filter is not None)
        if self.range_max is not None and self.range_max < self.range_min + self.per_query - 1:
            raise ValueError(
                f"range_max: the places from {self.range_min:,} to {self.range_max:,} are fewer than the "
                f"{self.per_query:,} negatives wanted (per_query)"
            )
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise ValueError(f"min_score ({self.min_score:g}) is above max_score ({self.max_score:g})")
        return self

    @property
    def by_vectors(self) -> bool:
        """Whether a mining model is asked."""
        return self.strategy in BY_VECTORS

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
        return self.model_dump(mode="json", exclude={"model", "filter", "batch_size", "chunk", "memory_gb"})
