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
from pydantic import Field

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
from adapters.writing import WritingOptions, until_stop

_WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_UNBOUNDED = 1_000_000  # tokens; transformers writes a huge number where a tokenizer names no limit


class TransformersGeneratorOptions(WritingOptions, LocalModelOptions):
    """The model and how it runs. Omitted options are as the model ships."""

    batch_size: int = Field(8, ge=1, description="Prompts that the model works on at once.")
    max_length: int | None = Field(
        None, ge=1, description="Tokens that are read of a prompt; left out, as many as the model takes."
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that lies beside the model may run with your rights."
    )


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
        check_weights(self._files)
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
        return transformer_config(self._files)

    @property
    def manner(self) -> Manner:
        """An encoder-decoder turns a passage into what it was trained to write; a decoder with a template of
        conversations follows instructions."""
        if self._config.get("is_encoder_decoder"):
            return "passage"
        settings = self._files.json("tokenizer_config.json") or {}
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
        settings = {
            **self._files.fingerprint(),
            **{name: getattr(options, name) for name in names},
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
    def _writer(self) -> _Writer:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._load()
        writer: _Writer = self._loaded
        return writer

    def _load(self) -> _Writer:
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        options = self.options
        folder = self._files.fetch()
        device = resolve_device(options.device)
        decoder = not self._config.get("is_encoder_decoder")
        kind = AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM
        only_here = not options.trust_remote_code  # trusted code may lie in another repository
        with loading(options.model, folder, device, options.dtype), silent_loading():
            trusted = {"trust_remote_code": options.trust_remote_code, "local_files_only": only_here}
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **trusted)
            model = kind.from_pretrained(str(folder), dtype=torch_dtype_of(options.dtype), **trusted).to(device).eval()
        return _Writer(model, tokenizer, options, decoder=decoder, positions=self._positions)


