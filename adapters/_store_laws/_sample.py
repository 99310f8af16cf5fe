"""The corpora that the laws of a store are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import Consumes, Filter, Flags, Floats, Queries

DIMENSION = 16
ODD_IDS = ("naïve/ü", "日本語", "it's", 'a "b"', "with space", "🙂", "-1", "\\", "a.b", "NULL")
ODD_ENDINGS = ("", " ", "\n", "\t", " it's", ' a "b" \\', " 日本語 🙂", " <b>&amp;</b>", f" {'é' * 300}", " NULL")
META = ("lang", "year")
_SYLLABLES = ("ba", "ko", "du", "fa", "go", "lu", "ma", "no", "pu", "ro")  # no suffix that a stemmer would cut
_SPREAD = 0.7  # of the logarithm of a vector's length: no two metrics then agree on more than half of the best ten


def word(number: int) -> str:
    """A word of its own for each number from 0 to 99,999."""
    return "za" + "".join(_SYLLABLES[int(digit)] for digit in f"{number:05d}")


@dataclass(frozen=True)
class Sample:
    """A corpus of n documents: vectors (n, 16) of very different lengths, without near ties; texts of one word of
    their own, one that ten neighbours share, and a varying number of fillers; meta columns lang, with nulls, and year,
    which has twenty values, so that one of them leaves 5 %."""

    vectors: Floats
    texts: Sequence[str | None]
    ids: Sequence[str]
    langs: Sequence[str | None]
    years: Sequence[int]

    @staticmethod
    def of(count: int, seed: int = 7) -> Sample:
        generator = np.random.default_rng(seed)
        vectors = generator.standard_normal((count, DIMENSION))
        vectors *= np.exp(_SPREAD * generator.standard_normal((count, 1)))
        return Sample(
            vectors.astype(np.float32),
            [f"{word(i)} shared{word(i // 10)} " + "filler " * (1 + i % 10) for i in range(count)],
            [ODD_IDS[i] if i < len(ODD_IDS) else f"d{i}" for i in range(count)],
            [("en", "it's", None, "日本")[i % 4] for i in range(count)],
            [2000 + i % 20 for i in range(count)],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def with_odd_texts(self) -> Sample:
        """The same with odd endings; some texts are null, some empty, some white space."""
        instead: dict[int, str | None] = {5: None, 7: "", 9: " \n "}
        texts = [
            instead[i % 13] if i % 13 in instead else f"{text}{ODD_ENDINGS[i % len(ODD_ENDINGS)]}"
            for i, text in enumerate(self.texts)
        ]
        return replace(self, texts=texts)

    def table(self, *, vectors: bool, texts: bool, meta: Sequence[str] = (), payload: bool = False) -> pa.Table:
        """The corpus with the columns that a run gives a store. meta: those that its filters ask for. payload: with
        the texts that searches return."""
        known: dict[str, pa.Array] = {
            "lang": pa.array(self.langs, pa.string()),
            "year": pa.array(self.years, pa.int64()),
        }
        columns: dict[str, Any] = {
            "row": pa.array(np.arange(len(self), dtype=np.int32)),
            "id": pa.array(self.ids, pa.string()),
        }
        columns |= {f"meta.{name}": known[name] for name in meta}
        told = pa.array(self.texts, pa.string())
        columns |= ({"text": told} if texts else {}) | ({"payload": told} if payload else {})
        if vectors:
            flat = pa.array(self.vectors.ravel())
            columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, self.vectors.shape[1])
        return pa.table(columns)

    def batches(
        self,
        size: int = 128,
        *,
        vectors: bool = True,
        texts: bool = False,
        meta: Sequence[str] = (),
        order: npt.NDArray[np.int64] | None = None,
        payload: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """The corpus in batches. order: in which the rows come, when not by their number."""
        table = self.table(vectors=vectors, texts=texts, meta=meta, payload=payload)
        if order is not None:
            table = table.take(pa.array(order)).combine_chunks()
        yield from table.to_batches(max_chunksize=size)

    def eligible(self, condition: Filter) -> Flags:
        """Which documents pass a filter: bool (n,)."""
        return condition.mask(self.table(vectors=False, texts=False, meta=META))

    def near(self, count: int) -> list[int]:
        """The documents that `queries` stand near: 3, 10, 17, …"""
        return [(3 + 7 * i) % len(self) for i in range(count)]

    def queries(self, count: int, consumes: frozenset[Consumes]) -> Queries:
        """Queries near documents 3, 10, 17, …: by a disturbed vector, by the document's two words, or by both."""
        chosen = self.near(count)
        noise = np.random.default_rng(11).standard_normal((count, DIMENSION)).astype(np.float32)
        return Queries(
            self.vectors[chosen] + 0.1 * noise if "vector" in consumes else None,
            [f"{word(i)} shared{word(i // 10)}" for i in chosen] if "text" in consumes else None,
        )
