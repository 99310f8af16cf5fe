"""A loaded language model that writes: prompts rendered, fitted, drawn from, and streamed."""

from __future__ import annotations

import threading
from collections.abc import Generator as Writing
from collections.abc import Sequence
from typing import Any

from adapters.base import Ended, Message, Usage
from adapters.writing import until_stop

_UNBOUNDED = 1_000_000  # tokens; transformers writes a huge number where a tokenizer names no limit


class Writer:
    """A loaded model. decoder: whether its prompt stands before its text in one sequence. positions: how many tokens
    its table of positions holds, None for any number."""

    def __init__(self, model: Any, tokenizer: Any, options: Any, *, decoder: bool, positions: int | None) -> None:
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
        most: int = self._options.max_tokens
        if self._positions is None:
            return most
        taken = int(inputs["input_ids"].shape[1]) if self._decoder else 1
        return min(most, self._positions - taken)

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

    def __init__(self, writer: Writer, start: int) -> None:
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
