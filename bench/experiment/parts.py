"""What an experiment consists of once it is read: parts with validated options, systems, and the experiment itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from adapters.base import TRAINED, Context, Filter, LearnsFrom, Role
from bench.experiment.cuts import Cuts
from bench.experiment.file import ExperimentFile, LoadPoint
from bench.experiment.negatives import Negatives
from bench.experiment.scored import ScoredData
from bench.experiment.structure import PairsFrom
from bench.experiment.synthetic import Synthetic, Written
from bench.statistics.measures import Measure

_SEED = "#"  # between a part's name and the seed of its model; no name in a file holds it


def plain_name(name: str) -> str:
    """The name of an encoder or reranker as the file has it, without the seed of its model."""
    return name.partition(_SEED)[0]


@dataclass(frozen=True, slots=True)
class Part:
    """A named dataset, encoder, reranker or tracker: its adapter class and validated options.

    seeds: how many seeds of its model there are. With several, there is one part for each, called `name#seed`.
    """

    name: str
    adapter: str
    kind: type[Any]
    options: Any
    key_path: str
    seeds: int = 1

    def of_build(self, build: int) -> str:
        """The name of the part that a build has: each build has a seed of its own."""
        return f"{self.name}{_SEED}{build + 1}" if self.seeds > 1 else self.name


@dataclass(frozen=True, slots=True)
class Variant:
    """One member of a sweep over a recipe's options; swept: those that the sweep multiplies, by name."""

    options: Any
    swept: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A system whose candidates are negatives. parts: its encoders and rerankers, and those of what it fuses."""

    system: System
    parts: tuple[Part, ...]

    @property
    def systems(self) -> list[System]:
        """The system with all that it fuses."""
        return [node.system for node in self.system.nodes()]


@dataclass(frozen=True, slots=True)
class TrainedPart:
    """A model that the experiment trains. Seeds count from 1.

    kind: the trainer's class. variants: its options, several where lists multiply; the dev split chooses among them.
    base: the encoder or reranker that it starts from, as a part; seed i starts from seed i of a base with seeds. miner:
    the encoder that finds its negatives, filter: the reranker that throws out some of them, writer: the generator that
    writes them, candidates: the system whose candidates they are; None where there is none. negatives, scored: the
    harness's own options, None where the file has none. pairs: how many it learns from at most. pairs_from: the pairs
    of the documents' structure that it learns from; None: it learns from something else.
    """

    name: str
    key_path: str
    recipe: str
    kind: type[Any]
    variants: tuple[Variant, ...]
    base: Part
    base_is: Literal["encoder", "reranker"]
    seeds: int
    leaks: Literal["drop", "refuse"]
    pairs: int | None = None
    negatives: Negatives | None = None
    miner: Part | None = None
    filter: Part | None = None
    writer: Part | None = None
    candidates: Candidates | None = None
    scored: ScoredData | None = None
    pairs_from: tuple[PairsFrom, ...] | None = None
    passages_of: str | None = None

    @property
    def learns_from(self) -> LearnsFrom:
        """What its rows are, whatever its recipe would learn from by itself."""
        found: LearnsFrom = self.kind.learns_from
        return found if self.pairs_from is None else "structure"

    @property
    def unlabelled(self) -> bool:
        """Whether it learns without judgements: from documents, or from pairs that their structure gives."""
        return self.kind.learns_from == "documents" or self.pairs_from is not None

    @property
    def query_columns(self) -> tuple[str, ...]:
        """Columns of the queries that its recipe learns from beside their texts, with any of its sets of options."""
        asked = (column for variant in self.variants for column in self.kind(variant.options).query_columns)
        return tuple(sorted(set(asked)))

    @property
    def trainers(self) -> tuple[Part, ...]:
        """Its trainers as parts, one for each variant."""
        return tuple(Part(self.name, self.recipe, self.kind, each.options, self.key_path) for each in self.variants)

    def reference(self, seed: int) -> str:
        """How options name its model of a seed."""
        return f"{TRAINED}{self.name}{_SEED}{seed}"

    def needed(self) -> list[str]:
        """The names of the models that must be trained before it: those that its options, its base, and what finds its
        negatives name."""
        options = [variant.options for variant in self.variants]
        parts = (self.base, self.miner, self.filter, *(self.candidates.parts if self.candidates else ()))
        options += [part.options for part in parts if part is not None]
        return list(dict.fromkeys(name for each in options for name in models_named(each)))


def models_of(system: System, encoders: Mapping[str, Part], rerankers: Mapping[str, Part]) -> list[Part]:
    """The encoders and rerankers of a system and of all that it fuses, without their seeds, and the encoders whose
    vectors its rerankers compare; those that are not there are left out."""
    found: list[Part | None] = []
    for node in system.nodes():
        pair, reranker = node.system.encoders, node.system.reranker
        found += [encoders.get(plain_name(name)) for name, _ in pair.roles] if pair else []
        if reranker is not None and (part := rerankers.get(plain_name(reranker))) is not None:
            found += [part, encoders.get(str(getattr(part.options, "encoder", None)))]
    return [part for part in found if part is not None]


def models_named(options: Any) -> list[str]:
    """The names of the models whose training options ask for, without seeds."""
    values = [getattr(options, name, None) for name in getattr(type(options), "model_fields", ())]
    return [plain_name(v.removeprefix(TRAINED)) for v in values if isinstance(v, str) and v.startswith(TRAINED)]


def of_seed(options: Any, seed: int, models: Mapping[str, TrainedPart]) -> Any:
    """Options in which each model that is trained is the one of a seed. A model with one seed goes with all."""
    changed: dict[str, str] = {}
    for name in type(options).model_fields:
        value = getattr(options, name)
        if isinstance(value, str) and value.startswith(TRAINED):
            model = models[plain_name(value.removeprefix(TRAINED))]
            changed[name] = model.reference(min(seed, model.seeds))
    return options.model_copy(update=changed) if changed else options


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """A store part with one combination of its index and query options."""

    name: str
    adapter: str
    kind: type[Any]
    index: Any
    query: Any
    connection: Any
    key_path: str

    def plain(self, options: Literal["index", "query", "connection"]) -> dict[str, Any]:
        """One of its three kinds of options as plain values, for keys and for results."""
        values: dict[str, Any] = getattr(self, options).model_dump(mode="json")
        return values


@dataclass(frozen=True, slots=True)
class EncoderPair:
    """The encoder of an index and that of its queries, by name; usually one and the same."""

    document: str
    query: str

    @property
    def roles(self) -> tuple[tuple[str, Role], ...]:
        """Each name with what it encodes."""
        return (self.document, "document"), (self.query, "query")

    def of(self, role: Role) -> str:
        """The encoder of a role."""
        return self.document if role == "document" else self.query

    def __str__(self) -> str:
        document, query = plain_name(self.document), plain_name(self.query)
        return document if document == query else f"{document}>{query}"


@dataclass(frozen=True, slots=True)
class Searched:
    """Candidates that a store finds. encoders: None where it searches by text alone. payload: whether the store returns
    their texts too. build: which build of the index is searched, from 0."""

    store: StoreChoice
    encoders: EncoderPair | None
    payload: bool = False
    build: int = 0

    def __str__(self) -> str:
        name = f"{self.encoders.document}+{self.store.name}" if self.encoders else self.store.name
        return f"{name} with texts" if self.payload else name


@dataclass(frozen=True, slots=True)
class Fused:
    """Candidates of several systems. rrf: sum of weight / (rrf_k + rank). weighted: sum of weight × min-max score."""

    by: Literal["rrf", "weighted"]
    legs: tuple[System, ...]
    weights: tuple[float, ...]
    rrf_k: int

    def as_dict(self) -> dict[str, Any]:
        """As a result holds it."""
        names = [leg.name for leg in self.legs]
        weights = dict(zip(names, self.weights, strict=True))
        return {"by": self.by, "legs": names, "weights": weights} | ({"rrf_k": self.rrf_k} if self.by == "rrf" else {})


@dataclass(frozen=True, slots=True)
class RunFile:
    """Candidates that somebody else's system found, in TREC's form."""

    path: Path


Source: TypeAlias = Searched | Fused | RunFile


@dataclass(frozen=True, slots=True)
class System:
    """One pipeline: a source of candidates, then perhaps a reranker. It is a tree, whose branches are what it fuses.

    depth: candidates asked for where fusion or a reranker follows. k: length of the final ranking. build: which of its
    builds it is, from 0: the builds of its indexes, and the seeds of its models.
    """

    name: str
    key_path: str
    source: Source
    reranker: str | None = None
    depth: int = 100
    k: int = 10
    filter: Filter | None = None
    shared_space: bool = False
    build: int = 0

    @property
    def searched(self) -> Searched | None:
        """Its source where that is a search in a store."""
        return self.source if isinstance(self.source, Searched) else None

    @property
    def fused(self) -> Fused | None:
        """Its source where that is a fusion."""
        return self.source if isinstance(self.source, Fused) else None

    @property
    def run_file(self) -> Path | None:
        """Its source where that is a run file."""
        return self.source.path if isinstance(self.source, RunFile) else None

    @property
    def legs(self) -> tuple[System, ...]:
        """The systems that it fuses; none of any other system."""
        return self.source.legs if isinstance(self.source, Fused) else ()

    @property
    def store(self) -> StoreChoice | None:
        """The store that it searches itself."""
        return self.source.store if isinstance(self.source, Searched) else None

    @property
    def encoders(self) -> EncoderPair | None:
        """The encoders of its own search."""
        return self.source.encoders if isinstance(self.source, Searched) else None

    @property
    def payload(self) -> bool:
        """Whether its hits carry the documents' texts: all the searches below it return them, or none does."""
        return any(node.system.searched.payload for node in self.nodes() if node.system.searched is not None)

    @property
    def top(self) -> Node:
        """The top of its tree."""
        return Node(self, self.k)

    @property
    def limit(self) -> int:
        """How many documents its source of candidates is asked for, where it is not a leg."""
        return self.top.limit

    def nodes(self) -> Iterator[Node]:
        """Itself, then what it fuses, and so on down: each at its place."""
        return self.top.walk()


