"""What a generator will be asked, and bill, for negatives."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np

from adapters.base import Usage
from bench.cache.digests import content_key
from bench.money.cost import ABOUT, price_of
from bench.synthetic.ahead import seconds_ahead, usage_ahead
from bench.synthetic.answers import prompt_as_plain
from bench.train.mining.written import Written

_SAMPLED = 500  # positives that tell how long a text is


@dataclass(frozen=True, slots=True)
class WritingAhead:
    """key: of what is asked of whom. prompts: pairs of texts, missing: those that nothing is written for, each: texts
    for each. usage: what will be billed, None of a generator that does not bill. usd: None where no price is known.
    seconds: how long it takes on this machine, None where that is not known."""

    key: str
    provider: str
    model: str
    prompts: int
    missing: int
    each: int
    usage: Usage | None
    usd: float | None
    seconds: float | None


def writing_ahead(written: Written, *, timed: bool) -> WritingAhead:
    """What is to be written. timed: whether a model on this machine writes a few to tell the time. The generator is
    closed afterwards. Raises what it raises."""
    answers, missing = written.answers, written.missing
    with closing(answers.generator) as generator:
        identity = generator.identity
        usage = usage_ahead(answers, missing, written.each * _tokens(written)) if generator.bills else None
        return WritingAhead(
            key=content_key([answers.key, *map(prompt_as_plain, written.prompts)]),
            provider=identity.provider,
            model=identity.model,
            prompts=len(written.prompts),
            missing=len(missing),
            each=written.each,
            usage=usage,
            usd=None if usage is None else price_of(answers.budget.prices, identity.provider, identity.model, usage),
            seconds=seconds_ahead(answers, missing) if timed else None,
        )


def _tokens(written: Written) -> int:
    """Tokens of a text that is written: as long as the positives are."""
    sizes = ABOUT.sizes(written.positives[:_SAMPLED])
    return round(float(np.mean(sizes)) / ABOUT.bytes_each) if len(sizes) else 0
