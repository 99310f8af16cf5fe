"""How a screen calls systems: by their names, cut where there is no room, and never two alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bench.messages.wording import counted
from bench.report.layout import CUT, cleaned, common_part, shortened, width

_SWEPT = re.compile(r"(?P<base>.+)\((?P<options>[\w.]+=[^(),=]+(?:,[\w.]+=[^(),=]+)*)\)")


class Names:
    """shared: what all names begin with, where it is left out."""

    def __init__(self, names: Sequence[str], columns: int | None) -> None:
        """names: of all systems. columns: of the screen; None for names as they are."""
        self._cut: dict[str, str] = {}
        self.most = None if columns is None else max(16, 2 * columns // 5)
        long = self.most is not None and any(width(cleaned(name)) > self.most // 2 for name in names)
        self.shared = common_part(names) if long else ""
        self._bare = _distinct({name: cleaned(name[len(self.shared) :]) for name in names})
        bare = list(self._bare.values())
        self._short = {name: name for name in bare} if self.most is None else shortened(bare, self.most)
        self._spoken = None if columns is None else 3 * columns // 4  # columns of a name in a sentence
        self._said = self._short if self._spoken is None else shortened(bare, self._spoken)

    def __call__(self, name: str) -> str:
        """A system's name in a sentence."""
        bare = self._bare.get(name)
        if bare is None:  # what several systems have in common
            bare = cleaned(name.removeprefix(self.shared))
            return bare if self._spoken is None else self._noted(shortened([bare], self._spoken)[bare], bare)
        return self._noted(self._said[bare], bare)

    def bare(self, name: str) -> str:
        """A system's name before it is cut."""
        return self._bare[name]

    def column(self, cells: Sequence[str], most: int | None = None) -> list[str]:
        """Names, or parts of them that stand for several, in a column. most: columns that it has, at most."""
        if self.most is None:
            return list(cells)
        distinct = list(dict.fromkeys(cells))
        if most is not None and most < self.most:
            short = shortened(distinct, most)
        elif all(cell in self._short for cell in distinct):
            short = self._short
        else:
            short = shortened(distinct, self.most)
        return [self._noted(short[cell], cell) for cell in cells]

    def cut_in(self, text: str) -> dict[str, str]:
        """The names that stand cut in a text, and the whole of each."""
        return {short: whole for short, whole in self._cut.items() if short in text}

    def _noted(self, short: str, whole: str) -> str:
        if short != whole:
            self._cut[short] = self.shared + whole
        return short


def swept(name: str) -> tuple[str, dict[str, str]]:
    """A name as the matrix of lists makes it: its base, and the options that were swept."""
    found = _SWEPT.fullmatch(name)
    if found is None:
        return name, {}
    pairs = [part.partition("=") for part in found["options"].split(",")]
    return found["base"], {key: value for key, _, value in pairs}


def together(names: Sequence[str], naming: Callable[[str], str]) -> list[str]:
    """Names that something holds for: of several settings of one part what they have in common, and how many."""
    bases: dict[str, list[str]] = {}
    for name in names:
        bases.setdefault(swept(name)[0], []).append(name)
    return [
        naming(group[0]) if len(group) == 1 else f"{naming(base)} ({counted(len(group), 'setting')})"
        for base, group in bases.items()
    ]


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """Names that only differ in what a terminal cannot show carry a number."""
    taken: set[str] = set()
    for name, shown in names.items():
        number = 2
        while names[name] in taken:
            names[name] = f"{shown}{CUT}#{number}"
            number += 1
        taken.add(names[name])
    return names
