"""The one-way street of imports, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

HEAVY = {
    "torch", "lancedb", "weaviate", "transformers", "sentence_transformers", "datasets", "pandas", "cohere", "pydantic",
}  # fmt: skip


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        package = path.relative_to(REPOSITORY).with_suffix("").parts
        if package[-1] == "__init__":
            package = (*package[:-1], "__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = list(package[: -node.level]) if node.level else []
                yield path, ".".join([*base, *([node.module] if node.module else [])])


def test_adapters_never_import_bench() -> None:
    offenders = [(str(p), name) for p, name in imports("adapters") if name.split(".")[0] == "bench"]
    assert offenders == []


def test_bench_knows_adapters_only_by_base_and_registry() -> None:
    allowed = ("adapters.base", "adapters.registry")
    offenders = [
        (str(path), name)
        for path, name in imports("bench")
        if name.split(".")[0] == "adapters" and name != "adapters" and not name.startswith(allowed)
    ]
    assert offenders == []


def test_nothing_imports_the_command_line() -> None:
    offenders = [
        (str(p), name)
        for folder in ("bench", "adapters")
        for p, name in imports(folder)
        if name == "bench.cli" and p.name != "__main__.py"
    ]
    assert offenders == []


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
