"""Encoders and rerankers that are wrong in one way each, under the conformance suite. `law` is what each must break."""

import zlib

import numpy as np

from adapters.base import Encoded, Encoder, Identity, NoOptions, Reranker, Scored, Similarity
from adapters.testing import EncoderConformance, RerankerConformance

RELATED = ("where did the cat sit", "the cat sat on the mat", "prime numbers have two divisors")


def direction(word):
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(32)


class Words(Encoder):
    """Sums a direction for each word."""

    name = "words"
    dimension = 32
    similarity = Similarity.COSINE
    identity = Identity("words", "words")

    def _encode(self, rows, role):
        vectors = [self.vector(text, role) for text in rows.texts]
        return Encoded(np.array(vectors, np.float32))

    def vector(self, text, role):
        own = direction("as a query" if role == "query" else "as a document")
        return np.sum([own, *(2 * direction(word) for word in text.lower().strip(".").split())], axis=0)


class Encoding(EncoderConformance):
    related = RELATED
    asymmetric = True
    kind = Words

    def encoder(self):
        return self.kind(NoOptions())


class TestEncoder(Encoding):
    law = None


class Constant(Words):
    def vector(self, text, role):
        return direction("any")


class TestEveryTextHasOneVector(Encoding):
    kind, law = Constant, "test_texts_of_other_words_have_other_vectors"


class Roleless(Words):
    def vector(self, text, role):
        return super().vector(text, "document")


class TestTheRoleIsNotSent(Encoding):
    kind, law = Roleless, "test_the_role_changes_the_vectors_of_a_model_that_has_roles"


class Backwards(Words):
    def vector(self, text, role):
        return super().vector(text, role) * (-1 if role == "query" else 1)


class TestQueriesPointAway(Encoding):
    kind, law = Backwards, "test_a_text_that_answers_a_query_is_nearer_than_one_that_does_not"


class Shuffled(Words):
    def _encode(self, rows, role):
        return Encoded(super()._encode(rows, role).vectors[np.argsort([len(text) for text in rows.texts])])


class TestVectorsComeSortedByLength(Encoding):
    kind, law = Shuffled, "test_vectors_are_finite_float32_rows_in_input_order[document]"


class Overlap(Reranker):
    """Counts the words that query and document share."""

    name = "overlap"
    identity = Identity("overlap", "overlap")

    def prepare(self, corpus):
        self.words = [set(text.lower().strip(".").split()) for text in corpus.texts]

    def _score(self, queries, candidates):
        scores = np.full(candidates.shape, -np.inf, np.float32)
        for i, j in np.argwhere(candidates >= 0):
            scores[i, j] = self.score_of(set(queries.texts[i].split()), self.words[candidates[i, j]])
        return Scored(scores)

    def score_of(self, query, document):
        return len(query & document)


class Reranking(RerankerConformance):
    related = RELATED
    kind = Overlap

    def reranker(self):
        return self.kind(NoOptions())


class TestReranker(Reranking):
    law = None


class Indifferent(Overlap):
    def score_of(self, query, document):
        return 0.5


class TestEveryDocumentScoresAlike(Reranking):
    kind, law = Indifferent, "test_scores_tell_documents_apart"


class Distance(Overlap):
    def score_of(self, query, document):
        return -len(query & document)


class TestSmallerScoresAreBetter(Reranking):
    kind, law = Distance, "test_a_text_that_answers_a_query_scores_above_one_that_does_not"
