"""Bad input is named before the start: file, key path and cure, exit status 2, nothing on stdout, no result folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.experiment.reader import load_experiment
from tests import small

WORDS = {"words": {"adapter": "words"}}
BM25 = {"name": "bm25", "store": "bm25"}


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.collection(tmp_path_factory.mktemp("collection") / "data")


def refused(tmp_path: Path, experiment: Any, *arguments: str) -> str:
    """stderr of a run that must not start; checks what every refusal has in common."""
    path = small.write(tmp_path, experiment)
    output, cache = tmp_path / "results", tmp_path / "cache"
    for form in ([], ["--json"]):
        outcome = small.bench("run", path, "--output", output, "--cache", cache, "--quiet", *form, *arguments)
        assert outcome.exit_code == 2, outcome.stdout + outcome.stderr
        assert outcome.stdout == ""
        assert not output.exists()
        assert "Traceback" not in outcome.stderr
    return str(outcome.stderr)


def faults(tmp_path: Path, experiment: Any, *overrides: str) -> list[str]:
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, experiment), overrides)
    return [fault.removeprefix(f"{tmp_path}/") for fault in raised.value.faults]


def loaded(tmp_path: Path, experiment: Any, *overrides: str, working_directory: Path | None = None) -> Experiment:
    path = small.write(tmp_path, experiment)
    return load_experiment(path, overrides, working_directory=working_directory)


def with_systems(*systems: Any, **keys: Any) -> dict[str, Any]:
    return small.spec(systems, encoders=WORDS, **keys)


# -- what the file says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        (with_systems(BM25, measurs=["nDCG@10"]), ["bench.yaml: measurs is unknown. Did you mean measures?"]),
        (
            with_systems({"store": "bm25", "rerankr": "x"}),
            ["bench.yaml: systems[0].rerankr is unknown. Did you mean reranker?"],
        ),
        (
            with_systems({"store": "b"}, stores={"b": {"adapter": "bm25", "index": {"tokeniser": "x"}}}),
            ["bench.yaml: stores.b.index.tokeniser is unknown. Did you mean tokenizer?"],
        ),
        (
            with_systems(
                {"encoder": "words", "store": "pq"},
                stores={
                    "pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ"}, "query": {"nprobe": 3}},
                },
            ),
            ["bench.yaml: stores.pq.query.nprobe is unknown. Did you mean nprobes?"],
        ),
        (
            with_systems(BM25, stores={"bm25": {"adapter": "bm52"}}),
            ["bench.yaml: stores.bm25.adapter (bm52): There is no adapter 'bm52' among the stores. Did you mean bm25?"],
        ),
        (
            with_systems({"encoder": "wrods"}),
            ["bench.yaml: systems[0].encoder (wrods) is not among the encoders. Did you mean words?"],
        ),
        (
            with_systems({"store": "bm52"}),
            ["bench.yaml: systems[0].store (bm52) is not among the stores. Did you mean bm25?"],
        ),
        (
            with_systems({"store": "bm25", "reranker": "ce"}),
            ["bench.yaml: systems[0].reranker (ce) is not among the rerankers. Known: none."],
        ),
        (
            with_systems(BM25, baseline="bm52"),
            ["bench.yaml: baseline (bm52) is not a system. Did you mean bm25?"],
        ),
        (with_systems(BM25, measures=["nDGC@10"]), ["bench.yaml: measures[0] (nDGC@10): "]),
        (with_systems(BM25, measures=[10]), ["bench.yaml: measures[0] (10): a cut-off without a measure before it"]),
        (
            with_systems({**BM25, "k": 5}),
            ["bench.yaml: systems[0].k (5) is below the cut-off of a measure (10)."],
        ),
        (
            with_systems({"store": "bm25", "reranker": "r", "depth": 5}, rerankers={"r": {"adapter": "bm25"}}),
            ["bench.yaml: systems[0].k (10) is larger than the depth (5). Raise depth."],
        ),
        (
            with_systems({"store": "bm25", "reranker": "r", "k": 200}, rerankers={"r": {"adapter": "bm25"}}),
            ["bench.yaml: systems[0].k (200) is larger than the depth (100). Raise depth."],
        ),
        (
            with_systems({"encoder": "words", "store": "bm25"}),
            ["bench.yaml: systems[0].encoder is not used: bm25 searches by text. Remove the encoder."],
        ),
        (
            with_systems({"store": "exact"}),
            ["bench.yaml: systems[0] searches exact by vector and so needs an encoder."],
        ),
        (
            with_systems({"name": "x"}),
            ["bench.yaml: systems[0] needs one source of candidates: encoder/store, fuse or run (it has none of them)"],
        ),
        (
            with_systems(BM25, BM25),
            ["bench.yaml: systems[1] would be called bm25, as systems[0] is. Give it a `name`."],
        ),
        (
            with_systems(BM25, {"name": "h", "fuse": ["bm25", "dens"]}),
            ["bench.yaml: systems[1].fuse (dens) is not a system. "],
        ),
        (
            with_systems(BM25, {"name": "h", "fuse": ["bm25", "h"]}),
            ["bench.yaml: systems[1].fuse: h would be fused with itself."],
        ),
        (
            with_systems(BM25, {"name": "h", "fuse": ["bm25", "bm25"]}),
            ["bench.yaml: systems[1].fuse needs at least two different systems."],
        ),
        (with_systems({"name": "today", "run": "no.trec"}), ["bench.yaml: systems[0].run: there is no file "]),
        (with_systems(BM25, latency={"mode": "open"}), ["bench.yaml: latency[0].rate is missing: an open loop"]),
        (with_systems(BM25, margin=0.01), ["bench.yaml: margin has no meaning without a baseline."]),
        (with_systems(BM25, baseline="bm25", margin=2), ["bench.yaml: margin "]),
        (with_systems(BM25, baseline="bm25", margin={"quality": 2}), ["bench.yaml: margin.quality "]),
        (with_systems(BM25, baseline="bm25", margin={"latency": 0.9}), ["bench.yaml: margin.latency "]),
        (
            with_systems(BM25, baseline="bm25", margin={"latencies": 1.1}),
            ["bench.yaml: margin.latencies is unknown. Did you mean latency?"],
        ),
        (with_systems(BM25, baseline="bm25", margin="some"), ["bench.yaml: margin input should be a valid number"]),
        (
            with_systems(BM25, baseline="bm25", margin={"latency": 1.1}, latency=False),
            ["bench.yaml: margin.latency has no meaning while latency is off."],
        ),
        (with_systems(BM25, experiment="My Test"), ["bench.yaml: experiment ('My Test') may only hold a-z, 0-9"]),
        (with_systems(), ["bench.yaml: systems "]),
        (
            with_systems(BM25, filters={"lang": "en"}),
            ["bench.yaml: filters is unknown. "],
        ),
        (
            with_systems({**BM25, "filter": {"year": {"after": 3}}}),
            ["bench.yaml: systems[0].filter.year: Unknown filter operator 'after'. Known: eq, ne, in"],
        ),
    ],
    ids=lambda value: value[0][12:60] if isinstance(value, list) else "",
)
def test_a_wrong_key_or_value_is_named_once_with_its_path(
    tmp_path: Path, data: Path, experiment: dict[str, Any], expected: list[str]
) -> None:
    found = faults(tmp_path, experiment)
    assert len(found) == len(expected), found
    for fault, start in zip(found, expected, strict=True):
        assert fault.startswith(start)


@pytest.mark.parametrize(
    ("margin", "quality", "latency"),
    [(0.01, 0.01, None), ({"quality": 0.01}, 0.01, None), ({"latency": 1.1}, None, 1.1), (None, None, None)],
)
def test_a_plain_margin_is_that_of_quality(
    tmp_path: Path, data: Path, margin: Any, quality: float | None, latency: float | None
) -> None:
    experiment = loaded(tmp_path, with_systems(BM25, baseline="bm25", margin=margin, latency={}))
    assert (experiment.margin, experiment.latency_margin) == (quality, latency)


def test_all_faults_are_named_together(tmp_path: Path) -> None:
    experiment = with_systems(
        {"store": "bm25", "reranker": "r"},
        {"encoder": "wrods"},
        {**BM25, "k": 3},
        baselin="bm25",
        targets={"ANN@10": [0.9]},
    )
    found = "\n".join(faults(tmp_path, experiment))
    for path in ("baselin ", "systems[0].reranker", "systems[1].encoder", "systems[2].k", "targets"):
        assert f"bench.yaml: {path}" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment: x\nsystems: [\n", "bench.yaml: line "),
        ("experiment: x\nexperiment: y\n", "bench.yaml: line 2, column 1: the key 'experiment' stands here twice."),
        ("- a\n- b\n", "bench.yaml: expected a mapping that starts with `experiment: NAME`."),
        ("", "bench.yaml: expected a mapping"),
        ("experiment: x\n", "bench.yaml: dataset is missing."),
    ],
)
def test_a_file_that_is_no_experiment_is_named_with_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    outcome = small.bench("run", tmp_path / "none.yaml")
    assert outcome.exit_code == 2
    assert "none.yaml: there is no such file. Write one with: bench init DIR" in outcome.stderr


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"adapter": "cohere", "model": "embed-v4.0", "api_key": "abc"}, "encoders.c.api_key"),
        ({"adapter": "cohere", "model": "embed-v4.0", "note": "sk-0123456789abcdefghij"}, "encoders.c.note"),
    ],
)
def test_a_literal_secret_is_refused(tmp_path: Path, data: Path, part: dict[str, Any], path: str) -> None:
    message = refused(tmp_path, small.spec([{"encoder": "c"}], encoders={"c": part}))
    assert f"bench.yaml: {path} looks like a secret written into the file." in message
    assert "environment variable" in message
    assert "abcdefghij" not in message


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (
            {"encoders": {"c": {"adapter": "openai", "model": "m", "base_url": "http://me:word@127.0.0.1/v1"}}},
            "encoders.c.base_url",
        ),
        (
            {"stores": {"s": {"adapter": "http", "url": "https://me:word@host/", "ids": "ids"}}},
            "stores.s.url",
        ),
        ({"trackers": {"m": {"adapter": "mlflow", "uri": "https://word@host"}}}, "trackers.m.uri"),
        ({"prices": ["postgresql://me:word@host/prices"]}, "prices[0]"),
    ],
)
def test_an_address_with_a_password_is_refused(tmp_path: Path, data: Path, part: dict[str, Any], path: str) -> None:
    message = refused(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}], **part))
    assert f"bench.yaml: {path} carries a user or a password in its address" in message
    assert "api_key_env: NAME" in message
    assert "word@" not in message


def test_an_at_sign_behind_the_host_or_of_a_container_is_no_password(tmp_path: Path, data: Path) -> None:
    places = ["http://host/a@b", "abfss://container@account.dfs.core.windows.net/v", "http://host:80/?user=a:b@c"]
    for place in places:
        trackers = {"m": {"adapter": "mlflow", "uri": place}}
        path = small.write(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}], trackers=trackers))
        assert load_experiment(path).trackers["m"].options.uri == place


# -- what the data says --------------------------------------------------------------------------------------------


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (replace("corpus.jsonl", '"d2", "text"', '"d2" "text"'), "corpus.jsonl:3: ", "is not valid JSON"),
        (replace("corpus.jsonl", '"d2"', '"d1"'), "corpus.jsonl:3: ", "document id 'd1' stands twice"),
        (replace("queries.jsonl", '"q2"', '"q1"'), "queries.jsonl:3: ", "query id 'q1' stands twice"),
        (replace("qrels/test.tsv", "q0\td0", "q0\tnone"), "qrels/test.tsv:1: ", "dangling: keep"),
        (replace("qrels/test.tsv", "q0\td0", "none\td0"), "qrels/test.tsv:1: ", "dangling: keep"),
        (replace("qrels/test.tsv", "q0\td0\t2", "q0\td0\tgood"), "qrels/test.tsv:1: ", "good"),
        (replace("qrels/test.tsv", "q0\td0\t2", "q0\td0\t1.5"), "qrels/test.tsv:1: ", "1.5"),
        (lambda folder: (folder / "corpus.jsonl").write_text(""), "", "empty"),
        (lambda folder: (folder / "qrels/test.tsv").write_text("z\tz\t1\n"), "qrels/test.tsv", ""),
        (
            lambda folder: (folder / "corpus.jsonl").write_text('{"_id": "d0", "text": 5}\n'),
            "corpus.jsonl:1: ",
            "string",
        ),
        (lambda folder: (folder / "qrels/test.tsv").unlink(), "qrels", "qrels: none"),
    ],
)
def test_a_fault_of_the_data_is_named_with_file_and_line(
    tmp_path: Path, edit: Callable[[Path], object], where: str, what: str
) -> None:
    folder = small.collection(tmp_path / "data")
    edit(folder)
    message = refused(tmp_path, small.spec([BM25]))
    line = next(line for line in message.splitlines() if where in line and what in line)
    assert line.startswith(f"{tmp_path}/bench.yaml: dataset: ")


def test_a_measure_of_relevance_needs_judgements(tmp_path: Path) -> None:
    small.vectors(tmp_path / "data", documents=30, queries=5)
    experiment = small.spec(
        [{"encoder": "given"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={},
    )
    assert "no judgements, though a measure needs them" in refused(tmp_path, experiment)
    _, result = small.measure(tmp_path, {**experiment, "measures": ["ANN@10"]})
    assert result.systems[0].measures["ANN@10"].mean == 1.0


def test_dangling_judgements_may_be_kept(tmp_path: Path) -> None:
    replace("qrels/test.tsv", "q0\td1", "q0\tnone")(small.collection(tmp_path / "data"))
    _, result = small.measure(tmp_path, small.spec([BM25], dangling="keep", measures=["Recall@10"]))
    assert result.status == "success"
    assert any("dangling: keep" in warning for warning in result.warnings)


# -- what the parts say --------------------------------------------------------------------------------------------


def test_sub_vectors_that_do_not_divide_the_dimension_are_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    index = {"type": "IVF_PQ", "num_partitions": 1, "num_sub_vectors": 5}
    stores = {"pq": {"adapter": "lancedb", "index": index}}
    message = refused(tmp_path, with_systems({"encoder": "words", "store": "pq"}, stores=stores))
    assert "bench.yaml: stores.pq.index.num_sub_vectors: num_sub_vectors 5 does not divide the dimension 32." in message


def test_a_model_that_is_not_there_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    encoders = {"m": {"adapter": "sentence_transformers", "model": "models/none"}}
    message = refused(tmp_path, small.spec([{"encoder": "m"}], encoders=encoders))
    assert "bench.yaml: encoders.m: model 'models/none': there is no folder" in message


def test_a_filter_over_a_column_that_is_not_there_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    message = refused(tmp_path, small.spec([{**BM25, "filter": {"language": "en"}}]))
    assert "bench.yaml: systems[0].filter.language: The corpus has no column meta.language. It has: lang" in message


def test_of_many_columns_a_message_lists_some_and_those_spelled_alike_first(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    further = {f"c{i}": i for i in range(500)}
    small.write_jsonl(folder / "corpus.jsonl", [{**row, **further} for row in rows])
    message = refused(tmp_path, small.spec([{**BM25, "filter": {"langs": "en"}}]))
    assert "no column meta.langs. It has: lang, c0, c1, " in message
    assert message.count(", c") < 20 and " more." in message


def test_a_filter_that_nothing_passes_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    message = refused(tmp_path, small.spec([{**BM25, "filter": {"lang": "fr"}}]))
    assert "bench.yaml: systems[0].filter: no document passes the filter." in message


def test_encoders_of_other_spaces_do_not_go_together_unless_said(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    encoders = {"a": {"adapter": "words"}, "b": {"adapter": "words", "salt": 1}}
    system = {"name": "two", "encoder": {"document": "a", "query": "b"}}
    message = refused(tmp_path, small.spec([system], encoders=encoders))
    assert "systems[0].encoder: a and b are not known to share a vector space." in message
    assert "shared_space: true" in message
    _, result = small.measure(tmp_path, small.spec([{**system, "shared_space": True}], encoders=encoders))
    assert result.systems[0].status == "success"


def test_a_run_file_of_other_queries_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "today.trec").write_text("other Q0 d1 1 1.0 x\n")
    message = refused(tmp_path, small.spec([{"name": "today", "run": "today.trec"}]))
    assert "systems[0].run: " in message and "ranks none of the dataset's queries" in message


def test_a_malformed_run_file_is_refused_with_its_line(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "today.trec").write_text("q0 Q0 d1 1 1.0 x\nq0 d2\n")
    message = refused(tmp_path, small.spec([{"name": "today", "run": "today.trec"}]))
    assert f"{tmp_path}/today.trec:2: expected" in message


# -- the matrix ----------------------------------------------------------------------------------------------------

LANCE = {
    "adapter": "lancedb",
    "index": {"type": "IVF_FLAT", "num_partitions": [2, 4]},
    "query": {"nprobes": [1, 2]},
}


def names(experiment: Experiment) -> list[str]:
    return [system.name for system in experiment.systems]


def test_lists_multiply_and_name_what_was_swept(tmp_path: Path) -> None:
    experiment = with_systems(
        {"encoder": ["words", "other"], "store": "ivf", "reranker": [None, "r"]},
        stores={"ivf": LANCE},
        rerankers={"r": {"adapter": "bm25"}},
    )
    experiment["encoders"] = {**WORDS, "other": {"adapter": "words", "salt": 2}}
    found = names(loaded(tmp_path, experiment))
    assert len(found) == len(set(found)) == 16  # 2 encoders × 2 × 2 options × with and without reranker
    assert found[0] == "words+ivf(num_partitions=2,nprobes=1)"
    assert found[-1] == "other+ivf+r(num_partitions=4,nprobes=2)"


def test_a_name_takes_what_was_swept(tmp_path: Path) -> None:
    experiment = with_systems({"name": "x", "encoder": "words", "store": "ivf"}, stores={"ivf": LANCE})
    assert names(loaded(tmp_path, experiment))[:2] == [
        "x(num_partitions=2,nprobes=1)",
        "x(num_partitions=2,nprobes=2)",
    ]
    experiment = with_systems({**BM25, "reranker": [None, "r"]}, rerankers={"r": {"adapter": "bm25"}})
    assert names(loaded(tmp_path, experiment)) == ["bm25(reranker=null)", "bm25(reranker=r)"]


def test_an_unnamed_system_is_called_by_its_parts(tmp_path: Path) -> None:
    experiment = with_systems(
        {"encoder": "words"},
        {"store": "bm25"},
        {"store": "bm25", "reranker": "r"},
        rerankers={"r": {"adapter": "bm25"}},
    )
    assert names(loaded(tmp_path, experiment)) == ["words", "bm25", "bm25+r"]


def test_an_option_that_is_itself_a_list_is_written_as_a_list_of_lists(tmp_path: Path) -> None:
    words = {"custom_stop_words": [["the"], ["the", "of"]]}
    store = {"adapter": "lancedb", "index": {"full_text": words}, "query": {"mode": "text"}}
    found = loaded(tmp_path, small.spec([{"store": "fts"}], stores={"fts": store})).systems
    assert [s.store.index.full_text.custom_stop_words for s in found if s.store] == [("the",), ("the", "of")]
    assert names(loaded(tmp_path, small.spec([{"store": "fts"}], stores={"fts": store}))) == [
        "fts(full_text.custom_stop_words=the)",
        "fts(full_text.custom_stop_words=the|of)",
    ]


def test_fusions_multiply_by_a_list_of_lists(tmp_path: Path) -> None:
    experiment = with_systems(
        BM25, {"name": "a", "encoder": "words"}, {"name": "b", "store": "bm25", "depth": 50},
        {"fuse": [["bm25", "a"], ["a", "b"]], "by": ["rrf", "weighted"]},
    )  # fmt: skip
    assert names(loaded(tmp_path, experiment))[3:] == [
        "rrf[bm25,a]", "weighted[bm25,a]", "rrf[a,b]", "weighted[a,b]",
    ]  # fmt: skip


def test_k_is_the_largest_cut_off_and_depth_a_hundred(tmp_path: Path) -> None:
    system = loaded(tmp_path, with_systems(BM25, measures=["nDCG@10", "Recall@20"])).systems[0]
    assert (system.k, system.depth, system.limit) == (20, 100, 20)


def test_the_default_measures_have_all_their_cut_offs(tmp_path: Path) -> None:
    measures = [str(m) for m in loaded(tmp_path, with_systems(BM25)).measures]
    assert measures == ["nDCG@10", *(f"{kind}@{k}" for kind in ("Recall", "MRR") for k in (1, 3, 5, 10))]
    short = loaded(tmp_path, with_systems(BM25, measures=["nDCG@10", "Recall@1, 3, 5, 10", "MRR@1", 3, 5, 10]))
    assert [str(m) for m in short.measures] == measures


# -- --set ---------------------------------------------------------------------------------------------------------


def test_set_takes_the_paths_that_errors_print(tmp_path: Path) -> None:
    experiment = with_systems(BM25, {"name": "d", "encoder": "words"})
    found = loaded(tmp_path, experiment, "systems[1].depth=50", "seed=7", "measures=[MRR@5]")
    assert (found.systems[1].depth, found.settings.seed, str(found.primary)) == (50, 7, "MRR@5")


def test_set_creates_keys_that_the_schema_knows(tmp_path: Path) -> None:
    experiment = with_systems(BM25)
    del experiment["latency"]
    found = loaded(tmp_path, experiment, "stores.bm25.index.k1=0.9", "latency.samples=5")
    assert found.systems[0].store is not None
    assert found.systems[0].store.index.k1 == 0.9
    assert found.loads[0].samples == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sede=3", "bench.yaml: sede is unknown. Did you mean seed?"),
        ("stores.bm25.index.kk1=3", "bench.yaml: stores.bm25.index.kk1 is unknown. Did you mean k1?"),
        ("systems[4].k=3", "--set systems[4].k=3: there is no item [4]; systems has 1, counted from 0."),
        ("experiment.name=3", "--set experiment.name=3: experiment is 'small', which has no keys."),
        ("seed", "--set seed: expected KEY.PATH=VALUE"),
        ("seed=[", "--set seed=[: the value is not YAML"),
        ("a[b]=1", "--set a[b]=1: 'a[b]' is not a key or a key with [number]."),
    ],
)
def test_a_wrong_set_is_named(tmp_path: Path, override: str, message: str) -> None:
    assert faults(tmp_path, with_systems(BM25), override)[0].startswith(message)


def test_paths_start_at_the_file_and_those_of_set_where_the_user_stands(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    small.collection(there / "data", documents=30, queries=5)
    small.collection(here / "data", documents=20, queries=4)
    path = small.write(there, small.spec([BM25]))
    output = ["--output", str(tmp_path / "results"), "--cache", str(tmp_path / "cache"), "--json", "--quiet"]
    before = Path.cwd()
    os.chdir(here)
    try:
        file = small.bench("run", path, *output)
        set_ = small.bench("run", path, *output, "--set", "dataset.path=data")
    finally:
        os.chdir(before)
    documents = [
        json.loads(Path(json.loads(o.stdout)["result"], "result.json").read_text())["dataset"]["documents"]
        for o in (file, set_)
    ]
    assert documents == [30, 20]


def test_the_hash_covers_what_can_change_a_result_and_not_the_place_of_the_cache(tmp_path: Path) -> None:
    plain = loaded(tmp_path, with_systems(BM25)).hash
    assert loaded(tmp_path, with_systems(BM25), "cache=elsewhere").hash == plain
    assert loaded(tmp_path, with_systems(BM25), "seed=1").hash != plain


def test_vectors_of_another_dimension_than_the_corpus_are_refused(tmp_path: Path) -> None:
    small.vectors(tmp_path / "data", documents=30, queries=5)
    np.save(tmp_path / "data" / "queries.npy", np.zeros((5, 8), np.float32))
    experiment = small.spec(
        [{"encoder": "given"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        measures=["ANN@10"],
    )
    message = refused(tmp_path, experiment)
    assert "dimension" in message and "8" in message and "32" in message


# -- paths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {"cache": "$NO_SUCH_VARIABLE/x"},
        {"dataset": {"adapter": "beir", "path": "$NO_SUCH_VARIABLE/x"}},
        {"dataset": {"adapter": "files", "path": "data", "questions": "${NO_SUCH_VARIABLE}.csv"}},
        {"dataset": {"adapter": "vectors", "corpus": "a.npy", "queries": "$NO_SUCH_VARIABLE.npy"}},
        {"dataset": {"adapter": "hub", "dataset": "mteb/x", "cache_dir": "~/$NO_SUCH_VARIABLE"}},
        {"encoders": {"e": {"adapter": "sentence_transformers", "model": "$NO_SUCH_VARIABLE/m"}}},
        {"rerankers": {"r": {"adapter": "cross_encoder", "model": "$NO_SUCH_VARIABLE/m"}}},
        {"stores": {"bm25": {"adapter": "bm25"}, "t": {"adapter": "lancedb", "uri": "$NO_SUCH_VARIABLE/t"}},
         "systems": [BM25, {"encoder": "words", "store": "t"}]},
        {"systems": [{"run": "$NO_SUCH_VARIABLE/today.trec"}]},
        {"trackers": {"m": {"adapter": "mlflow", "uri": "$NO_SUCH_VARIABLE/mlruns"}}},
    ],
)  # fmt: skip
def test_an_undefined_variable_in_any_path_is_a_fault_that_names_it(tmp_path: Path, keys: dict[str, Any]) -> None:
    found = faults(tmp_path, {**with_systems(BM25), **keys})
    assert len(found) == 1
    assert ": the variable NO_SUCH_VARIABLE in the path" in found[0]
    assert "is not set. Set it: export NO_SUCH_VARIABLE=…" in found[0]


def test_every_path_takes_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    small.collection(home / "data")
    (home / "today.trec").write_text("q0 Q0 d0 1 1.0 x\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PLACE", str(home))
    experiment = small.spec(
        [{"name": "today", "run": "$PLACE/today.trec"}, BM25],
        dataset={"adapter": "beir", "path": "~/data"},
        cache="${PLACE}/cache",
        measures=["nDCG@10"],
    )
    work = tmp_path / "work"
    work.mkdir()
    outcome = small.bench("run", small.write(work, experiment), "--output=~/out", "--quiet")
    assert outcome.exit_code == 0
    assert sorted(path.name for path in home.iterdir()) == ["cache", "data", "out", "today.trec"]
    assert [path.name for path in work.iterdir()] == ["bench.yaml"]


def test_a_value_of_set_is_a_path_by_its_option_and_not_because_such_a_file_is_here(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "test").mkdir(parents=True)
    experiment = {**with_systems(BM25), "encoders": {"e": {"adapter": "sentence_transformers", "model": "m"}}}
    (here / "m").mkdir()
    read = loaded(
        tmp_path, experiment, "dataset.split=test", "dataset.path=other", "encoders.e.model=m", "cache=c",
        "stores.t={adapter: lancedb, uri: tables}", "stores.u={adapter: lancedb, uri: 's3://tables'}",
        working_directory=here,
    )  # fmt: skip
    assert read.dataset.options.split == "test"
    assert read.dataset.options.path == here / "other"
    assert read.encoders["e"].options.model == str(here / "m")
    assert read.settings.cache == str(here / "c")
    assert read.settings.stores["t"]["uri"] == str(here / "tables")
    assert read.settings.stores["u"]["uri"] == "s3://tables"


def test_an_option_is_a_path_whatever_else_it_may_be() -> None:
    """A third party's plain `Path` is one too."""
    from pydantic import BaseModel

    from adapters.base import FilePath, PathText, holds_path

    class Model(BaseModel):
        plain: Path | None = None
        several: list[FilePath] | FilePath | None = None
        perhaps: PathText = ""
        no: str | None = None

    kinds = {name: holds_path(field) for name, field in Model.model_fields.items()}
    assert kinds == {"plain": "path", "several": "path", "perhaps": "text", "no": None}


