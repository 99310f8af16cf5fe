"""What recipes without labels compute, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import Context, InvalidOptions
from adapters.testing import planted_base, planted_data
from adapters.trainers._denoising import without_some
from adapters.trainers._tension import tension


def made(recipe: str, base: Path, **options: Any) -> Any:
    kind = registry.load("trainers", recipe)
    return kind(
        kind.Options.model_validate({"base": str(base), "device": "cpu", "precision": "float32", **options}), Context()
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_base(tmp_path_factory.mktemp("models") / "base")


def test_tension_is_the_cross_entropy_of_a_text_with_itself_and_with_those_that_follow() -> None:
    import torch

    vectors, others = torch.tensor([[1.0], [0.0], [2.0]]), torch.tensor([[1.0], [1.0], [3.0]])
    # Scores, row by column: (1 1 3), (0 0 0), (2 2 6). With one other text: the pairs (0, 0), (0, 1), (1, 1), (1, 2),
    # (2, 2), (2, 0). -ln σ(x) = ln(1 + e^-x) for the same text, ln(1 + e^x) for another one.
    same = np.log1p(np.exp([-1.0, 0.0, -6.0]))
    other = np.log1p(np.exp([1.0, 0.0, 2.0]))
    assert float(tension(vectors, others, 1)) == pytest.approx((same.sum() + other.sum()) / 6, abs=1e-6)
    # With more than there are, each other text once.
    rest = np.log1p(np.exp([3.0, 0.0, 2.0]))
    whole = (same.sum() + other.sum() + rest.sum()) / 9
    assert float(tension(vectors, others, 7)) == pytest.approx(whole, abs=1e-6)


def read(lengths: list[int]) -> dict[str, Any]:
    """Texts of tokens 5, 6, 7 and so on between two special ones, 2 and 3; 0 fills up."""
    import torch

    rows = [[2, *range(5, 5 + n), 3] + [0] * (max(lengths) - n) for n in lengths]
    ids = torch.tensor(rows)
    return {
        "input_ids": ids,
        "attention_mask": (ids > 0).long(),
        "token_type_ids": (ids > 0).long(),
        "prompt_length": 1,
    }


def test_deleted_tokens_leave_no_gap_and_special_ones_stay() -> None:
    import torch

    torch.manual_seed(1)
    for _ in range(20):
        found = without_some(read([8, 1, 3]), 0.6, [0, 2, 3])
        shapes = {tuple(found[name].shape) for name in ("input_ids", "attention_mask", "token_type_ids")}
        assert len(shapes) == 1 and "prompt_length" not in found
        for ids, mask in zip(found["input_ids"].tolist(), found["attention_mask"].tolist(), strict=True):
            count = sum(mask)
            assert mask == [1] * count + [0] * (len(mask) - count)
            assert ids[0] == 2 and ids[count - 1] == 3 and count >= 3  # one token of its own at least
            assert ids[1 : count - 1] == sorted(set(ids[1 : count - 1]))  # in their order


def test_the_share_that_is_deleted_is_the_one_that_is_asked() -> None:
    import torch

    torch.manual_seed(1)
    kept = without_some(read([500] * 20), 0.6, [0, 2, 3])["attention_mask"].sum(dim=1).float().mean() - 2
    assert float(kept) == pytest.approx(200, abs=10)  # of 500 two in five; the deviation of the mean is 2.4


def test_a_decoder_shares_its_layers_with_the_encoder(base: Path) -> None:
    trainer = made("tsdae", base)
    model = trainer._model(1, "cpu")
    loss = trainer._drawn_loss(model, None, 1)
    ours = {id(each) for each in model.parameters()}
    own = {name for name, each in loss.named_parameters() if id(each) not in ours}
    assert own and all("crossattention" in name or "cls." in name for name in own), own
    words = model.transformers_model.get_input_embeddings().weight
    assert loss.decoder.get_output_embeddings().weight is words


def test_a_table_of_vectors_has_no_decoder_and_the_cure_is_named(static_model: Path) -> None:
    with pytest.raises(InvalidOptions, match="table of vectors.*contrastive_tension") as refused:  # noqa: RUF043
        made("tsdae", static_model).check()
    assert refused.value.key == "base"


def test_a_transformer_without_a_decoder_of_its_layers_is_refused_by_name(tmp_path: Path, base: Path) -> None:
    import shutil

    from transformers import DistilBertConfig, DistilBertModel

    folder = shutil.copytree(base, tmp_path / "distil")
    DistilBertModel(DistilBertConfig(vocab_size=26, dim=16, n_layers=1, n_heads=2, hidden_dim=16)).save_pretrained(
        str(folder)
    )
    with pytest.raises(InvalidOptions, match="is a distilbert") as refused:
        made("tsdae", folder).initial(tmp_path / "out", 1)
    assert refused.value.key == "base"


def test_the_copy_that_is_kept_is_the_base_trained_and_nothing_of_the_other(base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    given = {"folder": tmp_path / "model", "checkpoints": tmp_path / "kept", "seed": 1, "evaluate": None}
    trainer = made("contrastive_tension", base, steps=2)
    trainer.train(planted_data(), **given, tell=lambda step: None)
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    assert after.keys() == before.keys() and any((after[name] != before[name]).any() for name in after)


def test_a_second_copy_counts_in_the_memory_that_is_foreseen(base: Path) -> None:
    plan = made("contrastive_tension", base).plan(planted_data(), timed=False)
    alone = made("mnrl", base).plan(planted_data(), timed=False)
    assert plan.memory_bytes >= 2 * alone.memory_bytes and plan.parameters == alone.parameters
