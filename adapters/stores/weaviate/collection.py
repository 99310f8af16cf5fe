"""One collection on a server: its state, and its building."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from adapters.base import (
    AdapterRejected,
    Floats,
    IndexMissing,
    InvalidOptions,
    NotIndexed,
    Rows,
    Similarity,
    vectors_of,
)
from adapters.stores._fields import MetaFields, text_column
from adapters.stores.weaviate.client import ServerLink
from adapters.stores.weaviate.fields import values_of
from adapters.stores.weaviate.options import TRAINED, WeaviateIndex
from adapters.stores.weaviate.schema import (
    ROW,
    TEXT,
    VECTOR,
    Mark,
    class_definition,
    differences,
    own_part,
    query_settings,
    training,
    vector_config,
)

_UUIDS = 0x72657472_6965_8661_8C00_000000000000  # version 8: the lower bits are ours, here the row
_LOOKS = 2
_LOOK_SECONDS = 0.3
_SAMPLE = 16
_COUNT_SECONDS = 5  # for how long a wrong count may stay the same while nothing is left to do


class Collection:
    """A collection by name, read anew at every call. Methods raise AdapterUnavailable and AdapterTimeout."""

    def __init__(self, link: ServerLink, name: str, index: WeaviateIndex) -> None:
        self.link = link
        self.name = name
        self.index = index

    @property
    def whole(self) -> Any:
        """The client's collection, for what belongs to all tenants. The client's check of argument types takes a
        seventh of a search's time. It is switched off, as its documentation offers, because vectors and options are
        checked here."""
        return self.link.client.collections.use(self.name, skip_argument_validation=True)

    @property
    def handle(self) -> Any:
        """The client's collection, for what belongs to the tenant of the index options."""
        return self.whole if self.index.tenant is None else self.whole.with_tenant(self.index.tenant)

    def find(self, *, nearest: bool = False) -> Mapping[str, Any] | None:
        """Its class as REST shows it, None where there is none."""
        schema: Mapping[str, Any] | None = self.link.get(f"/v1/schema/{self.name}", nearest=nearest)
        return schema

    def schema(self, *, nearest: bool = False) -> Mapping[str, Any]:
        """Its class as REST shows it, or with `nearest` as this node has it. Raises IndexMissing."""
        if (schema := self.find(nearest=nearest)) is None:
            raise IndexMissing(
                f"The Weaviate server at {self.link.address} has no collection {self.name}; it has to be built again."
            )
        return schema

    def count(self) -> int:
        """How many objects it holds, without replicas. Needs all nodes."""
        with self.link.errors():
            return int(self.handle.aggregate.over_all(total_count=True).total_count)

    def shards(self) -> list[Any]:
        """State of each shard on each node that answers."""
        with self.link.errors():
            nodes = self.link.client.cluster.nodes(collection=self.name, output="verbose")
        return [shard for node in nodes for shard in node.shards or ()]

    def compressed(self) -> bool:
        """Whether every shard searches with its quantizer."""
        shards = self.shards()
        return bool(shards) and all(shard.compressed for shard in shards)

    def delete(self) -> None:
        with self.link.errors():
            self.link.client.collections.delete(self.name)

    def other_data(self, why: str) -> AdapterRejected:
        """The error for a collection of this name that is not ours to use or delete."""
        address = self.link.address
        return AdapterRejected(
            f"The Weaviate server at {address} has a collection {self.name} with other data: {why}. Delete it there "
            f"(DELETE {address}/v1/schema/{self.name}) or use another server."
        )

    def wanted_rows(self, config: Mapping[str, Any]) -> dict[str, int]:
        """Rows that each shard must exceed before its vectors are compressed, by the option that says so.

        config: of the vector index. A dynamic index stays flat up to its threshold; an asynchronous server trains PQ
        and SQ only beyond their limit.
        """
        wanted = {"threshold": int(config["threshold"])} if self.index.kind == "dynamic" else {}
        if self.index.codec in TRAINED:
            wanted["training_limit"] = int(own_part(self.index, config)[self.index.codec]["trainingLimit"])
        return wanted

    def untrained(self, rows: int, config: Mapping[str, Any]) -> NotIndexed:
        """The error for vectors that are not compressed though a quantizer was asked for."""
        plain = f"Weaviate did not compress the vectors with {self.index.codec}; searches would use plain vectors."
        wanted, shards = self.wanted_rows(config), self.index.shards or 1
        if not wanted:
            return NotIndexed(plain)
        set_to = " and ".join(f"{option} is {limit}" for option, limit in wanted.items())
        over = [f"index.{option}" for option, limit in wanted.items() if rows // shards <= limit]
        cure = (
            f"Set {' and '.join(over)} below {rows // shards}."
            if over
            else "Training needs at least 256 rows in each shard (index.centroids)."
        )
        return NotIndexed(f"{plain} {set_to} and the index has {rows} rows in {shards} shard(s). {cure}")


class Built(NamedTuple):
    """A complete collection. settings: search options as of its creation. seconds: what building it took."""

    fields: MetaFields
    settings: Mapping[str, Any]
    seconds: float
    reused: bool


def build(
    collection: Collection,
    origin: str,
    batches: Iterator[pa.RecordBatch],
    *,
    similarity: Similarity,
    dimension: int | None,
) -> Built:
    """Fill the collection of the index `origin`, or find it filled; returns when every row is indexed.

    Raises NotIndexed, and AdapterRejected for a collection of that name with other data.
    """
    start = time.monotonic()
    first = next(batches, None)
    fields = MetaFields.of(first)
    mark = _reusable(collection, origin, first)
    if mark is not None:
        count = 0 if first is None else first.num_rows
        for batch in batches:
            count += batch.num_rows
            for _ in fields.held(batch):  # finds out which columns of texts hold only dates
                pass
        if count != mark.rows:
            raise collection.other_data(f"it holds {mark.rows} rows, the corpus {count}")
        return Built(fields, mark.settings or {}, mark.seconds or 0.0, True)
    vectors = dimension is not None
    _create(collection, Mark(origin), fields, similarity, first, vectors=vectors)
    rows = _load(collection, fields, first, batches)
    queued = settle(collection, rows)
    if vectors and rows and collection.index.codec != "none":
        _compress(collection, rows, queued)
    if first is not None:
        _flush(collection, fields, first)
    settings = query_settings(collection.index, vector_config(collection.schema()))
    seconds = round(time.monotonic() - start, 3)
    with collection.link.errors():
        collection.whole.config.update(description=Mark(origin, rows, seconds, settings).write())
    return Built(fields, settings, seconds, False)


def _reusable(collection: Collection, origin: str, first: pa.RecordBatch | None) -> Mark | None:
    """The mark of the complete collection with this content. None where there is none, or only an unfinished or
    changed one of ours, which is deleted."""
    schema = collection.find()
    if schema is None:
        return None
    mark = Mark.read(schema.get("description"))
    if mark is None or mark.name != origin:
        raise collection.other_data("this harness did not make it")
    if mark.rows is not None and collection.count() == mark.rows:
        if first is not None and not _holds(collection, first):
            raise collection.other_data("its first rows differ from the corpus")
        return mark
    collection.delete()
    return None


def _holds(collection: Collection, batch: pa.RecordBatch) -> bool:
    """Whether the objects of the batch's first rows carry its vectors and texts."""
    handle, sample = collection.handle, batch.slice(0, _SAMPLE)
    vectors = vectors_of(sample) if "vector" in batch.schema.names else None
    text = text_column(batch)
    for i, row in enumerate(sample.column("row").to_pylist()):
        with collection.link.errors():
            held = handle.query.fetch_object_by_id(_uuid(row), include_vector=vectors is not None)
        if held is None:
            return False
        if text is not None and held.properties.get(TEXT) != sample.column(text)[i].as_py():
            return False
        if vectors is not None and not np.array_equal(np.asarray(held.vector.get(VECTOR, ()), np.float32), vectors[i]):
            return False
    return True


def stored_vectors(collection: Collection, rows: Rows, dimension: int) -> Floats:
    """The vectors of these rows' objects, (n, dimension); NaN for one that it lacks, or of another dimension."""
    vectors = np.full((len(rows), dimension), np.nan, np.float32)
    wanted = {_uuid(int(row)): place for place, row in enumerate(rows)}
    with collection.link.errors():
        found = collection.handle.query.fetch_objects_by_ids(list(wanted), limit=len(wanted), include_vector=True)
    for held in found.objects:
        vector = np.asarray(held.vector.get(VECTOR, ()), np.float32)
        if held.uuid in wanted and vector.shape == (dimension,):
            vectors[wanted[held.uuid]] = vector
    return vectors


def _create(
    collection: Collection,
    mark: Mark,
    fields: MetaFields,
    similarity: Similarity,
    first: pa.RecordBatch | None,
    *,
    vectors: bool,
) -> None:
    definition = class_definition(
        collection.name,
        collection.index,
        fields,
        similarity,
        vectors=vectors,
        mark=mark.write(),
        texts=first is not None and text_column(first) is not None,
    )
    try:
        with collection.link.errors():
            collection.link.client.collections.create_from_dict(definition)
            if collection.index.tenant is not None:
                collection.whole.tenants.create(collection.index.tenant)
    except AdapterRejected as error:
        if "async indexing" in str(error):
            raise InvalidOptions(
                f"The server at {collection.link.address} indexes synchronously and refuses the type dynamic. Start "
                "it with ASYNC_INDEXING=true, or choose hnsw or flat.",
                key="index.type",
            ) from error
        raise
    try:
        differences(definition, collection.schema())
    except AdapterRejected:
        collection.delete()
        raise


class _Refusals(NamedTuple):
    objects: int = 0
    first: str = ""

    def plus(self, other: _Refusals) -> _Refusals:
        return _Refusals(self.objects + other.objects, self.first or other.first)


def _load(
    collection: Collection, fields: MetaFields, first: pa.RecordBatch | None, batches: Iterator[pa.RecordBatch]
) -> int:
    """Insert all rows; returns their number. Raises NotIndexed when any was rejected, with how many."""
    handle, connection = collection.handle, collection.link.connection
    rows, refused = 0, _Refusals()
    pool = ThreadPoolExecutor(connection.insert_threads, thread_name_prefix="weaviate-insert")
    pending: deque[Future[_Refusals]] = deque()
    try:
        for batch in _pieces(first, batches, connection.batch_size):
            pending.append(pool.submit(_insert, handle, batch, fields))
            rows += batch.num_rows
            # One batch more than there are threads, so that no thread waits for the next to be read.
            if len(pending) > connection.insert_threads:
                refused = refused.plus(_watched(collection, pending.popleft()))
        while pending:
            refused = refused.plus(_watched(collection, pending.popleft()))
    finally:
        # Do not wait: a thread may be in one of the client's pauses, for a server that is gone.
        pool.shutdown(wait=False, cancel_futures=True)
    if refused.objects:
        raise NotIndexed(f"Weaviate rejected {refused.objects} of {rows} objects; the first: {refused.first}")
    return rows


def insert(collection: Collection, fields: MetaFields, batch: pa.RecordBatch) -> None:
    """Insert rows in requests of the connection's batch_size. Raises AdapterRejected when any was rejected."""
    refused = _Refusals()
    for piece in _pieces(batch, iter(()), collection.link.connection.batch_size):
        refused = refused.plus(_insert_alone(collection, piece, fields))
    if refused.objects:
        raise AdapterRejected(
            f"Weaviate rejected {refused.objects} of {batch.num_rows} objects; the first: {refused.first}"
        )


def _flush(collection: Collection, fields: MetaFields, first: pa.RecordBatch) -> None:
    """Make every shard write what it still buffers of its vector index.

    A server that is killed minutes after the last insert otherwise comes back without the last vectors, its count of
    objects unchanged: a synchronous one writes its logs before the batch's vectors are in, an asynchronous one never
    flushes those of a flat index. Inserting rows again changes nothing, and ends with that flush.
    """
    again = first.slice(0, 64 * (collection.index.shards or 1))  # enough for each shard to get some
    refused = _insert_alone(collection, again, fields)
    if refused.objects:
        raise NotIndexed(f"Weaviate rejected {refused.objects} rows that it held already: {refused.first}")


def _insert_alone(collection: Collection, batch: pa.RecordBatch, fields: MetaFields) -> _Refusals:
    """One request. In a thread of its own: a server that goes away is noticed before the client's pauses end."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="weaviate-insert")
    try:
        return _watched(collection, pool.submit(_insert, collection.handle, batch, fields))
    finally:
        pool.shutdown(wait=False)


def _watched(collection: Collection, future: Future[_Refusals]) -> _Refusals:
    with collection.link.errors():
        return collection.link.watched(future)


def _insert(handle: Any, batch: pa.RecordBatch, fields: MetaFields) -> _Refusals:
    from weaviate.classes.data import DataObject
    from weaviate.exceptions import WeaviateInsertManyAllFailedError

    rows = batch.column("row").to_pylist()
    vectors = vectors_of(batch) if "vector" in batch.schema.names else [None] * len(rows)
    text = text_column(batch)
    texts = None if text is None else batch.column(text).to_pylist()
    objects = []
    for i, (row, values) in enumerate(zip(rows, values_of(fields, batch), strict=True)):
        values[ROW] = row
        if texts is not None and texts[i] is not None:
            values[TEXT] = texts[i]
        objects.append(DataObject(values, uuid=_uuid(row), vector=vectors[i]))
    try:
        errors = handle.data.insert_many(objects).errors
    except WeaviateInsertManyAllFailedError as error:
        return _Refusals(len(rows), f"row {rows[0]}: {error.message}")
    if not errors:
        return _Refusals()
    place = min(errors)
    return _Refusals(len(errors), f"row {rows[place]}: {errors[place].message}")


def _uuid(row: int) -> uuid.UUID:
    return uuid.UUID(int=_UUIDS | row)


def _pieces(first: pa.RecordBatch | None, batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    while first is not None:
        for start in range(0, first.num_rows, size):
            yield first.slice(start, size)
        first = next(batches, None)


def settle(collection: Collection, rows: int) -> bool:
    """Return once the queue is empty, no shard is indexing and the count is right, on two looks: the queue can read
    empty just before it fills. Returns whether a queue was seen, which only an asynchronous server has.

    Raises NotIndexed when the queue stands still or the count stays wrong.
    """
    looks, seen, length, moved = 0, False, -1, time.monotonic()
    while True:
        shards = collection.shards()
        queue = sum(int(shard.vector_queue_length) for shard in shards)
        seen = seen or queue > 0
        busy = queue > 0 or any(shard.vector_indexing_status == "INDEXING" for shard in shards)
        # objectCount of the nodes endpoint lags behind; the aggregate counts what is there.
        looks = looks + 1 if not busy and collection.count() == rows else 0
        if looks >= _LOOKS:
            return seen
        if queue != length:
            length, moved = queue, time.monotonic()
        patience = collection.link.connection.stall_seconds if busy else _COUNT_SECONDS
        if not looks and time.monotonic() - moved > patience:
            raise NotIndexed(
                f"Collection {collection.name} on {collection.link.address} holds {collection.count()} of {rows} rows; "
                f"{queue} wait to be indexed, and nothing moved for {patience:.0f} s."
            )
        time.sleep(_LOOK_SECONDS if looks or queue > 2000 else 0.1)


def _compress(collection: Collection, rows: int, queued: bool) -> None:
    """Let the server train PQ or SQ, and check for every quantizer that the vectors are compressed."""
    index = collection.index
    if trained := index.codec in TRAINED and index.kind == "hnsw":
        with collection.link.errors():
            collection.whole.config.update(vector_config=training(index))
    config = vector_config(collection.schema())
    # An asynchronous server trains only when a shard holds more rows than the limit; a synchronous one always does.
    hopeless = queued and any(rows // (index.shards or 1) <= least for least in collection.wanted_rows(config).values())
    until = time.monotonic() + (2 if hopeless else 10 + rows / 500)
    while not collection.compressed():
        if time.monotonic() > until:
            raise collection.untrained(rows, config)
        time.sleep(0.1)
    if trained:
        settle(collection, rows)
