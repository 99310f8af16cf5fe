"""Adapters of a third party that raise what nobody mapped: in the hook that their options name, the exception too."""

import os
import zlib
from collections import Counter

import numpy as np

from adapters.base import (
    DatasetSource,
    Delivery,
    Encoded,
    Encoder,
    Identity,
    Options,
    Queries,
    Reranker,
    Scored,
    Similarity,
    Tracker,
)
from adapters.datasets.beir import BeirFolder
from adapters.stores.exact import ExactSession, ExactStore

WIDTH = 16


class PanicException(BaseException):
    """As an engine in Rust raises through pyo3: no Exception."""


class MuteError(Exception):
    """Cannot say what it is."""

    def __str__(self):
        raise ValueError("no words")


class BoundError(Exception):
    """Crosses no process: made from two arguments, it is rebuilt from one; and it holds what cannot be pickled."""

    def __init__(self, what, why):
        super().__init__(f"{what} {why}")
        self.held = lambda: what


def _deep():
    return _deep()


def raises(kind):
    match kind:
        case "KeyError":
            raise KeyError("planted")
        case "RuntimeError":
            raise RuntimeError("planted\nin two lines")
        case "PanicException":
            raise PanicException("planted")
        case "MuteError":
            raise MuteError
        case "BoundError":
            raise BoundError("planted", "twice")
        case "SystemExit":
            raise SystemExit("planted")
        case "GeneratorExit":
            raise GeneratorExit("planted")
        case "StopIteration":
            raise StopIteration("planted")
        case "MemoryError":
            raise MemoryError
        case "RecursionError":
            _deep()
        case "ValueError":
            raise ValueError
        case "UnwritableError":
            raise ValueError("planted \ud83d \x1b[31m")
        case "returns":
            return
    raise AssertionError(kind)


class Trap(Options):
    """hook: where it raises. kind: the exception, or `returns` for a result of the wrong type. after: calls of the hook
    that go well before. alone: only with a single query, as in the latency pass. spared: a process where it works."""

    hook: str = ""
    kind: str = "KeyError"
    after: int = 0
    alone: bool = False
    spared: int = 0
    log: str = ""


class Trapped:
    """Counts the calls of every hook; not pickled, as every process has its own."""

    def trap(self, trap, hook, size=1):
        if trap.log:
            with open(trap.log, "a", encoding="utf-8") as file:  # noqa: PTH123
                file.write(f"{hook}\n")
        if trap.hook != hook or (trap.alone and size != 1) or trap.spared == os.getpid():
            return True
        calls = self.__dict__.setdefault("calls", Counter())
        calls[hook] += 1
        return calls[hook] <= trap.after or raises(trap.kind) is not None


class RaisingEncoder(Trapped, Encoder):
    name = "raising"
    Options = Trap

    def __init__(self, options, context):
        super().__init__(options, context)
        self.trap(options, "constructor")

    def check(self):
        self.trap(self.options, "check")

    @property
    def identity(self):
        self.trap(self.options, "identity")
        return Identity("raising", f"{self.options.hook}-{self.options.kind}-{self.options.after}")

    @property
    def dimension(self):
        return WIDTH if self.trap(self.options, "dimension") else None

    @property
    def similarity(self):
        return Similarity.COSINE if self.trap(self.options, "similarity") else None

    def _encode(self, rows, role):
        if not self.trap(self.options, "encode", len(rows)):
            return None
        return Encoded(np.stack([self._vector(text) for text in rows.texts]))

    def _vector(self, text):
        seeds = [zlib.crc32(word.encode()) for word in text.split()] or [0]
        return np.sum([np.random.default_rng(seed).standard_normal(WIDTH) for seed in seeds], axis=0)

    def close(self):
        self.trap(self.options, "close")


class RaisingStore(Trapped, ExactStore):
    name = "raising"
    Index = Trap

    def __init__(self, index, connection, context=None):
        super().__init__(index, connection, context)
        self.trap(index, "constructor")

    def check(self):
        self.trap(self.index, "check")

    def consumes(self, query):
        return super().consumes(query) if self.trap(self.index, "consumes") else None

    def plan(self, rows, dimension, similarity):
        self.trap(self.index, "plan")

    @property
    def identity(self):
        self.trap(self.index, "identity")
        return Identity("raising", "store")

    @property
    def uses_text(self):
        self.trap(self.index, "uses_text")
        return False

    def note(self):
        self.trap(self.index, "note")

    def health(self):
        return () if self.trap(self.index, "health") else None

    def server_memory(self):
        self.trap(self.index, "server_memory")

    def _build(self, batches, place, similarity, dimension):
        details = super()._build(batches, place, similarity, dimension)
        return details if self.trap(self.index, "build") else None

    def _insert(self, ref, batch):
        self.trap(self.index, "insert")
        super()._insert(ref, batch)

    def _settle(self, ref):
        self.trap(self.index, "settle")
        super()._settle(ref)

    def describe(self, ref):
        held = super().describe(ref)
        return held if self.trap(self.index, "describe") else None

    def open(self, ref):
        return RaisingSession(ref, self.held(ref), self) if self.trap(self.index, "open") else None

    def _drop(self, ref):
        self.trap(self.index, "drop")

    def close(self):
        self.trap(self.index, "close")


class RaisingServer(RaisingStore):
    """The same, as a store that stands outside this process: processes that generate load may open it."""

    name = "raising_server"
    embedded = False


class RaisingSession(ExactSession):
    def __init__(self, ref, held, store):
        super().__init__(ref, held)
        self.store = store

    def configure(self, options):
        self.store.trap(self.store.index, "configure")

    def _search(self, queries: Queries, limit, filter):
        found = super()._search(queries, limit, filter)
        return found if self.store.trap(self.store.index, "search", len(queries)) else None

    def close(self):
        self.store.trap(self.store.index, "session_close")


class RaisingReranker(Trapped, Reranker):
    name = "raising"
    Options = Trap

    def __init__(self, options, context):
        super().__init__(options, context)
        self.trap(options, "constructor")

    def check(self):
        self.trap(self.options, "check")

    @property
    def identity(self):
        self.trap(self.options, "identity")
        return Identity("raising", f"{self.options.hook}-{self.options.kind}-{self.options.after}")

    def prepare(self, corpus):
        self.trap(self.options, "prepare")
        super().prepare(corpus)

    def _score(self, queries, candidates):
        return Scored(-candidates.astype(np.float32)) if self.trap(self.options, "score", len(candidates)) else None

    def close(self):
        self.trap(self.options, "close")


class RaisingTracker(Trapped, Tracker):
    name = "raising"
    Options = Trap

    def __init__(self, options, context):
        super().__init__(options, context)
        self.trap(options, "constructor")

    def on(self, event):
        self.trap(self.options, "on")

    def finish(self, timeout_seconds):
        return Delivery("raising", 1, 0) if self.trap(self.options, "finish") else None

    def close(self):
        self.trap(self.options, "close")


class RaisingFolder(Trap):
    path: str = "data"


class RaisingDataset(Trapped, DatasetSource):
    name = "raising"
    Options = RaisingFolder

    def __init__(self, options, context):
        super().__init__(options, context)
        self.trap(options, "constructor")

    def check(self):
        self.trap(self.options, "check")

    def sources(self):
        self.trap(self.options, "sources")

    def load(self):
        source = BeirFolder(BeirFolder.Options(path=self.options.path, split="test"), self.context)
        return source.load() if self.trap(self.options, "load") else None

    def close(self):
        self.trap(self.options, "close")
