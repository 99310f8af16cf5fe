"""The harness knows the words of information retrieval; those of vendors and engines stand in adapters alone."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator

import pytest

from adapters import registry
from adapters.base import Adapter, Reranker, WrongAnswer
from adapters.rerankers.bi_encoder import BiEncoderReranker
from bench.machine.provenance import packages
from tests.conftest import REPOSITORY
from tests.third_party.usearch_store import UsearchStore

VENDORS = (
    "weaviate", "lancedb", "lance", "pylance", "cohere", "openai", "faiss", "usearch", "braintrust", "mlflow", "bm25s",
    "sentence[-_]transformers", "torch", "transformers", "pinecone", "qdrant", "milvus", "hnsw", "hfresh", "ivf",
    "ivf_pq", "ivf_flat", "nlist", "nprobes?", "ef", "ef_search", "ef_construction", "hugging ?face",
)  # fmt: skip
WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(VENDORS)})(?![A-Za-z])", re.IGNORECASE)
EXAMPLES = {
    "bench/experiment/proposal.py",  # writes an experiment file that names adapters
    "bench/experiment/starter.py",  # and the place of one
    "bench/train/card.py",  # the heading and the example of a model card name the library that loads the model
    "bench/run/export.py",  # the format of a vendor's file, named as such
}
FIGURES: tuple[registry.RoleName, ...] = ("datasets", "encoders", "stores", "rerankers")


def words(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each name and each text that is no docstring."""
    documented = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE) and token.start[0] not in documented:
            yield token.start[0], token.string


def built_in() -> Iterator[tuple[registry.RoleName, type[Adapter]]]:
    for role in FIGURES:
        for name in registry.names(role):
            kind = registry.load(role, name)
            if kind.__module__.startswith("adapters."):
                yield role, kind


def test_no_name_and_no_text_of_the_harness_is_a_vendors_word() -> None:
    offenders = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text.strip()[:80]}"
        for path in sorted((REPOSITORY / "bench").rglob("*.py"))
        if str(path.relative_to(REPOSITORY)) not in EXAMPLES
        for line, text in words(path.read_text(encoding="utf-8"))
        if WORD.search(text)
    ]
    assert offenders == []


@pytest.mark.parametrize("line", ['key = "OPENAI_API_KEY"', "import lancedb", "ef_search = 3", "of(hnsw)"])
def test_the_law_finds_a_vendors_word(line: str) -> None:
    assert any(WORD.search(text) for _, text in words(f"# weaviate\n{line}\n"))


def test_the_packages_of_a_result_are_those_that_the_adapters_require() -> None:
    required = {name for _, kind in built_in() for name in kind.distributions()}
    assert required == set(registry.DISTRIBUTIONS)


def test_a_package_of_an_adapter_in_use_is_among_those_of_the_result() -> None:
    assert "usearch" not in packages()
    assert "usearch" in packages([UsearchStore])
    assert packages([UsearchStore]).keys() - packages() == {"usearch"}


def test_the_key_of_a_service_stands_in_its_adapter() -> None:
    keys = {kind.name: kind.key_env for _, kind in built_in() if kind.key_env}
    assert keys == {"cohere": "CO_API_KEY", "openai": "OPENAI_API_KEY"}
    assert registry.load("trackers", "braintrust").key_env == "BRAINTRUST_API_KEY"


def test_a_reranker_that_needs_vectors_says_whose() -> None:
    assert BiEncoderReranker(BiEncoderReranker.Options(encoder="small")).encoder_name == "small"

    class Nameless(BiEncoderReranker):
        Options = Reranker.Options

    with pytest.raises(WrongAnswer, match="names no encoder"):
        _ = Nameless(Nameless.Options()).encoder_name  # type: ignore[arg-type]


def test_both_packages_ship_their_types() -> None:
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["bench", "adapters"]  # a folder goes in whole, so its py.typed does
    assert all((REPOSITORY / package / "py.typed").is_file() for package in wheel["packages"])
