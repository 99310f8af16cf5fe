"""Writes the package of a new adapter: its class, its test under the laws of the role, and its entry point."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from adapters import registry

ROLES = ("dataset", "encoder", "store", "reranker", "tracker", "trainer", "generator")
_LONGEST = 24  # the most letters of a name: longer ones would need broken lines

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "retrieval-bench-{distribution}"
version = "0.1.0"
description = "The {role} {name} for retrieval-bench."
requires-python = ">=3.11"
dependencies = ["retrieval-bench"]

[project.optional-dependencies]
test = ["pytest>=9"]

[project.entry-points."retrieval_bench.{role}s"]
{name} = "{name}:{kind}"

[tool.hatch.build]
only-include = ["{name}.py"]
dev-mode-dirs = ["."]

[tool.pytest.ini_options]
testpaths = ["."]
markers = ["slow: takes more than ten seconds"]

[tool.ruff]
line-length = 120
lint.select = ["E", "F", "I", "B", "UP"]
lint.isort.section-order = ["future", "standard-library", "third-party", "harness", "first-party", "local-folder"]
lint.isort.sections.harness = ["adapters"]

[tool.mypy]
strict = true
plugins = ["pydantic.mypy"]
files = ["{name}.py", "test_{name}.py"]

[[tool.mypy.overrides]]
module = ["pyarrow.*"]
ignore_missing_imports = true
"""

_CONFTEST = """\
import pytest

# Before the suite is imported, so that a law that fails shows its values.
pytest.register_assert_rewrite(
    "adapters.testing", "adapters._store_laws", "adapters._trainer_laws", "adapters._generator_laws"
)
"""

_TESTS = {
    "dataset": """\
import json
from pathlib import Path

from adapters.testing import DatasetConformance

from {name} import {kind}


class Test{kind}(DatasetConformance):
    def source(self, folder: Path) -> {kind}:
        path = folder / "documents.jsonl"
        rows = [
            {{"id": "tin", "text": "Tin melts early.", "questions": ["what melts early?"]}},
            {{"id": "neon", "text": "Neon is a noble gas.", "questions": []}},
        ]
        path.write_text("".join(json.dumps(row) + "\\n" for row in rows), encoding="utf-8")
        return {kind}({kind}.Options(path=path))
""",
    "encoder": """\
from adapters.testing import EncoderConformance

from {name} import {kind}


class Test{kind}(EncoderConformance):
    related = ("where is the cat?", "The cat sat on the mat.", "Prime numbers have two divisors.")

    def encoder(self) -> {kind}:
        return {kind}({kind}.Options())

    def others(self) -> list[{kind}]:
        return [{kind}({kind}.Options(dimension=512))]
""",
    "store": """\
from adapters.testing import StoreConformance

from {name} import {kind}


class Test{kind}(StoreConformance):
    def store(self) -> {kind}:
        return {kind}({kind}.Index(), {kind}.Connection())
""",
    "reranker": """\
from adapters.testing import RerankerConformance

from {name} import {kind}


class Test{kind}(RerankerConformance):
    related = ("where is the cat?", "The cat sat on the mat.", "Prime numbers have two divisors.")

    def reranker(self) -> {kind}:
        return {kind}({kind}.Options())
""",
    "tracker": """\
from pathlib import Path

from adapters.testing import TrackerConformance

from {name} import {kind}


class Test{kind}(TrackerConformance):
    def tracker(self, folder: Path) -> {kind}:
        return {kind}({kind}.Options(path=folder / "rows.jsonl"))

    def away(self, folder: Path) -> {kind}:
        return {kind}({kind}.Options(path=folder / "gone" / "rows.jsonl"))
""",
    "generator": """\
from adapters.testing import GeneratorConformance

from {name} import {kind}


class Test{kind}(GeneratorConformance):
    def generator(self) -> {kind}:
        return {kind}({kind}.Options())

    def others(self) -> list[{kind}]:
        return [{kind}({kind}.Options(max_tokens=8))]
""",
    "trainer": """\
from pathlib import Path

from adapters.testing import TrainerConformance, planted_base

from {name} import {kind}


class Test{kind}(TrainerConformance):
    def trainer(self, folder: Path) -> {kind}:
        return self.made(folder, epochs=5)

    def brief(self, folder: Path) -> {kind}:
        return self.made(folder, steps=5, checkpoint_every=2)

    def others(self, folder: Path) -> list[{kind}]:
        return [self.made(folder, steps=5, temperature=0.1)]

    def made(self, folder: Path, **options: float) -> {kind}:
        base = str(planted_base(folder / "base"))
        plain = {{"base": base, "device": "cpu", "batch_size": 8, "learning_rate": 6e-3}}
        return {kind}({kind}.Options.model_validate({{**plain, **options}}))
""",
}


