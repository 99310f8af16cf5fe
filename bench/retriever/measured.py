"""What a result says of a system, as the docstring of its retriever tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.results.model import Result, SystemResult
from bench.results.rankings import shown_build
from bench.retriever.literals import in_docstring
from bench.retriever.refusal import RetrieverRefused

_VERDICTS = {
    "better": "better than",
    "not_worse": "at most the margin worse than",
    "worse": "worse than",
    "undecided": "not told apart from",
}


def chosen_system(result: Result, folder: Path, name: str) -> SystemResult:
    """The system of that name, which ended with rankings. Raises RetrieverRefused."""
    by_name = {system.name: system for system in result.systems}
    usable = [system.name for system in result.systems if system.status in ("success", "partial")]
    can = f"A retriever can be written for: {', '.join(usable)}" if usable else "None of its systems can."
    if name not in by_name:
        raise RetrieverRefused(f"{folder}: there is no system {name}. {can}")
    system = by_name[name]
    if system.status not in ("success", "partial"):
        cause = f" ({system.error})" if system.error else ""
        raise RetrieverRefused(f"{folder}: {name} ended as {system.status.replace('_', ' ')}{cause}. {can}")
    return system


def check_finished(result: Result, folder: Path) -> None:
    """Raise RetrieverRefused for a result whose run did not end."""
    if result.status in ("started", "cancelled"):
        how = "has not ended" if result.status == "started" else "was cut off"
        raise RetrieverRefused(
            f"{folder}: the run {how}, so what it holds is not whole. The same `bench run` goes on where it stopped."
        )


def paragraphs(result: Result, folder: Path, system: SystemResult, where: Sequence[str]) -> list[list[str]]:
    """The docstring's paragraphs below its title. where: sentences on where texts and indexes come from."""
    data = result.dataset
    split = f" ({in_docstring(data.split)})" if data.split else ""
    day = (result.finished_at or result.started_at)[:10]
    return [
        [
            f"It does what the system {in_docstring(system.name)} did in",
            f"{in_docstring(str(folder))},",  # alone: linters let a path without blanks be as long as it is
            f"measured on {day}: {data.documents:,} documents and {data.judged:,} judged queries of "
            f"{in_docstring(data.name)}{split}.",
        ],
        ["Measured, with intervals of 95 %:", "", *_figures(result, system)],
        [*where],
        [
            "Prove that it still finds the same: bench verify-retriever FILE",
        ],
    ]


def _figures(result: Result, system: SystemResult) -> Iterator[str]:
    build = shown_build(system)
    for name, value in system.measures.items():
        if value.mean is None:
            continue
        interval = "" if value.interval is None else f" [{value.interval[0]:.4f}, {value.interval[1]:.4f}]"
        of = f" over {value.queries:,} queries"
        if value.failed:
            of += f", of which {value.failed:,} failed"
        yield f"- {in_docstring(name)}: {value.mean:.4f}{interval}{of}"
        own = system.builds[build].get(name) if build < len(system.builds) else None
        if own is not None:
            which = f"seed {system.chosen_seed}" if system.chosen_seed is not None else f"build {build + 1}"
            yield f"  of {which}, which this is: {own:.4f}"
    for cutoff, recall in system.ann_recall.items():
        if recall is not None:
            yield f"- recall against exact search at {in_docstring(cutoff)}: {recall:.4f}"
    against = system.against_baseline.get(result.primary)
    if result.baseline is not None and against is not None and against.verdict is not None:
        interval = "" if against.interval is None else f" [{against.interval[0]:+.4f}, {against.interval[1]:+.4f}]"
        yield (
            f"- {in_docstring(result.primary)} is {_VERDICTS[against.verdict]} the baseline "
            f"{in_docstring(result.baseline)}: {against.difference:+.4f}{interval}"
        )
    if system.latency is not None and system.latency.total is not None and system.latency.total.p50_ms is not None:
        total = system.latency.total
        p95 = "" if total.p95_ms is None else f", p95 {total.p95_ms:.1f} ms"
        yield f"- time of a query ({in_docstring(system.latency.load)}): p50 {total.p50_ms:.1f} ms{p95}"
