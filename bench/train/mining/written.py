"""Negatives that a generator writes: texts that look like answers, each checked to be none as far as texts tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from adapters.base import Generator, InvalidOptions, Prompt
from bench.cache.digests import deciding
from bench.data.dataset import Dataset
from bench.data.normal import normalised, plain_query
from bench.experiment.negatives import Negatives
from bench.money.budget import Budget
from bench.quality.stages import Emit
from bench.synthetic.answers import Answer, Answers
from bench.synthetic.cleaning import cleaned
from bench.synthetic.writers import prompt_language
from bench.train.mining.asked import Asked
from bench.train.mining.prompts import LANGUAGES, AskingNear
from bench.train.near_copies import nearly_alike

TOKENS = 160  # that a model on this machine may write for a text where the file says nothing
_LOOKED_AT = 200  # documents that tell the language
_FEWEST_WORDS = 5  # in a row, that one text has of another where it copies it
_FEWEST_LETTERS = 12  # the same, of a script without spaces
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)  # of models that reason before they answer
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)]*(?=\s)|[。！？][」』”’]*")
_HEADING = re.compile(
    r"^\s*\**\s*(?:text|passage|paragraph|document|answer|distractor|negative|absatz|antwort|texte|texto|testo|текст)"
    r"(?: that does not)?\s*\d*\s*\**\s*[:：]\s*\**|^\s*\**\s*(?:文本|文章|글|본문)\s*\d*\s*\**\s*[:：]\s*\**",
    re.IGNORECASE,
)
_REFUSALS = (
    r"(?:i['’]?m|i am) (?:so |very )?sorry",
    r"sorry, (?:but )?i\b",
    r"i apologi[sz]e",
    r"(?:unfortunately, )?i (?:can['’]?t|cannot|can not|won['’]?t|am unable|am not able|must decline)",
    r"as an? (?:ai|language model)\b",
    r"(?:es )?tut mir leid",
    r"(?:ich kann|(?:leider )?kann ich) [^.]*\b(?:nicht|kein\w*)\b[^.]*\b(?:schreiben|helfen)",
    r"(?:je suis )?désolée?,",
    r"je ne peux pas (?:écrire|rédiger|aider|répondre)",
    r"lo siento",
    r"no puedo (?:escribir|ayudar|generar|responder)",
    r"mi dispiace",
    r"non posso (?:scrivere|aiutar|generare|rispondere)",
    r"(?:me )?desculpe",
    r"não posso (?:escrever|ajudar|gerar|responder)",
    r"(?:извините|простите),",
    r"я не могу (?:написать|помочь|ответить)",
    r"(?:很?抱歉|对不起|申し訳|죄송)",
)
_REFUSAL = re.compile("|".join(_REFUSALS), re.IGNORECASE)


class Text(NamedTuple):
    """What was written. rule: why it is no text at all; None for one that is."""

    text: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes negatives, and how it is asked. identity: what decides the texts, for keys."""

    generator: Generator
    asking: AskingNear

    @property
    def identity(self) -> dict[str, Any]:
        asking, generator = self.asking, deciding(self.generator.identity.as_dict())
        return {
            "generator": generator, "prompt": asking.told, "count": asking.count, "characters": asking.characters,
        }  # fmt: skip

    @property
    def name(self) -> str:
        """The generator as a reader knows it."""
        identity = self.generator.identity
        return f"{identity.provider} {identity.model}"


Answering: TypeAlias = Callable[[Generator, int], Answers]
"""Makes the answers of a generator that gives a prompt so many texts."""


def answering(cache: Path, emit: Emit, budget: Budget) -> Answering:
    """Answers that are kept in a cache."""
    return partial(Answers, cache=cache, emit=emit, budget=budget, what="pairs")


def writer_of(spec: Negatives, generator: Generator, dataset: Dataset) -> Writer:
    """The writer of a strategy over a collection. Raises InvalidOptions for a generator that cannot be asked so."""
    if spec.prompt is None and generator.manner == "passage":
        raise InvalidOptions(
            f"{spec.by} ({generator.identity.model}) turns a passage into what it was trained to write, such as a "
            "question, and heeds no instruction. Name a generator that follows instructions, or write a prompt that it "
            "was trained for.",
            key="by",
        )
    shown = islice(iter(dataset.document_texts), _LOOKED_AT)
    language = prompt_language(spec.language, shown, LANGUAGES)
    asking = AskingNear(
        generator.manner,
        language,
        spec.prompt,
        spec.per_query,
        at_once=not generator.samples,
        characters=spec.passage_characters,
    )
    return Writer(generator, asking)


