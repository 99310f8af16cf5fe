"""How values are written in the tables: short, and never rounder than they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.layout import padded, width
from bench.results.model import Cost, Ingest, Latency, Memory, StageLatency, SystemResult

DASH = "–"
DISTURBED = "*"


def number(value: float | None) -> str:
    """Three decimals without the leading zero; a value that is not quite 1 never reads as 1."""
    if value is None:
        return DASH
    text = f"{abs(value):.3f}"
    if text == "1.000" and abs(value) < 1:
        text = "0.999"
    sign = "-" if value < 0 and text != "0.000" else ""
    return sign + (text[1:] if text.startswith("0") else text)


def heading(measure: str) -> str:
    """A measure's name over a column: `R(rel=2)@10`, `nDCG(exp-log2)@10`; one without a parameter stays as it is."""
    for long, short in (("Recall(", "R("), ("Precision(", "P("), ("(dcg='exp-log2')", "(exp-log2)")):
        measure = measure.replace(long, short)
    return measure


def signed(value: float) -> str:
    """A difference, its sign always shown."""
    text = number(value)
    return text if text.startswith("-") else f"+{text}"


def milliseconds(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def pair(latency: Latency | None) -> str:
    """p50 / p95 of the total."""
    if latency is None or latency.total is None:
        return DASH
    return "saturated" if latency.saturated else marked(stage_pair(latency.total), latency)


def stage_pair(stage: StageLatency | None) -> str:
    """p50 / p95 of a part."""
    return DASH if stage is None else f"{milliseconds(stage.p50_ms)} / {milliseconds(stage.p95_ms)}"


def marked(text: str, latency: Latency) -> str:
    """The cell, with a mark where the figure contains disturbed rounds."""
    return text + DISTURBED if latency.disturbed_rounds and text != DASH else text


def seconds(value: float | None) -> str:
    """Seconds to one decimal."""
    return DASH if value is None else f"{value:,.1f}"


def written(ingest: Ingest) -> str:
    """`500 rows/s: kept up, p95 12.0 ms per 100 rows, all 5,183 rows held, 99.8 % found again`."""
    rate = "kept up" if ingest.kept_up else f"NOT KEPT UP ({ingest.achieved_per_second:,.0f} rows/s)"
    parts = [f"{ingest.rows_per_second:,g} rows/s: {rate}"]
    parts.append(f"p95 {milliseconds(ingest.p95_ms)} ms per {ingest.batch:,} rows")
    if ingest.rows_while_searching < ingest.rows:
        parts.append(f"{ingest.rows_while_searching:,} of {ingest.rows:,} rows while searching")
    if ingest.failed_batches:
        parts.append(f"{ingest.failed_batches:,} batches FAILED")
    if ingest.rows_held_after == ingest.rows_expected:
        parts.append(f"all {ingest.rows_held_after:,} rows held")
    else:
        parts.append(f"NOT ALL {ingest.rows_expected:,} ROWS HELD")
    if ingest.found_after is not None:
        parts.append(f"{math.floor(1000 * ingest.found_after) / 10:g} % found again")
    return ", ".join(parts) + (f"; {ingest.error}" if ingest.error else "")


def mebibytes(size: int | None) -> str:
    """Bytes in MiB."""
    return DASH if size is None else f"{size / 2**20:,.1f}"


def build_peak(memory: Memory | None) -> str:
    """The bytes of a server at the peak of the build. For this process, which holds much else, only what the build
    added."""
    if memory is None or memory.build_peak_bytes is None:
        return DASH
    if memory.where == "server" or memory.build_before_bytes is None:
        return f"{memory.where} {mebibytes(memory.build_peak_bytes)}"
    return f"+{mebibytes(max(0, memory.build_peak_bytes - memory.build_before_bytes))}"


def search_peak(systems: Sequence[SystemResult]) -> str:
    """The most bytes while any of the systems was searched, and whether a server or this process held them."""
    peaks = [(m.search_peak_bytes, m.where) for s in systems if (m := s.memory) and m.search_peak_bytes is not None]
    if not peaks:
        return DASH
    size, where = max(peaks)
    return f"{where} {mebibytes(size)}"


def bills(cost: Cost) -> bool:
    """Whether a service bills for some part."""
    return any(part.provider is not None for part in cost.parts)


def priced(cost: Cost | None) -> bool:
    """Whether there is a cost to show: some part bills, or the machine has a price."""
    return cost is not None and (bills(cost) or cost.machine_usd_per_hour is not None)


def ratio(value: float) -> str:
    """Three significant digits; a ratio that is not quite 1 never reads as 1."""
    text = f"{value:.2f}" if value < 10 else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    return f"{value:.4f}" if text == "1.00" and value != 1 else text


def without_unknown(table: Sequence[Sequence[str]], *columns: str) -> list[list[str]]:
    """The table without those columns that are empty in every row. Its first row is the header."""
    header, *rows = table
    empty = {i for i, name in enumerate(header) if name in columns and all(row[i] == DASH for row in rows)}
    return [[cell for i, cell in enumerate(row) if i not in empty] for row in table]


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, two spaces apart."""
    if not rows:
        return []
    wide = [max(width(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    return ["  ".join(padded(cell, columns) for cell, columns in zip(row, wide, strict=False)).rstrip() for row in rows]


def section(title: str, rows: Sequence[Sequence[str]]) -> str:
    """A titled table; nothing without rows."""
    return "\n".join([title, *(f"  {line}" for line in grid(rows))]) if rows else ""
