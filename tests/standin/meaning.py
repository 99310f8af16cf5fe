"""Vectors and rerank scores from the word vectors of the package wordllama (256 components, Llama 2's tokens).

Every model of a service is some of these components, rotated into a space of the size that the service documents:
at full size all angles are kept, a shortened vector loses a little, models of one space agree up to the components
they lack.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
COMPONENTS = 256


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """space: models of one space may be compared. dimension: full size; sizes: what may be asked for, empty where
    the size is fixed. components: how much of the word vectors the model knows. tokens: the longest text."""

    space: str
    dimension: int
    sizes: tuple[int, ...]
    components: int
    tokens: int


@dataclass(frozen=True, slots=True)
class RerankModel:
    """interaction: weight of matching word by word, against comparing the texts as wholes. units: what is billed."""

    interaction: float
    units: str
    tokens: int


_V5 = (2048, 1536, 1024, 768, 512, 256)
EMBEDDING_MODELS = {
    "embed-v5.0-pro": EmbeddingModel("embed-v5", 2048, _V5, 256, 128_000),
    "embed-v5.0-fast": EmbeddingModel("embed-v5", 2048, _V5, 208, 128_000),
    "embed-v4.0": EmbeddingModel("embed-v4", 1536, (1536, 1024, 512, 256), 232, 128_000),
    "embed-english-v3.0": EmbeddingModel("embed-english-v3", 1024, (), 192, 512),
    "embed-multilingual-v3.0": EmbeddingModel("embed-multilingual-v3", 1024, (), 176, 512),
    "embed-english-light-v3.0": EmbeddingModel("embed-english-light-v3", 384, (), 128, 512),
    "embed-multilingual-light-v3.0": EmbeddingModel("embed-multilingual-light-v3", 384, (), 112, 512),
    "text-embedding-3-small": EmbeddingModel("3-small", 1536, tuple(range(1, 1537)), 192, 8191),
    "text-embedding-3-large": EmbeddingModel("3-large", 3072, tuple(range(1, 3073)), 248, 8191),
    "text-embedding-ada-002": EmbeddingModel("ada-002", 1536, (), 128, 8191),
    "stand-in-512": EmbeddingModel("512", 512, (), 160, 8191),  # a model that no provider has
}
RERANK_MODELS = {
    "rerank-v5.0-pro": RerankModel(0.7, "tokens", 32_768),
    "rerank-v5.0-fast": RerankModel(0.5, "tokens", 32_768),
    "rerank-v4.0-pro": RerankModel(0.6, "search_units", 32_768),
    "rerank-v4.0-fast": RerankModel(0.4, "search_units", 32_768),
    "rerank-v3.5": RerankModel(0.3, "search_units", 4096),
}


class Meaning:
    """The word vectors with a memory of texts already turned into vectors."""

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        package = distribution("wordllama")
        weights = load_file(str(package.locate_file("wordllama/weights/l2_supercat_256.safetensors")))
        self._words: Floats = weights["embedding.weight"].astype(np.float32)
        tokenizer = Tokenizer.from_file(
            str(package.locate_file("wordllama/tokenizers/l2_supercat_tokenizer_config.json"))
        )
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer: Any = tokenizer
        self._tokens: dict[str, npt.NDArray[np.int32]] = {}
        self._means: dict[bytes, Floats] = {}
        self._lock = threading.Lock()

    def tokens(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Token ids of texts; an empty text is one unknown token."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        if missing:
            encoded = self._tokenizer.encode_batch(missing, add_special_tokens=False)
            ids = [np.array(item.ids or [0], dtype=np.int32) for item in encoded]
            with self._lock:
                self._tokens.update(zip(missing, ids, strict=True))
        return [self._tokens[text] for text in texts]

    def embed(self, name: str, tokens: Sequence[npt.NDArray[np.int32]], size: int) -> Floats:
        """Unit vectors (n, size)."""
        model = EMBEDDING_MODELS[name]
        means = np.stack([self._mean(ids) for ids in tokens])
        means[:, model.components :] = 0.0
        vectors = means @ rotation(model.space, model.dimension)[:, :size]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=np.full_like(vectors, size**-0.5), where=lengths > 0)

    def _mean(self, ids: npt.NDArray[np.int32]) -> Floats:
        key = ids.tobytes()
        if key not in self._means:
            self._means[key] = self._words[ids].mean(axis=0)
        return self._means[key]

    def scores(self, name: str, query: str, documents: Sequence[str]) -> list[float]:
        """A score within 0..1 per document that depends on query and document alone."""
        model = RERANK_MODELS[name]
        (asked,) = self.tokens([query])
        wanted, weight = _unit(self._words[asked]), np.linalg.norm(self._words[asked], axis=1)
        whole = _unit(self._words[asked].mean(axis=0))
        found: list[float] = []
        for ids in self.tokens(documents):
            words = self._words[ids[: model.tokens]]
            by_word = float(weight @ (wanted @ _unit(words).T).max(axis=1) / max(float(weight.sum()), 1e-9))
            by_text = float(whole @ _unit(words.mean(axis=0)))
            mixed = model.interaction * by_word + (1 - model.interaction) * by_text
            found.append(min(1.0, max(0.0, (mixed + 1) / 2)))
        return found


@cache
def meaning() -> Meaning:
    """The word vectors, read once per process."""
    return Meaning()


def rotation(space: str, dimension: int) -> Floats:
    """As `_rotation`, which takes seconds on a busy machine: calls at once share the work of the first."""
    with _ROTATING:
        return _rotation(space, dimension)


_ROTATING = threading.Lock()


@cache
def _rotation(space: str, dimension: int) -> Floats:
    """Orthonormal rows (COMPONENTS, dimension) that belong to a space; dimension >= COMPONENTS."""
    seed = int.from_bytes(space.encode()[:8].ljust(8, b"\0"), "big")
    gaussian = np.random.default_rng(seed).standard_normal((dimension, COMPONENTS))
    return np.ascontiguousarray(np.linalg.qr(gaussian)[0].T, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
