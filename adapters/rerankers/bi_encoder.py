"""Rescoring with the exact similarity of a named encoder's vectors."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from adapters.base import (
    CodePiece,
    Consumes,
    Context,
    CorpusFiles,
    Identity,
    InvalidOptions,
    Options,
    Queries,
    Reranker,
    Rows,
    Scored,
    Value,
    exact_scores,
)


class BiEncoderOptions(Options):
    """Names the encoder whose vectors are compared."""

    encoder: str = Field(description="Name of an encoder of the experiment, whose vectors score the candidates.")


class BiEncoderReranker(Reranker):
    """The harness gives the vectors. They depend on the encoder's identity, which is part of the key beside this
    one."""

    name: ClassVar[str] = "bi_encoder"
    needs: ClassVar[Consumes] = "vector"
    Options = BiEncoderOptions

    def __init__(self, options: BiEncoderOptions, context: Context = Context()) -> None:
        super().__init__(options, context)

    @property
    def identity(self) -> Identity:
        return Identity("bi_encoder", "exact")

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        if queries.vectors is None or self.corpus.vectors is None:
            raise InvalidOptions(f"The vectors of encoder {self.options.encoder!r} are missing.", key="encoder")
        return Scored(exact_scores(queries.vectors, self.corpus.vectors, candidates, self.corpus.similarity))

    def export(self, corpus: CorpusFiles) -> CodePiece:
        if corpus.encoder is None or corpus.vectors is None:
            raise InvalidOptions(f"The vectors of encoder {self.options.encoder!r} are missing.", key="encoder")
        return CodePiece(
            "adapters.code.bi_encoder",
            "BiEncoderScorer",
            {"encoder": corpus.encoder, "similarity": str(corpus.similarity)},
            files={"vectors": corpus.vectors},
            exact=corpus.encoder.exact,
        )

    def export_build(self) -> CodePiece:
        builder = CodePiece("adapters.code.local_builders", "VectorsBuilder")
        built: dict[str, Value] = {"builder": builder, "argument": "vectors", "file": "vectors.npy", "every_row": True}
        return CodePiece("adapters.code.building", "BuiltPart", built)
