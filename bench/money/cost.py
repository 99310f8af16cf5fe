"""Usage and prices to money: pure functions, the same before a run (estimated usage) and after it (reported usage).

None means unknown and is never turned into 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.base import Usage, tokens_by_script

Unit: TypeAlias = Literal["per_million_tokens", "per_thousand_searches"]
Of: TypeAlias = Literal["corpus", "queries"]

Integers: TypeAlias = npt.NDArray[np.int64]


class Tokens(NamedTuple):
    """How tokens are estimated from the size of a text in UTF-8. extra: tokens that a model may add to a text.
    by_script: whether a byte is weighted by how many tokens tokenizers make of its script; otherwise all bytes count
    alike."""

    bytes_each: int
    extra: int
    by_script: bool = False

    def sizes(self, texts: Iterable[str]) -> Integers:
        """Sizes of texts, (n,)."""
        if not self.by_script:
            return text_bytes(texts)
        return np.array([round(self.bytes_each * tokens_by_script(text)) for text in texts], np.int64)


ABOUT = Tokens(4, 0, by_script=True)
AT_MOST = Tokens(1, 2)  # no tokenizer splits a byte
DOCUMENTS_PER_SEARCH = 100
TOKENS_PER_CHUNK = 500  # Cohere's search units count a longer document once per so many tokens


class PriceFaults(Exception):
    """Prices that cannot be read: one sentence each, with its key path."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model in US dollars per unit, with the page that it was read on and the date. output_usd: per
    million tokens that it writes; None for a model that writes nothing, or whose price for that is not known."""

    provider: str
    model: str
    unit: Unit
    usd: float
    source: str
    read_on: str
    output_usd: float | None = None

    def of(self, usage: Usage) -> float | None:
        """What a usage costs; None where the usage does not count the unit of this price."""
        amount = usage.tokens if self.unit == "per_million_tokens" else usage.search_units
        if not amount and (usage.requests or usage.tokens or usage.search_units or usage.output_tokens):
            return None
        if usage.output_tokens and self.output_usd is None:
            return None
        return self._each * amount + (self.output_usd or 0.0) / 1e6 * usage.output_tokens

    def of_each(self, usages: Usages) -> npt.NDArray[np.float64]:
        """What every piece of work costs."""
        amounts = usages.tokens if self.unit == "per_million_tokens" else usages.search_units
        written = 0.0 if usages.output_tokens is None else (self.output_usd or 0.0) / 1e6 * usages.output_tokens
        return np.asarray(self._each * amounts + written, np.float64)

    @property
    def _each(self) -> float:
        return self.usd / (1e6 if self.unit == "per_million_tokens" else 1e3)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by provider and model."""

    by_model: Mapping[tuple[str, str], Price]

    def find(self, provider: str, model: str) -> Price | None:
        """The price of a model, None where it is unknown."""
        return self.by_model.get((provider, model))


NO_PRICES = Prices({})


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    provider: str
    model: str
    unit: Unit
    usd: float = Field(ge=0, allow_inf_nan=False)
    source: str = "the experiment"
    read_on: str = ""
    output_usd: float | None = Field(None, ge=0, allow_inf_nan=False)


def load_prices(overrides: Iterable[Mapping[str, Any]] = ()) -> Prices:
    """The table that comes with the adapters, overridden by an experiment's `prices`. Raises PriceFaults."""
    return Prices({(price.provider, price.model): price for price in (*_shipped(), *_read("prices", overrides))})


