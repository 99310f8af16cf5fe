"""Vectors of texts by a model in this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.code.contract import QueryEncoder, RetrieverError
from adapters.code.sentence_transformers_model import (
    available_device,
    read_model,
    set_up,
    silent_loading,
)


class SentenceTransformersQueries(QueryEncoder):
    """A model of sentence-transformers.

    model: its folder, or its name on the hub, whose commit is the revision. prompt: what is put before every text.
    documents: whether the texts are documents. device: None takes cuda, then mps, then cpu. normalize, max_length,
    truncate_dim: None is as the model ships.
    """

    def __init__(
        self,
        *,
        model: str | Path,
        prompt: str,
        documents: bool = False,
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "float32",
        normalize: bool | None = None,
        max_length: int | None = None,
        truncate_dim: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._name = model
        self._prompt = prompt
        self._documents = documents
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._normalize = normalize
        self._max_length = max_length
        self._truncate_dim = truncate_dim
        self._trust_remote_code = trust_remote_code
        self._lock = threading.Lock()
        self._loaded: Any = None

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of n texts, float32 (n, dimension). Raises RetrieverError where the model is not there."""
        model = self._model()
        encode = model.encode_document if self._documents else model.encode_query
        vectors = encode(
            list(texts),
            prompt=self._prompt,
            show_progress_bar=False,
            convert_to_tensor=True,  # numpy has no bfloat16
            normalize_embeddings=bool(self._normalize),
            truncate_dim=self._truncate_dim,
        )
        return np.asarray(vectors.float().cpu().numpy(), np.float32)

    def _model(self) -> Any:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Any:
        if isinstance(self._name, Path) and not self._name.is_dir():
            raise RetrieverError(f"The model's folder {self._name} is gone. Write the retriever again.")
        try:
            with silent_loading():
                model = self._read(self._device or available_device())
        except OSError as error:
            raise RetrieverError(
                f"The model {self._name} cannot be loaded: {str(error).splitlines()[0]} It is fetched from the hub "
                "where it is not on this machine: check the connection, and HF_TOKEN where the model is private."
            ) from error
        set_up(model, dtype=self._dtype, normalize=self._normalize, max_length=self._max_length)
        return model

    def _read(self, device: str) -> Any:
        return read_model(
            self._name,
            device=device,
            dtype=self._dtype,
            revision=self._revision,
            trust_remote_code=self._trust_remote_code,
            local=isinstance(self._name, Path) and not self._trust_remote_code,
        )

    def close(self) -> None:
        """Let go of the model."""
        self._loaded = None
