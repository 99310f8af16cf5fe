"""Laws of the page Train: every recipe can be read, curves are those of the training, and texts stay texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from bench.experiment.faults import ConfigFaults
from bench.train.mining.kept import SCHEMA
from bench.ui import training as parts
from bench.ui.desk import Desk
from bench.ui.files import checked, systems_of
from bench.ui.model_text import with_model
from bench.ui.runs.following import Told
from tests import small
from tests.conftest import REPOSITORY
from tests.ui.test_shown_results import check_harmless

STRANGE = "<script>window.stolen=1</script>"
# What a recipe cannot do without, beside its base.
NEEDED: dict[str, dict[str, Any]] = {
    "static": {"dimension": 64}, "gist": {"guide": "minilm"}, "sts": {"data": {"path": "pairs.tsv"}},
    "cross_encoder": {"negatives": {"strategy": "random", "per_query": 3}}, "distill": {"teacher": "minilm"},
    "gpl": {"teacher": "org/judge", "negatives": {"strategy": "bm25", "per_query": 3}},
    "augmented_sbert": {"teacher": "org/judge", "negatives": {"strategy": "bm25", "per_query": 3}},
}  # fmt: skip


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
    assert parts.curves_part(Told()) == ""


def test_a_long_curve_is_drawn_with_few_points_and_told_whole() -> None:
    drawn = parts.curves_of("x", {"loss": [(float(step), 1.0 / step) for step in range(1, 10_001)]})
    assert drawn.count(",") < 1500 and "10,000 values" in drawn


def test_a_cache_without_models_says_how_to_train_some(desk: Desk) -> None:
    assert "no trained models" in parts.models_part(desk) and parts.model_choices(desk) == []
    for told in (parts.model_part(desk, STRANGE), parts.learnt_part(desk, STRANGE)):
        assert "note bad" in told
        check_harmless(told)
    assert "note bad" in parts.compared_part(desk, "a", "b")


@pytest.mark.parametrize("name", parts.recipes())
@pytest.mark.parametrize("start", ["quickstart", "index_matrix"])
def test_a_model_of_every_recipe_goes_into_an_experiment_with_what_takes_it(desk: Desk, name: str, start: str) -> None:
    text = (REPOSITORY / "configs" / f"{start}.yaml").read_text(encoding="utf-8")
    given = {"base": "minilm", **NEEDED.get(name, {})}
    done = with_model(text, "tuned", {"recipe": name, **given}, systems_of(desk, "x.yaml", text))
    values, before = yaml.safe_load(done.text), yaml.safe_load(text)
    assert values["models"] == {"tuned": {"recipe": name, **given}}
    role = "reranker" if name == "cross_encoder" else "encoder"
    part = values[f"{role}s"]["tuned"]
    assert part == {"adapter": {"encoder": "sentence_transformers", "reranker": "cross_encoder"}[role],
                    "model": "trained:tuned"}  # fmt: skip
    assert sum(entry.get(role) == "tuned" for entry in values["systems"]) == 1
    assert all(entry in values["systems"] for entry in before["systems"])
    # its base alone is what it is compared with
    assert values["baseline"] == ("dense" if start == "quickstart" else "minilm")
    assert [each for each in text.splitlines() if each.startswith("#") and each not in done.text] == []
    assert "tuned" in checked(desk, "x.yaml", done.text).models
    again = with_model(done.text, "tuned", {"recipe": name, **given}, systems_of(desk, "x.yaml", done.text))
    assert yaml.safe_load(again.text) == values, "what is there is not added twice"


def test_a_base_without_a_system_gets_one_and_a_taken_name_is_not_taken_over(desk: Desk) -> None:
    text = """\
