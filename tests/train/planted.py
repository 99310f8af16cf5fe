"""A collection whose questions say nothing of what answers them, until somebody learns which word stands for which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.experiment.parts import Experiment
from bench.experiment.reader import load_experiment
from tests import small

ASKED = (
    "river", "engine", "violin", "winter", "pepper", "lawyer", "desert", "mirror",
    "carpet", "rocket", "garden", "copper", "doctor", "island", "pencil", "tunnel",
)  # fmt: skip
ANSWERED = (
    "banana", "senate", "glacier", "muscle", "opera", "tractor", "candle", "harbor",
    "virus", "pillow", "comet", "butter", "ladder", "parade", "cactus", "velvet",
)  # fmt: skip
_FILLERS = ("what", "about", "the", "please", "tell", "more", "on", "some", "any", "news")


def collection(folder: Path, *, splits: dict[str, int] | None = None) -> Path:
    """Write it in BEIR layout: 16 documents, and for each so many questions in each split (8 train, 3 dev, 4 test)."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    documents = [
        {"_id": f"d{i}", "title": "", "text": f"{word} {' '.join(rng.choice(_FILLERS, 3))}"}
        for i, word in enumerate(ANSWERED)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    (folder / "qrels").mkdir(exist_ok=True)
    queries: list[dict[str, str]] = []
    for split, count in (splits or {"train": 8, "dev": 3, "test": 4}).items():
        lines = ["query-id\tcorpus-id\tscore"]
        for i, word in enumerate(ASKED):
            for n in range(count):
                words = [word, *rng.choice(_FILLERS, 3), str(rng.choice(_FILLERS)), f"{split}{n}"]
                queries.append({"_id": f"{split}-{i}-{n}", "text": " ".join(words)})
                lines.append(f"{split}-{i}-{n}\td{i}\t1")
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    return folder


def experiment(data: Path, model: Path, **keys: Any) -> dict[str, Any]:
    """A file that trains a static model on it and compares the model with its base."""
    return {
        "experiment": "planted",
        "dataset": {"adapter": "beir", "path": str(data)},
        "models": {"tuned": {"recipe": "mnrl", "base": "static", "batch_size": 16, "learning_rate": 0.05, "epochs": 4}},
        "encoders": {
            "static": {"adapter": "sentence_transformers", "model": str(model)},
            "tuned": {"adapter": "sentence_transformers", "model": "trained:tuned"},
        },
        "systems": [{"encoder": "static"}, {"encoder": "tuned"}],
        "baseline": "static",
        "measures": ["nDCG@10"],
        "latency": False,
        **keys,
    }


def written(folder: Path, spec: dict[str, Any]) -> Experiment:
    """The experiment, read from a file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return load_experiment(small.write(folder, spec))
