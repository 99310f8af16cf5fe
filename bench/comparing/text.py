"""A comparison as plain text: the answer first, regressions before all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.comparing.model import Change, Changed, Compared, Difference, QueryChange, Ratio, SystemChange
from bench.comparing.sentences import Naming, answer_in, differs_line, gate_lines
from bench.messages.fitting import cut, padded, shortened, width_of, wrapped
from bench.messages.wording import counted
from bench.report.cells import DASH, number, signed

WIDTH = 80
VERDICTS: dict[Change | None, str] = {
    "lost": "LOST", "gained": "gained", "not_worse": "within margin", "undecided": "undecided",
    "identical": "identical", None: DASH,
}  # fmt: skip
SHOWN_CHANGES = 8  # lines of a section of what differs
_SYSTEMS_WITH_QUERIES = 3


def text_of(compared: Compared, *, queries: int = 5, width: int = WIDTH) -> str:
    """All of it, ending in a line break. queries: how many of each system are shown."""
    known = [system.name for system in compared.systems]
    known += [one.name for one in (*compared.gone, *compared.failed, *compared.added)]
    names = shortened(known, max(10, width - 55))
    naming = _naming(names)
    blocks = [
        _lines(answer_in(compared, naming), width),
        _table(compared, names) if compared.systems else [],
        *(_others(compared, names, width)),
        *_ratios(compared, names, width),
        *_queries(compared, names, queries, width),
        *_differs(compared, names, width),
        _lines([f"· {note}" for note in _notes(compared, naming)], width, indent=2),
        _lines(gate_lines(compared, naming), width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _naming(names: Mapping[str, str]) -> Naming:
    """Names as the table has them; other foreign words as they are."""
    return lambda text: names.get(text, text)


def _lines(sentences: Sequence[str], width: int, indent: int = 0) -> list[str]:
    return [line for sentence in sentences for line in wrapped(sentence, width, then=" " * indent)]


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, as a terminal shows them."""
    if not rows:
        return []
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(padded(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def interval_of(of: Difference) -> str:
    if of.interval is None:
        return signed(of.difference)
    return f"{signed(of.difference)} [{signed(of.interval[0])}, {signed(of.interval[1])}]"


def _table(compared: Compared, names: Mapping[str, str]) -> list[str]:
    rows = [["system", "old", "new", f"difference [{100 * compared.interval_level:.4g} %]", "verdict"]]
    for system in compared.systems:
        of = system.measures.get(compared.measure)
        if of is None:
            rows.append([names[system.name], DASH, DASH, DASH, DASH])
        else:
            rows.append([names[system.name], number(of.old), number(of.new), interval_of(of), VERDICTS[of.verdict]])
    return [compared.measure, *(f"  {line}" for line in grid(rows))]


def _others(compared: Compared, names: Mapping[str, str], width: int) -> Iterator[list[str]]:
    """Other measures, as many as fit beside each other."""
    others = [m for m in compared.margins if m != compared.measure]
    others = [m for m in others if any(s.measures.get(m) for s in compared.systems if s.measures)]
    room = width - 4 - max((width_of(name) for name in names.values()), default=0)
    while others:
        shown, used = list[str](), 0
        while others and (not shown or used + max(18, len(others[0]) + 2) <= room):
            used += max(18, len(others[0]) + 2)
            shown.append(others.pop(0))
        rows = [["system", *shown]]
        for system in compared.systems:
            rows.append([names[system.name], *(_means(system.measures.get(m)) for m in shown)])
        yield ["other measures, old ► new", *(f"  {line}" for line in grid(rows))]


def _means(of: Difference | None) -> str:
    if of is None:
        return DASH
    mark = {"lost": " LOST", "gained": " gained"}.get(of.verdict or "", "")
    return f"{number(of.old)} ► {number(of.new)}{mark}"


def _ratios(compared: Compared, names: Mapping[str, str], width: int) -> Iterator[list[str]]:
    known = [(s, r) for s in compared.systems for r in s.ratios if r.change is not None]
    if known:
        rows = [["system", "figure", "old", "new", f"change × [{100 * compared.interval_level:.4g} %]", ""]]
        rows += [[names[s.name], r.figure, *ratio_cells(r)] for s, r in known]
        yield ["times and costs, as ratios to the baseline of each result", *(f"  {line}" for line in grid(rows))]
    reasons: dict[tuple[str, str], list[str]] = {}
    for system in compared.systems:
        for ratio in system.ratios:
            if ratio.why_not is not None:
                reasons.setdefault((ratio.figure, ratio.why_not), []).append(system.name)
    if reasons:
        told = [f"· {figure} is not compared: {why}" for figure, why in reasons]
        yield _lines(told, width, indent=2)


def ratio_cells(ratio: Ratio) -> list[str]:
    assert ratio.old is not None and ratio.new is not None and ratio.change is not None
    interval = f" [{ratio.interval[0]:.2f}, {ratio.interval[1]:.2f}]" if ratio.interval else ""
    word = {"higher": "HIGHER", "lower": "lower", "not_higher": "not higher", "undecided": "undecided"}
    return [
        f"{ratio.old:.2f}",
        f"{ratio.new:.2f}",
        f"{ratio.change:.2f}{interval}",
        word.get(ratio.verdict or "", DASH),
    ]


def _queries(compared: Compared, names: Mapping[str, str], most: int, width: int) -> Iterator[list[str]]:
    if not most:
        return
    for system in [s for s in compared.systems if s.queries][:_SYSTEMS_WITH_QUERIES]:
        lines = []
        for title, shown in (("lost most", losses(system, most)), ("gained most", gains(system, most))):
            if shown:
                lines += [f"  {title}", *(f"    {_query(query, width - 4)}" for query in shown)]
        count = len(system.queries)
        yield [f"{names[system.name]}: {counted(count, 'query')} changed", *lines]


def losses(system: SystemChange, most: int) -> list[QueryChange]:
    """The largest ones first."""
    return [query for query in system.queries if query.difference < 0][:most]


def gains(system: SystemChange, most: int) -> list[QueryChange]:
    """The largest ones first."""
    return [query for query in reversed(system.queries) if query.difference > 0][:most]


def _query(query: QueryChange, width: int) -> str:
    told = query.query_id if query.text is None else f"{query.query_id}  {query.text}"
    return cut(f"{number(query.old):>5} ► {number(query.new):<5} {' '.join(told.split())}", width)


def _differs(compared: Compared, names: Mapping[str, str], width: int) -> Iterator[list[str]]:
    for section, changes in compared.differs.items():
        yield [f"{section} {'differs' if section in ('data', 'configuration', 'machine') else 'differ'}",
               *_changes(changes, width)]  # fmt: skip
    if "configuration" in compared.differs:
        return
    for system in compared.systems:
        if system.pipeline:
            yield [
                f"{names[system.name]} differs, though the experiments are the same",
                *_changes(system.pipeline, width),
            ]


def _changes(changes: Sequence[Changed], width: int) -> list[str]:
    lines = [f"  {cut(differs_line(change), width - 2)}" for change in changes[:SHOWN_CHANGES]]
    more = len(changes) - SHOWN_CHANGES
    return [*lines, f"  and {more:,} more: --json holds them"] if more > 0 else lines


def _notes(compared: Compared, naming: Naming) -> Iterator[str]:
    yield from compared.notes
    grouped: dict[str, list[str]] = {}
    for system in compared.systems:
        for note in system.notes:
            grouped.setdefault(note, []).append(naming(system.name))
    for note, systems in grouped.items():
        shown = ", ".join(systems[:3]) + (f" and {len(systems) - 3} more" if len(systems) > 3 else "")
        yield f"{shown}: {note}."
