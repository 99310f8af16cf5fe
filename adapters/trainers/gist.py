"""Multiple negatives ranking with a guide: another model throws those texts of a batch out of the negatives that it
finds nearer to the query than its relevant text.

Source: Solatorio 2024, GISTEmbed, https://arxiv.org/abs/2402.16829.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from adapters.base import InvalidOptions, PathText
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder
from adapters.trainers._encoder import as_option
from adapters.trainers._rows import Rows
from adapters.trainers.mnrl import InBatchOptions, InBatchTrainer, matryoshka


class GistOptions(InBatchOptions):
    """Which model guides, and how strict it is."""

    guide: PathText = Field(
        description="Model that tells false negatives: a model of the file, trained:<name>, an id on the Hugging Face "
        "hub, a folder, or package:<distribution>/<path inside>."
    )
    margin: float = Field(
        0.0,
        ge=0,
        description="How far below the guide's similarity of query and relevant text a text counts as false negative.",
    )
    margin_strategy: Literal["absolute", "relative"] = Field(
        "absolute", description="Whether the margin is a difference, or a share of the similarity of the relevant text."
    )


class GistTrainer(InBatchTrainer):
    """Multiple negatives ranking with a guide."""

    name: ClassVar[str] = "gist"
    references: ClassVar[tuple[str, ...]] = ("base", "guide")
    Options = GistOptions

    def check(self) -> None:
        super().check()
        with as_option("guide"):
            self._guide.check()
        for option, encoder in (("base", self._base), ("guide", self._guide)):
            if encoder.static:
                raise InvalidOptions(
                    f"{getattr(self.options, option)} is a table of vectors; with a guide both models must be "
                    "transformers. Take another model, or the recipe static.",
                    key=option,
                )

    @cached_property
    def _guide(self) -> SentenceTransformersEncoder:
        return self._encoder(self.options.guide)

    def _loss(self, model: Any, rows: Rows) -> Any:
        from sentence_transformers.sentence_transformer import losses

        options = self.options
        with as_option("guide"):
            guide = self._guide.load().to(model.device).requires_grad_(False).eval()
        settings = {
            "temperature": options.temperature,
            "margin": options.margin,
            "margin_strategy": options.margin_strategy,
        }
        # The library reads several negatives in its cached loss alone, which is the same but for memory.
        if options.cached or len(rows.columns) > 3:
            at_once = options.mini_batch if options.cached else options.batch_size
            loss = losses.CachedGISTEmbedLoss(model, guide, mini_batch_size=at_once, **settings)
        else:
            loss = losses.GISTEmbedLoss(model, guide, **settings)
        return matryoshka(model, loss, options.matryoshka)
