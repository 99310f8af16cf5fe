"""Systems that are fused from systems: how deep the tree is, how many systems it has, and whether it runs in a circle.
The number of steps is the number of legs, because a few lines can name more paths than a program can walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Tree(NamedTuple):
    """depth: 0 for a system that fuses nothing. systems: how many are in the whole tree, each counted as often as it
    occurs."""

    depth: int
    systems: int


def trees_of(legs: Mapping[str, Sequence[str]]) -> dict[str, Tree]:
    """The tree of each system, by the names of what each fuses; without those that rest on a circle."""
    below = {name: [leg for leg in named if leg in legs] for name, named in legs.items()}
    waits = {name: len(named) for name, named in below.items()}
    above: dict[str, list[str]] = {}
    for name, named in below.items():
        for leg in named:
            above.setdefault(leg, []).append(name)
    found: dict[str, Tree] = {}
    ready = [name for name, count in waits.items() if not count]
    while ready:
        name = ready.pop()
        trees = [found[leg] for leg in below[name]]
        found[name] = Tree(max((t.depth + 1 for t in trees), default=0), 1 + sum(t.systems for t in trees))
        for upper in above.get(name, ()):
            waits[upper] -= 1
            if not waits[upper]:
                ready.append(upper)
    return found


def fuses_itself(legs: Mapping[str, Sequence[str]], name: str) -> bool:
    """Whether a system is among those that it is fused from."""
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        for leg in legs.get(ahead.pop(), ()):
            if leg == name:
                return True
            if leg not in seen:
                seen.add(leg)
                ahead.append(leg)
    return False
