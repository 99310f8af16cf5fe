"""What a chat may spend, and by which prices it is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import Generator
from bench.chat.spending import Purse
from bench.money.cost import PriceFaults, load_prices
from bench.results.model import SystemResult


class CannotPay(Exception):
    """Prices or a limit that cannot be kept; says why and what to do."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = tuple(faults)


def purse_of(
    experiment: Mapping[str, Any],
    generator: Generator,
    system: SystemResult | None,
    *,
    max_cost: float | None,
    price: str | None,
) -> Purse:
    """The purse of a chat. experiment: of the result, whose prices and limit hold. max_cost: another limit. price:
    READ,WRITTEN of the model, in US dollars per million tokens. Raises CannotPay."""
    identity = generator.identity
    own = [] if price is None else [_price(price, identity.provider, identity.model)]
    try:
        prices = load_prices([*(experiment.get("prices") or ()), *own])
    except PriceFaults as error:
        raise CannotPay(list(error.faults)) from error
    limit = max_cost if max_cost is not None else experiment.get("max_cost")
    purse = Purse(generator, prices, limit, searching=_search_usd(system))
    if not purse.keeps_limit:
        raise CannotPay(
            [
                f"max_cost cannot be kept: no price is known of {identity.provider} {identity.model}, or of a search. "
                "Give the model's in US dollars per million tokens: --price READ,WRITTEN"
            ]
        )
    return purse


def _search_usd(system: SystemResult | None) -> float | None:
    """US dollars that services bill for a search, as measured; 0 where none does, None where that is not known."""
    parts = system.cost.parts if system is not None and system.cost is not None else []
    billed = [part for part in parts if part.of == "queries" and part.provider is not None]
    if any(part.usd is None or not part.count for part in billed):
        return None
    return sum((part.usd or 0.0) / part.count for part in billed)


def _price(text: str, provider: str, model: str) -> dict[str, Any]:
    numbers = text.split(",")
    try:
        read, written = (float(number) for number in numbers)
    except ValueError:
        raise CannotPay(
            [f"--price {text}: write US dollars per million tokens read and written, such as --price 0.25,2.00"]
        ) from None
    about = {"provider": provider, "model": model, "source": "the command line"}
    return {**about, "unit": "per_million_tokens", "usd": read, "output_usd": written}
