"""Laws of `bench generate`: questions alone, as a collection to edit and use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import small
from tests.synthetic.made import SAMPLE, asked, experiment, scribes


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder that the command wrote, and what it printed."""
    place = tmp_path_factory.mktemp("generate")
    with scribes(place / "site"):
        file = experiment(place, dataset={"adapter": "beir", "path": "data"})  # no word of queries
        told = small.bench("generate", file, "-o", place / "out", "--cache", place / "cache", "--quiet")
        assert told.exit_code == 0, told.output
        yield place, told.stdout


def test_the_folder_is_a_collection_with_splits_by_document(generated: tuple[Path, str]) -> None:
    place, _ = generated
    out = place / "out"
    corpus, queries = (
        [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
        for name in ("corpus", "queries")
    )
    original = [json.loads(line) for line in (place / "data" / "corpus.jsonl").read_text().splitlines()]
    assert [row["_id"] for row in corpus] == [row["_id"] for row in original]
    assert corpus[0]["text"] == original[0]["text"] and corpus[0]["metadata"] == {"lang": "en"}
    assert all(row["metadata"] == {"synthetic": "s"} for row in queries)
    seen: dict[str, str] = {}
    judged = 0
    for file in sorted((out / "qrels").iterdir()):
        for line in file.read_text().splitlines()[1:]:
            _, document, grade = line.split("\t")
            assert seen.setdefault(document, file.stem) == file.stem and grade == "1"
            judged += 1
    assert judged == len(queries) and set(seen.values()) == {"train", "dev", "test"}


def test_it_prints_ten_questions_with_their_documents_and_how_to_use_them(generated: tuple[Path, str]) -> None:
    place, told = generated
    shown = told.partition("To look at:\n")[2].split("\n\n")[0].splitlines()
    assert len(shown) == 20 and all(line.startswith("    ") for line in shown[1::2])
    # As the experiment's own file, which lies beside the folder, names it.
    assert f"{place / 'out'}: 115 queries" in told and "dataset: {adapter: beir, path: out}\n" in told


def test_the_folder_runs_as_a_dataset(generated: tuple[Path, str]) -> None:
    place, _ = generated
    (place / "use").mkdir()
    file = small.write(
        place / "use", small.spec([{"name": "b", "store": "bm25"}], dataset={"adapter": "beir", "path": "../out"})
    )
    told = small.bench("run", file, "--output", place / "results", "--cache", place / "cache", "--quiet")
    assert told.exit_code == 0, told.output


def test_what_may_have_been_edited_is_not_written_over(generated: tuple[Path, str]) -> None:
    place, _ = generated
    told = small.bench("generate", place / "bench.yaml", "-o", place / "out", "--cache", place / "cache", "--quiet")
    assert told.exit_code == 2 and "holds corpus.jsonl already" in told.output


def test_a_second_folder_costs_nothing_and_json_tells_all(generated: tuple[Path, str]) -> None:
    place, _ = generated
    before = asked(place)
    told = small.bench(
        "generate", place / "bench.yaml", "-o", place / "two", "--cache", place / "cache", "--json", "--look", "2",
        "--quiet",
    )  # fmt: skip
    values = json.loads(told.stdout)
    assert values["documents"] == SAMPLE and len(values["examples"]) == 2 and asked(place) == before
    planned = small.bench("generate", place / "bench.yaml", "--cache", place / "cache", "--dry-run", "--quiet")
    assert f"s: {SAMPLE} documents, all written for already" in planned.stdout


def test_without_a_word_of_synthetic_queries_the_cure_is_told(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    file = small.write(tmp_path, small.spec([{"name": "b", "store": "bm25"}]))
    told = small.bench("generate", file)
    assert told.exit_code == 2 and "synthetic is missing" in told.output
