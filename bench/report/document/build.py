"""A report from results: its six parts in their order, for each result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.messages.wording import plural
from bench.report import synthetic
from bench.report.document import decision, doubts, origin, pairs, side_by_side, systems, views
from bench.report.document.computed import COMPUTED
from bench.report.document.parts import Block, Line, Picture, Report, Section, Table
from bench.report.document.source import Source
from bench.report.document.terms import explanations

_PARTS = (decision.section, doubts.section, systems.section, views.section, pairs.section, origin.section)


def open_results(folders: Sequence[Path]) -> list[Source]:
    """The results of a report. The paths of several begin with `results[0].`, `results[1].` and so on. Raises
    ResultUnreadable."""
    if len(folders) == 1:
        return [Source(folders[0], COMPUTED)]
    return [Source(folder, COMPUTED, f"results[{i}].") for i, folder in enumerate(folders)]


def build(sources: Sequence[Source]) -> Report:
    """The report on one or several results."""
    if len(sources) == 1:
        sections = tuple(part(sources[0]) for part in _PARTS)
        title: Line = (sources[0].figure("computed.name", "text"),)
        plain = f"{sources[0].computed('name')}: report"
    else:
        sections = (side_by_side.section(sources), *(_whole(source, i) for i, source in enumerate(sources)))
        title = ("Results side by side",)
        plain = "Results side by side: report"
    facts = _facts(sources[0]) if len(sources) == 1 else ((_names(sources)),)
    return Report(title, facts, sections, plain, explanations(sections))


def _facts(source: Source) -> tuple[Line, ...]:
    split: Line = (" (", source.figure("dataset.split", "text"), ")") if source.result.dataset.split else ()
    return (
        (source.figure("dataset.name", "text"), *split),
        (source.figure("dataset.documents", "count"), " documents"),
        (source.figure("dataset.judged", "count"), f" judged {plural(synthetic.kind(source.result))}"),
        (source.figure("computed.decision.systems", "count"), " systems"),
        ("run on ", source.figure("started_at", "day")),
    )


def _names(sources: Sequence[Source]) -> Line:
    line: list[Line] = [
        (", " if i else "", source.figure("computed.title", "text")) for i, source in enumerate(sources)
    ]
    return tuple(part for each in line for part in each)


def _whole(source: Source, i: int) -> Section:
    """All six parts of a result as one part of a report on several."""
    prefix = f"result-{chr(ord('a') + i % 26)}-"
    inner = tuple(_renamed(part(source), prefix) for part in _PARTS)
    return Section(f"{prefix}all", (source.figure("computed.title", "text"),), (), inner)


def _renamed(section: Section, prefix: str) -> Section:
    """The section with other keys, so that no two of a file are alike."""
    blocks = tuple(_block_renamed(block, prefix) for block in section.blocks)
    inner = tuple(_renamed(each, prefix) for each in section.sections)
    return replace(section, key=prefix + section.key, blocks=blocks, sections=inner)


def _block_renamed(block: Block, prefix: str) -> Block:
    if isinstance(block, Table):
        return replace(block, key=prefix + block.key)
    if isinstance(block, Picture):
        return replace(block, key=prefix + block.key, table=replace(block.table, key=prefix + block.table.key))
    return block
