"""A result as a report reads it: its values by path, its tables, and what the report computes from them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.cache.own_files import open_own, read_own
from bench.report.document.forms import written
from bench.report.document.parts import Figure
from bench.report.document.paths import NoSuchPath, at, step
from bench.results.model import Result, ResultUnreadable, SystemResult, read_result
from bench.results.per_query import PER_QUERY, KeptFigures, read_figures
from bench.results.rankings import Rankings, run_file, shown_build
from bench.results.texts import TEXTS, KeptTexts, Text, read_judgements, read_query_texts

TIMINGS = "timings.parquet"
META = "meta."
COMPUTED = "computed"
"""The first step of paths to what is no field of the result: a report computes it from the result's files."""

Compute = Callable[["Source"], Any]


class Source:
    """One result. prefix: begins its paths where a report has several results.

    computed: by name, what fills the paths under `computed`; each is worked out once, when it is asked for.
    """

    def __init__(self, folder: Path, computed: Mapping[str, Compute], prefix: str = "") -> None:
        """Raises ResultUnreadable."""
        self.folder = folder if folder.is_dir() else folder.parent
        self.result: Result = read_result(folder)
        self.prefix = prefix
        self.unread: list[str] = []
        self._values: dict[str, Any] = self.result.model_dump(mode="json")
        self._compute = computed
        self._computed: dict[str, Any] = {}

    # -- values by path ----------------------------------------------------------------------------------------------

    def value(self, path: str) -> Any:
        """What stands at a path. Raises NoSuchPath."""
        if path == COMPUTED or path.startswith((f"{COMPUTED}.", f"{COMPUTED}[")):
            inner = path.removeprefix(COMPUTED)
            name = inner.removeprefix(".").partition(".")[0].partition("[")[0]
            if name not in self._compute:
                raise NoSuchPath(path)
            return at({name: self.computed(name)}, inner.removeprefix("."))
        return at(self._values, path)

    def computed(self, name: str) -> Any:
        """What a report computes under a name, as plain mappings and lists."""
        if name not in self._computed:
            self._computed[name] = self._compute[name](self)
        return self._computed[name]

    def figure(self, path: str, form: str = "number") -> Figure:
        """A number or a text of the result, to be shown."""
        return Figure(self.prefix + path, form, written(form, self.value(path)))

    def name(self, system: int) -> Figure:
        """The name of a system."""
        return self.figure(f"systems[{system}].name", "text")

    def mean(self, system: int, measure: str) -> Figure | None:
        """The mean of a measure; None where the system has no such measure."""
        found = self.result.systems[system].measures.get(measure)
        return self.figure(f"systems[{system}].measures{step(measure)}.mean") if found is not None else None

    # -- what many sections ask --------------------------------------------------------------------------------------

    @property
    def systems(self) -> list[SystemResult]:
        return self.result.systems

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each system, by name."""
        return {system.name: place for place, system in enumerate(self.systems)}

    @cached_property
    def baseline(self) -> int | None:
        """The place of the baseline; None where there is none."""
        return self.places.get(self.result.baseline) if self.result.baseline is not None else None

    def primary(self, place: int) -> float | None:
        """A system's mean of the measure that decides."""
        value = self.systems[place].measures.get(self.result.primary)
        return value.mean if value is not None else None

    @cached_property
    def order(self) -> list[int]:
        """Places of the systems, the best by the measure that decides first, those without it last."""
        means = {place: self.primary(place) for place in range(len(self.systems))}
        return sorted(means, key=lambda place: (means[place] is None, -(means[place] or 0), place))

    @cached_property
    def measures(self) -> list[str]:
        """Names of all measures, the one that decides first."""
        names = dict.fromkeys(name for system in self.systems for name in system.measures)
        return sorted(names, key=lambda name: name != self.result.primary)

    @cached_property
    def named_measures(self) -> list[str]:
        """Names of all measures, and of those of fronts and targets."""
        further = [front.measure for front in self.result.fronts] + [row.measure for row in self.result.targets]
        return list(dict.fromkeys([*self.measures, *further, self.result.primary]))

    # -- tables ------------------------------------------------------------------------------------------------------

    @cached_property
    def figures(self) -> KeptFigures | None:
        """The measures of every query; None where the result has no such table."""
        if not (self.folder / PER_QUERY).is_file():
            return None
        try:
            return read_figures(self.folder, self.result)
        except (pa.ArrowException, OSError, KeyError, ValueError, IndexError, StopIteration) as error:
            self._leave_out(PER_QUERY, error)
            return None

    @cached_property
    def timings(self) -> pa.Table | None:
        """The samples of the latency pass; None where the result has no such table."""
        path = self.folder / TIMINGS
        if not path.is_file():
            return None
        try:
            return pq.read_table(io.BytesIO(read_own(path)))
        except (pa.ArrowException, OSError) as error:
            self._leave_out(TIMINGS, error)
            return None

    @cached_property
    def texts(self) -> KeptTexts:
        """The documents' texts, as far as the result holds them."""
        return KeptTexts(self.folder)

    @cached_property
    def query_texts(self) -> dict[str, Text]:
        """The judged queries by id; none where the result holds no texts."""
        return self._reading(lambda: read_query_texts(self.folder), "The queries") or {}

    @cached_property
    def has_texts(self) -> bool:
        """Whether the texts of queries or of documents are known."""
        return self.texts.kept or bool(self.query_texts)

    @cached_property
    def query_metadata(self) -> dict[str, dict[str, Any]]:
        """By field, the metadata of each judged query that has it."""
        if not self.texts.kept:
            return {}
        try:
            with os.fdopen(open_own(self.folder / TEXTS, os.O_RDONLY), "rb") as file, pq.ParquetFile(file) as table:
                fields = [name for name in table.schema_arrow.names if name.startswith(META)]
                rows = table.read(["kind", "id", *fields]) if fields else None
        except (pa.ArrowException, OSError) as error:
            self._leave_out(TEXTS, error)
            return {}
        if rows is None:
            return {}
        queries = rows.filter(pc.equal(rows["kind"], "query"))
        ids = queries["id"].to_pylist()
        columns = {name.removeprefix(META): queries[name].to_pylist() for name in fields}
        return {
            name: {query: value for query, value in zip(ids, values, strict=True) if value is not None}
            for name, values in columns.items()
        }

    @cached_property
    def judgements(self) -> dict[str, dict[str, int]]:
        """Grades by document of each judged query; none where there are none."""
        return self._reading(lambda: read_judgements(self.folder), "The judgements") or {}

    def rankings(self, place: int) -> Rankings | None:
        """The rankings of the build that a user would take of a system; None where the result has none."""
        return self._rankings(place, shown_build(self.systems[place]))

    def all_rankings(self, place: int) -> list[Rankings]:
        """The rankings of every build of a system; empty where the result lacks one."""
        found = [self._rankings(place, build) for build in range(max(1, len(self.systems[place].builds)))]
        kept = [each for each in found if each is not None]
        return kept if len(kept) == len(found) else []

    def _rankings(self, place: int, build: int) -> Rankings | None:
        path = run_file(self.folder, self.systems[place].name, build)
        if self.figures is None or not path.is_file():
            return None
        return Rankings(path, self._query_ids, self._document_ids)

    def hits(self, rankings: Rankings, query: str) -> list[str]:
        """Ids of the documents found for a query, best first; none where the run file cannot be read."""
        found = self._reading(lambda: [hit.document for hit in rankings.of(query)], "A run file")
        return found or []

    def documents(self, ids: Collection[str]) -> dict[str, Text]:
        """Texts of documents by id, as far as they are kept."""
        return self._reading(lambda: self.texts.documents(ids), "The texts") or {}

    @cached_property
    def _query_ids(self) -> frozenset[str]:
        return frozenset(self.figures.query_ids if self.figures is not None else ())

    @cached_property
    def _document_ids(self) -> frozenset[str]:
        judged = {document for grades in self.judgements.values() for document in grades}
        return frozenset(judged | (self._reading(self.texts.document_ids, "The texts") or set()))

    def _reading(self, read: Callable[[], Any], what: str) -> Any:
        """What a reader of the folder gives; None, and said in the report, where it refuses."""
        try:
            return read()
        except ResultUnreadable as error:
            self._leave_out(what, error)
            return None

    def all_unread(self) -> list[str]:
        """What of the folder cannot be read, a sentence each. It opens everything that a report reads."""
        for name in ("figures", "timings", "query_texts", "query_metadata", "judgements"):
            getattr(self, name)
        return list(self.unread)

    def _leave_out(self, what: str, error: Exception) -> None:
        sentence = f"{what} cannot be read, so this report leaves out what it holds: {str(error)[:300]}"
        if sentence not in self.unread:
            self.unread.append(sentence)
