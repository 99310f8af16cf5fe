"""The comparison for Python: `bench.compare(old, new)`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.comparing.compare import Options, compare_results
from bench.comparing.markdown import markdown_of
from bench.comparing.model import Compared
from bench.comparing.text import text_of

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """Two results side by side. values: all of it as plain data. It prints as `bench compare` does."""

    def __init__(self, values: Compared) -> None:
        self.values = values

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row for each system and measure, losses first: old, new, difference, low, high, verdict, wins, ties, losses
        and the rest of `Difference`."""
        import pandas as pd

        rows = []
        for system in self.values.systems:
            for of in system.measures.values():
                low, high = of.interval if of.interval is not None else (None, None)
                rows.append(
                    {"system": system.name, "measure": of.measure, "old": of.old, "new": of.new,
                     "difference": of.difference, "low": low, "high": high, "percent": of.percent,
                     "verdict": of.verdict, "p_corrected": of.p_corrected, "wins": of.wins, "ties": of.ties,
                     "losses": of.losses, "queries_to_decide": of.queries_to_decide, "matched_by": system.matched_by,
                     "old_system": system.old_name}
                )  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def queries(self) -> pd.DataFrame:
        """A row for each system and query that it answers differently, losses first."""
        import pandas as pd

        columns = ["system", "query_id", "old", "new", "difference", "text"]
        rows = [
            (system.name, each.query_id, each.old, each.new, each.difference, each.text)
            for system in self.values.systems
            for each in system.queries
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def passes(self) -> bool | None:
        """Whether the gate passes; None without `fail_on`, and where it cannot be judged."""
        outcome = self.values.gate.outcome if self.values.gate else "cannot be judged"
        return None if outcome == "cannot be judged" else outcome == "passes"

    def __str__(self) -> str:
        return text_of(self.values)

    def _repr_markdown_(self) -> str:
        return markdown_of(self.values)


def compare(
    old: str | PathLike[str],
    new: str | PathLike[str],
    *,
    on: Literal["shared"] | None = None,
    margin: float | None = None,
    ratio_margin: float | None = None,
    level: float = 0.95,
    fail_on: str | Sequence[str] = (),
    without: str | Sequence[str] = (),
) -> Comparison:
    """Compare two result folders; the parameters are the options of `bench compare`. Raises CannotCompare and
    ResultUnreadable."""
    figures, left = ((each,) if isinstance(each, str) else tuple(each) for each in (fail_on, without))
    options = Options(on=on, margin=margin, ratio_margin=ratio_margin, level=level, fail_on=figures, without=left)
    return Comparison(compare_results(Path(old), Path(new), options))
