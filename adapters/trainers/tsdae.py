"""A denoising auto-encoder, which needs documents and nothing else: from the vector of a text that lost most of its
words, a decoder learns to write the whole text. The decoder is thrown away, the encoder kept.

Source: Wang et al. 2021, TSDAE, https://arxiv.org/abs/2104.06979.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from adapters.base import InvalidOptions, LearnsFrom
from adapters.trainers._denoising import denoising, has_decoder
from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._rows import Rows, single_texts

_CURE = "Take the recipe contrastive_tension, which needs documents alone as well, or another base, such as a BERT."


class TsdaeOptions(EncoderTrainingOptions):
    """How much of a text is lost."""

    batch_size: int = Field(8, ge=1, description="Texts that the model reads at once.")
    learning_rate: float = Field(3e-5, gt=0, description="Size of a step once it has warmed up.")
    deletion: float = Field(
        0.6, gt=0, lt=1, description="Share of a text's tokens that are deleted before it is read; one stays at least."
    )


class TsdaeTrainer(EncoderTrainer):
    """A denoising auto-encoder."""

    name: ClassVar[str] = "tsdae"
    learns_from: ClassVar[LearnsFrom] = "documents"
    Options = TsdaeOptions

    def check(self) -> None:
        super().check()
        if self._base.static:
            raise InvalidOptions(
                f"{self.options.base} is a table of vectors, without layers of which a decoder could be made. {_CURE}",
                key="base",
            )

    def _rows(self, table: pa.Table) -> Rows:
        return single_texts(table, self._prompts)

    def _model(self, seed: int, device: str) -> Any:
        model = super()._model(seed, device)
        config = model.transformers_model.config
        if not has_decoder(config):
            raise InvalidOptions(
                f"{self.options.base} is a {config.model_type}, and transformers has no decoder of its layers. {_CURE}",
                key="base",
            )
        return model

    def _loss(self, model: Any, rows: Rows) -> Any:
        return denoising(model, deletion=self.options.deletion, special=model.tokenizer.all_special_ids)
