"""Laws of the encoder that hands on the data set's own vectors."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.base import Context, InvalidOptions, InvalidVectors, Similarity, TextRows
from adapters.encoders.precomputed import PrecomputedEncoder, PrecomputedOptions


def precomputed(dimension: int | None = 3, **options: str) -> PrecomputedEncoder:
    return PrecomputedEncoder(PrecomputedOptions.model_validate(options), Context(vector_dimension=dimension))


def test_vectors_pass_through_unchanged() -> None:
    vectors = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    np.testing.assert_array_equal(precomputed().encode(TextRows([], vectors), "query").vectors, vectors)


def test_a_data_set_without_vectors_is_a_fault_before_the_run() -> None:
    with pytest.raises(InvalidOptions, match="carries no vectors"):
        precomputed(None).check()


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(InvalidVectors, match="dimension 2, expected 3"):
        precomputed().encode(TextRows([], np.ones((1, 2), np.float32)), "document")


def test_similarity_and_space_are_as_the_config_says() -> None:
    assert precomputed().similarity is Similarity.COSINE
    assert precomputed(similarity="dot").similarity is Similarity.DOT
    assert precomputed(space="embed-v3").space == "embed-v3"
    assert precomputed().identity == precomputed().identity
