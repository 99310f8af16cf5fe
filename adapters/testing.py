"""The conformance suite: the laws of each role, which every adapter inherits.

A test module subclasses the class of its role as `class TestMyStore(StoreConformance)` and fills in one or two
hooks. In the conftest
`pytest.register_assert_rewrite("adapters.testing", "adapters._store_laws", "adapters._trainer_laws",
"adapters._generator_laws")` makes failures show their values. What cannot be tried for lack of a server, a package or a
key is skipped with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from adapters._generator_laws import GeneratorConformance
from adapters._store_laws import Sample, StoreConformance
from adapters._trainer_laws import TrainerConformance, planted_base, planted_data, planted_teacher
from adapters.base import (
    Corpus,
    DatasetSource,
    Delivery,
    Encoder,
    Event,
    Floats,
    Queries,
    QueryScored,
    Reranker,
    Role,
    Rows,
    RunFinished,
    RunStarted,
    Similarity,
    StageAdvanced,
    StageFinished,
    StageStarted,
    SystemFinished,
    TextRows,
    Tracker,
    Warned,
    exact_scores,
)

__all__ = [
    "DatasetConformance",
    "EncoderConformance",
    "GeneratorConformance",
    "RerankerConformance",
    "Sample",
    "StoreConformance",
    "TrackerConformance",
    "TrainerConformance",
    "planted_base",
    "planted_data",
    "planted_teacher",
]

ROLES: tuple[Role, Role] = ("query", "document")
TEXTS = (
    "A cat sat on the mat.", "the cat", "Prime numbers have two divisors.", "日本語の文章", "Ünïcödé ‑ „quotes“ 🙂",
    "", " ", "a", "Rain is expected in the north tomorrow, with strong winds on the coast.", "the cat",
)  # fmt: skip


EVENTS: tuple[Event, ...] = (
    RunStarted({"experiment": "laws"}, "results/laws/1", {"name": "laws", "judged": 2}, ("one", "other")),
    StageStarted("encode", "texts", 12, "text"),
    StageAdvanced("encode", "texts", 6),
    StageFinished("encode", "texts", 0.5, computed=6, reused=6),
    Warned("one", "An index was built anew."),
    *(
        event
        for system in ("one", "other")
        for event in (
            QueryScored(system, "q1", "a question", ["d1", "d2"], {"d1": 1}, {"nDCG@10": 1.0}, {"total_seconds": 0.1}),
            QueryScored(system, "日本/ü", None, [], {}, {"nDCG@10": None}, failed=True),
            SystemFinished(system, "success", None, {"status": "success", "measures": {}, "pipeline": {}}),
        )
    ),
    RunFinished("success", "results/laws/1"),
)


class _Conformance:
    """What the suites of all roles share."""

    def unavailable(self) -> str | None:
        """Why this adapter cannot be tried here, if it cannot."""
        return None

    @pytest.fixture(autouse=True)
    def _available(self) -> None:
        if reason := self.unavailable():
            pytest.skip(reason)


class EncoderConformance(_Conformance):
    """The laws of an encoder. Fill in `encoder`; give `others` and `long_text` where they apply."""

    tolerance: ClassVar[float] = 1e-5  # of a text's vector between batches, in units of its length
    long_text: ClassVar[str | None] = None  # a text beyond the model's maximum length, where it has one
    asymmetric: ClassVar[bool] = False  # the model embeds queries in another way than documents
    related: ClassVar[tuple[str, str, str] | None] = None  # a query, a text that answers it, one that does not

    def encoder(self) -> Encoder:
        """A new adapter."""
        raise NotImplementedError

    def others(self) -> Sequence[Encoder]:
        """Encoders that differ in one option each that changes vectors: their identities must differ too."""
        return ()

    def unavailable(self) -> str | None:
        """Why this encoder cannot be tried here, if it cannot."""
        missing = self.encoder().missing()
        return str(missing) if missing else None

    @staticmethod
    def _rows(encoder: Encoder, texts: Sequence[str]) -> TextRows:
        if encoder.consumes == "text":
            return TextRows(texts)
        known = sorted({*TEXTS, *texts})
        vectors = np.random.default_rng(5).standard_normal((len(known), encoder.dimension)).astype(np.float32)
        return TextRows(texts, vectors[[known.index(text) for text in texts]])

    def _encode(self, encoder: Encoder, texts: Sequence[str], role: Role = "document") -> Floats:
        return encoder.encode(self._rows(encoder, texts), role).vectors

    @pytest.mark.parametrize("role", ["query", "document"])
    def test_vectors_are_finite_float32_rows_in_input_order(self, role: Role) -> None:
        with self.encoder() as encoder:
            vectors = self._encode(encoder, TEXTS, role)
            backwards = self._encode(encoder, TEXTS[::-1], role)[::-1]
            assert vectors.shape == (len(TEXTS), encoder.dimension) and vectors.dtype == np.float32
            assert np.isfinite(vectors).all()
            self._assert_close(vectors, backwards)

    def test_a_text_has_the_same_vector_in_every_batch(self) -> None:
        with self.encoder() as encoder:
            together = self._encode(encoder, TEXTS)
            alone = np.vstack([self._encode(encoder, [text]) for text in TEXTS])
            self._assert_close(together, alone)
            self._assert_close(together[1:2], together[9:10])  # both are "the cat"

    def test_texts_of_other_words_have_other_vectors(self) -> None:
        """A model that gives every text one vector, or zero, ranks by document ids alone."""
        texts = [TEXTS[0], TEXTS[2], TEXTS[8]]
        for role in ROLES:
            with self.encoder() as encoder:
                vectors = self._encode(encoder, texts, role)
            lengths = np.linalg.norm(vectors, axis=1)
            assert (lengths > 0).all(), f"As {role}, a text of English words has a zero vector."
            for one, other in ((0, 1), (0, 2), (1, 2)):
                apart = float(np.linalg.norm(vectors[one] - vectors[other])) / float(lengths.max())
                assert apart > self.tolerance, f"As {role}, {texts[one]!r} and {texts[other]!r} have the same vector."

    def test_the_role_changes_the_vectors_of_a_model_that_has_roles(self) -> None:
        """An encoder that says that the role matters (a prompt, an input type) must also send it."""
        if not self.asymmetric:
            pytest.skip("the test class does not say that the role changes vectors (asymmetric = True)")
        with self.encoder() as encoder:
            as_query, as_document = (self._encode(encoder, [TEXTS[0]], role)[0] for role in ROLES)
        apart = float(np.linalg.norm(as_query - as_document)) / float(np.linalg.norm(as_document))
        assert apart > self.tolerance, "A text has the same vector as a query and as a document. Is the role sent?"

    def test_a_text_that_answers_a_query_is_nearer_than_one_that_does_not(self) -> None:
        """By the similarity that the encoder declares, and with the roles in their places."""
        if self.related is None:
            pytest.skip("`related` names no query with a text that answers it and one that does not")
        query, answer, other = self.related
        with self.encoder() as encoder:
            asked, texts = self._encode(encoder, [query], "query"), self._encode(encoder, [answer, other])
            near, far = exact_scores(asked, texts, np.array([[0, 1]], np.int32), encoder.similarity)[0].tolist()
            assert near > far, (
                f"By {encoder.similarity} {answer!r} scores {near:.4g} for {query!r}, and {other!r} {far:.4g}. Likely: "
                "another similarity than the model is made for, or the roles exchanged."
            )

    def test_no_texts_give_no_vectors(self) -> None:
        with self.encoder() as encoder:
            rows = TextRows([], np.empty((0, encoder.dimension), np.float32) if encoder.consumes == "vector" else None)
            assert encoder.encode(rows, "document").vectors.shape == (0, encoder.dimension)

    def test_what_the_plan_needs_is_known_before_the_model_is_loaded(self) -> None:
        encoder = self.encoder()
        assert encoder.dimension >= 1
        assert encoder.similarity in Similarity
        assert encoder.space
        json.dumps({**encoder.identity.as_dict(), **encoder.role_settings("query")})

    def test_an_option_that_changes_vectors_changes_the_identity(self) -> None:
        identities = [
            json.dumps([e.identity.as_dict(), e.role_settings("query"), e.role_settings("document")], sort_keys=True)
            for e in (self.encoder(), *self.others())
        ]
        assert len(set(identities)) == len(identities)
        assert self.encoder().identity.as_dict() == self.encoder().identity.as_dict()

    def test_texts_beyond_the_length_are_counted(self) -> None:
        if self.long_text is None:
            pytest.skip("the model has no maximum length")
        with self.encoder() as encoder:
            truncated = encoder.encode(TextRows(["short", self.long_text, "short"]), "document").truncated
            assert truncated is not None and truncated.tolist() == [False, True, False]

    def _assert_close(self, one: Floats, other: Floats) -> None:
        lengths = np.maximum(np.linalg.norm(one, axis=1), 1e-12)
        assert (np.linalg.norm(one - other, axis=1) / lengths).max() <= max(self.tolerance, 1e-12)


class RerankerConformance(_Conformance):
    """The laws of a reranker. Fill in `reranker`."""

    dimension: ClassVar[int] = 8  # of the vectors it is given, where it needs them
    tolerance: ClassVar[float] = 1e-5
    related: ClassVar[tuple[str, str, str] | None] = None  # a query, a text that answers it, one that does not

    def reranker(self) -> Reranker:
        """A new adapter."""
        raise NotImplementedError

    def unavailable(self) -> str | None:
        """Why this reranker cannot be tried here, if it cannot."""
        missing = self.reranker().missing()
        return str(missing) if missing else None

    @pytest.fixture
    def ready(self) -> Reranker:
        reranker = self.reranker()
        reranker.prepare(Corpus(TEXTS, self._vectors(reranker, len(TEXTS), 1), Similarity.COSINE))
        return reranker

    def _vectors(self, reranker: Reranker, count: int, seed: int) -> Floats | None:
        if reranker.needs != "vector":
            return None
        return np.random.default_rng(seed).standard_normal((count, self.dimension)).astype(np.float32)

    def _queries(self, reranker: Reranker) -> Queries:
        return Queries(self._vectors(reranker, 3, 2), ["cat on a mat", "文章", "the weather tomorrow"])

    candidates: ClassVar[Rows] = np.array([[0, 1, 2, 3, 9], [8, 4, -1, -1, -1], [7, 8, 0, 5, -1]], np.int32)

    def test_scores_are_shaped_as_the_candidates_and_empty_places_lose(self, ready: Reranker) -> None:
        scores = ready.score(self._queries(ready), self.candidates).scores
        assert scores.shape == self.candidates.shape and scores.dtype == np.float32
        assert np.isfinite(scores[self.candidates >= 0]).all()
        assert np.isneginf(scores[self.candidates < 0]).all()

    def test_scores_tell_documents_apart(self, ready: Reranker) -> None:
        """A reranker that scores every document alike ranks by document ids alone."""
        scores = ready.score(self._queries(ready), np.array([[0, 2, 8]] * 3, np.int32)).scores
        assert np.ptp(scores[0]) > 0, f"Three documents of other words all score {scores[0, 0]:.4g}."

    def test_a_text_that_answers_a_query_scores_above_one_that_does_not(self) -> None:
        """Larger is better: a distance, or the probability of the other class, ranks backwards."""
        reranker = self.reranker()
        if self.related is None or reranker.needs == "vector":
            pytest.skip("`related` names no query with a text that answers it and one that does not")
        query, answer, other = self.related
        reranker.prepare(Corpus([answer, other, *TEXTS]))
        near, far = reranker.score(Queries(None, [query]), np.array([[0, 1]], np.int32)).scores[0].tolist()
        assert near > far, f"{answer!r} scores {near:.4g} for {query!r}, and {other!r} {far:.4g}: larger is better."

    def test_the_order_of_candidates_does_not_matter(self, ready: Reranker) -> None:
        queries = self._queries(ready)
        forwards = ready.score(queries, self.candidates).scores
        backwards = ready.score(queries, self.candidates[:, ::-1]).scores[:, ::-1]
        self._assert_close(forwards, backwards)

    def test_pairs_one_by_one_score_as_in_a_batch(self, ready: Reranker) -> None:
        queries = self._queries(ready)
        together = ready.score(queries, self.candidates).scores
        alone = np.full_like(together, -np.inf)
        for i, j in np.argwhere(self.candidates >= 0).tolist():
            alone[i, j] = ready.score(queries.at(slice(i, i + 1)), self.candidates[i : i + 1, j : j + 1]).scores[0, 0]
        self._assert_close(together, alone)

    def test_no_candidates_give_no_scores(self, ready: Reranker) -> None:
        assert ready.score(self._queries(ready), np.full((3, 2), -1, np.int32)).scores.tolist() == [[-np.inf] * 2] * 3
        assert ready.score(self._queries(ready), np.empty((3, 0), np.int32)).scores.shape == (3, 0)

    def test_equal_texts_score_alike(self, ready: Reranker) -> None:
        if ready.needs == "vector":
            pytest.skip("the score is of vectors")
        scores = ready.score(self._queries(ready), np.array([[1, 9]] * 3, np.int32)).scores  # both are "the cat"
        self._assert_close(scores[:, :1], scores[:, 1:])

    def test_the_identity_is_stable_and_json(self) -> None:
        assert json.dumps(self.reranker().identity.as_dict()) == json.dumps(self.reranker().identity.as_dict())

    def _assert_close(self, one: Floats, other: Floats) -> None:
        assert np.array_equal(np.isneginf(one), np.isneginf(other))
        held = np.isfinite(one)
        bound = self.tolerance * np.maximum(1.0, np.abs(one[held]))
        assert (np.abs(one[held] - other[held]) <= bound).all()


class DatasetConformance(_Conformance):
    """The laws of a dataset source. Fill in `source`; it may write its files below the folder it is given."""

    def source(self, folder: Path) -> DatasetSource:
        """A new adapter on the same data each time it is called with the same folder."""
        raise NotImplementedError

    def test_the_tables_have_their_fixed_columns(self, tmp_path: Path) -> None:
        tables = self.source(tmp_path).load()
        for table, fixed in ((tables.corpus, ("id", "title", "text")), (tables.queries, ("id", "text"))):
            for name in fixed:
                assert table.schema.field(name).type == pa.string(), f"{name} is {table.schema.field(name).type}"
            for field in table.schema:
                assert field.name in (*fixed, "vector") or field.name.startswith("meta."), field.name
                if field.name == "vector":
                    assert pa.types.is_fixed_size_list(field.type) and field.type.value_type == pa.float32()
        if tables.qrels is not None:
            wanted = [("query_id", pa.string()), ("document_id", pa.string()), ("grade", pa.int32())]
            assert [(field.name, field.type) for field in tables.qrels.schema] == wanted

    def test_ids_are_unique_and_never_null(self, tmp_path: Path) -> None:
        tables = self.source(tmp_path).load()
        for table in (tables.corpus, tables.queries):
            ids = table.column("id")
            assert ids.null_count == 0 and len(ids.unique()) == len(ids)

    def test_two_loads_give_the_same(self, tmp_path: Path) -> None:
        first, second = self.source(tmp_path).load(), self.source(tmp_path).load()
        assert first.corpus.equals(second.corpus) and first.queries.equals(second.queries)
        assert (first.qrels is None) == (second.qrels is None)
        assert first.qrels is None or first.qrels.equals(second.qrels)
        assert first.notes == second.notes

    def test_the_files_it_names_are_there(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        source.load()
        assert all(path.exists() for path in source.sources() or ())


class TrackerConformance(_Conformance):
    """The laws of a tracker. Fill in `tracker`; give `away` where what it writes to may be gone."""

    seconds: ClassVar[float] = 30.0  # that a delivery may take

    def tracker(self, folder: Path) -> Tracker:
        """A new adapter; it may write below the folder."""
        raise NotImplementedError

    def away(self, folder: Path) -> Tracker | None:
        """One whose service does not answer, or whose file cannot be written; None where there is no such case."""
        return None

    def test_every_row_is_delivered_or_counted_as_unsent(self, tmp_path: Path) -> None:
        """A row is one query of one system. With its service there, a tracker delivers all of them."""
        delivery = self._delivered(self.tracker(tmp_path), EVENTS)
        assert delivery.sent + delivery.unsent == 4, f"4 rows were scored; told are {delivery}."
        assert delivery.unsent == 0, f"The service is there, and {delivery.unsent} rows are unsent: {delivery.notes}"

    def test_a_run_that_scored_nothing_is_delivered(self, tmp_path: Path) -> None:
        delivery = self._delivered(self.tracker(tmp_path), [e for e in EVENTS if not isinstance(e, QueryScored)])
        assert (delivery.sent, delivery.unsent) == (0, 0)

    def test_a_run_of_which_nothing_is_known_is_delivered(self, tmp_path: Path) -> None:
        """A run may end before its first event."""
        assert self._delivered(self.tracker(tmp_path), ()).sent == 0

    def test_nobody_is_raised_at_when_the_service_is_away(self, tmp_path: Path) -> None:
        """No failure of a tracker fails a run: the rows are unsent, and a note says why."""
        tracker = self.away(tmp_path)
        if tracker is None:
            pytest.skip("`away` names no tracker whose service is away")
        delivery = self._delivered(tracker, EVENTS)
        assert (delivery.sent, delivery.unsent) == (0, 4)
        assert delivery.notes, "A note must say why the rows were not sent."

    def test_a_delivery_bears_the_name_of_the_tracker(self, tmp_path: Path) -> None:
        tracker = self.tracker(tmp_path)
        assert self._delivered(tracker, EVENTS).tracker == tracker.name

    def _delivered(self, tracker: Tracker, events: Sequence[Event]) -> Delivery:
        with tracker:
            for event in events:
                tracker.on(event)
            return tracker.finish(self.seconds)
