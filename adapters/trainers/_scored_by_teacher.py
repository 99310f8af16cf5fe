"""What recipes share that learn a teacher's scores of the pairs that were found for them."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from adapters.base import Encoder, InvalidOptions, LearnsFrom, PathText, Reranker
from adapters.trainers._encoder import EncoderTrainer, as_option
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._ranking import check_negatives, ranked_lists
from adapters.trainers._rows import check_pairs
from adapters.trainers._teacher import Teacher


class TaughtOptions(EncoderTrainingOptions):
    """Which cross-encoder teaches."""

    teacher: PathText = Field(
        description="Cross-encoder whose scores are learnt: a reranker of the file, trained:<name>, an id on the "
        "Hugging Face hub, a folder, or package:<distribution>/<path inside>."
    )


class TaughtTrainer(EncoderTrainer):
    """Makes an encoder of what a cross-encoder says of queries with their relevant documents and others."""

    encoders_teach: ClassVar[bool] = False  # whether an encoder's similarities can be learnt too
    learns_from: ClassVar[LearnsFrom] = "pairs"
    takes_negatives: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("base", "teacher")
    Options: ClassVar[type[TaughtOptions]] = TaughtOptions

    @property
    def needs_negatives(self) -> bool:
        return True

    def check(self) -> None:
        super().check()
        with as_option("teacher"):
            self._teacher.check(encodes=None if self.encoders_teach else False)
        if self.options.teacher == self.options.base:
            raise InvalidOptions(
                f"{self.options.teacher} is the base itself, which learns nothing from what it says. Name another "
                "model.",
                key="teacher",
            )

    @property
    def teacher(self) -> Encoder | Reranker:
        return self._teacher.adapter()

    @cached_property
    def _teacher(self) -> Teacher:
        return Teacher(
            self.options.teacher,
            self.context,
            device=self.options.device,
            trusted=self.options.trust_remote_code,
        )

    def _check_pairs(self, table: pa.Table) -> None:
        """Raises InvalidOptions for pairs that nothing can be learnt from."""
        check_pairs(table)
        check_negatives(ranked_lists(table))
