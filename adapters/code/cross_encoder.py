"""Scores of candidates by a cross-encoder: a transformer reads query and document together."""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.code.contract import CandidateScorer, RetrieverError
from adapters.code.sentence_transformers_model import available_device, silent_loading, torch_dtype_of


class CrossEncoderScorer(CandidateScorer):
    """Loads a model at its first use.

    model: a folder, or an id on the Hugging Face hub with the commit in revision. device: None for the fastest that is
        there. dtype: number format of the weights. max_length: tokens that are read of a pair, None for as many as the
        model can. activation: identity or sigmoid, None for the model's own.
    """

    def __init__(
        self,
        *,
        model: Path | str,
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
        activation: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._name = model
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._batch_size = batch_size
        self._max_length = max_length
        self._activation = activation
        self._trusted = trust_remote_code
        self._loading = threading.Lock()
        self._model: Any = None

    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        with self._loading:
            if self._model is None:
                self._model = self._loaded()
        pairs = [(query, text) for text in texts]
        scores = self._model.predict(
            pairs, batch_size=self._batch_size, show_progress_bar=False, convert_to_tensor=True
        )
        return [score if math.isfinite(score) else -math.inf for score in scores.float().cpu().numpy().tolist()]

    def close(self) -> None:
        self._model = None

    def _loaded(self) -> Any:
        library: Any = importlib.import_module("sentence_transformers")
        nn: Any = importlib.import_module("torch.nn")
        if isinstance(self._name, Path) and not self._name.is_dir():
            raise RetrieverError(
                f"There is no folder {self._name}, where the model was. Put it back, or have this file written again."
            )
        functions: dict[str | None, Any] = {"identity": nn.Identity(), "sigmoid": nn.Sigmoid()}
        try:
            with silent_loading():
                return library.CrossEncoder(
                    str(self._name),
                    revision=self._revision,
                    device=self._device or available_device(),
                    trust_remote_code=self._trusted,
                    model_kwargs={"dtype": torch_dtype_of(self._dtype)},
                    max_length=self._max_length,
                    activation_fn=functions.get(self._activation),
                    local_files_only=isinstance(self._name, Path) and not self._trusted,
                )
        except (OSError, ValueError) as error:
            raise RetrieverError(f"The cross-encoder {self._name} cannot be loaded: {error}") from error
