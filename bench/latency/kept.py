"""Timings in the cache: their keys, and whether they still belong to what is measured now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.base import Rows
from bench.cache.digests import array_digest, content_key
from bench.experiment.file import LoadPoint
from bench.experiment.parts import System
from bench.latency import ingest
from bench.latency.forecast import is_live
from bench.latency.samples import Samples
from bench.machine.provenance import machine, packages
from bench.messages.failures import Failure, failure_of
from bench.quality.pipeline import Pipeline

_TEXTS = ("measured_at", "taken_together")
_LISTS = ("encoders", "disturbances")
_ARRAYS = tuple(f.name for f in fields(Samples) if f.name not in (*_TEXTS, *_LISTS, "cut_off"))


class Taken(NamedTuple):
    """What was measured of a system under a load point. written: the rows that were written meanwhile."""

    samples: Samples
    written: ingest.Written | None = None


class _Record(NamedTuple):
    taken: Taken
    ranking: str  # digest of the ranking that the live ones were compared with


class Kept:
    """Kept timings of systems under one load point. systems: those whose key is known. keys, found: by name. failures:
    by name, why the key of a system cannot be known."""

    def __init__(self, pipeline: Pipeline, load: LoadPoint, systems: Sequence[System], occasion: str) -> None:
        self._pipeline, self._load = pipeline, load
        self.failures: dict[str, Failure] = {}
        stages: dict[str, Any] = {}
        for system in systems:
            try:
                stages[system.name] = _stages(pipeline, system)
            except BaseException as error:
                self.failures[system.name] = failure_of(error)
        self.systems = [system for system in systems if system.name in stages]
        # Rounds compare systems, and are kept as they were taken; elsewhere `seconds` is shared by so many.
        company = sorted(map(content_key, stages.values())) if load.alone else len(stages)
        self.keys = {name: _key(pipeline, stage, load, company, occasion) for name, stage in stages.items()}
        self._records = {name: _read(pipeline, key) for name, key in self.keys.items()}
        self.found = {name: None if one is None else one.taken for name, one in self._records.items()}

    def missing(self, rankings: Mapping[str, Rows] | None, *, remeasure: bool) -> list[System]:
        """The systems that have to be measured. Where rounds are compared these are all systems, unless all timings
        were taken together. rankings: rows by system, None where they are not known yet."""
        absent = [s for s in self.systems if remeasure or not self._is_valid(s.name, rankings)]
        together = {taken.samples.taken_together for taken in self.found.values() if taken is not None}
        if self._load.alone and (absent or len(together) > 1):
            return list(self.systems)
        return absent

    def _is_valid(self, name: str, rankings: Mapping[str, Rows] | None) -> bool:
        record = self._records[name]
        if record is None:
            return False
        return rankings is None or name not in rankings or record.ranking == _digest(rankings[name])

    def write(self, name: str, taken: Taken, ranking: Rows) -> None:
        """Keep what was measured."""
        samples = taken.samples
        arrays: dict[str, npt.NDArray[Any]] = {field: getattr(samples, field) for field in _ARRAYS}
        arrays |= {field: np.array(getattr(samples, field)) for field in _TEXTS}
        arrays |= {field: np.array(getattr(samples, field), dtype=np.str_) for field in _LISTS}
        arrays["ranking"] = np.array(_digest(ranking))
        if taken.written is not None:
            arrays["written"] = np.array(taken.written.model_dump_json())
        self._pipeline.cache.write("timings", self.keys[name], arrays)


def unmeasured(
    pipeline: Pipeline,
    load: LoadPoint,
    systems: Sequence[System],
    *,
    remeasure: bool,
    occasion: str,
    rankings: Mapping[str, Rows] | None = None,
) -> list[System]:
    """The systems that can be asked and have to be measured. rankings: see Kept.missing."""
    live = [system for system in systems if is_live(system)]
    return Kept(pipeline, load, live, occasion).missing(rankings, remeasure=remeasure)


def _digest(ranking: Rows) -> str:
    return array_digest(ranking)


def _read(pipeline: Pipeline, key: str) -> _Record | None:
    arrays = pipeline.cache.read("timings", key)
    try:
        return None if arrays is None else _record(arrays)
    except (KeyError, TypeError, ValueError):  # a cache may have been handed over: they are taken again
        return None


def _record(arrays: Mapping[str, npt.NDArray[Any]]) -> _Record:
    texts = {name: str(arrays[name]) for name in _TEXTS}
    lists = {name: tuple(arrays[name].tolist()) for name in _LISTS}
    samples = Samples(**{name: arrays[name] for name in _ARRAYS}, **texts, **lists)  # type: ignore[arg-type]
    written = arrays.get("written")
    taken = Taken(samples, None if written is None else ingest.Written.model_validate_json(str(written)))
    return _Record(taken, str(arrays["ranking"]))


def _key(pipeline: Pipeline, stages: Any, load: LoadPoint, company: Any, occasion: str) -> str:
    """The key of timings: system, load point, machine and packages. company: what was measured together with the
    system."""
    plan = {**load.model_dump(mode="json", exclude={"name", "rounds"}), "rounds": load.planned_rounds}
    seed = pipeline.experiment.settings.seed
    return content_key([_ARRAYS, stages, plan, company, occasion, seed, machine(), packages(pipeline.experiment.kinds)])


def _stages(pipeline: Pipeline, system: System) -> Any:
    legs = [_stages(pipeline, leg) for leg in system.legs]
    searched = system.searched
    return {
        "search": pipeline.searches.key(searched, system.filter, system.limit) if searched else None,
        "connection": system.store.plain("connection") if system.store else None,
        "fusion": system.fused.as_dict() if system.fused else None,
        "legs": legs,
        "reranker": pipeline.reranking.key(system.reranker) if system.reranker else None,
        "depth": system.depth,
        "k": system.k,
    }
