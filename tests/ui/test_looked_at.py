"""Laws of looking at data: what is told of a collection, what is refused, and that a stranger's text stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.ui import looked_at
from bench.ui.desk import Desk, OutsideFolder
from bench.ui.files import NotSaved
from bench.ui.pages.data import _Page
from tests import small

SCRIPT = "<script>window.stolen=1</script>"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Five documents, two of one text, one of 300 words; a test query that is a train query too."""
    home = tmp_path_factory.mktemp("desk")
    folder = home / "data"
    (folder / "qrels").mkdir(parents=True)
    texts = ["the cat sat on the mat", "the dog is in the house", "the cat sat on the mat", "word " * 300, SCRIPT]
    rows = [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts)]
    small.write_jsonl(folder / "corpus.jsonl", rows)
    asked = {"q1": "Where is the cat?", "q2": "where is the  CAT", "q3": SCRIPT}
    small.write_jsonl(folder / "queries.jsonl", [{"_id": i, "text": text} for i, text in asked.items()])
    (folder / "qrels" / "test.tsv").write_text("q1\td0\t1\nq1\td2\t2\nq3\td4\t1\n")
    (folder / "qrels" / "train.tsv").write_text("q2\td0\t1\n")
    small.write(home, small.spec([{"name": "bm25", "store": "bm25"}]))
    return Desk.at(home, cache=home / "cache")


@pytest.fixture(scope="module")
def seen(desk: Desk) -> Any:
    return looked_at.collection(desk, *looked_at.dataset_of(desk, "bench.yaml"))


def test_a_collection_is_told_by_its_figures(seen: Any) -> None:
    told = {heading: dict(rows) for heading, rows in seen.sections}
    assert told["Amounts"]["Documents"] == "5" and told["Amounts"]["Evaluated split"] == "test: 2 queries"
    assert told["Amounts"]["Split train"] == "1 judged query"
    assert told["Judgements"]["Grades"] == "1: 2, 2: 1"
    # q1 has 2 relevant documents, q3 has 1: the median is 1.5, and 0.95 of the way from 1 to 2 is 1.95.
    assert told["Judgements"]["Relevant documents of a query"] == "1 to 2, half of them up to 2, 95 % up to 2"
    # Documents 0, 2 and 4 of five are judged: 60 %.
    assert told["Judgements"]["Documents that are judged for some query"] == "3 of 5 (60.0 %)"
    assert told["Documents"]["With the same text as an earlier one"] == "1 of 5 (20.0 %)"
    # One document has 300 words.
    assert told["Documents"]["Cut by a model that reads 256 tokens, at least"] == "1 of 5 (20.0 %)"
    assert told["Documents"]["Cut by a model that reads 512 tokens, at least"] == "0 of 5 (0.0 %)"


def test_a_query_that_two_splits_share_is_told(seen: Any) -> None:
    assert any("1 query of split train stands in the evaluated one" in warning for warning in seen.warnings)


def test_rows_are_found_and_given_page_by_page(seen: Any) -> None:
    page = looked_at.rows(seen, "Documents", "", 3, 2)
    assert (page.first, page.found, [row[0] for row in page.rows]) == (2, 5, ["d2", "d3"])
    assert [row[0] for row in looked_at.rows(seen, "Documents", "CAT", 0, 100).rows] == ["d0", "d2"]
    assert looked_at.rows(seen, "Judgements", "d2", 0, 100).found == 1
    assert [looked_at.rows(seen, "Documents", words, 0, 100).found for words in ("n=1<", "w.r", "(")] == [1, 0, 0]
    assert len(page.rows[1][page.head.index("text")]) == 301


def test_a_strangers_text_stays_text(desk: Desk, seen: Any) -> None:
    assert looked_at.rows(seen, "Documents", "script", 0, 9).rows[0][1] in (SCRIPT, "")
    shown = _Page(desk)
    parts = shown.of_file("bench.yaml")
    assert SCRIPT not in shown.whole(parts[0], "Documents", "d4") and "&lt;script&gt;" in shown.whole(
        parts[0], "Documents", "d4"
    )
    assert SCRIPT not in "".join(str(part) for part in (*shown.of_file(SCRIPT)[1:], *shown.of_place(SCRIPT)[1:]))


