"""What a dry run says of verdicts on models that are yet to be trained."""

from __future__ import annotations

from pathlib import Path

from bench.statistics.detectable import PRIOR_DEVIATION, PRIOR_SPREAD_OF_SEEDS, Spread, detectable_difference
from tests import small


def experiment(folder: Path, static_model: Path) -> Path:
    """An untrained baseline, a model of three seeds and one of one, over queries of which ten are evaluated."""
    data = small.collection(folder / "data", documents=60, queries=30)
    judged = (data / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (data / "qrels" / "test.tsv").write_text("".join(judged[:20]), encoding="utf-8")
    (data / "qrels" / "train.tsv").write_text("".join(judged[20:]), encoding="utf-8")
    recipe = {"recipe": "mnrl", "base": "static", "batch_size": 8, "device": "cpu"}
    encoder = {"adapter": "sentence_transformers", "device": "cpu"}
    spec = small.spec(
        [{"encoder": ["static", "tuned", "once"]}],
        models={"tuned": {**recipe, "seeds": 3}, "once": recipe},
        encoders={
            "static": {**encoder, "model": str(static_model)},
            "tuned": {**encoder, "model": "trained:tuned"},
            "once": {**encoder, "model": "trained:once"},
        },
        baseline="static",
    )
    return small.write(folder, spec)


def test_a_dry_run_foresees_a_spread_of_seeds_and_names_models_of_one_seed(tmp_path: Path, static_model: Path) -> None:
    path = experiment(tmp_path, static_model)
    told = small.bench("run", path, "--dry-run", "--cache", tmp_path / "cache").stdout
    smallest = detectable_difference(
        10, deviation=PRIOR_DEVIATION, family=2, spreads=[Spread(PRIOR_SPREAD_OF_SEEDS, 3)]
    )
    assert f"differences under {smallest:.3f} nDCG@10 cannot be detected by this test set" in told
    assert "seeds of a model assumed to differ by 0.005 as in earlier trainings" in told
    assert "models.once: one seed, so verdicts are on this very model" in told
    assert "models.tuned: one seed" not in told
