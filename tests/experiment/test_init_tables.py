"""Laws: `bench init` reads tables of questions as people have them, says what it took for what, and guesses no more
than it can tell."""

from __future__ import annotations

import csv
import datetime
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.at_hand import writers
from adapters.base import Tables
from bench.experiment.columns import looked_at, roles
from bench.experiment.languages import lexical_language
from bench.experiment.reader import load_experiment
from tests import small

QUESTIONS = ["How do I reset my password?", "Where is my card?", "When does the café open?", "Has my card been sent?"]
LABELS = ["Reset password", "Card delivery", "Opening hours", "Card delivery"]
ANSWERS = [
    "Open the settings, choose security and follow the steps that are shown there.",
    "A card is delivered within five working days to the address that we know.",
    "The café opens at nine and closes at six, on Sundays at five in the afternoon.",
    "A card is delivered within five working days to the address that we know.",
]


def table(separator: str, *columns: Sequence[Any], headings: Sequence[str] = ()) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerows([headings] if headings else [])
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


class Shape(NamedTuple):
    """name, content: of the file; options: what the dataset reads it by; ids: of the first queries."""

    name: str
    content: bytes
    options: dict[str, Any]
    ids: list[str]


ROWS = ["row-2", "row-3", "row-4", "row-5"]
SHAPES = [
    Shape(
        "customers.csv",
        table(";", QUESTIONS, LABELS, headings=["Customer Question", "Right Article"]).encode("cp1252"),
        {"encoding": "cp1252", "separator": ";", "query": "Customer Question", "label": "Right Article"},
        ROWS,
    ),
    Shape(
        "mac.csv",
        table(",", QUESTIONS, ANSWERS, headings=["Frage", "Antwort"]).replace("\r\n", "\r").encode(),
        {"query": "Frage", "passage": "Antwort"},
        ROWS,
    ),
    Shape(
        "export.csv",
        table("\t", QUESTIONS, ANSWERS, headings=["question", "answer"]).encode("utf-16"),
        {"separator": "\t", "query": "question", "passage": "answer"},
        ROWS,
    ),
    Shape(
        "marked.csv",
        ("sep=;\r\n" + table(";", QUESTIONS, ANSWERS, headings=["Q", "Reply text"])).encode("utf-8-sig"),
        {"separator": ";", "query": "Q", "passage": "Reply text"},
        ["row-3", "row-4", "row-5", "row-6"],  # the line for Excel is a row to any other program
    ),
    Shape(
        "bare.csv",
        table(",", QUESTIONS, ANSWERS).encode(),
        {"headings": False, "query": "column 1", "passage": "column 2"},
        ["row-1", "row-2", "row-3", "row-4"],
    ),
    Shape(
        "numbered.csv",
        table(",", range(71, 75), QUESTIONS, LABELS, headings=["Nr", "utterance", "intent"]).encode(),
        {"query": "utterance", "label": "intent", "query_id": "Nr"},
        ["71", "72", "73", "74"],
    ),
    Shape(
        "articles.csv",
        table("|", QUESTIONS, ["a", "b", "c", "b"], LABELS, ANSWERS,
              headings=["search phrase", "article_id", "title", "body"]).encode(),
        {"separator": "|", "query": "search phrase", "passage": "body", "title": "title", "document_id": "article_id"},
        ROWS,
    ),
    Shape(
        "reversed.tsv",
        "".join(f"{a}\t{b}\n" for a, b in zip(["category", *LABELS], ["text", *QUESTIONS], strict=True)).encode(),
        {"query": "text", "label": "category"},
        ROWS,
    ),
    Shape(
        "titled.csv",  # a title, its date and a blank row, as spreadsheets are exported
        b"Support, what customers asked\r\n27.11.2026\r\n\r\n"
        + table(";", QUESTIONS, ANSWERS, headings=["Q", "Reply"]).encode(),
        {"separator": ";", "skip_rows": 2, "query": "Q", "passage": "Reply"},
        ["row-5", "row-6", "row-7", "row-8"],
    ),
    Shape(
        "bare.tsv",
        table("\t", QUESTIONS, ANSWERS).encode(),
        {"headings": False, "query": "column 1", "passage": "column 2"},
        ["row-1", "row-2", "row-3", "row-4"],
    ),
    Shape(
        "named.txt",
        table("\t", QUESTIONS, ANSWERS, headings=["question", "answer"]).encode(),
        {"separator": "\t", "query": "question", "passage": "answer"},
        ROWS,
    ),
    Shape(
        "twice.csv",
        table(",", LABELS, QUESTIONS, LABELS, ANSWERS, headings=["Date", "Question", "Date", "Answer"]).encode(),
        {"query": "Question", "passage": "Answer"},
        ROWS,
    ),
    Shape(
        "list.json",
        json.dumps({"data": [{"ask": q, "answer": a} for q, a in zip(QUESTIONS, ANSWERS, strict=True)]}).encode(),
        {"query": "ask", "passage": "answer"},
        ["q1", "q2", "q3", "q4"],
    ),
    Shape(
        "lines.json",
        "".join(json.dumps({"ask": q, "answer": a}) + "\n" for q, a in zip(QUESTIONS, ANSWERS, strict=True)).encode(),
        {"query": "ask", "passage": "answer"},
        ["q1", "q2", "q3", "q4"],
    ),
    Shape(
        "chat.jsonl",
        "".join(
            json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}) + "\n"
            for q, a in zip(QUESTIONS, ANSWERS, strict=True)
        ).encode(),
        {"query": "messages.user", "passage": "messages.assistant"},
        ["q1", "q2", "q3", "q4"],
    ),
    Shape(
        "lists.jsonl",
        "".join(
            json.dumps({"question": q, "positives": [a, ""]}) + "\n" for q, a in zip(QUESTIONS, ANSWERS, strict=True)
        ).encode(),
        {"query": "question", "passage": "positives"},
        ["q1", "q2", "q3", "q4"],
    ),
    Shape(
        "log.jsonl",
        "".join(json.dumps({"ts": i, "userQuery": q, "resolved_article": a}) + "\n"
                for i, (q, a) in enumerate(zip(QUESTIONS, LABELS, strict=True))).encode(),
        {"query": "userQuery", "label": "resolved_article"},
        ["q1", "q2", "q3", "q4"],
    ),
]  # fmt: skip


