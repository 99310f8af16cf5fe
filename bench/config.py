"""YAML to Experiment: reads the file, names every fault at once, expands the matrix to a list of systems.

Nothing here touches data, models or servers: what needs them is checked by the runner before the start.
"""

from __future__ import annotations

import copy
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from adapters import registry
from adapters.base import DatasetInvalid, Filter, InvalidOptions, open_text
from bench.artifacts import content_key
from bench.expansion import System, expand_systems
from bench.experiment_file import ExperimentFile, LoadPoint
from bench.failures import failure_of
from bench.measures import Measure

_SECRET = re.compile(r"(api_?key|secret|password|(^|_)token|access_key)$", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"^(sk-|sk_|hf_|co_|Bearer )[A-Za-z0-9_-]{16,}$")
# A user alone is a secret in a web address; elsewhere it may be a container of Azure's or a login.
_CREDENTIALS_IN_URL = re.compile(r"https?://[^/?#\s]*@|[a-z][a-z0-9+.-]*://[^/?#\s]*:[^/?#\s]*@", re.IGNORECASE)


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
    can change a result (so not the cache's place).
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
        raw = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ConfigFaults([f"{file}: {_yaml_fault(error)}"]) from error
    if not isinstance(raw, dict):
        raise ConfigFaults([f"{file}: expected a mapping that starts with `experiment: NAME`."])
    reader = Reader(file, path.resolve().parent, (working_directory or Path.cwd()).resolve())
    reader.override(raw, overrides)
    return reader.read(raw)


class Reader:
    """Collects faults while it reads; each is printed with the file and the key path that --set would take."""

    def __init__(self, file: str, base: Path, working_directory: Path) -> None:
        self.file = file
        self.base = base
        self.working_directory = working_directory
        self.faults: list[str] = []
        self._one_load = False

    def fault(self, key_path: str, message: str) -> None:
        text = f"{self.file}: {key_path}{' ' if key_path else ''}{message}"
        if text not in self.faults:  # an entry of `systems` that stands for several is read once for each
            self.faults.append(text)

    def stop_on_faults(self) -> None:
        if self.faults:
            raise ConfigFaults(self.faults)

    # -- --set ---------------------------------------------------------------------------------------------------

    def override(self, raw: dict[str, Any], overrides: Sequence[str]) -> None:
        for text in overrides:
            key, sign, value = text.partition("=")
            if not sign or not key:
                self.faults.append(f"--set {text}: expected KEY.PATH=VALUE, such as --set systems[0].depth=50")
                continue
            try:
                parsed = yaml.safe_load(value)
            except yaml.YAMLError as error:
                self.faults.append(f"--set {text}: the value is not YAML: {_yaml_fault(error)}")
                continue
            self._set(raw, key.strip(), self._from_working_directory(key, parsed), text)

    def _from_working_directory(self, key: str, value: Any) -> Any:
        """A path given on the command line is relative to where the user stands, not to the file."""
        if not isinstance(value, str) or value.startswith("package:"):
            return value
        leaf = key.rpartition(".")[2]
        here = self.working_directory / Path(value).expanduser()
        if leaf in {"path", "run", "cache", "uri"} or here.exists():
            return str(here) if "://" not in value else value
        return value

    def _set(self, raw: dict[str, Any], key: str, value: Any, text: str) -> None:
        steps: list[str | int] = []
        for piece in key.split("."):
            match = re.fullmatch(r"([^\[\]]+)((?:\[\d+\])*)", piece)
            if not match:
                self.faults.append(f"--set {text}: {piece!r} is not a key or a key with [number].")
                return
            steps += [match[1], *(int(n) for n in re.findall(r"\d+", match[2]))]
        node: Any = raw
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if isinstance(step, int):
                if not isinstance(node, list) or step >= len(node):
                    have = len(node) if isinstance(node, list) else 0
                    self.faults.append(f"--set {text}: there is no item [{step}]; the list has {have}.")
                    return
            elif not isinstance(node, dict):
                self.faults.append(f"--set {text}: {step!r} is below something that is not a mapping.")
                return
            if following is None:
                node[step] = value
                return
            if isinstance(step, str) and node.get(step) is None:
                node[step] = {}
            node = node[step]

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
        """The file as a model. Unknown keys are named and left out, so that the faults behind them are found too."""
        try:
            return ExperimentFile.model_validate(raw)
        except ValidationError as error:
            self.model_faults(error, "", ExperimentFile)
            known = copy.deepcopy(raw)
            for item in error.errors(include_url=False):
                if item["type"] == "extra_forbidden":
                    _delete(known, item["loc"])
            try:
                return ExperimentFile.model_validate(known)
            except ValidationError:
                raise ConfigFaults(self.faults) from error

    def _refuse_secrets(self, node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                here = f"{path}.{key}" if path else str(key)
                if isinstance(value, str) and (_SECRET.search(str(key)) or _LOOKS_SECRET.match(value)):
                    self.fault(
                        here,
                        "looks like a secret written into the file. Put it into an environment variable and, where "
                        "the provider's usual variable is not it, name the variable: api_key_env: NAME",
                    )
                else:
                    self._refuse_secrets(value, here)
        elif isinstance(node, list):
            for i, item in enumerate(node):
                self._refuse_secrets(item, f"{path}[{i}]")
        elif isinstance(node, str) and _CREDENTIALS_IN_URL.search(node):
            self.fault(
                path,
                "carries a user or a password in its address, which every result would repeat. Write the address "
                "without them. Put the key into an environment variable and, where the provider's usual variable is "
                "not it, name the variable: api_key_env: NAME",
            )

    def model_faults(self, error: ValidationError, prefix: str, model: type[BaseModel]) -> None:
        """Pydantic's errors in the words of the file: key path, what is wrong, and a suggestion."""
        named: set[str] = set()
        for item in error.errors(include_url=False):
            location = [step for step in item["loc"] if not _is_union_tag(step)]
            key_path = _join(prefix, location)
            if self._one_load:  # as the file writes it, and as --set takes it
                key_path = key_path.replace("latency[0]", "latency", 1)
            if key_path in named:
                continue  # the members of a union each complain of the same value
            named.add(key_path)
            if item["type"] == "extra_forbidden":
                known = _known_keys(model, location[:-1])
                self.fault(key_path, f"is unknown. {suggestion(str(location[-1]), known)}")
            elif item["type"] == "missing":
                self.fault(key_path, "is missing.")
            elif item["type"] == "string_pattern_mismatch":
                self.fault(key_path, f"({item['input']!r}) may only hold a-z, 0-9, _ and -.")
            else:
                message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
                given = item.get("input")
                told = isinstance(given, str | int | float | bool) and not _CREDENTIALS_IN_URL.search(str(given))
                shown = f" (given: {given!r})" if told else ""
                self.fault(key_path, f"{message[:1].lower()}{message[1:]}{shown}.".replace("..", "."))

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

    def options(self, model: type[BaseModel], values: Mapping[str, Any], key_path: str) -> Any | None:
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            self.model_faults(error, key_path, model)
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
                    first, *cutoffs = [piece.strip() for piece in re.split(r",(?![^()]*\))", item)]
                    measures.append(Measure.parse(first))
                    measures += [replace(measures[-1], cutoff=int(c)) for c in cutoffs]
            except ValueError as error:
                self.fault(f"{key_path}[{i}]", f"({item}): {error}")
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
            if point.mode == "open" and point.rate is None:
                self.fault(f"latency[{i}].rate", "is missing: an open loop needs queries per second.")
        if points and points[0].ingest:
            self.fault(
                "latency[0].ingest",
                "cannot stand in the first load point, which fronts, targets and costs go by. Put another before it.",
            )
        labels = [point.label for point in points if point.name or point.mode == "closed" or point.rate is not None]
        for label in {label for label in labels if labels.count(label) > 1}:
            self.fault("latency", f"has two load points called {label}. Give them names.")
        return tuple(points)

    def _cross_checks(self, settings: ExperimentFile, systems: Sequence[System]) -> None:
        if settings.targets and not settings.latency:
            self.fault("targets", "ask for the cheapest setting, and latency is off. Give load points: latency: {…}")
        names = [system.name for system in systems]
        if settings.baseline is not None and settings.baseline not in names:
            self.fault("baseline", f"({settings.baseline}) is not a system. {suggestion(settings.baseline, names)}")
        if settings.margin is not None and settings.baseline is None:
            self.fault("margin", "has no meaning without a baseline. Name one: baseline: SYSTEM")
        if settings.margins.latency is not None and not settings.latency:
            self.fault("margin.latency", "has no meaning while latency is off. Give load points: latency: {…}")
        if settings.baseline in names:
            reference = next(s for s in systems if s.name == settings.baseline)
            if all(s.filter != reference.filter for s in systems if s is not reference) and len(systems) > 1:
                self.fault("baseline", "has another filter than every other system, so nothing can be compared.")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the later of two equal keys win in silence; a benchmark's file must not."""


def _unique_mapping(loader: Any, node: Any) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands here twice", key_node.start_mark
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}." if mark else f"{problem}."


def suggestion(word: str, known: Iterable[str]) -> str:
    """«Did you mean …?» where something is close, else the list of what is known."""
    options = list(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(options) or 'none'}."


def _delete(node: Any, location: Sequence[str | int]) -> None:
    """Take the value at a location out of nested mappings and lists, if it is there."""
    if isinstance(node, dict) and "latency" in node and isinstance(node["latency"], dict) and location[0] == "latency":
        location = [step for step in location if step != 0]
    *steps, last = location
    for step in steps:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(node, dict):
        node.pop(last, None)


def _join(prefix: str, location: Sequence[str | int]) -> str:
    path = prefix
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else str(step))
    return path


def _is_union_tag(step: str | int) -> bool:
    """Steps that pydantic adds for the members of a union; they stand in no file."""
    return isinstance(step, str) and bool(
        re.search(r"\[|^(LoadPoint|str|int|float|bool|literal|list|dict|none)\b", step)
    )


def _known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a location inside a model."""
    current: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, int) or current is None:
            continue
        field = current.model_fields.get(step)
        current = _model_within(field.annotation) if field is not None else None
    return list(current.model_fields) if current is not None else []


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if found := _model_within(argument):
            return found
    return None


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