@cache
def _shipped() -> tuple[Price, ...]:
    # The base loader leaves 2026-11 a text.
    table = yaml.load((files("adapters") / "prices.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return tuple(_read("prices.yaml", table["prices"]))


def _read(place: str, entries: Iterable[Mapping[str, Any]]) -> list[Price]:
    """place: where the entries stand, for faults. Raises PriceFaults."""
    found: list[Price] = []
    faults: list[str] = []
    for i, entry in enumerate(entries):
        try:
            parsed = _Entry.model_validate({k: str(v) if k == "read_on" else v for k, v in entry.items()})
        except ValidationError as error:
            for item in error.errors(include_url=False):
                key = ".".join(str(step) for step in item["loc"])
                faults.append(f"{place}[{i}].{key}: {item['msg'][:1].lower()}{item['msg'][1:]}.")
        else:
            found.append(Price(**parsed.model_dump()))
    if faults:
        raise PriceFaults(faults)
    return found


def price_of(prices: Prices, provider: str, model: str, usage: Usage) -> float | None:
    """US dollars for a usage; 0 where nothing was sent, None where the price or the amount is unknown."""
    price = prices.find(provider, model)
    if price is None:
        return None if usage.requests or usage.tokens or usage.search_units or usage.output_tokens else 0.0
    return price.of(usage)


@dataclass(frozen=True, slots=True)
class Usages:
    """Usage of many pieces of work: int64 (n,) each. output_tokens: None where no text is written."""

    tokens: Integers
    search_units: Integers
    output_tokens: Integers | None = None

    def total(self, chosen: Any = slice(None)) -> Usage:
        """The sum over chosen positions."""
        return Usage(
            tokens=int(self.tokens[chosen].sum()),
            search_units=int(self.search_units[chosen].sum()),
            output_tokens=0 if self.output_tokens is None else int(self.output_tokens[chosen].sum()),
        )

    def after(self, count: int) -> Usages:
        """Without the first ones."""
        written = None if self.output_tokens is None else self.output_tokens[count:]
        return Usages(self.tokens[count:], self.search_units[count:], written)


def text_bytes(texts: Iterable[str]) -> Integers:
    """Lengths in UTF-8, (n,): no tokenizer makes more tokens of a text."""
    return np.array([len(t) if t.isascii() else len(t.encode("utf-8", "surrogatepass")) for t in texts], np.int64)


def embedding_usage(text_sizes: Integers, tokens: Tokens) -> Usages:
    """What embedding texts of these sizes uses."""
    return Usages(-(-text_sizes // tokens.bytes_each) + tokens.extra, np.zeros_like(text_sizes))


def writing_usage(prompt_sizes: Integers, max_tokens: int, tokens: Tokens) -> Usages:
    """What writing a text for prompts of these sizes uses at most, each text as long as it may be."""
    read = embedding_usage(prompt_sizes, tokens)
    return Usages(read.tokens, read.search_units, np.full_like(prompt_sizes, max_tokens))


def reranking_usage(query_sizes: Integers, document_sizes: Integers, tokens: Tokens) -> Usages:
    """What ranking documents for queries uses, in tokens and in search units: a price takes the one it is per.

    query_sizes: (n,), as `tokens` counts them. document_sizes: (n, depth), -1 for none.
    """
    present = document_sizes >= 0
    pairs = np.where(present, query_sizes[:, None] + document_sizes, 0)
    found = np.where(present, np.maximum(1, -(-pairs // tokens.bytes_each)) + tokens.extra, 0)
    chunks = (-(-found // TOKENS_PER_CHUNK)).sum(axis=1)
    return Usages(found.sum(axis=1), -(-chunks // DOCUMENTS_PER_SEARCH))


@dataclass(frozen=True, slots=True)
class PartWork:
    """The work of one part of a system. part: encoder, index, search, reranker, as the sheet calls it. of: whether the
    work was done for the corpus or for queries. count: for how many documents or queries. provider, model: of a part
    that bills; None for one that costs only the machine's time. seconds: that time as measured; None where it was not
    measured. stage: the part's stage of a live query, as the latency pass names it.
    """

    part: str
    of: Of
    count: int
    provider: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    seconds: float | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class PartCost:
    """A line of the sheet. usd: the cost of all of `count`. price: the price that was used; None for the machine's
    time, and where there is no price."""

    part: str
    of: Of
    count: int
    provider: str | None
    model: str | None
    usd: float | None
    price: Price | None
    seconds: float | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Projection:
    """The size that costs are projected to."""

    documents: int
    queries_per_month: int


@dataclass(frozen=True, slots=True)
class SystemCost:
    """What a system costs.

    corpus_usd: embedding and indexing this corpus once; per_1000_queries_usd: answering queries. None: unknown. With
    machine_usd_per_hour both contain the time of this machine. Without it they contain what providers bill, and are
    unknown where no part bills. per_1000_queries_interval_usd: 95 % interval, computed from the machine's time in the
    rounds of the latency pass; None where that time is not part of the cost or its rounds are not known. disturbed:
    whether some of these rounds were disturbed. projected: corpus_usd, monthly_usd and its interval at the projection's
    size.
    """

    corpus_usd: float | None
    per_1000_queries_usd: float | None
    parts: tuple[PartCost, ...]
    machine_usd_per_hour: float | None = None
    projection: Projection | None = None
    projected: Mapping[str, Any] = field(default_factory=dict)
    per_1000_queries_interval_usd: tuple[float, float] | None = None
    disturbed: bool = False

    @property
    def usage(self) -> Usage:
        """What all parts used together."""
        return sum((part.usage for part in self.parts), Usage())

    def as_dict(self) -> dict[str, Any]:
        """As result.json holds it."""
        return {
            "currency": "USD",
            "corpus_usd": self.corpus_usd,
            "per_1000_queries_usd": self.per_1000_queries_usd,
            "per_1000_queries_interval_usd": self.per_1000_queries_interval_usd,
            "disturbed": self.disturbed,
            "machine_usd_per_hour": self.machine_usd_per_hour,
            "projection": {**asdict(self.projection), **self.projected} if self.projection else None,
            "parts": [asdict(part) for part in self.parts],
        }


def system_cost(
    work: Sequence[PartWork],
    prices: Prices,
    *,
    machine_usd_per_hour: float | None = None,
    projection: Projection | None = None,
    machine_seconds: npt.NDArray[np.float64] | None = None,
    disturbed: bool = False,
) -> SystemCost:
    """The cost sheet of one system from the work of its parts.

    machine_seconds: the machine's time of a live query, by round, NaN where a round gives none; None where the rounds
    are not known. disturbed: whether something else disturbed some of these rounds.
    """
    parts = tuple(_part_cost(item, prices, machine_usd_per_hour) for item in work)
    per_document = _per_one(parts, "corpus", machine_usd_per_hour)
    per_query = _per_one(parts, "queries", machine_usd_per_hour)
    documents = max((part.count for part in parts if part.of == "corpus"), default=0)
    half = None
    if per_query is not None and machine_usd_per_hour is not None and machine_seconds is not None:
        half = _half_width(machine_seconds * machine_usd_per_hour / 3600)
    interval = None if half is None or per_query is None else (max(0.0, per_query - half), per_query + half)
    projected: dict[str, Any] = {}
    if projection is not None:
        projected = {
            "corpus_usd": _times(per_document, projection.documents),
            "monthly_usd": _times(per_query, projection.queries_per_month),
            "monthly_interval_usd": _each_times(interval, projection.queries_per_month),
        }
    return SystemCost(
        corpus_usd=_times(per_document, documents),
        per_1000_queries_usd=_times(per_query, 1000),
        parts=parts,
        machine_usd_per_hour=machine_usd_per_hour,
        projection=projection,
        projected=projected,
        per_1000_queries_interval_usd=_each_times(interval, 1000),
        disturbed=disturbed and interval is not None,
    )


def _half_width(by_round: npt.NDArray[np.float64], level: float = 0.95) -> float | None:
    """Half the width of the interval of a mean over rounds, by Student's t; None under two rounds."""
    from scipy.special import stdtrit

    values = by_round[~np.isnan(by_round)]
    if len(values) < 2:
        return None
    return float(stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values)))


def _each_times(interval: tuple[float, float] | None, count: int) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] * count, interval[1] * count)


def _part_cost(work: PartWork, prices: Prices, machine_usd_per_hour: float | None) -> PartCost:
    price: Price | None = None
    usd: float | None = None
    if work.provider is not None and work.model is not None:
        price = prices.find(work.provider, work.model)
        usd = price_of(prices, work.provider, work.model, work.usage)
    elif machine_usd_per_hour is not None and work.seconds is not None:
        usd = work.seconds / 3600 * machine_usd_per_hour
    return PartCost(work.part, work.of, work.count, work.provider, work.model, usd, price, work.seconds, work.usage)


def _per_one(parts: Sequence[PartCost], of: Of, machine_usd_per_hour: float | None) -> float | None:
    """Dollars per document or query. Without a price for the machine, only parts that bill count."""
    chosen = [part for part in parts if part.of == of and part.count]
    if machine_usd_per_hour is None:
        chosen = [part for part in chosen if part.provider is not None]
    if not chosen or any(part.usd is None for part in chosen):
        return None
    return math.fsum((part.usd or 0.0) / part.count for part in chosen)


def _times(each: float | None, count: int) -> float | None:
    return None if each is None else each * count
