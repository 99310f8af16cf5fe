"""What `bench compare` says of two results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.comparing.compare import Options, compare_results
from bench.comparing.model import CannotCompare, Compared, Difference
from bench.results.model import ResultUnreadable
from tests import small
from tests.comparing.made import changed, system, values, write
from tests.conftest import REPOSITORY

M = "nDCG@10"
OLD = values()


def compared(old: Path, new: Path, **options: Any) -> Compared:
    return compare_results(old, new, Options(**options))


def one(old: Path, new: Path, **options: Any) -> Difference:
    """The only system's difference in the measure that decides."""
    [only] = compared(old, new, **options).systems
    return only.measures[M]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old", {"a": {M: OLD}})


# -- verdicts ----------------------------------------------------------------------------------------------------


def test_a_loss_is_told_with_its_interval(tmp_path: Path, old: Path) -> None:
    # 300 queries, deviation .05: standard error .05 / sqrt(300) = .00289; times about 1.97 it is .0057.
    found = one(old, write(tmp_path / "new", {"a": {M: changed(OLD, 0.03, deviation=0.05)}}))
    assert found.verdict == "lost" and found.difference == pytest.approx(-0.03)
    assert found.interval == pytest.approx((-0.0357, -0.0243), abs=4e-4)
    assert (found.wins or 0) + (found.ties or 0) + (found.losses or 0) == 300


def test_a_gain_is_told_as_one(tmp_path: Path, old: Path) -> None:
    assert one(old, write(tmp_path / "new", {"a": {M: changed(OLD, -0.03, deviation=0.05)}})).verdict == "gained"


def test_noise_is_undecided_and_within_the_margin_where_there_is_one(tmp_path: Path, old: Path) -> None:
    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.0, deviation=0.05)}})
    assert one(old, new).verdict == "undecided"
    assert one(old, new, margin=0.02).verdict == "not_worse"


def test_equal_values_are_identical_and_one_result_is_itself(tmp_path: Path, old: Path) -> None:
    assert compared(old, old).same_result and compared(old, old).identical
    other = write(tmp_path / "new", {"a": {M: OLD}}, started_at="2026-11-27T00:00:00Z")
    found = compared(old, other)
    assert found.identical and not found.same_result
    assert one(old, other).interval == (0.0, 0.0)


def test_one_changed_query_is_not_identical(tmp_path: Path, old: Path) -> None:
    values = OLD.copy()
    values[3] -= 0.1
    found = compared(old, write(tmp_path / "new", {"a": {M: values}}))
    assert not found.identical
    assert [query.query_id for query in found.systems[0].queries] == ["q3"]


def test_all_systems_are_one_corrected_family(tmp_path: Path) -> None:
    """The same difference has a wider interval among eight systems than alone."""
    many = {f"s{i}": {M: values(seed=i)} for i in range(8)}
    later = {name: {M: changed(of[M], 0.01, deviation=0.08, seed=i)} for i, (name, of) in enumerate(many.items())}
    old, new = write(tmp_path / "old", many), write(tmp_path / "new", later)
    among = next(s for s in compared(old, new).systems if s.name == "s0").measures[M].interval
    alone = one(write(tmp_path / "o", {"s0": many["s0"]}), write(tmp_path / "n", {"s0": later["s0"]})).interval
    assert among is not None and alone is not None
    assert among[0] < alone[0] < alone[1] < among[1]


def test_builds_are_resampled_with_the_queries(tmp_path: Path) -> None:
    """Three builds whose means differ by .02 do not show a loss of .01, which the queries of one would show."""
    stack = np.stack([OLD + shift for shift in (-0.02, 0.0, 0.02)])
    old, new = write(tmp_path / "old", {"a": {M: stack}}), write(tmp_path / "new", {"a": {M: stack - 0.01}})
    assert one(old, new).verdict == "undecided"
    single = write(tmp_path / "o", {"a": {M: OLD}}), write(tmp_path / "n", {"a": {M: OLD - 0.01}})
    assert one(*single).verdict == "lost"


