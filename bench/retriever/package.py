"""A measured system as an installable package: the retriever with its data, a loader that builds the same of other
documents, a test, and a page."""

from __future__ import annotations

import json
import keyword
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cache.artifacts import new_folder
from bench.results.model import Result, SystemResult
from bench.results.rankings import Rankings, run_file, shown_build
from bench.results.texts import read_query_texts
from bench.retriever.file_text import Packaged, Table, Told, formatted, loader_text, packaged_text, requirement
from bench.retriever.keeping import DataFolder
from bench.retriever.literals import in_docstring, literal
from bench.retriever.parts import StagePart
from bench.retriever.refusal import RetrieverRefused

_MARK = "# Written by `bench retriever --package`."
_BUILT_FILE = "built.json"  # as adapters.code.building reads it
_DEV = {"pytest": ">=8"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a package is made of. documents: the table in the cache. figures: of the measurement, as a docstring tells
    them. keys: environment variables that it reads."""

    result: Result
    folder: Path
    system: SystemResult
    part: StagePart
    told: Told
    class_name: str
    k: int
    documents: Path
    rows: int
    fingerprint: str
    fields: Sequence[str]
    keys: Sequence[str]


def package_name(folder: Path) -> str:
    """The name to import a package of that folder by. Raises RetrieverRefused for a folder whose name makes none."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RetrieverRefused(
            f"{folder}: no package can be called {folder.name!r}. Take a folder whose name begins with a letter."
        )
    return name


