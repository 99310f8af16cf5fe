"""One stand-in per test, and adapters that call it with a planted key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn

PLANTED_KEY = "planted-key-0123456789abcdef"


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A service on loopback that accepts the planted key alone; the variables of the SDKs point there."""
    with StandIn(keys=frozenset({PLANTED_KEY})) as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service
