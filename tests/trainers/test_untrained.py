"""Laws of the cross-encoder that a training starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterError, Context, Corpus, InvalidOptions, ModelNotFound, Queries
from adapters.models import locate
from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker
from adapters.trainers._untrained import Head, check_base, untrained
from tests.models import TOPICS, tiny_bert, tiny_cross_encoder

PAIRS = [("how to sort", "sort an array in place"), ("apple pie", "bake a pie now")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def encoder(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("encoder")
    SentenceTransformer(str(plain), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("ready"))


def made(base: Path, *, seed: int = 1, head: Head | None = None, max_length: int | None = None) -> Any:
    model = locate(str(base), Context(), organization="nobody")
    check_base(model, head=head, max_length=max_length, trust_remote_code=False)
    return untrained(model, head=head, max_length=max_length, trust_remote_code=False, seed=seed)


def scores(model: Any) -> Any:
    return model.predict(PAIRS, show_progress_bar=False)


@pytest.mark.parametrize("head", ["mean", "classifier"])
def test_a_new_head_is_drawn_by_the_seed_and_by_nothing_else(encoder: Path, head: Head) -> None:
    import torch

    torch.manual_seed(1)
    first = scores(made(encoder, head=head))
    drawn = torch.rand(1)
    torch.manual_seed(2)
    assert (scores(made(encoder, head=head)) == first).all()
    assert (scores(made(encoder, head=head, seed=2)) != first).all()
    torch.manual_seed(1)
    assert torch.rand(1) == drawn  # making a model draws nothing from the process's own state


@pytest.mark.parametrize("head", ["mean", "classifier"])
def test_the_transformer_is_the_encoders(encoder: Path, plain: Path, head: Head) -> None:
    from sentence_transformers import SentenceTransformer

    own = SentenceTransformer(str(encoder), device="cpu").transformers_model.embeddings.state_dict()
    for base in (encoder, plain):
        weights = made(base, head=head).transformers_model.base_model.embeddings.state_dict()
        assert all((weights[name] == value).all() for name, value in own.items())


@pytest.mark.parametrize("head", ["mean", "classifier"])
def test_the_reranker_reads_what_was_written_and_its_scores_do_not_saturate(
    encoder: Path, tmp_path: Path, head: Head
) -> None:
    model = made(encoder, head=head, max_length=12)
    with Scaled(model, 1000.0):
        expected = scores(model)
        model.save_pretrained(str(tmp_path), create_model_card=False)
    subject = CrossEncoderReranker(CrossEncoderOptions(model=str(tmp_path), device="cpu"))
    subject.check()
    subject.prepare(Corpus([document for _, document in PAIRS]))
    found = subject.score(Queries(texts=[query for query, _ in PAIRS]), np.array([[0], [1]], np.int32))
    np.testing.assert_allclose(found.scores[:, 0], expected, rtol=1e-5)
    assert np.abs(found.scores).max() > 1
    assert subject._model.max_seq_length == 12


class Scaled:
    """Inside, the last layer's weights are that much larger."""

    def __init__(self, model: Any, factor: float) -> None:
        self.layer = [module for module in model.modules() if getattr(module, "out_features", 0) == 1][-1]
        self.factor = factor

    def __enter__(self) -> None:
        self.layer.weight.data *= self.factor

    def __exit__(self, *error: object) -> None:
        self.layer.weight.data /= self.factor


def test_a_cross_encoder_starts_with_its_own_head(ready: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    pairs = [(query, document) for query in TOPICS for document in TOPICS.values()]
    bare = CrossEncoder(str(ready), device="cpu", activation_fn=nn.Identity())
    for seed in (1, 2):
        found = made(ready, seed=seed).predict(pairs, show_progress_bar=False)
        np.testing.assert_allclose(found, bare.predict(pairs, show_progress_bar=False), atol=1e-6)


def test_a_base_that_cannot_become_a_reranker_is_refused(
    encoder: Path, ready: Path, static_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidOptions, match="gives 3 scores per pair") as three:
        made(tiny_cross_encoder(tmp_path / "three", labels=3, train=False))
    with pytest.raises(InvalidOptions, match="is no transformer") as table:
        made(static_model)
    with pytest.raises(InvalidOptions, match="head has no effect") as two_heads:
        made(ready, head="mean")
    with pytest.raises(InvalidOptions, match="reads at most 16 tokens") as long:
        made(encoder, max_length=17)
    keys = [error.value.key for error in (three, table, two_heads, long)]
    assert keys == ["base", "base", "head", "max_length"]


def test_a_base_without_weights_or_with_a_foreign_module_is_refused(encoder: Path, tmp_path: Path) -> None:
    import shutil

    empty = shutil.copytree(encoder, tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="holds no weights"):
        made(empty)
    foreign = shutil.copytree(encoder, tmp_path / "foreign")
    modules = json.loads((foreign / "modules.json").read_text())
    modules[0]["type"] = "someone.Reader"
    (foreign / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(AdapterError, match="brings code of its own"):
        made(foreign)
