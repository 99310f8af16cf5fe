"""BM25 over whole texts: one tokenizer and one index for the store and the reranker of that name.

Scores are those of bm25s (Lù 2024, arXiv:2407.03618), which computes each term's share of a document's score when
the index is built.
"""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from adapters._scripts import Writing, advice
from adapters.base import (
    CodePiece,
    Flags,
    IndexMissing,
    InvalidOptions,
    MissingDependency,
    Options,
    Unmatched,
    Value,
)
from adapters.code import bm25_terms
from adapters.code.bm25_engine import Match, load_engine, match, term_numbers
from adapters.code.bm25_terms import Terms
from adapters.versions import version

STOPWORD_LANGUAGES = (
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian", "korean", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "turkish",
)  # fmt: skip
TERMS = bm25_terms.__name__
_TERMS = {
    "default": "WordTerms", "stem": "StemmedTerms", "jieba": "JiebaTerms", "characters": "CharacterTerms",
    "code": "CodeTerms",
}  # fmt: skip
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

    def terms_code(self) -> CodePiece:
        """The code that turns a text into its terms."""
        stop = self.stopwords
        if stop == "auto":
            language = {"default": "english", "code": "english", "jieba": "chinese"}.get(self.tokenizer, self.language)
            stop = language if self.tokenizer != "characters" and language in STOPWORD_LANGUAGES else None
        arguments: dict[str, Value] = {"stopwords": stop if isinstance(stop, str) else list(stop or ())}
        if self.tokenizer == "stem":
            arguments["language"] = self.language
        if self.tokenizer == "characters":
            arguments["n"] = self.n
        packages = {"stem": ("PyStemmer",), "jieba": ("jieba",)}.get(self.tokenizer, ())
        return CodePiece(TERMS, _TERMS[self.tokenizer], arguments, requires=("bm25s", *packages))

    def builder_code(self, kept: Mapping[str, Value]) -> CodePiece:
        """The code that builds an index of other documents. kept: what it keeps beside the library's own files."""
        terms = self.terms_code()
        formula = {"method": self.method, "k1": self.k1, "b": self.b, "delta": self.delta}
        module, name = "adapters.code.local_builders", "Bm25Builder"
        builder = CodePiece(module, name, {"terms": terms, **formula, **kept}, requires=terms.requires)
        return CodePiece("adapters.code.building", "BuiltPart", {"builder": builder, "argument": "folder"})

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


def terms_of(options: Bm25Options) -> Terms:
    """What turns a text into its terms, in order, repeats kept."""
    piece = options.terms_code()
    made: Terms = getattr(bm25_terms, piece.class_name)(**piece.arguments)
    return made


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
        if not folder.exists():
            return Bm25Index(None, count, options)
        try:
            engine = load_engine(folder)
        except (OSError, ValueError, KeyError) as error:
            raise IndexMissing(f"No complete index in {folder}: it has to be built again.") from error
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
        return told(
            np.array([term_numbers(self._engine, self._terms, query) is None for query in queries], np.bool_), queries
        )

    def match(self, query: str) -> Match | None:
        """The query's scores, None where the index knows none of its terms."""
        return match(self._engine, self._terms, query)
