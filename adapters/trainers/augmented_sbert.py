"""Augmented SBERT: an encoder learns from judged pairs and from further ones that a cross-encoder labels.

Source: Thakur et al. 2021, https://arxiv.org/abs/2010.08240.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from adapters.base import Answers, Questions, TrainingData
from adapters.trainers._rows import LABEL, Rows
from adapters.trainers._scored_by_teacher import TaughtOptions, TaughtTrainer
from adapters.trainers._similarities import similarity_loss

_ALIKE = 0.5  # from this label on a pair counts as relevant


class AugmentedSbertOptions(TaughtOptions):
    """How labels are learnt, and how many of each kind."""

    batch_size: int = Field(32, ge=1, description="Pairs that the model reads at once.")
    loss: Literal["cosine", "cosent"] = Field(
        "cosine",
        description="What is learnt: cosine, the label itself; cosent, the order of the pairs of a batch.",
    )
    temperature: float = Field(
        0.05, gt=0, description="Divides the differences of similarities; a smaller one cares more for close pairs."
    )
    balance: float | None = Field(
        None,
        gt=0,
        description="How many pairs with a label below .5 are kept for each of those at .5 or above, such as 1; the "
        "others are dropped by a hash of their texts. Left out, all are kept.",
    )

    @model_validator(mode="after")
    def _orders(self) -> AugmentedSbertOptions:
        self.refuse_idle("temperature", "loss: cosent", heeded=self.loss == "cosent")
        return self


@dataclass(frozen=True, slots=True)
class Pairs:
    """Each pair of texts once. gold: judged pairs with their labels, 1 or 0. silver: those that nobody judged."""

    gold: dict[tuple[str, str], float]
    silver: list[tuple[str, str]]


class AugmentedSbertTrainer(TaughtTrainer):
    """Gold and silver labels."""

    name: ClassVar[str] = "augmented_sbert"
    Options = AugmentedSbertOptions

    _told: tuple[str, ...] = ()

    def _rows(self, table: pa.Table) -> Rows:
        pairs = self._pairs(table)
        texts = [*pairs.gold, *pairs.silver]
        labels = [*pairs.gold.values(), *([0.0] * len(pairs.silver))]  # until the teacher says more
        roles = {"first": self._prompts["query"], "second": self._prompts["document"]}
        columns: dict[str, Any] = {"first": [q for q, _ in texts], "second": [d for _, d in texts], LABEL: labels}
        return Rows(columns, prompts={name: text for name, text in roles.items() if text})

    def questions(self, data: TrainingData) -> Questions:
        asked: dict[str, list[str]] = {}
        for query, text in self._pairs(self._table(data)).silver:
            asked.setdefault(query, []).append(text)
        return Questions(queries=list(asked), documents=list(asked.values()))

    def _pairs(self, table: pa.Table) -> Pairs:
        """What is judged keeps its judgement: a pair that the data calls relevant, or not relevant, is never silver."""
        self._check_pairs(table)
        queries, positives = table.column("query").to_pylist(), table.column("positive").to_pylist()
        others = table.column("negatives").to_pylist()
        known = (
            table.column("judged").to_pylist() if "judged" in table.column_names else [[False] * len(o) for o in others]
        )
        gold = dict.fromkeys(zip(queries, positives, strict=True), 1.0)
        silver: dict[str, dict[str, None]] = {}  # by query, in the order in which queries came
        for query, texts, judged in zip(queries, others, known, strict=True):
            for text, is_judged in zip(texts, judged, strict=True):
                if (query, text) in gold:
                    continue
                if is_judged:
                    gold[query, text] = 0.0
                else:
                    silver.setdefault(query, {})[text] = None
        return Pairs(gold, [(q, text) for q, texts in silver.items() for text in texts if (q, text) not in gold])

    def _complete(self, rows: Rows, answers: Answers) -> Rows:
        """Silver labels are the cross-encoder's scores as probabilities."""
        logits = np.concatenate([np.asarray(each, np.float64) for each in answers.scores] or [np.zeros(0)])
        silver = 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))
        judged = len(rows) - len(silver)
        labels = np.concatenate([np.asarray(rows.columns[LABEL][:judged], np.float64), silver])
        kept = self._balanced(rows, labels, judged)
        self._told = (
            f"It learnt from {judged:,} judged pairs and {len(silver):,} that {self.options.teacher} labelled, "
            f"{int((silver >= _ALIKE).sum()):,} of them at {_ALIKE:g} or above; {len(labels) - len(kept):,} pairs were "
            "dropped to balance both kinds.",
        )
        chosen = {name: [values[place] for place in kept] for name, values in rows.columns.items() if name != LABEL}
        return replace(rows, columns={**chosen, LABEL: labels[kept].tolist()})

    def _balanced(self, rows: Rows, labels: npt.NDArray[np.float64], judged: int) -> list[int]:
        """The places of the pairs that are kept. Judged ones stay."""
        places = range(len(labels))
        if self.options.balance is None:
            return list(places)
        low = [place for place in places if labels[place] < _ALIKE]
        wanted = round(self.options.balance * (len(labels) - len(low)))
        first, second = rows.columns["first"], rows.columns["second"]

        def order(place: int) -> tuple[bool, bytes]:
            text = f"{len(first[place])}:{first[place]}{second[place]}"
            return place >= judged, hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

        certain = sum(place < judged for place in low)
        dropped = set(sorted(low, key=order)[max(wanted, certain) :])
        return [place for place in places if place not in dropped]

    def _loss(self, model: Any, rows: Rows) -> Any:
        return similarity_loss(model, self.options.loss, self.options.temperature)

    @property
    def _notes(self) -> tuple[str, ...]:
        return self._told
