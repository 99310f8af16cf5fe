"""The one-way street of imports, read from the source: between rooms, and between files.

Every import counts, one inside a function or under TYPE_CHECKING too: it ties two files together all the same.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.conftest import REPOSITORY

HEAVY = {
    "torch", "lancedb", "weaviate", "transformers", "sentence_transformers", "datasets", "pandas", "cohere", "pydantic",
}  # fmt: skip

# Which room of bench may import which, lowest first. A room is a folder; what lies flat in bench/ has its own name.
ROOMS: dict[str, set[str]] = {
    "messages": set(),
    "statistics": set(),
    "machine": set(),
    "money": set(),
    "cache": {"messages"},
    "data": {"cache"},
    "results": {"cache", "messages", "statistics"},
    "experiment": {"cache", "messages", "money", "statistics"},
    "quality": {"cache", "data", "experiment", "machine", "messages", "money", "results", "statistics"},
    "latency": {"cache", "data", "experiment", "machine", "messages", "quality", "results", "statistics"},
    "synthetic": {"cache", "data", "experiment", "messages", "money", "quality"},
    "run": {
        "cache", "data", "experiment", "latency", "machine", "messages", "money", "quality", "results", "statistics",
        "synthetic", "train",
    },
    "train": {
        "cache", "data", "experiment", "machine", "messages", "money", "quality", "results", "statistics", "synthetic",
    },
    "report": {"cache", "messages", "results", "statistics"},
    "frames": {"results"},
    "comparing": {"cache", "messages", "report", "results", "statistics"},
    "retriever": {
        "cache", "data", "experiment", "messages", "money", "quality", "report", "results", "synthetic", "train",
    },
    "doctor": {"cache", "machine", "messages"},
    "progress": {"messages"},
    "new_adapter": set(),
    "chat": {"experiment", "messages", "money", "results"},
    "ui": {
        "cache", "chat", "comparing", "experiment", "machine", "messages", "progress", "quality", "report",
        "results", "retriever", "train",
    },
    "commands": {
        "cache", "chat", "comparing", "experiment", "messages", "money", "progress", "quality", "report",
        "results", "retriever", "run", "synthetic", "train", "ui",
    },
    "cli": {
        "cache", "commands", "doctor", "experiment", "machine", "messages", "new_adapter", "progress", "results",
        "run",
    },
    "__main__": {"cli", "machine"},
}  # fmt: skip
CLOCKS = {"time", "timeit", "sched"}
# What a room that reads files and computes may need from outside the standard library.
PURE = {
    "statistics": {"numpy", "scipy"},
    "report": {"altair", "numpy", "pandas", "pyarrow", "rich", "vl_convert", "yaml"},
}
FLAT_FILES = 12
LONGEST_FILE = 450
LONGEST_FUNCTION = 50  # a screen, from `def` to the end
# All that bench knows of adapters: the contracts, the registry, what a machine has ready, where models are published,
# and how engines and processes are kept quiet.
KNOWN_ADAPTERS = {"at_hand", "base", "registry", "hub", "quieten_process", "printable", "unprintable"}


class Sources:
    """The text of every module of bench and adapters, and of lines that a test adds to one."""

    def __init__(self, added: Mapping[str, str] | None = None) -> None:
        self.text: dict[str, str] = {}
        for package in ("bench", "adapters"):
            for path in sorted((REPOSITORY / package).rglob("*.py")):
                place = path.relative_to(REPOSITORY).as_posix()
                self.text[place] = path.read_text(encoding="utf-8")
        for place, line in (added or {}).items():
            self.text[place] = f"{self.text.get(place, '')}\n{line}\n"

    def modules(self, package: str) -> dict[str, str]:
        """The package's modules by their dotted names, and their places."""
        found = {}
        for place in self.text:
            parts = place.removesuffix(".py").split("/")
            if parts[0] == package:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = place
        return found

    def imports(self, package: str) -> Iterator[tuple[str, str]]:
        """Each import of the package's modules: who imports, and the dotted name of what, if it is a module."""
        for module, place in self.modules(package).items():
            inside = module if place.endswith("/__init__.py") else module.rpartition(".")[0]
            yield from ((module, name) for name in _imported(self.text[place], inside))


