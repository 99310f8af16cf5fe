"""How much faster the measures are than pytrec_eval on the same rankings: `python -P -m tests.perf.measures`.

Both start from what they are made for, integer-coded arrays here and dictionaries there, and both sort, cut and
measure; building the dictionaries and coding the judgements is not timed. They take turns in one process. "here"
keeps all places of a ranking, "cut at 10" only those that the measures look at, as a run does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytrec_eval

from adapters.base import id_order
from bench.statistics.measures import Judgements, Measure, evaluate
from bench.statistics.order import canonical

QUERIES, DEPTH, DOCUMENTS, JUDGED = 20_000, 100, 100_000, 10
ROUNDS = 5
MEASURES = {
    "nDCG@10": "ndcg_cut_10", "Recall@1": "recall_1", "Recall@3": "recall_3", "Recall@5": "recall_5",
    "Recall@10": "recall_10", "MRR@10": "recip_rank", "MAP@10": "map_cut_10", "Precision@10": "P_10",
}  # fmt: skip
REQUIRED_RATIO = 20.0


def main() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.choice(DOCUMENTS, DEPTH, replace=False) for _ in range(QUERIES)]).astype(np.int32)
    scores = rng.random((QUERIES, DEPTH), dtype=np.float32)
    ids = [f"document-{row}" for row in range(DOCUMENTS)]
    order = id_order(ids)
    # Half of each query's judged documents are in its ranking, so that every measure has something to add up.
    judged = np.concatenate(
        [rows[:, : JUDGED // 2], rng.integers(DOCUMENTS, 2 * DOCUMENTS, (QUERIES, JUDGED // 2)).cumsum(axis=1)], axis=1
    )
    grades = rng.integers(0, 4, judged.shape)
    queries = np.repeat(np.arange(QUERIES), JUDGED)
    judgements = Judgements.from_pairs(queries, judged.ravel(), grades.ravel(), query_count=QUERIES)
    names = [f"query-{query}" for query in range(QUERIES)]
    run = {
        name: {ids[row]: score for row, score in zip(*ranking, strict=True)}
        for name, ranking in zip(names, zip(rows.tolist(), scores.tolist(), strict=True), strict=True)
    }
    qrels = {
        name: {f"document-{row}": grade for row, grade in zip(*pairs, strict=True)}
        for name, pairs in zip(names, zip(judged.tolist(), grades.tolist(), strict=True), strict=True)
    }
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values()))
    measures = [Measure.parse(name) for name in MEASURES]

    def ours(depth: int = DEPTH) -> Any:
        return evaluate(measures, canonical(rows, scores, order, depth)[0], judgements)

    def cut() -> Any:
        return ours(10)

    def theirs() -> Any:
        return evaluator.evaluate(run)

    seconds: dict[str, list[float]] = {"pytrec_eval": [], "here": [], "here, cut at 10": []}
    for _ in range(ROUNDS):
        there = _timed(theirs, seconds["pytrec_eval"])
        here = _timed(ours, seconds["here"])
        _timed(cut, seconds["here, cut at 10"])
    for name, theirs_name in MEASURES.items():
        if name != "MRR@10":  # trec_eval's recip_rank has no cut-off
            expected = np.array([there[query][theirs_name] for query in names])
            assert np.allclose(here[Measure.parse(name)], expected, atol=1e-6), name
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"measures, {QUERIES:,} queries × {DEPTH} documents, median of {ROUNDS} rounds taken in turns:")
    for name, values in seconds.items():
        ratio = medians["pytrec_eval"] / medians[name]
        print(f"  {name:16} {medians[name]:7.3f} s  [{min(values):.3f}, {max(values):.3f}]  {ratio:5.1f} ×")
    if medians["pytrec_eval"] < REQUIRED_RATIO * medians["here"]:
        raise SystemExit(f"The measures must be at least {REQUIRED_RATIO:.0f} times faster than pytrec_eval.")


def _timed(call: Callable[[], Any], seconds: list[float]) -> Any:
    started = time.perf_counter()
    value = call()
    seconds.append(time.perf_counter() - started)
    return value


if __name__ == "__main__":
    main()
