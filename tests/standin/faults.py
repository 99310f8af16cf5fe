"""What goes wrong on demand, decided from the request itself: the same work meets the same faults in any order."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass

#: 429 with Retry-After, 500 and 503; a body that comes late; a connection reset instead of an answer; JSON that ends
#: in the middle, as a whole HTTP message (truncated) and as one that is cut off (cut); an item too few; NaN.
KINDS = ("429", "500", "503", "slow", "reset", "truncated", "cut", "count", "nan")


@dataclass(frozen=True, slots=True)
class Faults:
    """rate: share of requests that go wrong, spread evenly over the kinds. slow_seconds: how late a slow body comes;
    slow_pieces: in how many pieces, each as late after the one before.
    retry_after: value of that header of a 429, in seconds."""

    rate: float = 0.0
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    slow_seconds: float = 0.3
    slow_pieces: int = 2
    retry_after: str = "0.05"

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds:
            raise ValueError(f"kinds of faults are {', '.join(KINDS)}; got {', '.join(sorted(unknown)) or 'none'}")


class FaultPlan:
    """Decides per request, from its content and how often it was tried before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tries: Counter[bytes] = Counter()

    def kind(self, faults: Faults, path: str, body: bytes) -> str | None:
        """The fault that this request meets, None for an undisturbed answer."""
        digest = hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).digest()
        with self._lock:
            self._tries[digest] += 1
            attempt = self._tries[digest]
        drawn = hashlib.blake2b(digest + f"{faults.seed}/{attempt}".encode(), digest_size=16).digest()
        if int.from_bytes(drawn[:8], "big") / 2**64 >= faults.rate:
            return None
        return faults.kinds[int.from_bytes(drawn[8:], "big") % len(faults.kinds)]
