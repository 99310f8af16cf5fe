"""How commands stop, and what they ask before they go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from bench.messages.terminal import say

if TYPE_CHECKING:
    from adapters.base import Contact
    from bench.experiment.parts import Experiment, Part, System


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with the file, and a cache in use, stop a command with exit status 2."""
    from bench.cache.locks import CacheBusy
    from bench.experiment.faults import ConfigFaults

    try:
        yield
    except ConfigFaults as error:
        refuse(error.faults)
    except CacheBusy as error:
        refuse([str(error)])


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C ends a run with exit status 130: the next one goes on."""
    try:
        yield
    except KeyboardInterrupt:
        say("Cut off. The same command goes on where it stopped.")
        raise typer.Exit(130) from None


@contextmanager
def telling_failures(what: str) -> Iterator[None]:
    """Whatever fails, adapters' own exceptions too, is told in one line with exit status 1; what was said already
    passes, and so do faults of the file."""
    from bench.cache.locks import CacheBusy
    from bench.experiment.faults import ConfigFaults
    from bench.messages.failures import failure_of

    try:
        yield
    except (typer.Exit, ConfigFaults, CacheBusy):
        raise
    except BaseException as error:
        say(f"{what}: error: {failure_of(error).where}")
        raise typer.Exit(1) from None


def agree_to_delete(folder: Path, found: Sequence[str], yes: bool) -> None:
    """Refuse a folder that is no cache of ours, and ask where somebody can answer. found: what would be deleted."""
    from bench.cache.mark import MARK, is_marked

    if not is_marked(folder):
        refuse(
            [
                f"{folder}: nothing was deleted: it does not bear the mark of a cache of this program ({MARK}). If a "
                "version of before the mark made it, run an experiment with it once, and clean again; or delete it by "
                "hand."
            ]
        )
    for line in () if yes else found:
        say(line)
    agree_to("Delete all of this?", yes, "Nothing was deleted.")


def agree_to(question: str, yes: bool, undone: str) -> None:
    """Ask before something that cannot be taken back. undone: what did not happen, told where nobody can answer."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        refuse([f"{undone} To go on without being asked: --yes"])
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise typer.Exit(1)


def agree_to_keys_of(
    experiment: Experiment, trust: bool, further: Sequence[Part] = (), searched: Sequence[System] = ()
) -> None:
    """As `agree_to_keys`, for an experiment, and for parts and systems of its file that a command asks besides."""
    from bench.experiment.trust import contacts_of

    agree_to_keys(contacts_of(experiment, further, searched), trust)


def agree_to_keys(contacts: Mapping[str, Sequence[Contact]], trust: bool, source: str = "the file") -> None:
    """Announce each key that goes to an address of the file, and ask where somebody can answer. source: what names
    the address."""
    from bench.experiment.trust import announcement, keys_to_announce, known_hosts_file, known_line

    known = known_hosts_file(typer.get_app_dir)
    for key_path, contact in keys_to_announce(contacts, known):
        say(announcement(key_path, contact, source))
        line = f'write the line "{known_line(contact)}" into {known}'
        _agree(trust, "Send it?", f"Nothing was sent. If it may go there: --trust, or {line}")


def agree_to_places(places: Sequence[tuple[str, Path]], trust: bool) -> None:
    """Announce where trackers of a result that was handed over would write, and ask before they do."""
    for key_path, place in places:
        say(f"{key_path}: the tracker may write to {place}, which the result names.")
        _agree(trust, "Let it?", "Nothing was written or sent. If it may write there: --trust")


def _agree(trust: bool, question: str, refusal: str) -> None:
    """Ask where somebody can answer; refuse where nobody can, or where the answer is no."""
    if trust:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        refuse([refusal])
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise typer.Exit(2)


def refuse(faults: tuple[str, ...] | list[str]) -> NoReturn:
    """Name what is wrong and stop with exit status 2."""
    for fault in faults:
        say(fault)
    raise typer.Exit(2)
