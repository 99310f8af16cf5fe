"""Stores that are wrong in one way each, under the conformance suite. `law` is what each of them must break."""

from dataclasses import replace

import numpy as np
from bucket_store import BucketIndex, BucketQuery, BucketSession, BucketStore

from adapters.base import EffectiveIndex, Filter, Hits, Similarity
from adapters.testing import StoreConformance

NEAREST = "test_a_search_finds_what_the_oracle_finds"
SCALE = "test_scores_are_on_the_scale_of_the_oracle"
LITTLE = "test_a_filter_that_leaves_little_finds_it_all_the_same"
OPTION = "test_a_query_option_has_the_effect_that_is_declared"
ROWS = "test_rows_are_those_of_the_column_row_not_the_order_they_came_in"
BATCHES = "test_batches_hold_what_a_run_gives_and_no_more"
BATCH = "test_one_query_and_many_give_the_same"
TEXTS = "test_texts_are_those_of_the_rows_for_one_query_and_for_many"
SHAPE = "test_hits_come_best_first_once_each_and_empty_places_last"


class Conformance(StoreConformance):
    exact = False
    changes = {"probes": (1, 20)}  # noqa: RUF012
    kind = BucketStore

    def store(self):
        return self.kind(BucketIndex(), self.kind.Connection())


def opening(session):
    """A store whose sessions are of this class."""

    class Opening(BucketStore):
        def open(self, ref):
            return session(ref, self.held(ref))

    return Opening


class TestWhole(Conformance):
    law = None


class Metric(BucketSession):
    def best(self, query, limit, allowed):
        found = np.flatnonzero(allowed)
        order = np.argsort(-super().compare(query, self.vectors[found], Similarity.L2), kind="stable")
        found = found[order][:limit]
        scores = self.compare(query, self.vectors[found], self.ref.similarity)
        order = np.argsort(-scores, kind="stable")
        return found[order], scores[order]


class TestOneMetricForAll(Conformance):
    kind, law = opening(Metric), f"{NEAREST}[cosine]"


class Lengths(BucketSession):
    def compare(self, query, vectors, similarity):
        return super().compare(query, vectors, Similarity.COSINE if similarity is Similarity.DOT else similarity)


class TestVectorsAreNormalisedUnasked(Conformance):
    kind, law = opening(Lengths), f"{NEAREST}[dot]"


class Queries1(BucketSession):
    def compare(self, query, vectors, similarity):
        return super().compare(query / np.linalg.norm(query), vectors, similarity)


class TestOnlyQueriesAreNormalised(Conformance):
    kind, law = opening(Queries1), f"{NEAREST}[l2]"


class Permuted(BucketSession):
    def __init__(self, ref, table):
        super().__init__(ref, table)
        self.numbers = np.random.default_rng(0).permutation(self.numbers)


class TestRowsArePermuted(Conformance):
    kind, law = opening(Permuted), f"{NEAREST}[cosine]"


class Fewer(BucketSession):
    def best(self, query, limit, allowed):
        return super().best(query, limit, allowed & (np.arange(len(allowed)) % 4 > 0))


class TestAQuarterOfTheRowsIsLost(Conformance):
    kind, law = opening(Fewer), f"{NEAREST}[l2]"


class Shifted(BucketSession):
    def __init__(self, ref, table):
        super().__init__(ref, table)
        self.numbers = self.numbers + 1


class TestRowsAreOffByOne(Conformance):
    kind, law = opening(Shifted), ROWS


class Positions(BucketSession):
    def __init__(self, ref, table):
        super().__init__(ref, table)
        self.numbers = np.arange(len(self.numbers))


class TestRowsAreNumberedAsTheyCame(Conformance):
    kind, law = opening(Positions), ROWS


class Counted(BucketSession):
    def __init__(self, ref, table):
        super().__init__(ref, table)
        if self.numbers.max() >= ref.rows:  # as where the engine counts what it was given
            self.numbers = np.arange(ref.rows)


class TestRowsAreNumberedWithoutGaps(Conformance):
    kind = opening(Counted)
    law = "test_by_cosine_a_zero_document_is_never_found_and_the_others_keep_their_rows"


class Afterwards(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, limit, np.ones_like(allowed))
        return found[allowed[found]], scores[allowed[found]]


class TestTheBestAreFilteredAfterwards(Conformance):
    kind, law = opening(Afterwards), f"{LITTLE}[equal]"


class SomeMore(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, 10 * limit, np.ones_like(allowed))
        return found[allowed[found]][:limit], scores[allowed[found]][:limit]


class TestTenTimesTheBestAreFilteredAfterwards(Conformance):
    kind, law = opening(SomeMore), f"{LITTLE}[range]"


class Unfiltered(BucketSession):
    def best(self, query, limit, allowed):
        return super().best(query, limit, np.ones_like(allowed))


