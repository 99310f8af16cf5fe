"""Everything that can be known before the start: the data, the models, the servers, and whether they fit together.

All faults are collected and named together; nothing is billed and no result folder is made while there is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.base import Adapter, AdapterError, Context, Encoder, InvalidOptions, Similarity
from bench.artifacts import Cache
from bench.config import ConfigFaults, Experiment, Part, suggestion
from bench.cost import PriceFaults
from bench.costing import Costs
from bench.dataset import Dataset, load_dataset
from bench.expansion import System
from bench.integrity import DatasetFaults
from bench.pipeline import Pipeline
from bench.stages import Emit


def prepare(
    experiment: Experiment, cache_folder: Path, emit: Emit, *, remeasure: bool = False
) -> tuple[Pipeline, Costs]:
    """Load the dataset, check every adapter in use, check the systems against both, and the bill against `max_cost`.

    Raises ConfigFaults.
    """
    check = _Preflight(experiment)
    dataset = check.dataset(cache_folder)
    if dataset is None:
        check.adapters(Pipeline(experiment, _NO_DATASET, Cache(cache_folder), emit), without_data=True)
        raise ConfigFaults(check.faults)
    return prepare_over(dataset, experiment, cache_folder, emit, remeasure=remeasure)


def prepare_over(
    dataset: Dataset, experiment: Experiment, cache_folder: Path, emit: Emit, *, remeasure: bool = False
) -> tuple[Pipeline, Costs]:
    """As `prepare`, over a dataset that is loaded."""
    check = _Preflight(experiment)
    pipeline = Pipeline(experiment, dataset, Cache(cache_folder), emit)
    check.adapters(pipeline)
    check.systems(pipeline)
    costs = check.costs(pipeline, remeasure)
    if check.faults or costs is None:
        pipeline.close()
        raise ConfigFaults(list(dict.fromkeys(check.faults)))
    pipeline.budget = costs
    return pipeline, costs


def load_data(experiment: Experiment, cache_folder: Path) -> Dataset:
    """The dataset alone. Raises ConfigFaults."""
    check = _Preflight(experiment)
    dataset = check.dataset(cache_folder)
    if dataset is None:
        raise ConfigFaults(check.faults)
    return dataset


@dataclass(slots=True)
class _Preflight:
    experiment: Experiment
    faults: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def fault(self, key_path: str, message: str) -> None:
        self.faults.append(f"{self.experiment.file}: {key_path}: {message}")

    @contextmanager
    def naming(self, key_path: str) -> Iterator[None]:
        """Turn what an adapter refuses into a fault at this place."""
        try:
            yield
        except InvalidOptions as error:
            self.fault(f"{key_path}.{error.key}" if error.key else key_path, str(error))
            self.broken.add(key_path)
        except ConfigFaults as error:
            self.faults += error.faults
            self.broken.add(key_path)
        except (AdapterError, OSError) as error:
            self.fault(key_path, str(error))
            self.broken.add(key_path)

    # -- the data ------------------------------------------------------------------------------------------------

    def dataset(self, cache_folder: Path) -> Dataset | None:
        part = self.experiment.dataset
        split = getattr(part.options, "split", None)
        try:
            with part.kind(part.options, Context(self.experiment.base, None, self.experiment.settings.seed)) as source:
                source.check()
                return load_dataset(
                    source,
                    name=_dataset_name(part, self.experiment.base),
                    split=split,
                    needs_judgements=self.experiment.primary.needs_judgements,
                    dangling=self.experiment.settings.dangling,
                    exclude_self=self.experiment.settings.exclude_self,
                    kept_in=cache_folder / "datasets",
                )
        except DatasetFaults as error:
            self.faults += [f"{self.experiment.file}: dataset: {fault}" for fault in error.faults]
        except (AdapterError, OSError) as error:
            self.fault("dataset", str(error))
        return None

    # -- adapters ------------------------------------------------------------------------------------------------

    def adapters(self, pipeline: Pipeline, *, without_data: bool = False) -> None:
        """Ask each adapter in use whether it can work. without_data: the dataset is broken, its vectors unknown."""
        systems = self.experiment.systems
        used = {name for s in systems for name in (s.document_encoder, s.query_encoder) if name}
        for name in dict.fromkeys(s.reranker for s in systems if s.reranker):
            if not self._check(f"rerankers.{name}", lambda name=name: pipeline.reranker(name)):  # type: ignore[misc]
                continue
            reranker = pipeline.reranker(name)
            if reranker.needs != "vector":
                continue
            if reranker.options.encoder in self.experiment.encoders:
                used.add(reranker.options.encoder)
            else:
                hint = suggestion(reranker.options.encoder, self.experiment.encoders)
                self.fault(f"rerankers.{name}.encoder", f"{reranker.options.encoder} is not an encoder. {hint}")
                self.broken.add(f"rerankers.{name}")
        for name in sorted(used):
            if without_data and self.experiment.encoders[name].kind.consumes == "vector":
                continue  # the fault is the dataset's
            self._check(f"encoders.{name}", lambda name=name: pipeline.encoder(name))  # type: ignore[misc]
        for choice in {s.store.name: s.store for s in systems if s.store}.values():
            self._check(choice.key_path, lambda choice=choice: pipeline.store(choice))  # type: ignore[misc]

    def _check(self, key_path: str, make: Callable[[], Adapter]) -> bool:
        """Whether an adapter can work; a fault is named otherwise."""
        with self.naming(key_path):
            adapter = make()
            adapter.check()
            if isinstance(adapter, Encoder):
                _ = adapter.dimension, adapter.similarity, adapter.identity
        return key_path not in self.broken

    # -- money ---------------------------------------------------------------------------------------------------

    def costs(self, pipeline: Pipeline, remeasure: bool) -> Costs | None:
        """Prices and budget; None after naming what is wrong with them."""
        try:
            costs = Costs(pipeline)
        except PriceFaults as error:
            self.faults += [f"{self.experiment.file}: {fault}" for fault in error.faults]
            return None
        if not self.faults:
            self.faults += [f"{self.experiment.file}: {fault}" for fault in costs.faults(remeasure=remeasure)]
        return costs

    # -- systems -------------------------------------------------------------------------------------------------

    def systems(self, pipeline: Pipeline) -> None:
        """Check that each system's parts fit the data and each other."""
        cluster = self.experiment.settings.cluster
        if cluster is not None:
            with self.naming("cluster"):
                pipeline.dataset.cluster_codes(cluster)
        for measure in self.experiment.targets:
            if measure.needs_judgements and pipeline.dataset.qrels is None:
                self.fault(
                    "targets", f"{measure} needs judgements, and the dataset has none. Take ANN@{measure.cutoff}."
                )
        for system in self.experiment.systems:
            with self.naming(system.key_path):
                self._system(pipeline, system)

    def _system(self, pipeline: Pipeline, system: System) -> None:
        dataset = pipeline.dataset
        if system.filter is not None and not system.filter.mask(dataset.corpus).any():
            raise InvalidOptions("no document passes the filter.", key="filter")
        if system.filter is not None and system.store is not None and not system.store.kind.filters:
            raise InvalidOptions(
                f"store {system.store.adapter} cannot filter. Leave the filter out; what its service shall filter by "
                "belongs into its own options.",
                key="filter",
            )
        if system.filter is not None and system.store is not None:
            columns = [f"meta.{field}" for field in system.filter.fields]
            pipeline.store(system.store).check_columns(dataset.corpus.select(columns))
        if system.run is not None:
            gaps = pipeline.run_gaps(system)
            if gaps.foreign == gaps.queries:
                raise InvalidOptions(
                    f"{system.run} ranks none of the dataset's queries (it starts with query {gaps.foreign_example!r}, "
                    f"the dataset with {dataset.query_ids[0]!r}).",
                    key="run",
                )
            if gaps.unknown.all:
                raise InvalidOptions(
                    f"{system.run} ranks none of the dataset's documents (it has {gaps.unknown.example!r}, the dataset "
                    f"{dataset.document_ids[0]!r}). Write the run with the ids of the corpus.",
                    key="run",
                )
        names = dict.fromkeys(name for name in (system.document_encoder, system.query_encoder) if name)
        if any(f"encoders.{name}" in self.broken for name in names):
            return
        encoders = [pipeline.encoder(name) for name in names]
        if any(encoder.consumes == "text" for encoder in encoders) and not dataset.has_text:
            raise InvalidOptions("the dataset carries no texts to encode. Use the encoder adapter `precomputed`.")
        if len(encoders) == 2:
            self._shared_space(pipeline, system)
        dimension = encoders[0].dimension if encoders else None
        similarity: Similarity | None = encoders[0].similarity if encoders else None
        if system.store is None:
            return
        store = pipeline.store(system.store)
        if ("text" in store.consumes(system.store.query) or system.reranker) and not dataset.has_text:
            needs = "reranker" if "text" not in store.consumes(system.store.query) else "store"
            if needs == "store" or pipeline.reranker(str(system.reranker)).needs == "text":
                raise InvalidOptions(f"the dataset carries no texts, which this {needs} needs.", key=needs)
        with self.naming(system.store.key_path):
            store.plan(dataset.documents, dimension, similarity)

    def _shared_space(self, pipeline: Pipeline, system: System) -> None:
        document, query = pipeline.encoder(str(system.document_encoder)), pipeline.encoder(str(system.query_encoder))
        if document.dimension != query.dimension:
            raise InvalidOptions(
                f"{system.document_encoder} has dimension {document.dimension}, {system.query_encoder} has "
                f"{query.dimension}: they cannot share an index.",
                key="encoder",
            )
        if document.space != query.space and not system.shared_space:
            raise InvalidOptions(
                f"{system.document_encoder} and {system.query_encoder} are not known to share a vector space. If "
                "you know that they do, write: shared_space: true",
                key="encoder",
            )


def _dataset_name(part: Part, base: Path) -> str:
    """What the table calls the collection: its folder, file or hub name, else its adapter."""
    for option in ("name", "path", "dataset"):
        value = getattr(part.options, option, None)
        if value and option == "path":
            # Not resolved: a link is named as the user calls it.
            path = Path(os.path.normpath(Context(base).path(value)))
            if name := path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem:
                return name
        elif value:
            return str(value)
    return part.adapter


_NO_DATASET: Any = type("_NoDataset", (), {"vector_dimension": None})()
