"""Describes the parts of a result: the dataset, each system's pipeline, and who answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adapters.base import Encoder, Identity, Reranker, Role, Store
from bench.data.dataset import Dataset
from bench.experiment.parts import Experiment, System, models_named, plain_name
from bench.machine.provenance import checkout, machine, packages
from bench.messages.failures import failure_of
from bench.quality.embedding import PLURAL
from bench.quality.pipeline import Pipeline
from bench.results.model import DatasetInfo, Machine, Provenance
from bench.results.provenance import SyntheticQueries
from bench.run.costs import encoders_in_use
from bench.run.folder import Listener

NAMED = 5  # ids that a sentence names


def dataset_info(dataset: Dataset, experiment: Experiment) -> DatasetInfo:
    """The dataset as result.json holds it."""
    synthetic, only_positives = None, None
    if experiment.written is not None:
        about = {"used_for": experiment.cuts.synthetic, **experiment.written.about}
        synthetic = SyntheticQueries.model_validate(about)
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
        synthetic=synthetic,
        provenance=dict(dataset.provenance),
    )


def provenance_of(pipeline: Pipeline, emit: Listener, *, resumed: bool) -> Provenance:
    """Where the figures of a run come from. Each engine outside this process stands there with its version and
    address."""
    systems = pipeline.experiment.systems
    asked: dict[str, Encoder | Reranker | Store] = {
        f"encoders.{name}": encoder for (name, _), encoder in encoders_in_use(pipeline).items()
    }
    asked |= {f"rerankers.{s.reranker}": pipeline.materials.reranker(s.reranker) for s in systems if s.reranker}
    addresses = {name: identity.address for name, identity in _identities(asked, emit) if identity.address}
    outside = {system.store.name: system.store for system in systems if system.store and not system.store.kind.embedded}
    engines = {name: pipeline.materials.store(choice) for name, choice in outside.items()}
    commit, dirty = checkout()
    return Provenance(
        commit=commit,
        dirty=dirty,
        packages=packages(pipeline.experiment.kinds),
        machine=Machine.model_validate(machine()),
        addresses=addresses,
        base=str(pipeline.experiment.base),
        servers={
            name: {**identity.as_dict(), "connection": outside[name].plain("connection")}
            for name, identity in _identities(engines, emit)
        },
        seed=pipeline.experiment.settings.seed,
        resumed=resumed,
    )


def _identities(asked: Mapping[str, Encoder | Reranker | Store], emit: Listener) -> Iterator[tuple[str, Identity]]:
    """The identity of each adapter. An adapter that told it before the start and raises now is a warning, and its
    systems fail."""
    for name, adapter in asked.items():
        try:
            identity = adapter.identity
        except BaseException as error:
            emit(failure_of(error).warned(name, "the result does not say what answered"))
        else:
            yield name, identity


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


def models_of(experiment: Experiment, system: System) -> dict[str, str]:
    """The trained models of a system and of what it fuses, by the part that uses each."""
    return {part.key_path: name for part in experiment.models_of(system) for name in models_named(part.options)}


def described(pipeline: Pipeline, system: System) -> dict[str, Any]:
    """The pipeline as result.json holds it: enough to tell two systems apart and to find the same one again."""
    experiment, file = pipeline.experiment, pipeline.experiment.settings

    def part(role: Literal["encoders", "rerankers"], name: str) -> dict[str, Any]:
        plain = plain_name(name)
        models = models_named(getattr(experiment, role)[plain].options)
        trained = {each: pipeline.materials.trained.described(each) for each in models}
        return {"name": plain, **getattr(file, role)[plain], **({"trained": trained} if trained else {})}

    encoder = None
    if system.encoders is not None:
        encoder = {role: part("encoders", name) for name, role in system.encoders.roles}
    store = system.store
    return {
        "encoder": encoder,
        "store": None if store is None else {"name": store.name, "adapter": store.adapter, **store.plain("connection")},
        "index": None if store is None else store.plain("index"),
        "query": None if store is None else store.plain("query"),
        "filter": system.filter.as_dict() if system.filter else None,
        "fusion": system.fused.as_dict() if system.fused else None,
        "run": system.run_file.name if system.run_file else None,
        "reranker": None if system.reranker is None else part("rerankers", system.reranker),
        "depth": system.depth if system.reranker or system.fused else None,
        "k": system.k,
        # Left out where there is none, so that a system is still the one that an older result holds.
        **({"payload": "text"} if system.payload else {}),
    }
