"""Real HTTP servers on loopback that speak the wire formats of managed services.

They answer in the services' place where tests and the offline demonstration must not bill anybody: embeddings and
rerank scores come from real word vectors that ship in a package, so their figures say nothing about the services'
own models. Faults are injected on demand, and every text whose answer was sent whole is counted.
"""

from __future__ import annotations

from tests.standin.faults import KINDS, Faults
from tests.standin.server import StandIn

__all__ = ["KINDS", "Faults", "StandIn"]
