"""What generators wrote, kept piece by piece, so that nothing is paid for twice.

    <cache>/synthetic/<key>/<digest>.json     the texts for one piece of work: a prompt, or a batch of them

A prompt asks for questions for a document, or for texts that look like answers to a question. The key is of the
generator and of how many texts each prompt gets; the digest is of what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adapters.base import Generated, Generator, Prompt, Usage, conversation
from bench.cache.artifacts import write_atomically
from bench.cache.digests import content_key, deciding
from bench.cache.locks import entry_locked
from bench.cache.machine_lock import at_work
from bench.cache.own_files import NOT_ITSELF, own_folder, read_own
from bench.cache.uses import note
from bench.money.budget import Budget
from bench.money.cost import AT_MOST, Tokens, Usages, text_bytes, writing_usage
from bench.quality.stages import Emit, Stage, waiting

FOLDER = "synthetic"
LAYOUT = 1  # a higher number asks again what an earlier version asked
_BATCH = 16  # prompts that a generator which draws is asked for at once: its texts depend on which they are
_BLOCK = 64  # requests between two looks at what may be spent
_OF_A_MESSAGE = 16  # tokens that a template may put around a message


@dataclass(frozen=True, slots=True)
class Answer:
    """What was written for one prompt. failure: why there is nothing."""

    texts: tuple[str, ...]
    unfinished: tuple[bool, ...]
    failure: str | None = None


@dataclass(slots=True)
class Answers:
    """The texts of one generator. count: how many a prompt gets. what: what prompts are for, in the plural. used: what
    the texts took, whichever run had them written."""

    generator: Generator
    count: int
    cache: Path
    emit: Emit
    budget: Budget
    what: str = "documents"
    used: Usage = field(default_factory=Usage)

    @property
    def key(self) -> str:
        """Neither library versions nor the device are in it: an upgrade asks nothing again."""
        generator = deciding(self.generator.identity.as_dict())
        return content_key({"layout": LAYOUT, "generator": generator, "count": self.count})

    def pieces(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The prompts by piece of work, as positions. They follow from the prompts alone, never from what is kept."""
        size = _BATCH if self.generator.samples else 1
        return [list(range(at, min(at + size, len(prompts)))) for at in range(0, len(prompts), size)]

    def missing(self, prompts: Sequence[Prompt]) -> list[int]:
        """Positions of the prompts that have no answer yet."""
        pieces = self.pieces(prompts)
        return [place for piece in pieces if self._kept([prompts[i] for i in piece]) is None for place in piece]

    def of(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """An answer for every prompt, asked where none is kept. Raises what the generator raises, and BudgetExceeded;
        what was answered before is kept."""
        note(self.cache, FOLDER, self.key)
        pieces = self.pieces(prompts)
        found: dict[int, Answer] = {}
        with (
            entry_locked(self.cache, f"{FOLDER}-{self.key}", waiting(self.emit)),
            Stage(self.emit, "write", self.generator.identity.model, len(prompts), self.what) as advance,
        ):
            open_pieces = []
            for piece in pieces:
                kept = self._kept([prompts[i] for i in piece])
                if kept is None:
                    open_pieces.append(piece)
                    continue
                answers, usage = kept
                found |= dict(zip(piece, answers, strict=True))
                self.used += usage
                advance(len(piece))
            for places, written in self._asked(prompts, open_pieces):
                found |= dict(zip(places, written, strict=True))
                advance(len(places))
        return [found[i] for i in range(len(prompts))]

    def _asked(
        self, prompts: Sequence[Prompt], pieces: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Sequence[int], list[Answer]]]:
        if self.generator.samples:
            for piece in pieces:
                asked = [prompts[i] for i in piece]
                most = self.most(asked)
                self.budget.affordable(self.generator, _together(most))
                with at_work(waiting(self.emit)):
                    generated = self.generator.several(asked, self.count)
                yield piece, self._keep(asked, generated, most)
            return
        waiting_ones = [piece[0] for piece in pieces]
        while waiting_ones:
            block = waiting_ones[:_BLOCK]
            block = block[: self.budget.affordable(self.generator, self.most([prompts[i] for i in block]))]
            with at_work(waiting(self.emit)):
                for places, generated in self.generator.generate_each([prompts[i] for i in block]):
                    for at, place in enumerate(places):
                        one = _one_of(generated, at)
                        position = block[place]
                        asked = [prompts[position]]
                        yield [position], self._keep(asked, one, self.most(asked))
            waiting_ones = waiting_ones[len(block) :]

    def most(self, prompts: Sequence[Prompt], tokens: Tokens = AT_MOST) -> Usages:
        """What the texts of each prompt can use at most. tokens: how those that are read are reckoned."""
        sizes = []
        for prompt in prompts:
            messages = conversation(prompt)
            texts = [message.text for message in messages]
            read = int(text_bytes(texts).sum() if tokens is AT_MOST else tokens.sizes(texts).sum())
            sizes.append(read + _OF_A_MESSAGE * len(messages) * tokens.bytes_each)
        return writing_usage(np.array(sizes, np.int64), self.generator.max_tokens * self.count, tokens)

    def _keep(self, prompts: Sequence[Prompt], generated: Generated, most: Usages) -> list[Answer]:
        self.budget.after(self.generator, generated.usage, most.total())
        self.used += generated.usage
        cut = generated.unfinished
        answers = []
        for at in range(len(prompts)):
            part = slice(at * self.count, (at + 1) * self.count)
            flags = (False,) * self.count if cut is None else tuple(bool(flag) for flag in cut[part])
            answers.append(Answer(tuple(generated.texts[part]), flags, generated.failures.get(part.start)))
        record = {"answers": [asdict(answer) for answer in answers], "usage": asdict(generated.usage)}
        path = self._place(prompts)
        own_folder(path.parent)
        sealed = {**record, "digest": content_key(_plain(record))}
        write_atomically(path, json.dumps(sealed, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        return answers

    def _place(self, prompts: Sequence[Prompt]) -> Path:
        asked = [prompt_as_plain(prompt) for prompt in prompts]
        return self.cache / FOLDER / self.key / f"{content_key(asked)}.json"

    def _kept(self, prompts: Sequence[Prompt]) -> tuple[list[Answer], Usage] | None:
        """The answers that are kept, with what they took; None where there are none as they were written."""
        try:
            record = json.loads(read_own(self._place(prompts)))
            if record.pop("digest") != content_key(record):
                return None
            answers = [
                Answer(tuple(each["texts"]), tuple(each["unfinished"]), each["failure"]) for each in record["answers"]
            ]
            usage = Usage(**record["usage"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        except OSError as error:
            if error.errno not in NOT_ITSELF:
                raise
            return None
        return (answers, usage) if len(answers) == len(prompts) else None


def prompt_as_plain(prompt: Prompt) -> list[list[str]]:
    """A prompt as plain values, for a key."""
    return [[message.role, message.text] for message in conversation(prompt)]


def _plain(record: dict[str, Any]) -> Any:
    return json.loads(json.dumps(record))


def _together(most: Usages) -> Usages:
    """Pieces of work as one, which can be afforded whole or not at all."""
    total = most.total()
    return Usages(
        np.array([total.tokens], np.int64),
        np.array([total.search_units], np.int64),
        np.array([total.output_tokens], np.int64),
    )


def _one_of(generated: Generated, at: int) -> Generated:
    """One text of a part. The usage of a part with several is their sum: it is counted with the first."""
    cut = None if generated.unfinished is None else generated.unfinished[at : at + 1]
    failures = {0: generated.failures[at]} if at in generated.failures else {}
    return Generated([generated.texts[at]], generated.usage if at == 0 else Usage(), cut, failures=failures)