experiment: e
dataset: {adapter: api_docs}
encoders: {a: {adapter: sentence_transformers, model: m}, tuned: {adapter: sentence_transformers, model: n}}
stores: {bm25: {adapter: bm25}}
systems: [{name: tuned, store: bm25}]
"""
    done = with_model(text, "tuned", {"recipe": "mnrl", "base": "a"}, systems_of(desk, "x.yaml", text))
    values = yaml.safe_load(done.text)
    assert values["encoders"]["tuned"]["model"] == "n" and values["encoders"]["tuned-2"]["model"] == "trained:tuned"
    assert values["systems"] == [{"name": "tuned", "store": "bm25"}, {"name": "a", "encoder": "a"},
                                 {"name": "tuned-2", "encoder": "tuned-2"}]  # fmt: skip
    assert values["baseline"] == "a" and list(checked(desk, "x.yaml", done.text).models) == ["tuned"]


def test_a_model_of_a_model_is_compared_with_that_one(desk: Desk) -> None:
    text = (REPOSITORY / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    one = with_model(text, "one", {"recipe": "tsdae", "base": "minilm"}, systems_of(desk, "x.yaml", text)).text
    two = with_model(one, "two", {"recipe": "mnrl", "base": "trained:one"}, systems_of(desk, "x.yaml", one)).text
    assert yaml.safe_load(two)["baseline"] == "one"
    ce = {"recipe": "cross_encoder", "base": "trained:two", "negatives": {"strategy": "random"}}
    three = with_model(two, "ce", ce, systems_of(desk, "x.yaml", two)).text
    assert yaml.safe_load(three)["systems"][-1] == {"name": "two-ce", "depth": 30, "encoder": "two", "reranker": "ce"}
    assert yaml.safe_load(three)["baseline"] == "two"


def test_an_empty_text_takes_a_model_and_says_what_lacks(desk: Desk) -> None:
    done = with_model("", "tuned", {"recipe": "mnrl", "base": "org/model"}, ())
    assert yaml.safe_load(done.text)["systems"] == [{"name": "tuned", "encoder": "tuned"}]
    with pytest.raises(ConfigFaults, match="dataset"):
        checked(desk, "x.yaml", done.text)
    with pytest.raises(ValueError, match="a name"):
        with_model("", "", {"recipe": "mnrl"}, ())
    with pytest.raises(ValueError):
        with_model("- 1", "tuned", {"recipe": "mnrl", "base": "a"}, ())


def test_a_collection_without_training_queries_says_what_to_write(desk: Desk) -> None:
    small.collection(desk.folder / "data", documents=8, queries=4)
    text = yaml.safe_dump({**small.spec([{"store": "bm25"}]), "dataset": {"adapter": "beir", "path": "data"}})
    told = parts.lacks_part(desk, "x.yaml", text, "mnrl")
    assert "no split train" in told and "test_size: 0.2" in told and "dev_size" in told and "fields below" in told
    assert parts.lacks_part(desk, "x.yaml", text.replace("path: data", "path: data\n  test_size: 2"), "mnrl") == ""
    assert parts.lacks_part(desk, "x.yaml", text, "tsdae") == "", "which learns from documents"
    quick = (REPOSITORY / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    assert parts.lacks_part(desk, "x.yaml", quick, "static") == ""
    assert "note bad" in parts.lacks_part(desk, "x.yaml", text.replace("path: data", "path: absent"), "mnrl")


def test_the_file_that_trains_lies_beside_the_one_it_was_made_of() -> None:
    assert parts.file_of("a/quickstart.yaml", "tuned") == "a/quickstart-tuned.yaml"


def test_negatives_are_shown_as_text_with_their_scores() -> None:
    row = {**dict.fromkeys(("query_id", "document_id", "query", "positive"), STRANGE),
           "negatives": [STRANGE, "copper"], "negative_ids": ["1", "2"], "negative_scores": [0.5, None]}  # fmt: skip
    [shown] = pa.Table.from_pylist([row], SCHEMA).to_pylist()
    assert parts._negatives(shown) == f"{STRANGE} (0.500) | copper"
