"""Whether two results are about the same: which keys must agree, and what is told where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.comparing.matching import Pair
from bench.comparing.model import CannotCompare
from bench.results.model import DatasetInfo, Result

SHARED = "To compare the queries and measures that both have: --on shared"


def check_alike(old: Result, new: Result, *, shared: bool) -> None:
    """Raise CannotCompare, naming each key that differs. shared: whether only what both have is compared."""
    keys = list(_excluded(old, new))
    if not shared:
        keys = [*_data(old.dataset, new.dataset), *keys, *_measures(old, new)]
    elif not shared_measures(old, new):
        keys.append(f"measures: {_named(measures_of(old))} ► {_named(measures_of(new))}: there is none that both have.")
    if keys:
        raise CannotCompare(*keys, *([] if shared else [SHARED]))


def check_filters(pairs: Sequence[Pair], *, shared: bool) -> list[Pair]:
    """The pairs that search the same documents. Raise CannotCompare where some do not, unless only what is shared is
    compared."""
    other = [pair for pair in pairs if pair.old.pipeline.filter != pair.new.pipeline.filter]
    if other and not shared:
        raise CannotCompare(
            *(
                f"systems.{pair.new.name}.filter: {_shown(pair.old.pipeline.filter)} ► "
                f"{_shown(pair.new.pipeline.filter)}: under another filter other documents can be found."
                for pair in other
            ),
            "Leave such a system out: --without NAME",
        )
    return [pair for pair in pairs if pair not in other]


def measures_of(result: Result) -> list[str]:
    """The measures of an experiment, the one that decides first."""
    found = next((list(system.measures) for system in result.systems if system.measures), [])
    return list(dict.fromkeys([result.primary, *found]))


def shared_measures(old: Result, new: Result) -> list[str]:
    """Those that both results have, the new one's primary measure first where it is among them."""
    known = set(measures_of(old))
    return [measure for measure in measures_of(new) if measure in known]


def _data(old: DatasetInfo, new: DatasetInfo) -> Iterator[str]:
    if old.split != new.split:
        yield f"dataset.split: {_shown(old.split)} ► {_shown(new.split)}."
    if old.fingerprint != new.fingerprint:
        counts = {"documents": (old.documents, new.documents), "judged queries": (old.judged, new.judged)}
        told = [f"{what} {a:,} ► {b:,}" for what, (a, b) in counts.items() if a != b]
        why = ", ".join(told) if told else "corpus, queries or judgements were changed"
        yield f"dataset.fingerprint: {old.fingerprint[:12]} ► {new.fingerprint[:12]} ({why})."


def _excluded(old: Result, new: Result) -> Iterator[str]:
    before, after = old.dataset.own_documents_left_out, new.dataset.own_documents_left_out
    alike = before == after if old.dataset.fingerprint == new.dataset.fingerprint else bool(before) == bool(after)
    if not alike:
        yield f"dataset.exclude_self: of {before:,} ► {after:,} queries the own document is left out of all rankings."


def _measures(old: Result, new: Result) -> Iterator[str]:
    before, after = measures_of(old), measures_of(new)
    if old.primary != new.primary or set(before) != set(after):
        yield f"measures: {_named(before)} ► {_named(after)}."


def _named(measures: Sequence[str]) -> str:
    return f"[{', '.join(measures)}]"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
