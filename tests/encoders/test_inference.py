"""What libraries raise while a local model works is told with batch size, dtype, device and the cure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterRejected, Context, ModelNotFound, OutOfMemory, TextRows
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder
from adapters.inference import lacks_memory, loading, working

TEXTS = ["short", "a longer one"]


def nothing(texts: list[str]) -> None:
    """A tokenizer that reads everything."""


def work(raising: Callable[[], Any], tokenize: Callable[[list[str]], Any] = nothing) -> None:
    with working("m", lambda: TEXTS, batch_size=64, dtype="float16", device="cpu", tokenize=tokenize):
        raising()


def torch_allocates() -> None:
    import torch

    torch.empty(2**60, dtype=torch.uint8)


def torch_accelerator_allocates() -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nadvice for programmers")


def numpy_allocates() -> None:
    np.empty(2**60, np.uint8)


@pytest.mark.parametrize("allocates", [torch_allocates, torch_accelerator_allocates, numpy_allocates])
def test_a_lack_of_memory_names_batch_size_dtype_and_device(allocates: Callable[[], None]) -> None:
    with pytest.raises(OutOfMemory, match=r"on cpu for model m in float16 with batch_size 64") as told:
        work(allocates)
    assert "the longest text has 12 characters" in str(told.value)  # a longer one
    assert "Lower batch_size" in str(told.value) and "advice" not in str(told.value)
    with (
        pytest.raises(OutOfMemory, match="on cpu to load model m in float32"),
        loading("m", Path("f"), "cpu", "float32"),
    ):
        allocates()


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("Invalid buffer size: 12.00 GB"), True),
        (RuntimeError("Error in void faiss: std::bad_alloc"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("lance error: Resources exhausted: Failed to allocate 1 MB"), True),
        (KeyError("out of memory"), False),
        (RuntimeError("shapes cannot be multiplied"), False),
    ],
)
def test_libraries_say_in_several_ways_that_memory_is_gone(error: Exception, lacks: bool) -> None:
    assert lacks_memory(error) is lacks


def test_a_device_that_fails_and_a_text_beyond_the_places_are_told() -> None:
    def device() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def place() -> None:
        import torch

        torch.nn.Embedding(4, 2)(torch.tensor([9]))

    with pytest.raises(AdapterRejected, match="The device cpu failed while model m worked on it in float16"):
        work(device)
    with pytest.raises(AdapterRejected, match=r"more tokens than model m has places for.*Set max_length"):
        work(place)


def test_a_text_that_a_tokenizer_cannot_read_is_named() -> None:
    class PanicException(BaseException):
        """As the tokenizers, in Rust, raise."""

    def tokenize(texts: list[str]) -> None:
        if any("longer" in text for text in texts):
            raise PanicException("byte index 2 is not a char boundary")

    with pytest.raises(AdapterRejected, match=r"fails on text 2 of 2 \('a longer one'\): PanicException: byte index 2"):
        work(lambda: tokenize(TEXTS), tokenize)


def test_what_nobody_can_tell_goes_on_as_it_is() -> None:
    def odd() -> None:
        raise LookupError("odd")

    def interrupts() -> None:
        raise KeyboardInterrupt

    with pytest.raises(LookupError, match="odd"):
        work(odd)
    with pytest.raises(KeyboardInterrupt):
        work(interrupts)


def test_weights_that_are_cut_off_are_told_before_the_run(static_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static_model, tmp_path / "model"))
    (weights,) = folder.rglob("model.safetensors")
    whole = weights.read_bytes()
    encoder = SentenceTransformersEncoder(SentenceTransformersEncoder.Options(model=str(folder)), Context())
    encoder.check()
    # Cut in the length of the header, in the header, in the tensors; and the pointer that a clone without LFS leaves.
    for content in (whole[:4], whole[:40], whole[:-1], b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"):
        weights.write_bytes(content)
        encoder = SentenceTransformersEncoder(SentenceTransformersEncoder.Options(model=str(folder)), Context())
        with pytest.raises(ModelNotFound, match=r"is no whole safetensors file: .*Fetch the model again"):
            encoder.check()


def test_weights_that_no_library_can_read_are_told(static_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static_model, tmp_path / "model"))
    (weights,) = folder.rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes().replace(b"F32", b"F99", 1))
    encoder = SentenceTransformersEncoder(SentenceTransformersEncoder.Options(model=str(folder)), Context())
    with pytest.raises(ModelNotFound, match="Cannot load model"):
        encoder.encode(TextRows(["x"]), "query")


def test_a_local_model_still_encodes(static_model: Path) -> None:
    encoder = SentenceTransformersEncoder(SentenceTransformersEncoder.Options(model=str(static_model)), Context())
    assert encoder.encode(TextRows(["copper", "violin"]), "document").vectors.shape == (2, 256)
