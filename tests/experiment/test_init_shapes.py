"""Laws: tables of many shapes are tried in three commands with nothing edited, and what cannot be decided is a place to
fill."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.at_hand import Offer
from bench.experiment.languages import Language
from bench.experiment.proposal import AtHand, Subject, experiment_text, partitions_for
from tests import small
from tests.experiment.test_init_tables import ANSWERS, LABELS, QUESTIONS, table

PAIRS = list(zip(QUESTIONS, ANSWERS, strict=True))
BM25 = ("--set", "systems=[{name: bm25, store: bm25}]", "--set", "latency=false", "--quiet", "--json")


def nested(folder: Path) -> str:
    rows = [{"ts": i, "request": {"user": {"text": q}}, "resolution": {"body": a}} for i, (q, a) in enumerate(PAIRS)]
    small.write_jsonl(folder / "log.jsonl", rows)
    return "log.jsonl"


def utf_16(folder: Path) -> str:
    (folder / "export.tsv").write_bytes(
        ("Frage\tAntwort\n" + "".join(f"{q}\t{a}\n" for q, a in PAIRS)).encode("utf-16")
    )
    return "export.tsv"


def second_sheet(folder: Path) -> str:
    book = openpyxl.Workbook()
    book.active.append(["This workbook holds what customers asked"])
    sheet = book.create_sheet("Questions")
    for row in (["Customer asks", "Solution"], *map(list, PAIRS)):
        sheet.append(row)
    book.save(folder / "support.xlsx")
    return "support.xlsx"


def parquet(folder: Path) -> str:
    pq.write_table(pa.table({"utterance": QUESTIONS, "intent": LABELS, "sure": [0.9] * 4}), folder / "train.parquet")
    return "train.parquet"


def faq(folder: Path) -> str:
    (folder / "faq.csv").write_text(table(",", LABELS, *zip(*PAIRS, strict=True), headings=["Category", "Q", "Answer"]))
    return "faq.csv"


def german(folder: Path) -> str:
    asked = [
        "Wie setze ich mein Passwort zurück?",
        "Wo ist meine Karte?",
        "Wann öffnet es?",
        "Ist die Karte verschickt?",
    ]
    labels = ["Passwort zurücksetzen", "Karte bestellen", "Öffnungszeiten", "Karte bestellen"]
    text = table(";", range(4), asked, labels, headings=["Nr.", "Kundenanfrage", "Passender Artikel"])
    (folder / "anfragen.csv").write_bytes(text.encode("cp1252"))
    return "anfragen.csv"


def files(folder: Path) -> str:
    for i, answer in enumerate(ANSWERS):
        (folder / f"{i}.md").write_text(answer)
    names = [f"{i}.md" for i in range(4)]
    (folder / "asked.csv").write_text(table(",", QUESTIONS, names, headings=["what people ask", "where it is"]))
    return "."


def lines_in_cells(folder: Path) -> str:
    asked = [f"{question}\nPlease; now" for question in QUESTIONS]
    answered = [answer.replace(", ", ",\n\n") for answer in ANSWERS]
    (folder / "tickets.csv").write_text(table(",", asked, answered, headings=["Subject; or text", "Reply, as sent"]))
    return "tickets.csv"


def repeated(folder: Path) -> str:
    rows = [*PAIRS, ("", ""), ("Who?", ""), (QUESTIONS[0], ANSWERS[1]), ("Is it open?", ANSWERS[2]), ("", "")]
    out = io.StringIO()
    csv.writer(out).writerows([("user_question", "best_answer"), *rows])
    (folder / "qa.csv").write_text(out.getvalue())
    return "qa.csv"


def several(folder: Path) -> str:
    (folder / "prices.csv").write_text("sku,price\na,1\nb,2\n")
    (folder / "users.csv").write_text("id,name\n1,Ann\n2,Bob\n")
    (folder / "questions 2025.csv").write_text(table(",", *zip(*PAIRS, strict=True), headings=["question", "answer"]))
    return "."


def two_tables(folder: Path) -> str:
    """The questions name rows of the other table, which holds one that nobody asks about."""
    ids = [f"KB-{i:03}" for i in range(5)]
    articles = table(
        ",", ids, [*LABELS, "Fees"], [*ANSWERS[:3], "Sent.", "A fee."], headings=["article_id", "name", "body"]
    )
    (folder / "articles.csv").write_text(articles)
    named = [ids[0], f"{ids[1]}; {ids[3]}", ids[2], ids[3]]
    (folder / "questions.csv").write_text(table(",", QUESTIONS, named, headings=["question", "article ids"]))
    return "."


def two_sheets(folder: Path) -> str:
    """Numbers name the rows, and their heading says so."""
    book = openpyxl.Workbook()
    book.active.title = "Articles"
    for row in (["id", "text"], *([i, answer] for i, answer in enumerate(ANSWERS, start=1))):
        book.active.append(row)
    sheet = book.create_sheet("Questions")
    for row in (["Question", "Votes", "Article id"], *([q, 1, i] for i, q in enumerate(QUESTIONS, start=1))):
        sheet.append(row)
    book.save(folder / "kb.xlsx")
    return "kb.xlsx"


def three_tables(folder: Path) -> str:
    """As databases hold them: questions, articles, and which of these answers which. All ids are numbers from 1 on."""
    rows = [(1, 1, 1, 2), (2, 2, 2, 1), (3, 3, 3, 1), (4, 4, 4, 2), (5, 4, 2, 1)]
    links = table(",", *zip(*rows, strict=True), headings=["id", "question_id", "article_id", "relevance"])
    (folder / "answers.csv").write_text(links)
    (folder / "questions.csv").write_text(table(",", range(1, 5), QUESTIONS, headings=["id", "question"]))
    articles = table(",", range(1, 6), [*LABELS, "Fees"], [*ANSWERS, "A fee."], headings=["id", "title", "body"])
    (folder / "articles.csv").write_text(articles)
    return "."


@pytest.mark.parametrize(
    "shape",
    [
        *(nested, utf_16, second_sheet, parquet, faq, german, files, lines_in_cells, repeated, several),
        *(two_tables, two_sheets, three_tables),
    ],
)
def test_a_table_of_any_shape_is_found_and_measured_with_nothing_edited(
    shape: Callable[[Path], str], tmp_path: Path, static_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With BM25 and a quick encoder in place of all systems that the file names."""
    monkeypatch.chdir(tmp_path)
    wrote = small.bench("init", shape(tmp_path), "--output", "bench.yaml")
    assert (wrote.exit_code, wrote.stdout) == (0, "bench run bench.yaml\n"), wrote.stderr
    encoder = f"encoders.dense={{adapter: sentence_transformers, model: {static_model}}}"
    systems = "systems=[{name: bm25, store: bm25}, {name: dense, encoder: dense}]"
    ran = small.bench("run", "--set", encoder, *BM25, "--set", systems)
    assert ran.exit_code == 0, ran.stderr
    result = json.loads((Path(json.loads(ran.stdout)["result"]) / "result.json").read_text())
    assert result["systems"][0]["measures"]["nDCG@10"]["mean"] > 0.5
    asked = small.bench("queries", "--worse", "dense")
    assert asked.exit_code == 0 and "dense is worse than bm25 in nDCG@10 for " in asked.stdout, asked.stderr
    if shape is repeated:  # 1 heading, 2 to 5, 6 empty, 7 without an answer, 8 again, 9; 10 is the end
        for told in ("(again in line 8)", "left out (line 7).", "1 row is empty (line 6)."):
            assert told in wrote.stderr and told in " ".join(result["dataset"]["notes"])


