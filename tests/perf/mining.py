"""Mining hard negatives against encoding and comparing the same texts bare: `make perf PERF=mining`.

PERF_ROWS: how many generated documents, 200,000 where it is left out; a fiftieth as many pairs. The miner is a static
model. Both sides run in a process of their own, in turns; the bare one encodes all texts, multiplies all queries with
all documents, and takes the best of each. Compared are processor seconds, which other programs lengthen least.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, AT_MOST, MEMORY_GB = 200_000, 1.3, 4.0
PAIRS = 50  # documents for each pair
ROUNDS = 3
WORDS, LENGTHS = 20_000, (6, 18)


def main() -> None:
    rows = int(os.environ.get("PERF_ROWS") or ROWS)
    seconds: dict[str, list[float]] = {"bare": [], "mined": []}
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        model = static_model(Path(folder) / "model")
        for number in range(ROUNDS):
            for side, taken in seconds.items():
                told = apart(side, rows, model, Path(folder) / f"cache-{number}")
                taken.append(told["seconds"])
                peak = max(peak, told["peak_gb"] if side == "mined" else 0.0)
    ratio = min(seconds["mined"]) / min(seconds["bare"])
    for side, taken in seconds.items():
        print(f"  {side:6} {', '.join(f'{each:.1f}' for each in taken)} s")
    print(f"  {rows:,} documents, {rows // PAIRS:,} pairs: {ratio:.2f} of bare, {peak:.2f} GB at most", flush=True)
    if ratio > AT_MOST or peak > MEMORY_GB:
        raise SystemExit(f"Mining must take at most {AT_MOST} of the bare work, and {MEMORY_GB} GB.")


def apart(side: str, rows: int, model: Path, cache: Path) -> dict[str, float]:
    """One side in a process of its own: processor seconds of its work alone, and the peak memory of the process."""
    command = [sys.executable, "-P", "-m", "tests.perf.mining", side, str(rows), str(model), str(cache)]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(Path.cwd()),
    }
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def static_model(folder: Path) -> Path:
    """The static model of the tests, saved."""
    from tests.conftest import saved_static_model

    return saved_static_model(folder)


def texts(rows: int) -> tuple[list[str], list[str]]:
    """Documents of random words, and queries of words of every fiftieth of them."""
    rng = np.random.default_rng(0)
    syllables = ["ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ra", "si", "tu", "ve", "wa"]
    words = np.array(["".join(rng.choice(syllables, rng.integers(1, 4))) + str(i % 7) for i in range(WORDS)])
    lengths = rng.integers(*LENGTHS, rows)
    drawn = words[rng.integers(0, WORDS, lengths.sum())].tolist()
    ends = np.cumsum(lengths).tolist()
    documents = [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
    return documents, [" ".join(document.split()[:6]) for document in documents[::PAIRS]]


def bare(documents: list[str], queries: list[str], model: Path) -> float:
    """Processor seconds of encoding and comparing without anything kept."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")
    loaded.encode(documents[:64])
    began = time.process_time()
    vectors = loaded.encode_document(documents, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
    asked = loaded.encode_query(queries, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
    for first in range(0, len(asked), 40):
        products = asked[first : first + 40] @ vectors.T
        np.argpartition(products, len(documents) - 100, axis=1)
    return time.process_time() - began


def mined(documents: list[str], queries: list[str], model: Path, cache: Path) -> float:
    """Processor seconds of mining."""
    from adapters import registry
    from tests.train.mining import dataset, mined, pairs_of

    data = dataset(documents, queries, [(i, PAIRS * i) for i in range(len(queries))])
    pairs = pairs_of(data)
    kind = registry.load("encoders", "sentence_transformers")
    encoder = kind(kind.Options(model=str(model), device="cpu"))
    from adapters.base import TextRows

    encoder.encode(TextRows(documents[:64]), "document")
    began = time.process_time()
    found = mined(data, cache, pairs=pairs, encoder=encoder, strategy="top", per_query=5)
    seconds = time.process_time() - began
    assert found.report.found == found.report.wanted
    return seconds


if __name__ == "__main__":
    given_side, given_rows, given_model, given_cache = sys.argv[1:]
    made = texts(int(given_rows))
    if given_side == "bare":
        spent = bare(*made, Path(given_model))
    else:
        spent = mined(*made, Path(given_model), Path(given_cache))
    print(json.dumps({"seconds": spent, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}))
