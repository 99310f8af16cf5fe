"""Contrastive tension: two copies of a model, which must give a text the same vector and other texts others.

Source: Carlsson et al. 2021, https://openreview.net/forum?id=Ov_sMNau-PF.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def tension(vectors: Any, others: Any, negatives: int) -> Any:
    """The loss of a batch: each text with itself, and with so many of the texts that follow it in the batch, round its
    end; the mean over all these pairs.

    vectors, others: (n, dimension), of the same n texts by both models. Dot products are taken, and for each the binary
    cross entropy: 1 for the same text, 0 for another one. The paper adds the pairs up; the mean keeps the learning rate
    apart from the size of the batch.
    """
    import torch

    count = len(vectors)
    scores = vectors.float() @ others.float().T
    # How far each column's text stands behind that of the row.
    behind = (torch.arange(count)[None, :] - torch.arange(count)[:, None]) % count
    asked = (behind <= negatives).to(scores.device)
    same = torch.eye(count, device=scores.device)
    return torch.nn.functional.binary_cross_entropy_with_logits(scores[asked], same[asked])


def by_pairs(model: Any, negatives: int) -> Any:
    """The loss as the library calls it, with a second copy of the model that learns as well."""
    import copy

    import torch

    class Tension(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.other = copy.deepcopy(model)

        def forward(self, sentence_features: Sequence[Any], labels: Any) -> Any:
            (texts,) = sentence_features
            vectors = self.model(dict(texts))["sentence_embedding"]
            return tension(self.other(dict(texts))["sentence_embedding"], vectors, negatives)

    return Tension()
