"""A planted collection, and a cache for a whole file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train import planted


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.collection(tmp_path_factory.mktemp("planted") / "data")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: what one test trained the next need not."""
    return tmp_path_factory.mktemp("cache")
