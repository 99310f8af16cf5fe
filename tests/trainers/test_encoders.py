"""What recipes for encoders make of their base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters import registry
from adapters.base import Context, InvalidOptions, ModelNotFound, OutOfMemory, TrainingStep
from adapters.testing import planted_base, planted_data
from adapters.trainers._library import resolve_precision
from adapters.trainers._loop import out_of_memory
from adapters.trainers._options import TrainingOptions
from adapters.trainers._recipe import set_dropout
from adapters.trainers._rows import pairs_in_batch, scored_pairs


def made(base: Path, recipe: str = "mnrl", **options: Any) -> Any:
    kind = registry.load("trainers", recipe)
    plain = {"base": str(base), "device": "cpu", "precision": "float32"}
    return kind(kind.Options.model_validate({**plain, **options}), Context())


def untrained(trainer: Any, folder: Path) -> dict[str, Any]:
    """The settings of the untrained model."""
    trainer.initial(folder, 1)
    names = ("config_sentence_transformers", "sentence_bert_config", "1_Pooling/config")
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in names}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def encoder(base: Path) -> Path:
    """A whole sentence-transformers folder that reads 10 tokens and has prompts."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(base), device="cpu", prompts={"query": "ask: ", "document": "tell: "})
    model.max_seq_length = 10
    folder = base.parent / "encoder"
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def trained(trainer: Any, folder: Path, **more: Any) -> Any:
    given = {"seed": 1, "evaluate": None, "tell": lambda step: None, **more}
    return trainer.train(planted_data(), folder=folder / "model", checkpoints=folder / "kept", **given)


def test_a_plain_language_model_pools_by_the_mean(base: Path, tmp_path: Path) -> None:
    assert untrained(made(base, "sts"), tmp_path)["1_Pooling/config"]["pooling_mode"] == "mean"


def test_the_prompts_of_the_training_are_those_of_the_model(encoder: Path, tmp_path: Path) -> None:
    def prompts(name: str, **options: Any) -> Any:
        folder = tmp_path / name
        return untrained(made(encoder, **options), folder)["config_sentence_transformers"]["prompts"]

    assert prompts("own") == {"query": "ask: ", "document": "tell: "}
    assert prompts("given", prompts={"query": "find: "}) == {"query": "find: ", "document": "tell: "}
    assert prompts("none", prompts={"query": "", "document": ""})["query"] == ""


def test_texts_are_trained_with_the_prompts_of_their_role(encoder: Path) -> None:
    table = planted_data(negatives=1).pairs
    assert table is not None
    rows = pairs_in_batch(table, made(encoder)._prompts)
    assert dict(rows.prompts) == {"query": "ask: ", "positive": "tell: ", "negative_1": "tell: "}


