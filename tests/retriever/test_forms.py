"""The forms of a retriever's file: a function, a tool for an agent, and a server, each finding what was measured."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.results.model import read_result
from bench.retriever.forms import FORMS, FormName
from bench.retriever.writing import Wish, write_retriever
from tests import small
from tests.retriever.typed import faults_of_types

QUERY = "violin harbour"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a result of one system, and the cache."""
    root = tmp_path_factory.mktemp("forms")
    small.collection(root / "data")
    folder, _ = small.measure(root, small.spec([{"name": 'bm25 "quoted" \\', "store": "bm25"}]))
    return folder, root / "cache"


@pytest.fixture(scope="module")
def written(measured: tuple[Path, Path]) -> dict[FormName, Path]:
    """A file of each form, with data of its own."""
    folder, cache = measured
    files: dict[FormName, Path] = {}
    for form in FORMS:
        output, data = folder.parent / f"as_{form}.py", folder.parent / f"{form}-data"
        wish = Wish(folder, 'bm25 "quoted" \\', output, cache, data, "Finder", form=form)
        files[form] = write_retriever(read_result(folder), wish, lambda event: None).path
    return files


@pytest.fixture
def loaded(written: dict[FormName, Path]) -> Iterator[Any]:
    """Imports a file of a form; what it opened is closed."""
    modules: list[ModuleType] = []

    def load(form: FormName) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"written_{form}", written[form])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        modules.append(module)
        return module

    yield load
    for module in modules:
        sys.modules.pop(module.__name__)


def run_file(folder: Path) -> list[str]:
    """The first query's documents as measured."""
    (path,) = (folder / "runs").glob("*.trec")
    return [line.split()[2] for line in path.read_text().splitlines() if line.startswith("q0 ")]


def test_a_function_finds_the_same_as_the_retriever_without_langchain(loaded: Any) -> None:
    plain, retriever = loaded("function"), loaded("retriever").Finder()
    wanted = [(each.id, each.page_content, each.metadata["score"]) for each in retriever.invoke(QUERY, k=3)]
    found = plain.retrieve(QUERY, k=3)
    assert [(each.id, each.text, each.score) for each in found] == wanted
    assert [(each.rank, each.stage) for each in found] == [(1, "search"), (2, "search"), (3, "search")]
    assert found[0].metadata == {"lang": retriever.invoke(QUERY, k=1)[0].metadata["lang"]}
    assert asyncio.run(plain.aretrieve(QUERY, 3)) == found
    assert plain.retrieve(QUERY, k=2, exclude=[found[0].id])[0] == found[1].__class__(**{**vars(found[1]), "rank": 1})
    with pytest.raises(plain.RetrieverError, match="k is 0"):
        plain.retrieve(QUERY, k=0)


def test_a_file_without_langchain_asks_for_no_langchain(written: dict[FormName, Path]) -> None:
    for form, path in written.items():
        text = path.read_text()
        assert ("langchain" in text.lower()) == FORMS[form].langchain, form
        assert ('"mcp==' in text) == (form == "mcp")


def test_a_tool_gives_an_agent_texts_and_keeps_the_documents(loaded: Any) -> None:
    from langchain_core.messages import ToolMessage

    module = loaded("tool")
    call = {"name": "search_documents", "args": {"query": QUERY}, "id": "1", "type": "tool_call"}
    answer = module.search_documents.invoke(call)
    assert isinstance(answer, ToolMessage)
    found = module.Finder().invoke(QUERY)
    assert [each.id for each in answer.artifact] == [each.id for each in found]
    assert answer.content == "\n\n".join(each.page_content for each in found)
    assert "60 documents" in module.search_documents.description
    assert list(module.search_documents.args) == ["query"]
    assert asyncio.run(module.search_documents.ainvoke(call)).content == answer.content


def asked(path: Path, arguments: dict[str, Any]) -> tuple[Any, Any]:
    """The tools of the server in a file, and the answer of its only one, over its standard input and output."""
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

    async def talk() -> tuple[Any, Any]:
        async with Client(StdioServerParameters(command=sys.executable, args=["-I", str(path)])) as client:
            return (await client.list_tools()).tools, await client.call_tool("search_documents", arguments)

    return asyncio.run(talk())


def test_a_client_of_the_server_finds_what_the_retriever_finds(written: dict[FormName, Path], loaded: Any) -> None:
    tools, answer = asked(written["mcp"], {"query": QUERY, "k": 2})
    (tool,) = tools
    assert tool.name == "search_documents"
    assert "60 documents" in tool.description
    assert set(tool.input_schema["properties"]) == {"query", "k"}
    assert tool.annotations.read_only_hint
    wanted = loaded("function").retrieve(QUERY, k=2)
    assert not answer.is_error
    found = answer.structured_content["result"]
    assert [(each["id"], each["text"], each["rank"]) for each in found] == [(w.id, w.text, w.rank) for w in wanted]


def test_a_client_of_the_server_is_told_what_is_wrong(written: dict[FormName, Path], tmp_path: Path) -> None:
    alone = Path(shutil.copy(written["mcp"], tmp_path))
    _, answer = asked(alone, {"query": QUERY})
    assert answer.is_error
    assert "is gone" in answer.content[0].text or "no whole index" in answer.content[0].text


def test_each_form_passes_ruff(written: dict[FormName, Path]) -> None:
    files = [str(path) for path in written.values()]
    subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", *files], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--isolated", "--check", "--quiet", *files], check=True)


@pytest.mark.slow
def test_each_form_passes_a_strict_type_check(written: dict[FormName, Path], types: Path) -> None:
    assert faults_of_types(written.values(), types) == ""