def test_every_option_that_is_called_a_path_has_the_type_of_one() -> None:
    from adapters.base import holds_path

    named = ("path", "folder", "file", "dir", "uri", "questions")
    wrong = []
    for role in registry.ROLES:
        for name in registry.names(role):
            kind = registry.load(role, name)
            models = (kind.Index, kind.Query, kind.Connection) if role == "stores" else (kind.Options,)
            for model in models:
                fields = [(key, field) for key, field in model.model_fields.items() if key.split("_")[-1] in named]
                wrong += [f"{role}.{name}.{key}" for key, field in fields if holds_path(field) is None]
    assert [option for option in wrong if option not in NO_FILES] == []


NO_FILES = {
    "rerankers.rerank_api.path",  # below a server's address
    "datasets.pairs.questions",  # a group, whose `path` is one
    "generators.transformers.gguf_file",  # a name in the model's folder, and no other is taken
}


@pytest.mark.parametrize("form", ["utf-8-sig", "utf-16"])
def test_an_experiment_reads_the_same_in_every_encoding(tmp_path: Path, form: str) -> None:
    path = small.write(tmp_path, with_systems(BM25))
    plain = load_experiment(path)
    path.write_bytes(path.read_text().encode(form))
    assert load_experiment(path).hash == plain.hash


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "models.m.batch_size is an empty list"),
        ([8, 16, 8], "models.m.batch_size names 8 twice"),
        ([None, None], "models.m.batch_size names null twice"),
    ],
)
def test_a_list_of_a_models_options_says_something_and_nothing_twice(
    tmp_path: Path, values: list[Any], told: str
) -> None:
    spec = small.spec(
        [{"name": "bm25", "store": "bm25"}], models={"m": {"recipe": "mnrl", "base": "x", "batch_size": values}}
    )
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, spec))
    assert told in str(raised.value)
