"""A measure as a value: its kind, cut-off and parameter, printed and read as ir_measures spells them.

This module imports the standard library alone, so that `bench --help` may.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

Dcg: TypeAlias = Literal["log2", "exp-log2"]

KINDS = ("nDCG", "Recall", "R_cap", "MRR", "MAP", "Hit", "Precision", "Judged", "ANN")
BY_RELEVANCE = ("Recall", "R_cap", "MRR", "MAP", "Hit", "Precision")  # they ask from which grade on one is relevant

_NAMES = {kind.lower(): kind for kind in KINDS}
_OF_IR_MEASURES = {"p": "Precision", "r": "Recall", "rr": "MRR", "ap": "MAP", "success": "Hit"}
_OTHER_NAMES = {
    "recip_rank": "MRR", "hits": "Hit", "hitrate": "Hit", "accuracy": "Hit", "map_cut": "MAP", "ndcg_cut": "nDCG",
    "recall_cap": "R_cap", "recallcap": "R_cap", "rcap": "R_cap", "r-cap": "R_cap",
}  # fmt: skip
_SPELLING = re.compile(
    r"\s*(?P<name>[A-Za-z_]+)\s*(?P<given>\((?P<inside>[^()]*)\))?\s*@\s*(?P<cutoff>[1-9][0-9]{0,8})\s*", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Measure:
    """A measure with its cut-off; it prints as `nDCG@10`, `Recall(rel=2)@10` or `nDCG(dcg='exp-log2')@10` and parses
    back.

    rel: the lowest grade that is relevant. dcg: how nDCG gains by a grade, the grade itself or 2^grade - 1.
    Raises ValueError for what is no measure.
    """

    kind: str
    cutoff: int
    rel: int = 1
    dcg: Dcg = "log2"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a measure. Known: {', '.join(KINDS)}.")
        for what, number in (("the cut-off", self.cutoff), ("rel", self.rel)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{what} of {self.kind} is a whole number from 1, not {number!r}.")
        if self.rel != 1 and self.kind not in BY_RELEVANCE:
            raise ValueError(f"{self.kind} takes no rel; {', '.join(BY_RELEVANCE)} do.")
        if self.dcg not in get_args(Dcg):
            raise ValueError(f"dcg is 'log2' or 'exp-log2', not {self.dcg!r}.")
        if self.dcg != "log2" and self.kind != "nDCG":
            raise ValueError(f"{self.kind} takes no dcg; nDCG does.")

    @staticmethod
    def parse(text: str) -> Measure:
        """Read `nDCG@10` or `Recall(rel=2)@10`: in any case, and by ir_measures' names (P, R, RR, AP, Success) too.
        Raises ValueError with the nearest right spelling for any other."""
        match = _SPELLING.fullmatch(text)
        kind = _kind(match["name"]) if match else None
        if match is None or kind is None:
            raise ValueError(f"{text!r} is not a measure. {_suggestion(text)}")
        try:
            return Measure(kind, int(match["cutoff"]), **_parameters(kind, match["given"], match["inside"]))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a measure: {error}") from None

    def __str__(self) -> str:
        parameters = f"(rel={self.rel})" if self.rel != 1 else f"(dcg={self.dcg!r})" if self.dcg != "log2" else ""
        return f"{self.kind}{parameters}@{self.cutoff}"

    @property
    def needs_judgements(self) -> bool:
        """Whether it is computed from qrels. ANN is not: it is recall against exact search."""
        return self.kind != "ANN"

    @property
    def is_binary(self) -> bool:
        """Whether a query scores 0 or 1 and nothing between."""
        return self.kind == "Hit"


def _kind(name: str) -> str | None:
    return (_NAMES | _OF_IR_MEASURES).get(name.lower())


def _parameters(kind: str, given: str | None, inside: str | None) -> Mapping[str, Any]:
    """What stands between a name's brackets. Raises ValueError."""
    if given is None:
        return {}
    takes = "rel, as in (rel=2)" if kind in BY_RELEVANCE else "dcg, as in (dcg='exp-log2')" if kind == "nDCG" else None
    match = re.fullmatch(r"\s*([A-Za-z_]+)\s*=\s*(['\"]?)([A-Za-z0-9-]+)\2\s*", inside or "")
    if takes is None or match is None or match[1].lower() != takes[:3]:
        raise ValueError(f"{kind} takes {takes or 'nothing in brackets'}, not {given}.")
    if match[1].lower() == "dcg":
        return {"dcg": match[3].lower()}
    if match[2] or not re.fullmatch("[1-9][0-9]{0,8}", match[3]):
        raise ValueError(f"rel is a whole number from 1, the lowest grade that is relevant, not {match[3]!r}.")
    return {"rel": int(match[3])}


def _suggestion(text: str) -> str:
    pattern = r"(?P<name>.*?)(?P<given>\([^()]*\))?[^A-Za-z0-9]*(?P<number>[0-9]*)\s*"
    match = re.fullmatch(pattern, text.strip(), re.DOTALL)
    assert match is not None
    known = _NAMES | _OF_IR_MEASURES | _OTHER_NAMES
    close = difflib.get_close_matches(match["name"].strip().lower(), known, n=1)
    if not close:
        return f"Write for example nDCG@10. Known: {', '.join(KINDS)}."
    kind, cutoff = known[close[0]], int(match["number"].lstrip("0")[:9] or 10)
    try:
        inside = None if match["given"] is None else match["given"][1:-1]
        meant = Measure(kind, cutoff, **_parameters(kind, match["given"], inside))
    except ValueError:
        meant = Measure(kind, cutoff)
    return f"Did you mean {meant}?"