class TestTheFilterIsIgnored(Conformance):
    kind, law = opening(Unfiltered), "test_a_filter_leaves_what_passes_as_the_oracle_does[spec0]"


class Unconfigured(BucketSession):
    def configure(self, options):
        self.options = BucketQuery()


class TestOptionsAreIgnored(Conformance):
    kind, law = opening(Unconfigured), OPTION


class OnceConfigured(BucketSession):
    configured = 0

    def configure(self, options):
        self.configured += 1
        if self.configured <= 2:  # the constructor's own, and the first of a run
            self.options = options


class TestOptionsAreTakenOnce(Conformance):
    kind, law = opening(OnceConfigured), OPTION


class TestNoOptionIsDeclared(Conformance):
    changes = {}  # noqa: RUF012
    law = OPTION


class TestTheWeakOptionIsAsGood(Conformance):
    changes = {"probes": (19, 20)}  # noqa: RUF012
    law = OPTION


class TestTheStrongOptionIsWeak(Conformance):
    changes = {"probes": (1, 2)}  # noqa: RUF012
    law = OPTION


class Doubled(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, limit, allowed)
        return found, 2 * scores


class TestScoresAreDoubled(Conformance):
    kind, law = opening(Doubled), f"{SCALE}[cosine]"


class Rooted(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, limit, allowed)
        return found, -np.sqrt(-scores) if self.ref.similarity is Similarity.L2 else scores


class TestDistancesAreNotSquared(Conformance):
    kind, law = opening(Rooted), f"{SCALE}[l2]"


class Distances(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, limit, allowed)
        return found, 1 - scores


class TestSmallerIsBetter(Conformance):
    kind, law = opening(Distances), SHAPE


class Disordered(BucketSession):
    def best(self, query, limit, allowed):
        found, scores = super().best(query, limit, allowed)
        return found[::-1], scores


class TestScoresAreOfOtherRows(Conformance):
    class kind(opening(Disordered)):  # noqa: N801
        scores_exact = False

    law = f"{SCALE}[dot]"


class Doubles(BucketSession):
    def _search(self, queries, limit, filter):
        hits = super()._search(queries, limit, filter)
        hits.rows[:, 1:2] = hits.rows[:, :1]
        hits.scores[:, 1:2] = hits.scores[:, :1]
        return hits


class TestADocumentStandsTwice(Conformance):
    kind, law = opening(Doubles), SHAPE


class Narrow(BucketSession):
    def _search(self, queries, limit, filter):
        return super()._search(queries, min(limit, self.ref.rows), filter)


class TestALimitBeyondTheRowsIsCut(Conformance):
    kind, law = opening(Narrow), SHAPE


class Rolled(BucketSession):
    def _search(self, queries, limit, filter):
        hits = super()._search(queries, limit, filter)
        return Hits(np.roll(hits.rows, 1, axis=0), np.roll(hits.scores, 1, axis=0))


class TestBatchesComeInAnotherOrder(Conformance):
    kind, law = opening(Rolled), BATCH


class FirstAlone(BucketSession):
    def _search(self, queries, limit, filter):
        hits = super()._search(queries, limit, filter)
        return Hits(hits.rows[[0] * len(queries)], hits.scores[[0] * len(queries)])


class TestAllQueriesGetTheFirstOnesAnswer(Conformance):
    kind, law = opening(FirstAlone), BATCH


class Drifting(BucketSession):
    def _search(self, queries, limit, filter):
        hits = super()._search(queries, limit, filter)
        if len(queries) > 1:  # a scale learnt from the batch
            hits.scores[:] /= np.abs(hits.scores[np.isfinite(hits.scores)]).max()
        return hits


class TestScoresDependOnTheBatch(Conformance):
    kind, law = opening(Drifting), BATCH


class Tired(BucketSession):
    searches = 0

    def best(self, query, limit, allowed):
        self.searches += 1
        return super().best(query, limit, allowed & (np.arange(len(allowed)) > self.searches))


class TestASearchChangesTheIndex(Conformance):
    kind, law = opening(Tired), "test_the_same_search_twice_gives_the_same"


class Text(BucketStore):
    def _build(self, batches, place, similarity, dimension):
        return super()._build((b for b in batches if b.column("text") is not None), place, similarity, dimension)


class TestItReadsTextsThatItDoesNotAskFor(Conformance):
    kind, law = Text, BATCHES


class Meta(BucketStore):
    def _build(self, batches, place, similarity, dimension):
        return super()._build((b for b in batches if b["meta.year"] is not None), place, similarity, dimension)


class TestItReadsMetaColumnsThatNoFilterAsksFor(Conformance):
    kind, law = Meta, BATCHES


