"""What `bench compare --on verdicts` says of two results over different queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.comparing.conclusions import compare_conclusions, order_of
from bench.comparing.conclusions_forms import markdown_of, text_of, values_of
from bench.comparing.model import CannotCompare
from bench.results.quality import Against
from tests.comparing.made import system, write

M = "nDCG@10"


def result(folder: Path, verdicts: dict[str, tuple[float, str]], /, queries: int = 40, **fields: Any) -> Path:
    """A result whose baseline has .5 in each query, and each system that plus its difference."""
    entries = []
    values: dict[str, dict[str, Any]] = {"base": {M: np.full(queries, 0.5)}}
    for name, (difference, verdict) in verdicts.items():
        against = Against.model_validate(
            {"difference": difference, "percent": None, "interval": (difference - 0.02, difference + 0.02),
             "verdict": verdict, "wins": 0, "ties": 0, "losses": 0}
        )  # fmt: skip
        values[name] = {M: np.full(queries, 0.5 + difference)}
        entries.append(system(name, values[name], against_baseline={M: against}))
    ids = [f"{folder.name}-{i}" for i in range(queries)]
    return write(folder, values, entries, query_ids=ids, **{"baseline": "base", "primary": M, **fields})


SYNTHETIC = {"a": (0.2, "better"), "b": (-0.1, "worse"), "c": (0.01, "undecided"), "d": (0.1, "better")}
REAL = {"a": (0.1, "better"), "b": (0.05, "better"), "c": (0.03, "better"), "d": (-0.02, "undecided")}


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return result(tmp_path / "synthetic", SYNTHETIC), result(tmp_path / "real", REAL)


def test_each_system_agrees_contradicts_or_is_sure_in_one_result_alone(both: tuple[Path, Path]) -> None:
    found = compare_conclusions(*both)
    assert {s.name: s.agrees for s in found.systems} == {
        "a": "agree", "b": "contradict", "c": "one is sure", "d": "one is sure"
    }  # fmt: skip
    assert [s.name for s in found.that("contradict")] == ["b"]


def test_the_order_counts_pairs_and_gives_kendalls_tau_b() -> None:
    # Of the 6 pairs of systems, the first with each other one stands alike in both (3), the second with the third and
    # the fourth does not (2), and the third and fourth are tied in the new result (1).
    # tau-b = (3 - 2) / sqrt(6 · (6 - 1)) = 1 / sqrt(30) = .1826
    order = order_of([(1, 1), (2, 3), (3, 2), (4, 2)])
    assert (order.alike, order.otherwise, order.ties, order.pairs) == (3, 2, 1, 6)
    assert order.tau == pytest.approx(0.18257, abs=1e-5)


def test_systems_that_are_all_equal_have_no_order() -> None:
    assert order_of([(1, 1), (1, 2)]).tau is None and order_of([(1, 1)]).pairs == 0


def test_other_baselines_measures_or_none_are_refused_by_name(tmp_path: Path, both: tuple[Path, Path]) -> None:
    for changed, told in (({"baseline": "a"}, "baseline: base ► a"), ({"baseline": None}, "the new result has none")):
        with pytest.raises(CannotCompare, match=told):
            compare_conclusions(both[0], result(tmp_path / told[:8], REAL, **changed))
    with pytest.raises(CannotCompare, match="measures:"):
        compare_conclusions(both[0], result(tmp_path / "other", REAL, primary="MRR@10"))


def test_a_system_of_one_result_alone_is_told_and_no_verdict_is_made_up_for_it(tmp_path: Path) -> None:
    old = result(tmp_path / "old", SYNTHETIC)
    new = result(tmp_path / "new", {"a": REAL["a"], "e": (0.3, "better")})
    found = compare_conclusions(old, new)
    assert [s.name for s in found.systems] == ["a"]
    assert {name for name, _ in found.left_out} == {"b", "c", "d", "e"}
    assert "e is not in the old result." in text_of(found) and "few to judge" in text_of(found)
    with pytest.raises(CannotCompare, match="none stands in both"):
        compare_conclusions(old, new, ["a"])


def test_contradictions_come_first_in_every_form(both: tuple[Path, Path]) -> None:
    found = compare_conclusions(*both)
    text = text_of(found)
    assert text.startswith("The results contradict each other on b:")
    assert "have the same verdict on 1." in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "- The results contradict each other on `b`" in markdown_of(found)
    values = values_of(found)
    assert [s["agrees"] for s in values["systems"]] == ["agree", "contradict", "one is sure", "one is sure"]
    json.dumps(values, allow_nan=False)


def test_the_command_prints_it_and_refuses_what_judges_a_change(both: tuple[Path, Path], tmp_path: Path) -> None:
    paths = [str(path) for path in both]
    run = CliRunner().invoke(app, ["compare", *paths, "--on", "verdicts", "-o", str(tmp_path / "found.json")])
    assert run.exit_code == 0 and "contradict each other on b" in run.output
    assert json.loads((tmp_path / "found.json").read_text())["baseline"] == "base"
    for option, value in {"--fail-on": M, "--margin": "0", "--level": "0.99", "--queries": "0"}.items():
        judged = CliRunner().invoke(app, ["compare", *paths, "--on", "verdicts", option, value])
        assert judged.exit_code != 0 and option in judged.output
