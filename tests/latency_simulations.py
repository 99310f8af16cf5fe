"""Are the verdicts on latency calibrated? Real passes over equal systems: `python -m tests.latency_simulations`.

Each pass measures equal systems and one that does 1.2 times the work, by the default plan: ten rounds with turns of one
second. Passes are taken on the machine as it is, and with a busy loop beside them for each processor.

Reported: how often two equal systems are called different (5 % ± 2 % wanted), and how often the slower one is found
(80 % at least). `python -m tests.latency_simulations PASSES SYSTEMS` says how much is measured: 4 passes of 15 systems,
which are 420 pairs of equal ones, take 11 minutes, twice.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations

import numpy as np

from bench.experiment.file import LoadPoint
from bench.latency.figures import LoadFigures, RoundFigures
from bench.latency.steps import State, Step
from bench.latency.turns import Subject, measure
from bench.statistics.latency_verdicts import compare_rounds

QUERIES = 200
WORK = 20  # hashes of a query, some 2 ms
SLOWER = 1.2
_BLOCK = bytes(range(256)) * 256


class Hashing:
    """A system whose search is a fixed piece of work."""

    encoders: tuple[str, ...] = ()

    def __init__(self, name: str, work: int) -> None:
        self.name = name
        self._work = work
        self.steps = (Step("search", self._search),)

    def _search(self, state: State) -> None:
        for _ in range(self._work):
            hashlib.blake2b(_BLOCK).digest()

    def configure(self) -> None:
        """Nothing to set."""

    def start(self, query: int) -> State:
        return State(query)

    def answer(self, state: State) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return np.zeros(1, np.int32)

    def close(self) -> None:
        """Nothing to give back."""


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Programs that take all the processor they can get."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def one_pass(systems: int, seed: int) -> tuple[list[str], str, Mapping[str, RoundFigures], int]:
    """Names of equal systems, that of the slower one, their rounds, and how many of these were disturbed."""
    equal, slower = [f"equal{i}" for i in range(systems)], "slower"
    work = {**dict.fromkeys(equal, WORK), slower: round(SLOWER * WORK)}
    expected = np.zeros((QUERIES, 1), np.int32)

    def subject(name: str, amount: int) -> Subject:
        return Subject(name, lambda: Hashing(name, amount), expected, 1000)  # type: ignore[arg-type,return-value]

    load = LoadPoint()
    subjects = [subject(name, amount) for name, amount in work.items()]
    samples = measure(load, subjects, seed=seed, emit=lambda event: None)
    rounds = LoadFigures(load, samples, seed=seed).rounds()
    return equal, slower, rounds, int(rounds[slower].disturbed.sum())


def verdict(rounds: Mapping[str, RoundFigures], baseline: str, system: str, seed: Sequence[int]) -> str:
    """Of one system against one other."""
    rng = np.random.default_rng(seed)
    reference = rounds[baseline].own_p50
    return compare_rounds(reference, {system: rounds[system].own_p50}, margin=None, rng=rng)[system].verdict


def shares(passes: int, systems: int) -> tuple[int, float, float, float]:
    """Pairs of equal systems; shares of them called different, of slower ones found; disturbed rounds per pass."""
    different, found, disturbed = list[bool](), list[bool](), list[int]()
    for number in range(passes):
        equal, slower, rounds, marked = one_pass(systems, number)
        disturbed.append(marked)
        for pair, (one, other) in enumerate(combinations(equal, 2)):
            different.append(verdict(rounds, one, other, [number, pair]) != "undecided")
        found += [verdict(rounds, one, slower, [number, i]) == "slower" for i, one in enumerate(equal)]
        print(f"  pass {number + 1}: {100 * np.mean(different):.1f} % of {len(different)} so far", flush=True)
    return len(different), float(np.mean(different)), float(np.mean(found)), float(np.mean(disturbed))


def main(passes: int = 4, systems: int = 15) -> None:
    """Print what was measured; exit status 1 where it is not what is wanted."""
    missed = False
    for name, loops in (("as it is", 0), ("two busy loops beside", 2)):
        began = time.perf_counter()
        print(f"{name}:", flush=True)
        with busy_loops(loops):
            pairs, different, found, disturbed = shares(passes, systems)
        print(
            f"  {pairs} pairs of equal systems called different: {100 * different:.1f} % (5 % ± 2 % wanted); "
            f"{SLOWER} times slower found: {100 * found:.1f} % (80 % at least); {disturbed:.1f} of 10 rounds "
            f"disturbed; {time.perf_counter() - began:,.0f} s",
            flush=True,
        )
        missed |= not (0.03 <= different <= 0.07 and found >= 0.8)
    if missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
