"""Every experiment that comes with the project runs, made small by --set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests import small
from tests.conftest import REPOSITORY
from tests.models import tiny_bert, tiny_writer
from tests.standin import StandIn
from tests.weaviate.conftest import running

CONFIGS = REPOSITORY / "configs"
DOCUMENTS, QUERIES = 600, 10
PAIRS = 16  # to learn from
SHORT = {"seeds": 1, "epochs": 1, "batch_size": 8, "device": "cpu"}
FEWER = ["--set", "dataset.packages=[click, jinja2]"]  # 202 documents, where numpy has some nine hundred
VECTOR_QUERIES = 120  # half of them must be able to show a recall of .90


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.collection(tmp_path_factory.mktemp("beir"), documents=DOCUMENTS, queries=QUERIES)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """corpus.npy and queries.npy, and corpus.parquet with the column percent."""
    folder = small.vectors(tmp_path_factory.mktemp("arrays"), documents=DOCUMENTS, queries=VECTOR_QUERIES)
    import numpy as np

    corpus = np.load(folder / "corpus.npy")
    column = pa.FixedSizeListArray.from_arrays(pa.array(corpus.ravel()), corpus.shape[1])
    table = pa.table({"vector": column, "percent": pa.array([i % 100 for i in range(DOCUMENTS)])})
    pq.write_table(table, folder / "corpus.parquet")
    return folder


@pytest.fixture(scope="module")
def weaviate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    yield from running(tmp_path_factory, {})


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(keys=frozenset({"planted-key-0123456789abcdef"})) as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


def smaller(file: Path, data: Path, model: Path | None = None, server: dict[str, Any] | None = None) -> list[str]:
    """What makes an experiment small: its data, a fast model of 256 dimensions, few samples; where its server is."""
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings: dict[str, Any] = {}
    dataset = told["dataset"]
    if dataset["adapter"] == "beir":
        settings["dataset.path"] = str(data)
    elif dataset["adapter"] == "vectors":
        for key in ("corpus", "queries"):
            settings[f"dataset.{key}"] = str(data / Path(dataset[key]).name)
    else:
        settings["dataset.limit"] = QUERIES
    for name, part in told.get("encoders", {}).items():
        if part["adapter"] == "sentence_transformers" and not part["model"].startswith("trained:"):
            settings[f"encoders.{name}.model"] = str(model)
    for name, part in told.get("stores", {}).items():
        if "num_sub_vectors" in part.get("index", {}):
            settings[f"stores.{name}.index.num_sub_vectors"] = 16
        if part.get("index", {}).get("segments"):
            settings[f"stores.{name}.index.segments"] = 16
        if part["adapter"] == "weaviate":
            settings |= {f"stores.{name}.{key}": value for key, value in (server or {}).items()}
        if "training_limit" in part.get("index", {}):
            settings[f"stores.{name}.index.training_limit"] = 400
    for name, part in told.get("models", {}).items():
        # Who says steps says no epochs.
        short = {**SHORT, "steps": 2, "epochs": None} if "steps" in part else SHORT
        settings |= {f"models.{name}.{key}": value for key, value in short.items() if value is not None}
        if "data" in part:
            settings[f"models.{name}.data.path"] = str(data)
        if part["recipe"] == "distill" and "steps" not in part:
            settings[f"models.{name}.epochs"] = 0.02  # of all documents
        if part["recipe"] not in ("sts", "distill", "contrastive_tension", "tsdae"):
            settings[f"models.{name}.pairs"] = PAIRS
    if told["latency"] is False:
        return _as_arguments(settings)
    points = told["latency"] if isinstance(told["latency"], list) else [told["latency"]]
    for i, point in enumerate(points):
        place = f"latency[{i}]" if isinstance(told["latency"], list) else "latency"
        settings |= {f"{place}.samples": 6, f"{place}.seconds": 5, f"{place}.turn_seconds": 0.001}
        if "workers" not in point and point.get("mode") != "open":
            # One alone sends two hundred queries at least; with under twenty there is no p50, nor a cheapest one.
            settings |= {f"{place}.workers": 2, f"{place}.samples": 21}
    return _as_arguments(settings)


def _as_arguments(settings: dict[str, Any]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def run_small(tmp_path: Path, file: Path, settings: Sequence[str]) -> dict[str, Any]:
    places = ("--output", tmp_path / "results", "--cache", tmp_path / "cache")
    outcome = small.bench("run", file, *places, "--json", "--quiet", *settings)
    assert outcome.exit_code == 0, outcome.stderr + outcome.stdout
    told = json.loads(outcome.stdout)
    written: dict[str, Any] = json.loads((Path(told["result"]) / "result.json").read_text(encoding="utf-8"))
    failed = {s["name"]: s["error"] for s in written["systems"] if s["status"] != "success"}
    assert not failed
    assert written["status"] == "success"
    return written


def test_the_quick_start_runs(tmp_path: Path, static_model: Path) -> None:
    file = CONFIGS / "quickstart.yaml"
    written = run_small(tmp_path, file, smaller(file, tmp_path, static_model))
    assert len(written["systems"]) == 6
    assert written["dataset"]["judged"] == QUERIES


@pytest.mark.slow
def test_any_beir_folder_runs(tmp_path: Path, static_model: Path, beir: Path) -> None:
    file = CONFIGS / "beir_folder.yaml"
    written = run_small(tmp_path, file, smaller(file, beir, static_model))
    assert [s["name"] for s in written["systems"]] == [
        "bm25", "dense-exact", "lancedb-flat", "lancedb-ivf-pq", "hybrid", "bm25-reranked",
    ]  # fmt: skip
    assert (written["baseline"], written["primary"]) == ("bm25", "nDCG@10")
    assert yaml.safe_load(file.read_text())["latency"]["seconds"] == 20


@pytest.mark.slow
def test_the_index_matrix_builds_8_indexes_for_32_systems(tmp_path: Path, static_model: Path) -> None:
    file = CONFIGS / "index_matrix.yaml"
    written = run_small(tmp_path, file, [*smaller(file, tmp_path, static_model), "--set", "latency=false"])
    assert len(written["systems"]) == 32
    assert written["work"]["indexes_built"]["computed"] == 8
    documents = written["dataset"]["documents"]
    assert written["work"]["texts_embedded"] == {"computed": 2 * (documents + QUERIES), "reused": 0}


def test_vectors_alone_run(tmp_path: Path, arrays: Path) -> None:
    file = CONFIGS / "vectors.yaml"
    assert run_small(tmp_path, file, smaller(file, arrays))["primary"] == "ANN@10"


@pytest.mark.slow
def test_filtered_search_is_measured_against_the_filtered_oracle(tmp_path: Path, arrays: Path) -> None:
    file = CONFIGS / "filters.yaml"
    written = run_small(tmp_path, file, smaller(file, arrays))
    recall = {system["name"]: system["ann_recall"]["10"] for system in written["systems"]}
    assert len(recall) == 12
    # 6 of 600 documents pass the filter of 1 %; the flat index finds them all.
    assert recall["given+flat(filter=percent:lt:1)"] == recall["given+flat(filter=null)"] == 1.0


@pytest.mark.slow
def test_every_system_has_a_row_for_every_load_point(tmp_path: Path, arrays: Path) -> None:
    file = CONFIGS / "load.yaml"
    flood = ["--set", "latency[4].rate=2000", "--set", "latency[4].samples=120"]
    written = run_small(tmp_path, file, [*smaller(file, arrays), *flood])
    for system in written["systems"]:
        assert [load["load"] for load in system["loads"]] == [
            "closed-1", "closed-4", "closed-16", "open-50qps", "open-2000qps", "open-50qps-constant",
            "closed-4-ingest-500",
        ]  # fmt: skip
        assert system["loads"][6]["ingest"]["rows_held_after"] == DOCUMENTS
        flooded = system["loads"][4]
        assert flooded["saturated"] and flooded["total"]["p95_ms"] is None


@pytest.mark.slow
def test_both_engines_are_compared_at_equal_recall(tmp_path: Path, arrays: Path, weaviate: dict[str, Any]) -> None:
    file = CONFIGS / "engines_at_equal_recall.yaml"
    settings = [
        "lancedb-ivf-flat.query.nprobes=[2, 64]", "lancedb-ivf-pq.query.nprobes=[64]",
        "lancedb-ivf-rq.query.nprobes=[64]", "lancedb-hnsw-sq.query.ef=[16, 128]",
        "weaviate-hnsw.query.ef=[16, 128]", "weaviate-hnsw-rq.query.ef=[128]",
        "weaviate-hfresh.query.search_probe=[8, 256]",
    ]  # fmt: skip
    fewer = [part for setting in settings for part in ("--set", f"stores.{setting}")]
    written = run_small(tmp_path, file, [*smaller(file, arrays, server=weaviate), *fewer])
    rows = written["targets"]
    engines = {system["pipeline"]["store"]["name"] for system in written["systems"]}
    assert len(engines) == 9
    assert {(row["engine"], row["target"]) for row in rows} == {(e, t) for e in engines for t in (0.90, 0.95, 0.99)}
    reached = {row["engine"] for row in rows if row["target"] == 0.90 and row["system"]}
    assert reached >= {"lancedb-flat", "weaviate-flat", "weaviate-hnsw"}
    assert all(len(row["loads"]) == 2 for row in rows if row["system"])


@pytest.mark.slow
def test_weaviate_and_lancedb_run_side_by_side(
    tmp_path: Path, beir: Path, static_model: Path, weaviate: dict[str, Any]
) -> None:
    file = CONFIGS / "weaviate_vs_lancedb.yaml"
    written = run_small(tmp_path, file, smaller(file, beir, static_model, weaviate))
    assert written["baseline"] == "exact"


@pytest.mark.slow
def test_returning_texts_costs_bytes_and_no_quality(
    tmp_path: Path, beir: Path, static_model: Path, weaviate: dict[str, Any]
) -> None:
    file = CONFIGS / "payload.yaml"
    written = run_small(tmp_path, file, smaller(file, beir, static_model, weaviate))
    systems = {system["name"]: system for system in written["systems"]}
    assert len(systems) == 8
    for store in ("exact", "lance"):
        without, texts = (systems[f"minilm+{store}(payload={payload})"] for payload in ("none", "text"))
        assert texts["measures"] == without["measures"]
        assert texts["index_bytes"] > without["index_bytes"]


@pytest.mark.slow
def test_managed_and_local_models_run_against_stand_ins(tmp_path: Path, static_model: Path, standin: StandIn) -> None:
    file = CONFIGS / "managed_vs_local.yaml"
    written = run_small(tmp_path, file, smaller(file, tmp_path, static_model))
    assert written["provenance"]["addresses"]


# -- experiments that train --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder that reads query and document together, which a static model cannot. It knows few words."""
    from sentence_transformers import SentenceTransformer

    plain = tiny_bert(tmp_path_factory.mktemp("plain"), positions=256)
    folder = tmp_path_factory.mktemp("transformer")
    SentenceTransformer(str(plain), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of sentences with a similarity of 0 to 5, in three splits."""
    folder = tmp_path_factory.mktemp("scored")
    for split in ("train", "dev", "test"):
        lines = [f"sort the array {split} {i}\tan apple pie {split} {i}\t{i % 6}" for i in range(18)]
        (folder / f"{split}.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *lines]) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "systems", "models"),
    [
        (CONFIGS / "finetune_demo.yaml", 4, 1),
        (CONFIGS / "finetune.yaml", 9, 2),
        (CONFIGS / "negatives.yaml", 9, 8),
        (CONFIGS / "mining_models.yaml", 5, 4),
        (CONFIGS / "data_efficiency.yaml", 9, 8),
        (CONFIGS / "sts.yaml", 3, 2),
        (CONFIGS / "rerankers.yaml", 9, 3),
        (CONFIGS / "query_side.yaml", 4, 3),
        (CONFIGS / "recipes.yaml", 12, 11),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else None,
)
def test_experiments_that_train_run(
    tmp_path: Path, transformer: Path, scored: Path, file: Path, systems: int, models: int
) -> None:
    written = run_small(tmp_path, file, [*smaller(file, scored, transformer), *FEWER])
    assert len(written["systems"]) == systems
    assert len(written["models"]) == models


@pytest.mark.slow
def test_documents_without_labels_come_to_a_model_and_a_verdict_on_real_questions(
    tmp_path: Path, transformer: Path
) -> None:
    """With a writer that knows nothing: no round trip finds what it writes."""
    file = CONFIGS / "no_labels.yaml"
    writer = tiny_writer(tmp_path / "writer", seq2seq=True)
    fewer = {
        "generators.writer": {"adapter": "transformers", "model": str(writer), "device": "cpu"}, "synthetic.sample": 40,
        "synthetic.round_trip": None,
    }  # fmt: skip
    written = run_small(tmp_path, file, [*smaller(file, tmp_path, transformer), *FEWER, *_as_arguments(fewer)])
    assert written["dataset"]["synthetic"]["used_for"] == "train"
    assert written["dataset"]["judged"] == QUERIES  # real ones
    models = {model["name"]: model for model in written["models"]}
    assert models.keys() == {"pretrained", "tuned"}
    assert models["tuned"]["pairs"] == PAIRS
    assert any("synthetic" in note for note in models["tuned"]["notes"])


@pytest.mark.slow
def test_written_and_own_questions_are_set_side_by_side(tmp_path: Path, transformer: Path) -> None:
    file = CONFIGS / "agreement.yaml"
    writer = tiny_writer(tmp_path / "writer", seq2seq=True)
    fewer = {"generators.writer": {"adapter": "transformers", "model": str(writer), "device": "cpu"}}
    settings = [*smaller(file, tmp_path, transformer), *_as_arguments(fewer), *_as_arguments({"synthetic.sample": 40})]
    limit = settings.index(f"dataset.limit={QUERIES}")
    own = run_small(tmp_path / "own", file, [*settings, "--set", "dataset.queries=null"])
    written = run_small(tmp_path / "written", file, settings[: limit - 1] + settings[limit + 1 :])
    assert own["dataset"]["synthetic"] is None and written["dataset"]["synthetic"]["used_for"] == "all"
    places = (tmp_path / "own/results", tmp_path / "written/results")
    told = small.bench("compare", *places, "--on", "verdicts")
    assert told.exit_code == 0 and "synthetic queries of transformers" in told.stdout, told.stderr


@pytest.mark.slow
def test_negatives_that_are_written_and_those_of_a_system_stand_beside_each_other(
    tmp_path: Path, transformer: Path
) -> None:
    """With a writer that knows nothing: what it lacks is drawn at random."""
    file = CONFIGS / "written_negatives.yaml"
    writer = tiny_writer(tmp_path / "writer", positions=1024)
    fewer = {
        "dataset.packages": ["numpy"],
        "generators.writer": {"adapter": "transformers", "model": str(writer), "device": "cpu", "max_tokens": 8},
    }
    written = run_small(tmp_path, file, [*smaller(file, tmp_path, transformer), *_as_arguments(fewer)])
    assert len(written["systems"]) == 6
    kinds = {model["name"]: model["negatives"] for model in written["models"]}
    assert kinds["none"] is None and kinds["found"]["strategy"] == "system"
    assert kinds["written"]["generator"].startswith("transformers ")
    assert kinds["written"]["wanted"] == kinds["written"]["found"] == PAIRS


def test_every_experiment_is_run_by_a_test_of_this_file() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    listed = set(re.findall(r'CONFIGS / "(\w+)\.yaml"', source))
    assert {file.stem for file in CONFIGS.glob("*.yaml")} == listed
