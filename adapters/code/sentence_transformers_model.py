"""A model of sentence-transformers as it was measured, from its folder or from the hub."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def silent_loading() -> Iterator[None]:
    """Inside the context, transformers draws no progress bars on stderr while it reads weights."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def torch_dtype_of(name: str) -> Any:
    """The type of torch of that name: float32, bfloat16 or float16."""
    return getattr(importlib.import_module("torch"), name)


def available_device() -> str:
    """The device that a model runs on where none is named: cuda, then mps, then cpu."""
    torch: Any = importlib.import_module("torch")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def read_model(
    model: str | Path, *, device: str, dtype: str, revision: str | None, trust_remote_code: bool, local: bool
) -> Any:
    """The model, in a folder or of a name on the hub. local: whether the hub is left alone."""
    library: Any = importlib.import_module("sentence_transformers")
    return library.SentenceTransformer(
        str(model),
        device=device,
        revision=revision,
        trust_remote_code=trust_remote_code,
        # By default transformers takes the dtype that the weights were saved in.
        model_kwargs={"dtype": torch_dtype_of(dtype)},
        local_files_only=local,
    )


def read_static_model(folder: Path, *, device: str, normalize: bool) -> Any:
    """The model of a model2vec folder. StaticEmbedding.load reads its weights without the package model2vec."""
    library: Any = importlib.import_module("sentence_transformers")
    modules: Any = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    static = modules.StaticEmbedding.load(str(folder), local_files_only=True)
    return library.SentenceTransformer(modules=[static, modules.Normalize()] if normalize else [static], device=device)


def set_up(model: Any, *, dtype: str, normalize: bool | None, max_length: int | None) -> None:
    """Give a model the options that it was measured with."""
    modules: Any = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    model.to(torch_dtype_of(dtype))  # static embeddings and dense heads do not follow model_kwargs
    if normalize is False:
        for position in reversed([i for i, module in enumerate(model) if isinstance(module, modules.Normalize)]):
            del model[position]
    if max_length is not None:
        model.max_seq_length = max_length
