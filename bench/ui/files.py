"""Experiment files of the desk: those to start from, opened and saved."""

from __future__ import annotations

from pathlib import Path

from adapters.base import open_text
from bench.cache.artifacts import write_atomically
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment, System
from bench.experiment.reader import experiment_of
from bench.experiment.yaml_text import LONGEST, parse_yaml
from bench.machine.children import PACKAGES
from bench.ui.desk import Desk

SHIPPED = "shipped:"
_STARTERS = (Path(PACKAGES) / "configs", Path(__file__).with_name("starters"))
# They need no file of yours: their collection is the documentation of installed packages.
_OWN_DATA = ("quickstart", "index_matrix", "finetune_demo", "negatives")


class NotSaved(ValueError):
    """A file that is not written, with the reason."""


def starters() -> dict[str, Path]:
    """The experiments that come with this program and run as they are, by name; the quick start first."""
    places = (folder / f"{name}.yaml" for name in _OWN_DATA for folder in _STARTERS)
    found: dict[str, Path] = {}
    for place in places:
        if place.is_file():
            found.setdefault(place.stem, place)
    return found


def choices(desk: Desk) -> list[tuple[str, str]]:
    """What an experiment can be started from: label and value."""
    own = [(desk.named(path), desk.named(path)) for path in desk.experiment_files()]
    shipped = [
        ("Quick start, comes with this program" if name == "quickstart" else f"{name}, comes with this program",
         f"{SHIPPED}{name}")
        for name in starters()
    ]  # fmt: skip
    return [*own, *shipped]


def opened(desk: Desk, chosen: str) -> tuple[str, str]:
    """The name under which a chosen file is saved, and its text. Raises OutsideFolder, OSError, NotSaved."""
    if chosen.startswith(SHIPPED):
        name = chosen.removeprefix(SHIPPED)
        if name not in starters():
            raise NotSaved(f"{name}: no such experiment comes with this program.")
        return f"{name}.yaml", starters()[name].read_text(encoding="utf-8")
    path = desk.inside(chosen)
    with open_text(path) as file:
        return desk.named(path), file.read(LONGEST)


def place_of(desk: Desk, name: str) -> Path:
    """Where a file of a name is saved. Raises OutsideFolder, NotSaved."""
    if not name.strip():
        raise NotSaved("Give the file a name, such as bench.yaml.")
    path = desk.inside(name.strip())
    if path.suffix not in (".yaml", ".yml") or any(
        part.startswith(".") for part in path.relative_to(desk.folder).parts
    ):
        raise NotSaved(f"{name}: an experiment file ends in .yaml, and no part of its name begins with a full stop.")
    if not path.parent.is_dir():
        raise NotSaved(f"{name}: there is no folder {path.parent}.")
    return path


def save(desk: Desk, name: str, text: str, *, known: str | None) -> Path:
    """Save a text. known: what this page last read or wrote under the name; a file that holds something else is not
    overwritten. Raises OutsideFolder, NotSaved, OSError."""
    if desk.read_only:
        raise NotSaved("This page is read-only: nothing is written here.")
    path = place_of(desk, name)
    there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    if there is not None and there not in (text, known):
        raise NotSaved(f"{name} is there already and holds something else. Save under another name, or open it first.")
    if there != text:
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    return path


def checked(desk: Desk, name: str, text: str) -> Experiment:
    """The experiment that a text describes, as if it lay in the file of that name. Raises ConfigFaults, ValueError, and
    OutsideFolder where it leads out of the folders of this page."""
    values = parse_yaml(text)
    if not isinstance(values, dict):
        raise ValueError(f"{name}: expected a mapping that starts with `experiment: NAME`.")
    return desk.admit(experiment_of(values, place_of(desk, name).parent, name))


def systems_of(desk: Desk, name: str, text: str) -> tuple[System, ...]:
    """The systems that a text describes; none where something is wrong with it, which is told elsewhere."""
    try:
        return tuple(checked(desk, name, text).systems)
    except (ConfigFaults, ValueError):
        return ()