class Empty(BucketStore):
    def _build(self, batches, place, similarity, dimension):
        batches = list(batches)
        assert batches[0].num_rows
        return super()._build(iter(batches), place, similarity, dimension)


class TestNoRowsCannotBeBuilt(Conformance):
    kind, law = Empty, "test_an_index_of_no_rows_finds_nothing_and_is_not_opened"


class OnePlace(BucketStore):
    """Keeps the last index in memory, and answers from it whichever is asked."""

    def held(self, ref):
        self.last = getattr(self, "last", None) or super().held(ref)
        return self.last


class TestIndexesShareAnObjectInMemory(Conformance):
    kind, law = OnePlace, "test_two_builds_in_two_places_are_two_indexes"


class SecondSession(BucketStore):
    opened = 0

    def open(self, ref):
        type(self).opened += 1
        session = super().open(ref)
        session.numbers = np.roll(session.numbers, type(self).opened)
        return session


class TestAnotherSessionSeesOtherRows(Conformance):
    kind, law = SecondSession, "test_two_sessions_and_eight_threads_agree"


class Tuples(BucketStore):
    def _build(self, batches, place, similarity, dimension):
        return {**super()._build(batches, place, similarity, dimension), "shape": (1, 2)}


class TestTheReferenceIsNotJson(Conformance):
    kind, law = Tuples, "test_a_reference_read_back_from_json_opens_in_a_new_adapter"


class TestAMetricIsClaimedAndNotTried(Conformance):
    similarities = (Similarity.COSINE,)
    law = "test_a_metric_that_is_not_declared_is_refused"


class Behind(BucketStore):
    def describe(self, ref):
        held = super().describe(ref)
        return EffectiveIndex("BUCKETS", held.rows, held.rows - 1, flat=False)


class TestARowIsNotIndexed(Conformance):
    kind, law = Behind, "test_every_row_is_held_and_indexed"


class Flat(BucketStore):
    def describe(self, ref):
        return replace(super().describe(ref), flat=True)


class TestItClaimsToBeFlatAndProbesAFew(Conformance):
    exact = True
    kind, law = Flat, "test_every_row_is_held_and_indexed"

    def query(self, store):
        return store.Query(probes=2)


class Unknown(BucketSession):
    def _search(self, queries, limit, filter):
        known = None
        if filter is not None:
            there = [c for c in filter.conditions if f"meta.{c.field}" in self.table.column_names]
            known = Filter(tuple(there)) if there else None
        return super()._search(queries, limit, known)


class TestAnUnknownColumnIsPassedOver(Conformance):
    kind, law = opening(Unknown), "test_a_filter_on_an_unknown_column_is_refused"


class DropsAll(BucketStore):
    def drop(self, ref):
        return


class TestItDropsWhateverIsNamed(Conformance):
    kind, law = DropsAll, "test_what_bears_a_name_of_the_users_is_not_dropped"


class Arrived(BucketSession):
    def texts(self, found):
        return self.table.column("payload").take(np.sort(found)).to_pylist()


class TestTextsComeInTheOrderOfTheCorpus(Conformance):
    kind, law = opening(Arrived), TEXTS


class ByRow(BucketSession):
    def texts(self, found):
        return self.table.column("payload").take(self.numbers[found]).to_pylist()


class TestTextsAreTakenByRowFromAColumnInAnotherOrder(Conformance):
    kind, law = opening(ByRow), TEXTS


class Blank(BucketSession):
    def texts(self, found):
        return [text or "" for text in super().texts(found)]


class TestANullBecomesAnEmptyText(Conformance):
    kind, law = opening(Blank), TEXTS


class Trimmed(BucketSession):
    def texts(self, found):
        return [text and text.strip() for text in super().texts(found)]


class TestWhiteSpaceIsCutOffTexts(Conformance):
    kind, law = opening(Trimmed), TEXTS


class Unfiltered(BucketSession):
    def _search(self, queries, limit, filter):
        found = super()._search(queries, limit, filter)
        return found if filter is None else replace(found, texts=super()._search(queries, limit, None).texts)


class TestTextsAreThoseOfASearchWithoutTheFilter(Conformance):
    kind, law = opening(Unfiltered), "test_texts_under_a_filter_are_those_of_the_rows"


class Unasked(BucketSession):
    def _search(self, queries, limit, filter):
        found = super()._search(queries, limit, filter)
        return found if self.payload else replace(found, texts=[["text"] * limit for _ in range(len(queries))])


class TestTextsAreReturnedUnasked(Conformance):
    kind, law = opening(Unasked), "test_rows_and_scores_are_the_same_with_texts_and_without"


class NoTexts(BucketSession):
    def _search(self, queries, limit, filter):
        return replace(super()._search(queries, limit, filter), texts=None)


class TestTextsAreDeclaredAndNotReturned(Conformance):
    kind, law = opening(NoTexts), TEXTS
