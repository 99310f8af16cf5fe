"""Two results' verdicts side by side, as text, Markdown and plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench.comparing.conclusions import Conclusion, Conclusions, TwoConclusions
from bench.comparing.markdown import code, escaped, rows_of
from bench.comparing.sentences import Naming, listed
from bench.comparing.text import WIDTH, grid
from bench.messages.fitting import shortened, wrapped
from bench.messages.wording import counted
from bench.report.cells import signed

_FEW = 5  # systems; of fewer, agreement says little


def answer(found: Conclusions, naming: Naming = str) -> list[str]:
    """What the two agree on, contradictions first."""
    return [*_verdicts(found, naming), *_order(found)]


def text_of(found: Conclusions, width: int = WIDTH) -> str:
    """All of it, ending in a line break."""
    names = shortened([system.name for system in found.systems], max(10, width - 66))
    blocks = [
        [line for sentence in answer(found, lambda text: names.get(text, text)) for line in wrapped(sentence, width)],
        [
            _measured(found),
            *(f"  {line}" for line in grid([_HEADER, *(_row(s, names[s.name]) for s in found.systems)])),
        ],
        [line for note in _notes(found) for line in wrapped(f"· {note}", width, then="  ")],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def markdown_of(found: Conclusions) -> str:
    """The same for a comment."""
    rows = [_row(system, code(system.name, cell=True)) for system in found.systems]
    blocks = [
        "### Retrieval: do two results conclude the same?",
        "\n".join(f"- {line}" for line in answer(found, code)),
        f"{escaped(_measured(found))}\n\n{rows_of(_HEADER, rows)}",
        "\n".join(f"- {escaped(note)}" for note in _notes(found)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def values_of(found: Conclusions) -> dict[str, Any]:
    """All of it as plain values."""
    values = asdict(found)
    values["left_out"] = dict(found.left_out)
    for written, system in zip(values["systems"], found.systems, strict=True):
        written["agrees"] = system.agrees
    return {"answer": answer(found), **values}


_HEADER = ("system", "old: difference", "verdict", "new: difference", "verdict")


def _row(system: TwoConclusions, name: str) -> list[str]:
    return [name, *_cells(system.old), *_cells(system.new)]


def _cells(of: Conclusion) -> list[str]:
    interval = "" if of.interval is None else f" [{signed(of.interval[0])}, {signed(of.interval[1])}]"
    return [f"{signed(of.difference)}{interval}", of.verdict.replace("_", " ")]


def _verdicts(found: Conclusions, naming: Naming) -> Iterator[str]:
    agree, sure, contradict = (found.that(how) for how in ("agree", "one is sure", "contradict"))
    if contradict:
        named = listed([naming(system.name) for system in contradict])
        yield f"The results contradict each other on {named}: better in one, worse in the other."
    all_of, baseline = counted(len(found.systems), "system"), naming(found.baseline)
    if len(agree) == len(found.systems):
        yield f"Both have the same verdict on {'it' if len(agree) == 1 else 'all'}: {all_of} against {baseline}."
    else:
        yield f"Of {all_of} against {baseline}, both have the same verdict on {len(agree):,}."
    if sure:
        named = listed([naming(system.name) for system in sure])
        yield f"On {named} they differ without contradicting each other, as better and undecided do."


def _order(found: Conclusions) -> Iterator[str]:
    order = found.order
    if order.pairs:
        tau = "" if order.tau is None else f" (Kendall's tau-b {signed(order.tau)})"
        pairs = counted(order.pairs, "pair")
        yield (
            f"By their means they put {order.alike:,} of {pairs} of systems in the same order{tau}; small differences "
            "that may be chance count there like large ones."
        )


def _measured(found: Conclusions) -> str:
    sides = [
        f"{label} {count:,} {'synthetic ' if written else ''}{'query' if count == 1 else 'queries'}"
        + (f" of {written}" if written else "")
        for label, count, written in (
            ("old", found.old_queries, found.old_written),
            ("new", found.new_queries, found.new_written),
        )
    ]
    return f"{found.measure} minus that of {found.baseline}; {', '.join(sides)}"


def _notes(found: Conclusions) -> Iterator[str]:
    if (count := len(found.systems)) < _FEW:
        many = f"{counted(count, 'system')} {'is' if count == 1 else 'are'}"
        yield f"{many} few to judge agreement by: add systems to both experiments."
    for name, why in found.left_out:
        yield f"{name} {why}."
    yield from found.notes
