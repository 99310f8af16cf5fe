"""Faults of an experiment file: collected while it is read, each with the key path that --set would take, in the words
of the file and with what was probably meant."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from adapters import printable, registry, unprintable
from adapters.base import Filter, InvalidOptions
from bench.experiment.overrides import written
from bench.experiment.parts import Part
from bench.experiment.places import BESIDE_ADAPTER, elsewhere, holding, known_keys
from bench.messages.failures import failure_of
from bench.messages.secrets import redacted
from bench.messages.suggestions import advice, meant, suggestion

_LONGEST_SHOWN = 300  # characters of a value in a fault
_MOST_FAULTS = 50  # faults that are told; more of them come from one mistake in many places
_MOST_OF_A_KIND = 10


class ConfigFaults(Exception):
    """Everything that is wrong with an experiment, one sentence each, known before the start."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Faults:
    """Collects faults, and reads the parts that have none. known: faults that were found before."""

    def __init__(self, file: str, base: Path, known: Sequence[str] = (), *, one_load: bool = False) -> None:
        self.file = file
        self.base = base
        self._one_load = one_load  # `latency` is one load point, and no list of them
        self.found: list[str] = list(known)
        self.lost: list[str | None] = []  # names of the systems that a fault prevents, None for an unnamed one
        self._read_as: set[str] = set()  # key paths of values under a wrong key that is named already
        self._not_there: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def fault(self, key_path: str, message: str) -> None:
        if key_path in self._read_as:
            return
        if len(self.found) >= _MOST_FAULTS:
            raise ConfigFaults([*self.found, f"{self.file}: and more. Mend these first."])
        message = message if len(message) <= 4 * _LONGEST_SHOWN else f"{message[: 4 * _LONGEST_SHOWN]} …"
        text = f"{self.file}: {key_path}{'' if not key_path or message.startswith(':') else ' '}{message}"
        text = redacted(text)
        if text not in self.found:  # an entry of `systems` that stands for several systems is read once for each
            self.found.append(text)

    def check_name(self, key_path: str, name: str) -> None:
        """Refuse characters in a name that a terminal would obey or not show, because tables and files repeat the
        name."""
        if odd := unprintable(name):
            codes = ", ".join(sorted(f"U+{ord(char):04X}" for char in odd))
            self.fault(
                key_path, f"is called {printable(name, keep='')}. A name cannot hold {codes}, which no terminal shows."
            )

    def not_there(self, key_path: str, name: str, what: str, hint: str) -> None:
        """Name once a name that is not `what` (such as a system, among the encoders), with every place that refers to
        it as one."""
        if key_path in self._read_as:
            return
        if (what, name) not in self._not_there:
            self.fault(key_path, f"({name}) is not {what}. {hint}")
            self._not_there[what, name] = len(self.found) - 1, []
            return
        at, also = self._not_there[what, name]
        if key_path not in also and f": {key_path} (" not in self.found[at]:
            also.append(key_path)
            self.found[at] = f"{self.found[at].partition(' The same name')[0]} The same name in {', '.join(also)}."

    def not_a_system(self, key_path: str, name: str, known: Iterable[str], hint: str | None = None) -> None:
        """As `not_there`, unless the system is missing because of a fault that is named already."""
        if any(lost is None or name == lost or name.startswith(f"{lost}(") for lost in self.lost):
            return
        self.not_there(key_path, name, "a system", hint or suggestion(name, known))

    def stop(self) -> None:
        if self.found:
            raise ConfigFaults(self.found)

    def corrected(
        self, values: Mapping[str, Any], error: ValidationError, model: type[BaseModel], prefix: str
    ) -> dict[str, Any]:
        """A copy in which each unknown key has the name that was meant. A key is left out where that name is taken."""
        copied = copy.deepcopy(dict(values))
        for item in error.errors(include_url=False):
            if item["type"] != "extra_forbidden":
                continue
            *above, last = steps(item)
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
        items, more = _first_of_each_kind(error)
        written_wrong = {
            (*item["loc"][:-1], meant(str(item["loc"][-1]), known_keys(model, steps(item)[:-1])))
            for item in items
            if item["type"] == "extra_forbidden"
        }
        for item in items:
            location = steps(item)
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
        for above, count in more:
            key_path = f"{prefix}{'.' if prefix and above else ''}{written(above)}"
            self.fault(f"{key_path}:" if key_path else "", f"and {count:,} more of that kind.")
        if more:
            self.stop()

    def part(
        self,
        role: registry.RoleName,
        name: str,
        spec: Mapping[str, Any],
        key_path: str,
        other_places: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> Part | None:
        """A named part with its options validated; None after naming the fault."""
        kind = self.adapter(role, spec, key_path)
        if kind is None:
            return None
        given = {key: value for key, value in spec.items() if key != "adapter"}
        options = self.options(kind.Options, given, key_path, other_places)
        return None if options is None else Part(name, spec["adapter"], kind, options, key_path)

    def adapter(
        self, role: registry.RoleName, spec: Mapping[str, Any], key_path: str, key: str = "adapter"
    ) -> type[Any] | None:
        """The class of the adapter that a part names under a key; None after naming the fault."""
        name = spec.get(key)
        if not isinstance(name, str):
            written_wrong = next((each for each in spec if key not in spec and meant(str(each), [key])), None)
            if written_wrong is not None:
                self.fault(f"{key_path}.{written_wrong}", f"is unknown. Did you mean {key}?")
                return None
            self.fault(f"{key_path}.{key}", f"is missing. Known: {', '.join(registry.names(role))}.")
            return None
        try:
            kind = registry.load(role, name)
        except InvalidOptions as error:
            self.fault(f"{key_path}.{key}", f"({name}): {error}")
            return None
        except BaseException as error:  # of a third party's module, or of a package that it imports
            self.fault(f"{key_path}.{key}", f"({name}): cannot be loaded: {failure_of(error).where}")
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
                return model.model_validate(self.corrected(values, error, model, key_path))
            except ValidationError:
                return None
        except BaseException as error:  # of a third party's validator
            self.fault(key_path, f": {failure_of(error).where}")
            return None

    def parts(self, role: registry.RoleName, specs: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
        parts = {name: self.part(role, name, spec, f"{role}.{name}") for name, spec in specs.items()}
        return {name: part for name, part in parts.items() if part is not None}


def _first_of_each_kind(
    error: ValidationError,
) -> tuple[list[Mapping[str, Any]], list[tuple[list[str | int], int]]]:
    """Some of pydantic's errors of each kind and place, and by place how many more there are."""
    items: list[Mapping[str, Any]] = []
    kinds: dict[Any, int] = {}
    for item in error.errors(include_url=False):
        above = item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]
        upto = next((place for place, step in enumerate(above) if isinstance(step, int)), len(above))
        kind = (item["type"], tuple(above[:upto]), tuple(step for step in above[upto:] if not isinstance(step, int)))
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= _MOST_OF_A_KIND:
            items.append(item)
    more = [([*kind[1]], count - _MOST_OF_A_KIND) for kind, count in kinds.items() if count > _MOST_OF_A_KIND]
    return items, more


def parse_filter(faults: Faults, spec: Any, key_path: str) -> Filter | None:
    """A system's filter, None after naming the fault."""
    if not isinstance(spec, Mapping):
        faults.fault(key_path, "must be a mapping of meta columns to values, such as {lang: en, year: {gte: 2020}}.")
        return None
    try:
        return Filter.parse(spec)
    except InvalidOptions as error:
        faults.fault(f"{key_path}{(error.key or '').removeprefix('filter')}", f": {error}")
        return None


def steps(item: Mapping[str, Any]) -> list[str | int]:
    """Where the file holds what one of pydantic's errors speaks of."""
    # The last step to an unknown key is that key, whatever it looks like.
    last = len(item["loc"]) - (item["type"] == "extra_forbidden")
    return [step for place, step in enumerate(item["loc"]) if place >= last or not _is_union_tag(step)]


def _advice(
    item: Mapping[str, Any], model: type[BaseModel], other_places: Mapping[str, Sequence[str]], *, in_adapter: bool
) -> str:
    """What to do about an unknown key."""
    *above, last = steps(item)
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
