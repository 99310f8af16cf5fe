"""Cross-encoders through sentence-transformers: a transformer reads query and document together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from adapters.base import (
    CodePiece,
    Context,
    CorpusFiles,
    Identity,
    InvalidOptions,
    Queries,
    Reranker,
    Rows,
    Scored,
    Value,
)
from adapters.code.sentence_transformers_model import silent_loading, torch_dtype_of
from adapters.cross_encoders import architecture, is_cross_encoder, labels, transformer_config
from adapters.inference import loading, release, working
from adapters.lengths import Lengths
from adapters.models import (
    LocalModelOptions,
    Model,
    check_length,
    check_remote_code,
    check_weights,
    library_versions,
    locate,
    position_limit,
    resolve_device,
)


class CrossEncoderOptions(LocalModelOptions):
    """The model and how it runs. Omitted options are as the model ships."""

    batch_size: int = Field(32, ge=1, description="Pairs of query and document that the model reads at once.")
    max_length: int | None = Field(
        None, ge=1, description="Tokens that are read of query and document together; left out, as the model ships."
    )
    activation: Literal["identity", "sigmoid"] | None = Field(
        None,
        description="Function that a score passes through; left out, as the model ships; a sigmoid keeps the "
        "order but rounds large scores to ties at 1.",
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that lies beside the model may run with your rights."
    )


class CrossEncoderReranker(Reranker):
    """A model in this process. The library batches pairs by length over the whole call."""

    name: ClassVar[str] = "cross_encoder"
    requires: ClassVar[tuple[str, ...]] = ("sentence_transformers", "torch", "transformers")
    Options = CrossEncoderOptions

    def __init__(self, options: CrossEncoderOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._loading = threading.Lock()
        self._loaded: Any = None

    def check(self) -> None:
        """Raises ModelNotFound, or InvalidOptions for a model or option that cannot score pairs. Loads nothing."""
        super().check()
        check_weights(self._files)
        if not self.options.trust_remote_code:
            check_remote_code(self._files, self._config, self._files.modules)
        self._check_head()
        check_length(self.options.model, self.options.max_length, position_limit(self._config))
        resolve_device(self.options.device)

    @cached_property
    def _files(self) -> Model:
        options = self.options
        return locate(options.model, self.context, revision=options.revision, organization="cross-encoder")

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        return transformer_config(self._files)

    @property
    def identity(self) -> Identity:
        return self._identity

    @cached_property
    def _identity(self) -> Identity:
        options = self.options
        settings = {
            **self._files.fingerprint(),
            "dtype": options.dtype,
            "device": resolve_device(options.device),
            "max_length": options.max_length,
            "activation": options.activation,
            "trust_remote_code": options.trust_remote_code,
            "libraries": library_versions(),
        }
        return Identity("cross_encoder", options.model, settings=settings)

    def rest(self) -> None:
        if self._loaded is not None:
            self._loaded = None
            release(self.options.device)

    def close(self) -> None:
        self._loaded = None

    def export(self, corpus: CorpusFiles) -> CodePiece:
        options, files = self.options, self._files
        arguments: dict[str, Value] = {
            "device": None if options.device == "auto" else options.device,
            "dtype": options.dtype,
            "batch_size": options.batch_size,
            "max_length": options.max_length,
            "activation": options.activation,
            "trust_remote_code": options.trust_remote_code,
        }
        if files.repository is not None:
            arguments |= {"model": files.repository, "revision": files.commit}
        return CodePiece(
            "adapters.code.cross_encoder",
            "CrossEncoderScorer",
            arguments,
            requires=("sentence-transformers", "transformers", "torch"),
            files={} if files.repository is not None or files.folder is None else {"model": files.folder},
        )

    def _check_head(self) -> None:
        """Refuses a model that lacks a head for pairs: it would get a random head and rank at random."""
        if not is_cross_encoder(self._files):
            kind = architecture(self._config) or "unknown architecture"
            raise InvalidOptions(
                f"{self.options.model} ({kind}) has no trained head that scores pairs. Take a cross-encoder, "
                "or rescore with this model's vectors: adapter: bi_encoder.",
                key="model",
            )
        if (found := labels(self._files)) is not None:
            self._check_labels(found)

    def _check_labels(self, labels: int) -> None:
        if labels != 1:
            raise InvalidOptions(
                f"{self.options.model} gives {labels} scores per pair (a classifier); a reranker needs a model "
                "trained with one (num_labels: 1).",
                key="model",
            )

    @property
    def _model(self) -> Any:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> Any:
        from sentence_transformers import CrossEncoder

        options = self.options
        folder = self._files.fetch()
        dtype = torch_dtype_of(options.dtype)
        device = resolve_device(options.device)
        with loading(options.model, folder, device, options.dtype) as files, silent_loading():
            model = CrossEncoder(
                str(folder),
                device=device,
                trust_remote_code=options.trust_remote_code,
                # By default transformers takes the dtype that the weights were saved in.
                model_kwargs={"dtype": dtype},
                max_length=options.max_length,
                activation_fn=_activation(options.activation),
                local_files_only=not options.trust_remote_code,  # trusted code may lie in another repository
            )
            files.check_whole(model, lambda: model.predict([("a query", "a document")]))
        self._check_labels(model.num_labels)
        # A prompt template of a language model adds tokens that the tokenizer alone does not count.
        plain = not architecture(self._config).endswith("ForCausalLM")
        self._lengths = Lengths(model.max_seq_length, model.tokenizer if plain else None, pairs=True)
        return model

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        if queries.texts is None:
            raise InvalidOptions("A cross-encoder needs the texts of the queries.", key="reranker")
        texts = self.corpus.texts
        filled = candidates >= 0
        pairs = [
            (queries.texts[query], texts[row])
            for query, row in zip(np.nonzero(filled)[0].tolist(), candidates[filled].tolist(), strict=True)
        ]
        scores = np.full(candidates.shape, -np.inf, dtype=np.float32)
        model = self._model
        with working(
            self.options.model,
            lambda: [f"{query} {document}" for query, document in pairs],
            batch_size=self.options.batch_size,
            dtype=self.options.dtype,
            device=str(model.device),
            tokenize=model.tokenizer,
        ):
            predicted = model.predict(
                pairs, batch_size=self.options.batch_size, show_progress_bar=False, convert_to_tensor=True
            )
            scores[filled] = predicted.float().cpu().numpy()
        cut = self._lengths.cut(pairs)
        if cut is None:
            return Scored(scores)
        truncated = np.zeros(candidates.shape, np.bool_)
        truncated[filled] = cut
        return Scored(scores, truncated=truncated)


def _activation(name: str | None) -> Any:
    if name is None:
        return None
    from torch import nn

    return nn.Identity() if name == "identity" else nn.Sigmoid()