def test_queries_of_one_cluster_are_resampled_together(tmp_path: Path) -> None:
    """A change that came from two groups of queries is no proof, however many queries these have."""
    d = np.where(np.arange(300) < 150, 0.05, -0.09)
    groups = [i // 150 for i in range(300)]
    old = write(tmp_path / "old", {"a": {M: OLD}}, clusters=groups)
    new = write(tmp_path / "new", {"a": {M: OLD + d}}, clusters=groups)
    assert one(old, new).verdict == "undecided"
    assert one(write(tmp_path / "o", {"a": {M: OLD}}), write(tmp_path / "n", {"a": {M: OLD + d}})).verdict == "lost"


def test_the_order_of_queries_does_not_matter(tmp_path: Path, old: Path) -> None:
    new = changed(OLD, 0.01, deviation=0.1)
    order = np.random.default_rng(3).permutation(300)
    plain = write(tmp_path / "new", {"a": {M: new}})
    turned = write(tmp_path / "turned", {"a": {M: new[order]}}, query_ids=[f"q{i}" for i in order])
    straight, other = one(old, plain), one(old, turned)
    assert straight.interval == pytest.approx(other.interval, abs=1e-12)
    assert (straight.verdict, straight.losses) == (other.verdict, other.losses)


def test_losses_stand_first(tmp_path: Path) -> None:
    before = {name: {M: OLD} for name in "abcd"}
    after = {
        "a": {M: changed(OLD, -0.05, deviation=0.05)},
        "b": {M: OLD},
        "c": {M: changed(OLD, 0.02, deviation=0.05)},
        "d": {M: changed(OLD, 0.05, deviation=0.05)},
    }
    found = compared(write(tmp_path / "old", before), write(tmp_path / "new", after))
    assert [s.name for s in found.systems] == ["d", "c", "a", "b"]


def test_a_partial_system_is_not_called_gained(tmp_path: Path, old: Path) -> None:
    better = changed(OLD, -0.05, deviation=0.05)
    entry = system("a", {M: better}, status="partial", incomplete=True)
    assert one(old, write(tmp_path / "new", {"a": {M: better}}, [entry])).verdict == "undecided"


# -- matching ----------------------------------------------------------------------------------------------------


def test_systems_match_by_pipeline_and_then_by_name(tmp_path: Path) -> None:
    old = write(
        tmp_path / "old", {n: {M: OLD} for n in ("x", "y", "gone")}, [system("x", hash="1"), system("y", hash="2")]
    )
    new = write(
        tmp_path / "new",
        {n: {M: OLD} for n in ("renamed", "y", "added")},
        [system("renamed", hash="1"), system("y", hash="3")],
    )
    found = compared(old, new)
    assert {(s.old_name, s.name, s.matched_by) for s in found.systems} == {
        ("x", "renamed", "pipeline"),
        ("y", "y", "name"),
    }
    assert [each.name for each in found.gone] == ["gone"] and [each.name for each in found.added] == ["added"]


def test_swapped_names_follow_their_pipelines(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {n: {M: OLD} for n in "ab"}, [system("a", hash="1"), system("b", hash="2")])
    new = write(tmp_path / "new", {n: {M: OLD} for n in "ab"}, [system("a", hash="2"), system("b", hash="1")])
    assert {(s.old_name, s.name) for s in compared(old, new).systems} == {("a", "b"), ("b", "a")}


def test_of_several_systems_with_one_pipeline_names_decide(tmp_path: Path) -> None:
    entries = [system(name, hash="1") for name in "abc"]
    old = write(tmp_path / "old", {n: {M: OLD} for n in "abc"}, entries)
    new = write(tmp_path / "new", {n: {M: OLD} for n in "cba"}, entries)
    assert all(s.old_name == s.name for s in compared(old, new).systems)


def test_results_without_a_common_system_are_refused(tmp_path: Path, old: Path) -> None:
    with pytest.raises(CannotCompare, match="systems: none stands in both"):
        compared(old, write(tmp_path / "new", {"b": {M: OLD}}))


def test_what_neither_result_measured_is_told_once(tmp_path: Path, old: Path) -> None:
    broken = [system(name, status="error", error="no key.") for name in ("b", "c")]
    before, after = (write(tmp_path / name, {"a": {M: OLD}}, broken, started_at=name) for name in ("old", "new"))
    told = small.bench("compare", before, after).stdout
    assert "· b and c: each was measured in neither result: it failed: no key\n" in told
    assert "c is not in the old result" not in told and not compared(before, after).identical


def test_a_system_is_left_out_on_demand(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {"a": {M: OLD}, "b": {M: OLD}})
    new = write(tmp_path / "new", {"a": {M: OLD}})
    assert not compared(old, new, without=("b",)).gone
    with pytest.raises(CannotCompare, match=r"without c: no such system\. There are: a, b"):
        compared(old, new, without=("c",))


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"dataset": {"fingerprint": "0" * 64}}, "dataset.fingerprint: ffffffffffff ► 000000000000"),
        ({"dataset": {"split": "dev"}}, "dataset.split: test ► dev"),
        ({"dataset": {"own_documents_left_out": 3}}, "dataset.exclude_self: of 0 ► 3"),
    ],
)
def test_results_of_other_data_are_refused_with_the_key(
    tmp_path: Path, old: Path, fields: dict[str, Any], key: str
) -> None:
    with pytest.raises(CannotCompare, match=key):
        compared(old, write(tmp_path / "new", {"a": {M: OLD}}, **fields))


