"""What differs between two results beside their figures: data, configuration, versions, prices, machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.comparing.matching import Pair
from bench.comparing.model import Changed
from bench.results.model import PipelineInfo, Result, SystemResult

_ELSEWHERE = ("measures",)  # keys of the experiment that a comparison holds equal or speaks of itself


def differences(old: Result, new: Result, pairs: Sequence[Pair]) -> dict[str, tuple[Changed, ...]]:
    """By section, those that hold anything."""
    found = {
        "data": _data(old, new),
        "configuration": changed(_named_lists(old.experiment), _named_lists(new.experiment)),
        "versions": [*changed(_versions(old), _versions(new)), *changed(_servers(old), _servers(new))],
        "prices": changed(_prices(old, pairs, before=True), _prices(new, pairs, before=False)),
        "machine": changed(_machine(old), _machine(new)),
    }
    return {section: tuple(lines) for section, lines in found.items() if lines}


def pipeline_differences(pair: Pair) -> tuple[Changed, ...]:
    """What differs in the parts and in the effective index of a system."""
    return tuple(changed(_parts(pair.old), _parts(pair.new)))


def same_machine(old: Result, new: Result) -> tuple[Changed, ...]:
    """What tells that two results were not measured on one machine; empty where nothing does."""
    return tuple(change for change in changed(_machine(old), _machine(new)) if change.key in _HARDWARE)


_HARDWARE = ("machine.processor", "machine.cores", "machine.memory", "machine.system")


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Changed]:
    """The keys of nested mappings whose values differ, joined by dots."""
    left, right = dict(_flat(old)), dict(_flat(new))
    keys = [*left, *(key for key in right if key not in left)]
    return [Changed(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        path = f"{above}{'' if str(key).startswith('[') else '.'}{key}" if above else str(key)
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, path)
        elif inner is not None and inner != {}:
            yield path, inner


def _named_lists(value: Any) -> Any:
    """Lists of mappings become mappings by their names, else by their places: one that is added moves no other."""
    if isinstance(value, Mapping):
        return {key: _named_lists(inner) for key, inner in value.items() if key not in _ELSEWHERE}
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        names = [each.get("name") for each in value]
        named = all(isinstance(name, str) for name in names) and len({*names}) == len(names)
        return {
            f"[{names[i] if named else i}]": _named_lists({k: v for k, v in each.items() if not named or k != "name"})
            or "there"
            for i, each in enumerate(value)
        }
    return value


def _data(old: Result, new: Result) -> list[Changed]:
    shown = ("name", "split", "fingerprint", "documents", "queries", "judged", "only_positives")
    sides = [{f"dataset.{key}": getattr(each.dataset, key) for key in shown} for each in (old, new)]
    sources = [{"dataset.provenance": each.dataset.provenance} for each in (old, new)]
    return [*changed(*sides), *changed(*sources)]


def _versions(result: Result) -> dict[str, Any]:
    provenance = result.provenance
    return {
        "commit": provenance.commit,
        "uncommitted changes": "yes" if provenance.dirty else None,
        "python": provenance.machine.python,
        "packages": provenance.packages,
        "answered by": provenance.addresses,
    }


def _servers(result: Result) -> dict[str, Any]:
    """Versions of engines; where they listen is no part of what they are."""
    return {
        f"servers.{name}": {key: value for key, value in facts.items() if key != "connection"}
        for name, facts in result.provenance.servers.items()
    }


def _prices(result: Result, pairs: Sequence[Pair], *, before: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for system in (pair.old if before else pair.new for pair in pairs):
        cost = system.cost
        if cost is None:
            continue
        if cost.machine_usd_per_hour is not None:
            found["machine: USD per hour"] = cost.machine_usd_per_hour
        for part in cost.parts:
            if part.price is not None:
                price = part.price
                found[f"{price.provider} {price.model}: USD {price.unit.replace('_', ' ')}"] = price.usd
    return found


def _machine(result: Result) -> dict[str, Any]:
    machine = result.provenance.machine
    # Kernels of one machine tell sizes that differ by some pages.
    memory = None if machine.memory_bytes is None else f"{machine.memory_bytes / 2**30:.1f} GiB"
    return {
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "memory": memory,
            "system": machine.system,
            "release": machine.release,
        }
    }


def _parts(system: SystemResult) -> dict[str, Any]:
    pipeline: PipelineInfo = system.pipeline
    index = system.index
    return {
        **_named_lists(pipeline.model_dump(mode="json")),
        "trained models": system.models,
        "effective index": {"type": index.type, "exact": index.flat, **index.parameters} if index else None,
    }
