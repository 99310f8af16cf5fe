"""What a result holds of usage and money. null is not known, and never 0."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.results.fields import Fields, Interval


class Used(Fields):
    """What services reported that they did; zeros for work done in this process, null for a system that failed."""

    requests: int | None = Field(None, description="How many requests were answered.")
    tokens: int | None = Field(None, description="How many tokens the answers reported.")
    search_units: int | None = Field(None, description="How many search units the answers reported.")
    retries: int | None = Field(None, description="How many requests were sent again after a failure.")
    waited_seconds: float | None = Field(
        None, description="Seconds that were waited for a limit of the program's own or between retries."
    )
    output_tokens: int | None = Field(None, description="How many tokens the answers reported that a model wrote.")


class PriceUsed(Fields):
    """The price that a part was reckoned with."""

    provider: str = Field(description="Provider that the price is of.")
    model: str = Field(description="Model that the price is of.")
    unit: Literal["per_million_tokens", "per_thousand_searches"] = Field(description="What the price is per.")
    usd: float = Field(description="US dollars per unit.")
    source: str = Field(description="Page that the price was read on, or `the experiment`.")
    read_on: str = Field(description="Day on which the price was read; empty where the experiment gives it.")
    output_usd: float | None = Field(
        None, description="US dollars per million tokens that a model wrote; null for models that write nothing."
    )


class PartOfCost(Fields):
    """A line of the sheet: what one part of a system did for the corpus or for the queries."""

    part: str = Field(description="The part: `encoder`, `index`, `search`, `fuse` or `reranker`.")
    of: Literal["corpus", "queries"] = Field(description="Whether the work was done for the corpus or for the queries.")
    count: int = Field(description="For how many documents or queries it was done; 0 where that is not known.")
    provider: str | None = Field(None, description="Provider that bills for it; null for work done in this process.")
    model: str | None = Field(None, description="Model that is billed for; null for work done in this process.")
    usd: float | None = Field(None, description="US dollars for all of `count`; null where they are not known.")
    price: PriceUsed | None = Field(
        None, description="What it was reckoned with; null for the machine's time, or where there is no price."
    )
    seconds: float | None = Field(None, description="Measured seconds of it; null where they were not measured.")
    usage: Used = Field(Used(), description="What its service reported.")


class ProjectedCost(Fields):
    """The cost at the size that the experiment projects to."""

    documents: int = Field(description="Documents of the projected corpus.")
    queries_per_month: int = Field(description="Queries a month that are projected.")
    corpus_usd: float | None = Field(
        None, description="US dollars for embedding and indexing the projected corpus once; null where not known."
    )
    monthly_usd: float | None = Field(None, description="US dollars a month for the projected queries.")
    monthly_interval_usd: Interval | None = Field(
        None, description="Interval of the dollars a month at 95 %, from the machine's time over the rounds."
    )


class Cost(Fields):
    """What a system costs. With a price of the machine its time is counted; without, only what providers bill."""

    currency: str = Field("USD", description="Currency of every amount, which is the US dollar.")
    corpus_usd: float | None = Field(
        None, description="US dollars for embedding and indexing this corpus once; null where not known."
    )
    per_1000_queries_usd: float | None = Field(
        None, description="US dollars for answering 1,000 queries; null where they are not known."
    )
    per_1000_queries_interval_usd: Interval | None = Field(
        None,
        description="Interval of the dollars for 1,000 queries at 95 %, from the machine's time over the rounds; null "
        "where that time has no part in it or is not known by round.",
    )
    disturbed: bool = Field(
        False, description="Whether some of the rounds that this interval comes from were disturbed."
    )
    machine_usd_per_hour: float | None = Field(
        None, description="US dollars for an hour of this machine; null where the experiment gives no such price."
    )
    projection: ProjectedCost | None = Field(
        None, description="The cost at another size; null where the experiment asks for none."
    )
    parts: list[PartOfCost] = Field([], description="The lines of the sheet, one for each part and kind of work.")
