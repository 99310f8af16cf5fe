"""Whatever a file holds, its reader gives a value or one of our errors, never another exception and never no end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.base import AdapterError, Context
from adapters.datasets._qrels import read_qrels
from adapters.datasets.beir import read_texts
from adapters.registry import load
from bench.data.dataset import load_dataset
from bench.data.integrity import DatasetFaults
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.experiment.starter import NothingFound, write_experiment
from bench.quality.trec import read_run_file
from bench.results.model import ResultUnreadable, read_result
from tests import small
from tests.mutations import mutated, mutated_value
from tests.thorough import enough

OURS = (AdapterError, ConfigFaults, DatasetFaults, ResultUnreadable, NothingFound)

CORPUS = (
    b'{"_id": "d1", "title": "Tin", "text": "a metal", "year": 1999, "tags": ["a", {"b": null}]}\n'
    b'{"_id": "d2", "text": "a gas \\u00e9", "metadata": {"lang": "en", "ok": true, "price": 2.5}}\n',
)
QUERIES = b'{"_id": "q1", "text": "which metal?"}\n{"_id": "q2", "text": "which gas?", "page": 3}\n'
QRELS = (
    b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\n",
    b"q1 0 d1 1\nq2 0 d2 0\n",
    b'qid,docid,rel\n"q1",d1,1\nq2,d2,1\n',
)
QRELS_ROWS = b'{"query-id": "q1", "corpus-id": "d1", "score": 1}\n{"query-id": "q2", "corpus-id": "d2", "score": 2}\n'
CSV = (b'query,passage,lang\nwhich metal?,"tin, a metal",en\nwhich gas?,"neon\nNe",de\nwhich metal?,iron,en\n',)
TSV = (b'query\tpassage\tlang\nwhich metal?\t"tin\ten\nwhich gas?\tneon\tde\n',)
JSONL = (b'{"query": "a", "passage": "x", "n": 1}\n{"query": "b", "passage": "y", "n": [1.5, {"k": "v"}]}\n',)
QUESTIONS = (
    b"query,document,grade\nwhich metal?,tin.md,2\nwhich gas?,neon.html,\n",
    b"query,answer\nwhat is it?,a met\n",
)
HTML = (b"<html><head><title>Iron &amp; co</title><style>p {}</style></head><body><p>A <b>met</b>al.<br>Fe</body>",)
RUN = (b"q1 Q0 d1 1 2.5 tag\nq1 Q0 d2 2 1.5 tag\nq2 Q0 d2 1 9 tag\n", b"q1\tQ0\td%201\t1\t1e-3\tx\n")


def parquet(table: pa.Table, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


PAIRS = pa.table({"query": ["a", "b"], "passage": ["x", "y"], "n": [1, 2], "day": pa.array([0, 1], pa.date32())})
VECTORS = pa.table({"id": ["d1", "d2"], "text": ["x", None], "vector": [[1.0, 2.0], [3.0, 4.0]], "lang": ["en", "de"]})
PARQUET = (parquet(PAIRS), parquet(PAIRS, compression="none", use_dictionary=False, version="1.0"))
VECTOR_PARQUET = (parquet(VECTORS), parquet(VECTORS, compression="none", use_dictionary=False))
QRELS_TABLE = pa.table({"query-id": ["q1", "q2"], "corpus-id": ["d1", "d2"], "score": [1, 2]})
QRELS_PARQUET = parquet(QRELS_TABLE)
NPY = (npy(np.arange(8, dtype=np.float32).reshape(4, 2)), npy(np.arange(8.0).reshape(4, 2)), npy(np.eye(2, dtype="i2")))
RESULTS = ((Path(__file__).parents[1] / "golden" / "result.json").read_bytes(),)
EXPERIMENTS = (
    yaml.safe_dump(
        small.spec(
            [
                {"name": "bm25", "store": "bm25", "filter": {"lang": "en"}},
                {"encoder": "given", "store": ["flat", "exact"], "filter": {"lang": "en"}},
                {"name": "many", "store": "lexical", "depth": [50, 100]},
                {
                    "name": "both",
                    "fuse": ["bm25", "given+exact"],
                    "by": "weighted",
                    "weights": [0.3, 0.7],
                    "filter": {"lang": "en"},
                },
            ],
            encoders={"given": {"adapter": "precomputed", "similarity": "dot"}},
            stores={
                "bm25": {"adapter": "bm25"},
                "lexical": {"adapter": "bm25", "index": {"k1": [0.9, 1.2]}},
                "flat": {
                    "adapter": "lancedb",
                    "index": {"type": "IVF_PQ", "num_partitions": 2},
                    "query": {"nprobes": 1},
                },
                "exact": {"adapter": "exact"},
            },
            baseline="bm25",
            margin=0.01,
            measures=["nDCG@10", "Recall@5"],
            latency={"samples": 10, "seconds": 5},
        )
    ).encode(),
    b"experiment: tiny\ndataset: {adapter: beir, path: data}\nstores: {b: {adapter: bm25}}\nsystems: [{store: b}]\n",
)


def _load(adapter: str, folder: Path, **options: Any) -> None:
    """All that a run does with a dataset before it starts."""
    kind = load("datasets", adapter)
    with kind(kind.Options(**options), Context(base=folder)) as source:
        source.check()
        dataset = load_dataset(source, name="x", split=None, needs_judgements=False, dangling="keep")
    list(dataset.document_texts)
    list(dataset.query_texts)
    _ = dataset.document_vectors, dataset.query_vectors
    if dataset.qrels is not None:
        dataset.qrels_coded()


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads a file in a folder: the file's name, valid contents, how many broken ones to try, what lies beside."""

    file: str
    valid: Sequence[bytes]
    read: Callable[[Path], object]
    inputs: int
    beside: Mapping[str, bytes] = field(default_factory=dict)

    def prepare(self, folder: Path) -> None:
        for name, content in {**self.beside, self.file: self.valid[0]}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def attempt(self, folder: Path, content: bytes) -> None:
        """Read the content; a value and one of our errors are both fine, another exception is not."""
        (folder / self.file).write_bytes(content)
        with suppress(*OURS):
            self.read(folder)


