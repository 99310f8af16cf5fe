"""Generated retrievers: they find what was measured, and are what LangChain expects of a retriever."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from bench.cache.users import users
from bench.results.rankings import Rankings, run_file
from bench.retriever.refusal import RetrieverRefused
from tests import small
from tests.retriever.conftest import SYSTEMS, Run
from tests.retriever.typed import faults_of_types

QUERY = "copper polishes violin"
NAMES = [system["name"] for system in SYSTEMS]

Module = Callable[[str], ModuleType]


def made(module: ModuleType, **options: Any) -> BaseRetriever:
    """The retriever of a generated file."""
    retriever: BaseRetriever = getattr(module, module.__all__[0])(**options)
    return retriever


@pytest.mark.parametrize("name", ["hnsw german", "ivf with texts", "weighted", "again"])
class TestStandard(RetrieversIntegrationTests):
    """LangChain's own tests of retrievers."""

    @pytest.fixture(autouse=True)
    def _choose(self, module: Module, name: str) -> None:
        generated = module(name)
        self._constructor: type[BaseRetriever] = getattr(generated, generated.__all__[0])

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return self._constructor

    @property
    def retriever_query_example(self) -> str:
        return QUERY


@pytest.mark.parametrize("name", ["german", "rrf", "near"])
def test_a_retriever_finds_what_was_measured_and_so_does_its_async_form(run: Run, module: Module, name: str) -> None:
    ids = {f"d{i}" for i in range(60)}
    rankings = Rankings(run_file(run.folder, name, 0), {f"q{i}" for i in range(12)}, ids)
    texts = {f"q{i}": text for i, text in enumerate(queries(run))}
    with made(module(name)) as retriever:
        for query, text in texts.items():
            measured = [hit.document for hit in rankings.of(query)]
            found = retriever.invoke(text)
            assert [each.id for each in found] == measured
    assert [each.metadata["rank"] for each in found] == list(range(1, len(found) + 1))


def queries(run: Run) -> list[str]:
    import json

    lines = (run.home / "data" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


async def test_the_async_form_finds_the_same_as_the_other(module: Module) -> None:
    retriever = made(module("again"))
    assert await retriever.ainvoke(QUERY) == retriever.invoke(QUERY)


def test_a_document_left_out_makes_room_for_the_next(module: Module) -> None:
    retriever = made(module("rrf"), k=3)
    first = retriever.invoke(QUERY)
    others = retriever.invoke(QUERY, exclude=[first[0].id])
    assert len(others) == 3 and first[0].id not in [each.id for each in others]


def test_metadata_tell_the_score_the_stage_and_the_documents_own(module: Module) -> None:
    document = made(module("near"), k=1).invoke(QUERY)[0]
    assert set(document.metadata) == {"id", "score", "rank", "stage", "lang"}
    assert document.metadata["stage"] == "reranking" and document.metadata["id"] == document.id
    assert document.page_content.startswith("the ")


def test_more_than_was_measured_is_found_when_asked_for(module: Module) -> None:
    assert len(made(module("exact"), k=40).invoke(QUERY)) == 40


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "3"])
def test_another_k_than_a_number_of_documents_is_refused(module: Module, k: Any) -> None:
    generated = module("exact")
    with pytest.raises(generated.RetrieverError, match="whole number"):
        made(generated).invoke(QUERY, k=k)


def test_langsmith_is_told_of_store_and_model(module: Module) -> None:
    told = made(module("rrf"))._get_ls_params()
    assert told["ls_vector_store_provider"] == "bm25+exact" and told["ls_embedding_provider"] == "words"


def test_an_index_that_is_gone_is_an_error_that_names_the_cure(run: Run, tmp_path: Path) -> None:
    done = run.write("bm25", tmp_path / "retriever.py", data=tmp_path / "data")
    index = next(path for path in (tmp_path / "data").iterdir() if path.is_dir())
    shutil.rmtree(index)
    asked = f"import retriever; retriever.{done.class_name}().invoke('copper')"
    ended = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "RetrieverError: There is no whole index in" in ended.stderr and "again" in ended.stderr


def test_the_command_writes_what_the_result_proposes_and_the_proof_holds(run: Run, tmp_path: Path) -> None:
    file, data, cache = tmp_path / "best.py", tmp_path / "data", run.home / "cache"
    outcome = small.bench("retriever", run.folder, "-o", file, "--data", data, "--cache", cache, "--class", "Best")
    assert outcome.exit_code == 0 and "class Best" in outcome.stdout
    assert "it is the baseline, and no other is shown to be better" in outcome.stderr
    # The two move together, and this program's cache is not needed.
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    file.rename(moved / "best.py")
    data.rename(tmp_path / "kept")
    (moved / "best.py").write_text((moved / "best.py").read_text().replace('_HERE / "data', '_HERE.parent / "kept'))
    proved = small.bench("verify-retriever", moved / "best.py", "--cache", cache, "--quiet")
    assert proved.exit_code == 0, proved.stdout + proved.stderr
    assert "the same as measured: 12 queries" in proved.stdout


