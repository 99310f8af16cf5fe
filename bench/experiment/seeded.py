"""Parts that name trained models: one for each seed, and whether models and seeds stand where they can."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from adapters.base import TRAINED, listed
from bench.experiment.faults import Faults
from bench.experiment.parts import Part, System, TrainedPart, models_named, plain_name
from bench.messages.suggestions import suggestion


def with_seeds(
    faults: Faults,
    parts: Mapping[str, Part],
    models: Mapping[str, TrainedPart],
    named: Collection[str],
    makes: Literal["encoder", "reranker"],
) -> dict[str, Part]:
    """The parts of a role; one that names a trained model has, beside itself, one part for each seed of the model.

    named: the models that the file names, among them those with faults.
    """
    found: dict[str, Part] = {}
    for name, part in parts.items():
        found[name] = part
        for model_name in models_named(part.options):
            model = models.get(model_name)
            if model is None and model_name in named:
                continue  # what is wrong with that model is named already
            if model is None:
                faults.not_there(
                    f"{part.key_path}.model", model_name, "among the models", suggestion(model_name, named)
                )
            elif model.kind.makes != makes:
                faults.fault(
                    f"{part.key_path}.model",
                    f"({TRAINED}{model_name}) is {_with_article(model.kind.makes)}, named under {model.kind.makes}s.",
                )
            else:
                found |= _seeded(part, model)
    return found


def _seeded(part: Part, model: TrainedPart) -> dict[str, Part]:
    whole = replace(part, seeds=model.seeds)
    option = next(n for n, v in part.options if v == f"{TRAINED}{model.name}")
    seeds = {
        whole.of_build(seed - 1): replace(
            part,
            name=whole.of_build(seed - 1),
            options=part.options.model_copy(update={option: model.reference(seed)}),
        )
        for seed in range(1, model.seeds + 1)
    }
    return {part.name: whole, **seeds}


def with_encoders_of_builds(rerankers: Mapping[str, Part], encoders: Mapping[str, Part]) -> dict[str, Part]:
    """The rerankers; one that works on the vectors of an encoder with seeds has a part for each seed as well."""
    found = dict(rerankers)
    for name, part in rerankers.items():
        encoder = encoders.get(str(getattr(part.options, "encoder", None)))
        if part.kind.needs != "vector" or encoder is None or encoder.seeds == 1:
            continue
        whole = replace(part, seeds=encoder.seeds)
        found[name] = whole
        for build in range(encoder.seeds):
            options = part.options.model_copy(update={"encoder": encoder.of_build(build)})
            found[whole.of_build(build)] = replace(part, name=whole.of_build(build), options=options)
    return found


def check_models(
    faults: Faults,
    systems: Sequence[System],
    encoders: Mapping[str, Part],
    rerankers: Mapping[str, Part],
    models: Mapping[str, TrainedPart],
    builds: int,
) -> None:
    """Name the systems whose models cannot stand where they do, or not together."""
    for system in systems:
        _check_seeds(faults, system, encoders, rerankers, builds)
        _check_sides(faults, system, encoders, models)


def _check_seeds(
    faults: Faults, system: System, encoders: Mapping[str, Part], rerankers: Mapping[str, Part], builds: int
) -> None:
    """Name a system whose seeds and builds do not go together: seed i goes with seed i and with build i."""
    seeds: dict[str, int] = {}
    unseeded = False
    for node in system.nodes():
        pair, reranker = node.system.encoders, node.system.reranker
        names = [plain_name(name) for name, _ in pair.roles] if pair else []
        seeds |= {f"encoders.{name}": encoders[name].seeds for name in names if name in encoders}
        if reranker is not None and plain_name(reranker) in rerankers:
            seeds[f"rerankers.{plain_name(reranker)}"] = rerankers[plain_name(reranker)].seeds
        unseeded = unseeded or (node.system.store is not None and not node.system.store.kind.reproducible)
    several = {name: count for name, count in seeds.items() if count > 1}
    if len(set(several.values())) > 1:
        told = listed([f"{name} ({count})" for name, count in several.items()])
        faults.fault(system.key_path, f"joins models of different numbers of seeds: {told}. Seed i goes with seed i.")
    elif several and unseeded and builds not in (1, *several.values()):
        name, count = next(iter(several.items()))
        faults.fault(
            "builds", f"({builds}) must be 1 or as many as the seeds of {name} ({count}): seed i goes with build i."
        )


def _check_sides(
    faults: Faults, system: System, encoders: Mapping[str, Part], models: Mapping[str, TrainedPart]
) -> None:
    """Name a system that embeds documents with a model that learnt queries alone."""
    for node in system.nodes():
        pair = node.system.encoders
        part = encoders.get(plain_name(pair.document)) if pair else None
        for name in models_named(part.options) if part is not None else ():
            options = models[name].variants[0].options if name in models else None
            if options is None or not models[name].kind(options).queries_alone:
                continue
            assert pair is not None
            faults.fault(
                node.system.key_path,
                f"embeds documents with {plain_name(pair.document)}, whose model learnt to encode queries alone. Write "
                f"encoder: {{document: NAME, query: {plain_name(pair.query)}}} and shared_space: true, where NAME is "
                f"the encoder of its teacher ({options.teacher}).",
            )


def _with_article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
