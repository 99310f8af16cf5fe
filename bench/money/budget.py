"""What may be spent: a limit and prices. The limit is kept while models are asked."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from adapters.base import AdapterError, Encoder, Generator, Reranker, Usage
from bench.money.cost import Prices, Usages, price_of

Billed: TypeAlias = Encoder | Reranker | Generator
"""What a service may bill for."""


class BudgetExceeded(AdapterError):
    """The next request could take the bill over `max_cost`."""


class Budget:
    """Counts what the models of a run use, and stops before the limit is passed.

    limit: USD, None where anything may be spent. spent: USD so far.
    """

    def __init__(self, prices: Prices, limit: float | None) -> None:
        self.prices = prices
        self.limit = limit
        self.spent = 0.0
        self._used: dict[int, Usage] = {}  # by adapter

    def affordable(self, adapter: Billed, most: Usages) -> int:
        """How many of the next pieces of work surely stay within the limit, however many tokens they turn out to have.
        Raises BudgetExceeded where not even the first does.
        """
        price = self.prices.find(adapter.identity.provider, adapter.identity.model)
        if self.limit is None or not adapter.bills or price is None:
            return len(most.tokens)
        dollars = price.of_each(most)
        count = int(np.searchsorted(np.cumsum(dollars), self.limit - self.spent, side="right"))
        if not count:
            raise BudgetExceeded(
                f"max_cost ({self.limit:g} USD) could be passed: {self.spent:,.4f} USD are spent and the next "
                f"request to {adapter.identity.model} may cost {float(dollars[0]):,.4f} USD. What was paid for is "
                "kept; raise max_cost, or run again to spend as much once more."
            )
        return count

    def after(self, adapter: Billed, used: Usage, most: Usage) -> None:
        """Count what an answer says it used; where it does not say, the most that it can have used."""
        if adapter.bills:
            told = self._usd(adapter, used) if used.tokens or used.search_units or used.output_tokens else None
            self.spent += (self._usd(adapter, most) or 0.0) if told is None else told
            self._used[id(adapter)] = self._used.get(id(adapter), Usage()) + used

    def reserve(self, usd: float) -> bool:
        """Count what is about to be spent if it surely stays within the limit. Returns whether it was counted."""
        if self.limit is not None and usd and self.spent + usd > self.limit:
            return False
        self.spent += usd
        return True

    def used(self, adapter: Billed) -> Usage | None:
        """What a model used in this run; None where it was not asked."""
        return self._used.get(id(adapter))

    def _usd(self, adapter: Billed, usage: Usage) -> float | None:
        return price_of(self.prices, adapter.identity.provider, adapter.identity.model, usage)