def test_what_is_not_there_is_told_in_a_sentence(desk: Desk) -> None:
    shown = _Page(desk)
    for place in ("../x", "/etc", "nothing", "\0"):
        parts = shown.of_place(place)
        assert parts[0] is None and "note bad" in parts[1]
    assert shown.of_file("bench2.yaml")[0] is None


def test_a_form_reads_nothing_outside(desk: Desk) -> None:
    for path in ("/etc", "../..", "~"):
        with pytest.raises(OutsideFolder):
            looked_at.collection(desk, {"adapter": "beir", "path": path}, desk.folder)
    with pytest.raises(ConfigFaults):
        looked_at.collection(desk, {"adapter": "beir", "path": "none"}, desk.folder)


@pytest.mark.parametrize("name", ["x.exe", "x.sh", ".bashrc", "x", "x.yaml", "x.py", "x.csv.lnk"])
def test_a_file_of_another_kind_is_not_taken(desk: Desk, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a")
    with pytest.raises(NotSaved, match="are not taken"):
        looked_at.dropped(desk, [str(tmp_path / name)])
    assert not (desk.folder / looked_at.DROPPED).exists()


def test_a_dropped_table_becomes_an_experiment(tmp_path: Path) -> None:
    home = tmp_path / "desk"
    home.mkdir()
    rows = "".join(f"question {i} about topic {i},answer {i} of topic {i}\n" for i in range(12))
    (tmp_path / "pairs.csv").write_text("question,answer\n" + rows)
    desk = Desk.at(home, cache=tmp_path / "cache")
    spec, said, overview = _Page(desk).of_upload([str(tmp_path / "pairs.csv")])
    assert spec is not None, said
    assert "12" in overview and "bench data dropped/" in said
    assert [path.name for path in desk.experiment_files()] == ["pairs.yaml"]


def test_a_dropped_document_is_looked_at_as_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "문서.txt").write_text("고양이는 생선을 먹는다. " * 20, encoding="utf-8")
    _, said, _ = _Page(Desk.at(tmp_path / "desk", cache=tmp_path / "cache")).of_upload([str(tmp_path / "문서.txt")])
    assert "no table" not in said and ("1 text file" in said or "bench.yaml" in said), said


def test_files_of_one_name_are_not_dropped_together_and_drops_do_not_meet(tmp_path: Path) -> None:
    for folder in ("a", "b", "desk"):
        (tmp_path / folder).mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "x.csv").write_text(folder)
    desk = Desk.at(tmp_path / "desk")
    with pytest.raises(NotSaved, match=r"x\.csv: several files of this name"):
        looked_at.dropped(desk, [str(tmp_path / "a" / "x.csv"), str(tmp_path / "b" / "x.csv")])
    places = [looked_at.dropped(desk, [str(tmp_path / folder / "x.csv")]) for folder in ("a", "b")]
    assert [(desk.folder / place / "x.csv").read_text() for place in places] == ["a", "b"]


def test_data_that_changed_are_read_again_when_somebody_looks(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, cache=tmp_path / "cache")
    small.collection(tmp_path / "data", documents=8, queries=4)
    small.write(tmp_path, small.spec([{"store": "bm25"}]))
    page = _Page(desk)
    spec, *_ = page.of_file("bench.yaml")
    assert "of 8" in page.rows(spec, "Documents", "", 1, 100)[0]
    with (tmp_path / "data" / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "new", "text": "another one"}\n')
    page.of_file("bench.yaml")
    assert "of 9" in page.rows(spec, "Documents", "", 1, 100)[0]


def test_the_command_tells_the_same(desk: Desk) -> None:
    done = small.bench("data", desk.folder / "bench.yaml", "--cache", str(desk.cache))
    assert done.exit_code == 0 and "3 of 5 (60.0 %)" in done.stdout and "! 1 query of split train" in done.stdout
    assert small.bench("data", desk.folder / "bench.yaml", "--set", "dataset.path=none").exit_code == 2
