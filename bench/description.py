"""What a result says of its parts: the dataset, each system's pipeline, and who answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.base import Encoder, Reranker, Role
from bench.config import Experiment
from bench.costing import encoders_in_use
from bench.dataset import Dataset
from bench.embedding import PLURAL
from bench.expansion import System
from bench.pipeline import Pipeline
from bench.results import DatasetInfo

NAMED = 5  # ids that a sentence names


def dataset_info(dataset: Dataset) -> DatasetInfo:
    """The dataset as result.json holds it."""
    only_positives = None
    if dataset.qrels is not None:
        only_positives = not bool((dataset.qrels_coded().grades <= 0).any())
    return DatasetInfo(
        name=dataset.name,
        split=dataset.split,
        fingerprint=dataset.fingerprint,
        documents=dataset.documents,
        queries=dataset.queries_in_file,
        judged=dataset.judged,
        only_positives=only_positives,
        own_documents_left_out=0 if dataset.own_rows is None else int((dataset.own_rows >= 0).sum()),
        notes=list(dataset.notes),
        warnings=list(dataset.warnings),
        provenance=dict(dataset.provenance),
    )


def origins(pipeline: Pipeline) -> dict[str, Any]:
    """base: the folder of the experiment file, from which its relative paths start. addresses: what answered in a
    provider's place; a result obtained through one says so wherever shown. servers: each engine outside this process,
    with its version and address."""
    systems = pipeline.experiment.systems
    adapters: dict[str, Encoder | Reranker] = {
        f"encoders.{name}": encoder for (name, _), encoder in encoders_in_use(pipeline).items()
    }
    adapters |= {f"rerankers.{s.reranker}": pipeline.reranker(s.reranker) for s in systems if s.reranker}
    return {
        "base": str(pipeline.experiment.base),
        "addresses": {name: adapter.identity.address for name, adapter in adapters.items() if adapter.identity.address},
        "servers": {
            system.store.name: {
                **pipeline.store(system.store).identity.as_dict(),
                "connection": system.store.connection.model_dump(mode="json"),
            }
            for system in systems
            if system.store is not None and not system.store.kind.embedded
        },
    }


def undirected(dataset: Dataset, role: Role, positions: npt.NDArray[np.intp]) -> str:
    """The sentence on documents or queries whose vector is zero where vectors are compared by cosine."""
    ids = dataset.document_ids if role == "document" else dataset.query_ids
    named = ", ".join(ids[int(position)] for position in positions[:NAMED])
    named += f" and {len(positions) - NAMED:,} more" if len(positions) > NAMED else ""
    if len(positions) == 1:
        have, them, consequence = f"1 {role} has", "it", "It scores 0 and is left out of ANN@k."
    else:
        have, them = f"{len(positions):,} {PLURAL[role]} have", "them"
        consequence = "They score 0 and are left out of ANN@k."
    cause = f"{have} a zero vector ({named}), which has no direction to compare by cosine"
    if role == "document":
        return f"{cause}: no search by vector finds {them}."
    return f"{cause}: a search by vector finds nothing for {them}. {consequence}"


def described(experiment: Experiment, system: System) -> dict[str, Any]:
    """The pipeline as result.json holds it: enough to tell two systems apart and to find the same one again."""
    file = experiment.settings
    encoder = None
    if system.document_encoder is not None and system.query_encoder is not None:
        encoder = {
            "document": {"name": system.document_encoder, **file.encoders[system.document_encoder]},
            "query": {"name": system.query_encoder, **file.encoders[system.query_encoder]},
        }
    store = system.store
    return {
        "encoder": encoder,
        "store": None
        if store is None
        else {"name": store.name, "adapter": store.adapter, **store.connection.model_dump(mode="json")},
        "index": None if store is None else store.index.model_dump(mode="json"),
        "query": None if store is None else store.query.model_dump(mode="json"),
        "filter": system.filter.as_dict() if system.filter else None,
        "fusion": system.fusion.as_dict() if system.fusion else None,
        "run": system.run.name if system.run else None,
        "reranker": {"name": system.reranker, **file.rerankers[system.reranker]} if system.reranker else None,
        "depth": system.depth if system.reranker or system.fusion else None,
        "k": system.k,
    }
