"""An index for one purpose, beside the kept ones: built of the corpus's first rows, dropped afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from adapters.base import Floats, IndexRef, Place, Similarity
from bench.cache.artifacts import SCRATCH, new_folder
from bench.experiment.parts import Searched
from bench.messages.failures import closing
from bench.quality.kept_index import index_record
from bench.quality.pipeline import Pipeline


@contextmanager
def scratch_index(
    pipeline: Pipeline, searched: Searched, vectors: Floats | None, similarity: Similarity, *, rows: int, name: str
) -> Iterator[IndexRef]:
    """Build an index of the first `rows` rows, as a search has one; it is gone when the context ends, however it ends.

    vectors: (n, dimension), n at least rows; None where the store indexes texts alone. name: in the engine. What
    a killed process left on a server under the same name is dropped first.
    Raises what `Store.build` raises.
    """
    store = pipeline.materials.store(searched.store)
    dimension = None if vectors is None else vectors.shape[1]
    folder = new_folder(pipeline.cache.folder, SCRATCH)
    place = Place(name, folder / "data")
    place.folder.mkdir()
    ref = IndexRef(name, str(place.folder), rows, dimension, similarity)
    pipeline.cache.begin_index(folder, index_record(store, ref))
    try:
        if not store.embedded:
            list(closing([partial(store.drop, ref)]))  # only a killed process leaves something to drop
        yield store.build(
            pipeline.indexes.batches(searched, vectors, stop=rows),
            place=place,
            similarity=similarity,
            dimension=dimension,
        )
    finally:
        for failure in closing([partial(store.drop, ref)]):
            if failure.foreign:  # any exception of an adapter: a failed build may have left nothing to drop
                pipeline.emit(failure.warned(store.name, f"the index {name} was used and could not be dropped"))
        shutil.rmtree(folder, ignore_errors=True)
