"""Whole runs on small collections: work is shared, failures stay where they happen, figures mean what they say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adapters.base import Event, StageStarted
from bench.results.model import read_result
from tests import small

WORDS = {"words": {"adapter": "words"}}
SHORT = {"samples": 6, "seconds": 5, "turn_seconds": 0.001}
BM25 = {"name": "bm25", "store": "bm25"}
DENSE = {"name": "dense", "encoder": "words"}
DOCUMENTS, QUERIES = 60, 12


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data", documents=DOCUMENTS, queries=QUERIES)
    return tmp_path


def work(result: Any) -> dict[str, tuple[int, int]]:
    return {name: (done["computed"], done["reused"]) for name, done in result.work.model_dump().items()}


# -- work ----------------------------------------------------------------------------------------------------------


def test_a_second_run_computes_nothing_and_says_the_same(folder: Path) -> None:
    experiment = small.spec(
        [
            BM25,
            DENSE,
            {"name": "hybrid", "fuse": ["bm25", "dense"]},
            {"name": "reranked", "store": "bm25", "reranker": "r"},
        ],
        encoders=WORDS,
        rerankers={"r": {"adapter": "bi_encoder", "encoder": "words"}},
        baseline="bm25",
        latency=SHORT,
    )
    first_folder, first = small.measure(folder, experiment)
    second_folder, second = small.measure(folder, experiment)
    # bm25 at limit 10 (alone) and at 100 (as a leg, and before the reranker): 2 searches; dense at 10 and 100
    assert work(first)["texts_embedded"] == (DOCUMENTS + QUERIES, 0)
    assert work(first)["indexes_built"] == (2, 0)
    assert work(first)["queries_searched"] == (4 * QUERIES, 0)
    assert work(first)["pairs_scored"][0] > 0
    assert all(computed == 0 for computed, _ in work(second).values())
    assert all(reused > 0 for _, reused in work(second).values())
    assert second_folder != first_folder
    assert small.means(second) == small.means(first)
    assert first.latency_samples >= 4 * 10 * 20 and second.latency_samples == 0
    for name, before in small.by_name(first).items():
        after = small.by_name(second)[name]
        assert before.latency and after.latency
        assert not before.latency.reused and after.latency.reused
        assert after.latency.measured_at == before.latency.measured_at
        assert after.against_baseline == before.against_baseline
        file = f"runs/{name}.trec"
        assert (second_folder / file).read_bytes() == (first_folder / file).read_bytes()


def test_remeasure_takes_the_latencies_again(folder: Path) -> None:
    experiment = small.spec([BM25], latency=SHORT)
    small.measure(folder, experiment)
    _, again = small.measure(folder, experiment, remeasure=True)
    assert again.latency_samples >= 10 * 20  # ten rounds of twenty queries, and those that were disturbed once more
    assert work(again)["queries_searched"] == (0, QUERIES)


def test_a_matrix_embeds_each_text_once_per_encoder_and_builds_each_index_once(
    tmp_path: Path, static_model: Path
) -> None:
    small.collection(tmp_path / "data", documents=300, queries=20)
    whole = {"adapter": "sentence_transformers", "model": str(static_model)}
    lance = {"adapter": "lancedb"}
    probes = {"nprobes": [1, 2]}
    experiment = small.spec(
        [{"encoder": ["whole", "half"], "store": ["flat", "sq", "pq", "hnsw"], "reranker": [None, "r"]}],
        encoders={"whole": whole, "half": {**whole, "truncate_dim": 64}},
        stores={
            "flat": {**lance, "index": {"type": "IVF_FLAT", "num_partitions": 2}, "query": probes},
            "sq": {**lance, "index": {"type": "IVF_SQ", "num_partitions": 2}, "query": probes},
            "pq": {**lance, "index": {"type": "IVF_PQ", "num_partitions": 2, "num_sub_vectors": 16}, "query": probes},
            "hnsw": {**lance, "index": {"type": "IVF_HNSW_SQ"}, "query": {"ef": [100, 200]}},
        },
        rerankers={"r": {"adapter": "bm25"}},
    )
    _, first = small.measure(tmp_path, experiment)
    assert first.status == "success"
    assert len(first.systems) == 32  # 2 encoders × 4 indexes × 2 settings × with and without reranker
    assert work(first)["texts_embedded"] == (2 * (300 + 20), 0)
    assert work(first)["indexes_built"][0] == 8
    assert work(first)["queries_searched"] == (32 * 20, 0)
    _, second = small.measure(tmp_path, experiment)
    assert all(computed == 0 for computed, _ in work(second).values())
    assert small.means(second) == small.means(first)


def test_a_text_under_two_ids_is_embedded_once_and_stays_two_documents(folder: Path) -> None:
    corpus = folder / "data" / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    small.write_jsonl(corpus, [*rows, {**rows[0], "_id": "twin"}])
    _, result = small.measure(folder, small.spec([DENSE], encoders=WORDS))
    assert result.dataset.documents == DOCUMENTS + 1
    assert work(result)["texts_embedded"] == (DOCUMENTS + QUERIES, 0)
    index = result.systems[0].index
    assert index is not None and index.rows == DOCUMENTS + 1


def test_a_further_system_reuses_what_is_there(folder: Path) -> None:
    small.measure(folder, small.spec([DENSE], encoders=WORDS))
    _, result = small.measure(folder, small.spec([DENSE, BM25], encoders=WORDS))
    assert work(result) == {
        "texts_embedded": (0, DOCUMENTS + QUERIES),
        "indexes_built": (1, 1),
        "queries_searched": (QUERIES, QUERIES),
        "pairs_scored": (0, 0),
    }


# -- a run file ----------------------------------------------------------------------------------------------------


def test_the_rankings_of_today_are_a_row_and_the_baseline(folder: Path) -> None:
    made, first = small.measure(folder, small.spec([BM25]))
    shutil.copy(made / "runs" / "bm25.trec", folder / "today.trec")
    experiment = small.spec([{"name": "today", "run": "today.trec"}, BM25], baseline="today", latency=SHORT)
    _, result = small.measure(folder, experiment)
    today, bm25 = result.systems
    assert today.measures == first.systems[0].measures
    against = bm25.against_baseline["nDCG@10"]
    assert (against.difference, against.wins, against.ties, against.losses) == (0.0, 0, QUERIES, 0)
    assert today.latency is None and bm25.latency is not None
    assert today.pipeline.run == "today.trec"


def test_a_query_that_a_run_file_lacks_scores_zero_and_is_counted(folder: Path) -> None:
    lines = [f"q{i} Q0 d{i} 1 1.0 x" for i in range(QUERIES - 3)]
    (folder / "today.trec").write_text("\n".join(lines) + "\n")
    _, result = small.measure(folder, small.spec([{"name": "today", "run": "today.trec"}], measures=["Hit@10"]))
    hit = result.systems[0].measures["Hit@10"]
    assert (hit.mean, hit.queries, hit.failed) == (9 / 12, 12, 0)
    assert result.systems[0].queries_without_line == 3
    assert result.systems[0].status == "success"


# -- failures ------------------------------------------------------------------------------------------------------


def run_to_exit(folder: Path, experiment: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    path = small.write(folder, experiment)
    places = ("--output", folder / "results", "--cache", folder / "cache")
    outcome = small.bench("run", path, *places, "--json", "--quiet", *arguments)
    told = json.loads(outcome.stdout)
    written = read_result(Path(told["result"]))
    assert told["status"] == written.status
    assert told["systems"] == [system.model_dump(mode="json") for system in written.systems]
    return outcome.exit_code, {system["name"]: system for system in told["systems"]} | {"status": told["status"]}


def test_one_failing_query_makes_a_system_partial_and_never_better(folder: Path) -> None:
    stores = {"bm25": {"adapter": "bm25"}, "fragile": {"adapter": "fragile", "query": {"fails_for": "3"}}}
    experiment = small.spec([BM25, {"store": "fragile"}], stores=stores, baseline="bm25", measures=["Hit@10"])
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (1, "partial")
    fragile = systems["fragile"]
    assert fragile["status"] == "partial"
    assert fragile["measures"]["Hit@10"]["queries"] == QUERIES
    failed = fragile["measures"]["Hit@10"]["failed"]
    assert 0 < failed < QUERIES
    assert fragile["measures"]["Hit@10"]["mean"] <= (QUERIES - failed) / QUERIES
    assert "the word 3 is refused." in fragile["error"]
    assert fragile["against_baseline"]["Hit@10"]["verdict"] != "better"
    assert systems["bm25"]["status"] == "success"


def test_a_failed_query_is_asked_again_by_the_next_run(folder: Path) -> None:
    stores = {"fragile": {"adapter": "fragile", "query": {"fails_for": "3"}}}
    experiment = small.spec([{"store": "fragile"}], stores=stores)
    small.measure(folder, experiment)
    _, again = small.measure(folder, experiment)
    assert work(again)["queries_searched"] == (QUERIES, 0)


def test_a_flat_index_that_misses_neighbours_is_void(folder: Path) -> None:
    stores = {"forgetful": {"adapter": "forgetful"}}
    experiment = small.spec([DENSE, {"encoder": "words", "store": "forgetful"}], encoders=WORDS, stores=stores)
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (1, "partial")
    void = systems["words+forgetful"]
    assert void["status"] == "void"
    assert f"for {QUERIES} of {QUERIES} queries" in void["error"]
    assert void["measures"]["nDCG@10"]["mean"] is None
    assert systems["dense"]["status"] == "success"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"nan_for": "copper"}, "hold NaN or infinity"),
        ({"short_for": "copper"}, "vectors have dimension 16, expected 32"),
    ],
)
def test_bad_vectors_end_one_system_and_the_others_go_on(folder: Path, fault: dict[str, str], cause: str) -> None:
    encoders = {**WORDS, "bad": {"adapter": "words", "salt": 1, **fault}}
    experiment = small.spec([{"name": "bad", "encoder": "bad"}, DENSE, BM25], encoders=encoders)
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (1, "partial")
    assert systems["bad"]["status"] == "error"
    assert cause in systems["bad"]["error"]
    assert systems["bad"]["measures"]["nDCG@10"]["mean"] is None
    assert systems["dense"]["status"] == systems["bm25"]["status"] == "success"


def test_when_no_system_could_be_measured_the_result_is_an_error(folder: Path) -> None:
    experiment = small.spec(
        [{"name": "bad", "encoder": "bad"}], encoders={"bad": {"adapter": "words", "nan_for": "the"}}
    )
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (1, "error")


def test_a_failure_is_told_once_when_it_happens_and_once_in_the_table(folder: Path) -> None:
    encoders = {**WORDS, "bad": {"adapter": "words", "nan_for": "the"}}
    path = small.write(folder, small.spec([{"name": "bad", "encoder": "bad"}, DENSE], encoders=encoders))
    places = ("--output", folder / "results", "--cache", folder / "cache")
    small.bench("run", path, *places)  # the dense system's work is done: nothing is left to compute
    outcome = small.bench("run", path, *places)
    assert [text.count("bad: error: ") for text in (outcome.stderr, outcome.stdout)] == [1, 1]
    assert "the whole quality pass came from the cache" not in outcome.stdout


def test_an_engine_that_does_not_index_is_not_indexed_and_no_failure(folder: Path) -> None:
    stores = {"lazy": {"adapter": "lazy"}}
    experiment = small.spec([{"encoder": "words", "store": "lazy"}, DENSE], encoders=WORDS, stores=stores)
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (0, "success")
    assert systems["words+lazy"]["status"] == "not_indexed"
    assert systems["words+lazy"]["measures"]["nDCG@10"]["mean"] is None


def test_product_quantisation_under_256_rows_is_not_indexed(folder: Path) -> None:
    stores = {"pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "num_partitions": 1, "num_sub_vectors": 16}}}
    experiment = small.spec([{"encoder": "words", "store": "pq"}], encoders=WORDS, stores=stores)
    code, systems = run_to_exit(folder, experiment)
    assert code == 0
    assert systems["words+pq"]["status"] == "not_indexed"
    assert "256" in systems["words+pq"]["error"]


def test_a_device_that_is_full_ends_one_system(folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    stores = {"full": {"adapter": "full_disk"}}
    experiment = small.spec([{"encoder": "words", "store": "full"}, DENSE], encoders=WORDS, stores=stores)
    code, systems = run_to_exit(folder, experiment)
    assert (code, systems["status"]) == (1, "partial")
    assert systems["words+full"]["status"] == "error"
    assert "the disk is full" in systems["words+full"]["error"]
    assert "--cache DIR" in systems["words+full"]["error"]


def test_a_cache_on_a_full_disk_ends_what_does_not_fit(tmp_path: Path) -> None:
    """A file system of 1 MiB in a mount namespace of its own; the results lie elsewhere."""
    small.collection(tmp_path / "data", documents=8000, queries=5)
    cache = tmp_path / "cache"
    cache.mkdir()
    path = small.write(
        tmp_path, small.spec([{"name": "dense", "encoder": "words"}], encoders={"words": {"adapter": "words"}})
    )
    site = tmp_path / "site"
    site.mkdir()
    command = (
        f"mount -t tmpfs -o size=1500k tmpfs {cache} && "
        f"PYTHONPATH={small.third_party(site)} exec {sys.executable} -m bench run {path} "
        f"--output {tmp_path / 'results'} --cache {cache} --json --quiet"
    )
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user mount a file system of their own")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    system = json.loads(done.stdout)["systems"][0]
    assert system["status"] == "error"
    assert "the disk is full" in system["error"]


# -- indexes -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ann_recall_rises_with_probes_and_with_refinement(
    tmp_path: Path, collections: Path, static_model: Path
) -> None:
    index = {"type": "IVF_PQ", "num_partitions": 16, "num_sub_vectors": 32}
    query = {"nprobes": [1, 3, 16], "refine_factor": [None, 10]}
    experiment = small.spec(
        [{"name": "flat", "encoder": "static", "store": "flat"}, {"name": "pq", "encoder": "static", "store": "pq"}],
        dataset={"adapter": "beir", "path": str(collections / "scifact")},
        encoders={"static": {"adapter": "sentence_transformers", "model": str(static_model)}},
        stores={"flat": {"adapter": "lancedb"}, "pq": {"adapter": "lancedb", "index": index, "query": query}},
        measures=["ANN@10", "ANN@1"],
    )
    _, result = small.measure(tmp_path, experiment)
    found = {name: s.ann_recall["10"] or 0.0 for name, s in small.by_name(result).items()}
    assert found["flat"] == 1.0
    for refine in ("null", "10"):
        rising = [found[f"pq(nprobes={n},refine_factor={refine})"] for n in (1, 3, 16)]
        assert rising[0] < rising[1] < rising[2]
    for probes in (1, 3, 16):
        assert found[f"pq(nprobes={probes},refine_factor=null)"] < found[f"pq(nprobes={probes},refine_factor=10)"]
    assert work(result)["indexes_built"] == (2, 0)
    assert result.systems[0].measures["ANN@10"].mean == 1.0


def test_an_index_whose_build_was_interrupted_is_built_again_whole(folder: Path) -> None:
    stores = {"lance": {"adapter": "lancedb"}}
    experiment = small.spec([{"name": "lance", "encoder": "words", "store": "lance"}], encoders=WORDS, stores=stores)
    _, first = small.measure(folder, experiment)
    (reference,) = (folder / "cache" / "indexes").glob("*/ref.json")
    reference.unlink()  # it is written last: without it the engine's files may be half of an index
    shutil.rmtree(folder / "cache" / "candidates")
    _, again = small.measure(folder, experiment)
    assert work(again)["indexes_built"] == (1, 0)
    assert work(again)["texts_embedded"] == (0, DOCUMENTS + QUERIES)
    assert small.means(again) == small.means(first)


def test_a_reranker_is_judged_after_what_the_index_lost(folder: Path) -> None:
    experiment = small.spec(
        [{"name": "r", "encoder": "words", "reranker": "r"}, {"name": "h", "fuse": ["bm25", "dense"]}, BM25, DENSE],
        encoders=WORDS,
        rerankers={"r": {"adapter": "bm25"}},
    )
    _, result = small.measure(folder, experiment)
    systems = small.by_name(result)
    assert [loss.stage for loss in systems["r"].loss] == ["exact", "reranked"]
    assert systems["r"].loss[-1].mean == systems["r"].measures["nDCG@10"].mean
    assert systems["h"].loss[-1].stage == "fused"
    assert systems["h"].loss[-1].mean == systems["h"].measures["nDCG@10"].mean
    assert systems["h"].ann_recall == {"10": None}


def test_a_filter_restricts_what_is_relevant_and_what_is_nearest(folder: Path) -> None:
    stores = {"bm25": {"adapter": "bm25"}, "lance": {"adapter": "lancedb"}}
    systems = [
        {"name": "all", "encoder": "words"},
        {"name": "en", "encoder": "words", "filter": {"lang": "en"}},
        {"name": "lance-en", "encoder": "words", "store": "lance", "filter": {"lang": "en"}},
        {"name": "bm25-en", "store": "bm25", "filter": {"lang": "en"}},
    ]
    experiment = small.spec(systems, encoders=WORDS, stores=stores, baseline="en", measures=["Recall@60", "ANN@10"])
    made, result = small.measure(folder, experiment)
    found = small.by_name(result)
    # Every document is found at 60; half of them are en, and so is one of the two relevant ones of each query.
    assert found["all"].measures["Recall@60"].mean == 1.0
    assert found["en"].measures["Recall@60"].mean == 1.0
    assert found["en"].ann_recall["10"] == found["lance-en"].ann_recall["10"] == 1.0
    documents = {line.split()[2] for line in (made / "runs" / "en.trec").read_text().splitlines()}
    assert documents == {f"d{i}" for i in range(0, DOCUMENTS, 2)}
    assert found["all"].against_baseline == {}
    assert "Recall@60" in found["lance-en"].against_baseline


def test_several_builds_are_told_apart(tmp_path: Path) -> None:
    small.vectors(tmp_path / "data", documents=600, queries=30)
    index = {"type": "IVF_FLAT", "num_partitions": 8}
    experiment = small.spec(
        [{"name": "exact", "encoder": "given"}, {"name": "ivf", "encoder": "given", "store": "ivf"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={"ivf": {"adapter": "lancedb", "index": index, "query": {"nprobes": 1}}},
        measures=["ANN@10"],
        builds=3,
    )
    made, result = small.measure(tmp_path, experiment)
    exact, ivf = result.systems
    assert work(result)["indexes_built"][0] == 4
    assert exact.builds == [] and len(ivf.builds) == 3
    assert ivf.index is not None and ivf.index.builds == 3
    each = [build["ANN@10"] or 0.0 for build in ivf.builds]
    assert ivf.measures["ANN@10"].mean == pytest.approx(sum(each) / 3)
    assert sorted(p.name for p in (made / "runs").iterdir()) == [
        "exact.trec", "ivf.build2.trec", "ivf.build3.trec", "ivf.trec",
    ]  # fmt: skip
    assert pq.read_table(made / "per_query.parquet").num_rows == 30 * 4


# -- folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["started", "cancelled"])
def test_a_result_that_was_cut_off_is_continued_in_its_folder(folder: Path, status: str) -> None:
    first, _ = small.measure(folder, small.spec([BM25]))
    file = first / "result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "status": status}))
    again, result = small.measure(folder, small.spec([BM25]))
    assert again == first
    assert result.status == "success"
    assert result.provenance.resumed is True
    assert small.measure(folder, small.spec([BM25]))[0] != first


def test_an_unreadable_old_result_does_not_stop_a_run(folder: Path) -> None:
    first, _ = small.measure(folder, small.spec([BM25]))
    (first / "result.json").write_text("{")
    again, result = small.measure(folder, small.spec([BM25]))
    assert again != first and result.status == "success"


def test_a_result_of_a_newer_format_stops_a_run_before_it_starts(folder: Path) -> None:
    first, _ = small.measure(folder, small.spec([BM25]))
    file = first / "result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    places = ("--output", folder / "results", "--cache", folder / "cache", "--json", "--quiet")
    outcome = small.bench("run", folder / "bench.yaml", *places)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert f"{file}: was written in format 99; this version reads up to 1." in outcome.stderr
    assert len(list((folder / "results" / "small").iterdir())) == 1


def test_a_cache_in_use_is_refused_with_its_holder(folder: Path) -> None:
    path = small.write(folder, small.spec([BM25]))
    hold = (
        "import sys, pathlib\nfrom bench.cache.locks import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'The cache'):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, folder / "cache"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        outcome = small.bench("run", path, "--output", folder / "results", "--cache", folder / "cache")
        assert holder.stdin is not None
        holder.stdin.close()
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert f"is in use by another run (process {holder.pid})" in outcome.stderr
    assert not (folder / "results").exists()


def test_what_lies_in_the_folder_is_enough_to_compute_the_figures(folder: Path) -> None:
    experiment = small.spec([BM25, DENSE], encoders=WORDS, baseline="bm25", latency=SHORT)
    made, result = small.measure(folder, experiment)
    assert {p.name for p in made.iterdir()} >= {
        "result.json", "runs", "events.jsonl", "per_query.parquet", "timings.parquet",
    }  # fmt: skip
    rows = pq.read_table(made / "per_query.parquet").to_pylist()
    for system in result.systems:
        values = [row["nDCG@10"] for row in rows if row["system"] == system.name]
        assert sum(values) / len(values) == pytest.approx(system.measures["nDCG@10"].mean)
    events = [json.loads(line) for line in (made / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.count("QueryScored") == 2 * QUERIES
    assert kinds.index("RunStarted") < kinds.index("SystemFinished") < kinds.index("RunFinished")
    timings = pq.read_table(made / "timings.parquet").to_pylist()
    assert sum(row["phase"] == "measured" for row in timings) == result.latency_samples


def test_adding_a_system_changes_no_figure_of_the_others(folder: Path) -> None:
    _, alone = small.measure(folder, small.spec([BM25]))
    _, both = small.measure(folder, small.spec([DENSE, BM25], encoders=WORDS))
    assert small.by_name(both)["bm25"].measures == alone.systems[0].measures


# -- the result folder -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["folder", "runs", "events.jsonl", "result.json"])
def test_what_is_removed_from_the_result_folder_in_mid_run_is_there_at_the_end(folder: Path, gone: str) -> None:
    experiment = small.spec([BM25, DENSE], encoders=WORDS)
    undisturbed, wanted = small.measure(folder, experiment)

    def remove(event: Event) -> None:
        """When the second of two systems is searched: the first has been written."""
        if isinstance(event, StageStarted) and (event.stage, event.label) == ("search", "dense"):
            (made,) = (path for path in (folder / "results" / "small").iterdir() if path != undisturbed)
            path = made if gone == "folder" else made / gone
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    shutil.rmtree(folder / "cache")
    made, result = small.measure(folder, experiment, listeners=[remove])
    assert made != undisturbed
    assert result.status == "success"
    assert small.means(read_result(made)) == small.means(wanted)
    names = ["runs/bm25.trec", "runs/dense.trec", "per_query.parquet"]
    for name in names:
        assert (made / name).read_bytes() == (undisturbed / name).read_bytes(), name
    kinds = [json.loads(line)["event"] for line in (made / "events.jsonl").read_text().splitlines()]
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")
    assert any("were removed while it lasted" in text for text in read_result(made).warnings)
