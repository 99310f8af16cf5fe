"""Writes a folder that runs as a Hugging Face Space: results and small systems to try, for everybody to read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cache.artifacts import new_folder, write_atomically
from bench.ui.desk import Desk
from bench.ui.shown_results import results_of
from bench.ui.telling import reasons
from bench.ui.trying import KEPT, KeptSystem, cache_of

if TYPE_CHECKING:
    from bench.report.all_results import Listed
    from bench.results.model import Result

LARGEST = 200 * 2**20
"""Bytes of what a system opens, at most: a Space is small."""
_MARK = ".bench-space"
_LIBRARY = "lib"
_PACKAGES = ("bench", "adapters")
_NEEDED = (
    "gradio", "pydantic", "pyyaml", "typer", "rich", "numpy", "scipy", "pyarrow", "xxhash", "pandas", "platformdirs",
    "altair", "vl-convert-python",
)  # fmt: skip
_OF_A_RUN = ("events.jsonl",)  # files of a result that no page reads


class SpaceRefused(Exception):
    """The folder cannot be written; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Space:
    """What was written. results: how many; systems: `RESULT: SYSTEM` of those that can be tried; left_out: why others
    cannot, a sentence each."""

    folder: Path
    results: int
    systems: tuple[str, ...]
    left_out: tuple[str, ...]


