"""What texts that are not written yet will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from adapters.base import Prompt, Usage, asks_others
from bench.messages.failures import failure_of
from bench.money.cost import ABOUT
from bench.synthetic.answers import Answers

_TIMED = 4  # prompts that a model on this machine writes for, to tell how long all take


def usage_ahead(answers: Answers, prompts: Sequence[Prompt], tokens: int) -> Usage:
    """What a generator that bills will use for prompts. tokens: that are usually written for one."""
    if not prompts:
        return Usage()
    most = answers.most(prompts, ABOUT).total()
    return replace(most, output_tokens=min(most.output_tokens, len(prompts) * tokens), requests=len(prompts))


def seconds_ahead(answers: Answers, prompts: Sequence[Prompt]) -> float | None:
    """How long the texts of prompts take on this machine, from a few of them; None where that is not known."""
    generator = answers.generator
    if not prompts or generator.bills or asks_others(generator.contacts()):
        return None
    sample = prompts[:_TIMED]
    try:
        generator.several(sample[:1], 1)  # loads the model
        began = time.perf_counter()
        generator.several(sample, answers.count)
    except BaseException as error:
        failure_of(error)  # writing meets the same failure and reports it
        return None
    return (time.perf_counter() - began) / len(sample) * len(prompts)
