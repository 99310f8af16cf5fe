"""The end of a model that learns another one's vectors: a linear layer into its space, and the length of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import Floats

_READ_AT_ONCE = 32
_RIDGE = 1e-3  # share of the mean variance that is added, so that few texts give no wild layer


def projected(model: Any, width: int | None, *, unit_length: bool, seed: int) -> Any:
    """The model with a linear layer at its end, drawn by the seed, and vectors of length 1 where that is asked for.

    width: of the new vectors; None for no layer.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    modules = list(model)
    if width is not None or not unit_length:
        while isinstance(modules[-1], Normalize):  # lengths are the teacher's, or come after the layer
            modules.pop()
    if width is not None:
        own = int(SentenceTransformer(modules=modules, device="cpu").get_embedding_dimension())
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            modules.append(Dense(own, width, bias=False, activation_function=torch.nn.Identity()))
    if unit_length and not isinstance(modules[-1], Normalize):
        modules.append(Normalize())
    if modules == list(model):
        return model
    made = SentenceTransformer(modules=modules, device="cpu", prompts=model.prompts)
    made.default_prompt_name = model.default_prompt_name
    return made


def fitted(model: Any, texts: Sequence[str], vectors: Floats) -> None:
    """Set the linear layer to the map that brings the vectors before it nearest to a teacher's, in the least squares.

    vectors: the teacher's of these texts, (n, width).
    """
    import torch

    places = [i for i, module in enumerate(model) if type(module).__name__ == "Dense"]
    before = list(model)[: places[-1]]
    training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), _READ_AT_ONCE):
            features = model.preprocess(list(texts[start : start + _READ_AT_ONCE]))
            features = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in features.items()}
            for module in before:
                features = module(features)
            found.append(features["sentence_embedding"].double().cpu().numpy())
    model.train(training)
    known = np.concatenate(found)
    square = known.T @ known
    square += _RIDGE * max(float(np.trace(square)) / len(square), 1e-12) * np.eye(len(square))
    layer = np.linalg.solve(square, known.T @ vectors.astype(np.float64))
    with torch.no_grad():
        model[places[-1]].linear.weight.copy_(torch.from_numpy(layer.T.astype(np.float32)))
