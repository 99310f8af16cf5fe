"""Collections that the page Data shows, kept while they are looked at: all tabs share one reading."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bench.cache.artifacts import write_atomically
from bench.cache.digests import content_key
from bench.cache.own_files import own_folder
from bench.ui.desk import Desk
from bench.ui.files import NotSaved
from bench.ui.text import plain

if TYPE_CHECKING:
    import pyarrow as pa

    from bench.quality.overview import Overview

DROPPED = "dropped"
ENDINGS = [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".txt", ".md", ".html", ".npy", ".trec"]
DOCUMENTS = (".txt", ".md", ".html")  # a file of which may be a document, as in a folder of them
KINDS = {"Documents": "corpus", "Queries": "queries", "Judgements": "qrels"}
_KEPT = 2  # collections
_LONGEST = 300  # characters of a cell
_MOST_FILES = 200
_lock = threading.Lock()
_looked_at: dict[str, Overview] = {}


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a table. found: how many there are, of which `first` is the place of the first that is shown."""

    head: list[str]
    rows: list[list[str]]
    first: int
    found: int


def collection(desk: Desk, spec: Mapping[str, Any], base: Path, *, again: bool = False) -> Overview:
    """The collection of a dataset section. base: where its relative paths start. again: it is read, because its files
    may be others than when it was kept. Raises ConfigFaults."""
    from bench.cache.place import usual_place
    from bench.experiment.reader import experiment_of
    from bench.quality.overview import look_at

    values = {"experiment": "data", "dataset": dict(spec), "stores": {"bm25": {"adapter": "bm25"}},
              "systems": [{"store": "bm25"}]}  # fmt: skip
    experiment = desk.admit(experiment_of(values, base, "data"))
    key = content_key([values, str(base)])
    with _lock:
        if again or key not in _looked_at:
            found = look_at(experiment, desk.cache or usual_place(desk.folder).folder)
            _looked_at.pop(key, None)
            while len(_looked_at) >= _KEPT:
                _looked_at.pop(next(iter(_looked_at)))
            _looked_at[key] = found
        return _looked_at[key]


def dataset_of(desk: Desk, file: str) -> tuple[dict[str, Any], Path]:
    """The dataset section of an experiment file of the desk, and where its paths start. Raises OutsideFolder, OSError,
    ValueError."""
    from bench.experiment.yaml_text import parse_yaml

    path = desk.inside(file)
    values = parse_yaml(path.read_text(encoding="utf-8"))
    spec = values.get("dataset") if isinstance(values, dict) else None
    if not isinstance(spec, dict):
        raise ValueError(f"{file}: has no dataset.")
    return spec, path.parent


def found_in(desk: Desk, place: str) -> tuple[str, list[str]]:
    """The experiment file that `bench init` writes for a file or folder of the desk, and what it found. One that is
    there is opened. Raises OutsideFolder, NotSaved, NothingFound."""
    from bench.experiment.starter import write_experiment

    path = desk.inside(place or ".")
    target = path / "bench.yaml" if path.is_dir() else path.with_name(f"{path.stem}.yaml")
    if target.exists():
        return desk.named(target), [f"{desk.named(target)} is there already, and is shown."]
    if desk.read_only:
        raise NotSaved("This page is read-only: nothing is written here.")
    return desk.named(target), write_experiment(path, target)


def dropped(desk: Desk, uploaded: Sequence[str]) -> str:
    """Put dropped files into a folder of their own, under the names that they had; returns it, from the desk on. Raises
    NotSaved, OSError."""
    if desk.read_only:
        raise NotSaved("This page is read-only: nothing is written here.")
    if len(uploaded) > _MOST_FILES:
        raise NotSaved(
            f"{len(uploaded):,} files are too many: {_MOST_FILES} at once. Copy the folder into {desk.folder}."
        )
    names = [Path(each).name for each in uploaded]
    if bad := [name for name in names if Path(name).suffix.lower() not in ENDINGS or name.startswith(".")]:
        raise NotSaved(f"{plain(bad[0])}: files of this kind are not taken. Known: {', '.join(ENDINGS)}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise NotSaved(
            f"{plain(twice[0])}: several files of this name were dropped together. Give them names of their own, or "
            f"copy their folders into {desk.folder}."
        )
    own_folder(desk.folder / DROPPED)
    folder = _new_folder(desk.folder / DROPPED / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    for each, name in zip(uploaded, names, strict=True):
        write_atomically(folder / name, Path(each).read_bytes())
    return desk.named(folder)


def _new_folder(wanted: Path) -> Path:
    """A folder of this name that was not there, or with a number behind it: two people may drop files at once."""
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("numbers do not end")


def rows(seen: Overview, kind: str, words: str, first: int, size: int) -> Page:
    """Some rows of the corpus, the queries or the judgements, those with some words in them, as text."""
    import pyarrow.compute as pc

    table: pa.Table | None = getattr(seen.dataset, KINDS.get(kind, "corpus"))
    if table is None:
        return Page([], [], 0, 0)
    shown = [
        name
        for name in table.column_names
        if name not in ("vector", "meta") and (name == "id" or table.column(name).null_count < table.num_rows)
    ]
    table = table.select(shown)
    if words.strip():
        import pyarrow as pa

        columns = [name for name in shown if pa.types.is_string(table.schema.field(name).type)]
        flags = None
        for name in columns:
            here = pc.fill_null(pc.match_substring(table.column(name), words.strip(), ignore_case=True), False)
            flags = here if flags is None else pc.or_(flags, here)
        table = table.filter(flags) if flags is not None else table.slice(0, 0)
    first = max(0, min(first, max(0, table.num_rows - 1)) // size * size)
    cells = [[_cell(value) for value in row.values()] for row in table.slice(first, size).to_pylist()]
    return Page(shown, cells, first, table.num_rows)


def whole(seen: Overview, kind: str, id: str) -> str:
    """The whole text of a document or query."""
    import pyarrow.compute as pc

    table = getattr(seen.dataset, KINDS.get(kind, "corpus"))
    if table is None or "id" not in table.column_names:
        return ""
    place = pc.index(table.column("id"), id).as_py()
    if place < 0:
        return ""
    row = {name: value for name, value in table.slice(place, 1).to_pylist()[0].items() if name != "vector"}
    return "\n\n".join(f"{name}: {value}" for name, value in row.items() if value is not None)


def written(spec: Mapping[str, Any]) -> str:
    """A dataset section as YAML."""
    text: str = yaml.safe_dump({"dataset": dict(spec)}, sort_keys=False, allow_unicode=True)
    return text


def _cell(value: Any) -> str:
    text = "" if value is None else plain(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
