"""BM25 over whole texts: one tokenizer and one index for the store and the reranker of that name.

Scores are those of bm25s (Lù 2024, arXiv:2407.03618), which computes each term's share of a document's score when
the index is built.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from adapters._scripts import Writing, advice
from adapters.base import Flags, Floats, IndexMissing, InvalidOptions, MissingDependency, Options, Unmatched

STOPWORD_LANGUAGES = (
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian", "korean", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "turkish",
)  # fmt: skip
_LIST_NAMES = {"english": "EN", "english_plus": "EN_PLUS"}
_APPLIES_TO = {
    "delta": ("method", ("bm25l", "bm25+")),
    "language": ("tokenizer", ("stem",)),
    "n": ("tokenizer", ("characters",)),
}
_OFFERED: Mapping[Writing, str] = {
    "Chinese": "jieba (words) or characters",
    "Japanese": "characters",
    "Korean": "characters",
    "Thai, Lao, Khmer or Burmese": "characters",
    "names like C++, R or 3.5": "code",
}
_CODE = re.compile(r"(?:(?<![\w.])\.)?\w+(?:\.\w+)*(?:\+\+|[#+])*")

TokenizerName: TypeAlias = Literal["default", "stem", "jieba", "characters", "code"]


class Bm25Options(Options):
    """The formula and how a text becomes terms."""

    method: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = Field(
        "lucene", description="Formula of a term's weight, by the names of the library bm25s."
    )
    k1: float = Field(1.5, ge=0, description="How slowly repeated terms saturate, from 0 on.")
    b: float = Field(0.75, ge=0, le=1, description="How much a document's length counts, 0 (not at all) to 1.")
    delta: float = Field(
        0.5,
        ge=0,
        description="Lower bound that bm25l and bm25+ give a term that is there; the other methods have none.",
    )
    tokenizer: TokenizerName = Field(
        "default",
        description="How texts become terms: default takes lower-cased words of two letters or more; stem stems "
        "these; jieba takes Chinese words; characters takes character n-grams, for scripts without "
        "spaces; code takes words of any length with what belongs to names, such as C++, C#, .NET, R "
        "and 3.5.",
    )
    language: str = Field("english", description="Snowball algorithm that tokenizer stem uses.")
    n: int = Field(2, ge=1, le=8, description="Characters in an n-gram of tokenizer characters, 1 to 8.")
    stopwords: str | tuple[str, ...] | None = Field(
        "auto",
        description="Words that are left out: auto takes those of the tokenizer's language; else the name of a "
        "list, a list of words, or null for none.",
    )

    @field_validator("delta", "language", "n")
    @classmethod
    def _applies(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        other, allowed = _APPLIES_TO[name]
        if value != cls.model_fields[name].default and info.data.get(other) not in allowed:
            raise ValueError(f"applies to {other}: {' and '.join(allowed)} only")
        return value

    @field_validator("stopwords")
    @classmethod
    def _list_is_known(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in ("auto", *STOPWORD_LANGUAGES):
            raise ValueError(f"there is no stop word list {value!r}; known: {', '.join(STOPWORD_LANGUAGES)}")
        return value

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that determine the terms and the scores."""
        packages = {"stem": ["PyStemmer"], "jieba": ["jieba"]}.get(self.tokenizer, [])
        return {name: version(name) for name in ["bm25s", *packages]}

    def check(self, adapter: str, under: str = "") -> None:
        """Raise MissingDependency or InvalidOptions for what this tokenizer lacks. under: where the options stand, such
        as `index.`."""
        if self.tokenizer == "stem":
            if importlib.util.find_spec("Stemmer") is None:
                raise MissingDependency(adapter, "PyStemmer", "stemmer")
            import Stemmer

            if self.language not in Stemmer.algorithms():
                known = ", ".join(sorted(Stemmer.algorithms()))
                raise InvalidOptions(
                    f"There is no stemmer for {self.language!r}. Known: {known}.", key=f"{under}language"
                )
        if self.tokenizer == "jieba" and importlib.util.find_spec("jieba") is None:
            raise MissingDependency(adapter, "jieba", "chinese")


def terms_of(options: Bm25Options) -> Callable[[str], list[str]]:
    """The function that turns a text into its terms, in order, repeats kept."""
    stop = _stopwords(options)
    split = _splitter(options)
    if options.tokenizer != "stem":
        return lambda text: [term for term in split(text.lower()) if term not in stop]
    import Stemmer

    local = threading.local()  # a PyStemmer object can serve only one thread at a time

    def terms(text: str) -> list[str]:
        if not hasattr(local, "stem"):
            local.stem = Stemmer.Stemmer(options.language).stemWords
        stemmed: list[str] = local.stem([word for word in split(text.lower()) if word not in stop])
        return stemmed

    return terms


