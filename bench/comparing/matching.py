"""Which system of one result is which of the other: by its pipeline, then by its name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from bench.comparing.model import CannotCompare
from bench.results.model import Result, SystemResult

By: TypeAlias = Literal["pipeline", "name"]


class Pair(NamedTuple):
    """A system before and after."""

    old: SystemResult
    new: SystemResult
    by: By


class Matched(NamedTuple):
    """gone: systems of the old result alone. added: of the new one alone."""

    pairs: list[Pair]
    gone: list[SystemResult]
    added: list[SystemResult]


def matched(old: Result, new: Result) -> Matched:
    """The systems of two results, in the order of the new one.

    Of several systems with one pipeline those of equal names belong together. The digest of a fusion names its legs
    alone, so that the pipelines of these are looked at first.
    """
    left, right = {s.name: s for s in old.systems}, {s.name: s for s in new.systems}
    trees, other_trees = pipelines(old), pipelines(new)
    found: dict[str, tuple[str, By]] = {}
    rules: list[tuple[By, Callable[[str], Hashable], Callable[[str], Hashable]]] = [
        ("pipeline", lambda name: (trees[name], name), lambda name: (other_trees[name], name)),
        ("pipeline", lambda name: trees[name], lambda name: other_trees[name]),
        ("pipeline", lambda name: (left[name].hash, name), lambda name: (right[name].hash, name)),
        ("pipeline", lambda name: left[name].hash, lambda name: right[name].hash),
        ("name", lambda name: name, lambda name: name),
    ]
    for by, key, other_key in rules:
        taken = {name for name, _ in found.values()}
        waiting = _grouped((name for name in left if name not in taken), key)
        for name in right:
            if name not in found and (candidates := waiting.get(other_key(name))):
                found[name] = candidates.pop(0), by
    pairs = [Pair(left[found[name][0]], right[name], found[name][1]) for name in right if name in found]
    taken = {pair.old.name for pair in pairs}
    gone = [system for name, system in left.items() if name not in taken]
    return Matched(pairs, gone, [system for name, system in right.items() if name not in found])


def without(found: Matched, names: Sequence[str]) -> Matched:
    """What was matched, less the systems that are to be left out. Raises CannotCompare for a name that is none."""
    known = {s.name for pair in found.pairs for s in (pair.old, pair.new)}
    known |= {system.name for system in (*found.gone, *found.added)}
    if strangers := [name for name in names if name not in known]:
        raise CannotCompare(f"without {', '.join(strangers)}: no such system. There are: {', '.join(sorted(known))}.")
    return Matched(
        [pair for pair in found.pairs if not {pair.old.name, pair.new.name} & {*names}],
        [system for system in found.gone if system.name not in names],
        [system for system in found.added if system.name not in names],
    )


def pipelines(result: Result) -> Mapping[str, Hashable]:
    """By system, what tells its pipeline from another, the legs of a fusion included."""
    systems = {system.name: system for system in result.systems}

    def tree(name: str, above: frozenset[str]) -> Hashable:
        system = systems.get(name)
        if system is None or name in above:  # a leg that the result does not hold: its name is all that is known
            return name
        fusion = system.pipeline.fusion
        legs = tuple(tree(leg, above | {name}) for leg in fusion.legs) if fusion else ()
        return (system.hash, legs)

    return {name: tree(name, frozenset()) for name in systems}


def _grouped(names: Iterable[str], key: Callable[[str], Hashable]) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups
