"""Vectors of queries by a table of vectors, as the package model2vec saves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.code.sentence_transformers_model import read_static_model
from adapters.code.sentence_transformers_queries import SentenceTransformersQueries


class Model2VecQueries(SentenceTransformersQueries):
    """A model2vec folder, through sentence-transformers. unit_length: whether the model ships so."""

    def __init__(self, *, unit_length: bool, **options: Any) -> None:
        super().__init__(**options)
        self._unit_length = unit_length

    def _read(self, device: str) -> Any:
        return read_static_model(Path(self._name), device=device, normalize=self._unit_length)