class Written:
    """What a writer gives for the pairs: a prompt for each two texts that differ."""

    def __init__(self, asked: Asked, writer: Writer, answers: Answering) -> None:
        self._asked = asked
        self._asking = writer.asking
        self.answers = answers(writer.generator, writer.asking.texts)

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        """The pairs of texts, each once, with its place among the prompts."""
        found: dict[tuple[str, str], int] = {}
        for pair in range(len(self._asked)):
            found.setdefault(self._texts(pair), len(found))
        return found

    @cached_property
    def prompts(self) -> list[Prompt]:
        """What is asked for each pair of texts."""
        return [self._asking.prompt(query, positive) for query, positive in self._places]

    @property
    def positives(self) -> list[str]:
        """The positive of each pair."""
        return self._asked.positives

    @property
    def each(self) -> int:
        """How many texts a pair gets."""
        return self._asking.count

    @property
    def missing(self) -> list[Prompt]:
        """The prompts that have no answer yet."""
        return [self.prompts[place] for place in self.answers.missing(self.prompts)]

    def texts(self) -> Iterator[list[Text]]:
        """For each pair as many texts as are wanted of it, those that are none among them. What is not written yet is
        written now: raises what the generator raises, and BudgetExceeded."""
        answers = self.answers.of(self.prompts)
        for pair in range(len(self._asked)):
            yield wanted(answers[self._places[self._texts(pair)]], self._asking)

    def _texts(self, pair: int) -> tuple[str, str]:
        return self._asked.texts[self._asked.query_of[pair]], self._asked.positives[pair]


def wanted(answer: Answer, asking: AskingNear) -> list[Text]:
    """The texts of an answer, as many as were asked for."""
    if answer.failure is not None:
        return [Text("", "refused")] * asking.count
    found = [
        text
        for whole, unfinished in zip(answer.texts, answer.unfinished, strict=True)
        for text in _parted(whole, asking, unfinished=unfinished)
    ][: asking.count]
    return [*found, *[Text("", "not_written")] * (asking.count - len(found))]


def _parted(whole: str, asking: AskingNear, *, unfinished: bool) -> Iterator[Text]:
    """The texts in what was written: each line where several were asked for, without what announces them."""
    lines = [line for line in _THOUGHTS.sub("", whole).splitlines() if line.strip()]
    if not asking.at_once or asking.count == 1:
        lines = [" ".join(lines)]
    else:
        lines = [line for line in lines if not line.rstrip(" *").endswith((":", "："))]
    for place, line in enumerate(lines):
        text = cleaned(line, _HEADING)
        rule = None
        if not any(char.isalnum() for char in text):
            rule = "empty"
        elif _REFUSAL.match(text):
            rule = "refusal"
        elif unfinished and place == len(lines) - 1:
            text = _whole_sentences(text)
            rule = None if text else "unfinished"
        yield Text(text, rule)


def _whole_sentences(text: str) -> str:
    """What was written of a text that was cut off, up to the end of its last whole sentence; empty where none is."""
    ends = list(_SENTENCE_END.finditer(text))
    return text[: ends[-1].end()] if ends else ""


class Copies:
    """Which texts copy, or nearly copy, what a pair's negatives must not say."""

    def __init__(self, asked: Asked, shown: Iterator[str]) -> None:
        self._asked = asked
        self._shown = {normalised(text) for text in shown}
        self._plain: dict[int, tuple[Sequence[str], Sequence[str]]] = {}

    def rule(self, pair: int, text: str) -> str | None:
        """The rule that a text breaks; None where it breaks none."""
        if normalised(text) in self._shown:
            return "of_prompt"
        plain = plain_query(text)
        positives, queries = self._barred(pair)
        near = any(_copies(plain, other) for other in positives) or any(nearly_alike(plain, other) for other in queries)
        return "near_copy" if near else None

    def _barred(self, pair: int) -> tuple[Sequence[str], Sequence[str]]:
        """The texts of a pair's positives, and those of its query, in plain form."""
        group = int(self._asked.groups[pair])
        if group not in self._plain:
            texts = self._asked.barred_texts[group], self._asked.query_texts[group]
            positives, queries = (sorted({plain for text in each if (plain := plain_query(text))}) for each in texts)
            self._plain[group] = positives, queries
        return self._plain[group]


def _copies(one: str, other: str) -> bool:
    """Whether one text, in plain form, says what the other does: nearly all words are the same, or one stands in the
    other."""
    return nearly_alike(one, other) or _within(one, other) or _within(other, one)


def _within(part: str, whole: str) -> bool:
    if " " not in part and not part.isascii():
        return len(part) >= _FEWEST_LETTERS and part in whole
    return len(part.split()) >= _FEWEST_WORDS and f" {part} " in f" {whole} "