def write_space(desk: Desk, target: Path, names: Sequence[str] = ()) -> Space:
    """Write the folder, whole or not at all. names: systems to try; none for all that are small and need neither a key
    nor a server. Raises SpaceRefused, also for a named one that needs either."""
    _check(target)
    found = [each for each in results_of(desk) if each.result is not None and each.result.status in _ENDED]
    if not found:
        raise SpaceRefused(
            f"{desk.folder}: there is no result whose run ended. Run an experiment first: bench run FILE"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = new_folder(target.parent, f".{target.name}-")
    try:
        kept, left_out, requires = _systems(desk, found, draft, names)
        for number, each in enumerate(found):
            _copy_result(each.folder, draft / "results" / _name(number))
        for package in _PACKAGES:
            _copy_package(package, draft / _LIBRARY / package)
        write_atomically(draft / KEPT, json.dumps([asdict(each) for each in kept], indent=1).encode())
        _write_texts(draft, desk, requires)
        if target.is_dir():
            shutil.rmtree(target)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Space(target, len(found), tuple(f"{each.result}: {each.system}" for each in kept), tuple(left_out))


_ENDED = ("success", "partial")


def _name(number: int) -> str:
    """What the folder of a result is called: names of a stranger are no names of files there."""
    return f"result-{number + 1:03d}"


def _check(target: Path) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise SpaceRefused(f"{target} is there already, and is no folder. Take another place: --space DIR")
    if any(target.iterdir()) and not (target / _MARK).is_file():
        raise SpaceRefused(f"{target} holds files that are no Space's, which stay. Take a new folder: --space DIR")


# -- systems -------------------------------------------------------------------------------------------------------


def _systems(
    desk: Desk, found: Sequence[Listed], draft: Path, names: Sequence[str]
) -> tuple[list[KeptSystem], list[str], dict[str, str]]:
    """The systems that come along, why others do not, and the packages that they need."""
    kept: list[KeptSystem] = []
    left_out: list[str] = []
    requires: dict[str, str] = {}
    for number, each in enumerate(found):
        assert each.result is not None
        for name in [system.name for system in each.result.systems if not names or system.name in names]:
            place = draft / "systems" / f"{len(kept) + 1:03d}"
            try:
                one, needed = _kept_system(desk, each.folder, each.result, name, place)
            except Exception as error:
                shutil.rmtree(place, ignore_errors=True)
                left_out += [f"{each.experiment}: {reason}" for reason in _named(name, reasons(error))]
                continue
            kept.append(KeptSystem(_name(number), name, place.relative_to(draft).as_posix(), one))
            requires |= needed
    if names and left_out:
        raise SpaceRefused(" ".join(left_out))
    known = {system.name for each in found if each.result is not None for system in each.result.systems}
    if absent := [name for name in names if name not in known]:
        raise SpaceRefused(f"{', '.join(absent)}: no result has such a system.")
    return kept, left_out, requires


def _named(name: str, told: Sequence[str]) -> Iterator[str]:
    return (reason if name in reason else f"{name}: {reason}" for reason in told)


def _kept_system(desk: Desk, folder: Path, result: Result, name: str, place: Path) -> tuple[str, dict[str, str]]:
    """Write the retriever of a system with its data. Returns the name of its class, and the packages that it needs."""
    from bench.retriever.forms import FORMS
    from bench.retriever.keeping import requirements_of
    from bench.retriever.parts import pieces_in
    from bench.retriever.writing import Wish, write_retriever

    place.mkdir(parents=True)
    wish = Wish(folder, name, place / "retriever.py", cache_of(desk, result, folder), place / "data", form="function")
    _check_local(result, folder, name)
    done = write_retriever(result, wish, lambda event: None)
    if done.keys:
        raise SpaceRefused(f"{name} needs the key {', '.join(done.keys)}, which nobody gives to a Space for everybody.")
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    if size > LARGEST:
        raise SpaceRefused(f"{name} opens {size / 2**20:,.0f} MiB; a system of a Space has {LARGEST >> 20} at most.")
    needed = requirements_of(list(pieces_in(done.part)), FORMS["function"])
    return done.class_name, {package: _version(package) for package in needed}


def _check_local(result: Result, folder: Path, name: str) -> None:
    """Raise SpaceRefused for a system that talks to a server or a service."""
    from bench.retriever.asking import contacts_in

    used = set(_parts(result, name))
    for path, contacts in contacts_in(result, folder).items():
        if any(path == part or path.startswith(f"{part}.") for part in used):
            for contact in contacts:
                if contact.declared:
                    raise SpaceRefused(
                        f"{name} needs {path} at {contact.host}, and a Space reaches no server of yours."
                    )


def _parts(result: Result, name: str) -> Iterator[str]:
    """Key paths of a system's parts, those of its legs too."""
    pipeline = next((system.pipeline for system in result.systems if system.name == name), None)
    if pipeline is None:
        return
    sides = (pipeline.encoder.query, pipeline.encoder.document) if pipeline.encoder is not None else ()
    for kind, parts in (("encoders", sides), ("stores", (pipeline.store,)), ("rerankers", (pipeline.reranker,))):
        yield from (f"{kind}.{part['name']}" for part in parts if part is not None and part.get("name"))
    for leg in pipeline.fusion.legs if pipeline.fusion is not None else ():
        yield from _parts(result, leg)


# -- files ---------------------------------------------------------------------------------------------------------


def _copy_result(folder: Path, target: Path) -> None:
    """Copy the files of a result; links are left out, because they may lead anywhere."""
    target.mkdir(parents=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in _OF_A_RUN and path.suffix != ".html":
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _copy_package(package: str, target: Path) -> None:
    """Copy this program's own source, which is on no index that a Space could install it from."""
    import importlib

    source = Path(str(importlib.import_module(package).__file__)).parent
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def _version(package: str) -> str:
    """The version that is installed here, without the part that names a build of its own. Raises SpaceRefused."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        raise SpaceRefused(f"The package {package}, which a Space needs, is not installed here.") from None


def _write_texts(draft: Path, desk: Desk, requires: dict[str, str]) -> None:
    needed = {**requires, **{name: _version(name) for name in _NEEDED}}
    lines = [f"{name}=={number}" for name, number in sorted(needed.items())]
    write_atomically(draft / "requirements.txt", ("\n".join(lines) + "\n").encode())
    write_atomically(draft / "app.py", _APP.encode())
    title = json.dumps(f"{desk.folder.name}: retrieval results")
    write_atomically(draft / "README.md", _README.format(title=title, gradio=_version("gradio")).encode())
    with suppress(OSError):
        (draft / _MARK).touch()


_APP = '''"""Serves the results and systems of this folder, read-only: python app.py"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

from bench.ui.served_space import main  # noqa: E402

if __name__ == "__main__":
    main(HERE)
'''
_README = """---
title: {title}
emoji: 🔎
colorFrom: blue
colorTo: gray
sdk: gradio
sdk_version: {gradio}
app_file: app.py
python_version: "3.11"
pinned: false
---

# Retrieval results

Results of measured retrieval systems, and small systems to try. Nothing is run or written here.

    pip install -r requirements.txt
    python app.py

`bench ui --space` wrote this folder. `results` holds the results, `systems` the retrievers with their indexes, and
`lib` the program that shows them.
"""
