"""A result on a screen: the answer, the table of systems best first, what needs saying, and where the rest is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from bench.messages.wording import counted, listed
from bench.report import standings, target_times
from bench.report.answer import Answer
from bench.report.cells import DISTURBED
from bench.report.layout import CUT, Line, Span, cleaned, width, wrapped
from bench.report.names import Names, together
from bench.report.remarks import Remark, detectable, grouped, remarks
from bench.report.sentences import sentences
from bench.results.model import Result

_NARROWEST = 40
_SENTENCES = 4  # of the answer; the rest stands among what needs saying
_REMARK_LINES = 3  # of one remark
_REMARKS = 8  # lines of all of them
_MARKS = {"!": "warn", "·": "dim", " ": ""}


def screen(result: Result, answer: Answer, columns: int | None, *, folder: str | None = None) -> list[Line]:
    """The lines. columns: those of the terminal; None for all there is to say, with names in full, each sentence and
    each row on one line. folder: where the result lies."""
    return list(_Screen(result, answer, None if columns is None else max(columns, _NARROWEST), folder).lines())


def plain(lines: Sequence[Line]) -> str:
    """The text of lines, ending in a line break."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)


class _Screen:
    def __init__(self, result: Result, answer: Answer, columns: int | None, folder: str | None) -> None:
        self.result = result
        self.answer = answer
        self.columns = columns
        self.folder = folder
        self.names = Names([system.name for system in result.systems], columns)

    def lines(self) -> Iterator[Line]:
        lines = list(self._body())
        text = plain(lines)
        footer = [*self._legend(text), *self._footer()]
        yield from lines
        yield from footer

    def _body(self) -> Iterator[Line]:
        told = sentences(self.result, self.answer, self.names)
        answered = told if self.columns is None else told[:_SENTENCES]
        for sentence in answered:
            yield from self._paragraph(cleaned(sentence), style="bold")
        yield []
        yield from self._paragraph(self._caption())
        table = standings.table(self.result, self.answer, self.columns, self.names)
        yield from table.lines
        if table.note:
            yield from self._paragraph(table.note, style="dim")
        for times in target_times.tables(self.result, self.columns):
            yield []
            yield from times
        yield []
        yield from self._remarks(told[len(answered) :], disturbed=table.disturbed)

    def _caption(self) -> str:
        data = self.result.dataset
        name = cleaned(data.name if data.split is None else f"{data.name} ({data.split})")
        return f"{name} · {data.judged:,} of {data.queries:,} queries judged · {counted(data.documents, 'document')}"

    def _paragraph(self, text: str, *, style: str = "", first: str = "", rest: str = "") -> Iterator[Line]:
        for line in wrapped(text, self.columns, first=first, rest=rest):
            yield [Span(line, style)]

    # -- names -----------------------------------------------------------------------------------------------------

    def _legend(self, text: str) -> Iterator[Line]:
        """What names are whole that stand cut in the text."""
        if self.names.shared:
            yield from self._paragraph(f"· each name begins with {cleaned(self.names.shared)}", style="dim", rest="  ")
        for short, name in self.names.cut_in(text).items():
            yield from self._paragraph(f"· {short} = {cleaned(name)}", style="dim", rest="  ")

    # -- what needs saying -----------------------------------------------------------------------------------------

    def _remarks(self, further: Sequence[str], *, disturbed: bool) -> Iterator[Line]:
        found = [Remark("·", sentence) for sentence in further]
        if len(self.result.systems) > 1 and (smallest := detectable(self.result)) is not None:
            found.append(Remark("·", smallest))
        systems = {system.name for system in self.result.systems}
        every = sorted(remarks(self.result), key=lambda one: one.about in systems)  # what concerns all of them first
        if self.columns is not None:
            every = [one for one in every if one.brief]
        if disturbed and self.columns is not None:
            text = f"{DISTURBED} something else on this machine disturbed some of its rounds"
            found.append(Remark("·", f"{text}, which count nevertheless"))
        most = 3 if self.columns is not None else len(self.result.systems)
        ordered = _first_what_matters(found + grouped(every, lambda names: listed(together(names, self.names), most)))
        used, left = 0, 0
        for remark in ordered:
            lines = self._shown(remark)
            if self.columns is not None and used + len(lines) > _REMARKS:
                left += 1
                continue
            used += len(lines)
            for line in lines:
                yield [Span(line[:1], _MARKS.get(line[:1], "")), Span(line[1:], "dim" if remark.mark == "·" else "")]
        if left:
            yield [Span(f"· and {counted(left, 'more remark')}", "dim")]

    def _shown(self, remark: Remark) -> list[str]:
        lines = wrapped(cleaned(str(remark)), self.columns, rest="  ")
        if self.columns is None or len(lines) <= _REMARK_LINES:
            return lines
        kept = lines[:_REMARK_LINES]
        while width(kept[-1]) >= self.columns:
            kept[-1] = kept[-1][:-1]
        return [*kept[:-1], kept[-1] + CUT]

    def _footer(self) -> Iterator[Line]:
        if self.folder is not None:
            yield [Span(f"bench show {shlex.quote(cleaned(self.folder))} --full", "dim")]
            word = "verdict" if self.result.baseline is not None else self.result.primary
            yield [Span(f"bench explain {word}", "dim")]


def _first_what_matters(found: Sequence[Remark]) -> list[Remark]:
    """What may change a conclusion first; what goes on from the remark before it stays behind it."""
    first: list[Remark] = []
    rest: list[Remark] = []
    place = first
    for remark in found:
        place = {"!": first, "·": rest}.get(remark.mark, place)
        place.append(remark)
    return first + rest
