"""What the files of a model say about scoring pairs, read without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.models import Model

_HEADS = ("ForSequenceClassification", "ForCausalLM")  # a language model scores by its tokens yes and no


def transformer_path(files: Model) -> str:
    """Folder of the transformer inside the model's, empty where it is the same."""
    modules = files.modules
    path = str(modules[0].get("path", "")) if modules else ""
    return "" if path == "." else path


def transformer_config(files: Model) -> Mapping[str, Any]:
    """The transformer's own configuration, empty where it has none."""
    path = transformer_path(files)
    return files.settings(f"{path}/config.json" if path else "config.json")


def architecture(config: Mapping[str, Any]) -> str:
    """Name of the transformer's class, empty where the configuration tells none."""
    return str((config.get("architectures") or [""])[0])


def is_cross_encoder(files: Model) -> bool:
    """Whether the model has a head that scores pairs."""
    kind = files.settings("config_sentence_transformers.json").get("model_type")
    return kind == "CrossEncoder" or architecture(transformer_config(files)).endswith(_HEADS)


def labels(files: Model) -> int | None:
    """How many scores the classifier gives for a pair; None for a model whose configuration does not tell."""
    config = transformer_config(files)
    if not architecture(config).endswith("ForSequenceClassification"):
        return None
    # transformers writes one label per output, and means two when it wrote none.
    return len(config.get("id2label") or ()) or int(config.get("num_labels", 2))


def layer_count(config: Mapping[str, Any]) -> int | None:
    """How many layers a transformer has; None where its configuration does not tell, or where layers share weights."""
    if config.get("model_type") == "albert":
        return None
    named = (config.get(name) for name in ("num_hidden_layers", "n_layers", "n_layer", "num_layers"))
    return next((count for count in named if isinstance(count, int)), None)