def loaded(config: Path) -> Tables:
    experiment = load_experiment(config)
    part = experiment.dataset
    tables: Tables = part.kind(part.options, experiment.context()).load()
    return tables


def given(config: Path) -> dict[str, Any]:
    """The options of the dataset that the file names."""
    options = dict(load_experiment(config).resolved["dataset"])
    options.pop("adapter")
    options.pop("number_by", None)
    return options


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_table_of_any_headings_becomes_an_experiment(
    shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / shape.name).write_bytes(shape.content)
    done = small.bench("init", shape.name)
    assert (done.exit_code, done.stdout) == (0, "bench run bench.yaml\n"), done.stderr
    assert given(tmp_path / "bench.yaml") == {"path": shape.name, **shape.options}
    tables = loaded(tmp_path / "bench.yaml")
    assert tables.queries.column("id").to_pylist() == shape.ids
    assert tables.queries.column("text").to_pylist() == QUESTIONS
    assert tables.corpus.num_rows == 3
    for name in (shape.options["query"], shape.options.get("passage") or shape.options["label"]):
        assert f'Took "{name}" for ' in done.stderr
    assert "To take others: bench init " in done.stderr


def test_parquet_and_excel_are_tables_too(tmp_path: Path) -> None:
    import openpyxl

    pq.write_table(pa.table({"text": QUESTIONS, "category": LABELS}), tmp_path / "p.parquet")
    book = openpyxl.Workbook()
    book.active.append([])
    book.create_sheet("data")
    sheet = book["data"]
    for row in ([], ["Ticket", "Customer asks", "Agent replied", "Day"]):
        sheet.append(row)
    for i, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
        sheet.append([1000.0 + i, question, answer, datetime.date(2026, 1, 1 + i)])
    book.save(tmp_path / "my sheet.xlsx")
    assert small.bench("init", tmp_path / "p.parquet", "--output", tmp_path / "p.yaml").exit_code == 0
    assert given(tmp_path / "p.yaml") == {"path": "p.parquet", "query": "text", "label": "category"}
    done = small.bench("init", tmp_path / "my sheet.xlsx", "--output", tmp_path / "x.yaml")
    assert done.exit_code == 0, done.stderr
    tables = loaded(tmp_path / "x.yaml")
    assert tables.queries.column("id").to_pylist() == ["row-3", "row-4", "row-5", "row-6"]  # the heading is row 2
    assert tables.queries.column("meta.Ticket").to_pylist()[0] == "1000"
    assert tables.queries.column("meta.Day").to_pylist()[0] == "2026-01-01"


