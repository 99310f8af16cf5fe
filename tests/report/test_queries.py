"""Laws: the queries of a result are told with what each system found, the largest losses first, and nothing that a text
holds gets out of its place."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.messages.fitting import width_of
from bench.report.lines import wrapped
from bench.report.queries import NotAsked, Queries
from bench.results.model import ResultUnreadable, read_result
from bench.results.rankings import Rankings
from tests import small

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "results"
DOCUMENTS = {
    "d1": "cats purr",
    "d 2": "\x1b[31mdogs bark\x1b[0m\nand howl <script>alert(1)</script>",
    "d3": "猫は喉を鳴らす" * 60,
    "d4": "=HYPERLINK(1)",
}
QUERIES = {"q1": "who purrs", "q 2": "who barks or howls", "q3": "猫", "q4": "nobody knows", "q5": "who purrs again"}
# query, document, grade
JUDGED = [("q1", "d1", 1), ("q 2", "d3", 1), ("q 2", "d 2", 2), ("q 2", "d4", 0), ("q3", "d3", 1), ("q4", "d4", 1),
          ("q5", "d1", 1)]  # fmt: skip
TODAY = {"q1": ["d1"], "q 2": ["d 2", "d3"], "q3": ["d4"], "q4": ["d1"], "q5": ["d1"]}
NEW = {"q1": ["d 2", "d1"], "q 2": ["d4"], "q3": ["d3"], "q5": ["d1"]}
# MRR@3 by query:   q1   q 2  q3  q4  q5
#   today           1    1    0   0   1
#   new             .5   0    1   0   1     so new loses 1 and .5, and gains 1


def trec(rankings: dict[str, list[str]]) -> str:
    return "".join(
        f"{query.replace(' ', '%20')} Q0 {document.replace(' ', '%20')} {place} {9 - place} x\n"
        for query, documents in rankings.items()
        for place, document in enumerate(documents, 1)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("queries")
    (home / "data" / "qrels").mkdir(parents=True)
    small.write_jsonl(home / "data" / "corpus.jsonl", [{"_id": i, "text": t} for i, t in DOCUMENTS.items()])
    small.write_jsonl(home / "data" / "queries.jsonl", [{"_id": i, "text": t} for i, t in QUERIES.items()])
    judged = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in JUDGED)
    (home / "data" / "qrels" / "test.tsv").write_text(judged)
    (home / "today.trec").write_text(trec(TODAY))
    (home / "new.trec").write_text(trec(NEW))
    systems = [{"name": "today", "run": "today.trec"}, {"name": "new", "run": "new.trec"}]
    return small.measure(home, small.spec(systems, baseline="today", measures=["MRR@3", "Recall@3"]))[0]


@pytest.fixture(scope="module")
def queries(folder: Path) -> Queries:
    return Queries(folder, read_result(folder))


def test_losses_are_sorted_by_their_size(queries: Queries) -> None:
    worse = queries.differing("worse", "new", "today", "MRR@3")
    assert [queries.ids[i] for i in worse.positions] == ["q 2", "q1"]
    found = queries.of(worse, worse.positions, ["new", "today"])
    assert [each.difference for each in found] == [-1.0, -0.5]
    better = queries.differing("better", "new", "today", "MRR@3")
    assert [queries.ids[i] for i in better.positions] == ["q3"]


def test_losses_and_gains_are_as_many_as_the_result_counts(queries: Queries) -> None:
    against = queries.entry("new").against_baseline["MRR@3"]
    counts = [len(queries.differing(what, "new", "today", "MRR@3").positions) for what in ("better", "worse")]
    assert counts == [against.wins, against.losses] == [1, 2]


def test_each_relevant_document_has_the_place_that_each_system_gives_it(queries: Queries) -> None:
    worse = queries.differing("worse", "new", "today", "MRR@3")
    first, second = queries.of(worse, worse.positions, ["new", "today"])
    assert [(each.document.id, each.grade, each.places) for each in first.relevant] == [
        ("d 2", 2, {"new": None, "today": 1}),
        ("d3", 1, {"new": None, "today": 2}),
    ]
    assert [(hit.place, hit.document.id, hit.grade) for hit in first.hits["new"]] == [(1, "d4", 0)]
    assert [(hit.place, hit.document.id, hit.grade) for hit in second.hits["new"]] == [(1, "d 2", None), (2, "d1", 1)]
    assert first.relevant[0].document.text == DOCUMENTS["d 2"]


def test_a_query_that_every_system_fails_at_is_hard(queries: Queries) -> None:
    assert [queries.ids[i] for i in queries.hard("MRR@3").positions] == ["q4"]
    [hard] = queries.of(queries.hard("MRR@3"), queries.hard("MRR@3").positions, ["new", "today"])
    assert hard.hits["new"] == () and hard.values == {"today": 0.0, "new": 0.0}


@pytest.mark.parametrize(
    ("text", "found"), [("q 2", ["q 2"]), ("PURRS who", ["q1", "q5"]), ("猫", ["q3"]), ("again", ["q5"])]
)
def test_a_query_is_found_by_its_id_or_by_its_words(queries: Queries, text: str, found: list[str]) -> None:
    assert [queries.ids[i] for i in queries.asking(text, "MRR@3").positions] == found


def test_what_a_result_does_not_have_is_told_with_what_is_meant(queries: Queries) -> None:
    with pytest.raises(NotAsked, match=r"There is no system todya in .* Did you mean today\?"):
        queries.system("todya")
    with pytest.raises(NotAsked, match=r"There is no measure MRR@5 in .* Did you mean MRR@3\?"):
        queries.measure("MRR@5")
    with pytest.raises(NotAsked, match=r"new cannot be compared with itself\. Name another one with --than: today"):
        queries.pair("new", "new", "MRR@3")
    with pytest.raises(NotAsked, match="No judged query has the id 'whales', nor all of these words"):
        queries.asking("whales", "MRR@3")


def failing(folder: Path, to: Path) -> Queries:
    """The result as if `new` had failed on the first query."""
    shutil.copytree(folder, to)
    table = pq.read_table(to / "per_query.parquet")
    failed = pc.and_(pc.equal(table["system"], "new"), pc.equal(table["query_id"], "q1"))
    table = table.set_column(table.column_names.index("failed"), "failed", failed)
    pq.write_table(table, to / "per_query.parquet")
    return Queries(to, read_result(to))


def test_queries_that_failed_are_told_with_the_systems_in_which_they_did(folder: Path, tmp_path: Path) -> None:
    queries = failing(folder, tmp_path / "failed")
    chosen = queries.failing("MRR@3")
    assert [queries.ids[i] for i in chosen.positions] == ["q1"]
    assert queries.of(chosen, chosen.positions, ["new"])[0].failed == ("new",)


# -- the command -------------------------------------------------------------------------------------------------


def test_without_options_the_largest_losses_and_gains_of_the_best_system_are_shown(folder: Path) -> None:
    told = small.bench("queries", folder).stdout
    assert "new is worse than today in MRR@3 for 2 of 5 judged queries\n\n1. q 2\n" in told
    assert "new is better than today in MRR@3 for 1 of 5 judged queries\n\n1. q3\n" in told
    assert "   MRR@3: new .000 · today 1.000 · -1.000\n" in told
    assert "   ✓ d 2 (grade 2): new –, today 1\n" in told
    assert "     1 ✗ d4  =HYPERLINK(1)\n" in told
    assert "· ✗ judged as not relevant\n" in told


def test_what_is_shown_fits_eighty_columns_and_obeys_no_text(folder: Path) -> None:
    for options in ([], ["--hard"], ["--query", "who"], ["--failed"]):
        told = small.bench("queries", folder, *options).stdout
        assert max(width_of(line) for line in told.splitlines()) <= 80
        assert "\x1b" not in told
    assert "\\x1b[31mdogs bark\\x1b[0m and howl <script>" in small.bench("queries", folder).stdout


def test_a_list_says_how_many_there_are_and_how_many_it_shows(folder: Path) -> None:
    told = small.bench("queries", folder, "--worse", "new", "--limit", "1").stdout
    assert "2 of 5 judged queries; 1 shown, the largest\nloss first (--limit shows more)" in told
    assert "1. q 2" in told and "q1" not in told
    assert small.bench("queries", folder, "--failed").stdout.startswith("0 of 5 judged queries failed in some system\n")


def test_json_holds_all_of_them_with_their_texts(folder: Path) -> None:
    told = json.loads(small.bench("queries", folder, "--worse", "new", "--json").stdout)
    [chosen] = told["lists"]
    assert (chosen["count"], chosen["shown"], chosen["than"]) == (2, 2, "today")
    first = chosen["queries"][0]
    assert first["relevant"][0]["places"] == {"new": None, "today": 1}
    assert first["relevant"][0]["text"] == DOCUMENTS["d 2"]


def test_a_csv_has_a_row_for_each_query(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "queries.csv"
    assert small.bench("queries", folder, "--csv", file).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [(row["list"], row["query_id"], row["difference"]) for row in rows] == [
        ("worse", "q 2", "-1.0"), ("worse", "q1", "-0.5"), ("better", "q3", "1.0"),
    ]  # fmt: skip
    assert json.loads(rows[0]["relevant"]) == ["d 2", "d3"]
    assert (rows[0]["place new"], rows[0]["place today"], rows[0]["hits new"]) == ("", "1", '["d4"]')
    assert small.bench("queries", folder, "--csv", "-").stdout.splitlines()[1].startswith("worse,q 2,")


def test_no_cell_of_a_csv_is_taken_for_a_formula(strange: Path) -> None:
    rows = list(csv.reader(io.StringIO(small.bench("queries", strange, "--query", "+SUM(1)", "--csv", "-").stdout)))
    assert "'+SUM(1)" in rows[1]
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))] == []


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--worse", "new", "--hard"], "--worse and --hard exclude each other"),
        (["--hard", "--than", "new"], "--than has no effect on --hard"),
        (["--csv", "x.csv", "--json"], "--csv and --json exclude each other"),
        (["--worse", "nwe"], "Did you mean new?"),
        (["--system", "nwe"], "Did you mean new?"),
    ],
)
def test_what_cannot_be_answered_is_told_with_exit_status_two(folder: Path, options: list[str], fault: str) -> None:
    outcome = small.bench("queries", folder, *options)
    assert outcome.exit_code == 2 and fault in outcome.stderr


def test_the_newest_result_is_taken_where_none_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "results" / "small" / folder.name)
    shutil.copytree(folder, tmp_path / "results" / "other" / "20200101T000000Z-0edb179f6d3d")
    monkeypatch.chdir(tmp_path)
    assert json.loads(small.bench("queries", "--json").stdout)["result"].endswith(folder.name)
    assert json.loads(small.bench("queries", "results/other", "--json").stdout)["result"].endswith("0edb179f6d3d")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    outcome = small.bench("queries")
    assert outcome.exit_code == 2 and "results: there is no result." in outcome.stderr


def test_a_result_of_an_older_version_is_shown_less_the_texts_of_its_documents(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    (old / "texts.parquet").unlink()
    (old / "qrels.parquet").unlink()
    told = small.bench("queries", old, "--worse", "new").stdout
    assert "who barks or howls" in told and "✓ d 2 (grade 2): new –, today 1\n" in told
    assert "howl <script>" not in told


def test_a_result_without_run_files_is_shown_less_the_places(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    shutil.rmtree(bare / "runs")
    told = small.bench("queries", bare, "--worse", "new").stdout
    assert "✓ d 2 (grade 2): no rankings are kept\n" in told and "new found nothing" not in told


def test_a_run_that_was_cut_off_says_that_it_holds_no_queries(tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "results" / "cancelled.json"
    shutil.copy(golden, tmp_path / "result.json")
    with pytest.raises(ResultUnreadable, match=r"per_query.parquet: there is no such file; a run writes it at its end"):
        Queries(tmp_path, read_result(tmp_path))


@pytest.mark.parametrize("name", ["texts.parquet", "qrels.parquet", "runs/new.trec", "per_query.parquet"])
def test_a_damaged_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "r")
    (tmp_path / "r" / name).write_bytes(b"PAR1 nonsense")
    outcome = small.bench("queries", tmp_path / "r", "--worse", "new")
    assert outcome.exit_code == 2 and f"{name}: cannot be read" in outcome.stderr


# -- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["word " * 40, "猫" * 100, "x" * 300, "a\tb\nc", "", "é" * 90 + " ok"])
@pytest.mark.parametrize("width", [10, 37, 80])
def test_a_wrapped_text_keeps_within_its_place_and_loses_nothing_before_its_end(text: str, width: int) -> None:
    lines = wrapped(text, width, 3)
    assert len(lines) <= 3 and all(width_of(line) <= width for line in lines)
    whole = "".join(text.split())
    kept = "".join("".join(lines).removesuffix("…").split())
    assert whole.startswith(kept) and (kept == whole or lines[-1].endswith("…"))


def test_a_long_run_file_is_read_a_column_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("".join(f"q{i // 10} Q0 d{i} {i % 10 + 1} 1 x\n" for i in range(100_000)))
    rankings = Rankings(path, frozenset(), frozenset())
    assert [hit.document for hit in rankings.of("q9999")] == [f"d{i}" for i in range(99_990, 100_000)]
    assert rankings.of("unknown") == []


def test_lists_of_synthetic_queries_say_so(folder: Path, tmp_path: Path) -> None:
    golden = json.loads((GOLDEN / "synthetic.json").read_text())
    shutil.copytree(folder, tmp_path / "r")
    result = json.loads((folder / "result.json").read_text())
    result["dataset"]["synthetic"] = {**golden["dataset"]["synthetic"], "generator": "writer"}
    (tmp_path / "r" / "result.json").write_text(json.dumps(result))
    shown = small.bench("queries", tmp_path / "r", "--worse", "new").stdout
    assert "of 5 judged synthetic queries" in shown and "5 synthetic queries that writer wrote" in " ".join(
        shown.split()
    )
    assert json.loads(small.bench("queries", tmp_path / "r", "--json").stdout)["synthetic"] is True
    rows = csv.DictReader(io.StringIO(small.bench("queries", tmp_path / "r", "--csv", "-").stdout))
    assert {row["query_kind"] for row in rows} == {"synthetic"}
