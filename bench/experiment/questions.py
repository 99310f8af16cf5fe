"""Reads how an experiment's synthetic queries are written, and joins it with the parts that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.base import TRAINED
from bench.experiment.cuts import Cuts
from bench.experiment.faults import Faults
from bench.experiment.file import ExperimentFile
from bench.experiment.named_system import named_system
from bench.experiment.parts import Part, Questions, System, plain_name
from bench.experiment.structured import Structured
from bench.experiment.synthetic import RoundTrip
from bench.messages.suggestions import suggestion

ROUND_TRIP = "round trip"


def read_questions(
    faults: Faults,
    settings: ExperimentFile,
    cuts: Cuts,
    generators: Mapping[str, Part],
    systems: Sequence[System],
) -> Questions | None:
    """How the synthetic queries are written; None where the file says nothing of them. What is wrong goes to the
    faults."""
    spec = settings.synthetic
    if spec is None:
        if cuts.synthetic is not None:
            faults.fault(
                "synthetic",
                "is missing: dataset.queries asks for synthetic queries. Say which generator of the file writes them: "
                "synthetic: {by: NAME}",
            )
        return None
    if isinstance(spec, Structured):
        if cuts.synthetic is not None:
            faults.fault(
                "dataset.queries",
                "asks for questions for its documents, and synthetic.template makes labelled examples. Write those "
                "with bench generate, and name their folder as a dataset.",
            )
        return None
    if cuts.synthetic == "train" and not settings.models:
        faults.fault("dataset.queries.train", "has no effect without models to train.")
    if spec.by not in settings.generators:
        faults.not_there("synthetic.by", spec.by, "among the generators", suggestion(spec.by, settings.generators))
    generator = generators.get(spec.by)
    finder = None if spec.round_trip is None else _finder(faults, settings, spec.round_trip, systems)
    return None if generator is None else Questions(spec, generator, finder)


def _finder(
    faults: Faults, settings: ExperimentFile, round_trip: RoundTrip, systems: Sequence[System]
) -> System | None:
    """The system that must find the document of a question."""
    name, path = round_trip.system, "synthetic.round_trip.system"
    found = named_system(faults, settings, name, path, systems, label=ROUND_TRIP)
    if found is not None and (trained := _trained(settings, found)):
        faults.fault(
            path,
            f"({name}) needs the model {trained}, which is trained before anything is measured with it. Name a system "
            "without trained models.",
        )
        return None
    return found


def _trained(settings: ExperimentFile, finder: System) -> str | None:
    """The first trained model that a system needs."""
    for node in finder.nodes():
        pair, reranker = node.system.encoders, node.system.reranker
        specs = [settings.encoders.get(plain_name(name), {}) for name, _ in pair.roles] if pair else []
        specs += [settings.rerankers.get(plain_name(reranker), {})] if reranker else []
        for value in (value for spec in specs for value in spec.values()):
            if isinstance(value, str) and value.startswith(TRAINED):
                return value.removeprefix(TRAINED)
    return None
