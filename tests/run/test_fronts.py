"""Laws of comparing at equal recall: how a setting is chosen, what is reported, what stands on a front."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cache.mark import mark
from bench.cli import app
from bench.report import equal_recall
from bench.report.table import render
from bench.results.model import read_result
from bench.run.build_time import Sample, extrapolate
from bench.statistics.equal_recall import Setting, attainable, choose, dominated, halves, lower_bound
from bench.statistics.measures import Measure
from tests import small
from tests.stores.arrays import clustered

ANN = Measure("ANN", 10)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def setting(name: str, cost: float) -> Setting:
    return Setting(name, np.ones((1, 4)), cost)


# -- halves ------------------------------------------------------------------------------------------------------


@given(count=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_the_choosing_half_never_reports(count: int, seed: int) -> None:
    choosing, reporting = halves(count, rng(seed))
    assert not (choosing & reporting).any()
    assert (choosing | reporting).all()
    assert abs(int(choosing.sum()) - int(reporting.sum())) <= 1


@given(labels=st.lists(st.integers(0, 8), min_size=2, max_size=60), seed=st.integers(0, 2**16))
def test_a_cluster_is_never_torn_between_the_halves(labels: list[int], seed: int) -> None:
    groups = np.array(labels)
    choosing, _ = halves(len(groups), rng(seed), groups)
    for group in set(labels):
        assert len(set(choosing[groups == group].tolist())) == 1


def test_the_same_seed_splits_the_same_way() -> None:
    assert (halves(50, rng(3))[0] == halves(50, rng(3))[0]).all()
    assert (halves(50, rng(3))[0] != halves(50, rng(4))[0]).any()


# -- the bound ---------------------------------------------------------------------------------------------------


def test_the_bound_lies_below_the_mean_and_closes_in_with_more_queries() -> None:
    few, many = np.tile([0.8, 1.0], 20), np.tile([0.8, 1.0], 400)
    # Mean .9, deviation .1: the bound is about .9 - 1.645 · .1 / √n, .874 for 40 queries and .894 for 800.
    assert lower_bound(few[None], ANN, rng=rng()) == pytest.approx(0.874, abs=0.004)
    assert lower_bound(many[None], ANN, rng=rng()) == pytest.approx(0.894, abs=0.002)


def test_the_bound_holds_for_nineteen_of_twenty_samples() -> None:
    """Recall of 0.8 or 1.0 with equal chance has the true mean .9."""
    draw = rng(1)
    held = [lower_bound(draw.choice([0.8, 1.0], (1, 100)), ANN, rng=rng(2)) <= 0.9 for _ in range(150)]
    # 95 % of 150 is 142.5 with a deviation of 2.7.
    assert 134 <= sum(held) <= 150


@pytest.mark.parametrize("count", [20, 150, 500])
def test_missing_nothing_is_never_worth_less_than_missing_something(count: int) -> None:
    missed = np.ones(count)
    missed[0] = 0.9
    assert attainable(count, ANN, rng()) >= lower_bound(missed[None], ANN, rng=rng())


def test_what_a_few_queries_cannot_show_is_not_claimed() -> None:
    assert attainable(10, ANN, rng()) < 0.99 < attainable(150, ANN, rng())


def test_a_single_query_shows_next_to_nothing() -> None:
    # The bound on what was not met, with one query: .05 of 1.
    assert lower_bound(np.ones((1, 1)), ANN, rng=rng()) == pytest.approx(0.05)


# -- the choice --------------------------------------------------------------------------------------------------


def test_the_cheapest_of_those_that_reach_the_target_is_chosen() -> None:
    settings = [setting("slow", 9.0), setting("cheap", 2.0), setting("fast but poor", 1.0)]
    choice = choose({"slow": 0.99, "cheap": 0.96, "fast but poor": 0.94}, settings, 0.95)
    assert choice.setting is settings[1]
    assert choice.bound == 0.96


def test_a_target_that_no_setting_reaches_is_not_reached() -> None:
    choice = choose({"a": 0.94, "b": 0.90}, [setting("a", 1.0), setting("b", 2.0)], 0.95)
    assert (choice.setting, choice.bound, choice.best) == (None, None, 0.94)
    assert choose({}, [], 0.9).setting is None


def test_nothing_is_interpolated_between_settings() -> None:
    """Between bounds of .90 at 1 ms and .99 at 9 ms a target of .91 costs 9 ms."""
    settings = [setting("a", 1.0), setting("b", 9.0)]
    choice = choose({"a": 0.90, "b": 0.99}, settings, 0.91)
    assert choice.setting is settings[1]


def test_luck_in_the_choice_is_not_in_the_report() -> None:
    """Of 30 settings that all have the true mean .9, the best-looking one looks better than that only where it was
    chosen: its deviation there is .1 / √40 = .016, and the largest of 30 lies some 2 of them above."""
    values = rng(7).choice([0.8, 1.0], (30, 80))
    choosing, reporting = halves(80, rng(8))
    bounds = {str(i): lower_bound(row[None, choosing], ANN, rng=rng()) for i, row in enumerate(values)}
    settings = [Setting(str(i), row[None], 1.0) for i, row in enumerate(values)]
    lucky = choose(bounds, settings, max(bounds.values())).setting
    assert lucky is not None
    assert lucky.values[:, choosing].mean() > 0.925
    assert lucky.values[:, reporting].mean() == pytest.approx(0.9, abs=0.032)


# -- fronts ------------------------------------------------------------------------------------------------------


def test_a_dominated_system_is_not_on_the_front() -> None:
    # .90 at 1 ms, .95 at 2 ms, .95 at 3 ms (beaten by the second), .85 at 1.5 ms (beaten by the first), .99 at 9 ms.
    assert dominated([0.90, 0.95, 0.95, 0.85, 0.99], [1.0, 2.0, 3.0, 1.5, 9.0]) == [False, False, True, True, False]


def test_equals_share_the_front() -> None:
    assert dominated([0.9, 0.9], [1.0, 1.0]) == [False, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_a_front_is_never_empty_and_every_other_is_beaten_by_one_on_it(points: list[tuple[int, int]]) -> None:
    beaten = dominated([float(q) for q, _ in points], [float(c) for _, c in points])
    front = [point for point, below in zip(points, beaten, strict=True) if not below]
    assert front
    for (quality, cost), below in zip(points, beaten, strict=True):
        if below:
            assert any(q >= quality and c <= cost and (q, c) != (quality, cost) for q, c in front)


# -- a run -------------------------------------------------------------------------------------------------------

EXPERIMENT: dict[str, Any] = {
    "experiment": "equal-recall",
    "dataset": {"adapter": "vectors", "corpus": "corpus.npy", "queries": "queries.npy"},
    "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
    "stores": {
        "ivf-flat": {
            "adapter": "lancedb",
            "index": {"type": "IVF_FLAT", "num_partitions": 12},
            "query": {"nprobes": [1, 12]},
        },
        "ivf-pq": {
            "adapter": "lancedb",
            "index": {"type": "IVF_PQ", "num_partitions": 2, "num_sub_vectors": 2},
            "query": {"nprobes": 1},
        },
        "too-few": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "num_sub_vectors": 2}},
    },
    "systems": [{"encoder": "given", "store": ["ivf-flat", "ivf-pq"]}],
    "measures": ["ANN@10"],
    "targets": {"ANN@10": [0.9, 0.97]},
    "builds": 3,
    "latency": {"samples": 30, "seconds": 20, "turn_seconds": 0.001},
}


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equal-recall")
    vectors = clustered(700, 16, clusters=30, noise=1.0, seed=5)
    np.save(folder / "corpus.npy", vectors)
    np.save(folder / "queries.npy", vectors[:120] + 0.1 * rng(6).standard_normal((120, 16)).astype(np.float32))
    (folder / "bench.yaml").write_text(yaml.safe_dump(EXPERIMENT), encoding="utf-8")
    return folder


def run(workplace: Path, *more: str) -> tuple[Any, Path]:
    places = ["--cache", str(workplace / "cache"), "--output", str(workplace / "results"), "--quiet"]
    before = {*workplace.glob("results/*/*")}
    done = bench("run", str(workplace), *places, *more)
    assert done.exit_code == 0, done.output
    [folder] = {*workplace.glob("results/*/*")} - before
    return done, folder


@pytest.fixture(scope="module")
def finished(workplace: Path) -> tuple[str, Path]:
    """All tables of a result, and its folder."""
    _, folder = run(workplace)
    return render(read_result(folder)), folder


def test_each_build_has_one_row_per_target(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    assert [(row.engine, row.target) for row in result.targets] == [
        ("ivf-flat", 0.9), ("ivf-flat", 0.97), ("ivf-pq", 0.9), ("ivf-pq", 0.97),
    ]  # fmt: skip
    for row in result.targets[:2]:
        assert row.setting is not None and row.bound is not None and row.bound >= row.target
        assert row.index_type == "IVF_FLAT" and row.build_seconds and row.index_bytes
        assert (row.chosen_on, row.reported_on) == (60, 60)
    for row in result.targets[2:]:
        assert (row.setting, row.system, row.mean, row.loads) == (None, None, None, [])
        assert row.best_bound is not None and row.best_bound < 0.9
    assert "not reached" in finished[0]


def test_what_is_reported_is_the_mean_of_the_other_half(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    row = result.targets[0]
    table = pq.read_table(finished[1] / "per_query.parquet").to_pydict()
    builds = [
        np.array([v for v, s, b in zip(table["ANN@10"], table["system"], table["build"], strict=True)
                  if s == row.system and b == build])
        for build in (1, 2, 3)
    ]  # fmt: skip
    _, reporting = halves(120, np.random.default_rng([0, 5, 0]))
    assert row.mean == pytest.approx(np.mean([values[reporting].mean() for values in builds]))
    assert row.builds == pytest.approx([values[reporting].mean() for values in builds])


def test_the_latency_of_what_was_chosen_is_measured_again(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    row = result.targets[0]
    of_all = next(system for system in result.systems if system.name == row.system)
    assert row.loads[0].total != of_all.loads[0].total
    occasions = pq.read_table(finished[1] / "timings.parquet").select(["system", "occasion"]).to_pylist()
    chosen = {row["system"] for row in occasions if row["occasion"] == "chosen for a target"}
    assert chosen == {row.system for row in result.targets if row.system}


def test_builds_show_their_spread(finished: tuple[str, Path]) -> None:
    output, folder = finished
    system = next(s for s in read_result(folder).systems if s.name == "given+ivf-pq")
    values = [build["ANN@10"] for build in system.builds]
    assert len(values) == 3 and len(set(values)) > 1
    assert (folder / "runs" / "given+ivf-pq.build2.trec").is_file()
    assert "given+ivf-pq: ANN@10 from ." in output and "over 3 builds" in output


def test_a_second_run_measures_no_latency_again(workplace: Path, finished: tuple[str, Path]) -> None:
    _, folder = run(workplace)
    again, before = read_result(folder), read_result(finished[1])
    assert again.latency_samples == 0
    assert [row.system for row in again.targets] == [row.system for row in before.targets]
    assert all(load.reused for row in again.targets for load in row.loads)


def test_an_index_that_was_not_built_never_qualifies(workplace: Path) -> None:
    np.save(workplace / "few.npy", np.load(workplace / "corpus.npy")[:200])
    done, folder = run(
        workplace, "--set", f"dataset.corpus={workplace / 'few.npy'}", "--set", "systems[0].store=too-few",
        "--set", "builds=1",
    )  # fmt: skip
    row = read_result(folder).targets[0]
    assert (row.settings, row.system, row.best_bound) == (0, None, None)
    assert "given+too-few has no figures: LanceDB indexed 0 of 200 rows" in done.stdout


def test_the_front_shows_bytes_and_marks_what_is_not_dominated(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    (front,) = result.fronts
    assert (front.encoder, front.measure, len(front.systems)) == ("given", "ANN@10", 3)
    best = max(front.systems, key=lambda system: (system.quality, -system.p95_ms))
    assert best.on_front and best.bytes and best.per_second
    assert "front of ANN@10 against p95" in finished[0]


def test_no_section_is_shown_without_anything_to_show(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    bare = result.model_copy(update={"targets": [], "systems": [s for s in result.systems if "ivf-pq" in s.name]})
    assert list(equal_recall.tables(bare)) == []
    assert "front of" not in render(bare)


def test_a_target_that_luck_alone_reached_is_reported_honestly(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    lucky = result.targets[1].model_copy(update={"mean": 0.93, "interval": (0.91, 0.95)})
    notes = equal_recall.notes(result.model_copy(update={"targets": [lucky]}))
    assert "! chosen for a target that the reporting half does not reach: ivf-flat at .970" in notes
    assert ".930 [.910, .950]" in render(result.model_copy(update={"targets": [lucky]}))


def test_a_target_beyond_what_the_queries_can_show_says_so(finished: tuple[str, Path]) -> None:
    result = read_result(finished[1])
    beyond = result.targets[0].model_copy(update={"target": 0.9999})
    assert "for higher targets give more queries" in "\n".join(
        equal_recall.notes(result.model_copy(update={"targets": [beyond]}))
    )


def test_targets_without_a_latency_pass_are_refused(workplace: Path) -> None:
    done = bench("run", str(workplace), "--set", "latency=false", "--cache", str(workplace / "cache"))
    assert done.exit_code == 2
    assert "targets ask for the cheapest setting" in done.stderr


def test_targets_on_labels_are_refused_without_labels(workplace: Path) -> None:
    done = bench("run", str(workplace), "--set", "targets={nDCG@10: [0.5]}", "--cache", str(workplace / "cache"))
    assert done.exit_code == 2
    assert "nDCG@10 needs judgements" in done.stderr


# -- the dry run and cleaning --------------------------------------------------------------------------------------


def test_the_dry_run_estimates_builds_from_a_sample_and_leaves_nothing(workplace: Path, tmp_path: Path) -> None:
    done = bench(
        "run", str(workplace), "--dry-run", "--quiet", "--cache", str(tmp_path), "--set",
        "targets={ANN@10: [0.9, 0.999999]}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "index given+ivf-flat: 700 rows to load and index, about 0." in done.stdout
    assert "s (scaled from a sample of 700 rows)" in done.stdout
    assert "targets ANN@10 0.999999 cannot be shown reached: 60 queries choose" in done.stdout
    assert not (tmp_path / "indexes").exists()
    assert not list(tmp_path.glob(".scratch-*"))


def test_an_index_that_the_sample_cannot_hold_is_said_to_have_no_estimate(workplace: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.load(workplace / "corpus.npy")[:100])
    done = bench(
        "run", str(workplace), "--dry-run", "--quiet", "--cache", str(tmp_path / "cache"), "--set",
        f"dataset.corpus={tmp_path / 'few.npy'}", "--set", "systems[0].store=too-few",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "time not estimated" in done.stdout


@pytest.mark.parametrize(
    ("samples", "rows", "seconds"),
    [
        ([Sample(2000, 1.7), Sample(8000, 2.3)], 40_000, 5.5),
        ([Sample(2000, 2.1), Sample(500, 2.1)], 40_000, 2.1),
        ([Sample(2000, 0.5), Sample(8000, 0.4)], 40_000, 0.4),
        ([Sample(2000, 0.2), Sample(8000, 1.4)], 60_000, 12.0),
        ([Sample(2000, 0.2), Sample(8000, 1.4)], 8000, 1.4),
        ([Sample(8000, 4.0)], 40_000, 20.0),
        ([Sample(700, 4.0)], 700, 4.0),
    ],
    ids=["fixed and slope", "fixed alone", "no negative slope", "no negative fixed", "all rows", "one sample", "once"],
)
def test_build_seconds_follow_a_line_through_the_samples(samples: list[Sample], rows: int, seconds: float) -> None:
    assert extrapolate(samples, rows) == pytest.approx(seconds)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An experiment over more rows than any sample takes."""
    small.vectors(tmp_path, documents=20_000, queries=10, dimension=4)
    keys = {**EXPERIMENT, "systems": [{"encoder": "given", "store": "asked"}], "builds": 1, "latency": False}
    del keys["targets"]
    (tmp_path / "bench.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    return tmp_path


def build_estimate(experiment: Path, store: dict[str, Any]) -> str:
    """What the dry run says of this store's index."""
    done = bench(
        "run", str(experiment), "--dry-run", "--quiet", "--cache", str(experiment / "cache"), "--set",
        f"stores={json.dumps({'asked': store})}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return next(line for line in done.stdout.splitlines() if "index given+asked" in line)


def test_an_estimate_names_the_samples_it_rests_on_and_is_no_less_than_they_took(
    large: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with small.installed(tmp_path_factory.mktemp("site")):
        line = build_estimate(large, {"adapter": "slow", "index": {"build_seconds": 0.5}})
    found = re.search(r"about ([\d.]+) s \(estimated from two samples, of 2,000 and 8,000 rows\)", line)
    assert found, line
    assert float(found[1]) >= 0.5


def test_an_index_that_wants_more_rows_is_estimated_from_larger_samples(large: Path) -> None:
    line = build_estimate(large, {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": 2500}})
    assert re.search(r"samples?, of 8,000 and 16,000 rows|a sample of 8,000 rows", line), line


def test_an_index_that_no_sample_can_hold_is_said_with_the_cause(large: Path) -> None:
    line = build_estimate(large, {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": 18_000}})
    assert "time not estimated, a sample of 16,000 rows cannot be built: faiss cannot train" in line


def test_cleaning_drops_indexes_and_keeps_what_was_computed(workplace: Path, finished: tuple[str, Path]) -> None:
    cache = workplace / "cache"
    asked = bench("clean", "--cache", str(cache))
    assert asked.exit_code == 2 and "Nothing was deleted" in asked.stderr
    held = len(list((cache / "indexes").glob("*/begun.json")))  # one was not built
    assert held >= 6
    done = bench("clean", "--cache", str(cache), "--yes")
    assert done.exit_code == 0
    assert f"{held} indexes dropped" in done.stdout
    assert not list((cache / "indexes").iterdir())
    assert (cache / "candidates").is_dir()
    assert bench("clean", "--cache", str(cache), "--all", "--yes").exit_code == 0
    assert not (cache / "candidates").exists()
    assert "nothing to clean" in bench("clean", "--cache", str(cache), "--all").stdout


def test_cleaning_takes_the_cache_that_an_experiment_names(workplace: Path, tmp_path: Path) -> None:
    text = (workplace / "bench.yaml").read_text(encoding="utf-8")
    (tmp_path / "bench.yaml").write_text(f"{text}\ncache: elsewhere\n", encoding="utf-8")
    for kept in (tmp_path / "elsewhere", tmp_path / "other"):
        (kept / "vectors").mkdir(parents=True)
        mark(kept)
    assert bench("clean", str(tmp_path), "--all", "--yes").exit_code == 0
    assert [(tmp_path / name / "vectors").exists() for name in ("elsewhere", "other")] == [False, True]
    assert bench("clean", str(tmp_path), "--cache", str(tmp_path / "other"), "--all", "--yes").exit_code == 0
    assert not (tmp_path / "other" / "vectors").exists()
    assert "key `cache` names the folder" in " ".join(bench("clean", "--help").stdout.split())
    assert bench("clean", str(tmp_path / "absent.yaml")).exit_code == 2


def test_a_server_that_is_away_is_named_and_the_rest_is_cleaned(tmp_path: Path) -> None:
    mark(tmp_path)
    away, here = "a" * 32, "b" * 32
    for name, kept in {
        away: {"adapter": "weaviate", "index": {"type": "hnsw"}, "connection": {"host": "127.0.0.1", "port": 9}},
        here: {"adapter": "lancedb", "index": {"type": "none"}, "connection": {}},
    }.items():
        ref = {"name": f"bench_{name}", "folder": str(tmp_path), "rows": 5, "dimension": 4, "similarity": "cosine"}
        (tmp_path / "indexes" / name).mkdir(parents=True)
        (tmp_path / "indexes" / name / "ref.json").write_text(json.dumps({**kept, "ref": ref}), encoding="utf-8")
    done = bench("clean", "--cache", str(tmp_path), "--yes")
    assert done.exit_code == 1
    assert "kept index weaviate hnsw" in done.stderr and "127.0.0.1:9" in done.stderr
    assert "1 index dropped" in done.stdout
    assert [path.name for path in (tmp_path / "indexes").iterdir()] == [away]
