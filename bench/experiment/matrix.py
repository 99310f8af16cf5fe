"""The matrix: entries of `systems` with lists, and stores with lists of options, become one System each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adapters import registry
from adapters.base import Filter, InvalidOptions, listed, resolve_path
from bench.cache.file_names import safe_name
from bench.experiment.axes import axes_of, combinations, count_of, in_words, shown
from bench.experiment.faults import Faults, parse_filter
from bench.experiment.file import LONGEST_RANKING
from bench.experiment.fusions import fuses_itself, trees_of
from bench.experiment.parts import EncoderPair, Fused, RunFile, Searched, StoreChoice, System
from bench.experiment.places import of_store
from bench.messages.failures import failure_of
from bench.messages.suggestions import meant, suggestion
from bench.statistics.measures import Measure

if TYPE_CHECKING:
    from bench.experiment.file import ExperimentFile, SystemEntry

_SECTIONS = ("index", "query")
_MOST_SYSTEMS = 2_000
_DEEPEST_FUSION, _MOST_FUSED = 10, 1_000  # fusions of fusions of …, and systems in their tree


@dataclass(frozen=True, slots=True)
class _Named:
    """A fusion of which only the names of the legs are known, because they may stand below it in the file."""

    by: Literal["rrf", "weighted"]
    legs: tuple[str, ...]
    weights: tuple[float, ...]
    rrf_k: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """A system whose legs are names."""

    name: str
    key_path: str
    source: Searched | RunFile | _Named
    reranker: str | None
    depth: int
    k: int
    filter: Filter | None
    shared_space: bool
    payload: bool

    @property
    def legs(self) -> tuple[str, ...]:
        return self.source.legs if isinstance(self.source, _Named) else ()

    def system(self, source: Searched | RunFile | Fused) -> System:
        """The system itself."""
        return System(
            self.name, self.key_path, source, self.reranker, self.depth, self.k, self.filter, self.shared_space
        )


def expand_systems(
    faults: Faults,
    settings: ExperimentFile,
    measures: Sequence[Measure],
) -> list[System]:
    """All systems of an experiment, in file order. What is wrong goes to the faults."""
    return _Expansion(faults, settings, measures).systems()


class _Expansion:
    def __init__(
        self,
        faults: Faults,
        settings: ExperimentFile,
        measures: Sequence[Measure],
    ) -> None:
        self.faults = faults
        self.settings = settings
        self.cutoff = max((m.cutoff for m in (*measures, *self._target_measures())), default=10)
        self._stores: dict[str, list[tuple[StoreChoice, dict[str, Any]]]] = {}

    def _target_measures(self) -> Iterator[Measure]:
        for name in self.settings.targets:
            try:
                yield Measure.parse(name)
            except ValueError:
                continue  # reading the targets names this fault

    def systems(self) -> list[System]:
        found: list[_Draft] = []
        for i, entry in enumerate(self.settings.systems):
            found += self._entry(entry, f"systems[{i}]", _MOST_SYSTEMS - len(found))
        self._refuse_duplicates(found)
        self._check_legs(found)
        return self._trees(found)

    # -- one entry -----------------------------------------------------------------------------------------------

    def _entry(self, entry: SystemEntry, path: str, room: int) -> Iterator[_Draft]:
        sources = [name for name in ("run", "fuse") if getattr(entry, name) is not None]
        if entry.encoder is not None or entry.store is not None:
            sources.append("encoder/store")
        if len(sources) != 1:
            have = " and ".join(sources) or "none of them"
            self.faults.fault(path, f"needs one source of candidates: encoder/store, fuse or run (it has {have}).")
            self.faults.lost.append(entry.name)
            return
        axes = axes_of(entry)
        stores = sum(self._store_size(name) for name in axes["store"])
        size = stores * math.prod(len(values) for name, values in axes.items() if name != "store")
        if size > room:
            self.faults.fault(
                path,
                f"stands for {in_words(size)} systems; all entries may stand for {_MOST_SYSTEMS:,}. Shorten its lists.",
            )
            self.faults.lost.append(None)
            return
        for choices in self._choices(axes, entry, path):
            system = self._system(entry, path, choices)
            if system is not None:
                yield system

    def _store_size(self, name: Any) -> int:
        """How many systems a store's lists make of one. They are counted first, because the lists of a few lines can
        multiply to more than a program can walk."""
        spec = self.settings.stores.get(name) if isinstance(name, str) else None
        if spec is None:
            return 1
        return max(1, math.prod(count_of(values) for key, values in spec.items() if isinstance(values, Mapping)))

    def _choices(self, axes: dict[str, list[Any]], entry: SystemEntry, path: str) -> Iterator[dict[str, Any]]:
        """Every combination of the entry's lists; the key `swept` holds what belongs in the name."""
        for values in itertools.product(*axes.values()):
            choice = dict(zip(axes, values, strict=True))
            swept = {name: choice[name] for name, options in axes.items() if len(options) > 1}
            stores = self._store(choice["store"], path) if choice["store"] else [(None, {})]
            if not stores:
                self.faults.lost.append(entry.name)
            for store, store_swept in stores:
                yield {**choice, "store": store, "swept": swept, "store_swept": store_swept}

    def _system(self, entry: SystemEntry, path: str, choice: dict[str, Any]) -> _Draft | None:
        """The system, None after naming the fault that it has no source."""
        encoders = self._encoder_pair(choice["encoder"], path)
        reranker = choice["reranker"]
        if reranker is not None and reranker not in self.settings.rerankers:
            self._unknown(f"{path}.reranker", reranker, "rerankers", self.settings.rerankers)
        source = self._source(entry, choice, encoders, path)
        if source is None:
            self.faults.lost.append(entry.name)
            return None
        draft = _Draft(
            name=_name(entry, choice, encoders),
            key_path=path,
            source=source,
            reranker=reranker,
            depth=choice["depth"],
            k=entry.k if entry.k is not None else self.cutoff,
            filter=self._filter(choice["filter"], path),
            shared_space=entry.shared_space,
            payload=choice["payload"] == "text",
        )
        self._check(draft, path)
        return draft

    def _source(
        self, entry: SystemEntry, choice: dict[str, Any], encoders: EncoderPair | None, path: str
    ) -> Searched | RunFile | _Named | None:
        if choice["run"]:
            return RunFile(resolve_path(self.faults.base, choice["run"]))
        if choice["fuse"] is not None:
            return self._fusion(entry, choice, path)
        if choice["store"] is not None:
            return Searched(choice["store"], encoders)
        return None if encoders is None else Searched(self._default_store(path), encoders)

    def _check(self, draft: _Draft, path: str) -> None:
        self.faults.check_name(path, draft.name)
        if draft.k < self.cutoff:
            self.faults.fault(f"{path}.k", f"({draft.k}) is below the cut-off of a measure ({self.cutoff}).")
        if (draft.reranker or draft.legs) and draft.k > draft.depth:
            self.faults.fault(f"{path}.k", f"({draft.k}) is larger than the depth ({draft.depth}). Raise depth.")
        for name, value in (("k", draft.k), ("depth", draft.depth)):
            if value > LONGEST_RANKING:
                self.faults.fault(f"{path}.{name}", f"({value}) is more than a ranking holds ({LONGEST_RANKING:,}).")
        if isinstance(draft.source, _Named) and draft.source.rrf_k < 0:
            self.faults.fault(f"{path}.rrf_k", "must be at least 0.")
        if draft.depth < 1 or draft.k < 1:
            self.faults.fault(f"{path}.{'depth' if draft.depth < 1 else 'k'}", "must be at least 1.")
        match draft.source:
            case RunFile(file) if not _is_file(file):
                self.faults.fault(f"{path}.run", f": there is no file {file}.")
            case Searched() as source:
                self._check_needs(source, path)

    def _check_needs(self, source: Searched, path: str) -> None:
        """Whether the system has an encoder exactly if its searches consume vectors."""
        store = source.store
        try:
            needs = store.kind(store.index, store.connection).consumes(store.query)
        except InvalidOptions as error:
            message = f"{store.key_path}.{error.key}" if error.key else store.key_path
            self.faults.fault(message, f": {error}")
            return
        except BaseException as error:
            failure_of(error)  # named with the faults of the other adapters, when the run is prepared
            return
        if "vector" in needs and source.encoders is None:
            self.faults.fault(path, f"searches {store.name} by vector and so needs an encoder.")
        if "vector" not in needs and source.encoders is not None:
            self.faults.fault(f"{path}.encoder", f"is not used: {store.name} searches by text. Remove the encoder.")

    def _filter(self, spec: Any, path: str) -> Filter | None:
        return None if spec is None else parse_filter(self.faults, spec, f"{path}.filter")

    # -- parts ---------------------------------------------------------------------------------------------------

    def _encoder_pair(self, spec: Any, path: str) -> EncoderPair | None:
        if spec is None:
            return None
        pair: tuple[Any, Any]
        if isinstance(spec, Mapping):
            if set(spec) != {"document", "query"}:
                self.faults.fault(f"{path}.encoder", "with two encoders is written {document: NAME, query: NAME}.")
                return None
            pair = (spec["document"], spec["query"])
        else:
            pair = (spec, spec)
        if not all(isinstance(name, str) for name in pair):
            self.faults.fault(f"{path}.encoder", "must be the name of an encoder.")
            return None
        for name in dict.fromkeys(pair):
            if name not in self.settings.encoders:
                self._unknown(f"{path}.encoder", name, "encoders", self.settings.encoders)
        return EncoderPair(*pair)

    def _unknown(self, key_path: str, name: Any, what: str, known: Mapping[str, Any]) -> None:
        self.faults.not_there(key_path, str(name), f"among the {what}", suggestion(str(name), known))

    def _default_store(self, path: str) -> StoreChoice:
        kind = registry.load("stores", "exact")
        return StoreChoice("exact", "exact", kind, kind.Index(), kind.Query(), kind.Connection(), path)

    def _store(self, name: str, path: str) -> list[tuple[StoreChoice | None, dict[str, Any]]]:
        """Every combination of a store part's options, with the swept ones."""
        if name not in self.settings.stores:
            if name == "exact":
                return [(self._default_store(path), {})]
            self._unknown(f"{path}.store", name, "stores", self.settings.stores)
            return []
        if name not in self._stores:
            self._stores[name] = self._expand_store(name, self.settings.stores[name])
        return list(self._stores[name])

    def _expand_store(self, name: str, spec: Mapping[str, Any]) -> list[tuple[StoreChoice, dict[str, Any]]]:
        path = f"stores.{name}"
        kind = self.faults.adapter("stores", spec, path)
        if kind is None:
            return []
        spec = self._sections(kind, spec, path)
        connection = {key: value for key, value in spec.items() if key not in ("adapter", *_SECTIONS)}
        sections: list[list[tuple[dict[str, Any], dict[str, Any]]]] = []
        for section in _SECTIONS:
            values = spec.get(section) or {}
            if not isinstance(values, Mapping):
                self.faults.fault(f"{path}.{section}", "must be a mapping of options.")
                return []
            sections.append(list(combinations(values)))
        connected = self.faults.options(kind.Connection, connection, path, of_store(kind, "Connection"))
        found: list[tuple[StoreChoice, dict[str, Any]]] = []
        for (index, index_swept), (query, query_swept) in itertools.product(*sections):
            checked = (
                self.faults.options(kind.Index, index, f"{path}.index", of_store(kind, "Index")),
                self.faults.options(kind.Query, query, f"{path}.query", of_store(kind, "Query")),
            )
            if connected is None or checked[0] is None or checked[1] is None:
                return []  # one combination names the fault, and the others would repeat it
            choice = StoreChoice(name, spec["adapter"], kind, checked[0], checked[1], connected, path)
            found.append((choice, {**index_swept, **query_swept}))
        return found

    def _sections(self, kind: Any, spec: Mapping[str, Any], path: str) -> dict[str, Any]:
        """A store's part with a section that is spelled wrong, which is named, under the name that was meant."""
        known = [*kind.Connection.model_fields, *_SECTIONS]
        found = dict(spec)
        for key, value in spec.items():
            section = meant(str(key), known) if key not in known and isinstance(value, Mapping) else None
            if section in _SECTIONS and section not in spec:
                self.faults.fault(f"{path}.{key}", f"is unknown. Did you mean {section}?")
                found[section] = found.pop(key)
        return found

    # -- fusion --------------------------------------------------------------------------------------------------

    def _fusion(self, entry: SystemEntry, choice: dict[str, Any], path: str) -> _Named | None:
        legs = choice["fuse"]
        if legs is None:
            return None
        if not isinstance(legs, list) or not all(isinstance(leg, str) for leg in legs):
            self.faults.fault(f"{path}.fuse", "must be a list of names of systems.")
            return None
        if len(legs) < 2 or len(set(legs)) != len(legs):
            self.faults.fault(f"{path}.fuse", "needs at least two different systems.")
        weights = entry.weights
        if isinstance(weights, Mapping):
            if set(weights) != set(legs):
                self.faults.fault(f"{path}.weights", f"must name exactly the fused systems: {', '.join(legs)}.")
            values = tuple(float(weights.get(leg, 1.0)) for leg in legs)
        else:
            values = tuple(float(w) for w in weights) if weights is not None else (1.0,) * len(legs)
            if len(values) != len(legs):
                self.faults.fault(f"{path}.weights", f"has {len(values)} weights for {len(legs)} fused systems.")
                values = (1.0,) * len(legs)
        return _Named(choice["by"] or "rrf", tuple(legs), values, choice["rrf_k"])

    def _check_legs(self, drafts: Sequence[_Draft]) -> None:
        """Check that legs exist, that none contains itself, and that legs and fusion search under one filter."""
        by_name = {draft.name: draft for draft in drafts}
        legs = {name: draft.legs for name, draft in by_name.items()}
        trees = trees_of(legs)
        endless = False
        for draft in drafts:
            path = f"{draft.key_path}.fuse"
            for leg in draft.legs:
                if leg not in by_name:
                    variants = [name for name in by_name if name.startswith(f"{leg}(")]
                    hint = f"It stands for several: {', '.join(variants[:20])}." if variants else None
                    self.faults.not_a_system(path, leg, by_name, hint)
            tree = trees.get(draft.name)
            if tree is None and fuses_itself(legs, draft.name):
                self.faults.fault(path, f": {draft.name} would be fused with itself.")
            if tree is not None and (tree.depth > _DEEPEST_FUSION or tree.systems > _MOST_FUSED):
                self.faults.fault(
                    path,
                    f"fuses {in_words(tree.systems - 1)} systems, {tree.depth} deep; {_MOST_FUSED:,}, "
                    f"{_DEEPEST_FUSION} deep, are the most.",
                )
                endless = True
        if endless or len(trees) < len(by_name):
            self.faults.stop()  # no tree can be made of these
        if self.faults.found:
            return
        for draft in drafts:
            if {by_name[leg].filter for leg in draft.legs} - {draft.filter}:
                self.faults.fault(f"{draft.key_path}.filter", "must be the same on a fusion and on each of its legs.")
            if draft.payload and (runs := _run_files(draft, by_name)):
                self.faults.fault(
                    f"{draft.key_path}.payload", f"cannot be text: {listed(runs)} is a run file, which holds no texts."
                )

    def _trees(self, drafts: Sequence[_Draft]) -> list[System]:
        """The systems, each with what it fuses below it. Legs that a named fault keeps from being made are left out.
        The top of a tree says whether the searches in it return texts."""
        by_name = {draft.name: draft for draft in drafts}
        made: dict[tuple[str, bool], System] = {}

        def tree(draft: _Draft, payload: bool) -> System:
            key, named = (draft.name, payload), draft.source
            if key in made:
                return made[key]
            if isinstance(named, Searched):
                return made.setdefault(key, draft.system(replace(named, payload=payload)))
            if isinstance(named, RunFile):
                return made.setdefault(key, draft.system(named))
            there = [name in by_name for name in named.legs]
            legs = tuple(tree(by_name[name], payload) for name in itertools.compress(named.legs, there))
            fused = Fused(named.by, legs, tuple(itertools.compress(named.weights, there)), named.rrf_k)
            return made.setdefault(key, draft.system(fused))

        return [tree(draft, draft.payload) for draft in drafts]

    def _refuse_duplicates(self, drafts: Sequence[_Draft]) -> None:
        seen: dict[str, _Draft] = {}
        for draft in drafts:
            other = seen.setdefault(safe_name(draft.name).lower(), draft)
            if other is not draft:
                self.faults.fault(
                    draft.key_path, f"would be called {draft.name}, as {other.key_path} is. Give it a `name`."
                )


