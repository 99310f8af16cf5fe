"""Rescoring candidates by BM25 over the whole corpus: the same scores as the store of that name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq

from adapters._bm25 import Bm25Index, Bm25Options
from adapters.base import CodePiece, Corpus, CorpusFiles, Identity, Queries, Reranker, Rows, Scored, Unmatched


class Bm25Reranker(Reranker):
    """A candidate that holds no term of the query scores 0 (bm25l, bm25+: what every such document scores)."""

    name = "bm25"
    requires = ("bm25s",)
    Options = Bm25Options
    depends_on_corpus = True

    @property
    def identity(self) -> Identity:
        settings = {**self.options.model_dump(mode="json"), **self.options.versions}
        return Identity("bm25s", "bm25", settings=settings)

    def check(self) -> None:
        super().check()
        self.options.check(self.name)

    def export(self, corpus: CorpusFiles) -> CodePiece:
        texts = pq.read_table(corpus.documents, columns=["text"]).column("text")
        Bm25Index.build((text.as_py() for text in texts), self.options).save(corpus.folder)
        terms = self.options.terms_code()
        module, name = "adapters.code.bm25_scorer", "Bm25Scorer"
        return CodePiece(module, name, {"terms": terms}, requires=("bm25s",), files={"folder": corpus.folder})

    def export_build(self) -> CodePiece:
        built: CodePiece = self.options.builder_code({"inside": None})
        return built

    def prepare(self, corpus: Corpus) -> None:
        # The texts are not kept: their index is all that scoring needs.
        self._index = Bm25Index.build(corpus.texts, self.options)

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        return self._index.unmatched(texts)

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        scores = np.full(candidates.shape, -np.inf, dtype=np.float32)
        for i, text in enumerate(queries.texts or ()):
            held = candidates[i] >= 0
            match = self._index.match(text)
            scores[i, held] = 0.0 if match is None else match.scores[candidates[i, held]]
        return Scored(scores)
