"""Laws of how models are named, listed and compared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base.trainer import TrainingStep
from bench.cache.artifacts import Cache
from bench.train.choosing import NoSuchModel, choose, choose_one
from bench.train.kept import KeptModels
from bench.train.listing import compared, described, listed, sparkline
from bench.train.provenance import BaseModelOf, DataFacts, NegativeFacts, SplitFacts
from tests.train.stored import keep, provenance


@pytest.fixture
def store(tmp_path: Path) -> KeptModels:
    """Three seeds of `tuned`, of which dev likes the second best, and an older `tuned` of other options."""
    keep(tmp_path, provenance(options={"epochs": 3.0}, created_at="2026-11-25T00:00:00+00:00"))
    for seed, dev in ((1, 0.6), (2, 0.7), (3, 0.4)):
        keep(tmp_path, provenance(seed=seed, dev_after=dev))
    return KeptModels(Cache(tmp_path))


def seeds(models: KeptModels, wanted: str) -> list[int | None]:
    return [kept.provenance.seed for kept in choose(models, wanted).models]


def test_a_name_means_all_seeds_of_the_model_trained_last(store: KeptModels) -> None:
    assert seeds(store, "tuned") == seeds(store, "trained:tuned") == [1, 2, 3]
    assert choose(store, "tuned").older == 1
    assert seeds(store, "tuned#2") == [2]


def test_a_key_or_its_beginning_means_one_model(store: KeptModels) -> None:
    key = provenance(seed=3).key
    assert [kept.key for kept in choose(store, key).models] == [key]
    assert [kept.key for kept in choose(store, key[:8]).models] == [key]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("tunde", "Did you mean tuned?"),
        ("tuned#9", "No trained model is called 'tuned#9'"),
        ("../../etc", "No trained"),
    ],
)
def test_a_name_that_no_model_has_is_told_with_those_that_are_there(store: KeptModels, wanted: str, told: str) -> None:
    with pytest.raises(NoSuchModel) as raised:
        choose(store, wanted)
    assert told in str(raised.value)


def test_of_several_seeds_the_best_on_dev_is_taken_and_that_is_said(store: KeptModels) -> None:
    kept, note = choose_one(store, "tuned")
    assert kept.provenance.seed == 2 and note is not None and "tuned#2 is taken, the best of its seeds on dev" in note
    assert choose_one(store, "tuned#3")[1] is None


def test_seeds_without_a_dev_measure_give_the_first(tmp_path: Path) -> None:
    for seed in (2, 1):
        keep(tmp_path, provenance(seed=seed, dev_after=None))
    keep(tmp_path, provenance("zero", seed=1, dev_after=0.0))
    keep(tmp_path, provenance("zero", seed=2, dev_after=None))
    store = KeptModels(Cache(tmp_path))
    kept, note = choose_one(store, "tuned")
    assert kept.provenance.seed == 1 and note is not None and "the first of its seeds" in note
    assert choose_one(store, "zero")[0].provenance.seed == 1  # 0 is a measure, null is none


def test_a_damaged_model_is_no_choice(store: KeptModels) -> None:
    kept, _ = choose_one(store, "tuned")
    (kept.folder / "modules.json").write_text("[1]")
    with pytest.raises(NoSuchModel, match=r"modules.json is not as it was .* bench models remove"):
        choose_one(store, "tuned")


def test_seeds_whose_bases_are_seeds_too_belong_together(tmp_path: Path) -> None:
    for seed in (1, 2):
        base = BaseModelOf(reference=f"trained:tuned#{seed}", identity={"weights": f"{seed}" * 32})
        data = DataFacts(fingerprint=f"{seed}" * 32, train=SplitFacts(split="train", fingerprint="01" * 16))
        keep(tmp_path, provenance("ce", seed, base=base, data=data, options={"base": f"trained:tuned#{seed}"}))
    assert seeds(KeptModels(Cache(tmp_path)), "ce") == [1, 2]


def test_the_list_has_a_line_for_each_model_and_says_what_is_worse_and_what_did_not_end(store: KeptModels) -> None:
    store.checkpoints("ab" * 16)
    heading, *lines = listed(store).splitlines()
    assert heading.split()[:3] == ["model", "recipe", "base"]
    assert [line.split()[0] for line in lines[:4]] == ["tuned#1", "tuned#1", "tuned#2", "tuned#3"]
    assert ".500 ► .700" in lines[2] and provenance(seed=2).key[:12] in lines[2]
    assert any(line.startswith("! abababababab: a training that did not end") for line in lines)
    assert "! tuned#3: worse on dev than the base that it started from" in lines


def test_a_description_shows_curves_data_and_negatives(tmp_path: Path) -> None:
    mined = NegativeFacts(options={"strategy": "hybrid"}, key="ef" * 16, relevant_to_test=4)
    keep(tmp_path, provenance(negatives=mined, notes=("a note",)))
    store = KeptModels(Cache(tmp_path))
    chosen = choose(store, "tuned")
    assert "their texts are not in this cache any more" in described(chosen, tmp_path / "negatives")
    (tmp_path / "negatives").mkdir()
    rows = {"query": ["how\nto sort"], "positive": ["sort it"], "negatives": [["bake a pie", "x" * 300]]}
    pq.write_table(pa.table(rows), tmp_path / "negatives" / f"{'ef' * 16}.parquet")
    told = described(chosen, tmp_path / "negatives")
    for line in ("query     how to sort", "positive  sort it", "negative  bake a pie", f"negative  {'x' * 100}…"):
        assert f"  {line}\n" in told
    assert "4 of them are relevant to some evaluation query" in told
    assert "loss           █▁  2 ► 1" in told and "120, 3 pairs left out that leak" in told and "· a note" in told


def test_a_comparison_shows_where_models_differ_and_no_difference_over_other_data(tmp_path: Path) -> None:
    keep(tmp_path, provenance(seed=1))
    keep(tmp_path, provenance(seed=2, dev_after=0.525))
    keep(tmp_path, provenance("longer", options={"epochs": 3.0, "batch_size": 64}))
    other = DataFacts(test=SplitFacts(split="test", fingerprint="99" * 16))
    keep(tmp_path, provenance("elsewhere", data=other))
    store = KeptModels(Cache(tmp_path))
    told = compared(choose(store, "tuned"), choose(store, "longer"))
    # dev: (.625 + .525) / 2 = .575 against .625
    assert "dev nDCG@10   .575 [.525, .625]  .625      +.050" in told
    assert "epochs  1.0    3.0" in told and "batch_size" not in told
    told = compared(choose(store, "tuned"), choose(store, "elsewhere"))
    assert "! not comparable: they were measured on different data (test 020202020202 / 999999999999)" in told
    assert "+.0" not in told


def test_a_curve_is_drawn_between_its_lowest_and_its_highest_value() -> None:
    assert sparkline([0, 7, 14]) == "▁▅█"  # 7 is half way: bar 3.5 of 7, rounded to the even 4
    assert sparkline([1.0] * 3) == "▁▁▁"
    assert sparkline([]) == "" and sparkline([float("nan"), 1.0, float("inf"), 2.0]) == "▁█"
    assert sparkline([1, 1, 3, 3], width=2) == "▁█"
    assert len(sparkline([float(i) for i in range(1000)])) == 60


def test_a_model_without_a_curve_has_none(tmp_path: Path) -> None:
    kept = keep(tmp_path, provenance())
    (kept.folder / "training.csv").write_text("step,loss\n1,x\n")
    assert kept.curve() == []
    assert TrainingStep(1, 2, 0.5) not in kept.curve()
