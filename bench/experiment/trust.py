"""Keys that go to an address which an experiment file names: announced, and sent only where the user agrees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.base import Adapter, Contact, Context, contacts_feared, with_foreign_variables
from bench.experiment.parts import Experiment, Part, StoreChoice, System
from bench.messages.failures import failure_of

KNOWN_HOSTS = "known_hosts"
_FOLDER = "BENCH_CONFIG"  # variable that names the folder of the user's configuration


def known_hosts_file(configuration: Callable[[str], str]) -> Path:
    """The list of hosts and variables that the user has agreed to, one `HOST VARIABLE` a line.

    configuration: the platform's folder for a program's configuration.
    """
    return Path(os.environ.get(_FOLDER) or configuration("retrieval-bench")) / KNOWN_HOSTS


def keys_to_announce(contacts: Mapping[str, Sequence[Contact]], known: Path) -> list[tuple[str, Contact]]:
    """The contacts that have to be agreed to, with their key paths: only the file names them, they get a key or do not
    tell what they get, and they are not known yet."""
    try:
        lines = known.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    agreed = {tuple(line.split()) for line in lines}
    found: dict[str, tuple[str, Contact]] = {}
    for key_path, each in contacts.items():
        for contact in each:
            if (contact.own and contact.usual) or (contact.declared and not contact.sends_key):
                continue
            if tuple((line := known_line(contact)).split()) not in agreed:
                found.setdefault(line, (key_path, contact))
    return list(found.values())


def known_line(contact: Contact) -> str:
    """The line of the list by which the user agrees; `*` for an adapter that does not tell whose key it sends."""
    return f"{contact.host} {contact.variable or '*'}"


def announcement(key_path: str, contact: Contact, source: str) -> str:
    """What the user is told before anything is sent. source: what names the address."""
    where = contact.host if contact.host == contact.address else f"{contact.host} ({contact.address})"
    if contact.own:
        return f"{key_path}: {contact.variable}, a variable that {source} names and not the usual one, goes to {where}."
    if contact.declared:
        return f"{key_path}: {contact.variable} goes to {where}, which {source} names."
    what = f"send {contact.variable} to" if contact.variable else "contact"
    return f"{key_path}: the adapter may {what} {where}, which {source} names. It does not say whom it contacts."


def places_to_announce(writes: Mapping[str, Sequence[Path]], received: Path) -> list[tuple[str, Path]]:
    """Those files and folders, with their key paths, that a tracker of a result which was handed over would write to
    and that lie elsewhere than in its folder or in the current one, links followed.

    received: the result's folder.
    """
    own = [received.resolve()]
    current, home = Path.cwd(), Path.home().resolve()
    if not home.is_relative_to(current):  # in the home folder or above it lies all that is the user's
        own.append(current)
    found: dict[Path, str] = {}
    for key_path, paths in writes.items():
        for path in paths:
            if not any((place := path.resolve()).is_relative_to(folder) for folder in own):
                found.setdefault(place, key_path)
    return [(key_path, place) for place, key_path in found.items()]


def contacts_of(
    experiment: Experiment, further: Sequence[Part] = (), searched: Sequence[System] = ()
) -> dict[str, Sequence[Contact]]:
    """Whom the parts of an experiment talk to, by their key paths. further, searched: parts and systems of the file
    that a command asks besides. The run reports a part that cannot be made."""
    parts = [*further, experiment.dataset, *experiment.encoders.values(), *experiment.rerankers.values()]
    parts += [trainer for model in experiment.models.values() for trainer in model.trainers]
    systems = [*experiment.systems, *searched]
    if experiment.questions is not None and experiment.needs_written:
        parts.append(experiment.questions.generator)
        systems += experiment.questions.systems
    for model in experiment.models.values():
        parts += [] if model.writer is None else [model.writer]
        systems += [] if model.candidates is None else model.candidates.systems
    choices = [system.store for system in systems if system.store]
    return contacts([*parts, *experiment.trackers.values()], choices, experiment.context())


def contacts(parts: Iterable[Part], choices: Iterable[StoreChoice], context: Context) -> dict[str, Sequence[Contact]]:
    """Whom parts and stores talk to, by their key paths. Those that cannot be made are left out."""
    making: list[tuple[str, type[Any], tuple[Any, ...], tuple[Any, ...]]] = [
        *((part.key_path, part.kind, (part.options,), ()) for part in parts),
        *((choice.key_path, choice.kind, (choice.index, choice.connection), (choice.query,)) for choice in choices),
    ]
    found: dict[str, list[Contact]] = {}
    for key_path, kind, options, more in making:
        if (each := contacts_with(kind, options, context, more)) is not None:
            known = found.setdefault(key_path, [])
            known += (contact for contact in each if contact not in known)
    return dict(found)


def contacts_with(
    kind: type[Any], options: Sequence[Any], context: Context, more: Sequence[Any] = ()
) -> Sequence[Contact] | None:
    """Whom an adapter with those options talks to; None where it cannot be made. An adapter that does not tell is not
    made either, because making it might already send something.

    more: options that the adapter gets later.
    """
    usual = [*([kind.key_env] if kind.key_env else []), *kind.further_key_envs]
    try:
        if kind.contacts is Adapter.contacts:
            found: Sequence[Contact] = contacts_feared(kind.name, [*options, *more], context.own_addresses)
        else:
            with closing(kind(*options, context)) as adapter:
                found = adapter.contacts()
        return with_foreign_variables(found, [*options, *more], usual, context.own_addresses)
    except BaseException as error:
        failure_of(error)  # the run meets the same failure and reports it
        return None
