"""Latencies as tables: the own time of each system, the time of encoding that systems share, and verdicts on the
differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.cells import DASH, DISTURBED, marked, milliseconds, ratio, stage_pair
from bench.results.model import Latency, LatencyAgainst, Result

_OWN_STAGES = ("wait", "search", "fuse", "rerank")
_SUPPORT = {"p50": 20, "p95": 100, "p99": 1000}
_VERDICTS = {"faster": "faster", "slower": "slower", "undecided": "undecided"}


def own_p50(latency: Latency | None) -> str:
    """The own time of a system: searching, fusing and reranking a query."""
    if latency is None or latency.own is None:
        return DASH
    return marked(milliseconds(latency.own.p50_ms), latency)


def stage_table(result: Result) -> list[list[str]]:
    """The parts of each system's time, its encoders apart: those are shown once."""
    timed = [(s.name, s.latency) for s in result.systems if s.latency is not None]
    stages = [name for name in _OWN_STAGES if any(getattr(latency, name) for _, latency in timed)]
    waits = [latency.wait.p50_ms or 0 for _, latency in timed if latency.wait]
    stages = [name for name in stages if name != "wait" or max(waits, default=0) >= 0.05]
    shared = bool(result.encoding)
    if not shared and any(latency.encode for _, latency in timed):
        stages.insert(0, "encode")  # an earlier version wrote what each system's encoder took
    if len(stages) + shared < 2:
        return []
    owned = ["own"] if any(latency.own for _, latency in timed) and len(stages) > 1 else []
    rows = [["system", *stages, *owned, "total", "n", "distinct"]]
    for name, latency in timed:
        cells = [marked(stage_pair(getattr(latency, stage)), latency) for stage in (*stages, *owned, "total")]
        samples = latency.total.samples if latency.total else 0
        rows.append([name, *cells, f"{samples:,}", f"{latency.distinct_queries:,}"])
    return rows


def encoding_table(result: Result) -> list[list[str]]:
    """The time of encoding a query, once per encoder. All systems that use the encoder share the figure."""
    first = next((s.latency.load for s in result.systems if s.latency), None)
    shown = [one for one in result.encoding if one.load == first]
    if not shown:
        return []
    rows = [["encoder", "p50 / p95", "n", "systems"]]
    for one in shown:
        mark = DISTURBED if one.disturbed_rounds else ""
        rows.append([one.encoder, stage_pair(one.latency) + mark, f"{one.latency.samples:,}", _named(one.systems)])
    return rows


def against_table(result: Result) -> list[list[str]]:
    """Times over the baseline's, with their verdicts."""
    compared = [(s.name, s.latency_against_baseline) for s in result.systems if s.latency_against_baseline]
    figures = list(dict.fromkeys(figure for _, against in compared for figure in against))
    if not figures:
        return []
    rows = [["system", *(cell for figure in figures for cell in (f"{figure} ×", "verdict"))]]
    for name, against in compared:
        cells: list[str] = []
        for figure in figures:
            cells += _against(against.get(figure), result.latency_margin)
        rows.append([name, *cells])
    return rows


def notes(result: Result) -> Iterator[str]:
    """Notes for readers of these tables."""
    latencies = [s.latency for s in result.systems if s.latency is not None]
    if any(latency.disturbed_rounds for latency in latencies):
        yield f"· {DISTURBED} something else on this machine disturbed some of its rounds, which count nevertheless"
    for system in result.systems:
        for figure, against in system.latency_against_baseline.items():
            if against.verdict == "undecided" and against.rounds_to_decide is not None:
                yield (
                    f"· {system.name}: {figure} undecided; about {against.rounds_to_decide:,} more rounds would decide "
                    "(latency.rounds)"
                )
    yield from _without_support(result)


def shows_loads(result: Result) -> bool:
    """Whether load points have a table of their own: there are several, or an open one."""
    return any(len(s.loads) > 1 or any(load.mode == "open" for load in s.loads) for s in result.systems)


def _without_support(result: Result) -> Iterator[str]:
    """How many samples the empty cells need."""
    shown = tuple(_SUPPORT) if shows_loads(result) else ("p50", "p95")
    short: dict[tuple[str, int], list[str]] = {}
    for system in result.systems:
        for load in system.loads or ([system.latency] if system.latency else []):
            if load.total is None or load.saturated:
                continue
            missing = next((name for name in shown if getattr(load.total, f"{name}_ms") is None), None)
            if missing:
                about = f"{system.name} under {load.load}" if shows_loads(result) else system.name
                short.setdefault((missing, load.total.samples), []).append(about)
    for (name, samples), systems in short.items():
        yield (
            f"· {_named(systems)}: {samples:,} samples give no {name}; it takes {_SUPPORT[name]:,}: raise "
            "latency.samples or latency.seconds"
        )


def _against(against: LatencyAgainst | None, margin: float | None) -> tuple[str, str]:
    if against is None:
        return DASH, DASH
    interval = f" [{ratio(against.interval[0])}, {ratio(against.interval[1])}]" if against.interval else ""
    percent = f"at most {100 * ((margin or 1) - 1):.3g} % slower"
    return ratio(against.ratio) + interval, _VERDICTS.get(against.verdict, percent)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
