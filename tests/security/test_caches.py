"""Laws: a cache is told from other folders by its mark, and only what this program named is deleted or dropped."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import IndexRef, InvalidOptions, Similarity, Store, index_name, is_index_name
from adapters.stores.lancedb import LanceDbStore
from bench.cache.artifacts import Cache
from bench.cache.digests import text_digests
from bench.cache.mark import MARK, is_marked, mark
from tests import small

KEY, OTHER = "a1" * 16, "b2" * 16
LEXICAL = [{"name": "bm25", "store": "bm25"}]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def record(name: str, *, adapter: str = "lancedb", **connection: Any) -> dict[str, Any]:
    ref = {"name": name, "folder": "/elsewhere", "rows": 5, "dimension": 4, "similarity": "cosine"}
    return {"adapter": adapter, "index": {}, "connection": connection, "ref": ref}


def handed_over(folder: Path, key: str, kept: dict[str, Any]) -> Path:
    """A marked cache that holds one record."""
    at = folder / "indexes" / key
    (at / "data").mkdir(parents=True)
    (at / "ref.json").write_text(json.dumps(kept), encoding="utf-8")
    mark(folder)
    return folder


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder with an experiment that was run; its cache is `cache`."""
    small.collection(tmp_path / "data")
    small.measure(tmp_path, small.spec(LEXICAL))
    return tmp_path


# -- the mark --------------------------------------------------------------------------------------------------------


def test_a_cache_is_marked_when_it_is_made_by_a_dry_run_too(finished: Path) -> None:
    assert is_marked(finished / "cache")
    signature = (finished / "cache" / MARK).read_text().splitlines()[0]
    assert signature == "Signature: 8a477f597d28d172789f06886806bc55"  # of the convention, bford.info/cachedir
    assert small.bench("run", finished, "--dry-run", "--cache", finished / "planned").exit_code == 0
    assert is_marked(finished / "planned")


@pytest.mark.parametrize(
    "tag",
    [None, "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n"],
)
def test_nothing_is_deleted_in_a_folder_without_the_mark(tmp_path: Path, tag: str | None) -> None:
    for name in ("datasets/mine", "indexes/mine", f"vectors/{KEY}", f"indexes/{KEY}"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "work").write_text("mine")
    if tag is not None:
        (tmp_path / MARK).write_text(tag)
    before = tree(tmp_path)
    for scope in ("--index", "--all"):
        outcome = small.bench("clean", "--cache", tmp_path, scope, "--yes")
        assert outcome.exit_code == 2
        assert len(outcome.stderr.splitlines()) == 1 and "does not bear the mark" in outcome.stderr
    assert tree(tmp_path) == before


def test_a_cache_of_before_the_mark_is_marked_at_the_next_run(finished: Path) -> None:
    cache = finished / "cache"
    (cache / MARK).unlink()
    (cache / ".scratch-0123456789abcdef").mkdir()
    assert small.bench("clean", "--cache", cache, "--all", "--yes").exit_code == 2
    _, again = small.measure(finished, small.spec(LEXICAL))
    assert again.work.indexes_built.reused == 1
    assert is_marked(cache)
    assert small.bench("clean", "--cache", cache, "--all", "--yes").exit_code == 0
    assert tree(cache) == {MARK, ".lock", ".locks", "indexes"}


def test_a_cache_whose_mark_was_damaged_is_marked_again(finished: Path) -> None:
    (finished / "cache" / MARK).write_bytes(b"Signature: \0")
    small.measure(finished, small.spec(LEXICAL))
    assert is_marked(finished / "cache")


PROJECTS = {
    "another program's cache": [MARK],
    "a project": ["README.md", "datasets/mine.csv", "indexes/terms.md"],
    "folders of the same names": ["datasets/mine.csv", "indexes/terms.md"],
    "empty folders under our keys": [f"datasets/{KEY}/x", f"vectors/{KEY}/y"],
    "one file beside what is ours": [f"vectors/{KEY}/{KEY}.npz", "thesis.tex"],
    "one file among what is ours": [f"vectors/{KEY}/{KEY}.npz", "vectors/thesis.tex"],
}