def _splitter(options: Bm25Options) -> Callable[[str], list[str]]:
    if options.tokenizer == "jieba":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its source holds escapes that current Python versions warn about
            import jieba
        jieba.setLogLevel(logging.WARNING)
        cut = jieba.Tokenizer().lcut
        word = re.compile(r"\w").search
        return lambda text: [part for part in cut(text) if word(part)]
    if options.tokenizer == "characters":
        n = options.n
        runs = re.compile(r"\w+").findall
        return lambda text: [run[i : i + n] for run in runs(text) for i in range(max(1, len(run) - n + 1))]
    if options.tokenizer == "code":
        return _CODE.findall
    return re.compile(r"(?u)\b\w\w+\b").findall  # bm25s.tokenize, token_pattern


def _stopwords(options: Bm25Options) -> frozenset[str]:
    chosen = options.stopwords
    if chosen == "auto":
        language = {"default": "english", "code": "english", "jieba": "chinese"}.get(
            options.tokenizer, options.language
        )
        chosen = language if options.tokenizer != "characters" and language in STOPWORD_LANGUAGES else None
    if chosen is None:
        return frozenset()
    if isinstance(chosen, str):
        import bm25s.stopwords

        chosen = getattr(bm25s.stopwords, f"STOPWORDS_{_LIST_NAMES.get(chosen, chosen.upper())}")
    return frozenset(chosen)


def unmatched_before(documents: Iterable[str], queries: Sequence[str], options: Bm25Options) -> Unmatched:
    """Which queries hold no term of any document; documents are read only until every query has one."""
    terms = terms_of(options)
    waiting: dict[str, set[int]] = {}  # queries by term
    flags = np.ones(len(queries), np.bool_)
    for i, query in enumerate(queries):
        for term in terms(query):
            waiting.setdefault(term, set()).add(i)
    for document in documents:
        if not waiting or not flags.any():
            break
        for term in terms(document):
            flags[list(waiting.pop(term, ()))] = False
    return told(flags, queries)


def told(flags: Flags, queries: Sequence[str]) -> Unmatched:
    """The unmatched queries, with the tokenizers that would help them."""
    lost = [query for query, flag in zip(queries, flags, strict=True) if flag]
    return Unmatched(flags, advice(lost, _OFFERED, option="tokenizer"))


class Match(NamedTuple):
    """One query's scores for every document, float32 (n,), and the score of a document that holds no term of it."""

    scores: Floats
    none: float


class Bm25Index:
    """Scores of any query for every document. Reads only: safe from many threads."""

    def __init__(self, engine: Any, count: int, options: Bm25Options) -> None:
        self._engine = engine  # None where no document has a term
        self.count = count
        self._terms = terms_of(options)

    @staticmethod
    def build(texts: Iterable[str | None], options: Bm25Options) -> Bm25Index:
        """Index n texts in their order. The vocabulary is numbered by first appearance, so that builds are
        identical."""
        import bm25s

        terms = terms_of(options)
        vocabulary: dict[str, int] = {}
        documents = [
            array("i", [vocabulary.setdefault(term, len(vocabulary)) for term in terms(text or "")]) for text in texts
        ]
        engine = None
        if vocabulary:
            engine = bm25s.BM25(k1=options.k1, b=options.b, delta=options.delta, method=options.method)
            engine.index((documents, vocabulary), create_empty_token=False, show_progress=False)
        return Bm25Index(engine, len(documents), options)

    def save(self, folder: Path) -> None:
        """Write the index; `open` reads it back bit by bit."""
        if self._engine is not None:
            self._engine.save(folder, show_progress=False)

    @staticmethod
    def open(folder: Path, count: int, options: Bm25Options) -> Bm25Index:
        """The index of `count` documents in a folder, memory-mapped. Raises IndexMissing."""
        import bm25s

        if not folder.exists():
            return Bm25Index(None, count, options)
        try:
            engine = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        except (OSError, ValueError, KeyError) as error:
            raise IndexMissing(f"No complete index in {folder}: it has to be built again.") from error
        # Slicing np.memmap costs microseconds each time; a plain view of the same pages does not.
        for name in ("data", "indices", "indptr"):
            engine.scores[name] = np.asarray(engine.scores[name])
        return Bm25Index(engine, count, options)

    @property
    def documents(self) -> int:
        """Documents that the engine holds."""
        return self.count if self._engine is None else int(self._engine.scores["num_docs"])

    @property
    def vocabulary_size(self) -> int:
        return 0 if self._engine is None else len(self._engine.vocab_dict)

    def unmatched(self, queries: Sequence[str]) -> Unmatched:
        """Which queries hold no term of the index."""
        return told(np.array([self._numbers(query) is None for query in queries], np.bool_), queries)

    def _numbers(self, query: str) -> Any:
        """Numbers of the query's terms that the index knows, None where it knows none."""
        return None if self._engine is None else self._engine.get_tokens_ids(self._terms(query)) or None

    def match(self, query: str) -> Match | None:
        """The query's scores, None where the index knows none of its terms."""
        if (tokens := self._numbers(query)) is None:
            return None
        # bm25l and bm25+ give every document a share for each term it lacks.
        shares = self._engine.nonoccurrence_array
        none = np.float32(0) if shares is None else shares[np.asarray(tokens)].sum(dtype=np.float32)
        return Match(self._engine.get_scores_from_ids(tokens), float(none))
