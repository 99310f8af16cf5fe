"""The table, fixed by a golden file; every kind of note has its sentence.

`python -P -m tests.report.test_table > tests/golden/table.txt` writes the file anew after a change that was meant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.report.cells import milliseconds, number, signed
from bench.report.table import render
from bench.results.model import Result

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "table.txt"


def measure(mean: float | None, spread: float = 0.05, failed: int = 0) -> dict[str, Any]:
    interval = None if mean is None else (max(0.0, mean - spread), min(1.0, mean + spread))
    return {"mean": mean, "interval": interval, "queries": 50, "failed": failed}


def measures(ndcg: float | None, recall: float | None, mrr: float | None, failed: int = 0) -> dict[str, Any]:
    return {
        "nDCG@10": measure(ndcg, failed=failed),
        "Recall@1": measure(None if recall is None else recall / 2, failed=failed),
        "Recall@10": measure(recall, failed=failed),
        "MRR@10": measure(mrr, failed=failed),
    }


def against(difference: float, half: float, verdict: str, decide: int | None = None) -> dict[str, Any]:
    primary = {
        "difference": difference, "percent": 100 * difference / 0.56,
        "interval": (difference - half, difference + half), "p": 0.01, "p_corrected": 0.03, "verdict": verdict,
        "queries_to_decide": decide, "wins": 20, "ties": 20, "losses": 10,
    }  # fmt: skip
    return {"nDCG@10": primary}


def stage(p50: float | None, p95: float | None, samples: int = 300, p99: float | None = None) -> dict[str, Any]:
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "samples": samples}


def faster(ratio: float, interval: tuple[float, float], verdict: str, decide: int | None = None) -> dict[str, Any]:
    return {
        "ratio": ratio, "interval": interval, "p": 0.01, "p_corrected": 0.02, "verdict": verdict, "rounds": 10,
        "rounds_to_decide": decide,
    }  # fmt: skip


def latency(total: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "load": "closed-1", "mode": "closed", "workers": 1, "measured_at": "2026-03-01T12:00:00Z", "reused": False,
        "distinct_queries": 50, "agreement": 1.0, "failed": 0, "achieved_per_second": 412.7, "saturated": False,
        "wait": stage(0.0, 0.0), "total": total, **keys,
    }  # fmt: skip


def index(kind: str, **keys: Any) -> dict[str, Any]:
    return {
        "type": kind, "rows": 812, "rows_indexed": 812, "flat": False, "adjusted": [], "parameters": {}, "builds": 1,
        "reproducible": False, "built_at": "2026-03-01T11:59:00Z", **keys,
    }  # fmt: skip


def memory(where: str, before: float | None, built: float | None, searched: float | None) -> dict[str, Any]:
    sizes = {"build_before_bytes": before, "build_peak_bytes": built, "search_peak_bytes": searched}
    return {"where": where, **{name: None if mib is None else int(mib * 2**20) for name, mib in sizes.items()}}


def system(name: str, figures: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"name": name, "status": "success", "hash": name, "pipeline": {}, "measures": figures, **keys}


def trained(seed: int, dev: float, base: float | None, **keys: Any) -> dict[str, Any]:
    return {
        "seed": seed, "key": f"{seed:032x}", "dev": dev, "dev_base": base, "kept_step": 20, "steps": 25,
        "seconds": 12.5, "device": "cpu", **keys,
    }  # fmt: skip


def models() -> list[dict[str, Any]]:
    """A model with all there is to tell, one that became worse and one that could not be trained."""
    leak = {"training": "How to sort?", "evaluation": "how to sort", "split": "test"}
    before, after = {"nDCG@10": 0.555, "triplet accuracy": 0.81}, {"nDCG@10": 0.655, "triplet accuracy": 0.88}
    return [
        {
            "name": "tuned", "makes": "encoder", "recipe": "mnrl", "base": "minilm", "measure": "nDCG@10",
            "seeds": [
                trained(1, 0.61, 0.55, before=before, after=after),
                trained(2, 0.63, 0.55, before=before, after={**after, "nDCG@10": 0.665}),
                trained(3, 0.62, 0.55, before=before, after=after, resumed_from=10),
            ],
            "chosen_seed": 2, "worse_than_base": False, "pairs": 1591,
            "leaks": {"count": 25, "examples": [leak]},
            "near_copies": {"count": 1, "examples": [{**leak, "training": "how to sort it", "split": "dev"}]},
            "negatives": {"strategy": "hybrid", "per_query": 7, "wanted": 11137, "found": 11012,
                          "dropped": {"positive": 31, "margin": 94, "same text": 0}, "relevant_elsewhere": 12},
            "variants": [{"options": {"learning_rate": 0.0001}, "dev": 0.62, "kept": True},
                         {"options": {"learning_rate": 2e-05}, "dev": 0.581, "kept": False}],
        },
        {
            "name": "tuned-ce", "makes": "reranker", "recipe": "cross_encoder", "base": "trained:tuned",
            "measure": "nDCG@10", "seeds": [trained(1, 0.609, 0.62)], "chosen_seed": 1, "worse_than_base": True,
            "pairs": 1591, "notes": ["12 of 1,591 pairs were cut at its maximum length."],
        },
        {"name": "broken", "makes": "encoder", "recipe": "gist", "base": "minilm", "error": "the loss is not finite."},
    ]  # fmt: skip


def everything() -> Result:
    """One system of every kind."""
    nothing = measures(None, None, None)
    times = latency(stage(1.2, 3.4), search=stage(1.1, 3.1), own=stage(1.2, 3.4))
    opened = latency(
        stage(None, None), load="open-200qps", mode="open", workers=None, rate=200.0, saturated=True,
        achieved_per_second=150.04, wait=stage(None, None),
    )  # fmt: skip
    loss = [
        {"stage": "exact", "measure": "nDCG@10", "mean": 0.62, "interval": (0.5, 0.7)},
        {"stage": "ann", "measure": "nDCG@10", "mean": 0.59, "interval": (0.5, 0.7)},
        {"stage": "reranked", "measure": "nDCG@10", "mean": 0.6, "interval": (0.5, 0.7)},
    ]
    systems = [
        system("bm25", measures(0.56, 0.73, 0.52), latency=times, loads=[times, opened]),
        system(
            "hybrid", measures(0.61, 0.78, 0.57), against_baseline=against(0.05, 0.08, "undecided", 1200),
            latency=latency(
                stage(9.04, 123.4), encode=stage(7.0, 11.0), search=stage(1.4, 2.6), fuse=stage(0.08, 0.1),
                own=stage(1.5, 2.7), reused=True, agreement=0.9, rounds=10, disturbed_rounds=2,
            ),
            latency_against_baseline={
                "own p50": faster(1.25, (1.2, 1.304), "slower"),
                "total p95": faster(1.02, (0.96, 1.084), "not_slower"),
            },
            cost={"parts": [], "machine_usd_per_hour": 1.0, "per_1000_queries_usd": 0.0025, "disturbed": True,
                  "per_1000_queries_interval_usd": (0.0024, 0.0026)},
            loads=[times], notes=["its live rankings differ from those that were judged: the latency is flagged"],
        ),
        system("dense", measures(0.66, 0.8, 0.6), against_baseline=against(0.1, 0.04, "better"),
               latency=latency(stage(8.5, None, 40), encode=stage(7.0, 11.0), search=stage(0.9, None, 40),
                               own=stage(0.9, None, 40)),
               latency_against_baseline={"own p50": faster(1.001, (0.9, 1.114), "undecided", 12)},
               ann_recall={"10": 1.0}, index=index("exact", flat=True, reproducible=True), build_seconds=0.04,
               index_bytes=1_500_000, memory=memory("this process", 700, 703.25, None)),
        system("ivf-pq", measures(0.6, 0.7, 0.5), against_baseline=against(0.04, 0.05, "not_worse"), loss=loss,
               ann_recall={"10": 0.9996}, build_seconds=12.34, index_bytes=48_000_000,
               memory=memory("this process", 710, 832, 841.5),
               index=index("IVF_PQ", adjusted=["num_partitions 12 was asked for, 3 built."])),
        system("tuned", measures(0.65, 0.8, 0.6), against_baseline=against(0.09, 0.05, "better"),
               latency=latency(stage(8.5, None, 40), own=stage(0.9, None, 40)),
               index=index("exact", flat=True, builds=3),
               models={"encoders.tuned": "tuned"}, seeds=[1, 2, 3], chosen_seed=2, loss=loss[:2],
               builds=[{"nDCG@10": 0.64}, {"nDCG@10": 0.658}, {"nDCG@10": 0.652}]),
        system("tuned+ce", measures(0.59, 0.7, 0.5), against_baseline=against(0.03, 0.02, "better"),
               models={"encoders.once": "once", "rerankers.ce": "tuned-ce"}, seeds=[1], chosen_seed=1),
        system("half", measures(0.3, 0.4, 0.3, failed=7), status="partial", error="7 queries failed: no answer",
               index=index("hnsw", reproducible=True), build_seconds=1912.5, memory=memory("server", 120, 310, 305.5),
               against_baseline=against(-0.26, 0.1, "worse")),
        system("small-pq", nothing, status="not_indexed", error="IVF_PQ needs 256 rows."),
        system("flat", nothing, status="void", error="its flat index missed neighbours."),
        system("nan", nothing, status="error", error="row 3 holds NaN."),
    ]  # fmt: skip
    return Result.model_validate(
        {
            "status": "partial",
            "experiment": {},
            "config_hash": "0123456789ab",
            "started_at": "2026-03-01T11:58:00Z",
            "dataset": {
                "name": "docs", "split": "test", "fingerprint": "f", "documents": 812, "queries": 1109, "judged": 50,
                "only_positives": True, "notes": ["1,059 of 1,109 queries have no judgement in split test."],
            },
            "provenance": {"addresses": {"encoders.cohere": "http://127.0.0.1:8090"}},
            "baseline": "bm25",
            "primary": "nDCG@10",
            "margin": 0.02,
            "detectable_difference": 0.0912,
            "latency_margin": 1.1,
            "encoding": [
                {"encoder": "minilm", "load": "closed-1", "latency": stage(7.0, 11.0, 340),
                 "systems": ["hybrid", "dense"], "disturbed_rounds": 2},
                {"encoder": "minilm", "load": "open-200qps", "latency": stage(9.0, 12.0, 340), "systems": ["hybrid"]},
            ],
            "latency_notes": ["closed-1: 2 of 10 rounds were disturbed, and no time was left to take them again"],
            "work": {
                "texts_embedded": {"computed": 862, "reused": 0}, "indexes_built": {"computed": 2, "reused": 1},
                "queries_searched": {"computed": 150, "reused": 100},
            },
            "warnings": ["encoders.minilm: 40 of 812 documents (5 %) were cut at the model's maximum length."],
            "systems": systems,
            "models": models(),
        }
    )  # fmt: skip


def few(**keys: Any) -> Result:
    """One system, as little as a result can hold."""
    given = everything().model_dump()
    plain = {
        **given, "status": "success", "baseline": None, "margin": None, "detectable_difference": None, "warnings": [],
        "encoding": [], "latency_notes": [], "models": [],
        "provenance": {}, "work": {}, "dataset": {**given["dataset"], "notes": [], "only_positives": False},
        "systems": [system("bm25", measures(0.56, 0.73, 0.52))],
    }  # fmt: skip
    return Result.model_validate({**plain, **keys})


def test_the_table_is_the_golden_one() -> None:
    assert render(everything(), folder="results/docs/x") == GOLDEN.read_text(encoding="utf-8"), (
        "if the change was meant: python -P -m tests.report.test_table > tests/golden/table.txt"
    )


def test_a_small_result_has_a_small_table() -> None:
    assert render(few()) == (
        "docs (test) · 50 of 1,109 queries judged · 812 documents\n"
        "system  nDCG@10 [95 %]     R@10  MRR@10\n"
        "bm25    .560 [.510, .610]  .730  .520\n"
        "\n"
        "all measures\n"
        "  system  nDCG@10  Recall@1  Recall@10  MRR@10\n"
        "  bm25    .560     .365      .730       .520\n"
        "\n"
        "· intervals cover the sampling of queries only\n"
    )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"status": "cancelled"}, "! the run was cut off; the same command goes on where it stopped"),
        (
            {"work": {"texts_embedded": {"computed": 0, "reused": 9}}},
            "· nothing was computed: the whole quality pass came from the cache",
        ),
        (
            {"tracked": [{"tracker": "mlflow", "sent": 3, "unsent": 4}]},
            "! mlflow: 3 rows sent, 4 not sent",
        ),
        (
            {"tracked": [{"tracker": "mlflow", "sent": 7, "unsent": 0, "link": "http://x"}]},
            "· mlflow: 7 rows sent, http://x",
        ),
        (
            {"systems": [system("a", measures(0.5, 0.5, 0.5), latency=latency(stage(1.0, 2.0), reused=True))]},
            "· latencies were measured at 2026-03-01T12:00:00Z and not again; --remeasure takes them anew",
        ),
        (
            {"systems": [system("a", measures(0.5, 0.5, 0.5), index=index("IVF_PQ", builds=2),
                                builds=[{"nDCG@10": 0.4}, {"nDCG@10": 0.6}])]},
            "· a: nDCG@10 from .400 to .600 over 2 builds",
        ),
        (
            {"systems": [system("a", measures(0.5, 0.5, 0.5), index=index("IVF_PQ"))]},
            "· one build each (a): how far another build would differ is not known; see `builds`",
        ),
    ],
)  # fmt: skip
def test_every_kind_of_note_has_its_sentence(keys: dict[str, Any], sentence: str) -> None:
    assert sentence in render(few(**keys)).splitlines()


def test_a_partial_result_never_hides_its_failures() -> None:
    lines = render(everything()).splitlines()
    assert any(line.startswith("half") and "(7 failed)" in line for line in lines)
    for note in ("! half: partial: 7 queries failed", "! small-pq: not indexed: ", "! flat: void: ", "! nan: error: "):
        assert any(line.startswith(note) for line in lines)


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        ({}, None),
        ({"build_seconds": 1.0}, "a hnsw 1.0"),
        ({"index_bytes": 2**21, "memory": memory("server", None, None, None)}, "a hnsw 2.0"),
        ({"memory": memory("this process", 50, 51.5, None)}, "a hnsw +1.5"),
        ({"memory": memory("this process", None, 51.5, 60)}, "a hnsw this process 51.5 this process 60.0"),
        ({"memory": memory("server", 50, 51.5, 60)}, "a hnsw server 51.5 server 60.0"),
    ],
)
def test_of_an_index_the_table_shows_what_is_known(keys: dict[str, Any], row: str | None) -> None:
    text = render(few(systems=[system("a", {}, index=index("hnsw"), **keys)]))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert ("what the indexes take" in lines) == (row is not None)
    assert row is None or row in lines


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
@pytest.mark.parametrize("decided", ["better", "worse", "not_worse", "undecided"])
def test_a_verdict_on_one_training_says_that_it_is_on_this_model(decided: str, seeds: list[int]) -> None:
    tuned = system("tuned", measures(0.6, 0.7, 0.5), models={"encoders.tuned": "tuned"}, seeds=seeds,
                   chosen_seed=1, against_baseline=against(0.04, 0.03, decided))  # fmt: skip
    text = render(few(baseline="bm25", margin=0.01, systems=[few().systems[0].model_dump(), tuned]))
    said = {"better": "better", "worse": "worse", "not_worse": "at most .010 worse"}.get(decided)
    told = [f"{said} (this model; training again not tried)"] if said and len(seeds) == 1 else []
    assert [phrase for phrase in told if phrase in text] == told
    assert ("(this model" in text) == bool(told)


def test_a_baseline_that_was_trained_once_is_named_as_such() -> None:
    tuned = system("tuned", measures(0.6, 0.7, 0.5), models={"encoders.tuned": "tuned"}, seeds=[1], chosen_seed=1)
    text = render(few(baseline="tuned", systems=[tuned]))
    assert "· tuned: one seed, so verdicts compare with this very model; training again was not tried" in text


def test_seeds_are_shown_one_by_one_and_many_by_their_ends() -> None:
    def shown(count: int) -> str:
        builds = [{"nDCG@10": 0.5 + 0.01 * place} for place in range(count)]
        tuned = system("tuned", measures(0.6, 0.7, 0.5), models={"encoders.tuned": "tuned"},
                       seeds=list(range(1, count + 1)), chosen_seed=1, builds=builds)  # fmt: skip
        return " ".join(render(few(systems=[tuned])).split())

    assert "nDCG@10 by seed of its models system by seed tuned .500 .510 .520 all measures" in shown(3)
    assert "tuned .500 to .570 (8)" in shown(8)
    assert "by seed" not in shown(1)


def test_a_worse_model_is_told_with_every_system_that_uses_it_and_a_better_one_is_not() -> None:
    text = render(everything())
    assert (
        "! models.tuned-ce: worse than its base on dev: .609 against .620 nDCG@10; it is kept, and not proposed" in text
    )
    assert "! tuned+ce: not to be proposed: rerankers.ce uses tuned-ce, which is worse than its base on dev" in text
    assert text.count("not to be proposed") == 1 and "models.tuned: worse" not in text


def test_what_is_shown_of_models_fits_into_eighty_columns() -> None:
    sections = render(everything()).split("\n\n")
    shown = [s for s in sections if s.startswith(("models, by", "what training changed", "nDCG@10 by seed"))]
    assert len(shown) == 3
    assert max(len(line) for section in shown for line in section.splitlines()) <= 80


def test_a_query_of_several_lines_stays_on_one_and_a_long_one_is_cut() -> None:
    leak = {"training": "how\nto\n\n! sort " + "x" * 200, "evaluation": "e", "split": "dev"}
    text = render(few(models=[{**models()[0], "leaks": {"count": 1, "examples": [leak]}}]))
    assert f'is the same, such as "how to ! sort {"x" * 46}…" and "e" (dev)' in text


def test_no_line_ends_in_blanks() -> None:
    assert all(line == line.rstrip() for line in render(everything()).splitlines())


def test_a_value_short_of_one_never_reads_as_one() -> None:
    assert [number(v) for v in (1.0, 0.99996, 0.5, 0.0, -0.25, None)] == ["1.000", ".999", ".500", ".000", "-.250", "–"]
    assert [signed(v) for v in (0.1, -0.1, 0.0)] == ["+.100", "-.100", "+.000"]


def test_times_have_three_digits_that_mean_something() -> None:
    assert [milliseconds(v) for v in (0.1234, 9.876, 98.76, 987.6, 12345.0, None)] == [
        "0.12", "9.88", "98.8", "988", "12,345", "–",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(render(everything(), folder="results/docs/x"))


def test_the_head_of_the_counts_says_what_models_learnt_from() -> None:
    model = {**models()[0], "pairs": 912}
    text = {**model, "name": "small", "learns_from": "documents", "leaks": {"count": 2}}
    alone, both = render(few(models=[text])), render(few(models=[model, text]))
    assert "by seed         texts  leaks" in alone and "912 " in alone
    assert "by seed         learnt from  leaks" in both and "912 pairs" in both and "912 texts" in both
    assert "2 training texts left out, because an evaluation query is the same" in alone
