"""Laws of a teacher, whose scores a reranker learns to give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from adapters import registry
from adapters.base import Context, InvalidOptions, ModelNotFound, Questions
from adapters.trainers._teacher import Teacher, answered
from tests.models import TOPICS, tiny_cross_encoder

QUERIES = ["fruit", "metal"]
DOCUMENTS = [["the apple of", "a iron in", "of water the"], ["a iron in", "the apple of"]]
ASKED = Questions(queries=QUERIES, documents=DOCUMENTS)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("ready"))


def test_a_cross_encoder_teaches_its_bare_logits(ready: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    teacher = Teacher(str(ready), Context(), device="cpu")
    teacher.check()
    bare = CrossEncoder(str(ready), device="cpu", activation_fn=nn.Identity())
    for query, documents, found in zip(QUERIES, DOCUMENTS, answered(teacher.adapter(), ASKED).scores, strict=True):
        expected = bare.predict([(query, document) for document in documents], show_progress_bar=False)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.argmax() == 0  # the document of the query's topic
        assert TOPICS[query] in documents[0]
    assert teacher.temperature == 1.0


def test_an_encoder_teaches_the_similarities_of_its_vectors(static_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    teacher = Teacher(str(static_model), Context(), device="cpu")
    teacher.check()
    bare = SentenceTransformer(str(static_model), device="cpu")
    for query, documents, found in zip(QUERIES, DOCUMENTS, answered(teacher.adapter(), ASKED).scores, strict=True):
        vectors = bare.encode([query, *documents], show_progress_bar=False, normalize_embeddings=True)
        np.testing.assert_allclose(found, vectors[1:] @ vectors[0], atol=1e-5)
    assert teacher.temperature == 0.05


def test_a_teacher_that_is_not_there_or_can_do_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        Teacher("./nowhere", Context(), device="cpu").check()
    three = tiny_cross_encoder(tmp_path, labels=3, train=False)
    with pytest.raises(InvalidOptions, match="gives 3 scores per pair"):
        Teacher(str(three), Context(), device="cpu").check()


@pytest.mark.parametrize("recipe", ["gpl", "augmented_sbert", "distill"])
def test_a_teacher_that_is_not_there_is_said_of_the_option_that_names_it(recipe: str, static_model: Path) -> None:
    kind = registry.load("trainers", recipe)
    options = {"base": str(static_model), "teacher": "./nowhere", "device": "cpu"}
    with pytest.raises(InvalidOptions, match="there is no folder") as refused:
        kind(kind.Options.model_validate(options), Context()).check()
    assert refused.value.key == "teacher"


def test_a_teacher_that_brings_code_runs_where_the_training_trusts_it(static_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static_model, tmp_path / "own"))
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"idx": 1, "name": "1", "path": "", "type": "own.Code"}])
    )
    with pytest.raises(InvalidOptions, match="trust_remote_code: true"):
        Teacher(str(folder), Context(), device="cpu").check()
    Teacher(str(folder), Context(), device="cpu", trusted=True).check()
