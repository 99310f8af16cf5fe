"""Looks at a folder of data, or a table of questions, and writes a commented experiment for it that runs as it is."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters import at_hand, printable
from adapters.base import AdapterError, DatasetInvalid, numbered_lines, open_matrix, open_text
from adapters.base.sheets import TABLES
from bench.cache.artifacts import check_writable, write_atomically
from bench.experiment.found_table import Ask, Choice, FoundTable, is_table, seen, table_at, tables_in, tables_of
from bench.experiment.joined_tables import or_joined
from bench.experiment.languages import lexical_language
from bench.experiment.proposal import AtHand, Subject, experiment_text, priced, quoted
from bench.experiment.to_fill import to_fill
from bench.messages.wording import counted, listed, pasted
from bench.money.cost import load_prices

_TEXT_SUFFIXES = {".md", ".txt", ".html", ".htm"}
_TABLE_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
_JUDGEMENT_SUFFIXES = {".tsv", ".csv", ".txt", ".qrels", ".trec", ".qrel", ".jsonl", ".ndjson", ".parquet"}
_LOOKED_AT = 200  # texts from which the language is told
_READ_OF_A_FILE = 4_000  # characters


class NothingFound(Exception):
    """The folder holds nothing that an experiment can be made of; says what it looked for."""


class Unfinished(NothingFound):
    """The file is written, with places that a user must fill; says what was seen and which."""


@dataclass(frozen=True, slots=True)
class _Data:
    """What was found. dataset: lines of YAML below `dataset:`; documents: a rough count; told: how it was understood, a
    sentence each; table: whether it is one table; sample: some texts; questions: whether there are any; places: keys
    that a user must fill."""

    what: str
    dataset: tuple[str, ...]
    documents: int
    labelled: bool = True
    texts: bool = True
    told: tuple[str, ...] = ()
    table: bool = False
    sample: tuple[str, ...] = ()
    questions: bool = True
    places: tuple[str, ...] = ()


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
    data = data or _undecided(place, where) or (_documents_alone(place, where) if place.is_dir() else None)
    if data is None:
        raise NothingFound(_nothing(place))
    language = lexical_language(data.sample)
    hand = _at_hand(data, language.english)
    if not data.questions and not hand.writers:
        data, hand = _without_writer(place, data), replace(hand, writers=[_UNKNOWN_WRITER])
    name = re.sub(r"[^a-z0-9_-]+", "-", _stem(place).lower()).strip("-") or "experiment"
    check_writable(target)
    subject = Subject(
        name, data.what, data.dataset, data.documents, language,
        labelled=data.labelled, texts=data.texts, questions=data.questions,
        runs=not data.places,
    )  # fmt: skip
    write_atomically(target, experiment_text(subject, hand).encode("utf-8"))
    if data.places:
        raise Unfinished(
            f"{' '.join(data.told)} Wrote {target} with places to fill: {', '.join(data.places)}. It runs once they "
            "are filled."
        )
    found = [f"Found {data.what}.", *data.told, *(_notes(target) if data.table else ()), f"Wrote {target}."]
    return [*found, *_told(data, hand)]


def _at_hand(data: _Data, english: bool) -> AtHand:
    """What of this machine an experiment over the data can use."""
    servers = at_hand.servers() if data.documents else []
    if not data.texts:
        return AtHand(servers=servers)
    return AtHand(
        encoders=at_hand.encoders(english=english),
        rerankers=at_hand.cross_encoders(english=english),
        servers=servers,
        writers=[] if data.questions else at_hand.writers(),
        prices=priced(load_prices()),
    )


def _told(data: _Data, hand: AtHand) -> list[str]:
    """What is told of the proposal."""
    found = []
    if data.texts and not hand.encoders:
        found.append(
            "No local model is here and the hub is off, so only BM25 is switched on; the file says how to add an "
            "encoder."
        )
    if not data.questions:
        found.append(
            "There are no questions: a model writes some, and every table says so. Questions of your users tell more: "
            "put them into questions.csv with the columns query and document, and call init again."
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
        if not is_table(place, named=True):
            return f"{place} is no table. Give a folder, or a file that ends in {', '.join(TABLES)}."
        names, _, told = seen(place, place.parent)
        if not names:
            return f"{told} Give a table with a row for each question."
        return (
            f"{told} No two of its columns can be questions and what answers them; name them: --query COLUMN with "
            "--passage COLUMN or --label COLUMN."
        )
    if len(tables := [path.name for path in sorted(place.iterdir()) if is_table(path)]) > 1:
        return (
            f"{place} holds {counted(len(tables), 'table')} ({listed(tables)}), and the columns of none surely are "
            "questions and what answers them. Name the table and its columns: bench init FILE --query COLUMN with "
            "--passage COLUMN or --label COLUMN. Where questions, or the rows of a third table, name documents by id, "
            "call the columns of ids alike in these tables, such as article_id."
        )
    return (
        f"{place} holds no data that I know. I looked for: corpus.jsonl with queries.jsonl and qrels/*.tsv "
        "(BEIR); corpus and queries as .npy or .parquet (vectors); .md, .txt or .html files beside a questions file "
        "(CSV, TSV or JSONL with the columns query and document, or query and answer); a CSV, TSV, JSONL, Parquet or "
        "Excel file with questions in one column and what answers them in another, such as query and positive (or "
        "passage, or label)."
    )


_UNKNOWN_WRITER = at_hand.Offer(
    "writer",
    {"adapter": "transformers", "model": to_fill("a model that writes texts, in a folder or of the hub")},
    "or a service: {adapter: openai, model: …}",
)


def _without_writer(place: Path, data: _Data) -> _Data:
    """Documents that nobody asks about and nobody can: the writer is a place to fill."""
    told = (
        f"{place} holds {counted(data.documents, 'text file')} and no questions about them: without questions nothing "
        "can be measured. Put a questions file beside them, such as questions.csv with the columns query and document. "
        "Or let a model write some: none is on this machine, and the hub is off."
    )
    return replace(data, told=(told, *data.told), places=("generators.writer.model",))


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
            f"path: {quoted(where)}",
            f"split: {quoted(split):<20} # there is: {printable(', '.join(splits), keep='')}",
        ),
        documents,
        sample=_fields(corpus, "text"),
    )


def _fields(path: Path, name: str) -> tuple[str, ...]:
    """A field of the first rows of a file in JSON Lines, where it is a text."""
    found = []
    for _, line in itertools.islice(numbered_lines(path), _LOOKED_AT):
        try:
            value = json.loads(line).get(name)
        except (ValueError, AttributeError, RecursionError):
            continue  # whoever reads the data tells of it
        found += [value] if isinstance(value, str) else []
    return tuple(found)


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
            lines = ["adapter: vectors", f"corpus: {quoted(_below(where, corpus))}"]
            lines.append(f"queries: {quoted(_below(where, queries))}")
            if qrels is not None:
                lines.append(f"qrels: {quoted(_below(where, qrels))}")
            labels = "with judgements" if qrels is not None else "without judgements"
            return _Data(f"vectors {labels}", tuple(lines), _vector_rows(corpus), qrels is not None, texts=False)
    return None


def _files(folder: Path, where: str) -> _Data | None:
    texts = _text_files(folder)
    if not texts:
        return None
    for questions in sorted(folder.iterdir()):
        columns = _columns(questions)
        if "query" in columns and {"document", "answer"} & columns:
            kind = "relevant documents" if "document" in columns else "answers"
            return _Data(
                f"{len(texts):,} text files and {questions.name}, questions with their {kind}",
                ("adapter: files", f"path: {quoted(where)}", f"questions: {quoted(_below(where, questions))}"),
                len(texts),
                sample=_beginnings(texts),
            )
    return None


def _text_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _TEXT_SUFFIXES and path.is_file()]


def _beginnings(texts: Sequence[Path]) -> tuple[str, ...]:
    """How some files begin."""
    found = []
    for path in texts[:_LOOKED_AT]:
        try:
            with open_text(path) as file:
                found.append(file.read(_READ_OF_A_FILE))
        except (OSError, ValueError, AdapterError):
            continue  # whoever reads the data tells of it
    return tuple(found)


def _documents_alone(folder: Path, where: str) -> _Data | None:
    """Text files without questions: a model can write some."""
    texts = _text_files(folder)
    if not texts:
        return None
    what = f"{counted(len(texts), 'text file')} and no questions about them"
    dataset = ("adapter: files", f"path: {quoted(where)}")
    tables = [path.name for path in sorted(folder.iterdir()) if is_table(path)]
    told = (
        f"Not used: {listed(tables)}, where no column says which file or text answers a question." if tables else "",
    )
    return _Data(what, dataset, len(texts), told=tuple(filter(None, told)), sample=_beginnings(texts), questions=False)


def _undecided(place: Path, where: str) -> _Data | None:
    """A table in whose columns no questions were found: the file is written with places for them."""
    tables = [path for path in sorted(place.iterdir()) if is_table(path)] if place.is_dir() else [place]
    if len(tables) != 1 or not is_table(tables[0], named=not place.is_dir()):
        return None
    (path,) = tables
    try:
        names, texts, what = seen(path, path.parent)
    except AdapterError as error:
        if place.is_dir():
            return None  # no table, then
        raise NothingFound(str(error)) from error
    if len(names) < 2 or not texts:
        return None
    there = listed(names, 12)
    places = {
        "dataset.query": f"the column of the questions, one of {there}",
        "dataset.passage": f"the column of what answers them, one of {there}; or write label for passage, where they "
        "are categories",
    }
    dataset = ["adapter: pairs", f"path: {quoted(_below(where, path))}"]
    dataset += [f"{key.removeprefix('dataset.')}: {quoted(to_fill(text))}" for key, text in places.items()]
    told = (
        f"{what} No two of its columns can be questions and what answers them. Name them: bench init "
        f"{pasted(place)} --force --query COLUMN, with --passage COLUMN or --label COLUMN."
    )
    return _Data(f"{path.name}, whose columns nobody has named", tuple(dataset), 0, told=(told,), places=tuple(places))


def _table(place: Path, where: str, choice: Choice, ask: Ask | None) -> _Data | None:
    """A table of questions: the file that was named, or the one in a folder whose columns leave least doubt."""
    folder = place if place.is_dir() else place.parent

    def looked(ask: Ask | None) -> FoundTable | None:
        return tables_in(place, choice, ask) if place.is_dir() else _table_in(place, folder, choice, ask)

    try:
        found = looked(None)
        if choice == Choice():
            found = or_joined(found, [place] if place.is_file() else tables_of(place), tables_of(folder), folder)
        if ask is not None and not (found and found.roles.sure):
            found = looked(ask)
    except AdapterError as error:
        raise NothingFound(str(error)) from error
    if found is None:
        return None
    inside = found.path.relative_to(folder).as_posix()  # as data sets of the hub are, it may lie in a folder below
    taken, path = found.roles, inside if where == "." else f"{where}/{inside}"
    if taken.kind == "document":
        lines = {"adapter": "files", "path": where, "questions": path, "query": taken.query, "document": taken.target}
        what = f"{found.path.name}, questions in {taken.query} with the files that answer them in {taken.target}"
        options: dict[str, Any] = {**lines, **found.options()}
    elif found.answers is not None:
        answers, asked = found.answers, found.asked
        there = answers.place(found.path)
        what = f"{found.path.name}, questions in {taken.query}, and the documents that they name in {there}"
        options = {"adapter": "pairs", "path": path, **found.pairs()}
        if asked is not None:
            what = f"{found.path.name}, which names questions of {asked.place(found.path)} and documents of {there}"
            options["questions"] = asked.options(_below(where, asked.path))
        options["documents"] = answers.options(_below(where, answers.path))
    else:
        what = f"{found.path.name}, pairs of {taken.query} and {taken.target}"
        options = {"adapter": "pairs", "path": path, **found.pairs()}
    other = "label" if taken.kind == "passage" else "passage"
    told = (
        *found.told(),
        f"To take others: bench init {pasted(place)} --query COLUMN --{other} COLUMN --force, or change "
        "`dataset` in the file.",
    )
    dataset = tuple(f"{name}: {_value(value)}" for name, value in options.items())
    return _Data(what, dataset, found.documents(), told=told, table=True, sample=tuple(found.texts()))


def _table_in(path: Path, folder: Path, choice: Choice, ask: Ask | None) -> FoundTable | None:
    return table_at(path, folder, choice, ask) if is_table(path, named=True) else None


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    return json.dumps(value) if isinstance(value, int) else quoted(str(value))


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