@dataclass(frozen=True, slots=True)
class Node:
    """A system at its place in a tree: both passes ask it for the same there.

    wanted: how many documents its place takes of it, k at the top and the fusion's depth below.
    """

    system: System
    wanted: int

    @property
    def limit(self) -> int:
        """How many candidates its source is asked for; with a reranker, how many that scores."""
        return max(self.system.depth, self.wanted) if self.system.reranker else self.wanted

    @property
    def legs(self) -> tuple[Node, ...]:
        """What it fuses."""
        return tuple(Node(leg, self.system.depth) for leg in self.system.legs)

    def walk(self) -> Iterator[Node]:
        """Itself and everything below."""
        yield self
        for leg in self.legs:
            yield from leg.walk()


@dataclass(frozen=True, slots=True)
class Questions:
    """The synthetic queries of an experiment that are not written yet. generator: who writes them. finder: the system
    that must find their documents, None where none must."""

    spec: Synthetic
    generator: Part
    finder: System | None

    @property
    def systems(self) -> list[System]:
        """The finder with all that it fuses; none where there is no finder."""
        return [] if self.finder is None else [node.system for node in self.finder.nodes()]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A valid experiment, its matrix expanded.

    resolved: the file with --set applied, as result.json keeps it. hash: 12 hex digits of everything in it that
    can change a result (so not the cache's place). own_addresses: what --set gave for addresses and variables of keys;
    all others are the file's, which somebody else may have written. alone: this is a dry run, which asks nobody but
    servers of the user's own on this machine that take no key. cuts: which of the dataset's queries are used for what.
    questions: how synthetic queries are written, None where the file says nothing of them. written: those that the
    dataset has, once they are there. spent: US dollars that this command has paid for them.
    """

    name: str
    file: str
    base: Path
    dataset: Part
    encoders: Mapping[str, Part]
    rerankers: Mapping[str, Part]
    generators: Mapping[str, Part]
    trackers: Mapping[str, Part]
    models: Mapping[str, TrainedPart]
    systems: tuple[System, ...]
    measures: tuple[Measure, ...]
    baseline: str | None
    margin: float | None
    latency_margin: float | None
    loads: tuple[LoadPoint, ...]
    targets: Mapping[Measure, tuple[float, ...]]
    settings: ExperimentFile
    resolved: Mapping[str, Any]
    hash: str
    own_addresses: frozenset[str] = frozenset()
    alone: bool = False
    cuts: Cuts = field(default_factory=Cuts)
    questions: Questions | None = None
    written: Written | None = None
    spent: float = 0.0

    @property
    def user(self) -> tuple[Path, str]:
        """Its file and name, as a cache records who uses it."""
        return Path(self.file).resolve(), self.name

    def context(self, vector_dimension: int | None = None, models: Mapping[str, Path] | None = None) -> Context:
        """What its adapters may know of it, in processes of their own too. models: as `Context.models`."""
        known = {} if models is None else models
        return Context(self.base, vector_dimension, self.settings.seed, self.own_addresses, self.alone, known)

    def models_of(self, system: System) -> list[Part]:
        """As the function of that name."""
        return models_of(system, self.encoders, self.rerankers)

    def builds_of(self, system: System) -> int:
        """How many builds a system has: one for each seed of its models and for each build of an index that training
        can change. Where it has both, seed i goes with build i."""
        stores = [node.system.store for node in system.nodes()]
        unseeded = any(store is not None and not store.kind.reproducible for store in stores)
        return max(self.seeds_of(system), self.settings.builds if unseeded else 1)

    def seeds_of(self, system: System) -> int:
        """How many seeds the models have that are trained for a system; 1 also where none is."""
        return max((part.seeds for part in self.models_of(system)), default=1)

    def at(self, system: System, build: int) -> System:
        """One build of a system, from 0. What it fuses is of the same build, as far as it has several."""
        source, reranker = system.source, system.reranker
        if isinstance(source, Fused):
            source = replace(source, legs=tuple(self.at(leg, build) for leg in source.legs))
        elif isinstance(source, Searched):
            source = self._searched_at(source, build)
        if reranker is not None:
            reranker = self.rerankers[plain_name(reranker)].of_build(build)
        return replace(system, source=source, reranker=reranker, build=build)

    def _searched_at(self, searched: Searched, build: int) -> Searched:
        pair, seeded = searched.encoders, False
        if pair is not None:
            document, query = (self.encoders[plain_name(name)] for name, _ in pair.roles)
            pair, seeded = EncoderPair(document.of_build(build), query.of_build(build)), document.seeds > 1
        # Vectors of another seed make another index anyway.
        index = 0 if searched.store.kind.reproducible else build if seeded else min(build, self.settings.builds - 1)
        return replace(searched, encoders=pair, build=index)

    @property
    def needs_written(self) -> bool:
        """Whether it needs synthetic queries: to evaluate, or to train models with."""
        return self.cuts.synthetic == "all" or (self.cuts.synthetic == "train" and bool(self.models))

    @property
    def kinds(self) -> tuple[type[Any], ...]:
        """The classes of the adapters that make its figures, each once."""
        kinds = [part.kind for part in (self.dataset, *self.encoders.values(), *self.rerankers.values())]
        kinds += [system.store.kind for system in self.systems if system.store is not None]
        return tuple(dict.fromkeys(kinds))

    @property
    def primary(self) -> Measure:
        """The measure that decides."""
        return self.measures[0]