def test_a_sheet_below_a_title_and_classes_with_names_are_read_as_people_see_them(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (
        ["What customers asked"],
        [],
        ["Ticket", "Question", "Answer"],
        *zip("1234", QUESTIONS, ANSWERS, strict=True),
    ):
        book.active.append(list(row))
    book.save(tmp_path / "titled.xlsx")
    assert small.bench("init", tmp_path / "titled.xlsx", "--output", tmp_path / "x.yaml").exit_code == 0
    assert given(tmp_path / "x.yaml") == {
        "path": "titled.xlsx",
        "skip_rows": 1,
        "query": "Question",
        "passage": "Answer",
    }
    assert loaded(tmp_path / "x.yaml").queries.column("id").to_pylist() == ["row-4", "row-5", "row-6", "row-7"]
    features = {"label": {"names": sorted(set(LABELS)), "_type": "ClassLabel"}, "text": {"dtype": "string"}}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"text": QUESTIONS, "label": [sorted(set(LABELS)).index(each) for each in LABELS]})
    pq.write_table(table.replace_schema_metadata(told), tmp_path / "hub.parquet")
    assert small.bench("init", tmp_path / "hub.parquet", "--output", tmp_path / "h.yaml").exit_code == 0
    assert set(loaded(tmp_path / "h.yaml").corpus.column("id").to_pylist()) == set(LABELS)


def test_labels_that_say_nothing_are_told(tmp_path: Path) -> None:
    for name, labels, code in (("kb", ["KB-0012", "KB-0013", "KB-0014", "KB-0013"], "KB-0012"), ("n", "1213", "1")):
        (tmp_path / f"{name}.csv").write_text(table(",", QUESTIONS, labels, headings=["question", "category"]))
        wrote = small.bench("init", tmp_path / f"{name}.csv", "--output", tmp_path / f"{name}.yaml")
        assert wrote.exit_code == 0 and f"Its values are codes, such as {code}, and no texts" in wrote.stderr
    (tmp_path / "t.csv").write_text(table(",", QUESTIONS, LABELS, headings=["question", "category"]))
    assert "codes" not in small.bench("init", tmp_path / "t.csv", "--output", tmp_path / "t.yaml").stderr


