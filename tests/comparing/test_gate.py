"""The gate: what fails, what passes, what cannot be judged, and what it says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.comparing.compare import Options, compare_results
from bench.comparing.model import Gate
from bench.messages.fitting import width_of
from bench.results.cost import Cost
from bench.results.latency import Latency, LatencyAgainst
from bench.results.quality import MeasureValue
from tests import small
from tests.comparing.made import changed, system, values, write

M = "nDCG@10"
OLD = values()
QUERIES = [f"q{i}" for i in range(len(OLD))]


def gate(old: Path, new: Path, *figures: str, **options: Any) -> Gate:
    found = compare_results(old, new, Options(fail_on=figures or (M,), **options)).gate
    assert found is not None
    return found


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old", {"a": {M: OLD}})


def test_the_exit_status_says_what_the_gate_says(tmp_path: Path, old: Path) -> None:
    lost = write(tmp_path / "lost", {"a": {M: changed(OLD, 0.03, deviation=0.05)}})
    other = write(tmp_path / "other", {"a": {M: OLD}}, dataset={"fingerprint": "0" * 64})
    asked = ("--fail-on", M)
    assert small.bench("compare", old, old, *asked).exit_code == 0
    assert small.bench("compare", old, lost, *asked).exit_code == 3
    assert small.bench("compare", old, lost).exit_code == 0
    refused = small.bench("compare", old, other, *asked)
    assert refused.exit_code == 2 and "dataset.fingerprint" in refused.stderr


def test_only_a_loss_that_is_wholly_beyond_the_margin_fails(tmp_path: Path, old: Path) -> None:
    # The interval of a loss of .03 with a deviation of .05 is about [-.0357, -.0243].
    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.03, deviation=0.05)}})
    assert gate(old, new).outcome == "fails"
    assert gate(old, new, margin=0.02).outcome == "fails"
    assert gate(old, new, margin=0.028).outcome == "passes"


def test_the_stricter_margin_of_the_experiments_holds(tmp_path: Path) -> None:
    """Whoever changes an experiment does not loosen its gate by the same change."""
    lost = changed(OLD, 0.03, deviation=0.05)
    strict, loose = (write(tmp_path / f"o{m}", {"a": {M: OLD}}, margin=m) for m in (0.01, 0.05))
    new_strict, new_loose = (write(tmp_path / f"n{m}", {"a": {M: lost}}, margin=m) for m in (0.01, 0.05))
    assert gate(loose, new_loose).outcome == "passes"
    assert gate(strict, new_loose).outcome == gate(loose, new_strict).outcome == "fails"


def test_a_system_that_is_gone_or_failed_fails_unless_it_is_left_out(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {"a": {M: OLD}, "b": {M: OLD}})
    gone = write(tmp_path / "gone", {"a": {M: OLD}})
    failed = write(tmp_path / "failed", {"a": {M: OLD}}, [system("b", status="error", error="no key")])
    for new, why in ((gone, "b is not in the new result"), (failed, "b failed: no key")):
        done = small.bench("compare", old, new, "--fail-on", M)
        assert done.exit_code == 3 and why in done.stdout
        assert small.bench("compare", old, new, "--fail-on", M, "--without", "b").exit_code == 0


def test_a_system_that_failed_before_is_no_loss(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {"a": {M: OLD}}, [system("b", status="error", error="no key")])
    new = write(tmp_path / "new", {"a": {M: OLD}, "b": {M: OLD}})
    assert gate(old, new).outcome == "passes"


def test_what_it_finds_and_how_often_it_is_wrong_is_told(tmp_path: Path, old: Path) -> None:
    # (1.960 + .842) * .09 / sqrt(300) = .01456
    found = gate(old, write(tmp_path / "new", {"a": {M: changed(OLD, 0.0, deviation=0.09)}}))
    assert found.figures[0].detects == pytest.approx(0.01456, abs=1e-5)
    assert found.figures[0].deviation == pytest.approx(0.09) and found.false_alarms == 0.05
    with_margin = gate(old, write(tmp_path / "again", {"a": {M: changed(OLD, 0.0, deviation=0.09)}}), margin=0.01)
    assert with_margin.figures[0].detects == pytest.approx(0.02456, abs=1e-5)
    assert gate(old, old).figures[0].deviation_of is None  # nothing differs: the deviation is assumed
    told = " ".join(small.bench("compare", old, old, "--fail-on", M, "--level", "0.99").stdout.split())
    assert "at most 1 % of the runs" in told and "assumed, because no query differs" in told


def test_a_higher_level_alarms_less(tmp_path: Path, old: Path) -> None:
    # A loss of .006 is .006 / (.05 / sqrt(300)) = 2.08 standard errors: beyond 1.96, and within 2.58.
    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.006, deviation=0.05)}})
    assert gate(old, new, level=0.95).outcome == "fails"
    assert gate(old, new, level=0.99).outcome == "passes"


def test_several_figures_share_what_is_left_to_chance(tmp_path: Path) -> None:
    """The loss that alone fails is 2.08 standard errors: with a second figure 2.24 are needed."""
    new_values = changed(OLD, 0.006, deviation=0.05)
    old = write(tmp_path / "old", {"a": {M: OLD, "Hit@1": OLD}})
    new = write(tmp_path / "new", {"a": {M: new_values, "Hit@1": OLD}})
    assert gate(old, new, M).outcome == "fails"
    assert gate(old, new, M, "Hit@1").outcome == "passes"
    assert gate(old, new, M, M.lower()).outcome == "fails"  # named twice it is one


def test_a_measure_that_does_not_decide_can_be_judged(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {"a": {M: OLD, "Hit@1": OLD}}, margin=0.05)
    new = write(tmp_path / "new", {"a": {M: OLD, "Hit@1": changed(OLD, 0.03, deviation=0.05)}}, margin=0.05)
    assert gate(old, new, M).outcome == "passes"
    assert gate(old, new, "hit@1").outcome == "fails"  # the experiment's margin is one of the primary measure
    assert gate(old, new, "Hit@1", margin=0.05).outcome == "passes"


def test_a_measure_that_a_system_never_had_holds_no_gate_up(tmp_path: Path) -> None:
    """Recall against exact search is none of a search by text."""
    nothing = np.full(len(OLD), np.nan)
    with_it, without = {M: OLD, "ANN@10": OLD}, {M: OLD, "ANN@10": nothing}
    entry = system("text", {M: OLD}, measures={"ANN@10": MeasureValue(mean=None, interval=None, queries=0, failed=0)})
    old = write(tmp_path / "old", {"dense": with_it, "text": without}, [entry])
    assert gate(old, old, "ANN@10").outcome == "passes"
    gone = system("dense", {M: OLD}, measures={"ANN@10": entry.measures["ANN@10"]})
    lost = write(tmp_path / "new", {"dense": without, "text": without}, [entry, gone])
    assert gate(old, lost, "ANN@10").outcome == "cannot be judged"


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        ("Recall@5", "fail-on Recall@5: the results do not hold it. Both hold: nDCG@10."),
        ("speed", "'speed' is not a measure."),
        ("nDCG", "Did you mean nDCG@10?"),
    ],
)
def test_a_figure_that_is_none_is_refused(old: Path, figure: str, told: str) -> None:
    refused = small.bench("compare", old, old, "--fail-on", figure)
    assert refused.exit_code == 2 and told in refused.stderr


def test_a_few_queries_cannot_be_judged(tmp_path: Path) -> None:
    old, new = (write(tmp_path / name, {"a": {M: OLD[:5] - loss}}) for name, loss in (("old", 0.0), ("new", 0.2)))
    found = gate(old, new)
    assert found.outcome == "cannot be judged" and gate(old, old).outcome == "passes"
    assert "5 queries show nothing: it takes 6 at least" in found.figures[0].open[0].why


# -- ratios ------------------------------------------------------------------------------------------------------


def timed(ratio: float, width: float = 0.05) -> dict[str, Any]:
    """Fields of a system whose own p50 is so many times that of the baseline."""
    against = LatencyAgainst(
        ratio=ratio, interval=(ratio * (1 - width), ratio * (1 + width)), verdict="slower", rounds=20
    )
    load = Latency(
        load="closed-1", mode="closed", workers=1, rate=None, measured_at="2026", reused=False, distinct_queries=9,
        agreement=1.0, failed=0, achieved_per_second=9.0, saturated=False,
    )  # fmt: skip
    return {"latency_against_baseline": {"own p50": against}, "latency": load}


def with_base(folder: Path, *, base: dict[str, Any] | None = None, result: Any = None, **fields: Any) -> Path:
    entries = [system("base", **(base or {})), system("a", **fields)]
    return write(folder, {"base": {M: OLD}, "a": {M: OLD}}, entries, **{"baseline": "base", **(result or {})})


def test_a_time_fails_where_its_ratio_is_shown_to_have_grown(tmp_path: Path) -> None:
    # Both intervals are ± 5 %: that of the change is about ± 7 %.
    old, slower = with_base(tmp_path / "old", **timed(2.0)), with_base(tmp_path / "new", **timed(2.4))
    assert gate(old, slower, "own p50").outcome == gate(old, slower, "p50").outcome == "fails"
    assert gate(old, slower, "own p50", ratio_margin=1.15).outcome == "passes"
    assert gate(old, with_base(tmp_path / "same", **timed(2.1)), "own p50").outcome == "passes"
    assert gate(slower, old, "own p50").outcome == "passes"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"result": {"machine": {"cores": 4}}}, "not one machine: cores 2 ► 4"),
        ({"result": {"baseline": "a"}}, "no system has it in both"),
        ({"result": {"baseline": None}}, "the new result has no baseline"),
        ({"base": {"hash": "other"}}, "the baseline base is not the same pipeline in both"),
        ({"latency_against_baseline": {}}, "the new result has no such ratio"),
    ],
)
def test_a_time_that_says_nothing_of_the_change_cannot_be_judged(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    old = with_base(tmp_path / "old", **timed(2.0))
    new = with_base(tmp_path / "new", **{**timed(2.0), **changes})
    done = small.bench("compare", old, new, "--fail-on", "own p50")
    assert done.exit_code == 2 and why in " ".join(done.stdout.split()), done.stdout


def test_a_cost_is_judged_as_a_ratio_on_any_machine(tmp_path: Path) -> None:
    """Twice the price of both is no change; twice that of one is."""

    def cost(usd: float, base: float) -> dict[str, Any]:
        return {"cost": Cost(per_1000_queries_usd=usd), "base": {"cost": Cost(per_1000_queries_usd=base)}}

    old = with_base(tmp_path / "old", **cost(0.2, 0.1))
    both = with_base(tmp_path / "both", result={"machine": {"cores": 4}}, **cost(0.4, 0.2))
    dearer = with_base(tmp_path / "dearer", **cost(0.22, 0.1))
    free = with_base(tmp_path / "free", **cost(0.22, 0.0))
    assert gate(old, both, "cost").outcome == "passes"
    assert gate(old, dearer, "cost").outcome == "fails"
    assert gate(old, dearer, "cost", ratio_margin=1.2).outcome == "passes"
    assert gate(old, free, "cost").outcome == "cannot be judged"


# -- what is written ---------------------------------------------------------------------------------------------


def test_json_holds_what_the_text_says(tmp_path: Path, old: Path) -> None:
    new = write(tmp_path / "new", {"a": {M: changed(OLD, 0.03, deviation=0.05)}})
    done = small.bench("compare", old, new, "--fail-on", M, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == told["gate"]["exit_status"] == 3 and told["gate"]["outcome"] == "fails"
    assert told["systems"][0]["measures"][M]["verdict"] == "lost"
    assert len(told["systems"][0]["queries"]["lost"]) == 5 and told["systems"][0]["queries_changed"] == 300


@pytest.mark.parametrize("ending", ["json", "md", "txt"])
def test_a_file_gets_the_form_of_its_ending_and_the_text_is_shown(tmp_path: Path, old: Path, ending: str) -> None:
    file = tmp_path / f"out.{ending}"
    done = small.bench("compare", old, old, "--output", file)
    assert done.exit_code == 0 and done.stdout.startswith("The two are one and the same result")
    text = file.read_text(encoding="utf-8")
    assert {"json": "{", "md": "###", "txt": done.stdout}[ending] == text[
        : {"json": 1, "md": 3, "txt": len(text)}[ending]
    ]


def test_a_refusal_is_written_too(tmp_path: Path, old: Path) -> None:
    file = tmp_path / "comment.md"
    assert small.bench("compare", old, tmp_path / "none", "--output", file).exit_code == 2
    assert "cannot be compared" in file.read_text(encoding="utf-8")


def test_foreign_words_act_as_nothing_in_markdown(tmp_path: Path) -> None:
    name = "a|b`<img src=x>@all"
    lost = changed(OLD, 0.03, deviation=0.05)
    old = write(tmp_path / "old", {name: {M: OLD}})
    new = write(
        tmp_path / "new", {name: {M: lost}}, texts={f"q{i}": "``` | <script> @everyone\n# x" for i in range(300)}
    )
    done = small.bench("compare", old, new, "--markdown").stdout
    rows = [line for line in done.splitlines() if line.startswith("| ") and "script" in line]
    assert rows and all(len(row.replace("\\|", "").split("|")) == 6 for row in rows)
    # Outside code nothing of theirs stands as it is.
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", done)
    assert "<script>" not in outside and "<img" not in outside and "@everyone" not in outside


def test_no_line_is_wider_than_a_terminal(tmp_path: Path) -> None:
    names = [f"encoder-of-a-long-name+store(nprobes={i}, refine_factor=10)+reranker" for i in range(4)] + ["引擎" * 20]
    old = write(tmp_path / "old", {name: {M: OLD, "Recall(rel=2)@100": OLD, "MRR@10": OLD} for name in names})
    later = {name: {M: changed(OLD, 0.01 * i, deviation=0.03), "Recall(rel=2)@100": OLD, "MRR@10": OLD}
             for i, name in enumerate(names)}  # fmt: skip
    new = write(tmp_path / "new", later, texts=dict.fromkeys(QUERIES, "word " * 60), experiment={"x": "y" * 300})
    done = small.bench("compare", old, new, "--fail-on", M)
    assert max(map(width_of, done.stdout.splitlines())) <= 80
    table = done.stdout.partition("\nnDCG@10\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert len({line.split("  ")[1] for line in table}) == len(names)


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_the_gate_says_the_same_each_time(tmp_path: Path, old: Path, loss: float) -> None:
    new = write(tmp_path / "new", {"a": {M: changed(OLD, loss, deviation=0.09)}})
    assert gate(old, new) == gate(old, new)
    assert np.isfinite(gate(old, new).figures[0].detects or np.nan)