@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS)
def test_a_folder_that_holds_other_things_is_no_cache_of_before(tmp_path: Path, files: list[str]) -> None:
    small.collection(tmp_path / "data")
    folder = tmp_path / "project"
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RBA1" if path.suffix == ".npz" else b"mine")
    told: list[Any] = []
    small.write(tmp_path, small.spec(LEXICAL))
    outcome = small.bench("run", tmp_path, "--cache", folder, "--output", tmp_path / "results")
    told.append(outcome.stderr)
    assert outcome.exit_code == 0 and "`bench clean` will delete nothing in it" in outcome.stderr
    assert not is_marked(folder)
    before = tree(folder)
    assert small.bench("clean", "--cache", folder, "--all", "--yes").exit_code == 2
    assert tree(folder) == before


# -- what is deleted -------------------------------------------------------------------------------------------------


def test_in_a_cache_only_names_of_this_program_are_deleted(finished: Path) -> None:
    cache = finished / "cache"
    mine = ["datasets/mine.csv", "indexes/notes/a.md", "vectors/README.md", "thesis.tex", ".scratch pad/a", "papers/x"]
    for name in mine:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("mine")
    outcome = small.bench("clean", "--cache", cache, "--all", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    assert "with 1 entry of other names than this program gives" in outcome.stderr
    assert {name for name in mine if (cache / name).is_file()} == set(mine)
    assert not list(cache.glob("candidates/*")) and not list((cache / "indexes").glob("[0-9a-f]*"))


@pytest.mark.parametrize("part", ["vectors", "datasets", "indexes", "candidates"])
def test_what_a_link_in_a_cache_leads_to_is_not_deleted(finished: Path, part: str) -> None:
    cache, victim = finished / "cache", finished / "victim"
    for name in (KEY, f"{KEY}/data"):
        (victim / name).mkdir(parents=True)
        (victim / name / "work").write_text("mine")
    before = tree(victim)
    (cache / part).mkdir(exist_ok=True)
    (cache / part / OTHER).symlink_to(victim)
    assert "is a symbolic link" in small.bench("clean", "--cache", cache, "--all", "--yes").stderr
    shutil.rmtree(cache / part)
    (cache / part).symlink_to(victim)
    assert "is a symbolic link" in small.bench("clean", "--cache", cache, "--all", "--yes").stderr
    assert "is a symbolic link" in small.bench("run", finished, "--cache", cache).stderr
    assert tree(victim) == before


# -- what is dropped -------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A folder of LanceDB tables, one of them the user's own, one of this program."""
    import lancedb

    opened = lancedb.connect(str(tmp_path / "db"))
    for name in ("customers", index_name(KEY)):
        opened.create_table(name, pa.table({"row": pa.array([0], pa.int32())}))
    return tmp_path / "db"


def tables(database: Path) -> set[str]:
    return {path.name.removesuffix(".lance") for path in database.glob("*.lance")}


@pytest.mark.parametrize("name", ["customers", "bench_", f"bench_{KEY}x", "bench_customers", f"../bench_{KEY}", ""])
def test_a_record_that_names_a_table_of_the_users_drops_nothing_and_says_so(
    tmp_path: Path, database: Path, name: str
) -> None:
    cache = handed_over(tmp_path / "cache", OTHER, record(name, uri=str(database)))
    outcome = small.bench("clean", "--cache", cache, "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    assert "which is no index of this program" in outcome.stderr
    assert tables(database) == {"customers", index_name(KEY)}


def test_the_question_shows_engine_address_and_name_and_without_a_terminal_yes_is_needed(
    tmp_path: Path, database: Path
) -> None:
    cache = handed_over(tmp_path / "cache", KEY, record(index_name(KEY), uri=str(database)))
    asked = small.bench("clean", "--cache", cache)
    assert asked.exit_code == 2 and "--yes" in asked.stderr
    assert f"index lancedb at {database}, 5 rows ({index_name(KEY)})" in asked.stderr
    assert tables(database) == {"customers", index_name(KEY)}
    assert small.bench("clean", "--cache", cache, "--yes").exit_code == 0
    assert tables(database) == {"customers"}


@pytest.mark.parametrize("name", ["customers", "bench_customers", f"Bench_{KEY}"])
def test_a_store_drops_no_table_of_the_users(database: Path, name: str) -> None:
    store: Store = LanceDbStore(LanceDbStore.Index(), LanceDbStore.Connection(uri=str(database)))
    with pytest.raises(InvalidOptions, match="is no index of this program"):
        store.drop(IndexRef(name, str(database), 1, 4, Similarity.COSINE))
    assert tables(database) == {"customers", index_name(KEY)}


def test_names_of_indexes_are_those_that_are_given() -> None:
    assert is_index_name(index_name(KEY)) and is_index_name(index_name(KEY, "ingest"))
    assert not any(map(is_index_name, ["", "bench_", f"bench_{KEY[:-1]}", f"bench_{KEY}\n", f"bench_A_{KEY}"]))


def test_a_key_that_a_record_would_send_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an experiment file: the record names an address and a variable, and the folder may be a stranger's."""
    monkeypatch.setenv("MY_KEY", "a-secret-of-mine")
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    where = {"host": "127.0.0.1", "port": 9, "api_key_env": "MY_KEY"}
    cache = handed_over(tmp_path / "cache", KEY, record(index_name(KEY), adapter="weaviate", **where))
    outcome = small.bench("clean", "--cache", cache, "--yes")
    assert outcome.exit_code == 2
    assert "MY_KEY goes to 127.0.0.1:9" in outcome.stderr and "Nothing was sent" in outcome.stderr
    trusted = small.bench("clean", "--cache", cache, "--yes", "--trust")
    assert trusted.exit_code == 1 and "kept index weaviate" in trusted.stderr  # nobody listens there


# -- what is believed ------------------------------------------------------------------------------------------------


HOSTILE: dict[str, Any] = {
    "folder elsewhere": {"ref": {"folder": "/etc"}},
    "another index": {"ref": {"name": index_name(OTHER)}},
    "rows no number": {"ref": {"rows": "many"}},
    "rows beyond all": {"ref": {"rows": 10**30}},
    "rows negative": {"ref": {"rows": -1}},
    "a name that is a list": {"ref": {"name": ["a"]}},
    "details a text": {"ref": {"details": "x"}},
    "withheld texts": {"ref": {"withheld": ["../x"]}},
    "unknown metric": {"ref": {"similarity": "nearness"}},
    "a key too many": {"ref": {"command": "rm"}},
    "connection a text": {"connection": "x"},
    "files a list": {"files": ["x"]},
    "seconds a text": {"build_seconds": "x"},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_record_of_any_shape_is_built_again_or_used_in_its_own_folder(finished: Path, change: dict[str, Any]) -> None:
    cache = finished / "cache"
    (path,) = (cache / "indexes").glob("*/ref.json")
    kept = json.loads(path.read_text())
    for name, value in change.items():
        kept[name] = {**kept[name], **value} if isinstance(value, dict) else value
    Cache(cache).keep_index(path.parent.name, kept)  # sealed as one of ours: whoever hands it over can do that too
    _, again = small.measure(finished, small.spec(LEXICAL))
    assert again.status == "success", again.systems[0].error
    believed = "folder" in change.get("ref", ())
    assert again.work.indexes_built.reused == int(believed)
    assert believed or any("built again" in text for text in again.warnings)
    Cache(cache).keep_index(path.parent.name, kept)
    assert small.bench("clean", "--cache", cache, "--yes").exit_code == 0


def test_a_moved_cache_is_used_where_it_is_now(finished: Path) -> None:
    (finished / "cache").rename(finished / "moved")
    (finished / "cache").mkdir()  # were the old folder still looked at, nothing would be found
    small.write(finished, small.spec(LEXICAL))
    outcome = small.bench("run", finished, "--cache", finished / "moved", "--json")
    assert outcome.exit_code == 0
    result = json.loads((Path(json.loads(outcome.stdout)["result"]) / "result.json").read_text())
    assert result["work"]["indexes_built"] == {"computed": 0, "reused": 1}
    assert not any(os.scandir(finished / "cache"))


@pytest.mark.parametrize("how", ["link", "pipe", "folder"])
def test_a_file_of_a_cache_that_is_none_is_made_again_or_one_sentence(tmp_path: Path, how: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    Cache(tmp_path / "cache").write("candidates", KEY, {"rows": np.arange(3)})
    path = tmp_path / "cache" / "candidates" / f"{KEY}.npz"
    path.unlink()
    {"link": lambda: path.symlink_to(victim), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[how]()
    if how == "link":
        assert Cache(tmp_path / "cache").read("candidates", KEY) is None
    else:
        with pytest.raises(OSError, match=path.name):
            Cache(tmp_path / "cache").read("candidates", KEY)
    assert victim.read_text() == "mine"


# -- what is whole and was written to mislead -----------------------------------------------------------------------


def sealed_payload(path: Path, arrays: dict[str, Any]) -> None:
    """A file of arrays whose digest is right, whatever is in it: whoever hands a cache over can compute it."""
    place = path.parent.parent if path.parent.name != "candidates" else path.parent
    key = path.relative_to(place).with_suffix("").as_posix()
    Cache(place.parent).write(place.name, key, arrays)


SHAPES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "other names": {"x": np.arange(3)},
    "rows of another number": {"rows": np.zeros((3, 10), np.int32), "scores": np.zeros((3, 10), np.float32)},
    "rows beyond the corpus": {"rows": np.full((12, 10), 10**6, np.int32), "scores": np.zeros((12, 10), np.float32)},
    "rows before the corpus": {"rows": np.full((12, 10), -9, np.int32), "scores": np.zeros((12, 10), np.float32)},
    "rows that are texts": {"rows": np.full((12, 10), "x"), "scores": np.zeros((12, 10), np.float32)},
    "scores of another shape": {"rows": np.zeros((12, 10), np.int32), "scores": np.zeros((12, 9), np.float32)},
    "numbers without axes": {"rows": np.array(1), "scores": np.array(1.0)},
    "digests of another type": {"digest": np.arange(4), "scores": np.zeros(4)},
    "digests of another number": {"digest": np.array([b"a" * 16] * 4), "scores": np.zeros(3)},
    "queries of another number": {"queries": np.zeros(3, np.bool_), "advice": np.zeros(2, np.uint8)},
    "advice that is no text": {"queries": np.zeros(12, np.bool_), "advice": np.full(4, 255, np.uint8)},
}


@pytest.mark.parametrize("arrays", SHAPES.values(), ids=SHAPES)
def test_kept_arrays_of_any_shape_are_computed_again(finished: Path, arrays: dict[str, Any]) -> None:
    wanted = small.measure(finished, small.spec(LEXICAL))[1]
    for path in (finished / "cache" / "candidates").rglob("*.npz"):
        sealed_payload(path, arrays)
    _, again = small.measure(finished, small.spec(LEXICAL))
    assert again.status == "success", again.systems[0].error
    assert small.means(again) == small.means(wanted)


def payload(*arrays: bytes) -> bytes:
    body = b"".join(arrays)
    return b"RBA1" + hashlib.blake2b(body, digest_size=16).digest() + body


def npy(header: str) -> bytes:
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def packed() -> bytes:
    """A zip archive whose one member is 64 MB of zeros in 64 KB."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        header = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (67108864,), }")
        archive.writestr("rows.npy", header + bytes(1 << 26))
    return buffer.getvalue()


BODIES = {
    "nothing": b"",
    "no array": b"text",
    "a count beyond memory": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"),
    "a count beyond numbers": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10**40,), }"),
    "a pickle": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + b"cos\nsystem\n",
    "nested without end": npy("(" * 100),
    "names that are numbers": npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }") + bytes(8),
    "half an archive": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_whole_file_that_holds_no_arrays_is_no_answer(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "candidates" / f"{KEY}.npz"
    path.parent.mkdir()
    path.write_bytes(payload(body))
    assert Cache(tmp_path).read("candidates", KEY) is None


def test_an_archive_that_grows_when_it_is_read_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "candidates" / f"{KEY}.npz"
    path.parent.mkdir()
    path.write_bytes(payload(packed()))
    assert path.stat().st_size < 1 << 18
    assert Cache(tmp_path).read("candidates", KEY) is None


MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda manifest: [1],
    "files elsewhere": lambda manifest: {**manifest, "checksums": {"../../../secret": "0"}},
    "checksums a text": lambda manifest: {**manifest, "checksums": "x"},
    "notes a number": lambda manifest: {**manifest, "notes": 5},
    "nothing": lambda manifest: {},
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_kept_tables_whose_manifest_is_of_any_shape_are_read_again(
    finished: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    (path,) = (finished / "cache" / "datasets").glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["digest"]  # as an earlier version left it; whoever hands a cache over could as well write it anew
    path.write_text(json.dumps(change(manifest)))
    _, again = small.measure(finished, small.spec(LEXICAL))
    assert again.status == "success"
    assert json.loads(path.read_text())["checksums"].keys() == {"corpus", "queries", "qrels"}


@pytest.mark.parametrize("table", [pa.table({"x": [1]}), pa.table({"id": [1], "title": ["a"], "text": ["b"]})])
def test_kept_tables_of_other_columns_are_read_again(finished: Path, table: pa.Table) -> None:
    (path,) = (finished / "cache" / "datasets").glob("*/manifest.json")
    with pa.OSFile(str(path.with_name("corpus.arrow")), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    digest = hashlib.blake2b(path.with_name("corpus.arrow").read_bytes(), digest_size=16).hexdigest()
    path.write_text(json.dumps({**manifest, "checksums": {**manifest["checksums"], "corpus": digest}}))
    _, again = small.measure(finished, small.spec(LEXICAL))
    assert again.status == "success" and again.dataset.documents == 60


# -- modes -----------------------------------------------------------------------------------------------------------


STORES = {
    "bm25": {"adapter": "bm25"},
    "exact": {"adapter": "exact"},
    "lance": {"adapter": "lancedb", "index": {"type": "IVF_FLAT", "num_partitions": 2}},
    "faiss": {"adapter": "faiss", "index": {"type": "HNSW"}},
}


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_every_file_and_folder_of_cache_and_results_has_the_mode_that_the_umask_gives(
    tmp_path: Path, mask: int
) -> None:
    small.vectors(tmp_path / "data", documents=300, queries=10)
    spec = {
        "experiment": "small",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {name: store for name, store in STORES.items() if name != "bm25"},
        "systems": [{"name": name, "encoder": "given", "store": name} for name in STORES if name != "bm25"],
        "measures": ["ANN@10"],
        "latency": [{"samples": 20, "turn_seconds": 0.001}],
    }
    before = os.umask(mask)
    try:
        folder, result = small.measure(tmp_path, spec)
    finally:
        os.umask(before)
    assert result.status == "success", [system.error for system in result.systems]
    for place in (tmp_path / "cache", tmp_path / "results"):
        for path in (place, *place.rglob("*")):
            full = 0o777 if path.is_dir() else 0o666
            assert oct(path.stat().st_mode & 0o777) == oct(full & ~mask), path
    assert folder.is_dir()


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"vectors": np.zeros(2, np.float32)},
        {"vectors": np.zeros((3, 4), np.float32)},
        {"vectors": np.full((2, 4), "x")},
        {"vectors": np.zeros((2, 4), np.float32), "truncated": np.zeros(3, np.bool_)},
        {"digest": np.arange(2), "vectors": np.zeros((2, 4), np.float32)},
    ],
)
def test_a_segment_of_another_shape_holds_nothing(tmp_path: Path, columns: dict[str, Any]) -> None:
    digests = text_digests(["a", "b"])
    Cache(tmp_path).write("vectors", f"{KEY}/{OTHER}", {"digest": digests, **columns})
    assert Cache(tmp_path).segments("vectors", KEY).missing(digests).all()
