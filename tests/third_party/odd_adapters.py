"""Adapters of a third party, found through entry points: slow ones, failing ones, wrong ones, and all of them cheap."""

import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
from pydantic import Field

from adapters.base import (
    AdapterRejected,
    CodePiece,
    EffectiveIndex,
    Encoded,
    Encoder,
    Hits,
    Identity,
    NotIndexed,
    Options,
    Queries,
    Similarity,
)
from adapters.stores.bm25 import Bm25Session, Bm25Store
from adapters.stores.exact import ExactSession, ExactStore

WIDTH = 32


class WordsOptions(Options):
    log: Path | None = Field(None, description="file that gets one line of JSON for every batch: role and texts")
    seconds_per_text: float = 0.0
    slow_after: int = Field(0, description="texts that a process embeds at once before it is slow")
    slow_while: Path | None = Field(None, description="it is slow as long as this file is there")
    nan_for: str | None = Field(None, description="a text with this word gets NaN")
    short_for: str | None = Field(None, description="a batch with this word gets vectors of half the dimension")
    salt: int = 0


class WordsEncoder(Encoder):
    """Sums a pseudo-random direction per word: texts that share words are near each other."""

    name = "words"
    Options = WordsOptions

    @property
    def identity(self):
        return Identity("words", f"words-{self.options.salt}", settings={"nan": self.options.nan_for})

    @property
    def dimension(self):
        return WIDTH

    @property
    def similarity(self):
        return Similarity.COSINE

    def _encode(self, rows, role):
        if self.options.log is not None:
            line = json.dumps({"process": os.getpid(), "role": role, "texts": list(rows.texts)}) + "\n"
            with self.options.log.open("a", encoding="utf-8") as file:
                file.write(line)
        self._wait(len(rows))
        vectors = np.stack([self._vector(text) for text in rows.texts]).astype(np.float32)
        if self.options.short_for and any(self.options.short_for in text for text in rows.texts):
            vectors = vectors[:, : WIDTH // 2]
        return Encoded(vectors)

    def _wait(self, texts):
        self.embedded = getattr(self, "embedded", 0) + texts
        end = time.monotonic() + self.options.seconds_per_text * texts * (self.embedded > self.options.slow_after)
        gate = self.options.slow_while
        while (left := end - time.monotonic()) > 0 and (gate is None or gate.exists()):
            time.sleep(left if gate is None else min(left, 0.05))

    def export(self, role):
        return CodePiece(f"{__name__}_code", "WordVectors", {"salt": self.options.salt}, requires=("numpy",))

    def _vector(self, text):
        if self.options.nan_for and self.options.nan_for in text:
            return np.full(WIDTH, np.nan)
        seeds = [zlib.crc32(f"{self.options.salt} {word}".encode()) for word in text.lower().split()] or [0]
        return np.sum([np.random.default_rng(seed).standard_normal(WIDTH) for seed in seeds], axis=0)


class FragileIndex(Options):
    k1: float = 1.5


class FragileQuery(Options):
    fails_for: str | None = None


class FragileStore(Bm25Store):
    """BM25 that refuses every query with a certain word."""

    name = "fragile"
    Query = FragileQuery

    @property
    def identity(self):
        return Identity("odd", "fragile")

    def open(self, ref):
        return FragileSession(ref, self.index)


class FragileSession(Bm25Session):
    def _search(self, queries: Queries, limit, filter):
        if any(self.options.fails_for and self.options.fails_for in text for text in queries.texts):
            raise AdapterRejected(f"the word {self.options.fails_for} is refused.")
        return super()._search(queries, limit, filter)


class ForgetfulStore(ExactStore):
    """Says that it searches exactly, and forgets the best document of every query."""

    name = "forgetful"

    @property
    def identity(self):
        return Identity("odd", "forgetful")

    def open(self, ref):
        return ForgetfulSession(ref, self.held(ref))


class ForgetfulSession(ExactSession):
    def _search(self, queries, limit, filter):
        found = super()._search(queries, limit + 1, filter)
        return Hits(found.rows[:, 1:], found.scores[:, 1:])


class LazyStore(ExactStore):
    """Takes the rows and never indexes them."""

    name = "lazy"

    @property
    def identity(self):
        return Identity("odd", "lazy")

    def describe(self, ref):
        raise NotIndexed("0 of the rows are indexed after 60 s. Wait for the engine, or use another index type.")


class FullDisk(ExactStore):
    """Keeps its rows on a device that is always full."""

    name = "full_disk"

    @property
    def identity(self):
        return Identity("odd", "full_disk")

    def _build(self, batches, place, similarity, dimension):
        with Path("/dev/full").open("wb") as file:
            for batch in batches:
                file.write(batch.column("vector").flatten().to_numpy().tobytes())
        return {}


class SlowIndex(Options):
    build_seconds: float = 0.0


class SlowQuery(Options):
    search_seconds: float = 0.0
    stall_after: int | None = Field(None, description="a session's search with this number, from 1, stalls")
    stall_seconds: float = 0.5


class SlowStore(ExactStore):
    """Exact search that takes its time."""

    name = "slow"
    Index = SlowIndex
    Query = SlowQuery

    @property
    def identity(self):
        return Identity("odd", "slow")

    def _build(self, batches, place, similarity, dimension):
        time.sleep(self.index.build_seconds)
        return super()._build(batches, place, similarity, dimension)

    def open(self, ref):
        return SlowSession(ref, self.held(ref))

    def describe(self, ref):
        held = super().describe(ref)
        return EffectiveIndex("slow", held.rows, held.rows_indexed, flat=True, bytes=held.bytes)


class ClumsyIndex(Options):
    insert_seconds: float = 0.0
    loses: bool = Field(False, description="the first row of every batch")
    refuses: bool = False
    interrupts: bool = Field(False, description="as a user who presses Ctrl-C while rows are written")


class ClumsyStore(ExactStore):
    """Exact search that has its troubles with rows that come later."""

    name = "clumsy"
    Index = ClumsyIndex

    @property
    def identity(self):
        return Identity("odd", "clumsy")

    def _insert(self, ref, batch):
        time.sleep(self.index.insert_seconds)
        if self.index.refuses:
            raise AdapterRejected("this engine takes nothing on Mondays.")
        if self.index.interrupts:
            raise KeyboardInterrupt
        super()._insert(ref, batch.slice(1) if self.index.loses else batch)


class SlowSession(ExactSession):
    searches = 0

    def _search(self, queries, limit, filter):
        self.searches += 1
        stalled = self.options.stall_seconds if self.searches == self.options.stall_after else 0.0
        time.sleep(self.options.search_seconds + stalled)
        return super()._search(queries, limit, filter)
