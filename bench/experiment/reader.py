"""YAML to Experiment: reads the file, names every fault at once, expands the matrix to a list of systems.

Nothing here touches data, models or servers: what needs them is checked by the runner before the start.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from adapters import printable, registry, unprintable
from adapters.base import Context, DatasetInvalid, Filter, InvalidOptions, open_text, resolve_path
from bench.cache.artifacts import content_key
from bench.experiment.file import ExperimentFile, LoadPoint
from bench.experiment.matrix import System, expand_systems
from bench.experiment.overrides import addresses_given, override, written
from bench.experiment.places import BESIDE_ADAPTER, elsewhere, holding, known_keys, of_parts
from bench.experiment.yaml_text import parse_yaml
from bench.messages.failures import failure_of
from bench.messages.secrets import is_secret, looks_secret, redacted, secret_in_address
from bench.messages.suggestions import advice, meant, suggestion
from bench.statistics.measures import Measure

_LONGEST_MEASURE = 200  # characters
_LONGEST_SHOWN = 300  # characters of a value in a fault


class ConfigFaults(Exception):
    """Everything that is wrong with an experiment, one sentence each, known before the start."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Part:
    """A named dataset, encoder, reranker or tracker: its adapter class and validated options."""

    name: str
    adapter: str
    kind: type[Any]
    options: Any
    key_path: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """A valid experiment, its matrix expanded.

    resolved: the file with --set applied, as result.json keeps it. hash: 12 hex digits of everything in it that
    can change a result (so not the cache's place). own_addresses: what --set gave for addresses; all others are the
    file's, which somebody else may have written. alone: this is a dry run, which asks nobody but servers of the user's
    own on this machine that take no key.
    """

    name: str
    file: str
    base: Path
    dataset: Part
    encoders: Mapping[str, Part]
    rerankers: Mapping[str, Part]
    trackers: Mapping[str, Part]
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

    def context(self, vector_dimension: int | None = None) -> Context:
        """What its adapters may know of it."""
        return Context(self.base, vector_dimension, self.settings.seed, self.own_addresses, self.alone)

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


def load_experiment(path: Path, overrides: Sequence[str] = (), *, working_directory: Path | None = None) -> Experiment:
    """Read an experiment file. overrides: `key.path=value` as --set gives them. Raises ConfigFaults."""
    file = str(path)
    if not os.path.lexists(path):
        raise ConfigFaults([f"{file}: there is no such file. Write one with: bench init DIR"])
    try:
        with open_text(path) as opened:
            text = opened.read()
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
    reader = Reader(file, _base(path))
    reader.faults += override(raw, overrides, (working_directory or Path.cwd()).resolve())
    return replace(reader.read(raw), own_addresses=addresses_given(overrides))


def _base(path: Path) -> Path:
    """The folder of the file, from which its relative paths start."""
    try:
        return resolve_path(Path(), path.resolve().parent)
    except ValueError as error:
        raise ConfigFaults([f"{path}: {error}"]) from error


