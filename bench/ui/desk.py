"""What the pages were started for: a folder, the results in it, and the runs that were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.experiment.parts import Experiment

RUNS = ".bench-ui"


class OutsideFolder(ValueError):
    """A path leads out of the folders that the page was started for."""


@dataclass(frozen=True, slots=True)
class Desk:
    """folder: what the page was started for; nothing outside is read or written for a browser. results: where runs
    write. cache: that of the command line, None for the usual one. read_only: nothing is run, trained or written.
    further: folders that experiments may read as well."""

    folder: Path
    results: Path
    cache: Path | None = None
    read_only: bool = False
    further: tuple[Path, ...] = ()

    @classmethod
    def at(
        cls, folder: Path, *, results: Path | None = None, cache: Path | None = None, further: Sequence[Path] = ()
    ) -> Desk:
        folder = folder.resolve()
        more = tuple(each.resolve() for each in further)
        return cls(folder, (results or folder / "results").resolve(), cache, further=more)

    @property
    def runs(self) -> Path:
        """The folders of runs that the page started; found again after a restart."""
        return self.folder / RUNS / "runs"

    def inside(self, text: str | Path) -> Path:
        """A path that a browser sent, made absolute. Raises OutsideFolder where it leads out of the folders, through a
        link too, and where it is no path at all."""
        try:
            path = (self.folder / text).resolve()
        except (OSError, ValueError, RuntimeError):
            raise OutsideFolder(f"{str(text)!r} is no path.") from None
        if not any(path == root or root in path.parents for root in (self.folder, self.results)):
            raise OutsideFolder(f"{text}: is outside of {self.folder}, and this page reads and writes nothing there.")
        return path

    def admit(self, experiment: Experiment) -> Experiment:
        """An experiment, whose paths stay in the folders of this page. Raises OutsideFolder."""
        from bench.experiment.restriction import outside

        folders = [self.folder, self.results, *self.further, *([self.cache] if self.cache else [])]
        if found := outside(experiment, folders):
            hint = "Start the page for a folder that holds it, or name the folder: bench ui --also DIR"
            raise OutsideFolder("\n".join([*found, hint]))
        return experiment

    def named(self, path: Path) -> str:
        """How a path is shown: from the folder on."""
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)

    def experiment_files(self) -> list[Path]:
        """The experiment files of the folder, its hidden folders and its results left out."""
        return sorted(path for path in self._files((".yaml", ".yml")) if _is_experiment(path))

    def _files(self, endings: tuple[str, ...]) -> Iterator[Path]:
        for root, folders, names in os.walk(self.folder):
            place = Path(root)
            folders[:] = sorted(name for name in folders if name[0] != "." and place / name != self.results)
            if len(place.relative_to(self.folder).parts) >= _DEEPEST:
                folders.clear()
            yield from (place / name for name in names if name.endswith(endings) and not (place / name).is_symlink())


_DEEPEST = 3
_LARGEST = 1 << 20


def _is_experiment(path: Path) -> bool:
    """Whether a YAML file names an experiment, told by its lines alone: files that YAML refuses are listed too."""
    try:
        if path.stat().st_size > _LARGEST:
            return False
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(("systems:", "experiment:", "models:")) for line in lines)
