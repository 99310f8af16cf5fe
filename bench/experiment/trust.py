"""Keys that go to an address which an experiment file names: announced, and sent only where the user agrees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.base import Adapter, Contact, Context
from bench.experiment.parts import Experiment, Part, StoreChoice
from bench.messages.failures import failure_of

KNOWN_HOSTS = "known_hosts"
_FOLDER = "BENCH_CONFIG"  # variable that names the folder of the user's configuration


def known_hosts_file(configuration: Callable[[str], str]) -> Path:
    """The list of hosts and variables that the user has agreed to, one `HOST VARIABLE` a line.

    configuration: the platform's folder for a program's configuration.
    """
    return Path(os.environ.get(_FOLDER) or configuration("retrieval-bench")) / KNOWN_HOSTS


def keys_to_announce(contacts: Mapping[str, Sequence[Contact]], known: Path) -> list[tuple[str, Contact]]:
    """Those contacts, with their key paths, that only the file names, that get a key, and that are not known yet."""
    try:
        lines = known.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    agreed = {tuple(line.split()) for line in lines}
    found: dict[tuple[str, str], tuple[str, Contact]] = {}
    for key_path, each in contacts.items():
        for contact in each:
            if contact.own or not contact.sends_key:
                continue
            pair = (contact.host, str(contact.variable))
            if pair not in agreed:
                found.setdefault(pair, (key_path, contact))
    return list(found.values())


def contacts_of(experiment: Experiment) -> dict[str, Sequence[Contact]]:
    """Whom the parts of an experiment talk to, by their key paths. One that cannot be made is told of by the run."""
    parts = [*experiment.encoders.values(), *experiment.rerankers.values(), *experiment.trackers.values()]
    choices = {system.store.name: system.store for system in experiment.systems if system.store}.values()
    return contacts(parts, choices, experiment.context())


def contacts(parts: Iterable[Part], choices: Iterable[StoreChoice], context: Context) -> dict[str, Sequence[Contact]]:
    """Whom parts and stores talk to, by their key paths."""
    making: list[tuple[str, type[Any], tuple[Any, ...]]] = [
        *((part.key_path, part.kind, (part.options,)) for part in parts),
        *((choice.key_path, choice.kind, (choice.index, choice.connection)) for choice in choices),
    ]
    found: dict[str, Sequence[Contact]] = {}
    for key_path, kind, options in making:
        if kind.contacts is Adapter.contacts:
            continue
        try:
            with closing(kind(*options, context)) as adapter:
                found[key_path] = adapter.contacts()
        except BaseException as error:
            failure_of(error)  # the run meets it again, and tells it
    return found
