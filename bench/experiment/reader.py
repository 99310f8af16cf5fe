"""YAML to Experiment: reads the file, names every fault at once, expands the matrix to a list of systems.

Nothing here touches data, models or servers: what needs them is checked by the runner before the start.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters import registry
from adapters.base import DatasetInvalid, open_text, resolve_path
from bench.cache.digests import content_key
from bench.experiment.cuts import Cuts
from bench.experiment.faults import ConfigFaults, Faults, steps
from bench.experiment.file import LONGEST_RANKING, ExperimentFile, LoadPoint
from bench.experiment.matrix import expand_systems
from bench.experiment.models import read_models
from bench.experiment.overrides import addresses_given, override
from bench.experiment.parts import Experiment, Part, Questions, System, TrainedPart
from bench.experiment.places import BESIDE_ADAPTER, of_parts
from bench.experiment.questions import read_questions
from bench.experiment.restriction import Restriction
from bench.experiment.seeded import check_models, with_encoders_of_builds, with_seeds
from bench.experiment.to_fill import places_to_fill
from bench.experiment.yaml_text import LONGEST, parse_yaml
from bench.messages.secrets import is_secret, looks_secret, secret_in_address
from bench.statistics.measures import Measure

_LONGEST_MEASURE = 200  # characters
_MOST_MEASURES = 500
_MOST_LOOKED_FOR = 20  # unknown keys that are looked for among the options of every part


def load_experiment(
    path: Path, overrides: Sequence[str] = (), *, working_directory: Path | None = None, restricted: bool = False
) -> Experiment:
    """Read an experiment file. overrides: `key.path=value` as --set gives them. restricted: what a stranger's file may
    not do is a fault. Raises ConfigFaults."""
    file = str(path)
    if not os.path.lexists(path):
        raise ConfigFaults([f"{file}: there is no such file. Write one with: bench init DIR"])
    if restricted and (leads := path.resolve()).parent != path.parent.resolve():
        raise ConfigFaults([f"{file}: is a link that leads to {leads}. Name that file itself, if you mean it."])
    try:
        with open_text(path) as opened:
            text = opened.read(LONGEST + 1)
    except DatasetInvalid as error:
        raise ConfigFaults([str(error)]) from error
    except UnicodeDecodeError as error:
        raise ConfigFaults([f"{file}: is not {error.encoding.upper()}. Save the file as UTF-8."]) from error
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise ConfigFaults([f"{file}: {error}"]) from error
    if not isinstance(raw, dict):
        raise ConfigFaults([f"{file}: expected a mapping that starts with `experiment: NAME`."])
    base = _base(path)
    found = override(raw, overrides, (working_directory or Path.cwd()).resolve())
    faults = Faults(file, base, found, one_load=isinstance(raw.get("latency"), dict))
    return _Reader(faults, addresses_given(overrides), Restriction(base.resolve()) if restricted else None).read(raw)


def experiment_of(values: Mapping[str, Any], base: Path, file: str) -> Experiment:
    """The experiment that a result holds. base: where its relative paths start. file: what faults name. Raises
    ConfigFaults, as where an adapter is not installed here."""
    raw = copy.deepcopy(dict(values))
    return _Reader(Faults(file, base, [], one_load=isinstance(raw.get("latency"), dict)), frozenset(), None).read(raw)


def _base(path: Path) -> Path:
    """The folder of the file, from which its relative paths start."""
    try:
        return resolve_path(Path(), path.resolve().parent)
    except ValueError as error:
        raise ConfigFaults([f"{path}: {error}"]) from error


class _Reader:
    """Reads a file's values once; what is wrong goes to the faults."""

    def __init__(self, faults: Faults, own_addresses: frozenset[str], restriction: Restriction | None) -> None:
        self._faults = faults
        self._restriction = restriction
        self._own_addresses = own_addresses

    # -- the file ------------------------------------------------------------------------------------------------

    def read(self, raw: dict[str, Any]) -> Experiment:
        self._refuse_secrets(raw, "")
        self._refuse_places(raw)
        settings = self._settings(raw)
        measures = self._measures(settings.measures, "measures")
        dataset, cuts = self._dataset(settings.dataset)
        roles: tuple[registry.RoleName, ...] = ("encoders", "rerankers", "generators", "trackers")
        encoders, rerankers, generators, trackers = (
            self._faults.parts(role, getattr(settings, role)) for role in roles
        )
        systems = expand_systems(self._faults, settings, measures)
        named = {"encoder": encoders, "reranker": rerankers, "generator": generators}
        models = read_models(self._faults, settings, named, systems)
        encoders = with_seeds(self._faults, encoders, models, settings.models, "encoder")
        rerankers = with_seeds(self._faults, rerankers, models, settings.models, "reranker")
        rerankers = with_encoders_of_builds(rerankers, encoders)
        questions = read_questions(self._faults, settings, cuts, generators, systems)
        targets, loads = self._targets(settings.targets), self._loads(settings)
        self._cross_checks(settings, systems)
        check_models(self._faults, systems, encoders, rerankers, models, settings.builds)
        parts = [*([dataset] if dataset else []), *encoders.values(), *rerankers.values()]
        self._restrict(settings, parts, systems, models, questions)
        self._faults.stop()
        assert dataset is not None
        resolved = {**settings.model_dump(mode="json", exclude_unset=True), "measures": [str(m) for m in measures]}
        experiment = Experiment(
            name=settings.experiment,
            file=self._faults.file,
            base=self._faults.base,
            dataset=dataset,
            encoders=encoders,
            rerankers=rerankers,
            generators=generators,
            trackers=trackers,
            models=models,
            systems=tuple(systems),
            measures=measures,
            baseline=settings.baseline,
            margin=settings.margins.quality,
            latency_margin=settings.margins.latency,
            loads=loads,
            targets=targets,
            settings=settings,
            resolved=resolved,
            hash=content_key({**resolved, "cache": None, "base": str(self._faults.base)})[:12],
            own_addresses=self._own_addresses,
            cuts=cuts,
            questions=questions,
        )
        return replace(experiment, systems=tuple(experiment.at(system, 0) for system in systems))

    def _restrict(
        self,
        settings: ExperimentFile,
        parts: Sequence[Part],
        systems: Sequence[System],
        models: Mapping[str, TrainedPart],
        questions: Questions | None,
    ) -> None:
        """Name what a restricted run refuses, where this is one."""
        if self._restriction is None:
            return
        if questions is not None:
            parts, systems = [*parts, questions.generator], [*systems, *questions.systems]
        for model in models.values():
            parts = [*parts, *([] if model.writer is None else [model.writer])]
            systems = [*systems, *([] if model.candidates is None else model.candidates.systems)]
        for at, what in self._restriction.faults(settings, parts, settings.trackers, systems, models.values()):
            self._faults.fault(at, what)

    def _settings(self, raw: dict[str, Any]) -> ExperimentFile:
        """The file as a model. An unknown key is named, and then read as the key that was meant, or left out. So
        nothing that depends on it becomes a fault of its own, and further faults are found too."""
        try:
            return ExperimentFile.model_validate(raw)
        except ValidationError as error:
            unknown = [str(steps(e)[-1]) for e in error.errors(include_url=False) if e["type"] == "extra_forbidden"]
            in_parts = {
                place: keys for word in unknown[:_MOST_LOOKED_FOR] for place, keys in of_parts(raw, word).items()
            }
            self._faults.model_faults(error, "", ExperimentFile, in_parts)
            corrected = self._faults.corrected(raw, error, ExperimentFile, "")
            try:
                return ExperimentFile.model_validate(corrected)
            except ValidationError as second:
                self._faults.model_faults(second, "", ExperimentFile)
                raise ConfigFaults(self._faults.found) from error

    def _dataset(self, spec: Mapping[str, Any]) -> tuple[Part | None, Cuts]:
        """The adapter with its options, and the harness's own keys. A key that both know is the adapter's, where that
        has a use for it."""
        kind = self._faults.adapter("datasets", spec, "dataset")
        own = {key for key in Cuts.model_fields if key in spec and not (kind is not None and kind.takes(key, spec))}
        own |= {"queries"} if Cuts.means_queries(spec.get("queries")) else set()
        adapters = {key: value for key, value in spec.items() if key not in own}
        part = self._faults.part("datasets", "dataset", adapters, "dataset", {BESIDE_ADAPTER: [*Cuts.model_fields]})
        cuts = self._faults.options(Cuts, {key: spec[key] for key in own}, "dataset")
        return part, cuts or Cuts()

    def _refuse_places(self, raw: dict[str, Any]) -> None:
        """Name the places that a user must fill. What else is wrong depends on what will stand there."""
        if places := list(places_to_fill(raw)):
            for at, what in places:
                self._faults.fault(at, f"is still to be filled in: {what}.")
            self._faults.stop()

    def _refuse_secrets(self, node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                here = f"{path}.{key}" if path else str(key)
                if isinstance(value, str) and is_secret(str(key), value, below=path):
                    self._faults.fault(
                        here,
                        "looks like a secret written into the file. Put it into an environment variable and, where "
                        "the provider's usual variable is not it, name the variable: api_key_env: NAME",
                    )
                else:
                    self._refuse_secrets(value, here)
        elif isinstance(node, list):
            for i, item in enumerate(node):
                if isinstance(item, str) and looks_secret(item):
                    self._faults.fault(f"{path}[{i}]", "looks like a secret written into the file. Leave it out.")
                else:
                    self._refuse_secrets(item, f"{path}[{i}]")
        elif isinstance(node, str) and (held := secret_in_address(node)):
            self._faults.fault(
                path,
                f"carries {held} in its address, which every result would repeat. Write the address without. Put the "
                "key into an environment variable and, where the provider's usual variable is not it, name the "
                "variable: api_key_env: NAME",
            )

    def _measures(self, items: Sequence[str | int], key_path: str) -> tuple[Measure, ...]:
        """`[Recall@1, 3, 5]` is Recall at 1, 3 and 5: a bare number repeats the measure before it."""
        measures: list[Measure] = []
        for i, item in enumerate(items):
            try:
                if isinstance(item, int):
                    if not measures:
                        raise ValueError("a cut-off without a measure before it; write nDCG@10")
                    measures.append(replace(measures[-1], cutoff=item))
                else:
                    if len(item) > _LONGEST_MEASURE:
                        raise ValueError("no measure is spelt so long")
                    first, *cutoffs = [piece.strip() for piece in re.split(r",(?![^()]*\))", item)]
                    measures.append(Measure.parse(first))
                    measures += [replace(measures[-1], cutoff=int(c)) for c in cutoffs]
            except ValueError as error:
                self._faults.fault(f"{key_path}[{i}]", f"({str(item)[:_LONGEST_MEASURE]}): {error}")
        if any(measure.cutoff > LONGEST_RANKING for measure in measures):
            self._faults.fault(key_path, f"is cut beyond rank {LONGEST_RANKING:,}, which no ranking here reaches.")
        if len(measures) > _MOST_MEASURES:
            self._faults.fault(key_path, f"stands for {len(measures):,} measures; {_MOST_MEASURES} are the most.")
        if not items:
            self._faults.fault(key_path, "is empty. The first measure decides; write for example [nDCG@10, Recall@10].")
        return tuple(dict.fromkeys(measures))

    def _targets(self, targets: Mapping[str, Sequence[float]]) -> dict[Measure, tuple[float, ...]]:
        parsed: dict[Measure, tuple[float, ...]] = {}
        for name, values in targets.items():
            for measure in self._measures([name], f"targets.{name}"):
                parsed[measure] = tuple(sorted(values))
        return parsed

    def _loads(self, settings: ExperimentFile) -> tuple[LoadPoint, ...]:
        points = settings.latency
        for i, point in enumerate(points):
            self._faults.check_name(f"latency[{i}].name", point.name or "")
            if point.mode == "open" and point.rate is None:
                self._faults.fault(f"latency[{i}].rate", "is missing: an open loop needs queries per second.")
        if points and points[0].ingest:
            self._faults.fault(
                "latency[0].ingest",
                "cannot stand in the first load point, which fronts, targets and costs go by. Put another before it.",
            )
        labels = [point.label for point in points if point.name or point.mode == "closed" or point.rate is not None]
        for label in (label for label, count in Counter(labels).items() if count > 1):
            self._faults.fault("latency", f"has two load points called {label}. Give them names.")
        return tuple(points)

    def _cross_checks(self, settings: ExperimentFile, systems: Sequence[System]) -> None:
        fault = self._faults.fault
        if settings.targets and not settings.latency:
            fault("targets", "ask for the cheapest setting, and latency is off. Give load points: latency: {…}")
        names = [system.name for system in systems]
        if settings.baseline is not None and settings.baseline not in names:
            self._faults.not_a_system("baseline", settings.baseline, names)
        if settings.margin is not None and settings.baseline is None:
            fault("margin", "has no meaning without a baseline. Name one: baseline: SYSTEM")
        if settings.margins.latency is not None and not settings.latency:
            fault("margin.latency", "has no meaning while latency is off. Give load points: latency: {…}")
        if settings.baseline in names:
            reference = next(s for s in systems if s.name == settings.baseline)
            if all(s.filter != reference.filter for s in systems if s is not reference) and len(systems) > 1:
                fault("baseline", "has another filter than every other system, so nothing can be compared.")