def test_data_are_found_where_the_folder_of_the_file_is_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    file = run.write("bm25", tmp_path / "link" / "retriever.py", data=tmp_path / "data").path
    assert (tmp_path / "data" / "documents.parquet").is_file()
    assert '_HERE / "../../data/documents.parquet"' in file.read_text()


def test_a_file_that_finds_something_else_fails_its_proof_and_names_the_queries(
    run: Run, written: Callable[[str], Path], tmp_path: Path
) -> None:
    changed = tmp_path / "changed.py"
    text = written("weighted").read_text()
    assert "weights=[0.3, 0.7]" in text
    changed.write_text(text.replace("weights=[0.3, 0.7]", "weights=[0.7, 0.3]"))
    proved = small.bench("verify-retriever", changed, "--cache", run.home / "cache", "--quiet")
    assert proved.exit_code == 1 and "NOT as measured" in proved.stdout and "  query q" in proved.stdout


def test_a_file_cannot_borrow_from_this_program(run: Run, written: Callable[[str], Path], tmp_path: Path) -> None:
    for module in ("bench", "adapters.base", "odd_adapters"):
        borrowing = tmp_path / "borrowing.py"
        borrowing.write_text(written("bm25").read_text().replace("import re\n", f"import re\nimport {module}\n"))
        proved = small.bench("verify-retriever", borrowing, "--cache", run.home / "cache", "--quiet", "--queries", "1")
        assert proved.exit_code == 2 and "is hidden" in proved.stderr


def test_what_is_there_is_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "retriever.py"
    file.write_text("mine")
    with pytest.raises(RetrieverRefused, match="there already"):
        run.write("bm25", file)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine")
    with pytest.raises(RetrieverRefused, match="which stay"):
        run.write("bm25", file, data=tmp_path / "data", force=True)
    assert file.read_text() == "mine" and (tmp_path / "data" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"status": "started"}, "has not ended"),
        ({"status": "cancelled"}, "was cut off"),
    ],
)
def test_a_result_that_is_not_whole_is_refused(run: Run, tmp_path: Path, changed: dict[str, Any], cause: str) -> None:
    cut = Run(run.folder, run.result.model_copy(update=changed), run.home)
    with pytest.raises(RetrieverRefused, match=cause):
        cut.write("bm25", tmp_path / "retriever.py")


def test_a_system_that_is_not_there_or_failed_is_refused_with_those_that_can_be_had(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RetrieverRefused, match=r"no system nobody\. A retriever can be written for: bm25, exact"):
        run.write("nobody", tmp_path / "retriever.py")
    broken = run.result.model_copy(deep=True)
    broken.systems[0].status, broken.systems[0].error = "error", "no memory"
    with pytest.raises(RetrieverRefused, match=r"bm25 ended as error \(no memory\)"):
        Run(run.folder, broken, run.home).write("bm25", tmp_path / "retriever.py")


@pytest.mark.parametrize("name", ["class", "My Class", "Document", "Pipeline", "", "Büro", "_Hidden"])
def test_a_class_cannot_have_a_name_that_the_file_needs(run: Run, tmp_path: Path, name: str) -> None:
    if name:
        with pytest.raises(RetrieverRefused, match="name"):
            run.write("bm25", tmp_path / "retriever.py", class_name=name)


def test_an_index_that_was_cleaned_is_refused_with_the_command_that_makes_it(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "cache"
    shutil.copytree(run.home / "cache", elsewhere)
    shutil.rmtree(elsewhere / "indexes")
    with pytest.raises(RetrieverRefused, match=r"is not in the cache .* Make it again: bench run"):
        Run(run.folder, run.result, tmp_path).write("bm25", tmp_path / "retriever.py")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_system_verifies_and_its_file_is_typed_formatted_and_without_faults(
    run: Run, written: Callable[[str], Path], types: Path
) -> None:
    files = [written(name) for name in NAMES]
    for file in files:
        proved = small.bench("verify-retriever", file, "--cache", run.home / "cache", "--quiet")
        assert proved.exit_code == 0, proved.stdout + proved.stderr
    folder = files[0].parent
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", *command, *(file.name for file in files)],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert faults_of_types(files, types) == ""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_retriever_needs_nothing_but_what_its_header_names(run: Run, written: Callable[[str], Path]) -> None:
    """In an environment that is made from the header, and made once."""
    for _ in range(2):
        proved = small.bench("verify-retriever", written("rrf"), "--fresh", "--cache", run.home / "cache", "--quiet")
        assert proved.exit_code == 0, proved.stdout + proved.stderr
    assert len(list((run.home / "cache" / "environments").iterdir())) == 1


def test_a_retriever_is_a_user_of_what_it_opens_in_the_cache(run: Run, written: Callable[[str], Path]) -> None:
    """So that `bench clean` of the experiment leaves it."""
    file = written("german")
    known = {user.file: user for user in users(run.home / "cache")[0]}
    assert {entry.partition("/")[0] for entry in known[file.resolve()].used} == {"indexes", "retrievers"}
