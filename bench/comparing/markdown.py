"""A comparison as Markdown, for a comment on a change.

Names, ids and texts may be a stranger's: they stand in code, where neither HTML nor links nor names of people work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.comparing.model import Changed, Compared, QueryChange, SystemChange
from bench.comparing.sentences import answer_in, gate_lines, shown
from bench.comparing.text import VERDICTS, gains, interval_of, losses, ratio_cells
from bench.messages.fitting import cut
from bench.report.cells import DASH, number

LONGEST = 60_000
"""Characters of all of it: GitHub takes 65,536 in a comment."""
_LONGEST_VALUE = 200
_SHOWN_CHANGES = 40
_TITLES = {"passes": "✅ Retrieval: the gate passes", "fails": "❌ Retrieval: the gate fails",
           "cannot be judged": "⚠️ Retrieval: the gate cannot be judged"}  # fmt: skip


def markdown_of(compared: Compared, *, queries: int = 5) -> str:
    """All of it, ending in a line break; what is too long for a comment is left out and said to be."""
    title = _TITLES[compared.gate.outcome] if compared.gate else "Retrieval: what changed"
    first, *rest = [
        f"### {title}",
        _bullets(answer_in(compared, code)),
        _table(compared),
        _ratios(compared),
        *_queries(compared, queries),
        *_differs(compared),
        _bullets([*map(escaped, compared.notes), *_notes(compared)]),
        _bullets(gate_lines(compared, code)),
    ]
    whole, left = first, False
    for block in rest:
        if block and len(whole) + len(block) + 100 > LONGEST:
            left = True
        elif block:
            whole += f"\n\n{block}"
    return whole + ("\n\nThe rest is too long for a comment: `bench compare` prints it.\n" if left else "\n")


def refusal(keys: Sequence[str]) -> str:
    """Why two results cannot be compared."""
    return f"### ⚠️ Retrieval: the results cannot be compared\n\n{_bullets(map(escaped, keys))}\n"


def code(text: str, *, cell: bool = False) -> str:
    """Foreign text as code. cell: it stands in a table, where a bar would begin the next cell."""
    line = cut(" ".join(text.split()) or " ", _LONGEST_VALUE)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    line = f"{fence}{blank}{line}{blank}{fence}"
    return line.replace("|", "\\|") if cell else line


def escaped(sentence: str) -> str:
    """A sentence that holds foreign words, whole as code where any sign of it could be markup."""
    return sentence if re.fullmatch(r"[\w .,:;()'/%►+–-]*", sentence) and "__" not in sentence else code(sentence)


def _bullets(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {line.removeprefix('! ').removeprefix('· ')}" for line in lines)


def rows_of(header: Sequence[str], rows: Sequence[Sequence[str]], figures: range = range(0)) -> str:
    """figures: which columns are numbers, and so aligned to the right."""
    marks = ["---:" if i in figures else "---" for i in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, marks, *rows))


def _table(compared: Compared) -> str:
    others = [m for m in compared.margins if m != compared.measure]
    header = ["system", "old", "new", f"difference [{100 * compared.interval_level:.4g} %]", "verdict"]
    header += [f"{code(measure, cell=True)} old ► new" for measure in others]
    rows = []
    for system in compared.systems:
        of = system.measures.get(compared.measure)
        cells = [DASH] * 4
        if of is not None:
            verdict = VERDICTS[of.verdict]
            cells = [
                number(of.old),
                number(of.new),
                interval_of(of),
                f"**{verdict}**" if of.verdict == "lost" else verdict,
            ]
        for measure in others:
            other = system.measures.get(measure)
            cells.append(DASH if other is None else f"{number(other.old)} ► {number(other.new)}")
        rows.append([code(system.name, cell=True), *cells])
    return f"{code(compared.measure)}\n\n{rows_of(header, rows, range(1, 4))}" if rows else ""


def _ratios(compared: Compared) -> str:
    rows = [
        [code(system.name, cell=True), ratio.figure, *ratio_cells(ratio)]
        for system in compared.systems
        for ratio in system.ratios
        if ratio.change is not None
    ]
    header = ["system", "figure", "old", "new", f"change × [{100 * compared.interval_level:.4g} %]", "verdict"]
    title = "Times and costs, as ratios to the baseline of each result"
    return f"{title}\n\n{rows_of(header, rows, range(2, 5))}" if rows else ""


def _queries(compared: Compared, most: int) -> Iterator[str]:
    for system in compared.systems if most else ():
        shown_ = [*losses(system, most), *gains(system, most)]
        if shown_:
            count = len(system.queries)
            title = f"{count:,} {'query' if count == 1 else 'queries'} of {_summary(system)} changed"
            header = ["query", "old", "new", "text"]
            yield _details(title, rows_of(header, [_query(query) for query in shown_], range(1, 3)))


def _query(query: QueryChange) -> list[str]:
    text = DASH if query.text is None else code(query.text, cell=True)
    return [code(query.query_id, cell=True), number(query.old), number(query.new), text]


def _differs(compared: Compared) -> Iterator[str]:
    for section, changes in compared.differs.items():
        yield _details(f"What differs: {section}", _changed(changes))
    if "configuration" not in compared.differs:
        for system in compared.systems:
            if system.pipeline:
                yield _details(f"What differs: {_summary(system)}", _changed(system.pipeline))


def _changed(changes: Sequence[Changed]) -> str:
    rows = [[code(c.key, cell=True), *(_value(value) for value in (c.old, c.new))] for c in changes[:_SHOWN_CHANGES]]
    more = len(changes) - _SHOWN_CHANGES
    return rows_of(["key", "old", "new"], rows) + (f"\n\nand {more:,} more" if more > 0 else "")


def _value(value: object) -> str:
    return DASH if value is None else code(shown(value), cell=True)


def _summary(system: SystemChange) -> str:
    """A name in a line of HTML, where code marks are not read."""
    name = cut(" ".join(system.name.split()), 80).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{name}</code>"


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _notes(compared: Compared) -> Iterator[str]:
    grouped: dict[str, list[str]] = {}
    for system in compared.systems:
        for note in system.notes:
            grouped.setdefault(note, []).append(system.name)
        for ratio in system.ratios:
            if ratio.why_not is not None:
                grouped.setdefault(f"{ratio.figure} is not compared: {ratio.why_not}", []).append(system.name)
    for note, systems in grouped.items():
        named = ", ".join(code(name) for name in systems[:3])
        yield f"{named}{f' and {len(systems) - 3} more' if len(systems) > 3 else ''}: {escaped(note)}"