def test_what_nobody_can_decide_is_a_place_to_fill_and_the_file_says_so_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(table(",", ANSWERS, ANSWERS[::-1], headings=["x", "y"]))
    wrote = small.bench("init", "t.csv")
    assert (wrote.exit_code, wrote.stdout) == (2, "")
    assert (
        't.csv has 2 columns ("x": ' in wrote.stderr
        and "places to fill: dataset.query, dataset.passage" in wrote.stderr
    )
    refused = small.bench("run", *BM25)
    assert refused.exit_code == 2
    assert "dataset.query is still to be filled in: the column of the questions, one of x and y." in refused.stderr
    assert "dataset.passage is still to be filled in" in refused.stderr
    filled = small.bench("run", *BM25, "--set", "dataset.query=x", "--set", "dataset.passage=y")
    assert filled.exit_code == 0, filled.stderr


def written(folder: Path, place: str) -> dict[str, Any]:
    """The dataset that `bench init` writes."""
    wrote = small.bench("init", folder / place, "--output", folder / "bench.yaml", "--force")
    assert wrote.exit_code == 0, wrote.stderr
    found: dict[str, Any] = yaml.safe_load((folder / "bench.yaml").read_text())["dataset"]
    return found


def test_documents_that_questions_name_by_id_are_those_of_another_table(tmp_path: Path) -> None:
    two_tables(tmp_path)
    dataset = {
        "adapter": "pairs", "path": "questions.csv", "query": "question", "document_id": "article ids",
        "number_by": "row",
        "documents": {"path": "articles.csv", "id": "article_id", "text": "body", "title": "name"},
    }  # fmt: skip
    assert written(tmp_path, ".") == written(tmp_path, "questions.csv") == dataset
    labels = table(",", sorted({*LABELS}), ANSWERS[:3], headings=["topic", "what it is about"])
    (tmp_path / "articles.csv").write_text(labels)
    (tmp_path / "questions.csv").write_text(table(",", QUESTIONS, LABELS, headings=["question", "topic"]))
    assert written(tmp_path, ".")["documents"] == {
        "path": "articles.csv", "id": "topic", "text": "what it is about", "title": "topic",
    }  # fmt: skip
    two_sheets(tmp_path)
    sheets = written(tmp_path, "kb.xlsx")
    assert (sheets["sheet"], sheets["document_id"]) == ("Questions", "Article id")
    assert sheets["documents"] == {"path": "kb.xlsx", "sheet": "Articles"}


