"""Ranked List Loss, a module of its own.

Source: Wang et al. 2019, https://arxiv.org/abs/1903.03238. Every text of a batch asks once. Those of its own class that
lie further off than boundary - margin are pulled in, each by as much as it lies further off. Those of other classes
that lie nearer than the boundary are pushed out; the nearer one is, the more it weighs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NEAREST = 1e-12  # squared distances below stand for none: a root has no slope at 0


def ranked_list_loss(
    vectors: Any,
    classes: Any,
    *,
    boundary: float,
    margin: float,
    temperature: float,
    negative_share: float,
    silent: Any = None,
) -> Any:
    """The loss of a batch, a scalar.

    vectors: (n, dimension), of any length; they are brought to length 1, and distances are Euclidean, from 0 to 2.
    classes: (n,). boundary: alpha; margin: m; temperature: T of the weights exp(T (alpha - distance)) of the negatives,
    which take part in no gradient; negative_share: lambda; the positives have the rest. silent: bool (n, n), True where
    nothing is to be learnt of a pair; symmetric.
    """
    import torch

    unit = torch.nn.functional.normalize(vectors.float(), dim=1)
    # Squared distances of unit vectors: 2 - 2 cos.
    distances = (2 - 2 * unit @ unit.T).clamp(min=_NEAREST).sqrt()
    same = classes[:, None] == classes[None, :]
    counts = ~torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    if silent is not None:
        counts = counts & ~silent
    too_far = same & counts & (distances > boundary - margin)
    too_near = ~same & counts & (distances < boundary)
    pulled = _means((distances - (boundary - margin)).clamp(min=0), too_far.float())
    # Within a row only the ratios of the weights count; the largest exponent is taken off, so that none overflows.
    exponents = (temperature * (boundary - distances.detach())).masked_fill(~too_near, -torch.inf)
    highest = exponents.amax(dim=1, keepdim=True).nan_to_num(neginf=0.0)
    pushed = _means((boundary - distances).clamp(min=0), (exponents - highest).exp())
    return ((1 - negative_share) * pulled + negative_share * pushed).mean()


def _means(values: Any, weights: Any) -> Any:
    """The weighted mean of each row; 0 where no weight is."""
    total = weights.sum(dim=1)
    return (values * weights).sum(dim=1) / total.where(total > 0, 1.0)


def ranked_list(model: Any, several: Mapping[int, Sequence[int]], **settings: float) -> Any:
    """The loss as the library calls it: columns of texts, and for each row the numbers of its query and of its class.

    several: the classes of queries that have more than one. Of a query and the texts of another of its classes nothing
    is learnt: it answers them as well.
    """
    import torch

    class RankedList(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Sequence[Any], labels: Any) -> Any:
            vectors = torch.cat([self.model(each)["sentence_embedding"] for each in sentence_features])
            queries, classes = labels[:, 0], labels[:, 1]
            times = len(sentence_features)
            silent = _known_of(queries.tolist(), classes.tolist(), several).repeat(times, times).to(vectors.device)
            return ranked_list_loss(vectors, classes.repeat(times), silent=silent, **settings)

    return RankedList()


def _known_of(queries: Sequence[int], classes: Sequence[int], several: Mapping[int, Sequence[int]]) -> Any:
    """bool (rows, rows): pairs of rows of different classes of which one's query belongs to the other's class too."""
    import torch

    silent = torch.zeros(len(queries), len(queries), dtype=torch.bool)
    for row, query in enumerate(queries):
        for other, label in enumerate(classes) if query in several else ():
            if label != classes[row] and label in several[query]:
                silent[row, other] = silent[other, row] = True
    return silent
