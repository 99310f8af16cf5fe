"""What a chat spends: reckoned before each call, counted after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.base import Generator, Message, Usage
from bench.money.budget import Budget, BudgetExceeded
from bench.money.cost import AT_MOST, Prices, Usages, price_of, text_bytes, writing_usage

_OF_A_MESSAGE = 16  # tokens that a template may put around a message


class Purse:
    """Counts what the calls of one generator use, and what searches cost.

    limit: US dollars that they may cost together, None for any number. searching: US dollars of a search as it was
    measured, None where that is not known.

    guessed: whether a call did not tell what it used, as one that was stopped: the most that it can have used counts.
    """

    def __init__(
        self, generator: Generator, prices: Prices, limit: float | None, *, searching: float | None = 0.0
    ) -> None:
        self._generator = generator
        self._budget = Budget(prices, limit)
        self._searching = searching
        self.searches = 0
        self.usage = Usage()
        self.guessed = False

    @property
    def keeps_limit(self) -> bool:
        """Whether the limit can be kept: what is written must have a price too."""
        if self._budget.limit is None:
            return True
        if self._searching is None:
            return False
        if not self._generator.bills:
            return True
        identity = self._generator.identity
        price = self._budget.prices.find(identity.provider, identity.model)
        return price is not None and price.output_usd is not None

    def search(self) -> None:
        """Count a search before it is made. Raises BudgetExceeded where it could pass the limit."""
        if not self._budget.reserve(self._searching or 0.0):
            raise self._exceeded("the next search", self._searching or 0.0)
        self.searches += 1

    def check(self, messages: Sequence[Message]) -> Usages:
        """The most that a call can use. Raises BudgetExceeded where it could pass the limit."""
        size = int(text_bytes([message.text for message in messages]).sum()) + _OF_A_MESSAGE * len(messages)
        most = writing_usage(np.array([size], np.int64), self._generator.max_tokens, AT_MOST)
        try:
            self._budget.affordable(self._generator, most)
        except BudgetExceeded as error:
            raise self._exceeded(f"the next call to {self._generator.identity.model}", self._most_usd(most)) from error
        return most

    def _exceeded(self, what: str, usd: float) -> BudgetExceeded:
        return BudgetExceeded(
            f"max_cost ({self._budget.limit:g} USD) could be passed: {self._budget.spent:.6f} USD are spent, {what} "
            f"may cost {usd:.6f} USD. To go on, allow more: --max-cost USD; or let answers be shorter: --option "
            "max_tokens=N"
        )

    def _most_usd(self, most: Usages) -> float:
        identity = self._generator.identity
        return price_of(self._budget.prices, identity.provider, identity.model, most.total()) or 0.0

    def count(self, told: Usage | None, most: Usages) -> None:
        """Count a call. told: what its answer says, None for a call that was stopped."""
        used = Usage() if told is None else told
        self._budget.after(self._generator, used, most.total())
        if not used.tokens and not used.output_tokens:
            self.guessed = True
            used = most.total()
        self.usage += used

    @property
    def usd(self) -> float | None:
        """US dollars so far, of answers and searches; 0 where nobody bills, None where a price is not known."""
        if self._searching is None and self.searches:
            return None
        searched = (self._searching or 0.0) * self.searches
        if not self._generator.bills:
            return searched
        identity = self._generator.identity
        written = price_of(self._budget.prices, identity.provider, identity.model, self.usage)
        return None if written is None else written + searched

    def told(self) -> str:
        """The cost in words."""
        usage, most = self.usage, "at most " if self.guessed else ""
        counts = f"{most}{usage.tokens:,} tokens read, {most}{usage.output_tokens:,} written"
        if self._searching is None:
            return f"Cost: unknown, because the result knows no price of a search ({counts})."
        if self.usd is None:
            identity = self._generator.identity
            return f"Cost: unknown, because no price is known of {identity.provider} {identity.model} ({counts})."
        if not self._generator.bills and not self._searching:
            return f"Cost: none, because nobody bills for it ({counts})."
        searched = f"; searches about {self._searching:.7f} USD each" if self._searching else ""
        return f"Cost: {most}{self.usd:.6f} USD ({counts}{searched})."