class _Writer:
    """A loaded model. decoder: whether its prompt stands before its text in one sequence. positions: how many tokens
    its table of positions holds, None for any number."""

    def __init__(
        self, model: Any, tokenizer: Any, options: TransformersGeneratorOptions, *, decoder: bool, positions: int | None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._options = options
        self._decoder = decoder
        self._positions = positions
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        self._special = sorted({*tokenizer.all_special_tokens, *added} - {""}, key=len, reverse=True)
        tokenizer.padding_side = "left" if decoder else "right"
        tokenizer.truncation_side = "right"
        named = tokenizer.model_max_length if tokenizer.model_max_length < _UNBOUNDED else None
        reads = [n for n in (options.max_length, positions, None if options.max_length else named) if n is not None]
        self._reads = min(reads, default=None)

    def rendered(self, messages: Sequence[Message]) -> str:
        """A conversation as the model reads it: by its own template, else in plain words. A single prompt of a model
        without a template stays as it is."""
        turns = [{"role": message.role, "content": self._plain(message.text)} for message in messages]
        if self.tokenizer.chat_template is not None:
            return self._by_template(turns)
        if len(turns) == 1:
            return turns[0]["content"]
        names = {"system": "", "user": "Question: ", "assistant": "Answer: "}
        lines = [f"{names[turn['role']]}{turn['content']}" for turn in turns]
        return "\n\n".join([*lines, "Answer:"])

    def _plain(self, text: str) -> str:
        """A text in which nothing stands for a special token: it could end its turn and begin one of the system."""
        for token in self._special:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _by_template(self, turns: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
        except TemplateError:
            if turns[0]["role"] != "system" or len(turns) < 2:
                raise
            # Some models know no instructions; what they should do goes into the first question.
            first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            return self._by_template([first, *turns[2:]])

    def fitting(self, asked: Sequence[str], failures: dict[int, str], truncated: Any) -> list[int]:
        """Places of the prompts that the model can read; the others are among the failures. truncated: is told which
        are read only in part."""
        found: list[int] = []
        for place, text in enumerate(asked):
            tokens = len(self._tokens([text], cut=False)["input_ids"][0])
            if self._reads is not None and tokens > self._reads - (1 if self._decoder else 0):
                if self._decoder:
                    failures[place] = (
                        f"The prompt has {tokens:,} tokens, and {self._options.model} takes {self._reads:,} with its "
                        "text. Shorten it, or take another model."
                    )
                    continue
                truncated[place] = True
            found.append(place)
        return found

    def write(self, asked: Sequence[str], count: int = 1) -> tuple[list[tuple[str, bool]], Usage]:
        """`count` texts for each prompt, those of the first before those of the second, and whether each ended at its
        limit. Several are drawn; where the options say that none is, they are one and the same."""
        import torch

        inputs, settings = self._inputs(asked), {}
        if count > 1:
            drawn = self._options.temperature != 0
            settings = {"do_sample": True, "num_return_sequences": count} if drawn else {}
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **{**self._settings(inputs), **settings})
        if count > 1 and not settings:
            ids = ids.repeat_interleave(count, dim=0)
        written = ids[:, inputs["input_ids"].shape[1] :] if self._decoder else ids[:, 1:]
        counts = self._lengths(written)
        texts = [self._text(row) for row in written]
        read = int(inputs["attention_mask"].sum())
        limit = self._limit(inputs)
        ends = [(text, count >= limit and not stopped) for (text, stopped), count in zip(texts, counts, strict=True)]
        return ends, Usage(requests=0, tokens=read, output_tokens=sum(counts))

    def stream(self, asked: str) -> Writing[str, None, Ended]:
        """As `write` for one prompt, its pieces as they are written."""
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        inputs = self._inputs([asked])
        pieces = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        halt = threading.Event()
        outcome: list[Any] = []

        def work() -> None:
            import torch

            try:
                with torch.inference_mode():
                    settings = self._settings(inputs)
                    criteria = StoppingCriteriaList([_Halted(halt), *settings.pop("stopping_criteria", [])])
                    done = self.model.generate(**inputs, **settings, stopping_criteria=criteria, streamer=pieces)
                outcome.append(done)
            except BaseException as error:
                outcome.append(error)
                pieces.end()

        thread = threading.Thread(target=work, name="writing", daemon=True)
        thread.start()
        try:
            yield from until_stop((piece for piece in pieces if piece), self._options.stop)
        finally:
            halt.set()
            thread.join()
        (done,) = outcome
        if isinstance(done, BaseException):
            raise done
        written = done[:, inputs["input_ids"].shape[1] :] if self._decoder else done[:, 1:]
        (count,) = self._lengths(written)
        _, stopped = self._text(written[0])
        usage = Usage(tokens=int(inputs["attention_mask"].sum()), output_tokens=count)
        return Ended(usage, count >= self._limit(inputs) and not stopped)

    def _tokens(self, asked: Sequence[str], *, cut: bool = True) -> Any:
        # A template writes the special tokens itself.
        special = self.tokenizer.chat_template is None
        length = {"truncation": True, "max_length": self._reads} if cut and self._reads is not None else {}
        return self.tokenizer(list(asked), add_special_tokens=special, **length)

    def _inputs(self, asked: Sequence[str]) -> Any:
        found = self.tokenizer.pad(self._tokens(asked), return_tensors="pt")
        names = ("input_ids", "attention_mask")
        return {name: found[name].to(self.model.device) for name in names}

    def _limit(self, inputs: Any) -> int:
        """Tokens that a text of this batch may have: as the options say, and as many as the model has places for."""
        if self._positions is None:
            return self._options.max_tokens
        taken = inputs["input_ids"].shape[1] if self._decoder else 1
        return min(self._options.max_tokens, self._positions - taken)

    def _settings(self, inputs: Any) -> dict[str, Any]:
        options = self._options
        settings: dict[str, Any] = {
            "max_new_tokens": self._limit(inputs),
            "pad_token_id": self.tokenizer.pad_token_id,
        }
        if options.temperature == 0:
            settings |= {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        elif options.temperature is not None or options.top_p is not None:
            settings["do_sample"] = True
            settings |= {"temperature": options.temperature} if options.temperature is not None else {}
            settings |= {"top_p": options.top_p} if options.top_p is not None else {}
        if options.stop:
            settings["stopping_criteria"] = [_Stops(self, inputs["input_ids"].shape[1] if self._decoder else 1)]
        return settings

    def _lengths(self, written: Any) -> list[int]:
        """Tokens of each text up to its end; what follows only fills the batch."""
        ends = self.model.generation_config.eos_token_id
        last = set(ends if isinstance(ends, list) else [ends]) | {self.tokenizer.eos_token_id}
        found = []
        for row in written.tolist():
            end = next((i + 1 for i, token in enumerate(row) if token in last), None)
            if end is None:
                padding = next((i for i, token in enumerate(reversed(row)) if token != self.tokenizer.pad_token_id), 0)
                end = len(row) - padding
            found.append(end)
        return found

    def stopped(self, row: Any) -> bool:
        """Whether a row of tokens holds a stop."""
        text = self.tokenizer.decode(row, skip_special_tokens=True)
        return any(stop in text for stop in self._options.stop)

    def _text(self, row: Any) -> tuple[str, bool]:
        """The text of a row of tokens, and whether it ended by itself."""
        whole = self.tokenizer.decode(row, skip_special_tokens=True)
        text = "".join(until_stop([whole], self._options.stop))
        ends = self.model.generation_config.eos_token_id
        last = set(ends if isinstance(ends, list) else [ends]) | {self.tokenizer.eos_token_id}
        return text.strip(), len(text) < len(whole) or any(token in last for token in row.tolist())


class _Stops:
    """Tells which rows hold a stop. transformers' own criterion cannot read every tokenizer's vocabulary."""

    def __init__(self, writer: _Writer, start: int) -> None:
        self._writer = writer
        self._start = start

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
        import torch

        rows = [self._writer.stopped(row[self._start :]) for row in input_ids]
        return torch.tensor(rows, dtype=torch.bool, device=input_ids.device)


class _Halted:
    """Tells the model to stop once nobody wants more of its text."""

    def __init__(self, halt: threading.Event) -> None:
        self._halt = halt

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
        import torch

        return torch.full((input_ids.shape[0],), self._halt.is_set(), dtype=torch.bool, device=input_ids.device)
