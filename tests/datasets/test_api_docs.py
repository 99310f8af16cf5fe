"""A corpus from the docstrings of installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.base import Context, MissingDependency, Tables
from adapters.datasets.api_docs import ApiDocs, documented, normalised, split_of
from bench.data.dataset import load_dataset
from tests.conftest import REPOSITORY

REST = "\n\n" + "It does so without looking at anything else, for as long as there is something left to do. " * 3


@pytest.fixture(scope="module")
def numpy_docs() -> Tables:
    return ApiDocs(ApiDocs.Options(packages=("numpy",)), Context()).load()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with one of each thing that the walk has to decide about."""
    name = f"demo_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    info = tmp_path / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n{name}-1.5.dist-info/RECORD,,\n")
    (tmp_path / name / "__init__.py").write_text(
        f"REST = {REST!r}\n"
        "import warnings\n"
        "def first(): ...\n"
        "first.__doc__ = 'Adds one thing\\n   to another.  More of the lead.' + REST\n"
        "def twin(): ...\n"
        "twin.__doc__ = 'Does a different thing.' + REST\n"
        "def other_twin(): ...\n"
        "other_twin.__doc__ = 'Does  a Different thing.' + REST\n"
        "def namesake(): ...\n"
        "namesake.__doc__ = 'Does a different thing.' + REST.upper()\n"
        "def bare(): 'Has no body at all.'\n"
        "def _private(): ...\n"
        "_private.__doc__ = first.__doc__\n"
        "def signed(): ...\n"
        "signed.__doc__ = 'signed(a, b=(1, 2)) -> int\\n\\nCarries its own signature.' + REST\n"
        "class Kind:\n"
        "    @property\n"
        "    def trap(self): raise SystemExit('evaluated')\n"
        "    trap.__doc__ = 'Must never be evaluated here.' + REST\n"
        "    @classmethod\n"
        "    def make(cls): raise SystemExit('called')\n"
        "    make.__func__.__doc__ = 'Makes one of its kind.' + REST.lower()\n"
    )
    (tmp_path / name / "sub.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\n"
        "from . import REST\ndef inner(): ...\ninner.__doc__ = 'Stands in a submodule.' + REST\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_what_is_public_and_documented_is_an_entry(package: str) -> None:
    entries = {entry.name.removeprefix(f"{package}."): entry for entry in documented(package)}
    assert {name: entry.summary for name, entry in entries.items()} == {
        "Kind.make": "Makes one of its kind.",
        "Kind.trap": "Must never be evaluated here.",
        "first": "Adds one thing to another.",
        "namesake": "Does a different thing.",
        "other_twin": "Does a Different thing.",
        "signed": "Carries its own signature.",
        "sub.inner": "Stands in a submodule.",
        "twin": "Does a different thing.",
    }
    assert list(entries) == sorted(entries)
    assert entries["first"].body == "More of the lead." + REST.rstrip()
    assert entries["signed"].body.startswith("signed(a, b=(1, 2)) -> int\n\n")


def test_identical_bodies_are_one_document_and_every_document_of_a_summary_is_relevant(package: str) -> None:
    tables = [ApiDocs(ApiDocs.Options(packages=(package,), split=s), Context()).load() for s in ("train", "test")]
    # Bodies of their own: make, first, namesake, signed; one in common: trap, twin, other_twin, sub.inner.
    assert tables[0].corpus.equals(tables[1].corpus)
    names = [name.removeprefix(f"{package}.") for name in tables[0].corpus.column("id").to_pylist()]
    assert names == ["Kind.make", "Kind.trap", "first", "namesake", "signed"]
    relevant: dict[str, set[str]] = {}
    for side in tables:
        assert side.qrels is not None
        texts = dict(zip(*(side.queries.column(c).to_pylist() for c in ("id", "text")), strict=True))
        for row in side.qrels.to_pylist():
            relevant.setdefault(texts[row["query_id"]], set()).add(row["document_id"].removeprefix(f"{package}."))
    # The wording that is shown is that of the first name: other_twin comes before twin, namesake before both.
    assert relevant.pop("Does a different thing.") == {"namesake", "Kind.trap"}
    assert relevant == {
        "Makes one of its kind.": {"Kind.make"},
        "Must never be evaluated here.": {"Kind.trap"},
        "Adds one thing to another.": {"first"},
        "Carries its own signature.": {"signed"},
        "Stands in a submodule.": {"Kind.trap"},
    }
    assert tables[0].provenance == {"packages": {package: "1.5"}}


def test_the_files_of_a_package_decide_its_documentation(package: str, tmp_path: Path) -> None:
    source = ApiDocs(ApiDocs.Options(packages=(package,)), Context())
    assert source.sources() == (tmp_path / f"{package}-1.5.dist-info" / "RECORD",)


def test_no_document_holds_its_query(numpy_docs: Tables) -> None:
    bodies = dict(zip(*(numpy_docs.corpus.column(c).to_pylist() for c in ("id", "text")), strict=True))
    texts = dict(zip(*(numpy_docs.queries.column(c).to_pylist() for c in ("id", "text")), strict=True))
    assert numpy_docs.qrels is not None
    leaks = [
        row
        for row in numpy_docs.qrels.to_pylist()
        if " ".join(texts[row["query_id"]].split()) in " ".join(bodies[row["document_id"]].split())
    ]
    assert leaks == []
    assert len(bodies) > 500
    assert len(texts) > 200


def test_no_summary_stands_in_both_splits(numpy_docs: Tables) -> None:
    train = ApiDocs(ApiDocs.Options(packages=("numpy",), split="train"), Context()).load()
    sides = [{normalised(text) for text in side.queries.column("text").to_pylist()} for side in (train, numpy_docs)]
    assert not sides[0] & sides[1]
    assert all(split_of(query) == "train" for query in sides[0])
    # Neither side is much larger: a fair coin over some 800 summaries stays within 8 points of a half.
    assert abs(len(sides[0]) / len(sides[0] | sides[1]) - 0.5) < 0.08


def test_a_limit_chooses_queries_and_keeps_the_corpus(numpy_docs: Tables) -> None:
    few = ApiDocs(ApiDocs.Options(packages=("numpy",), limit=20), Context()).load()
    assert few.corpus.equals(numpy_docs.corpus)
    assert few.queries.equals(numpy_docs.queries.slice(0, 20))
    dataset = load_dataset(
        ApiDocs(ApiDocs.Options(packages=("numpy",), limit=20)), name="docs", split="test", needs_judgements=True
    )
    assert (dataset.judged, dataset.queries_in_file, dataset.warnings) == (20, 20, ())


def test_the_walk_finds_the_same_every_time() -> None:
    assert list(documented("numpy")) == list(documented("numpy"))


def test_a_package_that_rewrites_a_docstring_of_another_does_so_before_any_is_read() -> None:
    """In a process of its own, where no test has imported scipy before."""
    code = (
        "from adapters.datasets.api_docs import ApiDocs\n"
        "source = ApiDocs(ApiDocs.Options(packages=['numpy', 'scipy']))\n"
        "first, again = source.load(), source.load()\n"
        "assert first.corpus.equals(again.corpus)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=REPOSITORY)


def test_a_package_that_is_not_installed_is_named() -> None:
    source = ApiDocs(ApiDocs.Options(packages=("numpy", "no_such_package")), Context())
    with pytest.raises(MissingDependency, match="needs the module no_such_package, which is not installed"):
        source.check()
    assert "no_such_package" not in sys.modules


def test_both_halves_are_splits_and_a_limit_is_about_the_one_that_was_asked_for() -> None:
    source = ApiDocs(ApiDocs.Options(packages=("numpy",), limit=20), Context())
    assert source.splits() == ("train", "test")
    train = source.of_split("train")
    assert (train.judged_split, train.options.limit) == ("train", None)


@pytest.mark.slow
def test_every_process_reads_the_same_texts() -> None:
    """scipy writes parts of its documentation when it is imported, with sets in any order and numbers at random."""
    program = (
        "from adapters.base import Context; from adapters.datasets.api_docs import ApiDocs; import hashlib\n"
        "tables = ApiDocs(ApiDocs.Options(packages=('scipy', 'pandas')), Context()).load()\n"
        "print(hashlib.sha256(repr(tables.corpus.to_pylist()).encode()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