def test_rows_that_name_questions_and_documents_of_other_tables_are_judgements(tmp_path: Path) -> None:
    three_tables(tmp_path)
    dataset = {
        "adapter": "pairs", "path": "answers.csv", "query_id": "question_id", "document_id": "article_id",
        "grade": "relevance", "questions": {"path": "questions.csv", "text": "question"},
        "documents": {"path": "articles.csv", "text": "body", "title": "title"},
    }  # fmt: skip
    for named in (".", "answers.csv", "questions.csv", "articles.csv"):
        assert written(tmp_path, named) == dataset
    told = small.bench("init", tmp_path, "--output", tmp_path / "bench.yaml", "--force").stderr
    assert "Found answers.csv, which names questions of questions.csv and documents of articles.csv." in told
    assert 'Took questions.csv for the questions: "question" for the text of each.' in told
    assert "Further columns are left out: id." in told


def test_a_table_whose_rows_another_one_names_holds_the_documents_whatever_its_headings(tmp_path: Path) -> None:
    ids = ["0a3f-77de", "9bb1-c0ff", "77aa-01ee", "55bc-d00d"]
    articles = table(",", ids, LABELS, ANSWERS, headings=["uid", "subject", "body"])
    (tmp_path / "articles.csv").write_text(articles)
    assert written(tmp_path, ".")["query"] == "subject"  # alone, they might be questions
    (tmp_path / "questions.csv").write_text(table(",", QUESTIONS, ids, headings=["asked", "article"]))
    found = written(tmp_path, ".")
    assert (found["query"], found["document_id"]) == ("asked", "article")
    assert found["documents"] == {"path": "articles.csv", "id": "uid", "text": "body"}


def test_numbers_that_stand_in_another_table_by_chance_name_none_of_its_rows(tmp_path: Path) -> None:
    """As votes do, and so does a table that holds what answers its questions itself."""
    (tmp_path / "articles.csv").write_text(table(",", range(9), ANSWERS * 2 + ANSWERS[:1], headings=["id", "body"]))
    (tmp_path / "asked.csv").write_text(table(",", QUESTIONS, [1, 2, 3, 4], headings=["question", "votes"]))
    refused = small.bench("init", tmp_path)
    assert refused.exit_code == 2 and "call the columns of ids alike" in refused.stderr
    for own in ("id", "question_id"):  # numbers of their own rows
        (tmp_path / "asked.csv").write_text(table(",", [1, 2, 3, 4], QUESTIONS, headings=[own, "question"]))
        refused = small.bench("init", tmp_path)
        assert refused.exit_code == 2 and "call the columns of ids alike" in refused.stderr
    (tmp_path / "asked.csv").write_text(
        table(",", QUESTIONS, ANSWERS, [1, 2, 3, 4], headings=["question", "answer", "article_id"])
    )
    assert "documents" not in written(tmp_path, ".")


