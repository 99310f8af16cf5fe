"""What stands in the tables of the pages is what the code has: rooms, hooks, fields and columns."""

from __future__ import annotations

import re

import pytest

from adapters import base
from adapters.base import Adapter, DatasetSource, Encoder, Reranker, Session, Store, Tracker
from tests.conftest import REPOSITORY
from tests.pages import blocks as pages
from tests.test_architecture import ROOMS

CONTRACTS = {
    "Every role": Adapter,
    "DatasetSource": DatasetSource,
    "Encoder": Encoder,
    "Store": Store,
    "Session": Session,
    "Reranker": Reranker,
    "Tracker": Tracker,
}
FILLED_IN = {"_insert", "_settle"}  # hooks that are not abstract: a store that takes no rows leaves them


def test_the_page_on_architecture_has_the_rooms_as_they_are() -> None:
    told = {row[0]: row[2] for row in pages.rows("docs/architecture.md", "## Rooms")}
    assert told == {name: ", ".join(sorted(others)) or "–" for name, others in ROOMS.items()}
    for name in told:
        assert (REPOSITORY / "bench" / name).is_dir() or (REPOSITORY / "bench" / f"{name}.py").is_file()


def test_the_page_on_architecture_has_the_rooms_of_adapters() -> None:
    told = {row[0] for row in pages.rows("docs/architecture.md", "## Rooms of adapters")}
    there = {
        f"adapters/{path.name}"
        for path in (REPOSITORY / "adapters").iterdir()
        if (path / "__init__.py").is_file() and not path.name.startswith("_")
    }
    assert told == there


@pytest.mark.parametrize("heading", CONTRACTS)
def test_the_page_on_adapters_has_every_class_variable_and_hook(heading: str) -> None:
    contract = CONTRACTS[heading]
    hooks = {name for name in contract.__abstractmethods__ if not (name in vars(Adapter) and contract is not Adapter)}
    own = {**vars(contract), **vars(contract).get("__annotations__", {})}
    public = {name for name in own if not name.startswith("_")} | hooks | (FILLED_IN & set(own))
    told = {name for row in pages.rows("docs/adapters.md", f"### {heading}") for name in re.split(r", ", row[0])}
    assert told == public


def test_the_page_on_adapters_names_nothing_that_base_does_not_have() -> None:
    for block in pages.blocks("python", "docs/adapters.md"):
        for names in re.findall(r"from adapters\.base import \(?([^)]*?)\)?\n\n", block.text):
            assert {name.strip() for name in names.split(",") if name.strip()} <= set(base.__all__)
