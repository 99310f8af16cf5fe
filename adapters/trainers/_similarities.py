"""The library's losses for pairs of texts with a similarity."""

from __future__ import annotations

from typing import Any, Literal


def similarity_loss(model: Any, name: Literal["cosine", "cosent", "angle"], temperature: float) -> Any:
    """cosine: the similarity itself is learnt; cosent, angle: the order of the pairs of a batch, by similarities that
    are divided by the temperature."""
    from sentence_transformers.sentence_transformer import losses

    if name == "cosine":
        return losses.CosineSimilarityLoss(model)
    kind = losses.CoSENTLoss if name == "cosent" else losses.AnglELoss
    return kind(model, scale=1 / temperature)
