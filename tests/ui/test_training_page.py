"""Laws of the page Train: every recipe can be read, curves are those of the training, and texts stay texts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from bench.train.mining.kept import SCHEMA
from bench.ui import training as parts
from bench.ui.desk import Desk
from bench.ui.runs.following import Told
from tests.ui.test_shown_results import check_harmless

STRANGE = "<script>window.stolen=1</script>"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.at(tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", parts.recipes())
def test_every_recipe_shows_its_options_with_what_they_mean(name: str) -> None:
    told = parts.recipe_part(name)
    check_harmless(told)
    assert "note bad" not in told and f"recipe: {name}" in told and "must be given" in told and "seeds" in told


def test_an_unknown_recipe_is_refused_in_a_sentence() -> None:
    told = parts.recipe_part(STRANGE)
    assert "note bad" in told
    check_harmless(told)


def test_curves_are_read_from_what_a_training_tells() -> None:
    told = [(10, "loss 0.500"), (20, "loss 0.250, dev 0.700"), (30, "loss 0.125, dev 0.800")]
    assert parts.read_curves(told) == {
        "loss": [(10.0, 0.5), (20.0, 0.25), (30.0, 0.125)],
        "dev": [(20.0, 0.7), (30.0, 0.8)],
    }
    drawn = parts.curves_part(Told(curves={STRANGE: told}))
    assert drawn.count("<svg") == 2 and "<script" not in drawn
    assert "0.5 ► 0.125" in drawn and "0.7 ► 0.8" in drawn and "3 values to step 30" in drawn
    # 640 wide: step 20 of 10 to 30 stands in the middle; 160 high between the margins: .25 of .125 to .5 at 2/3
    assert "320.0,116.7" in drawn
    assert "<svg" not in parts.curves_part(None)


def test_a_long_curve_is_drawn_with_few_points_and_told_whole() -> None:
    drawn = parts.curves_of("x", {"loss": [(float(step), 1.0 / step) for step in range(1, 10_001)]})
    assert drawn.count(",") < 1500 and "10,000 values" in drawn


def test_a_cache_without_models_says_how_to_train_some(desk: Desk) -> None:
    assert "no trained models" in parts.models_part(desk) and parts.model_choices(desk) == []
    for told in (parts.model_part(desk, STRANGE), parts.learnt_part(desk, STRANGE)):
        assert "note bad" in told
        check_harmless(told)
    assert "note bad" in parts.compared_part(desk, "a", "b")


def test_files_that_train_something_are_offered(desk: Desk) -> None:
    (desk.folder / "a.yaml").write_text("experiment: a\nmodels:\n  tuned: {recipe: static}\n")
    (desk.folder / "b.yaml").write_text("experiment: b\nsystems: []\n")
    assert parts.files_with_models(desk) == ["a.yaml"]


def test_negatives_are_shown_as_text_with_their_scores() -> None:
    row = {**dict.fromkeys(("query_id", "document_id", "query", "positive"), STRANGE),
           "negatives": [STRANGE, "copper"], "negative_ids": ["1", "2"], "negative_scores": [0.5, None]}  # fmt: skip
    [shown] = pa.Table.from_pylist([row], SCHEMA).to_pylist()
    assert parts._negatives(shown) == f"{STRANGE} (0.500) | copper"
