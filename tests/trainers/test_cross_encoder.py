"""Laws of the recipe for cross-encoders, on tiny ones and a planted order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from adapters.base import Context, Corpus, InvalidOptions, Queries, ScoresPairs, TrainingData, TrainingStep
from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker
from adapters.trainers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingOptions
from tests.models import FILLERS, TOPICS, tiny_cross_encoder, topic_document

LEARNS = {"epochs": 8.0, "learning_rate": 5e-3, "device": "cpu", "precision": "float32"}


def planted(count: int, *, negatives: int = 3) -> TrainingData:
    """Queries that hold a topic among fillers; the relevant document holds the topic's word, negatives another's."""
    generator = np.random.default_rng(1)
    rows = []
    for _ in range(count):
        own, *others = generator.permutation(list(TOPICS)).tolist()
        query = " ".join([own, *generator.choice(FILLERS, 3).tolist()])
        wrong = [topic_document(other, generator) for other in others[:negatives]]
        rows.append((query, topic_document(own, generator), wrong))
    queries, positives, lists = zip(*rows, strict=True)
    ids = [str(i) for i in range(count)]
    columns = {"query_id": ids, "document_id": ids, "query": list(queries), "positive": list(positives)}
    return TrainingData(pairs=pa.table({**columns, "negatives": pa.array(list(lists), pa.list_(pa.string()))}))


DATA = planted(160)


def found_first(model: ScoresPairs) -> float:
    """Share of the planted queries whose relevant document scores highest."""
    assert DATA.pairs is not None
    rows = DATA.pairs.to_pylist()
    pairs = [(row["query"], text) for row in rows for text in (row["positive"], *row["negatives"])]
    return float((model.score(pairs).reshape(len(rows), -1).argmax(axis=1) == 0).mean())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer without a head."""
    from transformers import BertForSequenceClassification

    folder = tiny_cross_encoder(tmp_path_factory.mktemp("plain"), train=False)
    BertForSequenceClassification.from_pretrained(str(folder)).bert.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder that knows the planted order."""
    return tiny_cross_encoder(tmp_path_factory.mktemp("ready"))


def recipe(base: Path, **options: Any) -> CrossEncoderTrainer:
    return CrossEncoderTrainer(CrossEncoderTrainingOptions(base=str(base), **{**LEARNS, **options}), Context())


def trained(subject: CrossEncoderTrainer, folder: Path, data: TrainingData = DATA) -> list[TrainingStep]:
    told: list[TrainingStep] = []
    subject.train(
        data, folder=folder / "model", checkpoints=folder / "kept", seed=1, evaluate=found_first, tell=told.append
    )
    return told


def test_a_trained_reranker_is_read_by_its_adapter_and_scores_as_it_did_in_training(
    plain: Path, tmp_path: Path
) -> None:
    best = max(step.dev for step in trained(recipe(plain), tmp_path) if step.dev is not None)
    assert best > 0.9  # by chance a quarter
    made = CrossEncoderReranker(CrossEncoderOptions(model=str(tmp_path / "model"), device="cpu"))
    made.check()

    class Read:
        def score(self, pairs: Any) -> Any:
            made.prepare(Corpus([document for _, document in pairs]))
            rows = np.arange(len(pairs), dtype=np.int32)[:, None]
            return made.score(Queries(texts=[query for query, _ in pairs]), rows).scores[:, 0]

    assert found_first(Read()) == best


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "binary_cross_entropy", "epochs": 25},
        {"loss": "lambda", "top": 3, "epochs": 15},
        {"loss": "multiple_negatives", "epochs": 15},
        {"loss": "multiple_negatives", "cached": True, "mini_batch": 24, "epochs": 15},
        {"loss": "list_net", "head": "classifier", "epochs": 15},
    ],
)
def test_every_loss_learns_the_planted_order(plain: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    assert max(step.dev or 0 for step in trained(recipe(plain, **options), tmp_path)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"loss": "margin_mse"}, {"loss": "list_net", "teacher_share": 1.0}])
def test_a_pupil_learns_its_teachers_order(plain: Path, ready: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    subject = recipe(plain, teacher=str(ready), epochs=20, **options)
    assert max(step.dev or 0 for step in trained(subject, tmp_path)) > 0.9


def test_the_teachers_scores_stand_in_the_labels(plain: Path, ready: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    subject = recipe(plain, teacher=str(ready), loss="margin_mse", teacher_temperature=2.0)
    assert DATA.pairs is not None
    labels = subject._complete(subject._rows(DATA.pairs), subject._answers(DATA)).columns["label"]
    row = DATA.pairs.to_pylist()[5]
    bare = CrossEncoder(str(ready), device="cpu", activation_fn=nn.Identity())
    own, *others = bare.predict([(row["query"], text) for text in (row["positive"], *row["negatives"])])
    np.testing.assert_allclose(labels[5], [(own - other) / 2 for other in others], atol=1e-5)


def test_a_teacher_is_part_of_the_recipe(plain: Path, ready: Path) -> None:
    named = recipe(plain, teacher=str(ready), loss="list_net").recipe
    assert set(named["teacher"]) == {"weights", "files"}
    assert named != recipe(plain, loss="list_net").recipe


def test_only_in_batch_negatives_make_others_dispensable(plain: Path) -> None:
    assert not recipe(plain, loss="multiple_negatives").needs_negatives
    for loss in ("list_net", "binary_cross_entropy", "lambda"):
        subject = recipe(plain, loss=loss)
        assert subject.needs_negatives
        with pytest.raises(InvalidOptions, match="the data names none"):
            subject.plan(planted(20, negatives=0), timed=False)


def test_a_base_with_a_head_is_where_the_training_starts(plain: Path, ready: Path) -> None:
    assert recipe(ready).starts_from_base
    assert not recipe(plain).starts_from_base


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "margin_mse"}, "needs a teacher"),
        ({"pos_weight": 2.0}, "pos_weight has no effect without loss: binary_cross_entropy"),
        ({"top": 5}, "top has no effect without loss: lambda"),
        ({"in_batch_negatives": 2}, "in_batch_negatives has no effect without loss: multiple_negatives"),
        ({"cached": True}, "cached has no effect without loss: multiple_negatives"),
        ({"loss": "multiple_negatives", "mini_batch": 8}, "mini_batch has no effect without cached: true"),
        ({"loss": "lambda", "teacher": "x"}, "teacher has no effect without loss: list_net or margin_mse"),
        ({"teacher_share": 0.2}, "teacher_share has no effect without loss: list_net and a teacher"),
        ({"teacher_temperature": 2.0}, "teacher_temperature has no effect without a teacher"),
    ],
)
def test_options_that_change_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrossEncoderTrainingOptions(base="x", **options)


def test_tokens_are_those_of_the_pairs_that_the_model_reads(plain: Path) -> None:
    # A query of 4 words and a document of 3 with [CLS] and two [SEP]: 10 tokens, for 4 documents of each of 20 queries.
    assert recipe(plain).plan(planted(20), timed=False).tokens == 20 * 4 * 10
    # One drawn document for each query besides: a quarter more.
    drawn = recipe(plain, loss="multiple_negatives", in_batch_negatives=1)
    assert drawn.plan(planted(20), timed=False).tokens == 20 * 5 * 10
