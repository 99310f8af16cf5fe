"""What mining found, and what it left out and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from bench.data.dataset import Dataset
from bench.messages.wording import counted

EXAMPLES = 3  # of each rule

RULES: dict[str, str] = {
    "refused": "was not written, because the generator's service refused the prompt",
    "not_written": "was not written: the generator gave fewer texts than it was asked for",
    "refusal": "is a refusal to write one",
    "unfinished": "is cut off at the generator's max_tokens",
    "of_prompt": "is an example of the prompt",
    "positive": "is a positive of the query, or of an equal query",
    "positive_text": "has the text of such a positive",
    "query_text": "has the query's own text",
    "near_copy": "nearly copies a positive of the query, or the query itself",
    "own_document": "is the query's own document",
    "empty": "has no text",
    "repeated_text": "has the text of a document that was seen before",
    "before_range": "stands before range_min",
    "not_same": "shares the positive's value of the column not_same",
    "no_score": "has no vector, or its query has none",
    "min_score": "scores less than min_score",
    "max_score": "scores more than max_score",
    "absolute_margin": "is not so far below the positive's score as absolute_margin says",
    "relative_margin": "is not so far below the positive's score as relative_margin says",
    "not_judged": "has no score by the filter, or its positive has none",
    "filter": "may be relevant after all, by the filter",
}
"""Why a document, or a text that was written, is no negative, in the order in which it is asked."""


UNCHECKED = (
    "Their texts alone were compared, with positives and queries: whether one answers after all, no model has looked. "
    "Name a cross-encoder: filter, or bounds for a mining model: absolute_margin."
)


class Example(BaseModel):
    """A document that a rule left out; one without an id was written. score: by the mining model, or by the filter
    where that left it out."""

    model_config = ConfigDict(frozen=True)

    query: str
    positive: str
    document_id: str | None
    text: str
    score: float | None = None


class MiningReport(BaseModel):
    """wanted: pairs times per_query; found: how many there are, those drawn at random to fill up among them (filled);
    short: pairs for which fewer were found. dropped: documents that were looked at and left out, by rule; examples:
    some of each. reused: whether they were found by an earlier run. Queries without a vector are counted alone.
    writer: who wrote them, and prompt what was asked, with the tokens and US dollars that this took, whichever run it
    was; usd is None where no price is known. system: whose candidates they are."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    miner: str | None = None
    judge: str | None = None
    writer: str | None = None
    prompt: str | None = None
    system: str | None = None
    tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None
    pairs: int = 0
    per_query: int = 0
    wanted: int = 0
    found: int = 0
    filled: int = 0
    short: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    examples: dict[str, tuple[Example, ...]] = Field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False

    @property
    def of_writing(self) -> list[str]:
        """Sentences on what was written: what it took, and who looked at it; none where nothing was."""
        if self.writer is None:
            return []
        usd = "price unknown" if self.usd is None else f"{self.usd:,.4f} USD"
        took = f"{self.tokens:,} tokens were read and {self.output_tokens:,} written: {usd}."
        return [took, UNCHECKED] if self.unchecked else [took]

    @property
    def unchecked(self) -> bool:
        """Whether no model looked at what was written."""
        return self.writer is not None and self.judge is None and self.miner is None

    def lines(self) -> list[str]:
        """Sentences for a reader, without the examples."""
        who = self.writer or self.system or self.miner
        by = f" by {who}" if who else ""
        judged = f", judged by {self.judge}" if self.judge else ""
        told = [
            f"{counted(self.pairs, 'pair')}, strategy {self.strategy}{by}{judged}: {self.found:,} of "
            f"{counted(self.wanted, 'negative')} found."
        ]
        if self.filled:
            told.append(f"{self.filled:,} of them were drawn at random, to fill up.")
        if self.short:
            told.append(f"{counted(self.short, 'pair')} got fewer than {self.per_query:,}.")
        told += self.of_writing
        told += [f"{self.dropped[rule]:,} left out: {RULES[rule]}." for rule in RULES if self.dropped.get(rule)]
        return told


@dataclass(slots=True)
class Tally:
    """Counts what rules leave out, and keeps some of it."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def wants_example(self, rule: str) -> bool:
        return len(self.examples.get(rule, ())) < EXAMPLES

    def example(self, rule: str, example: Example) -> None:
        self.examples.setdefault(rule, []).append(example)


@dataclass(frozen=True, slots=True)
class Mined:
    """table: the pairs as they were given, with the columns negatives, negative_ids (lists of strings) and
    negative_scores (list of float32, null where no score decided); a list may be shorter than wanted. key: of what
    decided them."""

    table: pa.Table
    report: MiningReport
    key: str

    @property
    def complete(self) -> pa.Table:
        """The pairs that have as many negatives as were wanted: what a trainer takes."""
        lengths = pc.list_value_length(self.table.column("negatives"))
        return self.table.filter(pc.equal(lengths, self.report.per_query))


def relevant_elsewhere(mined: Mined, dataset: Dataset) -> int:
    """How many of the negatives are relevant to some query of another split, by its judgements. They stay: who knows
    the test's judgements while he trains has seen the test."""
    if dataset.qrels is None:
        return 0
    judged = dataset.qrels.filter(pc.greater_equal(dataset.qrels.column("grade"), 1)).column("document_id")
    ids = pc.list_flatten(mined.table.column("negative_ids"))
    return int(pc.sum(pc.is_in(ids, value_set=pc.unique(judged))).as_py() or 0)
