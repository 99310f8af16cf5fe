"""Laws of the cross-encoder, on a tiny one that was trained to rank."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterError, Corpus, InvalidOptions, ModelNotFound, Queries
from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker
from tests.conftest import REPOSITORY
from tests.models import TOPICS, tiny_bert, tiny_cross_encoder, topic_document

DOCUMENTS = [topic_document(topic, np.random.default_rng(i)) for i, topic in enumerate(TOPICS)]
QUERIES = Queries(texts=list(TOPICS))
EVERY = np.tile(np.arange(len(TOPICS), dtype=np.int32), (len(TOPICS), 1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross"))


def reranker(model: str | Path, **options: Any) -> CrossEncoderReranker:
    made = CrossEncoderReranker(CrossEncoderOptions(model=str(model), **options))
    made.prepare(Corpus(DOCUMENTS))
    return made


def test_the_document_of_the_querys_topic_comes_first(trained: Path) -> None:
    subject = reranker(trained)
    subject.check()
    scores = subject.score(QUERIES, EVERY).scores
    assert scores.dtype == np.float32
    assert scores.argmax(axis=1).tolist() == list(range(len(TOPICS)))


def test_scores_are_those_of_the_bare_library(trained: Path) -> None:
    from sentence_transformers import CrossEncoder

    bare = CrossEncoder(str(trained), device="cpu")
    pairs = [(query, document) for query in TOPICS for document in DOCUMENTS]
    expected = bare.predict(pairs, show_progress_bar=False).reshape(EVERY.shape)
    np.testing.assert_allclose(reranker(trained).score(QUERIES, EVERY).scores, expected, atol=1e-6)


def test_a_score_depends_on_its_pair_alone(trained: Path) -> None:
    subject = reranker(trained, batch_size=4)
    forward = subject.score(QUERIES, EVERY).scores
    backward = subject.score(QUERIES, EVERY[:, ::-1]).scores[:, ::-1]
    np.testing.assert_allclose(forward, backward, atol=1e-6)


def test_empty_places_score_minus_infinity_and_shift_nothing(trained: Path) -> None:
    subject = reranker(trained)
    candidates = np.array([[2, -1, 0], [-1, -1, -1], [3, 1, -1]], dtype=np.int32)
    scores = subject.score(QUERIES.at(slice(0, 3)), candidates).scores
    whole = subject.score(QUERIES, EVERY).scores
    assert np.isneginf(scores[candidates < 0]).all()
    found = [scores[0, 0], scores[0, 2], scores[2, 0], scores[2, 1]]
    np.testing.assert_allclose(found, [whole[0, 2], whole[0, 0], whole[2, 3], whole[2, 1]], atol=1e-6)


def test_the_activation_is_the_models_own_unless_asked(trained: Path) -> None:
    raw, squashed, own = (reranker(trained, activation=a).score(QUERIES, EVERY) for a in ("identity", "sigmoid", None))
    np.testing.assert_allclose(squashed.scores, 1 / (1 + np.exp(-raw.scores)), atol=1e-6)
    np.testing.assert_array_equal(own.scores, squashed.scores)  # the library's default for one score per pair


def test_what_changes_scores_changes_the_key(trained: Path, tmp_path: Path) -> None:
    other = tiny_cross_encoder(tmp_path, train=False)
    keys = [
        reranker(trained).identity,
        reranker(trained, max_length=8).identity,
        reranker(trained, activation="identity").identity,
        reranker(trained, dtype="bfloat16").identity,
        reranker(other).identity,
    ]
    assert len({json.dumps(key.as_dict(), sort_keys=True) for key in keys}) == len(keys)
    assert reranker(trained, batch_size=1).identity == keys[0]


def test_max_length_shortens_what_is_read(trained: Path) -> None:
    # [CLS] fruit [SEP] + four words + [SEP] are 8 tokens; what follows cannot matter.
    short = CrossEncoderReranker(CrossEncoderOptions(model=str(trained), max_length=8))
    short.prepare(Corpus(["the of a in", "the of a in apple apple"]))
    scores = short.score(Queries(texts=["fruit"]), np.array([[0, 1]], dtype=np.int32)).scores
    assert scores[0, 0] == pytest.approx(scores[0, 1], abs=1e-6)
    with pytest.raises(InvalidOptions, match="at most 16 tokens"):
        reranker(trained, max_length=17).check()


def test_pairs_beyond_the_length_are_counted(trained: Path) -> None:
    # [CLS] fruit [SEP] + words + [SEP]: four words make 8 tokens, five are one too many.
    subject = reranker(trained, max_length=8)
    subject.prepare(Corpus(["the of a in", "the of a in apple", "the"]))
    candidates = np.array([[0, 1, -1], [1, 2, 0]], dtype=np.int32)
    truncated = subject.score(Queries(texts=["fruit", "fruit the"]), candidates).truncated
    assert truncated is not None
    assert truncated.tolist() == [[False, True, False], [True, False, True]]


def test_bfloat16_stays_close_to_float32(trained: Path) -> None:
    exact = reranker(trained, activation="identity").score(QUERIES, EVERY).scores
    rough = reranker(trained, activation="identity", dtype="bfloat16").score(QUERIES, EVERY).scores
    assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.99


def test_a_model_that_does_not_score_pairs_is_refused(tmp_path: Path, minilm: Path) -> None:
    for model in (minilm, tiny_bert(tmp_path)):
        with pytest.raises(InvalidOptions, match=r"no trained head .* adapter: bi_encoder"):
            reranker(model).check()


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path, labels=3, train=False)
    with pytest.raises(InvalidOptions, match="3 scores per pair"):
        reranker(folder).check()
    with pytest.raises(InvalidOptions, match="3 scores per pair"):
        reranker(folder).score(QUERIES, EVERY)


def test_an_encoder_is_not_made_of_a_cross_encoder(trained: Path) -> None:
    from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions

    with pytest.raises(InvalidOptions, match="is a cross-encoder"):
        SentenceTransformersEncoder(SentenceTransformersOptions(model=str(trained))).check()


def test_a_folder_saved_by_the_library_scores_the_same(trained: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(trained), device="cpu").save_pretrained(str(tmp_path / "saved"))
    subject = reranker(tmp_path / "saved")
    subject.check()
    np.testing.assert_array_equal(subject.score(QUERIES, EVERY).scores, reranker(trained).score(QUERIES, EVERY).scores)


def test_a_model_that_is_not_there_is_named_with_both_readings() -> None:
    with pytest.raises(ModelNotFound, match=r"no folder .*, and the hub id cross-encoder/no-such-model"):
        reranker("no-such-model").check()


def test_code_that_comes_with_a_model_needs_an_explicit_yes(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own-code"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this code must not run')\n")
    with pytest.raises(InvalidOptions, match="trust_remote_code: true"):
        reranker(folder).check()
    with pytest.raises(AdapterError):
        reranker(folder).score(QUERIES, EVERY)


def test_what_a_reranker_is_can_be_told_without_torch(trained: Path) -> None:
    program = (
        "import sys\n"
        "from adapters import registry\n"
        "registry.load('rerankers', 'bi_encoder')\n"
        "C = registry.load('rerankers', 'cross_encoder')\n"
        f"r = C(C.Options(model={str(trained)!r}, device='cpu'))\n"
        "r.check(); r.identity\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
