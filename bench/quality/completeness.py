"""Counts what the services of a system's models refused: documents without a vector, pairs without a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.experiment.parts import Node, System
from bench.quality.embedding import PLURAL
from bench.quality.pipeline import Pipeline

SHARE_OF_A_WHOLE_SYSTEM = 0.01  # the share that may be missing; a system that misses more is partial


@dataclass(frozen=True, slots=True)
class Refused:
    """What is missing of one kind. part: the part of the experiment, as its file names it. what: documents or pairs.
    count, of: how many are missing, and of how many. causes: some of the causes, each once. effect: what follows for
    the missing ones."""

    part: str
    what: str
    count: int
    of: int
    causes: tuple[str, ...]
    effect: str

    @property
    def partial(self) -> bool:
        """Whether so much is missing that the system is partial."""
        return self.count > SHARE_OF_A_WHOLE_SYSTEM * self.of

    @property
    def share(self) -> str:
        """How much is missing, and what follows."""
        return f"{self.count:,} of {self.of:,} {self.what} ({100 * self.count / self.of:.2g} %) {self.effect}"

    def __str__(self) -> str:
        return f"{self.share}; the first: {self.causes[0]}"


def refused(pipeline: Pipeline, system: System) -> list[Refused]:
    """What is missing of a system that was run, and of the legs that it fuses, each once."""
    found: dict[str, Refused] = {}
    names: list[str] = []
    for node in system.nodes():
        names += [node.system.encoders.document] if node.system.encoders else []
        if (name := node.system.reranker) is None:
            continue
        if (encoder := pipeline.materials.reranker(name).encoder_name) is not None:
            names.append(encoder)
        elif (item := _pairs(pipeline, node, name)) is not None:
            found[f"{item.part} {item.what}"] = item
    for name in names:
        vectors = pipeline.materials.vectors(name, "document")
        if vectors.failures:
            causes = tuple(dict.fromkeys(vectors.failures.values()))[:3]
            item = Refused(
                f"encoders.{name}", PLURAL["document"], len(vectors.failures), len(vectors.array), causes,
                "have no vector and cannot be found",
            )  # fmt: skip
            found[f"{item.part} {item.what}"] = item
    return list(found.values())


def _pairs(pipeline: Pipeline, node: Node, name: str) -> Refused | None:
    rows = pipeline.reranked_rows(node, name)
    found = pipeline.reranking.pair_scores(name).refusals(rows, range(len(rows)))
    if not found:
        return None
    documents, queries = pipeline.dataset.document_ids, pipeline.dataset.query_ids
    causes = tuple(f"query {queries[query]}, document {documents[row]}: {cause}" for query, row, cause in found[:3])
    total = int(np.count_nonzero(rows >= 0))
    effect = "have no score and were ranked last"
    return Refused(f"rerankers.{name}", "pairs", len(found), total, causes, effect)


def truncated_pairs(pipeline: Pipeline, system: System) -> int | None:
    """How many pairs of a system and its legs were cut at their reranker's length; None where that is not known or
    there is no reranker."""
    counts: list[int | None] = []
    for node in system.nodes():
        if (name := node.system.reranker) is not None:
            rows = pipeline.reranked_rows(node, name)
            counts.append(pipeline.reranking.pair_scores(name).truncated(rows) if (rows >= 0).any() else 0)
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
