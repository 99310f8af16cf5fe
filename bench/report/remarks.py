"""What a reader must know before using a figure, and how it was made. One with `!` may change what is concluded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bench.messages.wording import counted
from bench.report import equal_recall, latency, models, synthetic
from bench.report.cells import build_peak, number
from bench.results.model import Result, SystemResult

_NUMBER = re.compile(r"(?<![\w.#/:-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w/:-])(?!\.\w)")
_ABOUT = re.compile(r"(?:[a-z_]+\.)?[^:]{1,60}(?=: )")


class Remark(NamedTuple):
    """about: the system or the part that it is about; empty where it is about the whole. brief: whether it belongs on
    a screen, and not only beside all tables."""

    mark: str
    text: str
    about: str = ""
    brief: bool = True

    def __str__(self) -> str:
        return f"{self.mark} {self.about}: {self.text}" if self.about else f"{self.mark} {self.text}"


def remarks(result: Result) -> list[Remark]:
    """All of them, in the order in which they are printed below the tables."""
    return list(_remarks(result))


def _remarks(result: Result) -> Iterator[Remark]:
    for key, address in result.provenance.addresses.items():
        text = f"{key} was answered by {address}, not by the provider: these are not the provider's figures"
        yield Remark("!", text)
    if result.status == "cancelled":
        yield Remark("!", "the run was cut off; the same command goes on where it stopped")
    for mark, text in synthetic.notes(result):
        yield Remark(mark, text, "synthetic")
    for system in result.systems:
        yield from (Remark("!", note, system.name) for note in _system_notes(system, result))
    yield from (_about(warning) for warning in result.warnings)
    yield from (Remark("·", note, brief=False) for note in result.dataset.notes)
    if result.dataset.only_positives and result.primary.partition("@")[0] != "ANN":
        yield Remark("·", "only positives are judged: a document nobody judged counts as not relevant")
    yield from map(_marked, models.notes(result))
    single = [system.name for system in result.systems if one_build(system)]
    if single:
        yield Remark("·", _one_build_each(", ".join(single)))
    yield from _spread_notes(result)
    yield from map(_marked, equal_recall.notes(result))
    yield from map(_marked, latency.notes(result))
    yield from (_about(note) for note in result.latency_notes)
    yield from _memory_note(result)
    yield from _timing_notes(result)
    yield from _work_note(result)
    if any(s.measures.get(result.primary) for s in result.systems):
        several = any(len(system.builds) > 1 for system in result.systems)
        builds = ", and of builds and seeds where there are several" if several else " only"
        yield Remark("·", f"intervals cover the sampling of queries{builds}", brief=False)
    yield from _tracker_notes(result)


def _marked(line: str) -> Remark:
    """A remark of a table, which begins with its mark. Of those without `!` a screen has none."""
    mark, _, text = line.partition(" ")
    shared = text.startswith("models.")  # what several models have in common is said once
    return _about(text, mark, brief=mark == "!") if shared else Remark(mark, text, brief=mark == "!")


def _about(text: str, mark: str = "!", *, brief: bool = True) -> Remark:
    """A remark whose text begins with what it is about where it is about one thing."""
    about = _ABOUT.match(text)
    return Remark(mark, text[about.end() + 2 :], about[0], brief) if about else Remark(mark, text, brief=brief)


def _system_notes(system: SystemResult, result: Result) -> Iterable[str]:
    if system.status != "success":
        yield f"{system.status.replace('_', ' ')}: {system.error}" if system.error else system.status
    if system.index is not None:
        yield from (f"adjusted: {sentence}" for sentence in system.index.adjusted)
    yield from system.notes
    against = system.against_baseline.get(result.primary)
    if against is not None and against.verdict == "undecided" and against.queries_to_decide is not None:
        yield f"undecided; about {counted(against.queries_to_decide, 'more query')} would decide"


def _one_build_each(names: str) -> str:
    return f"one build each ({names}): how far another build would differ is not known; see `builds`"


def detectable(result: Result) -> str | None:
    """The smallest difference that this test set shows, and what that rests on; None without a comparison."""
    if result.detectable_difference is None or result.baseline is None:
        return None
    text = f"differences under {number(result.detectable_difference)} {result.primary} cannot be seen here"
    basis = result.detectable_basis
    if basis is None:
        return text
    whose = "assumed" if basis.system is None else f"that of {basis.system}"
    return f"{text} ({counted(basis.systems, 'system')} at once, deviation by query {number(basis.deviation)}, {whose})"


def one_build(system: SystemResult) -> bool:
    """Whether the figures rest on one build of an index that comes out differently each time."""
    index = system.index
    return index is not None and not index.flat and not index.reproducible and index.builds == 1


def _spread_notes(result: Result) -> Iterator[Remark]:
    """How far builds of one index differ, in recall against exact search or else in the primary measure."""
    for system in result.systems:
        if system.index is not None and system.index.flat:
            continue
        shown = models.by_seed(system, result.primary)  # in a table of their own
        names = [*(f"ANN@{k}" for k in sorted(system.ann_recall, key=int)), *([] if shown else [result.primary])]
        found = {name: [b[name] for b in system.builds if b.get(name) is not None] for name in names}
        name = next((name for name in names if len(found[name]) > 1), None)
        if name is not None:
            values = [value for value in found[name] if value is not None]
            text = f"{name} from {number(min(values))} to {number(max(values))} over {len(values)} builds"
            yield Remark("·", text, system.name, brief=False)


def _memory_note(result: Result) -> Iterator[Remark]:
    if any(build_peak(system.memory).startswith("+") for system in result.systems):
        text = "by how much this process grew; an engine's first build counts the engine's own buffers too"
        yield Remark("·", text, "build peak +n", brief=False)


def _timing_notes(result: Result) -> Iterator[Remark]:
    reused = sorted({s.latency.measured_at for s in result.systems if s.latency is not None and s.latency.reused})
    if reused:
        when = reused[0] if len(reused) == 1 else f"{reused[0]} to {reused[-1]}"
        yield Remark("·", f"latencies were measured at {when} and not again; --remeasure takes them anew")


def _tracker_notes(result: Result) -> Iterator[Remark]:
    for tracked in result.tracked:
        mark = "!" if tracked.unsent or not tracked.sent else "·"
        rest = f", {tracked.unsent:,} not sent" if tracked.unsent else ""
        link = f", {tracked.link}" if tracked.link else ""
        yield Remark(mark, f"{counted(tracked.sent, 'row', 'sent')}{rest}{link}", tracked.tracker)
        yield from (Remark(" ", note, brief=mark == "!") for note in tracked.notes)


def _work_note(result: Result) -> Iterator[Remark]:
    work = result.work
    parts = {
        ("text", "embedded"): work.texts_embedded,
        ("index", "built"): work.indexes_built,
        ("query", "searched"): work.queries_searched,
        ("pair", "scored"): work.pairs_scored,
    }
    shown = [counted(done.computed, *words) for words, done in parts.items() if done.computed]
    reused = [counted(done.reused, *words) for words, done in parts.items() if done.reused]
    if not shown and reused and all(system.status != "error" for system in result.systems):
        yield Remark("·", "nothing was computed: the whole quality pass came from the cache", brief=False)
    elif shown or reused:
        text = f"computed: {', '.join(shown) or 'nothing'}"
        yield Remark("·", text + (f"; from the cache: {', '.join(reused)}" if reused else ""), brief=False)


# -- grouped -----------------------------------------------------------------------------------------------------


def grouped(found: Sequence[Remark], together: Callable[[Sequence[str]], str]) -> list[Remark]:
    """One remark for all systems and parts that share a cause, with their names in front; where only numbers differ,
    with the lowest and the highest of them. together: how several names are written."""
    groups: dict[tuple[str, str], list[Remark]] = {}
    for remark in found:
        key = _NUMBER.sub("0", _plural(remark.text)) if remark.about else remark.text
        groups.setdefault((remark.mark, key), []).append(remark)
    return [_together(group, together) for group in groups.values()]


def _together(group: Sequence[Remark], together: Callable[[Sequence[str]], str]) -> Remark:
    first = group[0]
    about = together(list(dict.fromkeys(one.about for one in group))) if first.about else ""
    texts = list(dict.fromkeys(one.text for one in group))
    return first._replace(about=about, text=texts[0] if len(texts) == 1 else _ranged([_plural(one) for one in texts]))


def _plural(text: str) -> str:
    """The text as it is said of several, so that `1 more query` and `2 more queries` are one cause."""
    return re.sub(r"\b(\d[\d,]* more )(?:query|round)\b", _several, text)


def _several(found: re.Match[str]) -> str:
    return found[1] + ("queries" if found[0].endswith("query") else "rounds")


def _ranged(texts: Sequence[str]) -> str:
    """Texts that differ in numbers alone, as one."""
    columns = iter(list(zip(*(_NUMBER.findall(text) for text in texts), strict=True)))

    def span(_: re.Match[str]) -> str:
        numbers = sorted(set(next(columns)), key=lambda number: float(number.replace(",", "")))
        return numbers[0] if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"

    return _NUMBER.sub(span, texts[0])
