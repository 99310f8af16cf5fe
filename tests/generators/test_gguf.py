"""Laws of language models in one GGUF file, with a tiny one that is made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from adapters.base import Context, InvalidOptions, Message, ModelNotFound
from adapters.generators.transformers import TransformersGenerator, TransformersGeneratorOptions

FILE = "tiny.gguf"
WIDTH, HEADS, INNER, LAYERS = 64, 2, 128, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of the kind of Llama with random weights of 8 bits, whose tokens are single bytes but for one."""
    import gguf
    from gguf.quants import quantize
    from tokenizers.pre_tokenizers import ByteLevel

    place = tmp_path_factory.mktemp("gguf")
    tokens = ["<s>", "</s>", *sorted(ByteLevel.alphabet()), "th"]
    kinds = [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(tokens) - 2)
    writer = gguf.GGUFWriter(str(place / FILE), "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    rng = np.random.default_rng(7)

    def packed(name: str, rows: int, columns: int) -> None:
        kind = gguf.GGMLQuantizationType.Q8_0
        weights = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, quantize(weights, kind), raw_dtype=kind)

    packed("token_embd.weight", len(tokens), WIDTH)
    packed("output.weight", len(tokens), WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            packed(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        packed(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        packed(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        packed(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return place


def generator(folder: Path, **options: Any) -> TransformersGenerator:
    given = {"model": str(folder), "gguf_file": FILE, "device": "cpu", "max_tokens": 6, "temperature": 0, **options}
    return TransformersGenerator(TransformersGeneratorOptions.model_validate(given), Context())


def test_a_model_in_one_file_writes_the_same_packed_and_unpacked(folder: Path) -> None:
    written = []
    for dequantize in (False, True):
        with generator(folder, dequantize=dequantize) as model:
            model.check()
            written.append(model.generate([[Message("user", "the")], [Message("user", "a sea")]]).texts)
    assert written[0] == written[1] and len(written[0]) == 2 and all(written[0])


def test_unpacked_weights_are_another_model_and_packed_ones_keep_their_key(folder: Path) -> None:
    packed, unpacked = (generator(folder, dequantize=given).identity.settings for given in (False, True))
    assert "dequantize" not in packed
    assert unpacked == {**packed, "dequantize": True}


def test_what_is_no_such_file_is_refused_before_it_is_loaded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no weights")
    with pytest.raises(ModelNotFound, match="no GGUF file"):
        generator(tmp_path).check()
    with pytest.raises(InvalidOptions, match="not among the files"):
        generator(folder, gguf_file="other.gguf").check()
    with pytest.raises(ValidationError, match="gguf_file"):
        generator(folder, gguf_file=None, dequantize=True)
