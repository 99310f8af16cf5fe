"""Local encoders through sentence-transformers: transformers, static embeddings, model2vec folders."""

from __future__ import annotations

import difflib
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from adapters.base import (
    AdapterRejected,
    CodePiece,
    Context,
    Encoded,
    Encoder,
    Flags,
    Identity,
    InvalidOptions,
    Options,
    Role,
    Similarity,
    TextRows,
    Value,
)
from adapters.code.sentence_transformers_model import read_model, read_static_model, set_up, silent_loading
from adapters.encoders._widths import hidden_size, pooled_width
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
    safetensors_shape,
)

# What models call the prompt of a role in config_sentence_transformers.json, first match wins.
_PROMPT_NAMES: Mapping[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
_SIMILARITIES = {"cosine": Similarity.COSINE, "dot": Similarity.DOT, "euclidean": Similarity.L2}
_STATIC_WEIGHTS = ("embedding.weight", "embeddings")  # sentence-transformers' name and model2vec's


class Prompts(Options):
    """What is put before every text. A prompt ends in what separates it from what follows, such as "query: "."""

    query: str | None = Field(
        None,
        description="Text put before every query, such as `query: `, or the name of a prompt in the model's "
        "configuration; an empty text is no prompt.",
    )
    document: str | None = Field(
        None,
        description="Text put before every document, or the name of a prompt in the model's configuration; an "
        "empty text is no prompt.",
    )


class SentenceTransformersOptions(LocalModelOptions):
    """The model and how it runs. Omitted options are as the model ships."""

    batch_size: int = Field(32, ge=1, description="Texts that the model reads at once.")
    prompts: Prompts = Field(
        Prompts(), description="Texts put before queries and documents; left out, those that the model ships."
    )
    truncate_dim: int | None = Field(
        None,
        ge=1,
        description="First dimensions of each vector that are kept, of a model trained for it; left out, all.",
    )
    normalize: bool | None = Field(
        None, description="Whether vectors are brought to length 1; left out, as the model ships."
    )
    similarity: Similarity | None = Field(
        None, description="How its vectors are compared; left out, as the model ships, else cosine."
    )
    max_length: int | None = Field(
        None, ge=1, description="Tokens that are read of a text; left out, as the model ships."
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that lies beside the model may run with your rights."
    )


class SentenceTransformersEncoder(Encoder):
    """A model in this process."""

    name: ClassVar[str] = "sentence_transformers"
    requires: ClassVar[tuple[str, ...]] = ("sentence_transformers", "torch", "transformers")
    Options = SentenceTransformersOptions

    def __init__(self, options: SentenceTransformersOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def check(self) -> None:
        """Raises ModelNotFound, or InvalidOptions for an option that this model cannot follow. Loads nothing."""
        super().check()
        check_weights(self._files.model)
        if not self.options.trust_remote_code:
            check_remote_code(self._files.model, self._files.config, self._files.modules)
        self._files.check_is_encoder()
        self._files.check_max_length(self.options.max_length)
        resolve_device(self.options.device)
        for role in _PROMPT_NAMES:
            self.prompt(role)
        _ = self.similarity
        full = self._files.dimension
        if self.options.truncate_dim is not None and full is not None and self.options.truncate_dim > full:
            raise InvalidOptions(
                f"{self.options.model} gives {full} dimensions, fewer than {self.options.truncate_dim}.",
                key="truncate_dim",
            )

    @cached_property
    def _files(self) -> _Files:
        options = self.options
        return _Files(
            locate(options.model, self.context, revision=options.revision, organization="sentence-transformers")
        )

    @property
    def identity(self) -> Identity:
        return self._identity

    @cached_property
    def _identity(self) -> Identity:
        # The batch size is left out: like the length of the other texts of a batch it changes vectors only by rounding
        # (4e-7).
        options = self.options
        settings: dict[str, Any] = {
            **self._files.model.fingerprint(),
            "dtype": options.dtype,
            "device": resolve_device(options.device),
            "max_length": options.max_length,
            "normalize": options.normalize,
            "truncate_dim": options.truncate_dim,
            "trust_remote_code": options.trust_remote_code,
            "libraries": library_versions(),
        }
        if self._files.added_pooling:
            settings["pooling"] = f"{self._files.added_pooling}, the library's choice: the model names none"
        return Identity("sentence_transformers", options.model, settings=settings)

    @property
    def dimension(self) -> int:
        return self._dimension

    @cached_property
    def _dimension(self) -> int:
        full = self._files.dimension
        if full is None:  # modules whose width no configuration file tells
            full = int(self._model.model.get_embedding_dimension() or 0)
        truncated = self.options.truncate_dim or self._files.library_config.get("truncate_dim")
        return min(full, truncated) if truncated else full

    @property
    def similarity(self) -> Similarity:
        if self.options.similarity is not None:
            return Similarity(self.options.similarity)
        own = self._files.library_config.get("similarity_fn_name") or "cosine"
        if own not in _SIMILARITIES:
            raise InvalidOptions(
                f"{self.options.model} is meant to be compared by {own}, which no store here offers. Choose one "
                "yourself: similarity: cosine, dot or l2.",
                key="similarity",
            )
        return _SIMILARITIES[own]

    @property
    def space(self) -> str:
        mark = self._files.model.fingerprint()
        return f"{self.options.model}@{mark.get('commit') or mark['weights']}/{self.dimension}"

    def role_settings(self, role: Role) -> Mapping[str, Any]:
        """The role, because models may route queries and documents differently, and the prompt's text."""
        return {"role": role, "prompt": self.prompt(role)}

    def export(self, role: Role) -> CodePiece:
        options, files = self.options, self._files
        arguments: dict[str, Value] = {
            "prompt": self.prompt(role),
            "documents": role == "document",
            "device": None if options.device == "auto" else options.device,
            "dtype": options.dtype,
            "normalize": options.normalize,
            "max_length": options.max_length,
            "truncate_dim": options.truncate_dim,
            "trust_remote_code": options.trust_remote_code,
        }
        module, kind = "sentence_transformers_queries", "SentenceTransformersQueries"
        if files.model2vec:
            module, kind = "model2vec_queries", "Model2VecQueries"
            arguments["unit_length"] = bool(files.config.get("normalize", True))
        found: dict[str, Path] = {}
        if files.model.commit is not None and not files.model2vec:
            arguments |= {"model": files.model.repository, "revision": files.model.commit}
        else:
            found = {"model": files.model.fetch()}
        needed = ("sentence-transformers", "transformers", "torch", "numpy")
        return CodePiece(f"adapters.code.{module}", kind, arguments, requires=needed, files=found)

    def rest(self) -> None:
        if self._loaded is not None:
            self._loaded = None
            release(self.options.device)

    def close(self) -> None:
        self._loaded = None

    @cached_property
    def _prompts(self) -> Mapping[Role, str]:
        return {role: self._files.prompt(role, getattr(self.options.prompts, role)) for role in _PROMPT_NAMES}

    @property
    def static(self) -> bool:
        """Whether the model is a table of vectors, which reads texts whole and in no order."""
        return self._files.static

    @property
    def names_its_pooling(self) -> bool:
        """Whether the model says how it makes one vector of a text; a plain language model does not."""
        return self._files.added_pooling is None

    def prompt(self, role: Role) -> str:
        """What is put before every text of a role; empty where nothing is."""
        return self._prompts[role]

    @property
    def max_length(self) -> int | None:
        """Tokens that the model can read of a text at most; None where no file tells, or it reads texts whole."""
        return None if self._files.static else position_limit(self._files.config)

    def load(self) -> Any:
        """The model as sentence-transformers holds it. It belongs to this adapter: who changes it, changes both."""
        return self._model.model

    @property
    def _model(self) -> _Loaded:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = _load(self._files, self.options)
        return self._loaded

    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        loaded = self._model
        prompt = self._prompts[role]
        texts = rows.texts if isinstance(rows.texts, list) else list(rows.texts)
        encode = loaded.model.encode_query if role == "query" else loaded.model.encode_document
        with working(
            self.options.model,
            lambda: texts,
            batch_size=self.options.batch_size,
            dtype=self.options.dtype,
            device=str(loaded.model.device),
            tokenize=loaded.model.preprocess,
        ):
            vectors = encode(
                texts,
                prompt=prompt,
                batch_size=self.options.batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,  # numpy has no bfloat16
                normalize_embeddings=bool(self.options.normalize),
                truncate_dim=self.options.truncate_dim,
            )
            return Encoded(vectors.float().cpu().numpy(), truncated=loaded.truncated(texts, prompt))


class _Files:
    """The contents of a model's small files, read once."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @cached_property
    def modules(self) -> Sequence[Mapping[str, Any]]:
        return self.model.modules

    @cached_property
    def config(self) -> Mapping[str, Any]:
        first = self.modules[0].get("path", "") if self.modules else ""
        return self._module_settings(first)

    @cached_property
    def library_config(self) -> Mapping[str, Any]:
        return self.model.settings("config_sentence_transformers.json")

    @property
    def model2vec(self) -> bool:
        """A folder as the package model2vec saves it, which sentence-transformers does not know by itself."""
        return not self.modules and (
            self.config.get("model_type") == "model2vec" or "StaticModel" in (self.config.get("architectures") or ())
        )

    @property
    def static(self) -> bool:
        return self.model2vec or bool(self.modules and _kind(self.modules[0]) == "StaticEmbedding")

    @property
    def added_pooling(self) -> str | None:
        """The pooling that sentence-transformers silently adds to a plain transformer."""
        if self.modules or self.model2vec:
            return None
        architectures = self.config.get("architectures") or [""]
        causal = str(architectures[0]).endswith("ForCausalLM") and self.config.get("is_causal", True)
        return "last token" if causal else "mean"

    @cached_property
    def dimension(self) -> int | None:
        """Length of a whole vector; None where no file tells."""
        if self.static and not self.modules:
            return self._static_width("")
        width = hidden_size(self.config) if not self.modules else None
        for module in self.modules:
            kind, path = _kind(module), str(module.get("path", ""))
            if kind == "Transformer":
                width = hidden_size(self.config)
            elif kind == "StaticEmbedding":
                width = self._static_width(path)
            elif kind == "Pooling":
                width = pooled_width(self._module_settings(path))
            elif kind == "Dense":
                width = self._module_settings(path).get("out_features")
            elif kind not in ("Normalize", "LayerNorm", "Dropout"):
                return None
        return width

    def prompt(self, role: Role, option: str | None) -> str:
        """The text before every text of this role. Raises InvalidOptions for what is neither a name nor a prompt."""
        named: Mapping[str, str | None] = self.library_config.get("prompts") or {}
        if option is not None:
            if option in named:
                return named[option] or ""
            if option and not _ends_in_separator(option):
                raise InvalidOptions(self._no_such_prompt(option, named), key=f"prompts.{role}")
            return option
        default = str(self.library_config.get("default_prompt_name"))
        for name in (*_PROMPT_NAMES[role], default):
            if name in named:
                return named[name] or ""
        return ""

    def _no_such_prompt(self, option: str, named: Mapping[str, str | None]) -> str:
        close = difflib.get_close_matches(option, named, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        has = f"the model's prompts are {', '.join(named)}" if named else "the model has no prompts"
        return (
            f"{option!r} is neither the name of a prompt ({has}) nor a text that ends in a separator: it would be "
            f"glued to the first word of every text.{hint} Write a literal prompt with what separates it from the "
            f'text, such as "{option}: ", or "" for none.'
        )

    def check_is_encoder(self) -> None:
        kind = self.library_config.get("model_type", "SentenceTransformer")
        architectures = self.config.get("architectures") or [""]
        if kind == "CrossEncoder" or (not self.modules and str(architectures[0]).endswith("ForSequenceClassification")):
            raise InvalidOptions(
                f"{self.model.reference} is a cross-encoder: it scores pairs and gives no vectors. Name it under "
                "rerankers, with adapter: cross_encoder.",
                key="model",
            )
        if kind != "SentenceTransformer":
            raise InvalidOptions(
                f"{self.model.reference} is a {kind}, which does not give one dense vector per text.", key="model"
            )

    def check_max_length(self, length: int | None) -> None:
        if length is None:
            return
        if self.static:
            raise InvalidOptions("A static model reads texts whole; leave max_length out.", key="max_length")
        check_length(self.model.reference, length, position_limit(self.config))

    def _module_settings(self, path: str) -> Mapping[str, Any]:
        return self.model.settings(f"{path}/config.json" if path not in ("", ".") else "config.json")

    def _static_width(self, path: str) -> int | None:
        weights = self.model.file(f"{path}/model.safetensors" if path not in ("", ".") else "model.safetensors")
        shape = safetensors_shape(weights, _STATIC_WEIGHTS) if weights else None
        return shape[1] if shape else None


class _Loaded:
    """A model in memory, and the lengths that it cuts at."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._lengths = Lengths(model.get_max_seq_length(), getattr(model, "tokenizer", None))

    def truncated(self, texts: Sequence[str], prompt: str) -> Flags | None:
        """Which texts were longer than the model reads; None where that cannot be told."""
        return self._lengths.cut([prompt + text for text in texts] if prompt else texts)


def _load(files: _Files, options: SentenceTransformersOptions) -> _Loaded:
    folder = files.model.fetch()
    device = resolve_device(options.device)
    with loading(options.model, folder, device, options.dtype) as loaded:
        with silent_loading():
            model = _read(files, folder, device, options)
        loaded.check_whole(model, lambda: model.encode(["a text"], show_progress_bar=False))
        set_up(model, dtype=options.dtype, normalize=options.normalize, max_length=options.max_length)
    width = model.get_embedding_dimension()
    if files.dimension is not None and width is not None and not options.truncate_dim and width != files.dimension:
        raise AdapterRejected(
            f"{options.model}: its configuration says {files.dimension} dimensions, the loaded model gives {width}."
        )
    return _Loaded(model)


def _read(files: _Files, folder: Path, device: str, options: SentenceTransformersOptions) -> Any:
    if files.model2vec:
        return read_static_model(folder, device=device, normalize=bool(files.config.get("normalize", True)))
    return read_model(
        folder,
        device=device,
        dtype=options.dtype,
        revision=None,
        trust_remote_code=options.trust_remote_code,
        local=not options.trust_remote_code,  # trusted code may lie in another repository
    )


def _ends_in_separator(prompt: str) -> bool:
    """Whether a prompt ends in a blank, a punctuation mark or a symbol of any script: names end in none of them."""
    last = prompt[-1]
    return last.isspace() or (unicodedata.category(last)[0] in "PS" and unicodedata.category(last) not in ("Pc", "Pd"))


def _kind(module: Mapping[str, Any]) -> str:
    return str(module["type"]).rpartition(".")[2]
