"""Local language models through transformers: decoders (Qwen, Llama, SmolLM) and encoder-decoders (T5, BART)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator as Writing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from adapters.base import (
    AdapterRejected,
    Context,
    Ended,
    Generated,
    Generator,
    Identity,
    InvalidOptions,
    Manner,
    Message,
    Usage,
)
from adapters.code.sentence_transformers_model import silent_loading, torch_dtype_of
from adapters.cross_encoders import architecture, transformer_config
from adapters.generators._gguf import check_gguf, described_by_gguf, gguf_digest
from adapters.generators._writer import Writer
from adapters.inference import loading, working
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
from adapters.writing import WritingOptions

_WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


class TransformersGeneratorOptions(WritingOptions, LocalModelOptions):
    """The model and how it runs. Omitted options are as the model ships."""

    batch_size: int = Field(8, ge=1, description="Prompts that the model works on at once.")
    max_length: int | None = Field(
        None, ge=1, description="Tokens that are read of a prompt; left out, as many as the model takes."
    )
    gguf_file: str | None = Field(
        None, description="Name of a GGUF file in the model's folder, which is read instead of other weights."
    )
    dequantize: bool = Field(
        False,
        description="Whether the packed weights of gguf_file are turned into numbers of `dtype` as they are loaded, "
        "which writes faster and takes more memory.",
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that lies beside the model may run with your rights."
    )

    @model_validator(mode="after")
    def _fits_the_file(self) -> TransformersGeneratorOptions:
        self.refuse_idle("dequantize", "gguf_file", heeded=self.gguf_file is not None)
        return self


class TransformersGenerator(Generator):
    """A model in this process. A prompt that is too long for an encoder-decoder is cut at its end and counted; for any
    other model it fails, because its end says what is asked."""

    name: ClassVar[str] = "transformers"
    requires: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    samples: ClassVar[bool] = True
    Options = TransformersGeneratorOptions

    def __init__(self, options: TransformersGeneratorOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._loading = threading.Lock()
        self._working = threading.Lock()  # the random numbers are of the whole process
        self._loaded: Any = None

    def check(self) -> None:
        """Raises ModelNotFound, or InvalidOptions for a model or option that cannot write. Loads nothing."""
        super().check()
        if self.options.gguf_file is None:
            check_weights(self._files)
        else:
            check_gguf(self._files, self.options.gguf_file)
        if not self.options.trust_remote_code:
            check_remote_code(self._files, self._config, [])
        kind = architecture(self._config)
        if not kind.endswith(_WRITES):
            raise InvalidOptions(
                f"{self.options.model} ({kind or 'unknown architecture'}) writes no text. Take a language model, such "
                "as one whose name ends in Instruct, or an encoder-decoder such as T5.",
                key="model",
            )
        check_length(self.options.model, self.options.max_length, self._positions)
        resolve_device(self.options.device)

    @cached_property
    def _files(self) -> Model:
        options = self.options
        return locate(options.model, self.context, revision=options.revision, organization="openai-community")

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        if (file := self.options.gguf_file) is not None:
            return described_by_gguf(self._files, file)
        return transformer_config(self._files)

    @property
    def manner(self) -> Manner:
        """An encoder-decoder turns a passage into what it was trained to write; a decoder with a template of
        conversations follows instructions."""
        if self._config.get("is_encoder_decoder"):
            return "passage"
        settings = self._config if self.options.gguf_file else self._files.settings("tokenizer_config.json")
        templates = bool(settings.get("chat_template")) or self._files.file("chat_template.jinja") is not None
        return "conversation" if templates else "continuation"

    @property
    def _positions(self) -> int | None:
        """Tokens that the model's table of positions holds, None where it has none."""
        found = position_limit(self._config)
        if found is None and not self._config.get("is_encoder_decoder"):
            named = self._config.get("n_positions")  # GPT-2 and its kin; for T5 it is no limit
            found = named if isinstance(named, int) and named > 0 else None
        return found

    @cached_property
    def identity(self) -> Identity:
        options = self.options
        names = ("dtype", "max_tokens", "temperature", "top_p", "stop", "system", "batch_size", "max_length")
        file = options.gguf_file
        settings = {
            **(self._files.fingerprint() if file is None else gguf_digest(self._files, file)),
            **{name: getattr(options, name) for name in names},
            **({"dequantize": True} if options.dequantize else {}),
            "seed": self.seed,
            "device": resolve_device(options.device),
            "trust_remote_code": options.trust_remote_code,
            "libraries": library_versions(),
        }
        return Identity("transformers", options.model, settings=settings)

    @property
    def seed(self) -> int:
        """The seed of what is chosen at random."""
        given: int | None = self.options.seed
        return self.context.seed if given is None else given

    @property
    def max_tokens(self) -> int:
        tokens: int = self.options.max_tokens
        return tokens

    def close(self) -> None:
        self._loaded = None

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        return self._several(prompts, 1)

    def _several(self, prompts: Sequence[Sequence[Message]], count: int) -> Generated:
        writer = self._writer
        asked = [writer.rendered(self.options.instructed(messages)) for messages in prompts]
        texts = [""] * len(asked) * count
        unfinished = np.zeros(len(asked) * count, np.bool_)
        failures: dict[int, str] = {}
        cut_short = np.zeros(len(asked), np.bool_)
        usage = Usage()
        at_once = max(1, self.options.batch_size // count)
        with self._mapped(asked):
            fitting = writer.fitting(asked, failures, cut_short)
            for start in range(0, len(fitting), at_once):
                places = fitting[start : start + at_once]
                with self._drawn([asked[place] for place in places]):
                    written, used = writer.write([asked[place] for place in places], count)
                usage += used
                positions = (place * count + i for place in places for i in range(count))
                for position, (text, cut) in zip(positions, written, strict=True):
                    texts[position], unfinished[position] = text, cut
        truncated = np.repeat(cut_short, count)
        return Generated(texts, usage, unfinished, truncated, {at * count: why for at, why in failures.items()})

    def _stream(self, messages: Sequence[Message]) -> Writing[str, None, Ended]:
        writer = self._writer
        asked = writer.rendered(self.options.instructed(messages))
        failures: dict[int, str] = {}
        with self._mapped([asked]):
            if not writer.fitting([asked], failures, np.zeros(1, np.bool_)):
                raise AdapterRejected(failures[0])
            with self._drawn([asked]):
                ended = yield from writer.stream(asked)
        return ended

    @contextmanager
    def _drawn(self, asked: Sequence[str]) -> Iterator[None]:
        """Random numbers that depend on the seed and the prompts alone, so that a batch has the same texts whenever it
        is written. The process's own numbers go on as if nothing was drawn."""
        import torch

        digest = hashlib.blake2b(digest_size=7)
        for part in (str(self.seed), *asked):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        with self._working, torch.random.fork_rng():
            torch.manual_seed(int.from_bytes(digest.digest(), "big"))
            yield

    @contextmanager
    def _mapped(self, asked: Sequence[str]) -> Iterator[None]:
        options, writer = self.options, self._writer
        with working(
            options.model,
            lambda: asked,
            batch_size=options.batch_size,
            dtype=options.dtype,
            device=str(writer.model.device),
            tokenize=writer.tokenizer,
        ):
            yield

    @property
    def _writer(self) -> Writer:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._load()
        writer: Writer = self._loaded
        return writer

    def _load(self) -> Writer:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GgufConfig

        options = self.options
        folder = self._files.fetch()
        device = resolve_device(options.device)
        decoder = not self._config.get("is_encoder_decoder")
        kind = AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM
        only_here = not options.trust_remote_code  # trusted code may lie in another repository
        with loading(options.model, folder, device, options.dtype) as files, silent_loading():
            trusted = {"trust_remote_code": options.trust_remote_code, "local_files_only": only_here}
            trusted |= {} if options.gguf_file is None else {"gguf_file": options.gguf_file}
            unpacked = {"quantization_config": GgufConfig(dequantize=True)} if options.dequantize else {}
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **trusted)
            model = (
                kind.from_pretrained(str(folder), dtype=torch_dtype_of(options.dtype), **trusted, **unpacked)
                .to(device)
                .eval()
            )
            token = torch.zeros((1, 1), dtype=torch.long, device=device)
            asked = {"input_ids": token} | ({} if decoder else {"decoder_input_ids": token})
            files.check_whole(model, lambda: model(**asked).logits)
        return Writer(model, tokenizer, options, decoder=decoder, positions=self._positions)
