"""What a restricted run refuses of an experiment file, by name: the network, paths outside the file's folder, foreign
code. `bench.machine.fence` holds the process to the same where something passes here."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adapters.base import TRAINED, Adapter, Context, holds_path, resolve_path
from bench.experiment.file import ExperimentFile
from bench.experiment.parts import Experiment, Part, StoreChoice, System, TrainedPart
from bench.experiment.trust import contacts

_PACKAGE = "package:"
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill"})
_MOST_ENTRIES = 100_000  # entries of a folder that are checked for links; the fence checks every file that is opened

Fault = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Restriction:
    """folder: the file's, after links, which is all that a restricted run reads of the user's."""

    folder: Path

    def faults(
        self,
        settings: ExperimentFile,
        parts: Sequence[Part],
        trackers: Iterable[str],
        systems: Sequence[System],
        models: Collection[TrainedPart] = (),
    ) -> Iterator[Fault]:
        """Key paths and what is refused there."""
        parts = [*parts, *(trainer for model in models for trainer in model.trainers)]
        choices = {system.store.key_path: system.store for system in systems if system.store}
        for name in trackers:
            yield f"trackers.{name}", "would send the result on, and a restricted run has no network. Leave it out."
        talking = contacts(parts, choices.values(), Context(base=self.folder))
        named: list[Part | StoreChoice] = [*parts, *choices.values()]
        for each in named:
            others = talking.get(each.key_path, ())
            # An adapter that fails to tell whom it talks to looks for a server or a key in places that may not be read.
            unknown = each.kind.contacts is not Adapter.contacts and each.key_path not in talking
            if others or unknown:
                whom = " and ".join(dict.fromkeys(other.host for other in others)) or "a server"
                yield each.key_path, f"talks to {whom}, and a restricted run has no network. Leave it out."
        for part in parts:
            if not talking.get(part.key_path):
                yield from self._options(part.key_path, part.options)
        for choice in choices.values():
            if not talking.get(choice.key_path):
                yield from self._store(choice)
        for model in models:
            if model.scored is not None:
                yield from self._options(f"{model.key_path}.data", model.scored)
        for system in systems:
            if system.run_file is not None:
                yield from self._path(f"{system.key_path}.run", system.run_file)
        if settings.cache is not None:
            yield from self._path("cache", settings.cache)

    def _store(self, choice: StoreChoice) -> Iterator[Fault]:
        """A store writes where its paths lead, but a restricted run may only write into results and cache."""
        for key_path, _, value in _paths(choice.connection, choice.key_path):
            yield key_path, f"({value}) names a place for indexes, and a restricted run keeps them in the cache alone."
        for section, options in (("index", choice.index), ("query", choice.query)):
            yield from self._options(f"{choice.key_path}.{section}", options)

    def _options(self, key_path: str, options: Any) -> Iterator[Fault]:
        if getattr(options, "trust_remote_code", False):
            yield f"{key_path}.trust_remote_code", "would run code that comes with a model. Leave it out."
        for at, kind, value in _paths(options, key_path):
            if kind == "text" and value.startswith((_PACKAGE, TRAINED)):
                continue
            if kind == "text" and not self._is_there(value):
                yield (
                    at,
                    f"({value}) is neither below the file's folder nor in a package ({_PACKAGE}…), and a restricted "
                    "run asks no hub.",
                )
                continue
            yield from self._path(at, value)
            if kind == "text":
                yield from self._pickles(at, value)

    def _path(self, key_path: str, value: str | Path) -> Iterator[Fault]:
        """Why a path is refused: it leads outside, or links below it do."""
        text = str(value)
        if "://" in text:
            yield key_path, f"({text}) is an address, and a restricted run has no network."
            return
        path = resolve_path(self.folder, text)
        if not self._holds(path):
            leads = "" if str(path) == str(path.resolve()) else f" leads to {path.resolve()}, which"
            yield key_path, f"({text}){leads} is outside {self.folder}, which is all that a restricted run reads."
            return
        for link in _links(path):
            if not self._holds(link):
                yield (
                    key_path,
                    f": {link} is a link that leads outside, to {link.resolve()}. Put what it means into the folder.",
                )
                return

    def _pickles(self, key_path: str, value: str) -> Iterator[Fault]:
        """Weights that are pickles, if there are no others beside them: a pickle can be a program."""
        folder = resolve_path(self.folder, value)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            safe = any(path.parent.glob("*.safetensors"))
            if path.suffix.lower() in _PICKLES and path.name != "training_args.bin" and not safe:
                yield key_path, f": {path} is a pickle, which may hold a program. Convert it to safetensors."
                return

    def _is_there(self, value: str) -> bool:
        try:
            return "://" not in value and os.path.lexists(resolve_path(self.folder, value))
        except ValueError:
            return False

    def _holds(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.folder)
        except (OSError, RuntimeError):  # links that lead in a circle
            return False


def outside(experiment: Experiment, folders: Sequence[Path]) -> list[str]:
    """What of an experiment leads out of some folders, by a link too, a sentence each. Names of models and packages are
    no paths, but those that are there as one."""
    models = [trainer for model in experiment.models.values() for trainer in model.trainers]
    roles = (experiment.encoders, experiment.rerankers, experiment.generators, experiment.trackers)
    parts = [experiment.dataset, *(part for role in roles for part in role.values()), *models]
    options: list[tuple[str, Any]] = [(part.key_path, part.options) for part in parts]
    options += [(f"{model.key_path}.data", model.scored) for model in experiment.models.values()]
    candidates = (model.candidates.systems for model in experiment.models.values() if model.candidates is not None)
    for system in (*experiment.systems, *chain.from_iterable(candidates)):
        if (store := system.store) is not None:
            options += [(store.key_path, each) for each in (store.connection, store.index, store.query)]
    named = [each for key_path, value in options for each in _paths(value, key_path)]
    named += [(f"{each.key_path}.run", "path", str(each.run_file)) for each in experiment.systems if each.run_file]
    if experiment.settings.cache is not None:
        named.append(("cache", "path", str(experiment.settings.cache)))
    held = [Restriction(folder.resolve()) for folder in folders]
    told = "leads out of the folders that this page was started for"
    return [
        f"{experiment.file}: {key_path}: {value} {told}."
        for key_path, kind, value in dict.fromkeys(named)
        if _leads_out(experiment.base, kind, value, held)
    ]


def _leads_out(base: Path, kind: str, value: str, held: Sequence[Restriction]) -> bool:
    if "://" in value and not value.startswith("file:"):
        return False
    if kind == "text" and value.startswith((_PACKAGE, TRAINED)):
        return False
    try:
        path = resolve_path(base, value)
    except ValueError:
        return True
    if kind == "text" and not os.path.lexists(path):
        return False
    return not any(
        root._holds(path) and all(any(other._holds(link) for other in held) for link in _links(path)) for root in held
    )


def _paths(options: Any, key_path: str) -> Iterator[tuple[str, str, str]]:
    """Every path among the options of an adapter, and every text that may be one, with its key path and its kind."""
    if not isinstance(options, BaseModel):
        return
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        kind = holds_path(field)
        yield from _paths(value, f"{key_path}.{name}")
        if kind is not None:
            yield from ((f"{key_path}.{name}", kind, text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _texts(each)


def _links(path: Path) -> Iterator[Path]:
    """The links in a folder and below it; only the first ones of a huge folder."""
    seen = 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            with suppress(OSError):
                if (entry := Path(folder, name)).is_symlink():
                    yield entry
