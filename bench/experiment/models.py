"""The models that an experiment trains: recipes with their options, read and joined with the parts that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field

from adapters import registry
from adapters.base import TRAINED, Options, listed
from bench.experiment.axes import combinations, shown
from bench.experiment.faults import Faults
from bench.experiment.file import ExperimentFile
from bench.experiment.named_system import named_system
from bench.experiment.negatives import Negatives
from bench.experiment.parts import (
    Candidates,
    Part,
    System,
    TrainedPart,
    Variant,
    models_named,
    models_of,
)
from bench.experiment.scored import ScoredData
from bench.experiment.structure import ALL_PAIRS, PairsFrom
from bench.messages.suggestions import suggestion

_MOST_VARIANTS = 100
_RUNS_ALIKE = {"model", "batch_size", "device"}  # options that leave the answers of a model as they are
_SOURCES = {
    "pairs": "the judgements",
    "scored": "pairs with a similarity",
    "documents": "the documents",
    "structure": "the structure of the documents",
}


class ModelEntry(Options):
    """The keys of a model that the harness reads itself; the others are its recipe's options."""

    recipe: str = Field(description="Which recipe trains it; its name decides which options there are.")
    seeds: int = Field(
        1, ge=1, le=64, description="How often it is trained, 1 to 64, to show how far trainings differ by chance."
    )
    pairs: int | None = Field(
        None, ge=8, description="How many pairs it learns from, the first by a hash of the query; left out, all."
    )
    leaks: Literal["drop", "refuse"] = Field(
        "drop",
        description="What becomes of a training pair whose query equals an evaluation query: drop leaves it out, "
        "refuse ends the run before it starts.",
    )
    negatives: Negatives | None = Field(
        None, description="Hard negatives to learn from; left out, none but the other pairs of a batch."
    )
    data: ScoredData | None = Field(
        None, description="Pairs of texts with a similarity, for recipes that learn from them; left out, none."
    )
    pairs_from: tuple[PairsFrom, ...] | None = Field(
        None,
        min_length=1,
        description="Pairs that the structure of the documents gives, instead of judgements: title, a title and its "
        "text; neighbours, passages of one document that follow one another; halves, the two halves of a text. Left "
        "out, judgements; for the recipe contrastive_pretrain, all three.",
    )
    passages_of: str | None = Field(
        None,
        description="Column of the documents whose value passages of one document share, such as meta.page; left out, "
        "what their ids say (d1#0, d1#1).",
    )


def read_models(
    faults: Faults,
    settings: ExperimentFile,
    parts: Mapping[str, Mapping[str, Part]],
    systems: Sequence[System],
) -> dict[str, TrainedPart]:
    """The models of the file in the order in which they are trained. parts: those of the file, by what they are:
    encoder, reranker, generator. What is wrong goes to the faults."""
    reading = _Reading(faults, settings, parts, systems)
    found = {name: part for name, spec in settings.models.items() if (part := reading.model(name, spec)) is not None}
    return reading.in_order(found)