def test_names_of_files_without_folder_or_ending_mean_the_only_file_of_that_name(tmp_path: Path) -> None:
    for name in ("a/reset.md", "b/card.md", "b/hours.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"about {name}")
    names = ["reset", "card.md", ".\\b\\hours.txt", "b/card"]
    (tmp_path / "asked.csv").write_text(table(",", QUESTIONS, names, headings=["question", "document"]))
    done = small.bench("init", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "4 rows name their documents without the folder or the ending" in done.stderr
    found = loaded(tmp_path / "bench.yaml").qrels.column("document_id").to_pylist()
    assert found == ["a/reset.md", "b/card.md", "b/hours.txt", "b/card.md"]


def test_names_of_files_that_are_there_are_documents(tmp_path: Path) -> None:
    for name in ("reset.md", "card.md", "hours.md"):
        (tmp_path / name).write_text(f"about {name}")
    names = ["reset.md", "card.md", "hours.md", "card.md"]
    (tmp_path / "asked.csv").write_text(table(";", QUESTIONS, names, headings=["Anfrage", "Datei"]))
    assert small.bench("init", tmp_path).exit_code == 0
    assert given(tmp_path / "bench.yaml") == {
        "path": ".", "questions": "asked.csv", "query": "Anfrage", "document": "Datei", "separator": ";",
    }  # fmt: skip
    assert loaded(tmp_path / "bench.yaml").corpus.num_rows == 3


def test_empty_rows_and_repeated_questions_are_told_with_their_lines_in_all_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [*zip(QUESTIONS, ANSWERS, strict=True), ("", ANSWERS[0]), ("Who?", " "), (QUESTIONS[0], ANSWERS[1])]
    out = io.StringIO()
    csv.writer(out).writerows([("query", "passage"), *rows[:2], ("", ""), *rows[2:]])
    (tmp_path / "q.csv").write_text(out.getvalue())
    # 1 heading, 2 and 3, 4 blank, 5 and 6, 7 without a question, 8 without an answer, 9 again
    told = [
        "2 rows lack a query or what answers it and are left out (lines 7 and 8).",
        "1 query stands in several rows (again in line 9)",
    ]
    wrote = small.bench("init", "q.csv").stderr
    settings = ("--set", "systems=[{name: bm25, store: bm25}]", "--set", "latency=false", "--cache", "cache")
    planned = small.bench("run", *settings, "--dry-run", "--quiet").stdout
    folder = small.bench("run", *settings, "--quiet", "--json")
    notes = json.loads((Path(json.loads(folder.stdout)["result"]) / "result.json").read_text())["dataset"]["notes"]
    for sentence in told:
        assert sentence in wrote and sentence in " ".join(planned.split()) and sentence in " ".join(notes)
    assert loaded(tmp_path / "bench.yaml").queries.column("id").to_pylist() == ["row-2", "row-3", "row-5", "row-6"]


def test_a_table_is_tried_in_three_commands_with_nothing_edited(
    tmp_path: Path, static_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a quick model in place of the one that the file names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "customers.csv").write_bytes(SHAPES[0].content)
    assert small.bench("init", "customers.csv").exit_code == 0
    model = ("--set", f"encoders.minilm.model={static_model}", "--set", "latency=false", "--cache", tmp_path / "cache")
    ran = small.bench("run", "--quiet", *model)
    assert ran.exit_code == 0, ran.stderr
    told = small.bench("queries", "--worse", "dense")
    assert told.exit_code == 0 and "dense is worse than bm25 in nDCG@10 for " in told.stdout


def test_columns_that_a_user_names_are_taken(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table(",", LABELS, QUESTIONS, ANSWERS, headings=["a", "b", "c"]))
    place = (tmp_path / "t.csv", "--output", tmp_path / "bench.yaml", "--force")
    assert small.bench("init", *place, "--query", "c", "--label", "a").exit_code == 0
    assert given(tmp_path / "bench.yaml") == {"path": "t.csv", "query": "c", "label": "a"}
    assert small.bench("init", *place, "--query", "a", "--passage", "b").exit_code == 0
    assert given(tmp_path / "bench.yaml") == {"path": "t.csv", "query": "a", "passage": "b"}
    refused = small.bench("init", *place, "--query", "z")
    assert refused.exit_code == 2 and 'has no column "z". It has: a, b, c.' in refused.stderr


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("n.csv", "a,b\n1,2\n3,4\n", "No two of its columns can be questions and what answers them"),
        ("one.csv", "question\nwho?\nwhere?\n", 'n.csv has 1 column ("question": 100 % different values'),
        ("old.xls", "\xd0\xcf", "Save it as .xlsx or .csv"),
        ("x.pdf", "%PDF", "is no table. Give a folder, or a file that ends in .csv, .tsv"),
        ("broken.xlsx", "PK", "is no readable Excel file"),
        ("ragged.csv", "question,answer\nwho?,me\nwhere?,here,there\n", ":3: has 3 cells, the heading has 2"),
    ],
)
def test_what_cannot_be_taken_is_told(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    outcome = small.bench("init", tmp_path / name, "--output", tmp_path / "bench.yaml")
    assert outcome.exit_code == 2 and told.replace("n.csv has 1", f"{name} has 1") in outcome.stderr


def test_documents_without_questions_are_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    outcome = small.bench("init", tmp_path)
    if writers():  # the demo without labels installs one
        assert outcome.exit_code == 0 and "There are no questions: a model writes some" in outcome.stderr
        return
    assert outcome.exit_code == 2
    assert "holds 1 text file and no questions about them" in outcome.stderr


def test_what_is_in_doubt_is_asked_on_a_terminal_alone(tmp_path: Path) -> None:
    """A terminal is there as a pseudo terminal: the second column is chosen for the questions."""
    (tmp_path / "t.csv").write_text(table(",", ANSWERS, ANSWERS[::-1], headings=["x", "y"]))
    program = (
        "import os, pty, sys\n"
        "child, end = pty.fork()\n"
        "if not child:\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'bench', 'init', 't.csv'])\n"
        "os.write(end, b'2\\n\\n')\n"
        "text = b''\n"
        "try:\n"
        "    while part := os.read(end, 4096):\n"
        "        text += part\n"
        "except OSError:\n"
        "    pass\n"
        "print(text.decode())\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "which column holds the questions?" in done.stdout
    assert given(tmp_path / "bench.yaml") == {"path": "t.csv", "query": "y", "passage": "x"}


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["how do I reset it?"], {"tokenizer": "stem"}),
        (["怎么重置密码？", "iPhone 在哪里"], {"tokenizer": "jieba"}),
        (["パスワードを忘れました"], {"tokenizer": "characters"}),
        (["ฉันลืมรหัสผ่าน"], {"tokenizer": "characters"}),
        (["비밀번호를 잊었어요"], {"tokenizer": "characters"}),
        (["Wo ist die Straße?"], {"tokenizer": "stem", "language": "german"}),
        (["Où est la carte et comment la trouver ?"], {"tokenizer": "stem", "language": "french"}),
        (["Где моя карта и как её найти?"], {"tokenizer": "stem", "language": "russian"}),
        (["RTX 4090 24GB"], {}),
        ([], {}),
    ],
)
def test_bm25_gets_a_tokenizer_that_fits_the_language(texts: list[str], options: dict[str, Any]) -> None:
    assert lexical_language(texts).bm25 == options


