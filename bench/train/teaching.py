"""What a teacher says of the texts that a model learns from: asked once for all seeds and runs, and kept as the vectors
and scores of a run are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.base import Answers, Encoder, Floats, Questions, Reranker, Role, exact_scores
from bench.cache.artifacts import Cache
from bench.cache.digests import content_key, text_digests
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.quality.embedding import Embedding, embedding_of
from bench.quality.scoring import PairScores, scores_fit
from bench.quality.stages import Count, Emit
from bench.train.mining.judging import Scoring


@dataclass(slots=True)
class Teaching:
    """One teacher, asked through the cache. label: how progress names it. count: texts and pairs, computed or kept from
    before."""

    teacher: Encoder | Reranker
    label: str
    cache: Cache
    emit: Emit
    budget: Budget
    count: Count = field(default_factory=Count)

    def answers(self, questions: Questions) -> Answers:
        """What the teacher answers; what it was not asked before is asked now. Raises what it raises."""
        with self.teacher:
            vectors = {role: self._vectors(texts, role) for role, texts in questions.texts.items()}
            scores = self.scores(questions) if questions.queries else None
        return questions.answers(vectors, scores, self.teacher.identity.model)

    def missing(self, questions: Questions) -> int:
        """How many distinct texts or pairs it would be asked for."""
        with self.teacher:
            asked = dict(questions.texts)
            if not questions.queries:
                return sum(self._pending(texts, role) for role, texts in asked.items())
            rows, texts = questions.candidates()
            if isinstance(self.teacher, Encoder):
                return self._pending(questions.queries, "query") + self._pending(texts, "document")
            return self._pairs(self.teacher, questions.queries, texts).pending(rows)

    @property
    def told(self) -> str:
        """A sentence on what it was asked."""
        what = "text" if isinstance(self.teacher, Encoder) else "pair"
        asked = self.count.computed + self.count.reused
        kept = f", {self.count.reused:,} of them before" if self.count.reused else ""
        return f"The teacher {self.teacher.identity.model} was asked for {counted(asked, what)}{kept}."

    def scores(self, questions: Questions) -> Floats:
        """Scores of each query's documents, as `Questions.candidates` puts them. The teacher stays open."""
        rows, texts = questions.candidates()
        if isinstance(self.teacher, Encoder):
            asked, known = self._vectors(questions.queries, "query"), self._vectors(texts, "document")
            return exact_scores(asked, known, rows, self.teacher.similarity)
        return self._pairs(self.teacher, questions.queries, texts).scores(rows)

    def _pairs(self, teacher: Reranker, queries: Sequence[str], texts: Sequence[str]) -> PairScores:
        # As the scores of a run are keyed, so that each pair is scored once whoever asks.
        return PairScores(
            label=self.label,
            segments=self.cache.segments("scores", content_key([teacher.identity.as_dict()]), scores_fit),
            digests=(text_digests(queries), text_digests(texts)),
            scorer=Scoring(queries, texts, teacher, self.budget),
            count=self.count,
            emit=self.emit,
        )

    def _vectors(self, texts: Sequence[str], role: Role) -> Floats:
        assert isinstance(self.teacher, Encoder)
        return self._embedding(texts, role).vectors(self.label, self.teacher, role).array

    def _pending(self, texts: Sequence[str], role: Role) -> int:
        assert isinstance(self.teacher, Encoder)
        return self._embedding(texts, role).pending(self.teacher, role)[0]

    def _embedding(self, texts: Sequence[str], role: Role) -> Embedding:
        return embedding_of(texts, role, self.cache, self.count, self.emit, self.budget)