@cache
def _imported(text: str, inside: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: inside.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(names)


def arrows(sources: Sources, package: str) -> dict[str, set[str]]:
    """Which module of the package imports which other one of it."""
    known = sources.modules(package)
    graph: dict[str, set[str]] = {module: set() for module in known}
    for module, name in sources.imports(package):
        target = name if name in known else name.rpartition(".")[0]
        if target in known and target != module:
            graph[module].add(target)
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def doors(sources: Sources) -> set[tuple[str, str]]:
    """Which room of bench imports which other one. What the package itself hands to scripts is in no room."""
    graph = arrows(sources, "bench")
    pairs = {(room(module), room(target)) for module, targets in graph.items() for target in targets}
    return {(one, other) for one, other in pairs if one != other and "bench" not in (one, other)}


def offences(sources: Sources) -> list[str]:
    """Everything in `bench` and `adapters` that breaks a law of imports."""
    circles = (circle(arrows(sources, package)) for package in ("bench", "adapters"))
    found = [f"circle: {' > '.join(modules)}" for modules in circles if modules]
    found += [
        f"{one} imports {other}, which the table does not allow"
        for one, other in sorted(doors(sources))
        if other not in ROOMS.get(one, set())
    ]
    found += [
        f"{module} imports bench" for module, name in sources.imports("adapters") if name.split(".")[0] == "bench"
    ]
    found += [
        f"{module} imports {name}: what is copied into retrievers needs nothing else of this project"
        for module, name in sources.imports("adapters")
        if module.startswith("adapters.code.")
        and name.startswith("adapters.")
        and not name.startswith("adapters.code.")
    ]
    for module, name in sources.imports("bench"):
        parts = name.split(".")
        if parts[0] == "adapters" and (len(parts) < 2 or parts[1] not in KNOWN_ADAPTERS):
            found.append(f"{module} imports {name}: bench knows adapters by base and registry alone")
        allowed = PURE.get(room(module))
        if allowed is None or parts[0] == "bench":
            continue
        if parts[0] in CLOCKS:
            found.append(f"{module} imports {name}: a clock")
        elif parts[0] not in allowed | sys.stdlib_module_names:
            found.append(f"{module} imports {name}: {room(module)} reaches no engine")
    flat = [place for place in sources.text if place.startswith("bench/") and place.count("/") == 1]
    if len(flat) > FLAT_FILES:
        found.append(f"{len(flat)} files lie flat in bench, {FLAT_FILES} may")
    return found


def test_the_house_stands_as_drawn() -> None:
    assert offences(Sources()) == []


def test_the_table_of_rooms_names_what_is_there_and_allows_no_more() -> None:
    assert doors(Sources()) == {(one, other) for one, others in ROOMS.items() for other in others}
    assert circle(ROOMS) == []


@pytest.mark.parametrize(
    ("place", "line", "offence"),
    [
        ("bench/cache/artifacts.py", "from bench.quality import pipeline", "circle: "),
        ("bench/quality/stages.py", "def f():\n    from bench.quality.pipeline import Pipeline", "circle: "),
        ("bench/messages/wording.py", "if TYPE_CHECKING:\n    import bench.messages.failures", "circle: "),
        ("bench/cache/artifacts.py", "from bench.results import model", "cache imports results"),
        ("bench/report/cells.py", "from adapters import registry", "imports adapters.registry: report reaches"),
        ("bench/report/cells.py", "import adapters.base", "imports adapters.base: report reaches no"),
        ("bench/report/cells.py", "import time", "report.cells imports time: a clock"),
        ("bench/statistics/measures.py", "from time import perf_counter", "imports time.perf_counter: a clock"),
        ("bench/statistics/measures.py", "def f():\n    import lancedb", "statistics reaches no engine"),
        ("bench/run/runner.py", "from adapters import stores", "imports adapters.stores: bench knows adapters by base"),
        ("bench/run/runner.py", "from adapters.stores.lancedb import LanceDB", "bench knows adapters by base"),
        ("bench/run/runner.py", "from bench import cli", "run imports cli"),
        ("adapters/registry.py", "from bench.messages import wording", "adapters.registry imports bench"),
        ("adapters/base/arrays.py", "from adapters.base import contracts, exact", "circle: "),
        ("adapters/code/contract.py", "from adapters.base.arrays import Hits", "needs nothing else of this project"),
    ],
)  # fmt: skip
def test_what_breaks_a_law_of_imports_is_found(place: str, line: str, offence: str) -> None:
    found = offences(Sources({place: line}))
    assert any(offence in line for line in found), found


def test_a_flat_file_too_many_is_found() -> None:
    found = offences(Sources({f"bench/more{number}.py": "" for number in range(FLAT_FILES)}))
    assert any("lie flat in bench" in line for line in found), found


def too_long(sources: Sources) -> Iterator[str]:
    """Files and functions of `bench` and `adapters` that ask for a second room."""
    for place, text in sources.text.items():
        if (lines := text.count("\n")) > LONGEST_FILE:
            yield f"{place} has {lines} lines, {LONGEST_FILE} may be"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    yield f"{place}: {node.name} has {lines} lines, {LONGEST_FUNCTION} may be"


def test_no_file_and_no_function_outgrows_its_room() -> None:
    assert list(too_long(Sources())) == []


def test_a_file_and_a_function_that_are_too_long_are_found() -> None:
    function = "def endless():\n" + "    pass\n" * LONGEST_FUNCTION
    found = list(too_long(Sources({"bench/new.py": function, "adapters/new.py": "\n" * LONGEST_FILE})))
    assert found == [
        f"bench/new.py: endless has {LONGEST_FUNCTION + 1} lines, {LONGEST_FUNCTION} may be",
        f"adapters/new.py has {LONGEST_FILE + 2} lines, {LONGEST_FILE} may be",
    ]


# typer itself reads a command's own parameters with pydantic.
@pytest.mark.parametrize(("arguments", "allowed"), [(["--help"], set()), (["run", "--help"], {"pydantic"})])
def test_help_loads_no_heavy_package(arguments: list[str], allowed: set[str]) -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['bench', *sys.argv[1:]]\n"
        "try:\n"
        "    runpy.run_module('bench', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"print('loaded:', sorted({HEAVY - allowed!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded: []")
