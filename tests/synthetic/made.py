"""Experiments whose queries a generator writes, for whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.small import collection, installed, spec, third_party, write

ENTRY_POINTS = """[retrieval_bench.generators]
scribe = scribes:Scribe
paid_scribe = scribes:PaidScribe
forger = scribes:Forger
paid_forger = scribes:PaidForger
"""
DOCUMENTS, SAMPLE = 60, 40


@contextmanager
def scribes(folder: Path) -> Iterator[None]:
    """The generators on this process's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with installed(folder, "scribes", ENTRY_POINTS):
        yield


def site(folder: Path) -> Path:
    """The generators for another process."""
    folder.mkdir(parents=True, exist_ok=True)
    return third_party(folder, "scribes", ENTRY_POINTS)


def experiment(folder: Path, *, labelled: bool = False, scribe: str = "scribe", **keys: Any) -> Path:
    """An experiment file over documents. labelled: whether the collection has queries of its own."""
    data = collection(folder / "data", documents=DOCUMENTS)
    if not labelled:
        (data / "queries.jsonl").unlink()
        shutil.rmtree(data / "qrels")
    given: dict[str, Any] = {
        "dataset": {"adapter": "beir", "path": "data", "queries": "synthetic"},
        "generators": {"s": {"adapter": scribe}},
        "synthetic": {"by": "s", "sample": SAMPLE, "round_trip": {"system": "bm25", "top": 5}},
        **keys,
    }
    return write(folder, spec([{"name": "bm25", "store": "bm25"}], **given))


def asked(folder: Path) -> int:
    """For how many documents the generator was asked."""
    log = folder / "scribe.log"
    return log.read_text().count("\n") if log.exists() else 0