_BEIR = {"corpus.jsonl": CORPUS[0], "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS[0]}
_ARRAYS = {"queries.npy": NPY[0], "corpus.npy": NPY[0], "queries.parquet": VECTOR_PARQUET[0]}
_TEXTS = {"docs/tin.md": b"a metal", "docs/neon.html": HTML[0], "q.csv": QUESTIONS[0]}


def _collection(folder: Path) -> None:
    _load("beir", folder, path=".")


def _files(folder: Path) -> None:
    _load("files", folder, path="docs", questions="q.csv")


def _pairs(suffix: str) -> Callable[[Path], object]:
    return lambda folder: _load("pairs", folder, path=f"p.{suffix}")


def _vectors(suffix: str) -> Callable[[Path], object]:
    return lambda folder: _load("vectors", folder, corpus=f"c.{suffix}", queries=f"queries.{suffix}")


def _qrels(suffix: str) -> Callable[[Path], object]:
    return lambda folder: read_qrels(folder / f"t.{suffix}")


def _run(folder: Path) -> None:
    run = read_run_file(folder / "run.trec")
    run.hits(["q1", "q2"], [*run.document_ids, "d1"])


def _init(folder: Path) -> None:
    write_experiment(folder, folder / "b.yaml")


# The last number: how many of the hundred thousand, more for what is read faster.
READERS: dict[str, Reader] = {
    "experiment": Reader("bench.yaml", EXPERIMENTS, lambda folder: load_experiment(folder / "bench.yaml"), 3_000),
    "result": Reader("result.json", RESULTS, read_result, 5_000),
    "run": Reader("run.trec", RUN, _run, 20_000),
    "collection": Reader("corpus.jsonl", CORPUS, _collection, 1_000, _BEIR),
    "corpus": Reader("c.jsonl", CORPUS, lambda folder: read_texts(folder / "c.jsonl", titled=True), 10_000),
    "queries": Reader("q.jsonl", (QUERIES,), lambda folder: read_texts(folder / "q.jsonl", titled=False), 5_000),
    "qrels.tsv": Reader("t.tsv", QRELS, _qrels("tsv"), 10_000),
    "qrels.csv": Reader("t.csv", QRELS, _qrels("csv"), 6_000),
    "qrels.jsonl": Reader("t.jsonl", (QRELS_ROWS,), _qrels("jsonl"), 3_000),
    "qrels.parquet": Reader("t.parquet", (QRELS_PARQUET,), _qrels("parquet"), 3_000),
    "pairs.csv": Reader("p.csv", CSV, _pairs("csv"), 4_000),
    "pairs.tsv": Reader("p.tsv", TSV, _pairs("tsv"), 4_000),
    "pairs.jsonl": Reader("p.jsonl", JSONL, _pairs("jsonl"), 5_000),
    "pairs.parquet": Reader("p.parquet", PARQUET, _pairs("parquet"), 6_000),
    "questions": Reader("q.csv", QUESTIONS, _files, 1_500, _TEXTS),
    "page": Reader("docs/neon.html", HTML, _files, 1_500, _TEXTS),
    "vectors.npy": Reader("c.npy", NPY, _vectors("npy"), 5_000, _ARRAYS),
    "vectors.parquet": Reader("c.parquet", VECTOR_PARQUET, _vectors("parquet"), 4_000, _ARRAYS),
    "init, table": Reader("t.csv", CSV, _init, 2_000),
    "init, vectors": Reader("corpus.npy", NPY, _init, 1_000, {"queries.npy": NPY[0]}),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_valid_is_read(tmp_path: Path, name: str) -> None:
    reader = READERS[name]
    reader.prepare(tmp_path)
    for content in reader.valid:
        (tmp_path / reader.file).write_bytes(content)
        reader.read(tmp_path)


def _broken(name: str, folder: Path, inputs: int, seed: int) -> None:
    reader, rng = READERS[name], np.random.default_rng([seed, *name.encode()])
    reader.prepare(folder)
    for number in range(inputs):
        content = mutated(rng, reader.valid)
        try:
            reader.attempt(folder, content)
        except Exception as error:
            error.add_note(f"{name}, seed {seed}, input {number}: {content[:2000]!r}")
            raise


@pytest.mark.parametrize("name", READERS)
def test_a_broken_file_gives_a_value_or_one_of_our_errors(tmp_path: Path, name: str) -> None:
    _broken(name, tmp_path, 60, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_hundred_thousand_broken_files_give_values_or_our_errors(tmp_path: Path, name: str) -> None:
    """The first fifth of them in every run."""
    _broken(name, tmp_path, READERS[name].inputs // enough(5, 1), seed=1)


def test_the_broken_files_are_a_hundred_thousand() -> None:
    assert sum(reader.inputs for reader in READERS.values()) == 100_000


@pytest.mark.parametrize("seed", range(4))
def test_odd_values_in_an_experiment_or_a_result_give_a_value_or_one_of_our_errors(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trees = [(READERS["experiment"], yaml.safe_load(content)) for content in EXPERIMENTS]
    trees += [(READERS["result"], json.loads(RESULTS[0]))]
    for reader, tree in trees:
        for _ in range(40):
            odd = mutated_value(rng, tree)
            with suppress(ValueError):  # integers beyond what Python writes
                reader.attempt(tmp_path, json.dumps(odd).encode())


_LEAVES = (
    pa.bool_(), pa.int8(), pa.uint64(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.string(),
    pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary(3), pa.date32(), pa.date64(),
    pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "Europe/Berlin"),
    pa.time32("s"), pa.time64("ns"), pa.duration("us"), pa.decimal128(20, 3), pa.decimal256(60, 0), pa.null(),
)  # fmt: skip


def _kind(rng: np.random.Generator, depth: int = 0) -> pa.DataType:
    leaf = _LEAVES[int(rng.integers(len(_LEAVES)))]
    shape = int(rng.integers(8)) if depth < 3 else 0
    if shape == 1:
        return pa.list_(_kind(rng, depth + 1))
    if shape == 2:
        return pa.list_(_kind(rng, depth + 1), 2)
    if shape == 3:
        return pa.struct({"a": _kind(rng, depth + 1), "b\u00e9": _kind(rng, depth + 1)})
    if shape == 4:
        return pa.map_(pa.string(), _kind(rng, depth + 1))
    if shape == 5:
        return pa.large_list(_kind(rng, depth + 1))
    return pa.dictionary(pa.int32(), pa.string()) if shape == 6 else leaf


def _column(rng: np.random.Generator, kind: pa.DataType, rows: int) -> pa.Array:
    """Random bits read as the type: extreme numbers, dates of no calendar, with gaps."""
    gaps = pa.array(rng.random(rows) < 0.2)
    if pa.types.is_map(kind):
        items = _column(rng, kind.item_type, rows)
        return pa.MapArray.from_arrays(np.arange(rows + 1, dtype=np.int32), pa.array(["k"] * rows), items)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(_column(rng, kind.value_type, 2 * rows), 2)
    if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        large = pa.types.is_large_list(kind)
        ends = np.arange(rows + 1, dtype=np.int64 if large else np.int32)
        return (pa.LargeListArray if large else pa.ListArray).from_arrays(ends, _column(rng, kind.value_type, rows))
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays([_column(rng, part.type, rows) for part in kind], fields=list(kind))
    if pa.types.is_null(kind):
        return pa.nulls(rows)
    if pa.types.is_dictionary(kind):
        return pa.array(["x"] * rows).dictionary_encode()
    if pa.types.is_boolean(kind):
        return pa.array(rng.random(rows) < 0.5, mask=gaps.to_numpy(zero_copy_only=False))
    if pa.types.is_primitive(kind) and not pa.types.is_decimal(kind):
        width = kind.bit_width // 8
        bits = rng.integers(0, 256, rows * width, dtype=np.uint8)
        if rng.random() < 0.5:
            bits.reshape(rows, width)[:, 2:] = 0  # numbers that mean something
        values = pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(bits.tobytes())])
        return pc.if_else(gaps, pa.scalar(None, kind), values)
    if pa.types.is_decimal(kind):
        return pa.array([None, *(Decimal(int(v)) for v in rng.integers(-(10**15), 10**15, rows - 1))], kind)
    texts = [None, "", "a\0b", "😀", "x" * 300, "1", "abc"]
    chosen = [texts[i] for i in rng.integers(len(texts), size=rows)]
    if pa.types.is_fixed_size_binary(kind):
        return pa.array([b"\xff\x00\x01"] * rows, kind)
    raw = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return pa.array([None if t is None else t.encode() + b"\xff" for t in chosen] if raw else chosen, kind)


@pytest.mark.parametrize("seed", range(3))
def test_parquet_columns_of_any_type_give_a_value_or_one_of_our_errors(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for reader, usual in (("pairs.parquet", PAIRS), ("vectors.parquet", VECTORS), ("qrels.parquet", QRELS_TABLE)):
        READERS[reader].prepare(tmp_path)
        for _ in range(60):
            table = usual.append_column("further", _column(rng, _kind(rng), usual.num_rows))
            if rng.random() < 0.4:
                at = int(rng.integers(usual.num_columns))
                name = usual.column_names[at]
                table = table.set_column(at, name, _column(rng, _kind(rng), usual.num_rows))
            try:
                content = parquet(table)
            except (pa.ArrowException, ValueError):
                continue  # a type that Parquet does not have
            try:
                READERS[reader].attempt(tmp_path, content)
            except Exception as error:
                error.add_note(f"{reader}, seed {seed}: {table.schema}")
                raise


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("systems: [{name: a, store: b}, {fuse: [null, a]}]", "systems[1].fuse must be a list of names of systems."),
        ("systems: [{encoder: [[1, 2]]}]", "systems[0].encoder must be the name of an encoder."),
        ("list: 1", "list is unknown."),
        ("systems: [{store: b, dict: 1}]", "systems[0].dict is unknown."),
    ],
)
def test_names_that_are_no_names_are_faults(tmp_path: Path, line: str, fault: str) -> None:
    lines = ["experiment: e", "dataset: {adapter: beir, path: .}", "stores: {b: {adapter: bm25}}", line]
    lines += [] if "systems" in line else ["systems: [{store: b}]"]
    (tmp_path / "e.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(tmp_path / "e.yaml")
    assert any(fault in named for named in raised.value.faults), raised.value.faults