class _Reading:
    def __init__(
        self,
        faults: Faults,
        settings: ExperimentFile,
        parts: Mapping[str, Mapping[str, Part]],
        systems: Sequence[System],
    ) -> None:
        self._faults = faults
        self._settings = settings
        self._parts = parts
        self._systems = systems

    def model(self, name: str, spec: Mapping[str, Any]) -> TrainedPart | None:
        path = f"models.{name}"
        kind = self._faults.adapter("trainers", spec, path, key="recipe")
        if kind is None:
            return None
        own = {key: value for key, value in spec.items() if key in ModelEntry.model_fields}
        entry = self._faults.options(ModelEntry, own, path)
        further = {key: value for key, value in spec.items() if key not in own}
        base, base_is = self._base(kind, further, path)
        variants = self._variants(kind, further, path)
        if entry is None or base is None or not variants:
            return None
        self._check_needs(kind, entry, variants, path)
        return TrainedPart(
            name=name,
            key_path=path,
            recipe=entry.recipe,
            kind=kind,
            variants=tuple(variants),
            base=base,
            base_is=base_is,
            seeds=entry.seeds,
            leaks=entry.leaks,
            pairs=entry.pairs,
            negatives=entry.negatives,
            miner=self._miner(entry.negatives, base, base_is, path),
            filter=None if entry.negatives is None else self._parts["reranker"].get(str(entry.negatives.filter)),
            writer=None if entry.negatives is None else self._parts["generator"].get(str(entry.negatives.by)),
            candidates=self._candidates(entry.negatives, path),
            scored=entry.data,
            pairs_from=entry.pairs_from or (ALL_PAIRS if kind.learns_from == "structure" else None),
            passages_of=entry.passages_of,
        )

    def _variants(self, kind: Any, options: Mapping[str, Any], path: str) -> list[Variant]:
        """Every combination of the options' lists."""
        listed_by_type = {key for key, value in options.items() if isinstance(value, list) and _takes_list(kind, key)}
        swept = {key: value for key, value in options.items() if key not in listed_by_type}
        found: list[Variant] = []
        wrong = [self._wrong_list(value, f"{path}.{key}") for key, value in swept.items() if isinstance(value, list)]
        if any(wrong):  # all of them are told
            return []
        for chosen, names in combinations(swept):
            if len(found) == _MOST_VARIANTS:
                self._faults.fault(path, f"stands for more than {_MOST_VARIANTS} trainings. Shorten its lists.")
                return []
            values = {**chosen, **{key: options[key] for key in listed_by_type}}
            checked = self._faults.options(kind.Options, self._resolved(kind, values, path), path)
            if checked is None:
                return []  # one combination names the fault, and the others would repeat it
            found.append(Variant(checked, names))
        return found

    def _wrong_list(self, values: list[Any], path: str) -> bool:
        """Whether a list of options says nothing, or the same twice; told as a fault."""
        twice = [each for place, each in enumerate(values) if each in values[:place]]
        if not values:
            self._faults.fault(path, "is an empty list. Write a value, or several, of which dev chooses.")
        elif twice:
            self._faults.fault(path, f"names {shown(twice[0])} twice: both would be the same training.")
        return not values or bool(twice)

    def _resolved(self, kind: Any, options: dict[str, Any], path: str) -> dict[str, Any]:
        """The options with the models that names of the file stand for."""
        found = dict(options)
        for option in kind.references:
            value = options.get(option)
            if not isinstance(value, str):
                continue
            part = self._named(value)
            if part is not None and option != "base":
                self._check_help(part, f"{path}.{option}")
            if part is not None and (model := getattr(part.options, "model", None)) is None:
                self._faults.fault(
                    f"{path}.{option}", f"({value}) is an encoder without a model in this process to start from."
                )
            elif part is not None:
                found[option] = model
                if option == "base":
                    for key in ("revision", "trust_remote_code"):
                        if key in kind.Options.model_fields and key not in options and getattr(part.options, key, None):
                            found[key] = getattr(part.options, key)
            elif value.startswith(TRAINED) and value.removeprefix(TRAINED) not in self._settings.models:
                self._unknown(f"{path}.{option}", value)
        return found

    def _check_help(self, part: Part, key_path: str) -> None:
        """Whether a part that helps to train, such as a teacher, is a model on this machine, as its folder says."""
        local = {registry.LOCAL["encoders"], registry.LOCAL["rerankers"]}
        if part.adapter not in local:
            self._faults.fault(
                key_path,
                f"({part.name}) is no model on this machine but a part of adapter {part.adapter}. Name one of adapter "
                f"{listed(sorted(local))}, or a model itself.",
            )
            return
        own = sorted(set(part.options.model_fields_set) - _RUNS_ALIKE)
        if own:
            self._faults.fault(
                key_path,
                f"({part.name}) has options of its own ({listed(own)}), and a model that helps to train runs as its "
                f"folder says. Name the model itself: {part.options.model}",
            )

    def _named(self, value: str) -> Part | None:
        models = (self._parts["encoder"], self._parts["reranker"])
        return next((parts[value] for parts in models if value in parts), None)

    def _unknown(self, key_path: str, value: str) -> None:
        name = value.removeprefix(TRAINED)
        self._faults.not_there(key_path, name, "among the models", suggestion(name, self._settings.models))

    def _base(
        self, kind: Any, options: Mapping[str, Any], path: str
    ) -> tuple[Part | None, Literal["encoder", "reranker"]]:
        """The part that the training starts from, and what it is."""
        value = options.get("base")
        if not isinstance(value, str):  # reading the options names what is wrong
            return None, "encoder"
        for what in ("encoder", "reranker"):
            if value in self._parts[what]:
                return _reading_all(self._parts[what][value]), what
        makes: Literal["encoder", "reranker"] = "encoder"
        if value.startswith(TRAINED):
            spec = self._settings.models.get(value.removeprefix(TRAINED))
            base_kind = self._faults.adapter("trainers", spec, path, key="recipe") if spec else None
            makes = "encoder" if base_kind is None else base_kind.makes
        return _part(path, makes, value), makes

    def _miner(self, negatives: Negatives | None, base: Part, base_is: str, path: str) -> Part | None:
        """The encoder that finds negatives; None where none is asked."""
        if negatives is None or not negatives.by_vectors:
            return None
        if negatives.model is not None:  # an unknown name is a fault of its own
            miner = self._parts["encoder"].get(negatives.model)
        else:
            miner = base if base_is == "encoder" else None
        if miner is not None:
            return reading_at_once(self._faults, miner, negatives, f"{path}.negatives")
        if negatives.model is not None:
            return None
        self._faults.fault(
            f"{path}.negatives.model",
            "is missing: the base is a reranker, which cannot mine. Name an encoder of the file.",
        )
        return None

    def _candidates(self, negatives: Negatives | None, path: str) -> Candidates | None:
        """The system whose candidates are negatives; None where that is none or a fault."""
        if negatives is None or negatives.system is None:
            return None
        name, key_path = negatives.system, f"{path}.negatives.system"
        found = named_system(self._faults, self._settings, name, key_path, self._systems, label=f"candidates of {name}")
        if found is None:
            return None
        return Candidates(found, tuple(models_of(found, self._parts["encoder"], self._parts["reranker"])))

    def _check_needs(self, kind: Any, entry: ModelEntry, variants: Sequence[Variant], path: str) -> None:
        """Whether the recipe gets what it learns from, and heeds what it is given."""
        needs = [kind(variant.options).needs_negatives for variant in variants]
        if any(needs) and entry.negatives is None:
            self._faults.fault(
                f"{path}.negatives",
                f"is missing: recipe {entry.recipe} learns from negatives. Write for example: "
                "negatives: {strategy: hybrid, per_query: 7}",
            )
        if entry.negatives is not None and not (kind.takes_negatives or any(needs)):
            self._faults.fault(
                f"{path}.negatives", f"has no effect: recipe {entry.recipe} does not learn from negatives."
            )
        if kind.learns_from == "scored" and entry.data is None:
            self._faults.fault(
                f"{path}.data",
                f"is missing: recipe {entry.recipe} learns from pairs with a similarity. Name a file of them: "
                "data: {path: FILE.tsv}",
            )
        if kind.learns_from != "scored" and entry.data is not None:
            source = _SOURCES[kind.learns_from]
            self._faults.fault(f"{path}.data", f"has no effect: recipe {entry.recipe} learns from {source}.")
        self._check_structure(kind, entry, path)
        if kind.learns_from == "documents" and entry.pairs is not None:
            self._faults.fault(f"{path}.pairs", f"has no effect: recipe {entry.recipe} learns from the documents.")
        if kind.learns_from == "scored" and entry.pairs is not None and entry.data is None:
            self._faults.fault(f"{path}.pairs", "has no effect without data.")
        negatives = entry.negatives
        for option, what in (("model", "encoder"), ("filter", "reranker"), ("by", "generator")):
            name = getattr(negatives, option, None)
            if name is not None and name not in self._parts[what]:
                self._faults.not_there(
                    f"{path}.negatives.{option}", name, f"among the {what}s", suggestion(name, self._parts[what])
                )

    def _check_structure(self, kind: Any, entry: ModelEntry, path: str) -> None:
        """Whether pairs of the documents' structure are heeded."""
        by_structure = kind.learns_from == "structure" or entry.pairs_from is not None
        if entry.pairs_from is not None and kind.learns_from not in ("pairs", "structure"):
            source = _SOURCES[kind.learns_from]
            self._faults.fault(f"{path}.pairs_from", f"has no effect: recipe {entry.recipe} learns from {source}.")
        if entry.passages_of is not None and not by_structure:
            self._faults.fault(f"{path}.passages_of", "has no effect without pairs_from.")

    def in_order(self, models: dict[str, TrainedPart]) -> dict[str, TrainedPart]:
        """The models, each after those that it starts from. A circle is a fault."""
        graph = {name: [each for each in part.needed() if each in models] for name, part in models.items()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            self._circle(models, error.args[1][::-1])
            return models
        for name in order:
            for base in graph[name]:
                one, other = models[name].seeds, models[base].seeds
                if other not in (1, one):
                    self._faults.fault(
                        f"models.{name}.seeds",
                        f"({one}) must be as many as those of {base} ({other}): seed i goes with seed i.",
                    )
        return {name: models[name] for name in order}

    def _circle(self, models: Mapping[str, TrainedPart], names: Sequence[str]) -> None:
        """Name models that need each other, and where a system's candidates lead into the circle, that system. names:
        each needs the next, and the last is the first."""
        for name, needed in pairwise(names):
            negatives, candidates = models[name].negatives, models[name].candidates
            if negatives is None or candidates is None:
                continue
            if needed in (each for part in candidates.parts for each in models_named(part.options)):
                place = names.index(name)
                circle = [*names[place:-1], *names[:place], name]
                self._faults.fault(
                    f"models.{name}.negatives.system",
                    f"({negatives.system}) needs the model {needed}, and {' needs '.join(circle)}: a circle. Name a "
                    "system that can search before this model is trained, such as bm25.",
                )
                return
        self._faults.fault(f"models.{names[0]}", f"would be trained from itself: {' from '.join(names)}.")


def _takes_list(kind: Any, option: str) -> bool:
    """Whether an option is itself a list, so that a plain list is one value of it."""
    field = kind.Options.model_fields.get(option)
    return field is not None and (
        "list" in str(field.annotation) or "Sequence" in str(field.annotation) or "tuple" in str(field.annotation)
    )


def reading_at_once(faults: Faults, miner: Part, negatives: Negatives, key_path: str) -> Part:
    """The mining model, which reads as many texts at once as the negatives say."""
    if negatives.batch_size is None:
        return miner
    kind = type(miner.options)
    if "batch_size" not in kind.model_fields:
        faults.fault(f"{key_path}.batch_size", f"has no effect: {miner.name} ({miner.adapter}) has no such option.")
        return miner
    given = {**miner.options.model_dump(exclude_unset=True), "batch_size": negatives.batch_size}
    options = faults.options(kind, given, key_path)
    return miner if options is None else replace(miner, options=options)


def _reading_all(part: Part) -> Part:
    """A base as a trained model is measured on dev: it reads as much of a text as its model can. A limit of the file is
    how a system reads, and would make the base look worse or better than it is."""
    if getattr(part.options, "max_length", None) is None:
        return part
    return replace(part, options=part.options.model_copy(update={"max_length": None}))


def _part(path: str, what: Literal["encoder", "reranker"], model: str) -> Part:
    """A part of a model that the file does not name as one."""
    role: registry.RoleName = "encoders" if what == "encoder" else "rerankers"
    kind = registry.load(role, registry.LOCAL[role])
    options = kind.Options(model=model)
    return Part(f"base of {path}", registry.LOCAL[role], kind, options, f"{path}.base")