class Reader:
    """Collects faults while it reads; each is printed with the file and the key path that --set would take."""

    def __init__(self, file: str, base: Path) -> None:
        self.file = file
        self.base = base
        self.faults: list[str] = []
        self.lost: list[str | None] = []  # names of the systems that a fault keeps from being made, None for unnamed
        self._one_load = False
        self._read_as: set[str] = set()  # key paths of values that stand in the file under a wrong key, named already
        self._not_there: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def fault(self, key_path: str, message: str) -> None:
        if key_path in self._read_as:
            return
        message = message if len(message) <= 4 * _LONGEST_SHOWN else f"{message[: 4 * _LONGEST_SHOWN]} …"
        text = f"{self.file}: {key_path}{'' if not key_path or message.startswith(':') else ' '}{message}"
        text = redacted(text)
        if text not in self.faults:  # an entry of `systems` that stands for several is read once for each
            self.faults.append(text)

    def check_name(self, key_path: str, name: str) -> None:
        """Name what a terminal would obey or not show in a name, which tables and files repeat."""
        if odd := unprintable(name):
            codes = ", ".join(sorted(f"U+{ord(char):04X}" for char in odd))
            self.fault(
                key_path, f"is called {printable(name, keep='')}. A name cannot hold {codes}, which no terminal shows."
            )

    def not_there(self, key_path: str, name: str, what: str, hint: str) -> None:
        """Name what is not `what` (a system, among the encoders): once, with every place that takes it for one."""
        if key_path in self._read_as:
            return
        if (what, name) not in self._not_there:
            self.fault(key_path, f"({name}) is not {what}. {hint}")
            self._not_there[what, name] = len(self.faults) - 1, []
            return
        at, also = self._not_there[what, name]
        if key_path not in also and f": {key_path} (" not in self.faults[at]:
            also.append(key_path)
            self.faults[at] = f"{self.faults[at].partition(' The same name')[0]} The same name in {', '.join(also)}."

    def not_a_system(self, key_path: str, name: str, known: Iterable[str], hint: str | None = None) -> None:
        """As `not_there`, unless a fault that is named already keeps the system from being made."""
        if any(lost is None or name == lost or name.startswith(f"{lost}(") for lost in self.lost):
            return
        self.not_there(key_path, name, "a system", hint or suggestion(name, known))

    def stop_on_faults(self) -> None:
        if self.faults:
            raise ConfigFaults(self.faults)

    # -- the file ------------------------------------------------------------------------------------------------

    def read(self, raw: dict[str, Any]) -> Experiment:
        self._refuse_secrets(raw, "")
        self._one_load = isinstance(raw.get("latency"), dict)
        settings = self._settings(raw)
        measures = self._measures(settings.measures, "measures")
        dataset = self.part("datasets", "dataset", settings.dataset, "dataset")
        encoders = self._parts("encoders", settings.encoders)
        rerankers = self._parts("rerankers", settings.rerankers)
        trackers = self._parts("trackers", settings.trackers)
        systems = expand_systems(self, settings, measures, encoders, rerankers)
        targets = self._targets(settings.targets)
        loads = self._loads(settings)
        self._cross_checks(settings, systems)
        self.stop_on_faults()
        assert dataset is not None
        resolved = {**settings.model_dump(mode="json", exclude_unset=True), "measures": [str(m) for m in measures]}
        return Experiment(
            name=settings.experiment,
            file=self.file,
            base=self.base,
            dataset=dataset,
            encoders=encoders,
            rerankers=rerankers,
            trackers=trackers,
            systems=tuple(systems),
            measures=measures,
            baseline=settings.baseline,
            margin=settings.margins.quality,
            latency_margin=settings.margins.latency,
            loads=loads,
            targets=targets,
            settings=settings,
            resolved=resolved,
            hash=content_key({**resolved, "cache": None, "base": str(self.base)})[:12],
        )

    def _settings(self, raw: dict[str, Any]) -> ExperimentFile:
        """The file as a model. An unknown key is named, and read as the one that was meant, or not at all: so what
        rests on it is no fault, and the faults behind it are found too."""
        try:
            return ExperimentFile.model_validate(raw)
        except ValidationError as error:
            unknown = [str(_steps(e)[-1]) for e in error.errors(include_url=False) if e["type"] == "extra_forbidden"]
            in_parts = {place: keys for word in unknown for place, keys in of_parts(raw, word).items()}
            self.model_faults(error, "", ExperimentFile, in_parts)
            corrected = self._corrected(raw, error, ExperimentFile, "")
            try:
                return ExperimentFile.model_validate(corrected)
            except ValidationError as second:
                self.model_faults(second, "", ExperimentFile)
                raise ConfigFaults(self.faults) from error

    def _corrected(
        self, values: Mapping[str, Any], error: ValidationError, model: type[BaseModel], prefix: str
    ) -> dict[str, Any]:
        """A copy with each unknown key under the name that was meant, if that is free, and else without it."""
        copied = copy.deepcopy(dict(values))
        for item in error.errors(include_url=False):
            if item["type"] != "extra_forbidden":
                continue
            *above, last = _steps(item)
            node: Any = copied
            try:
                for step in above:
                    # One load point may stand for a list of one.
                    node = node if step == 0 and isinstance(node, dict) else node[step]
            except (KeyError, IndexError, TypeError):
                continue
            if isinstance(node, dict) and last in node:
                value = node.pop(last)
                wanted = meant(str(last), known_keys(model, above))
                if wanted is not None and wanted not in node:
                    node[wanted] = value
                    if not isinstance(value, Mapping):
                        self._read_as.add(f"{prefix}{'.' if prefix else ''}{written([*above, wanted])}")
        return copied

    def _refuse_secrets(self, node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                here = f"{path}.{key}" if path else str(key)
                if isinstance(value, str) and is_secret(str(key), value, below=path):
                    self.fault(
                        here,
                        "looks like a secret written into the file. Put it into an environment variable and, where "
                        "the provider's usual variable is not it, name the variable: api_key_env: NAME",
                    )
                else:
                    self._refuse_secrets(value, here)
        elif isinstance(node, list):
            for i, item in enumerate(node):
                if isinstance(item, str) and looks_secret(item):
                    self.fault(f"{path}[{i}]", "looks like a secret written into the file. Leave it out.")
                else:
                    self._refuse_secrets(item, f"{path}[{i}]")
        elif isinstance(node, str) and (held := secret_in_address(node)):
            self.fault(
                path,
                f"carries {held} in its address, which every result would repeat. Write the address without. Put the "
                "key into an environment variable and, where the provider's usual variable is not it, name the "
                "variable: api_key_env: NAME",
            )

    def model_faults(
        self,
        error: ValidationError,
        prefix: str,
        model: type[BaseModel],
        other_places: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Pydantic's errors in the words of the file: key path, what is wrong, and a suggestion.

        other_places: keys of places that the model does not know of, by how each is called in a sentence.
        """
        named: set[str] = set()
        items = error.errors(include_url=False)
        written_wrong = {
            (*item["loc"][:-1], meant(str(item["loc"][-1]), known_keys(model, _steps(item)[:-1])))
            for item in items
            if item["type"] == "extra_forbidden"
        }
        for item in items:
            location = _steps(item)
            key_path = f"{prefix}{'.' if prefix and location else ''}{written(location)}"
            if self._one_load:  # as the file writes it, and as --set takes it
                key_path = key_path.replace("latency[0]", "latency", 1)
            if key_path in named:
                continue  # the members of a union each complain of the same value
            named.add(key_path)
            if item["type"] == "extra_forbidden":
                self.fault(key_path, f"is unknown. {_advice(item, model, other_places, in_adapter=bool(prefix))}")
            elif item["type"] == "missing":
                if tuple(item["loc"]) not in written_wrong:
                    self.fault(key_path, "is missing.")
            elif item["type"] == "string_pattern_mismatch":
                self.fault(key_path, f"({item['input']!r}) may only hold a-z, 0-9, _ and -.")
            else:
                message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
                given = item.get("input")
                told = isinstance(given, str | int | float | bool) and len(str(given)) <= _LONGEST_SHOWN
                shown = f" (given: {given!r})" if told else ""
                about_path = message.startswith(("the variable ", "there is no home ", "a path "))
                sentence = f"{message[:1].lower()}{message[1:]}{'' if about_path else shown}.".replace("..", ".")
                self.fault(key_path, f": {sentence}" if about_path else sentence)

    def part(self, role: registry.RoleName, name: str, spec: Mapping[str, Any], key_path: str) -> Part | None:
        """A named part with its options validated; None after naming the fault."""
        kind = self.adapter(role, spec, key_path)
        if kind is None:
            return None
        options = self.options(kind.Options, {k: v for k, v in spec.items() if k != "adapter"}, key_path)
        return None if options is None else Part(name, spec["adapter"], kind, options, key_path)

    def adapter(self, role: registry.RoleName, spec: Mapping[str, Any], key_path: str) -> type[Any] | None:
        name = spec.get("adapter")
        if not isinstance(name, str):
            written_wrong = next((key for key in spec if "adapter" not in spec and meant(str(key), ["adapter"])), None)
            if written_wrong is not None:
                self.fault(f"{key_path}.{written_wrong}", "is unknown. Did you mean adapter?")
                return None
            self.fault(f"{key_path}.adapter", f"is missing. Known: {', '.join(registry.names(role))}.")
            return None
        try:
            kind = registry.load(role, name)
        except InvalidOptions as error:
            self.fault(f"{key_path}.adapter", f"({name}): {error}")
            return None
        except BaseException as error:  # of a third party's module, or of a package that it imports
            self.fault(f"{key_path}.adapter", f"({name}): cannot be loaded: {failure_of(error).where}")
            return None
        try:
            missing = kind.missing()
        except BaseException as error:
            self.fault(key_path, f": {failure_of(error).where}")
            return None
        if missing:
            self.fault(key_path, f": {missing}")
            return None
        return kind

    def options(
        self,
        model: type[BaseModel],
        values: Mapping[str, Any],
        key_path: str,
        other_places: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> Any | None:
        """The validated options; of unknown keys, which are named, those that were meant. None after other faults."""
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            self.model_faults(error, key_path, model, other_places)
            try:
                return model.model_validate(self._corrected(values, error, model, key_path))
            except ValidationError:
                return None
        except BaseException as error:  # of a third party's validator
            self.fault(key_path, f": {failure_of(error).where}")
            return None

    def _parts(self, role: registry.RoleName, specs: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
        parts = {name: self.part(role, name, spec, f"{role}.{name}") for name, spec in specs.items()}
        return {name: part for name, part in parts.items() if part is not None}

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
                self.fault(f"{key_path}[{i}]", f"({str(item)[:_LONGEST_MEASURE]}): {error}")
        if not items:
            self.fault(key_path, "is empty. The first measure decides; write for example [nDCG@10, Recall@10].")
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
            self.check_name(f"latency[{i}].name", point.name or "")
            if point.mode == "open" and point.rate is None:
                self.fault(f"latency[{i}].rate", "is missing: an open loop needs queries per second.")
        if points and points[0].ingest:
            self.fault(
                "latency[0].ingest",
                "cannot stand in the first load point, which fronts, targets and costs go by. Put another before it.",
            )
        labels = [point.label for point in points if point.name or point.mode == "closed" or point.rate is not None]
        for label in (label for label, count in Counter(labels).items() if count > 1):
            self.fault("latency", f"has two load points called {label}. Give them names.")
        return tuple(points)

    def _cross_checks(self, settings: ExperimentFile, systems: Sequence[System]) -> None:
        if settings.targets and not settings.latency:
            self.fault("targets", "ask for the cheapest setting, and latency is off. Give load points: latency: {…}")
        names = [system.name for system in systems]
        if settings.baseline is not None and settings.baseline not in names:
            self.not_a_system("baseline", settings.baseline, names)
        if settings.margin is not None and settings.baseline is None:
            self.fault("margin", "has no meaning without a baseline. Name one: baseline: SYSTEM")
        if settings.margins.latency is not None and not settings.latency:
            self.fault("margin.latency", "has no meaning while latency is off. Give load points: latency: {…}")
        if settings.baseline in names:
            reference = next(s for s in systems if s.name == settings.baseline)
            if all(s.filter != reference.filter for s in systems if s is not reference) and len(systems) > 1:
                self.fault("baseline", "has another filter than every other system, so nothing can be compared.")


def _steps(item: Mapping[str, Any]) -> list[str | int]:
    """Where the file holds what one of pydantic's errors speaks of."""
    # The last step to an unknown key is that key, whatever it looks like.
    last = len(item["loc"]) - (item["type"] == "extra_forbidden")
    return [step for place, step in enumerate(item["loc"]) if place >= last or not _is_union_tag(step)]


def _advice(
    item: Mapping[str, Any], model: type[BaseModel], other_places: Mapping[str, Sequence[str]], *, in_adapter: bool
) -> str:
    """What to do about an unknown key."""
    *above, last = _steps(item)
    known = known_keys(model, above)
    if in_adapter and (held := holding(item["input"], known)) and meant(str(last), known) is None:
        return f"What it holds ({', '.join(held)}) belongs {BESIDE_ADAPTER}."
    places = {**other_places, **elsewhere(model, above)} if in_adapter else {**elsewhere(model, above), **other_places}
    return advice(str(last), known, places)


def _is_union_tag(step: str | int) -> bool:
    """Steps that pydantic adds for the members of a union; they stand in no file."""
    return isinstance(step, str) and bool(
        re.search(r"\[|^(LoadPoint|str|int|float|bool|literal|list|dict|none)\b", step)
    )


def parse_filter(reader: Reader, spec: Any, key_path: str) -> Filter | None:
    """A system's filter, None after naming the fault."""
    if not isinstance(spec, Mapping):
        reader.fault(key_path, "must be a mapping of meta columns to values, such as {lang: en, year: {gte: 2020}}.")
        return None
    try:
        return Filter.parse(spec)
    except InvalidOptions as error:
        reader.fault(f"{key_path}{(error.key or '').removeprefix('filter')}", f": {error}")
        return None