def test_a_shorter_maximum_in_training_leaves_what_the_model_reads(encoder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    def reads(folder: Path) -> int:
        return int(SentenceTransformer(str(folder), device="cpu").max_seq_length)

    trained(made(encoder, steps=1, max_length=4), tmp_path)
    assert reads(tmp_path / "model") == 10
    made(encoder, max_length=12).initial(tmp_path / "longer", 1)
    assert reads(tmp_path / "longer") == 12
    with pytest.raises(InvalidOptions, match="at most 16 tokens"):
        made(encoder, max_length=17).check()


def test_frozen_layers_stay_as_in_the_base(base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    trained(made(base, steps=3, frozen_layers=1, learning_rate=1e-2), tmp_path)
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    changed = {name for name, values in after.items() if (values != before[name]).any()}
    assert changed and all("layer.1" in name for name in changed)
    with pytest.raises(InvalidOptions, match="2 layers; at least one must learn"):
        trained(made(base, frozen_layers=2), tmp_path / "none")


def test_a_training_may_leave_out_no_activation(base: Path, tmp_path: Path) -> None:
    def weights(name: str, **options: Any) -> bytes:
        trained(made(base, steps=2, learning_rate=1e-2, **options), tmp_path / name)
        assert json.loads((tmp_path / name / "model" / "config.json").read_text())["hidden_dropout_prob"] == 0.1
        return (tmp_path / name / "model" / "model.safetensors").read_bytes()

    # The base leaves out a tenth. A training that says so is the same to the last bit, and none at all another one.
    assert weights("as the base") == weights("a tenth", dropout=0.1) != weights("none", dropout=0.0)


def test_an_option_of_a_later_version_is_no_part_of_a_training_that_does_not_use_it(base: Path) -> None:
    assert "dropout" not in made(base).recipe
    assert made(base, dropout=0.0).recipe["dropout"] == 0


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "ModernBert", "Qwen3", "T5"])
def test_dropout_reaches_every_place_where_a_family_of_models_leaves_something_out(kind: str) -> None:
    import torch
    import transformers

    small = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "pad_token_id": 0}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
    theirs = {
        "DistilBert": {"vocab_size": 50, "dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2},
        "T5": {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
        "ModernBert": {**small, "num_attention_heads": 2, "attention_dropout": 0.5, "mlp_dropout": 0.5},
        "Qwen3": {**small, **heads, "attention_dropout": 0.5},
    }.get(kind, {**small, "num_attention_heads": 2})
    name = f"{kind}Encoder" if kind == "T5" else kind
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{kind}Config")(**theirs)).train()
    tokens = torch.arange(1, 21).reshape(2, 10)

    def read() -> torch.Tensor:
        with torch.no_grad():
            return torch.as_tensor(model(input_ids=tokens).last_hidden_state)

    assert not torch.equal(read(), read())
    set_dropout(model, 0.0)
    assert torch.equal(read(), read())


def test_patience_ends_a_training_that_gets_no_better(base: Path, tmp_path: Path) -> None:
    told: list[TrainingStep] = []
    trainer = made(base, steps=10, evaluate_every=1, patience=3)
    ended = trained(trainer, tmp_path, evaluate=lambda model: -1.0, tell=told.append)
    # The first measure is the best; three more are not better than it.
    assert (ended.steps, ended.kept_step, len(told)) == (4, 1, 4)


def test_a_module_that_the_library_does_not_know_is_named(encoder: Path, tmp_path: Path) -> None:
    for kind, error, words in (
        ("sentence_transformers.sentence_transformer.modules.quantum.Quantum", ModelNotFound, "quantum"),
        ("mine.Quantum", InvalidOptions, r"mine\.Quantum"),
    ):
        folder = tmp_path / kind
        shutil.copytree(encoder, folder)
        modules = json.loads((folder / "modules.json").read_text())
        modules.append({"idx": 2, "name": "2", "path": "2_Quantum", "type": kind})
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(error, match=words):
            made(folder).initial(tmp_path / "out", 1)


def test_a_table_of_vectors_refuses_what_it_has_no_use_for(static_model: Path) -> None:
    for option, value in (("max_length", 8), ("frozen_layers", 1), ("gradient_checkpointing", True), ("dropout", 0.1)):
        with pytest.raises(InvalidOptions, match=f"{option} has no effect") as refused:
            made(static_model, "static", **{option: value}).check()
        assert refused.value.key == option


def test_a_new_table_needs_a_dimension_and_a_guide_a_transformer(base: Path, static_model: Path) -> None:
    with pytest.raises(InvalidOptions, match="dimension: 256"):
        made(base, "static").check()
    with pytest.raises(InvalidOptions, match="recipe static") as refused:
        made(base, "gist", guide=str(static_model)).check()
    assert refused.value.key == "guide"


def test_a_base_that_is_not_there_is_said_of_the_option_that_names_it(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="trained:first"):
        _ = made(base).__class__(made(base).options.model_copy(update={"base": "trained:first#1"})).recipe
    with pytest.raises(InvalidOptions) as refused:
        made(base, revision="main").check()
    assert refused.value.key == "revision"


def test_exchanged_columns_cannot_train() -> None:
    """Queries stand first, and scores under the one name that the library takes for numbers, in any table's order."""
    data = planted_data(negatives=2)
    assert data.pairs is not None and data.scored is not None
    turned = data.pairs.select(data.pairs.column_names[::-1])
    assert list(pairs_in_batch(turned, {}).columns) == ["query", "positive", "negative_1", "negative_2"]
    scored = data.scored.select(["score", "second", "first"])
    assert list(scored_pairs(scored, {}).columns) == ["first", "second", "label"]


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_a_similarity_outside_its_range_is_named(wrong: float) -> None:
    scored = planted_data().scored
    assert scored is not None
    scores = scored["score"].to_pylist()
    scores[6] = wrong
    spoilt = scored.set_column(2, "score", pa.array(scores, pa.float32()))
    with pytest.raises(InvalidOptions, match=r"Pair 7 has the similarity .* outside 0 to 1"):
        scored_pairs(spoilt, {})


def test_a_lack_of_memory_proposes_smaller_batches_of_the_same_step() -> None:
    options = TrainingOptions(base="none", batch_size=64, gradient_accumulation=2)
    error = out_of_memory(options, "cuda", "CUDA out of memory")
    assert isinstance(error, OutOfMemory)
    for part in ("batch_size: 32", "gradient_accumulation: 4", "gradient_checkpointing: true", "max_length"):
        assert part in str(error)


def test_a_table_of_vectors_is_computed_in_float32_and_a_processor_refuses_float16() -> None:
    assert resolve_precision("auto", "cpu", transformer=False) == "float32"
    assert resolve_precision("bfloat16", "cpu", transformer=True) == "bfloat16"
    with pytest.raises(InvalidOptions, match="Take bfloat16 or float32"):
        resolve_precision("float16", "cpu", transformer=True)


@pytest.mark.parametrize(
    ("options", "key"), [({"frozen_layers": 2}, "frozen_layers"), ({"precision": "float16"}, "precision")]
)
def test_what_cannot_train_is_known_before_anything_is_loaded(base: Path, options: dict[str, Any], key: str) -> None:
    for recipe in ("mnrl", "cross_encoder"):
        kind = registry.load("trainers", recipe)
        with pytest.raises(InvalidOptions) as refused:
            kind(kind.Options.model_validate({"base": str(base), "device": "cpu", **options}), Context()).check()
        assert refused.value.key == key