def test_documents_without_questions_have_them_written_by_a_model_at_hand() -> None:
    subject = Subject("s", "text", ("adapter: files", "path: ."), 900, Language(None, {}), questions=False)
    writer = Offer(
        "t5", {"adapter": "transformers", "model": "doc2query/all-t5-base-v1"}, "of the hub", downloaded=True
    )
    written = yaml.safe_load(experiment_text(subject, AtHand(writers=[writer])))
    assert written["dataset"]["queries"] == "synthetic"
    assert written["generators"] == {"writer": dict(writer.options)}
    assert written["synthetic"]["by"] == "writer" and written["synthetic"]["sample"] == 200


def offer(name: str, **options: Any) -> Offer:
    return Offer(name, {"adapter": "sentence_transformers", "model": name, **options}, "here")


def proposed(documents: int, **hand: Any) -> dict[str, Any]:
    subject = Subject("s", "text", ("adapter: files", "path: ."), documents, Language("english", {}))
    found: dict[str, Any] = yaml.safe_load(experiment_text(subject, AtHand(**hand)))
    return found


def test_no_proposed_system_does_what_another_does() -> None:
    """A model that found the candidates does not rerank them, and an index that is too small for codes has none."""
    one, two = offer("org/one"), offer("org/two", prompts={"query": "query: ", "document": "passage: "})
    by_count = {n: proposed(9000, encoders=[one, two][:n], rerankers=[]) for n in (0, 1, 2)}
    names = {n: [system["name"] for system in found["systems"]] for n, found in by_count.items()}
    assert names[0] == ["bm25"]
    assert names[1] == ["bm25", "dense", "dense-ivf-pq", "hybrid", "bm25-reranked"]
    assert names[2] == ["bm25", "dense", "dense-org/two", "dense-ivf-pq", "hybrid", "dense-reranked"]
    assert by_count[2]["rerankers"]["rescore"] == {"adapter": "bi_encoder", "encoder": "org/two"}
    assert by_count[2]["encoders"]["org/two"]["prompts"] == {"query": "query: ", "document": "passage: "}
    assert "dense-ivf-pq" not in str(proposed(255, encoders=[one]))
    judge = Offer("ce", {"adapter": "cross_encoder", "model": "org/ce"}, "here")
    assert proposed(9, encoders=[one], rerankers=[judge])["rerankers"] == {"rescore": dict(judge.options)}
    server = Offer("hnsw", {"adapter": "weaviate", "index": {"type": "hnsw"}}, "it answers")
    served = proposed(9, encoders=[one], servers=[server])
    assert served["systems"][2] == {"name": "dense-hnsw", "encoder": "org/one", "store": "hnsw"}


@pytest.mark.parametrize(
    ("documents", "partitions", "probes"),
    [(256, 1, 1), (2_560, 10, 8), (20_000, 78, 9), (100_000, 256, 32), (10_000_000, 256, 32)],
)
def test_partitions_follow_the_count_and_each_has_rows_enough(documents: int, partitions: int, probes: int) -> None:
    """20,000 documents: the root is 141, but 20,000 / 256 = 78 partitions have enough rows; an eighth of 78 is 9."""
    assert partitions_for(documents) == (partitions, probes)


def test_services_that_bill_stand_in_the_file_as_comments_with_their_prices(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text(table(",", *zip(*PAIRS, strict=True), headings=["question", "answer"]))
    assert small.bench("init", tmp_path).exit_code == 0
    text = (tmp_path / "bench.yaml").read_text()
    assert (
        "# openai: {adapter: openai, model: text-embedding-3-small}   # asks a service: $0.02 per million tokens"
        in text
    )
    assert set(yaml.safe_load(text)["encoders"]) == {"minilm"}
