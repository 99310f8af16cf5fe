"""Measures with parameters, judged by ir_measures over random runs with graded judgements, ties and gaps."""

from __future__ import annotations

import shutil

import ir_measures
import numpy as np
import numpy.typing as npt
import pytest

from adapters.base import id_order
from bench.statistics.measures import Judgements, Measure, evaluate
from bench.statistics.order import canonical

DOCUMENTS, QUERIES, WIDTH = 40, 250, 15
OF_TREC_EVAL = tuple(
    f"{kind}{rel}@{k}"
    for kind in ("Recall", "Precision", "MRR", "MAP", "Hit")
    for rel in ("", "(rel=2)", "(rel=3)")
    for k in (1, 3, 10)
)
EXPONENTIAL = tuple(f"nDCG(dcg='exp-log2')@{k}" for k in (1, 5, 10))


def drawn(
    seed: int,
) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.float32], list[tuple[int, int, int]]]:
    """Ids, rankings with scores, and judgements (query, document, grade); the last five ids are not retrieved."""
    rng = np.random.default_rng(seed)
    ids = [f"d{number}" for number in rng.permutation(100)[: DOCUMENTS + 5]]
    rows = np.stack([rng.permutation(DOCUMENTS)[:WIDTH] for _ in range(QUERIES)]).astype(np.int32)
    levels = int(rng.choice([1, 3, 1_000]))  # all tied, many ties, few
    scores = (rng.integers(-levels, levels, rows.shape) / levels).astype(np.float32)
    rows[rng.random(rows.shape) < rng.choice([0.0, 0.4])] = -1
    rows[rng.random(QUERIES) < 0.05] = -1
    judged = [
        (query, int(row), int(rng.integers(0, 5)))
        for query in range(QUERIES)
        for row in rng.permutation(len(ids))[: rng.integers(1, 12)]
    ]
    return ids, rows, scores, judged


def theirs(
    name: str, ids: list[str], rows: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], judged: object
) -> dict[str, float]:
    """By query, what ir_measures gives for the name as it is spelled here."""
    spelled = name.replace("Precision", "P").replace("Hit", "Success")
    measure = ir_measures.parse_measure(spelled)
    qrels = [ir_measures.Qrel(str(query), ids[row], grade) for query, row, grade in judged]  # type: ignore[attr-defined]
    run = [
        ir_measures.ScoredDoc(str(query), ids[row], float(score))
        for query in range(QUERIES)
        for row, score in zip(rows[query], scores[query], strict=True)
        if row >= 0
    ]
    return {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)}


def ours(
    names: tuple[str, ...],
    ids: list[str],
    rows: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    judged: list[tuple[int, int, int]],
) -> dict[str, npt.NDArray[np.float64]]:
    ordered, _ = canonical(rows, scores, id_order(ids), 10)
    judgements = Judgements.from_pairs(*np.array(judged).T, query_count=QUERIES)
    found = evaluate([Measure.parse(name) for name in names], ordered, judgements)
    return {str(measure): values for measure, values in found.items() if values is not None}


@pytest.mark.parametrize("seed", range(8))
def test_measures_from_a_grade_on_agree_with_ir_measures(seed: int) -> None:
    case = drawn(seed)
    figures = ours(OF_TREC_EVAL, *case)
    ids, rows, scores, judged = case
    ordered, _ = canonical(rows, scores, id_order(ids))
    places = -np.broadcast_to(np.arange(WIDTH, dtype=np.float32), ordered.shape)
    for name in OF_TREC_EVAL:
        # RR with a cut-off is not trec_eval's there and breaks ties the other way round: it gets an order without ties.
        expected = theirs(name, *((ids, ordered, places, judged) if name.startswith("MRR") else case))
        assert figures[name] == pytest.approx([expected.get(str(q), 0.0) for q in range(QUERIES)], abs=1e-6), name


@pytest.mark.parametrize("seed", range(4))
def test_exponential_gains_agree_with_ir_measures(seed: int) -> None:
    if shutil.which("perl") is None:
        pytest.skip("perl is not here: ir_measures asks gdeval.pl")
    case = drawn(seed)
    figures = ours(EXPONENTIAL, *case)
    for name in EXPONENTIAL:
        expected = theirs(name, *case)
        # gdeval.pl prints five digits
        assert figures[name] == pytest.approx([expected.get(str(q), 0.0) for q in range(QUERIES)], abs=1e-5), name


def test_names_are_those_of_ir_measures() -> None:
    for name in (*OF_TREC_EVAL, *EXPONENTIAL):
        assert str(Measure.parse(name)) == name
        of_theirs = str(ir_measures.parse_measure(name.replace("Precision", "P").replace("Hit", "Success")))
        assert str(Measure.parse(of_theirs)) == name
