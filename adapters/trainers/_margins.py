"""By how much a document must be nearer to a query than another one: what a teacher of pairs says, as a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def pair_margins(model: Any, temperature: float) -> Any:
    """The margin between a query's relevant document and one other document is to be the teacher's."""
    from sentence_transformers.sentence_transformer import losses

    return losses.MarginMSELoss(model, similarity_fct=_similarity(model, temperature))


def mean_margins(model: Any, temperature: float) -> Any:
    """The margin between a query's relevant document and the mean of its other documents is to be the teacher's."""
    import torch

    alike = _similarity(model, temperature)

    class MeanMargins(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Sequence[Any], labels: Any) -> Any:
            query, relevant, *others = [self.model(each)["sentence_embedding"] for each in sentence_features]
            mean = torch.stack([alike(query, other) for other in others]).mean(dim=0)
            return torch.nn.functional.mse_loss(alike(query, relevant) - mean, labels.to(mean.dtype))

    return MeanMargins()


def _similarity(model: Any, temperature: float) -> Any:
    def alike(first: Any, second: Any) -> Any:
        return model.similarity_pairwise(first, second) / temperature

    return alike