def test_results_of_other_measures_are_refused_with_the_key(tmp_path: Path, old: Path) -> None:
    for measures in ({"Recall@10": OLD}, {M: OLD, "Recall@10": OLD}):
        with pytest.raises(CannotCompare, match=r"measures: \[nDCG@10\] ► \["):
            compared(old, write(tmp_path / "new", {"a": measures}))
    both = write(tmp_path / "both", {"a": {"Recall@10": OLD, M: OLD}})
    assert compared(old, both, on="shared").measure == M


def test_a_system_under_another_filter_is_refused_with_the_key(tmp_path: Path, old: Path) -> None:
    entry = system("a", pipeline={"filter": {"lang": "de"}})
    new = write(tmp_path / "new", {"a": {M: OLD}}, [entry])
    with pytest.raises(CannotCompare, match=r"systems.a.filter: none ► \{'lang': 'de'\}"):
        compared(old, new)


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path, old: Path) -> None:
    with pytest.raises(CannotCompare, match="its run has not ended"):
        compared(old, write(tmp_path / "new", {}, status="started"))


@pytest.mark.parametrize(
    "options",
    [{"level": 1.0}, {"level": 0.0}, {"margin": -0.1}, {"margin": 1.5}, {"ratio_margin": 0.9}, {"on": "all"}],
)
def test_values_that_mean_nothing_are_refused(old: Path, options: dict[str, Any]) -> None:
    with pytest.raises(CannotCompare):
        compared(old, old, **options)


def test_no_number_is_no_margin(old: Path) -> None:
    for option in ("margin", "ratio_margin", "level"):
        with pytest.raises(CannotCompare):
            compared(old, old, **{option: float("nan")})