def test_a_heading_is_read_however_it_is_written() -> None:
    for query, target in [("userQuestion", "best_answer"), ("PREGUNTA", "RESPUESTA"), ("質問", "回答")]:
        rows = [{target: f"word {i} and more of it", query: f"word {i}"} for i in range(5)]
        found = roles(looked_at(rows, Path()))
        assert found is not None and (found.query, found.target) == (query, target)


@pytest.mark.parametrize("heading", [".inf", ".nan", "---", "...", "1.5", "null", "yes", "a: b", '"'])
def test_a_heading_that_yaml_reads_as_something_else_stays_a_heading(tmp_path: Path, heading: str) -> None:
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["question", heading], *([f"what is {i}?", f"passage {i}"] for i in range(6))])
    place = (tmp_path / "t.csv", "--output", tmp_path / "bench.yaml")
    done = small.bench("init", *place, "--query", "question", "--passage", heading)
    assert done.exit_code == 0, done.stderr
    assert given(tmp_path / "bench.yaml") == {"path": "t.csv", "query": "question", "passage": heading}


def test_bytes_that_only_look_like_utf_16_are_refused_by_init_and_by_a_run(tmp_path: Path) -> None:
    """A packed file under the name of a table: null bytes, and no mark of UTF-16 at its start."""
    (tmp_path / "packed.csv").write_bytes(b"PK\x03\x04\x1f\x8b\x08\x00question,answer\n\x00\x00a,b\n")
    done = small.bench("init", tmp_path / "packed.csv")
    assert done.exit_code == 2
    assert "packed.csv: is no text in UTF-8, UTF-16 or cp1252." in done.stderr
    spec = small.spec([{"name": "bm25", "store": "bm25"}])
    spec["dataset"] = {"adapter": "pairs", "path": "packed.csv", "query": "question", "passage": "answer"}
    done = small.bench("run", small.write(tmp_path, {**spec, "dataset": {**spec["dataset"], "encoding": "utf-16"}}))
    assert done.exit_code == 2
    assert "is not utf-16, here or a little below." in done.stderr


