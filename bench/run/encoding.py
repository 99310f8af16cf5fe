"""Encodes texts with an encoder of an experiment: through its cache, and within what it may spend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.base import Role, hub_offline
from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.messages.wording import counted
from bench.quality.embedding import PLURAL
from bench.quality.stages import Emit
from bench.run.cache_use import using_cache
from bench.run.costs import BillLine, bill_lines, bill_of_texts, over_limit
from bench.run.preflight import budget_of
from bench.train.encoding import Keeping, Named
from bench.train.texts import Text


def keeping_of(experiment: Experiment, cache: Path) -> Keeping:
    """Where the vectors of an experiment's encoders are kept, and what they may cost. Raises ConfigFaults."""
    return Keeping(experiment, Cache(cache), budget_of(experiment))


@contextmanager
def encoding(named: Named, emit: Emit) -> Iterator[None]:
    """Inside it the encoder is at work, and the cache in use where vectors are kept."""
    with closing(named.encoder):
        if named.keeping is None:
            yield
            return
        with using_cache(named.keeping.experiment, named.keeping.cache.folder, emit):
            yield


def check_bill(named: Named, lots: Sequence[tuple[Role, Sequence[Text]]], emit: Emit) -> None:
    """Raise ConfigFaults where encoding texts would cost more than its experiment may spend. lots: texts by role."""
    if named.keeping is not None:
        bill = [line for role, texts in lots for line in _bill(named, named.keeping, role, texts, emit)]
        if faults := over_limit(bill, named.keeping.budget):
            raise ConfigFaults([f"{named.keeping.experiment.file}: {fault}" for fault in faults])


def plan_encoding(named: Named, lots: Sequence[tuple[Role, Sequence[Text]]], emit: Emit) -> str:
    """What encoding texts takes, as plain text. Nothing is billed, and nobody is asked."""
    lines: list[str] = []
    bill: list[BillLine] = []
    with hub_offline():
        for role, texts in lots:
            if named.keeping is None:
                lines.append(f"{named.word} ({PLURAL[role]}): {counted(len(texts), 'text')} to embed, not kept")
                continue
            missing, total, _ = named.keeping.embedding(texts, role, emit).pending(named.encoder, role)
            state = f"{missing:,} of {counted(total, 'text')} to embed" if missing else f"{total:,} texts, all cached"
            lines.append(f"{named.word} ({PLURAL[role]}): {state}")
            bill += _bill(named, named.keeping, role, texts, emit)
    return "\n".join([*lines, *bill_lines(bill)]) + "\n"


def _bill(named: Named, keeping: Keeping, role: Role, texts: Sequence[Text], emit: Emit) -> list[BillLine]:
    if not named.encoder.bills:
        return []
    sizes = keeping.embedding(texts, role, emit).sizes_pending(named.encoder, role)
    return [bill_of_texts(named.word, named.encoder, role, sizes, keeping.budget.prices)] if len(sizes) else []