class Refused(Exception):
    """A package that cannot be written; says why and what to do."""


def write_package(role: str, name: str, parent: Path) -> Path:
    """The folder of a new package below `parent`. role: singular or plural. Raises Refused."""
    role, name = _role(role), _name(name)
    folder = parent / name
    if folder.exists():
        raise Refused(f"{folder} is there already. Take another name, or move it away.")
    _not_taken(name)
    kind = f"{_camel(name)}{role.capitalize()}"
    words = {"name": name, "role": role, "kind": kind, "distribution": name.replace("_", "-")}
    folder.mkdir()
    files = {
        f"{name}.py": _adapter(role, name),
        f"test_{name}.py": _TESTS[role].format(**words),
        "conftest.py": _CONFTEST,
        "pyproject.toml": _PYPROJECT.format(**words),
    }
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def next_commands(role: str, name: str) -> Iterator[str]:
    """The commands to type once the package is written, one per line, and where the adapter is then used."""
    yield f"cd {name}"
    yield 'pip install -e ".[test]"'
    yield "pytest"
    used = {
        "dataset": f"dataset: {{adapter: {name}, path: FILE}}",
        "tracker": f"trackers: {{{name}: {{adapter: {name}, path: FILE}}}}",
    }
    role = _role(role)
    if role == "trainer":
        yield f"# then, in an experiment: models: {{tuned: {{recipe: {name}, base: MODEL}}}}"
        return
    yield f"# then, in an experiment: {used.get(role) or f'{role}s: {{{name}: {{adapter: {name}}}}}'}"


def _role(word: str) -> str:
    if word.removesuffix("s") in ROLES:
        return word.removesuffix("s")
    raise Refused(f"{word!r} is no role. Roles are: {', '.join(ROLES)}.")


def _name(name: str) -> str:
    """The name, where a module, a package and an adapter can bear it. Raises Refused."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        fitting = re.sub(r"\W+|^[^a-zA-Z]+", "_", name, flags=re.ASCII).strip("_").lower()
        cure = f" Did you mean {fitting}?" if re.fullmatch(r"[a-z][a-z0-9_]*", fitting) else ""
        raise Refused(f"{name!r} is no name: write small letters, digits and underscores, a letter first.{cure}")
    if len(name) > _LONGEST:
        raise Refused(f"{name} is too long: a name has at most {_LONGEST} letters.")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        raise Refused(f"{name} is a word of Python. Take another name.")
    if name.startswith("test_") or name.endswith("_test") or name in ("test", "tests", "conftest"):
        raise Refused(f"pytest would take {name}.py for a test. Take another name.")
    return name


def _not_taken(name: str) -> None:
    """Raises Refused where an adapter or a package has the name."""
    taken = [role for role in registry.ROLES if name in registry.names(role)]
    if taken:
        raise Refused(f"{name} is an adapter already, among the {taken[0]}. Take another name, such as my_{name}.")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise Refused(f"There is a Python package {name}, which the new one would hide. Take another name: my_{name}.")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _adapter(role: str, name: str) -> str:
    """The template of the role under the new name."""
    text = resources.files("adapters").joinpath("templates", f"{role}.py").read_text(encoding="utf-8")
    return re.sub(r"\bmine\b", name, re.sub(r"\bMine(?=[A-Z])", _camel(name), text))
