"""Trained models as a store keeps them, without a training: small files in place of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.base.trainer import TrainingStep
from bench.cache.artifacts import Cache
from bench.cache.digests import content_key
from bench.train.kept import KeptModel, KeptModels
from bench.train.provenance import BaseModelOf, DataFacts, HeldOut, ModelProvenance, SplitFacts

CURVE = (
    TrainingStep(10, 20, 0.5, loss=2.0, learning_rate=1e-4, seconds=1.5),
    TrainingStep(20, 20, 1.0, loss=1.0, dev=0.625, learning_rate=0.0, seconds=3.0),
)


def provenance(name: str = "tuned", seed: int = 1, **fields: Any) -> ModelProvenance:
    """That of an encoder: mnrl from minilm, dev .5 → .625, test .55 → .66."""
    about: dict[str, Any] = {
        "key": content_key([name, seed, fields.get("options")]),
        "name": name,
        "makes": "encoder",
        "recipe": "mnrl",
        "options": {"epochs": 1.0, "batch_size": 64},
        "base": BaseModelOf(reference="all-MiniLM-L6-v2", identity={"weights": "ab" * 16}),
        "data": DataFacts(
            name="support",
            fingerprint="cd" * 16,
            train=SplitFacts(split="train", fingerprint="01" * 16, queries=100, documents=500),
            test=SplitFacts(split="test", fingerprint="02" * 16, queries=50, documents=500),
            rows=120,
            leaks=3,
        ),
        "seed": seed,
        "seed_number": seed,
        "experiment": "support-search",
        "created_at": f"2026-11-26T14:00:{seed:02}+00:00",
        "seconds": 3.0,
        "device": "cpu",
        "precision": "float32",
        "steps": 20,
        "kept_step": 20,
        "dev_measure": "nDCG@10",
        "dev_before": 0.5,
        "dev_after": 0.625,
        "held_out": (HeldOut(measure="nDCG@10", split="test", count=50, before=0.55, after=0.66),),
    }
    return ModelProvenance(**{**about, **fields})


def keep(
    cache: Path,
    about: ModelProvenance,
    *,
    queries: tuple[str, ...] | None = ("sort an array",),
    extra: Mapping[str, bytes] = {},
) -> KeptModel:
    """A model of two files, kept. extra: further files."""
    store = KeptModels(Cache(cache))
    draft = store.draft(about.key)
    (draft / "modules.json").write_text("{}")
    (draft / "1_Pooling").mkdir()
    (draft / "1_Pooling" / "config.json").write_text("{}")
    for name, content in extra.items():
        (draft / name).write_bytes(content)
    return store.keep(about.key, draft, about, curve=CURVE, queries=queries)