def check_package(folder: Path, *, force: bool) -> None:
    """Raise RetrieverRefused for a folder that holds something. With force, a package of an earlier call may be
    replaced."""
    package_name(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    project = folder / "pyproject.toml"
    if not project.is_file() or not project.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
        raise RetrieverRefused(f"{folder} holds files that are no retriever's package, which stay. Take a new folder.")
    if not force:
        raise RetrieverRefused(f"{folder} holds a package already. Replace it: --force")


def write_package(contents: Contents, folder: Path) -> None:
    """Write the package, whole or not at all. What was there, which `check_package` allowed, is replaced."""
    name = package_name(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = new_folder(folder.parent, f".{folder.name}-")
    try:
        _write(contents, name, draft)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(contents: Contents, name: str, draft: Path) -> None:
    source = draft / "src" / name
    data = source / "data"
    data.mkdir(parents=True)
    copied = DataFolder(data, source / "retriever.py", data)
    copied.place(contents.documents)
    table = Table("", contents.rows, contents.fingerprint)
    packaged = packaged_text(contents.part, contents.told, table, class_name=contents.class_name, k=contents.k)
    parts = {}
    for variable, files, left_out in packaged.opened:
        for path in files.values():
            copied.place(path)
        places = {argument: copied.copied[path] for argument, path in files.items()}
        parts[variable] = {"files": places, "left_out": list(left_out)}
    built = {"rows": contents.rows, "fingerprint": contents.fingerprint, "parts": parts}
    (data / _BUILT_FILE).write_text(json.dumps(built, indent=2), encoding="utf-8")
    loader = loader_text(packaged, name, contents.class_name, contents.fields)
    init = (
        f'"""{in_docstring(contents.told.title)}"""\n\nfrom {name}.loader import build\n'
        f"from {name}.retriever import {contents.class_name}, RetrieverError\n\n"
        f"__all__ = {literal(sorted([contents.class_name, 'RetrieverError', 'build']))}\n"
    )
    texts = {
        "pyproject.toml": _project(contents, name),
        "README.md": _page(contents, name),
        f"src/{name}/__init__.py": formatted(init),
        f"src/{name}/py.typed": "",
        f"src/{name}/retriever.py": packaged.text,
        f"src/{name}/loader.py": loader,
        "tests/test_retriever.py": formatted(_test(contents, name, packaged), own=name),
    }
    for place, text in texts.items():
        path = draft / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _project(contents: Contents, name: str) -> str:
    needs = "\n".join(f"    {json.dumps(requirement(*each))}," for each in sorted(contents.told.requires.items()))
    dev = ", ".join(json.dumps(f"{package}{versions}") for package, versions in _DEV.items())
    return f"""{_MARK}
[project]
name = {json.dumps(name.replace("_", "-"))}
version = "0.1.0"
description = {json.dumps(contents.told.title)}
readme = "README.md"
requires-python = {json.dumps(contents.told.python)}
dependencies = [
{needs}
]

[project.optional-dependencies]
dev = [{dev}]

[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["src/{name}"]

[tool.ruff]
line-length = 88
extend-exclude = ["*.md"]

[[tool.mypy.overrides]]
module = "*"
disable_error_code = ["import-untyped", "import-not-found"]
"""


def _page(contents: Contents, name: str) -> str:
    figures = "\n\n".join("\n".join(lines) for lines in contents.told.paragraphs)
    keys = f"\nIt reads keys from the environment: {', '.join(contents.keys)}.\n" if contents.keys else ""
    class_name = contents.class_name
    fields = f" and the fields {', '.join(contents.fields)}, by which it filters" if contents.fields else ""
    return f"""# {name}

{in_docstring(contents.told.title)}

```sh
pip install .
```

```python
from {name} import {class_name}

with {class_name}(k=5) as retriever:
    documents = retriever.invoke("your question")
```
{keys}
## Documents of your own

`build` makes the same index, with the options that were measured, of other documents; it reads it back and checks it.
Each document needs an `id` and a `text`{fields}; what else it holds becomes metadata.

```python
from {name} import build

retriever = build([{{"id": "1", "text": "…"}}, {{"id": "2", "text": "…"}}], "my-data")
```

Later, `{class_name}(data=Path("my-data"))` opens it again. The figures below are of the measured documents, not of
yours.

## What was measured

{figures}

## Checks

```sh
pip install ".[dev]"
pytest
bench verify-retriever src/{name}/retriever.py
```
"""


def _test(contents: Contents, name: str, packaged: Packaged) -> str:
    question, measured = _measured_example(contents)
    keys = literal(list(contents.keys))
    first = literal(measured)
    documents = 300  # as many as the codes of a product quantizer are trained on
    values = dict.fromkeys(contents.fields, "value")
    more = "".join(f", {literal(field)}: {literal(value)}" for field, value in values.items())
    return f'''"""The retriever finds what was measured, and an index of other documents can be built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from {name} import {contents.class_name}, build

KEYS = {keys}
pytestmark = pytest.mark.skipif(
    not all(map(os.environ.get, KEYS)), reason=f"needs the environment variables {{KEYS}}"
)


def test_it_finds_what_was_measured() -> None:
    with {contents.class_name}() as retriever:
        found = retriever.invoke({literal(question)})
    assert [document.id for document in found[:1]] == {first}


def test_an_index_of_other_documents_is_built(tmp_path: Path) -> None:
    documents = [
        {{"id": f"d{{i}}", "text": f"text number {{i}} about subject {{i % 7}}"{more}}} for i in range({documents})
    ]
    with build(documents, tmp_path / "data") as retriever:
        found = retriever.invoke("text number 5 about subject 5", k=3)
    assert {{str(document.id) for document in found}} <= {{document["id"] for document in documents}}
    with {contents.class_name}(data=tmp_path / "data") as again:
        assert [each.id for each in again.invoke("text number 5 about subject 5", k=3)] == [each.id for each in found]
'''


def _measured_example(contents: Contents) -> tuple[str, list[str]]:
    """The first judged query whose text the result holds whole and for which the system found something, and what it
    found first. Raises RetrieverRefused where there is none."""
    texts: Mapping[str, str] = {
        query: text.whole for query, text in read_query_texts(contents.folder).items() if not text.cut
    }
    rankings = Rankings(run_file(contents.folder, contents.system.name, shown_build(contents.system)), texts, ())
    own = contents.result.dataset.own_documents_left_out > 0
    for query, text in texts.items():
        measured = [hit.document for hit in rankings.of(query)]
        if measured and not own:
            return text, measured[:1]
    return next(iter(texts.values()), "a question"), []
