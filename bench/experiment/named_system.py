"""Finds the system that another part of the file names, by its name or by that of a store or an encoder."""

from __future__ import annotations

from collections.abc import Sequence

from bench.experiment.faults import Faults
from bench.experiment.file import ExperimentFile, SystemEntry
from bench.experiment.matrix import expand_systems
from bench.experiment.parts import System

LEXICAL = "bm25"


def named_system(
    faults: Faults, settings: ExperimentFile, name: str, key_path: str, systems: Sequence[System], *, label: str
) -> System | None:
    """The system that a key of the file names; None where that is a fault. It searches for whatever is asked, so no run
    file will do. label: the name of a system that is made of one part."""
    found = next((system for system in systems if system.name == name), None)
    if found is None:
        entry = _entry(settings, name, label)
        if entry is None:
            known = [*(system.name for system in systems), *settings.encoders, *settings.stores]
            faults.not_a_system(key_path, name, known)
            return None
        stores = {LEXICAL: {"adapter": LEXICAL}, **settings.stores}
        alone = settings.model_copy(update={"systems": [entry], "stores": stores, "targets": {}})
        several = expand_systems(faults, alone, [])
        if len(several) > 1:
            faults.fault(key_path, f"({name}) stands for {len(several)} systems. Name one of them.")
        found = several[0] if several else None
    if found is not None and any(node.system.run_file is not None for node in found.nodes()):
        faults.fault(
            key_path, f"({name}) is a run file, which ranks nothing for new questions. Name a system that searches."
        )
        return None
    return found


def _entry(settings: ExperimentFile, name: str, label: str) -> SystemEntry | None:
    """A system of one part."""
    if name in settings.encoders:
        return SystemEntry(name=label, encoder=name)
    if name in settings.stores or name == LEXICAL:
        return SystemEntry(name=label, store=name)
    return None
