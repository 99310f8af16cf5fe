"""No text that is written into a generated file gets out of its quotes."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from adapters.base import CodePiece
from bench.retriever.file_text import Table, Told, plain_text
from bench.retriever.forms import FormName
from bench.retriever.literals import in_docstring, literal
from bench.retriever.parts import FusionPart, RerankingPart, SearchPart
from bench.retriever.writing import class_name_of

# Characters that end a literal, a line or a replacement field, that turn the direction of writing, and halves of pairs.
HOSTILE = some.lists(
    some.sampled_from(
        [*"\"'\\{}%#\n\r\t\x00\x0b\x0c\x1b\x85\u2028\u2029\u202e\ufeff\ud83d", '"""', "'''", "# ///", "\\N{DASH}"]
    )
    | some.characters(),
    max_size=12,
).map("".join)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | HOSTILE,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and NaN equals itself."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@given(VALUES)
def test_a_literal_reads_back_as_the_value_it_was_made_of(value: Any) -> None:
    assert same(value, eval(literal(value), {"__builtins__": {"float": float}}))


@given(HOSTILE)
def test_a_docstring_holds_one_visible_line_whatever_the_text(text: str) -> None:
    read = ast.parse('"""' + in_docstring(text) + '"""').body
    assert len(read) == 1 and isinstance(read[0], ast.Expr)
    told = ast.literal_eval(read[0].value)
    assert told.isprintable() and "\n" not in told


def place(path: Path) -> str:
    """The expression of a path."""
    return f"Path({literal(str(path))})"


def piece(class_name: str, module: str, text: str, **arguments: Any) -> CodePiece:
    return CodePiece(f"adapters.code.{module}", class_name, arguments, files={"folder": Path("/data") / (text or "x")})


def written(text: str, form: FormName) -> str:
    """A file into which a text is written wherever one can stand: names, options, prompts, models, paths, header."""
    terms = CodePiece("adapters.code.bm25_terms", "WordTerms", {"stopwords": [text]})
    lexical = SearchPart(text, text, piece("Bm25Search", "bm25_search", text, terms=terms), None, None, (), False)
    encoder = CodePiece(
        "adapters.code.sentence_transformers_queries", "SentenceTransformersQueries", {"model": text, "prompt": text}
    )
    allowed = CodePiece("adapters.code.filtering", "Conditions", {"conditions": [{"column": text, "values": [text]}]})
    exact = piece("ExactSearch", "exact_search", text, similarity="cosine", allowed=allowed)
    dense = SearchPart(text, text, exact, encoder, text, (1, 2), False)
    told = Told(
        result=text,
        system=text,
        title=text,
        paragraphs=[[in_docstring(text)]],
        form=form,
        searched=text,
        providers={"vector_store_provider": text, "embedding_provider": text, "embedding_model": text},
        requires={"numpy": "2.4.6"},
        python=f">={text}",
        exact=True,
    )
    return plain_text(
        FusionPart(text, (lexical, dense), (1.0, 0.5), text, 60, 100),
        told,
        Table(place(Path("/data") / (text or "x")), 3, text),
        class_name=class_name_of(text),
        k=10,
        place=place,
    )


def names_in(source: str, class_name: str) -> list[str]:
    """All names that a file uses, in their order, but for that of its class."""
    names = [node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return ["Class" if name == class_name else name for name in names]


@pytest.mark.parametrize("form", ["retriever", "mcp"])
@settings(max_examples=15)
@given(text=HOSTILE)
def test_a_retriever_cannot_be_broken_out_of_by_any_text_that_is_written_into_it(form: FormName, text: str) -> None:
    source = written(text, form)
    source.encode()  # a file can hold it
    lines = source.splitlines()
    header = lines[: lines.index("# ///") + 1]
    assert all(line.startswith("# ") for line in header) and header.count("# ///") == 1
    assert names_in(source, class_name_of(text)) == names_in(written("plain", form), class_name_of("plain"))
    values = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert text in values


def test_a_reranker_without_a_model_for_some_documents_says_which() -> None:
    scorer = CodePiece("adapters.code.filtering", "Conditions", {"conditions": []})
    search = SearchPart("s", "bm25", scorer, None, None, (), False)
    part = RerankingPart("r", search, scorer, 100, (3, 4))
    told = Told("r", "s", "t", [], "retriever", "d", {}, {"numpy": "2.4.6"}, ">=3.11", True)
    source = plain_text(part, told, Table("Path()", 1, "f"), class_name="R", k=10, place=place)
    assert "unscorable=[3, 4]" in source


@pytest.mark.parametrize("system", ["base", "measured", "Plain", "1st", "%", "\u732b", "a" * 300])
def test_every_system_gets_a_class_of_a_name_that_the_file_can_have(system: str) -> None:
    name = class_name_of(system)
    assert name.isidentifier() and name.isascii() and len(name) < 80
    assert name not in ("BaseRetriever", "MeasuredRetriever", "PlainRetriever")
