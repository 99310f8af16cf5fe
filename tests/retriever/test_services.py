"""Systems over services, measured in one run: each retriever that is written of them finds what was measured, is clean,
and keeps to LangChain's own tests of retrievers."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests

from adapters.servers import weaviate as weaviate_server
from bench.results.model import read_result
from bench.retriever.verifying import verify
from bench.retriever.writing import Wish, write_retriever
from tests import small
from tests.conftest import absent
from tests.retriever.services import DOCUMENTS, experiment, search_service
from tests.retriever.typed import faults_of_types
from tests.standin import StandIn
from tests.weaviate.conftest import running

pytestmark = pytest.mark.slow

EXACT = {"bm25", "search", "w-text"}
"""Systems in which no managed model takes part."""
SYSTEMS = [
    "bm25", "cohere", "cohere-int8", "openai-pq", "one-space", "search", "reranked", "by-server", "by-vectors",
    "by-bm25", "fused", "w-vector", "w-filtered", "w-text", "w-hybrid",
]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A retriever of each system; the services run meanwhile."""
    if weaviate_server.binary() is None:
        absent(f"no Weaviate server on this machine. {weaviate_server.advice()}")
    root, before = tmp_path_factory.mktemp("services"), dict(os.environ)
    small.collection(root / "data", documents=DOCUMENTS)
    servers = running(tmp_path_factory, {"ASYNC_INDEXING": "false"})
    weaviate = next(servers)
    try:
        with StandIn() as standin, search_service(root / "data") as search:
            os.environ.update(standin.environment())
            folder, result = small.measure(root, experiment(standin, search, weaviate))
            assert {system.name: system.error for system in result.systems} == dict.fromkeys(SYSTEMS)
            files = {}
            for name in SYSTEMS:
                file = root / f"{name.replace('-', '_')}_retriever.py"
                wish = Wish(folder, name, file, root / "cache")
                files[name] = write_retriever(read_result(folder), wish, lambda event: None).path
            yield files
    finally:
        servers.close()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_retriever_finds_what_was_measured(written: dict[str, Path], system: str) -> None:
    file = written[system]
    cache = file.parent / "cache"
    done = verify(
        file, None, None, None, fresh=False, emit=lambda event: None, read=lambda folder: (read_result(folder), cache)
    )
    assert done.proof.holds, done.text
    assert done.proof.exact == (system in EXACT)
    # The stand-ins give the same answer on every call.
    assert not done.proof.differences, done.text


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"written_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, module.__all__[0])


@pytest.mark.parametrize(
    "system", ["cohere", "search", "reranked", "by-server", "by-vectors", "fused", "w-filtered", "w-hybrid"]
)
class TestStandard(RetrieversIntegrationTests):
    """LangChain's own tests of retrievers."""

    @pytest.fixture(autouse=True)
    def _choose(self, written: dict[str, Path], system: str) -> None:
        self._constructor = loaded(written[system])

    @property
    def retriever_constructor(self) -> Any:
        return self._constructor

    @property
    def retriever_query_example(self) -> str:
        return "violin harbour"


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_clients_of_a_retriever_that_nobody_holds_are_closed_at_once(written: dict[str, Path], system: str) -> None:
    """The garbage collector, which is off here, may come late, and may take a socket before the client that closes it:
    so no part of a retriever is in a circle of references."""
    gc.collect()
    gc.disable()
    try:
        made = loaded(written[system])()
        made.invoke("violin harbour")
        asyncio.run(made.ainvoke("violin harbour"))
        own = [each for each in gc.get_objects() if type(each).__module__ == type(made).__module__]
        parts = [weakref.ref(each) for each in own if hasattr(type(each), "close")]
        del own
        assert parts
        del made
        assert [part() for part in parts if part() is not None] == []
    finally:
        gc.enable()


def test_the_retrievers_pass_ruff_and_a_strict_type_check(written: dict[str, Path], types: Path) -> None:
    files = [str(path) for path in written.values()]
    subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", *files], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--isolated", "--check", "--quiet", *files], check=True)
    assert faults_of_types(written.values(), types) == ""
