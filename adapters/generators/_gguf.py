"""Models as one GGUF file, as llama.cpp keeps them: what its header says, read without the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from adapters.base import InvalidOptions, MissingDependency, ModelNotFound
from adapters.models import Model

_MAGIC = b"GGUF"
_NEEDED = ("gguf", "accelerate")  # by transformers, to read such files


def check_gguf(model: Model, name: str) -> None:
    """Raise MissingDependency, or ModelNotFound for a file that is not there or no GGUF."""
    import importlib.util

    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingDependency("transformers", package, "gguf")
    path = _file(model, name)
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ModelNotFound(f"{path} is no GGUF file. Fetch it again.")


def gguf_digest(model: Model, name: str) -> dict[str, str]:
    """What determines the model's output."""
    path = _file(model, name)
    stat = path.stat()
    return {"gguf_file": name, "weights": _hashed(path, stat.st_size, stat.st_mtime_ns)}


def described_by_gguf(model: Model, name: str) -> Mapping[str, Any]:
    """What transformers needs to know before it loads such a model: it writes, how much it reads, and its template of
    conversations."""
    path = _file(model, name)
    stat = path.stat()
    return _header(path, stat.st_size, stat.st_mtime_ns)


def _file(model: Model, name: str) -> Path:
    if Path(name).name != name:
        raise InvalidOptions(f"({name}) is no name of a file in the model's folder.", key="gguf_file")
    path = model.file(name)
    if path is None:
        raise InvalidOptions(f"({name}) is not among the files of {model.reference}.", key="gguf_file")
    return path


@lru_cache(maxsize=16)
def _header(path: Path, size: int, mtime_ns: int) -> Mapping[str, Any]:
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    family = fields["general.architecture"].contents()
    length, template = fields.get(f"{family}.context_length"), fields.get("tokenizer.chat_template")
    return {
        "architectures": [f"{family}ForCausalLM"],
        "max_position_embeddings": None if length is None else int(length.contents()),
        "chat_template": None if template is None else template.contents(),
    }


@lru_cache(maxsize=64)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
