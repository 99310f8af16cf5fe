"""One system's stages, each keyed by what it depends on, so that what two systems share is computed once.

    vectors(encoder, role) ─► index(store, vectors, build) ─► candidates(query options, limit) ─► fusion ─► reranker

This is the quality pass: batched, cached and untimed. What is measured live is in `bench.latency.steps`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import (
    EMPTY_ROW,
    AdapterError,
    AdapterRejected,
    AdapterUnavailable,
    Corpus,
    Encoder,
    Event,
    Filter,
    Flags,
    Floats,
    Hits,
    IndexRef,
    Place,
    Queries,
    Reranker,
    Role,
    Rows,
    Scored,
    Session,
    Similarity,
    Store,
    UnknownIds,
    WrongAnswer,
    index_name,
    without_direction,
)
from bench.cache.artifacts import Cache, array_digest, content_key
from bench.data.dataset import Dataset
from bench.data.own_documents import left_out
from bench.data.tables import table_digest
from bench.experiment.parts import EncoderPair, Experiment, Fused, Node, RunFile, Searched, StoreChoice, System
from bench.machine.memory import BuildMemory, of_build
from bench.messages.failures import Failed, Failure, as_failure, closing, failure_of
from bench.money.cost import ABOUT, AT_MOST, Integers, Tokens, Usages, reranking_usage
from bench.quality.embedding import Embedding, Vectors
from bench.quality.fusion import reciprocal_rank, weighted_scores
from bench.quality.kept_index import BuiltIndex, KeptIndexes, foreign_vectors, index_record, room_given_back
from bench.quality.scoring import PAIRS_PER_CHUNK, PairScores, unscored_last
from bench.quality.stages import Budget, Emit, NoBudget, Stage, Work
from bench.quality.trec import RunGaps, read_hits, read_run
from bench.statistics.order import canonical, id_ranks

QUERIES_PER_CHUNK = 512
ROLES: tuple[Role, ...] = ("document", "query")
ROWS_PER_BATCH = 8192
_COLUMNS_LAYOUT = 2  # how stores hold the columns that filters ask; raised with it, it rebuilds the indexes with such

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rankings of all judged queries in canonical order: rows int32 and scores float32 (n, depth), failed bool (n)."""

    rows: Rows
    scores: Floats
    failed: Flags
    failures: tuple[str, ...] = ()

    def cut(self, depth: int) -> Ranking:
        return replace(self, rows=self.rows[:, :depth], scores=self.scores[:, :depth])