def _run_files(draft: _Draft, by_name: Mapping[str, _Draft]) -> list[str]:
    """The names of the run files in the tree of a fusion."""
    if isinstance(draft.source, RunFile):
        return [draft.name]
    return list(dict.fromkeys(name for leg in draft.legs for name in _run_files(by_name[leg], by_name)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False


def _name(entry: SystemEntry, choice: dict[str, Any], encoders: EncoderPair | None) -> str:
    """The given name, or encoder + store + reranker; then the options that were swept."""
    encoder = None if encoders is None else str(encoders)
    swept = dict(choice["store_swept"])
    parts = {"encoder": encoder, "store": getattr(choice["store"], "name", None), "reranker": choice["reranker"]}
    if entry.name is None:
        if choice["run"]:
            parts["store"] = Path(choice["run"]).stem
        if choice["fuse"]:
            parts["store"] = f"{choice['by'] or 'rrf'}[{','.join(str(leg) for leg in choice['fuse'])}]"
        base = "+".join(str(part) for part in parts.values() if part)
        swept = {
            k: v for k, v in choice["swept"].items() if k not in ("encoder", "store", "reranker", "run", "fuse", "by")
        } | swept
    else:
        base = entry.name
        swept = {k: parts.get(k, v) for k, v in choice["swept"].items()} | swept
    if not swept:
        return base
    return f"{base}({','.join(f'{key}={shown(value)}' for key, value in swept.items())})"
