"""A table of vectors, one per token, whose mean is a text's vector: it trains in minutes on a processor and embeds tens
of thousands of texts a second.

Source: Aarsen 2025, https://huggingface.co/blog/static-embeddings.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from adapters.base import InvalidOptions
from adapters.trainers._options import OF_LAYERS
from adapters.trainers.mnrl import MnrlOptions, MnrlTrainer


class StaticOptions(MnrlOptions):
    """As multiple negatives ranking, for a table of vectors."""

    epochs: float = Field(10.0, gt=0, description="Passes over the training data; fractions count.")
    batch_size: int = Field(256, ge=1, description="Examples that the model reads at once.")
    learning_rate: float = Field(2e-3, gt=0, description="Size of a step once it has warmed up.")
    dimension: int | None = Field(
        None,
        ge=1,
        description="Length of the vectors of a new table, for the tokens of the base; left out, the base is a table "
        "itself and learns on.",
    )


class StaticTrainer(MnrlTrainer):
    """A table of vectors."""

    name: ClassVar[str] = "static"
    Options = StaticOptions

    @property
    def starts_from_base(self) -> bool:
        return self.options.dimension is None

    def check(self) -> None:
        super().check()
        if self.options.dimension is None and not self._base.static:
            raise InvalidOptions(
                f"{self.options.base} is a transformer. Name a table of vectors, or give the length of the vectors of "
                "a new table for its tokens: dimension: 256.",
                key="dimension",
            )
        for option in OF_LAYERS:
            self._refuse_idle(option, "a table of vectors reads texts whole and has no layers")

    def _model(self, seed: int, device: str) -> Any:
        if self.options.dimension is None:
            return super()._model(seed, device)
        self.check()
        return self._new_table(seed, device)

    def _new_table(self, seed: int, device: str) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from tokenizers import Tokenizer

        found = self._base.load().tokenizer
        tokenizer = Tokenizer.from_str((found if isinstance(found, Tokenizer) else found.backend_tokenizer).to_str())
        tokenizer.no_truncation()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            table = StaticEmbedding(tokenizer, embedding_dim=self.options.dimension)
        model = SentenceTransformer(modules=[table], device=device)
        self._set_prompts(model)
        return model
