"""A model whose files lack weights that it needs is refused: they would be drawn, another model in each process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from adapters.base import Corpus, Message, ModelNotFound, Queries, TextRows
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions
from adapters.generators.transformers import TransformersGenerator, TransformersGeneratorOptions
from adapters.inference import Loading
from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker
from tests.models import tiny_bert, tiny_cross_encoder, tiny_writer


def renamed(folder: Path, part: str) -> Path:
    """The same model, with the tensors whose names hold `part` under names of another architecture."""
    (path,) = folder.rglob("model.safetensors")
    tensors = load_file(path)
    foreign = {(f"foreign.{name}" if part in name else name): tensor for name, tensor in tensors.items()}
    assert foreign.keys() != tensors.keys(), "the part is in no name"
    save_file(foreign, path, metadata={"format": "pt"})
    return folder


def encode(folder: Path) -> np.ndarray:
    encoder = SentenceTransformersEncoder(SentenceTransformersOptions(model=str(folder), device="cpu"))
    encoder.check()
    return encoder.encode(TextRows(["a pie"]), "document").vectors


def rerank(folder: Path) -> np.ndarray:
    reranker = CrossEncoderReranker(CrossEncoderOptions(model=str(folder), device="cpu"))
    reranker.check()
    reranker.prepare(Corpus(["a pie"]))
    return reranker.score(Queries(texts=["pie"]), np.zeros((1, 1), np.int32)).scores


def write(folder: Path) -> object:
    generator = TransformersGenerator(TransformersGeneratorOptions(model=str(folder), device="cpu", max_tokens=4))
    generator.check()
    return generator.generate([[Message("user", "a pie")]]).texts


@pytest.mark.parametrize(
    ("make", "part", "use"),
    [
        (tiny_bert, "layer.0.attention.self.query", encode),
        (tiny_bert, "layer.0.output.LayerNorm", encode),  # drawn as ones, the same each time, and still not the model's
        (lambda folder: tiny_cross_encoder(folder, train=False), "classifier", rerank),
        (tiny_writer, "h.0.attn", write),
        (lambda folder: tiny_writer(folder, seq2seq=True), "decoder.block.0", write),
    ],
    ids=["encoder", "encoder-norm", "cross_encoder", "decoder", "encoder-decoder"],
)
def test_files_that_lack_weights_the_model_needs_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], part: str, use: Callable[[Path], object]
) -> None:
    folder = make(tmp_path / "model")
    use(folder)
    with pytest.raises(ModelNotFound, match=r"lacks [\d,]+ of its [\d,]+ tensors of weights, such as .*random"):
        use(renamed(folder, part))


def test_weights_that_nothing_reads_may_be_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny_bert(tmp_path / "model")
    before = encode(folder)
    assert np.array_equal(before, encode(renamed(folder, "pooler")))
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_looking_at_the_weights_changes_none(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(renamed(tiny_bert(tmp_path / "model"), "pooler")), device="cpu")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    Loading("m", tmp_path, lacking=True).check_whole(model, lambda: model.encode(["a pie"]))
    assert all(bool((weight == before[name]).all()) for name, weight in model.state_dict().items())
