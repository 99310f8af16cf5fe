"""What figures rest on queries that nobody asked, said wherever a result is shown."""

from __future__ import annotations

from collections.abc import Iterator

from bench.messages.wording import counted
from bench.results.model import Result

WORD = "synthetic"


def is_evaluated(result: Result) -> bool:
    """Whether all evaluated queries are synthetic."""
    synthetic = result.dataset.synthetic
    return synthetic is not None and synthetic.used_for != "train"


def kind(result: Result) -> str:
    """`synthetic query` or `query`, for what counts those that are evaluated."""
    return f"{WORD} query" if is_evaluated(result) else "query"


def notes(result: Result) -> Iterator[tuple[str, str]]:
    """A mark and a sentence each: who wrote the queries, and whom their choice favours."""
    if (synthetic := result.dataset.synthetic) is None:
        return
    who = f"{synthetic.generator} ({synthetic.provider} {synthetic.model})"
    if synthetic.used_for == "train":
        learned = counted(synthetic.queries, "synthetic query")
        yield "·", f"models learned from {learned} that {who} wrote; real ones are evaluated"
        return
    yield (
        "!",
        f"all {result.dataset.judged:,} evaluated queries were written by {who}, none by users: real ones may order "
        "the systems differently",
    )
    if (system := synthetic.round_trip_system) is not None:
        kept = f"only queries whose document {system} finds among its first {synthetic.round_trip_top:,} were kept"
        yield "!", f"{kept}, which favours it and systems like it"


def sentence(result: Result) -> str | None:
    """What stands beside an answer; None where the queries are real."""
    synthetic = result.dataset.synthetic
    if synthetic is None or not is_evaluated(result):
        return None
    count = counted(result.dataset.judged, "synthetic query")
    return f"This rests on {count} that {synthetic.generator} wrote; those of users may order the systems differently."