def test_a_table_that_is_damaged_is_told(tmp_path: Path, old: Path) -> None:
    new = shutil.copytree(old, tmp_path / "new")
    (new / "per_query.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ResultUnreadable, match=r"per_query\.parquet: cannot be read"):
        compared(old, new)


# -- shared queries ----------------------------------------------------------------------------------------------


def test_only_queries_that_both_judged_alike_are_compared_on_demand(tmp_path: Path) -> None:
    ids = [f"q{i}" for i in range(300)]
    judged = {q: {"d": 1} for q in ids}
    old = write(tmp_path / "old", {"a": {M: OLD}}, judged=judged)
    other = {**{q: {"d": 1} for q in ids[100:]}, **{f"n{i}": {"d": 1} for i in range(100)}, "q299": {"d": 2}}
    new = write(
        tmp_path / "new",
        {"a": {M: np.r_[OLD[100:], OLD[:100]]}},
        query_ids=[*ids[100:], *(f"n{i}" for i in range(100))],
        judged=other,
        dataset={"fingerprint": "0" * 64, "documents": 200},
    )
    found = compared(old, new, on="shared")
    assert (found.queries, found.old_queries, found.new_queries) == (199, 300, 300)
    assert found.systems[0].measures[M].verdict == "identical"
    assert any("1 query of those that both judged are left out" in note for note in found.notes)
    assert any("The corpora differ" in note for note in found.notes)


def test_results_that_share_no_query_are_refused(tmp_path: Path, old: Path) -> None:
    new = write(tmp_path / "new", {"a": {M: OLD}}, query_ids=[f"n{i}" for i in range(300)], dataset={"split": "dev"})
    with pytest.raises(CannotCompare, match="queries: there is none that both judged"):
        compared(old, new, on="shared")


# -- what differs ------------------------------------------------------------------------------------------------


def test_what_differs_is_told_key_by_key(tmp_path: Path) -> None:
    before = {
        "experiment": "e",
        "stores": {"s": {"index": {"m": 8}}},
        "systems": [{"name": "a"}, {"name": "b", "k": 10}],
    }
    after = {
        "experiment": "e",
        "stores": {"s": {"index": {"m": 16}}},
        "systems": [{"name": "b", "k": 20}, {"name": "a"}],
    }
    old = write(tmp_path / "old", {"a": {M: OLD}}, experiment=before)
    new = write(
        tmp_path / "new",
        {"a": {M: OLD}},
        experiment=after,
        machine={"cores": 4},
        provenance={"packages": {"numpy": "3.0"}},
    )
    found = {section: {(c.key, c.old, c.new) for c in of} for section, of in compared(old, new).differs.items()}
    assert found == {
        "configuration": {("stores.s.index.m", 8, 16), ("systems[b].k", 10, 20)},
        "versions": {("packages.numpy", "2.0", "3.0")},
        "machine": {("machine.cores", 2, 4)},
    }


def test_changed_queries_have_their_texts_and_stand_by_what_they_lost(tmp_path: Path) -> None:
    values = OLD.copy()
    values[[3, 5, 7]] += [-0.1, -0.15, 0.1]
    old = write(tmp_path / "old", {"a": {M: OLD}})
    new = write(tmp_path / "new", {"a": {M: values}}, texts={"q5": "which one?"})
    queries = compared(old, new).systems[0].queries
    assert [(q.query_id, q.text) for q in queries] == [("q5", "which one?"), ("q3", None), ("q7", None)]


# -- results of before -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["billed", "cancelled", "statuses", "targets", "timed", "trained", "../result", "../first_version/result"]
)
def test_a_result_of_before_can_be_compared_less_what_it_lacks(tmp_path: Path, name: str) -> None:
    file = REPOSITORY / "tests" / "golden" / "results" / f"{name}.json"
    folder = tmp_path / "result"
    folder.mkdir()
    shutil.copy(file, folder / "result.json")
    later = json.loads(file.read_text())
    later["started_at"] = "2027-01-01T00:00:00Z"
    (tmp_path / "later.json").write_text(json.dumps(later))
    asked = ("--fail-on", later["primary"])
    for new in (folder / "result.json", tmp_path / "later.json"):
        done = small.bench("compare", folder, new)
        told = " ".join(done.stdout.split())
        assert done.exit_code == 0, done.stderr
        assert ("one and the same result" in told) is not ("Neither result holds values by query" in told)
        assert max(map(len, done.stdout.splitlines())) <= 80
    assert small.bench("compare", folder, folder, *asked).exit_code == 0
    assert small.bench("compare", folder, tmp_path / "later.json", *asked).exit_code == 2


# -- a comparison is read ----------------------------------------------------------------------------------------


def test_python_gets_the_verdicts_as_frames(tmp_path: Path, old: Path) -> None:
    import bench

    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.03, deviation=0.05)}})
    found = bench.compare(old, str(new), fail_on=M)
    [row] = found.verdicts.to_dict("records")
    assert (row["system"], row["measure"], row["verdict"]) == ("a", M, "lost")
    assert row["high"] < 0 and found.passes is False
    assert len(found.queries) == 300 and found.queries["difference"].is_monotonic_increasing
    assert str(found) == small.bench("compare", old, new, "--fail-on", M).stdout
    assert bench.compare(old, old).passes is None
    with pytest.raises(AttributeError, match="no attribute 'comparison'"):
        bench.comparison  # noqa: B018


def test_a_comparison_of_synthetic_queries_says_so(tmp_path: Path, old: Path) -> None:
    golden = json.loads((REPOSITORY / "tests" / "golden" / "results" / "synthetic.json").read_text())
    asked = {"synthetic": {**golden["dataset"]["synthetic"], "generator": "writer"}}
    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.01, deviation=0.05)}}, dataset=asked)
    [note] = [each for each in compared(old, new).notes if "synthetic" in each]
    assert note.startswith("The new result: this rests on 300 synthetic queries that writer wrote")
