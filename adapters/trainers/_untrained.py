"""The cross-encoder that a training starts from: a base's transformer, with a head of its own or a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from adapters.base import InvalidOptions
from adapters.code.sentence_transformers_model import silent_loading
from adapters.cross_encoders import is_cross_encoder, labels, transformer_config, transformer_path
from adapters.inference import loading
from adapters.models import Model, check_length, check_remote_code, check_weights, position_limit

Head: TypeAlias = Literal["classifier", "mean"]

NEW_HEAD: Head = "mean"
"""The head of a base that has none."""

_TRANSFORMERS = ("Transformer",)  # modules of sentence-transformers that read texts together; StaticEmbedding does not


def check_base(base: Model, *, head: Head | None, max_length: int | None, trust_remote_code: bool) -> None:
    """Raise ModelNotFound, or InvalidOptions for a base that cannot become a cross-encoder. Loads nothing."""
    check_weights(base)
    modules = base.modules
    config = transformer_config(base)
    if not trust_remote_code:
        check_remote_code(base, config, modules)
    first = str(modules[0]["type"]).rsplit(".", 1)[-1] if modules else "Transformer"
    if first not in _TRANSFORMERS or not config:
        raise InvalidOptions(
            f"{base.reference} is no transformer (it begins with {first}), so it cannot read a query and a document "
            "together. Take a base that is one, such as all-MiniLM-L6-v2.",
            key="base",
        )
    if is_cross_encoder(base):
        if (count := labels(base)) not in (None, 1):
            raise InvalidOptions(
                f"{base.reference} gives {count} scores per pair (a classifier); a reranker starts from a "
                "cross-encoder with one, or from an encoder.",
                key="base",
            )
        if head is not None:
            raise InvalidOptions(
                f"head has no effect with {base.reference}, which has one. Leave it out, or start from an encoder.",
                key="head",
            )
    check_length(base.reference, max_length, position_limit(config))


def untrained(base: Model, *, head: Head | None, max_length: int | None, trust_remote_code: bool, seed: int) -> Any:
    """A CrossEncoder on the processor, float32. Its scores are bare logits: a sigmoid would bring large ones to ties.

    seed: decides a new head's weights. Raises ModelNotFound, OutOfMemory.
    """
    import torch
    from sentence_transformers import CrossEncoder

    folder = base.fetch()
    # Trusted code may lie in another repository.
    trust = {"trust_remote_code": trust_remote_code, "local_files_only": not trust_remote_code}
    shared: dict[str, Any] = {"device": "cpu", "activation_fn": torch.nn.Identity(), **trust}
    with loading(base.reference, folder, "cpu", "float32") as files, silent_loading(), _seeded(seed):
        if is_cross_encoder(base):
            model = CrossEncoder(str(folder), max_length=max_length, model_kwargs={"dtype": torch.float32}, **shared)
            files.check_whole(model, lambda: model.predict([("a query", "a document")]))
            return model
        modules = _with_new_head(folder / transformer_path(base), head or NEW_HEAD, max_length, trust)
        return CrossEncoder(modules=modules, **shared)


def _with_new_head(folder: Path, head: Head, max_length: int | None, trust: Mapping[str, bool]) -> list[Any]:
    """The transformer, and what makes one score of its tokens: the architecture's own classifier, or a linear layer on
    the mean of all tokens, which is what most encoders were trained to compare."""
    import torch
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    shared: dict[str, Any] = {
        "model_kwargs": {"dtype": torch.float32, **trust},
        "processor_kwargs": {**trust} if max_length is None else {"model_max_length": max_length, **trust},
    }
    if head == "classifier":
        config = {"num_labels": 1, **trust}
        task: dict[str, Any] = {"transformer_task": "sequence-classification", "module_output_name": "scores"}
        return [Transformer(str(folder), config_kwargs=config, **task, **shared)]
    transformer = Transformer(str(folder), config_kwargs={**trust}, **shared)
    width = transformer.get_embedding_dimension()
    score = Dense(width, 1, activation_function=torch.nn.Identity(), module_output_name="scores")
    return [transformer, Pooling(width, pooling_mode="mean"), score]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Inside the context torch draws by the seed; afterwards its own random state is as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
