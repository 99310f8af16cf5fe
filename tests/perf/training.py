"""What the training loop takes over sentence-transformers' own trainer on the same data: `make perf PERF=training`.

Both train the same small model from the same weights on the same pairs, with the same loss, batch size and steps; the
bare trainer as its documentation shows it, without evaluation, checkpoints and logs. They take turns in one process,
the first of a pair changing each time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import Context, TrainingData
from adapters.quiet import quieten_engines, quieten_process
from tests.conftest import MINILM

PAIRS, STEPS, BATCH, LENGTH = 256, 8, 16, 48
ROUNDS = 7
AT_LEAST = 0.98


def main() -> None:
    quieten_engines()
    quieten_process()
    data = _data()
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = _Ours(data, Path(folder)), _Bare(data, Path(folder))
        ours.seconds(), bare.seconds()  # imports and first uses
        ratios = []
        times: dict[str, list[float]] = {"here": [], "bare": []}
        for round_ in range(ROUNDS):
            for name, one in (("here", ours), ("bare", bare))[:: 1 if round_ % 2 else -1]:
                times[name].append(one.seconds())
            ratios.append(times["bare"][-1] / times["here"][-1])
    ratio = statistics.median(ratios)
    print(f"training, {STEPS} steps of {BATCH} pairs, {ROUNDS} rounds taken in turns:")
    for name, values in times.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"  {name:5} {middle:7.3f} s  [{low:.3f}, {high:.3f}]  {STEPS * BATCH / middle:6.1f} pairs/s")
    print(f"  throughput, here / bare, median of the rounds: {ratio:.3f} (at least {AT_LEAST:.2f})", flush=True)
    if ratio < AT_LEAST:
        raise SystemExit(f"The loop has {ratio:.3f} of the bare trainer's throughput, under {AT_LEAST:.2f}.")


def _data() -> TrainingData:
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("red", "tin", "sea", "owl", "fig") for b in ("s", "ly", "er", "ing", "ness")]
    texts = [" ".join(rng.choice(words, size=40)) for _ in range(2 * PAIRS)]
    return TrainingData(
        pa.table(
            {
                "query_id": [str(i) for i in range(PAIRS)],
                "document_id": [str(i) for i in range(PAIRS)],
                "query": texts[:PAIRS],
                "positive": texts[PAIRS:],
                "negatives": pa.array([[]] * PAIRS, pa.list_(pa.string())),
            }
        )
    )


class _Ours:
    """The recipe, from the first step to the last."""

    def __init__(self, data: TrainingData, folder: Path) -> None:
        kind = registry.load("trainers", "mnrl")
        options = {"base": MINILM, "steps": STEPS, "batch_size": BATCH, "max_length": LENGTH, "precision": "float32"}
        self._trainer = kind(kind.Options.model_validate(options), Context())
        self._data, self._folder, self._number = data, folder, 0

    def seconds(self) -> float:
        self._number += 1
        at = self._folder / f"here{self._number}"
        ended = self._trainer.train(
            self._data, folder=at / "model", checkpoints=at / "kept", seed=1, evaluate=None, tell=lambda step: None
        )
        taken: float = ended.seconds
        return taken


class _Bare:
    """The library's trainer, from the first step to the last."""

    def __init__(self, data: TrainingData, folder: Path) -> None:
        from datasets import Dataset

        assert data.pairs is not None
        self._rows = Dataset(data.pairs.select(["query", "positive"]))
        self._folder = folder

    def seconds(self) -> float:
        from sentence_transformers import (
            SentenceTransformer,
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
        )
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
        from sentence_transformers.sentence_transformer.training_args import BatchSamplers
        from transformers import PrinterCallback

        from adapters.models import locate

        model: Any = SentenceTransformer(
            str(locate(MINILM, Context(), organization="sentence-transformers").fetch()), device=self._device
        )
        model.max_seq_length = LENGTH
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(self._folder / "bare"),
            max_steps=STEPS,
            per_device_train_batch_size=BATCH,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            warmup_steps=0.1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            use_cpu=self._device == "cpu",
            seed=1,
        )
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=self._rows, loss=MultipleNegativesRankingLoss(model)
        )
        trainer.remove_callback(PrinterCallback)
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began

    @property
    def _device(self) -> str:
        from adapters.models import resolve_device

        return resolve_device("auto")


if __name__ == "__main__":
    main()