class Pipeline:
    """The stages of one experiment over one dataset. Results are memoised, and so are failures that the same work would
    meet again."""

    def __init__(self, experiment: Experiment, dataset: Dataset, cache: Cache, emit: Emit) -> None:
        self.experiment = experiment
        self.dataset = dataset
        self.cache = cache
        self.emit = emit
        self.work = Work()
        self.systems = {system.name: system for system in experiment.systems}
        self.context = experiment.context(dataset.vector_dimension)
        self.budget: Budget = NoBudget()
        self._encoders: dict[str, Encoder] = {}
        self._stores: dict[str, Store] = {}
        self._rerankers: dict[str, Reranker] = {}
        self._memo: dict[tuple[Any, ...], Any] = {}
        self._failed: dict[tuple[Any, ...], Failure] = {}
        self._silent: set[str] = set()
        self._unknown: dict[str, UnknownIds] = {}
        self.embedding = Embedding(dataset, cache, self.work.texts_embedded, self._tell, lambda: self.budget)

    # -- what the stages share -----------------------------------------------------------------------------------

    @cached_property
    def ranks(self) -> npt.NDArray[np.int32]:
        """Position of every document id in ascending order, for ties; ids that only run files name come after."""
        return id_ranks(self.document_ids)

    @cached_property
    def dataset_ids(self) -> list[str]:
        """Ids by row: the corpus, then judged documents outside it."""
        ids = list(self.dataset.document_ids)
        if self.dataset.qrels is not None:
            rows = self.dataset.qrels_coded().document_rows
            outside = np.flatnonzero(rows >= self.dataset.documents)
            names = self.dataset.qrels.column("document_id").take(pa.array(outside)).to_pylist()
            ids += [name for _, name in sorted(set(zip(rows[outside].tolist(), names, strict=True)))]
        return ids

    @cached_property
    def document_ids(self) -> list[str]:
        """Ids by row: those of the dataset, then those that only run files name."""
        runs = [file for system in self.experiment.systems if (file := system.run_file) is not None]
        known = frozenset(self.dataset_ids if runs else ())
        further = dict.fromkeys(name for run in runs for name in read_run(run).documents_as(known) if name not in known)
        return [*self.dataset_ids, *further]

    @property
    def document_digests(self) -> npt.NDArray[np.bytes_]:
        """Digests of the documents' texts, by row."""
        return self.embedding.digests("document")

    @property
    def query_digests(self) -> npt.NDArray[np.bytes_]:
        """Digests of the queries' texts, by position."""
        return self.embedding.digests("query")

    def corpus_fingerprint(self, *, texts: bool, fields: Sequence[str] | None = None) -> str:
        """Fingerprint of what is taken from the corpus beside vectors: ids, the meta columns of these fields (None: of
        all), and perhaps texts."""
        corpus = self.dataset.corpus
        wanted = {"id", "title", "text"} if texts else {"id"}
        wanted |= {f"meta.{field}" for field in fields or ()}
        columns = [n for n in corpus.column_names if n in wanted or (fields is None and n.startswith("meta."))]
        return self.once(("corpus", *columns), lambda: table_digest(corpus.select(columns)))

    def asked_fields(self, searched: Searched) -> tuple[str, ...]:
        """The fields that filters of this experiment ask of the index that is searched, sorted: it gets these alone, so
        that what nobody asks cannot fail in an engine, nor change an index."""

        def index_of(each: Searched) -> Any:
            store, encoders = each.store, each.encoders
            return store.adapter, _dump(store.index), _dump(store.connection), encoders and encoders.document

        filters = [
            each.filter
            for each in self.experiment.systems
            if each.searched is not None and index_of(each.searched) == index_of(searched)
        ]
        return tuple(sorted({field for condition in filters if condition for field in condition.fields}))

    def encoder(self, name: str) -> Encoder:
        """The encoder of that name, made once."""
        if name not in self._encoders:
            part = self.experiment.encoders[name]
            self._encoders[name] = part.kind(part.options, self.context)
        return self._encoders[name]

    def reranker(self, name: str) -> Reranker:
        """The reranker of that name, made once and not yet prepared."""
        if name not in self._rerankers:
            part = self.experiment.rerankers[name]
            self._rerankers[name] = part.kind(part.options, self.context)
        return self._rerankers[name]

    def store(self, choice: StoreChoice) -> Store:
        """The store with these index options, made once."""
        key = content_key([choice.name, choice.adapter, _dump(choice.index)])
        if key not in self._stores:
            self._stores[key] = choice.kind(choice.index, choice.connection, self.context)
        return self._stores[key]

    def models(self) -> dict[str, Encoder | Reranker]:
        """The models that were made, each by the part that it is."""
        encoders = {f"encoders.{name}": encoder for name, encoder in self._encoders.items()}
        return {**encoders, **{f"rerankers.{name}": reranker for name, reranker in self._rerankers.items()}}

    def _tell(self, event: Event) -> None:
        self.emit(event)

    def close(self) -> None:
        """Give back what the adapters hold, once. One that raises is told of, and the others are closed."""
        for kept in (self._encoders, self._stores, self._rerankers):
            while kept:
                _, adapter = kept.popitem()
                for failure in closing([adapter.close]):
                    self.emit(failure.warned(adapter.name, "it could not be closed"))

    def eligible(self, condition: Filter | None) -> Flags | None:
        """Which documents pass a filter, None for all."""
        return None if condition is None else condition.mask(self.dataset.corpus)

    # -- vectors -------------------------------------------------------------------------------------------------

    def vectors(self, name: str, role: Role) -> Vectors:
        """All vectors of a role by a named encoder; a distinct text is embedded once."""
        return self.once(("vectors", name, role), lambda: self.embedding.vectors(name, self.encoder(name), role))

    def vectors_key(self, name: str, role: Role) -> str:
        """The key of those vectors, known without computing them but for the texts that their model refuses."""
        if ("vectors", name, role) in self._memo:
            return self.vectors(name, role).key
        return self.once(("vectors key", name, role), lambda: self.embedding.key(self.encoder(name), role))

    def undirected(self, encoders: EncoderPair | None, role: Role) -> npt.NDArray[np.intp]:
        """Positions of the documents or queries whose vector is zero, where vectors are compared by cosine: they have
        no direction. A store leaves them out of its hits."""
        if encoders is None:  # a search by text alone
            return np.empty(0, np.intp)
        if self.encoder(encoders.document).similarity is not Similarity.COSINE:
            return np.empty(0, np.intp)
        name = encoders.of(role)
        return self.once(
            ("undirected", name, role), lambda: np.flatnonzero(without_direction(self.vectors(name, role).array))
        )

    def _embed(self, searched: Searched) -> None:
        """Compute the vectors of a search: the keys of what follows tell which texts have none."""
        for name, role in searched.encoders.roles if searched.encoders else ():
            self.vectors(name, role)

    # -- indexes -------------------------------------------------------------------------------------------------

    def index(self, searched: Searched, build: int = 0) -> BuiltIndex:
        """The index that is searched, built once per build options, corpus and vectors."""
        self._embed(searched)
        key = self.index_key(searched, build)
        return self.once(("index", key), lambda: self._index(searched, key))

    def index_key(self, searched: Searched, build: int = 0) -> str:
        """The key of the index that is searched: everything that decides its bytes."""
        store, fields = self.store(searched.store), self.asked_fields(searched)
        encoder = searched.encoders.document if searched.encoders else None
        return content_key(
            {
                "store": store.identity.as_dict(),
                "index": _dump(searched.store.index),
                "corpus": self.corpus_fingerprint(texts=store.uses_text, fields=fields),
                **({"columns": _COLUMNS_LAYOUT} if fields else {}),
                "vectors": self.vectors_key(encoder, "document") if encoder else None,
                "similarity": str(self.encoder(encoder).similarity) if encoder else None,
                "build": build,
            }
        )

    def _index(self, searched: Searched, key: str) -> BuiltIndex:
        store, label = self.store(searched.store), searched.store.name
        indexes = KeptIndexes(self.cache, self._tell)

        def vectors() -> Floats | None:
            encoders = searched.encoders
            return None if encoders is None else self.vectors(encoders.document, "document").array

        undirected = bool(len(self.undirected(searched.encoders, "document")))
        kept = indexes.find(key, store, label, vectors, undirected=undirected)
        if kept is not None:
            self.work.indexes_built.reused += 1
            return kept
        ref, seconds, memory = self._build(searched, key)
        if store.built_earlier(ref) is not None and (cause := foreign_vectors(store, ref, vectors)) is not None:
            indexes.lost(store, ref, label, cause)
            ref, seconds, memory = self._build(searched, key)
        if (earlier := store.built_earlier(ref)) is not None:
            seconds, memory = earlier, BuildMemory()
        built = indexes.keep(key, store, ref, seconds, memory)
        self.work.indexes_built.computed += 1
        return built

    def _build(self, searched: Searched, key: str) -> tuple[IndexRef, float, BuildMemory]:
        """Build an index in its folder of the cache; what it is, the seconds and the memory that it took."""
        store = self.store(searched.store)
        folder = self.cache.index_folder(key)
        vectors = self.vectors(searched.encoders.document, "document") if searched.encoders else None
        with (
            Stage(self.emit, "build", searched.store.name, self.dataset.documents, "rows") as advance,
            of_build(store, partial(self.server_memory, searched.store)) as memory,
        ):
            similarity = vectors.similarity if vectors else Similarity.COSINE
            dimension = vectors.array.shape[1] if vectors else None
            place = Place(index_name(key), folder)
            begun = IndexRef(place.name, str(folder), self.dataset.documents, dimension, similarity)
            self.cache.begin_index(folder.parent, index_record(store, begun))
            began = time.perf_counter()
            with room_given_back(folder):
                ref = store.build(
                    self.batches(
                        store, vectors.array if vectors else None, fields=self.asked_fields(searched), advance=advance
                    ),
                    place=place,
                    similarity=similarity,
                    dimension=dimension,
                )
            seconds = time.perf_counter() - began
        return ref, seconds, memory

    def server_memory(self, choice: StoreChoice) -> int | None:
        """Resident bytes of a store's server; None, with one warning, where it should tell them and does not."""
        try:
            return self.store(choice).server_memory()
        except BaseException as error:
            failure = failure_of(error)
            if choice.name not in self._silent:
                self._silent.add(choice.name)
                self.emit(failure.warned(choice.name, "its server's memory is not known"))
            return None

    def batches(
        self,
        store: Store,
        vectors: Floats | None,
        *,
        fields: Sequence[str],
        start: int = 0,
        stop: int | None = None,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> Iterator[pa.RecordBatch]:
        """The corpus as a store is given it, or its rows from start to before stop, without documents that have no
        vector. vectors: (n, dimension), n at least stop. fields: whose meta columns it gets."""
        corpus = self.dataset.corpus if stop is None else self.dataset.corpus.slice(0, stop)
        columns = ["id", *(f"meta.{field}" for field in fields)]
        for first in range(start, corpus.num_rows, ROWS_PER_BATCH):
            part = corpus.select(columns).slice(first, ROWS_PER_BATCH).combine_chunks()
            arrays = {"row": pa.array(np.arange(first, first + part.num_rows, dtype=np.int32))}
            arrays |= {name: _whole(part.column(name)) for name in columns}
            if store.uses_text:
                texts = self.dataset.document_texts
                arrays["text"] = pa.array([texts[i] for i in range(first, first + part.num_rows)], type=pa.string())
            if vectors is not None:
                flat = pa.array(vectors[first : first + part.num_rows].ravel())
                arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
            batch = pa.RecordBatch.from_pydict(arrays)
            if vectors is not None:
                missing = np.isnan(vectors[first : first + part.num_rows]).any(axis=1)
                batch = batch.filter(pa.array(~missing)) if missing.any() else batch
            yield batch
            advance(part.num_rows)

    # -- candidates ----------------------------------------------------------------------------------------------

    def candidates(self, system: System, limit: int, build: int = 0) -> Ranking:
        """What a system's source (store, fusion or run file) returns for every judged query when asked for `limit`."""
        match system.source:
            case RunFile(path):
                # In TREC form a query without hits has no line: one that is not there found nothing and did not fail.
                return self.once(("run", path, limit), lambda: self._run_ranking(path, limit))
            case Fused() as fused:
                return self.once(
                    ("fusion", system.name, limit, build), lambda: self._fused(fused, system.depth, limit, build)
                )
            case Searched() as searched:
                self._embed(searched)
                key = self.search_key(searched, system.filter, limit, build)
                return self.once(("search", key), lambda: self._search(system, searched, limit, build))

    def queries(self, searched: Searched) -> Queries:
        """The judged queries as the store that is searched consumes them."""
        needs = self.store(searched.store).consumes(searched.store.query)
        vectors = self.vectors(searched.encoders.query, "query").array if searched.encoders else None
        return Queries(
            vectors=vectors if "vector" in needs else None,
            texts=self.dataset.query_texts if "text" in needs else None,
        )

    def asked(self, limit: int) -> int:
        """How many documents a search is asked for, so that `limit` are left without a query's own document: one number
        for all queries, whether or not they have one."""
        return limit if self.dataset.own_rows is None else limit + 1

    def without_own(self, hits: Hits, limit: int, queries: npt.NDArray[np.int64] | slice = slice(None)) -> Hits:
        """The first `limit` hits of the queries at these positions, without their own documents."""
        own = self.dataset.own_rows
        return hits if own is None else left_out(hits, own[queries], limit)

    def search_key(self, searched: Searched, condition: Filter | None, limit: int, build: int = 0) -> str:
        """The key of a search: index, query options, what it is asked for, filter and queries."""
        needs = self.store(searched.store).consumes(searched.store.query)
        encoder = searched.encoders.query if searched.encoders and "vector" in needs else None
        return content_key(
            {
                "index": self.index_key(searched, build),
                "query": _dump(searched.store.query),
                "limit": self.asked(limit),
                "filter": condition.as_dict() if condition else None,
                "vectors": self.vectors_key(encoder, "query") if encoder else None,
                "texts": content_key(array_digest(self.query_digests)) if "text" in needs else None,
            }
        )

    def _search(self, system: System, searched: Searched, limit: int, build: int) -> Ranking:
        key = self.search_key(searched, system.filter, limit, build)
        queries = self.queries(searched)
        asked = self.asked(limit)
        hits = Hits.empty(len(queries), asked)
        refused: Mapping[int, str] = {}
        if searched.encoders and queries.vectors is not None:
            refused = self.vectors(searched.encoders.query, "query").failures
        failures: dict[int, str] = {}
        unknown = UnknownIds()
        starts = range(0, len(queries), QUERIES_PER_CHUNK)
        # What was found before vectors without a direction were told apart is not what is found now.
        apart = any(len(self.undirected(searched.encoders, role)) for role in ROLES)
        names = {start: f"{key}/{'directed-' if apart else ''}{start}" for start in starts}
        # What another build of an index found does not speak of this one.
        build_id = "" if searched.store.kind.reproducible else self.index(searched, build).build_id
        kept = {
            start: self._kept_candidates(name, build_id, min(QUERIES_PER_CHUNK, len(queries) - start), asked)
            for start, name in names.items()
        }
        todo = [start for start in starts if kept[start] is None]
        for start, arrays in kept.items():
            if arrays is not None:
                unknown += _unknown(arrays)
                hits.rows[start : start + len(arrays["rows"])] = arrays["rows"]
                hits.scores[start : start + len(arrays["rows"])] = arrays["scores"]
        missing = sum(min(QUERIES_PER_CHUNK, len(queries) - start) for start in todo)
        if todo:
            built = self.index(searched, build)
            with (
                Stage(self.emit, "search", system.name, missing, "queries") as advance,
                opened(built.store, built.ref, self._tell) as session,
            ):
                session.configure(searched.store.query)
                for start in todo:
                    before = session.unknown_ids()
                    stop = min(start + QUERIES_PER_CHUNK, len(queries))
                    without = {i - start: cause for i, cause in refused.items() if start <= i < stop}
                    part, failed = search_others(
                        session.search, queries.at(slice(start, stop)), asked, system.filter, without
                    )
                    if (beyond := int(part.rows.max(initial=EMPTY_ROW))) >= self.dataset.documents:
                        raise WrongAnswer(
                            f"Store {built.store.name} found row {beyond}, and the corpus has rows 0 to "
                            f"{self.dataset.documents - 1}. A hit names the `row` of the batches it was built from."
                        )
                    hits.rows[start:stop], hits.scores[start:stop] = part.rows, part.scores
                    failures |= {start + i: cause for i, cause in failed.items()}
                    found = session.unknown_ids()
                    here = UnknownIds(found.count - before.count, found.of - before.of, found.example)
                    unknown += here
                    if not failed and not here.all:  # what failed is asked again by the next run
                        stamp = {"build": np.array(build_id)} if build_id else {}
                        arrays = {"rows": part.rows, "scores": part.scores, **stamp, **_told(here)}
                        self.cache.write("candidates", names[start], arrays)
                    advance(stop - start)
        self.work.queries_searched.computed += missing
        self.work.queries_searched.reused += len(queries) - missing
        if unknown.all:
            raise AdapterRejected(
                f"{searched.store.name}: {unknown}. Give the service the same corpus with the same ids."
            )
        self._unknown[key] = unknown
        return self.ordered(self.without_own(hits, limit), limit, failures)

    def _kept_candidates(
        self, name: str, build_id: str, queries: int, asked: int
    ) -> dict[str, npt.NDArray[Any]] | None:
        arrays = self.cache.read_ranking(name, queries, self.dataset.documents)
        if arrays is None or arrays["rows"].shape[1] != asked:
            return None
        return arrays if str(arrays.get("build", "")) == build_id else None

    def unknown_ids(self, system: System, build: int = 0) -> UnknownIds:
        """The documents that a system's search or run file found and the corpus does not hold."""
        match system.source:
            case RunFile(path):
                return self.run_gaps(path).unknown
            case Searched() as searched:
                self.candidates(system, system.limit, build)
                return self._unknown[self.search_key(searched, system.filter, system.limit, build)]
            case Fused():
                return UnknownIds()

    def ordered(self, hits: Hits, depth: int, failures: Mapping[int, str] | None = None) -> Ranking:
        """Hits of all judged queries in canonical order, cut at depth. failures: causes by position."""
        rows, scores = canonical(hits.rows, hits.scores, self.ranks, depth)
        failed = np.zeros(len(rows), dtype=np.bool_)
        failed[list(failures or ())] = True
        return Ranking(rows, scores, failed, tuple(dict.fromkeys((failures or {}).values())))

    def run_gaps(self, path: Path) -> RunGaps:
        """What a run file lacks of the dataset, and the dataset of it."""
        return self._run_read(path)[1]

    def _run_ranking(self, path: Path, limit: int) -> Ranking:
        hits = self._run_read(path)[0]
        return self.ordered(self.without_own(hits, hits.rows.shape[1]), limit)

    def _run_read(self, path: Path) -> tuple[Hits, RunGaps]:
        return self.once(
            ("run file", path),
            lambda: read_hits(path, self.dataset.query_ids, self.document_ids, len(self.dataset_ids)),
        )

    def _fused(self, fused: Fused, depth: int, limit: int, build: int) -> Ranking:
        legs: list[Ranking] = []
        for leg in fused.legs:
            with as_failure(f"its leg {leg.name} failed"):
                legs.append(self.ranking(Node(leg, depth), build))
        hits = fuse(fused, [leg.rows for leg in legs], [leg.scores for leg in legs])
        failed = {int(i): "a fused system failed" for leg in legs for i in np.flatnonzero(leg.failed)}
        return self.ordered(hits, limit, failed)

    # -- final rankings ------------------------------------------------------------------------------------------

    def ranking(self, node: Node, build: int = 0) -> Ranking:
        """The final ranking of a system at its place, as long as that place wants it."""
        system = node.system
        if system.reranker is None:
            return self.candidates(system, node.wanted, build)
        name, key = system.reranker, ("rerank", system.name, node.limit, build)
        reranked = self.once(key, lambda: self._reranked(name, self.candidates(system, node.limit, build)))
        return reranked.cut(node.wanted)

    def _reranked(self, name: str, candidates: Ranking) -> Ranking:
        rows, failures = self.scorable(name, candidates.rows)
        pairs = self.pair_scores(name)
        scores = pairs.scores(rows)
        for query in np.flatnonzero((rows >= 0).any(axis=1) & ~(scores > -np.inf).any(axis=1)).tolist():
            cause = pairs.refusals(rows[query : query + 1], [query])[0][-1]
            failures[query] = f"query {self.dataset.query_ids[query]} could not be reranked: {cause}"
        ranked = self.ordered(Hits(rows, unscored_last(rows, scores)), rows.shape[1], failures)
        return replace(
            ranked, failed=candidates.failed | ranked.failed, failures=(*candidates.failures, *ranked.failures)
        )

    def scorable(self, name: str, rows: Rows) -> tuple[Rows, dict[int, str]]:
        """The candidates that a reranker can score, -1 for the others; and why it can score none of a query's.

        Documents that are not in the corpus (a run file's) have no text to score, and those that an encoder's service
        refused no vector; they keep no place.
        """
        rows = np.where(rows < self.dataset.documents, rows, -1)
        encoder = self.reranker(name).encoder_name
        if encoder is None:
            return rows, {}
        documents, queries = (self.vectors(encoder, role).failures for role in ROLES)
        if documents:
            rows = np.where(np.isin(rows, list(documents)), -1, rows)
        rows[list(queries)] = -1
        return rows, dict(queries)

    def prepared(self, name: str) -> Reranker:
        """A reranker that knows the corpus."""

        def prepare() -> Reranker:
            reranker = self.reranker(name)
            encoder = reranker.encoder_name
            vectors = None if encoder is None else self.vectors(encoder, "document")
            similarity = vectors.similarity if vectors else Similarity.COSINE
            reranker.prepare(Corpus(self.dataset.document_texts, vectors.array if vectors else None, similarity))
            return reranker

        return self.once(("prepared", name), prepare)

    def reranker_queries(self, name: str) -> Queries:
        """The judged queries as a reranker consumes them."""
        encoder = self.reranker(name).encoder_name
        vectors = None if encoder is None else self.vectors(encoder, "query").array
        return Queries(vectors, self.dataset.query_texts)

    def score_key(self, name: str) -> str:
        """The key of a reranker's scores; a pair is scored once under it."""
        reranker = self.reranker(name)
        depends: list[Any] = [reranker.identity.as_dict()]
        if reranker.depends_on_corpus:
            depends.append(self.corpus_fingerprint(texts=True))
        if (encoder := reranker.encoder_name) is not None:
            depends += [self.vectors_key(encoder, role) for role in ("document", "query")]
        return content_key(depends)

    def pair_scores(self, name: str) -> PairScores:
        """The scores of a named reranker, shared by all systems that use it."""

        def make() -> PairScores:
            return PairScores(
                label=name,
                segments=self.cache.segments("scores", self.score_key(name)),
                digests=(self.query_digests, self.document_digests),
                score_each=lambda positions, rows: self._score_each(name, positions, rows),
                lots=lambda rows: self._lots(name, rows),
                units=lambda query, rows: self.ranking_usage(np.array([query]), rows[None], ABOUT).total().search_units,
                count=self.work.pairs_scored,
                emit=self._tell,
            )

        return self.once(("pairs", name), make)

    def _lots(self, name: str, rows: Rows) -> Iterator[npt.NDArray[np.intp]]:
        """Queries whose candidates are scored together: of a reranker that bills all at once, so that it keeps its
        service busy, or as many as the budget surely allows; of others no more than a kill may cost."""
        reranker, chosen = self.reranker(name), np.flatnonzero((rows >= 0).any(axis=1))
        if not reranker.bills:
            step = max(1, PAIRS_PER_CHUNK // rows.shape[1])
            for start in range(0, len(rows), step):
                if len(part := chosen[(chosen >= start) & (chosen < start + step)]):
                    yield part
            return
        most = self.ranking_usage(chosen, rows[chosen], AT_MOST)
        while len(chosen):
            count = self.budget.affordable(reranker, most)
            yield chosen[:count]
            chosen, most = chosen[count:], most.after(count)

    def _score_each(
        self, name: str, positions: npt.NDArray[np.intp], rows: Rows
    ) -> Iterator[tuple[Sequence[int], Scored]]:
        reranker, queries = self.prepared(name), self.reranker_queries(name).at(positions)
        for places, scored in reranker.score_each(queries, rows):
            yield places, scored
            if reranker.bills:
                there = np.asarray(places)
                told = np.where(scored.scores > -np.inf, rows[there], -1)
                self.budget.after(reranker, scored.usage, self.ranking_usage(positions[there], told, AT_MOST).total())

    def ranking_usage(self, positions: npt.NDArray[np.intp], rows: Rows, tokens: Tokens) -> Usages:
        """What ranking candidates takes of a reranker that bills, reckoned from the texts, by query."""
        queries, documents = self._text_sizes("query", tokens), self._text_sizes("document", tokens)
        return reranking_usage(queries[positions], np.where(rows >= 0, documents[rows], -1), tokens)

    def _text_sizes(self, role: Role, tokens: Tokens) -> Integers:
        texts = self.dataset.document_texts if role == "document" else self.dataset.query_texts
        return self.once(("text sizes", role, tokens), lambda: tokens.sizes(texts))

    def reranked_rows(self, node: Node, name: str, build: int = 0) -> Rows:
        """The candidates of a system at its place that its reranker, of that name, can score."""
        return self.scorable(name, self.candidates(node.system, node.limit, build).rows)[0]

    # -- inner ---------------------------------------------------------------------------------------------------

    def once(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """What `compute` gives, computed once per key."""
        if key in self._failed:
            raise Failed(self._failed[key])
        if key not in self._memo:
            try:
                self._memo[key] = compute()
            except BaseException as error:
                failure = failure_of(error)
                if not failure.passing:
                    self._failed[key] = failure
                raise
        kept: T = self._memo[key]
        return kept


def search_others(
    search: Callable[[Queries, int, Filter | None], Hits],
    queries: Queries,
    limit: int,
    condition: Filter | None,
    refused: Mapping[int, str],
) -> tuple[Hits, dict[int, str]]:
    """As `search_each`, of the queries that were not refused before."""
    if not refused:
        return search_each(search, queries, limit, condition)
    asked = np.array([i for i in range(len(queries)) if i not in refused], np.int64)
    hits, failures = Hits.empty(len(queries), limit), dict(refused)
    if len(asked):
        found, failed = search_each(search, queries.at(asked), limit, condition)
        hits.rows[asked], hits.scores[asked] = found.rows, found.scores
        failures |= {int(asked[i]): cause for i, cause in failed.items()}
    return hits, failures


def search_each(
    search: Callable[[Queries, int, Filter | None], Hits], queries: Queries, limit: int, condition: Filter | None
) -> tuple[Hits, dict[int, str]]:
    """Search all queries at once; where that fails for another cause than a server that is away, one by one, so
    that only the queries that really fail are lost. Returns the hits and the failures by position."""
    try:
        return search(queries, limit, condition), {}
    except (AdapterUnavailable, WrongAnswer):
        raise
    except AdapterError as whole:
        if len(queries) == 1:
            return Hits.empty(1, limit), {0: str(whole)}
    hits, failures = Hits.empty(len(queries), limit), {}
    for i in range(len(queries)):
        part, failed = search_each(search, queries.at(slice(i, i + 1)), limit, condition)
        hits.rows[i], hits.scores[i] = part.rows[0], part.scores[0]
        failures.update(dict.fromkeys([i] if failed else [], next(iter(failed.values()), "")))
    return hits, failures


@contextmanager
def opened(store: Store, ref: IndexRef, emit: Emit) -> Iterator[Session]:
    """A session on a built index. That it cannot be closed is told, and what it has found stands."""
    session = store.session(ref)
    try:
        yield session
    finally:
        for failure in closing([session.close]):
            emit(failure.warned(store.name, "a search of it was over and could not be closed"))


def fuse(fused: Fused, rows: Sequence[Rows], scores: Sequence[Floats]) -> Hits:
    """Fuse the legs' rankings as the system says."""
    if fused.by == "rrf":
        return reciprocal_rank(rows, fused.weights, constant=fused.rrf_k)
    return weighted_scores(rows, scores, fused.weights)


def _dump(options: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = options.model_dump(mode="json")
    return dumped


def _told(unknown: UnknownIds) -> dict[str, npt.NDArray[Any]]:
    """What a chunk of candidates keeps of ids that the corpus lacks: nothing of an engine that holds the corpus."""
    if not unknown.of:
        return {}
    return {"unknown": np.array([unknown.count, unknown.of]), "unknown_example": np.array(unknown.example or "")}


def _unknown(arrays: Mapping[str, npt.NDArray[Any]]) -> UnknownIds:
    if "unknown" not in arrays:
        return UnknownIds()
    count, of = arrays["unknown"].tolist()
    return UnknownIds(count, of, str(arrays["unknown_example"]) or None)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
