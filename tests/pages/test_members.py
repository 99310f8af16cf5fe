"""The page on writing adapters has one row for every class variable and hook of the contracts."""

from __future__ import annotations

import inspect
import re

from adapters import base
from tests.conftest import REPOSITORY

CONTRACTS = (
    base.Adapter,
    base.DatasetSource,
    base.Encoder,
    base.Store,
    base.Session,
    base.Reranker,
    base.Generator,
    base.Tracker,
)
# What the base classes do around the author's part.
DONE_BY_THE_BASE = {
    "missing", "distributions", "encode", "build", "insert", "no_rows", "settle", "session", "effective", "compares",
    "drop", "search", "score", "generate", "stream",
    "several",
}  # fmt: skip
# Where an author's part has another name, the table gives that.
PARTS = {"_insert", "_settle", "_drop"}


def test_every_class_variable_and_hook_has_a_row() -> None:
    page = (REPOSITORY / "docs" / "adapters.md").read_text(encoding="utf-8")
    section = page.partition("## What a class may say")[2].partition("\n## ")[0]
    listed = {
        name for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    members: set[str] = set()
    for kind in CONTRACTS:
        names = {*vars(kind).get("__annotations__", ()), *vars(kind)}
        abstract = getattr(kind, "__abstractmethods__", frozenset())
        members |= {
            name
            for name in names
            if (not name.startswith("_") or name in PARTS) and name not in abstract | DONE_BY_THE_BASE
        }
    assert listed == members


def test_every_hook_has_a_docstring() -> None:
    undocumented = [
        f"{kind.__name__}.{name}"
        for kind in CONTRACTS
        for name, member in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property | classmethod))
        if not inspect.getdoc(member)
    ]
    assert undocumented == []
