"""The library's losses for cross-encoders, taking one query with all its documents as an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WHOLE = -1  # the library reads all pairs of a batch at once; in parts they would take the same memory

_NEVER = 1e-9  # stands for a probability of none, whose logarithm must be finite


def pair_by_pair(loss: Any) -> Any:
    """A loss of single pairs and their grades, given lists of documents and grades."""
    import torch

    class PairByPair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, inputs: Sequence[Any], labels: Sequence[Any], **more: Any) -> Any:
            queries, lists = inputs
            repeated = [query for query, documents in zip(queries, lists, strict=True) for _ in documents]
            flat = [document for documents in lists for document in documents]
            grades = torch.cat(list(labels)).to(loss.model.device)
            return self.loss([repeated, flat], grades, **more)

    return PairByPair()


def of_probabilities(loss: Any) -> Any:
    """A list-wise loss, given the probabilities that it is to aim at.

    The library takes the softmax of its labels for them. Of one 1 and seven 0 that is .28 for the relevant document and
    .10 for each other, almost even; of the logarithms of probabilities it is those probabilities.
    """
    import torch

    class OfProbabilities(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, inputs: Sequence[Any], labels: Sequence[Any], **more: Any) -> Any:
            return self.loss(inputs, [torch.log(each.clamp(min=_NEVER)) for each in labels], **more)

    return OfProbabilities()