def test_utf_16_needs_no_mark_and_another_encoding_is_not_read_as_cp1252(tmp_path: Path) -> None:
    text = table(",", QUESTIONS, ANSWERS, headings=["question", "answer"])
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "t.csv").write_bytes(text.encode(encoding))
        assert small.bench("init", tmp_path / "t.csv", "--output", tmp_path / f"{encoding}.yaml").exit_code == 0
        assert loaded(tmp_path / f"{encoding}.yaml").queries.column("text").to_pylist() == QUESTIONS
    for encoding, asked in (
        ("gb18030", "怎么重置密码？"),
        ("cp1251", "Где моя карта?"),
        ("shift_jis", "カードはどこですか"),
    ):
        (tmp_path / "o.csv").write_bytes(
            table(",", [asked] * 9, [asked] * 9, headings=["question", "answer"]).encode(encoding)
        )
        done = small.bench("init", tmp_path / "o.csv", "--output", tmp_path / "o.yaml")
        assert done.exit_code == 2 and "in another encoding" in done.stderr
    french = ["Où est ma carte dé́jà envoyée à l'été ?".replace("\u0301", "")] * 4
    (tmp_path / "f.csv").write_bytes(table(",", french, ANSWERS, headings=["q", "a"]).encode("cp1252"))
    assert small.bench("init", tmp_path / "f.csv", "--output", tmp_path / "f.yaml").exit_code == 0


def test_fractions_are_no_grades_and_other_tables_are_told(tmp_path: Path) -> None:
    headings = ["question", "answer", "rating"]
    (tmp_path / "a.csv").write_text(table(",", QUESTIONS, ANSWERS, [0.1, 0.9, 0.5, 1], headings=headings))
    (tmp_path / "b.csv").write_text(table(",", QUESTIONS, ANSWERS, [1, 2, 0, 1], headings=headings))
    done = small.bench("init", tmp_path)
    assert done.exit_code == 0 and "Not used: b.csv" in done.stderr and "grade" not in given(tmp_path / "bench.yaml")
    assert small.bench("init", tmp_path / "b.csv", "--output", tmp_path / "b.yaml").exit_code == 0
    assert given(tmp_path / "b.yaml")["grade"] == "rating"


@pytest.mark.parametrize("content", ["", "question,answer\n", "\n\n"])
def test_a_table_without_a_row_is_told_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "q.csv").write_text(content)
    done = small.bench("init", tmp_path / "q.csv", "--output", tmp_path / "bench.yaml")
    assert done.exit_code == 2 and "holds no row below its headings, or is empty" in done.stderr


def test_tables_in_folders_of_a_folder_come_before_its_readme(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text("# A data set")
    pq.write_table(pa.table({"text": QUESTIONS, "intent": LABELS}), tmp_path / "set" / "data" / "train-00000.parquet")
    assert small.bench("init", tmp_path / "set", "--output", tmp_path / "bench.yaml").exit_code == 0
    assert given(tmp_path / "bench.yaml")["path"] == "set/data/train-00000.parquet"
    assert loaded(tmp_path / "bench.yaml").corpus.num_rows == 3
