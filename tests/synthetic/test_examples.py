"""Laws of labelled examples that a template makes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.structured import Structured
from bench.synthetic.examples import drawn_examples
from tests import small

SPEC: dict[str, Any] = {
    "template": "{merchant} {amount} {city}",
    "labels": {
        "groceries": {"merchant": ["ALDI", "REWE"]},
        "fuel_and_oil": {"merchant": ["SHELL"], "amount": {"lowest": 20, "highest": 30, "decimals": 2}},
    },
    "fields": {"amount": {"lowest": 1, "highest": 9, "decimals": 2}, "city": ["Berlin", "Köln"]},
    "per_label": 25,
}


def spec(**changes: Any) -> Structured:
    return Structured.model_validate({**SPEC, **changes})


def test_examples_follow_their_label_and_the_seed() -> None:
    found = drawn_examples(spec(), 0)
    assert found == drawn_examples(spec(), 0) != drawn_examples(spec(), 1)
    assert not found.lacking and len(found.rows) == 2 * 25 == len({text for text, _ in found.rows})
    for text, label in found.rows:
        merchant, amount, city = text.split()
        low, high = (1, 9) if label == "groceries" else (20, 30)
        assert merchant in SPEC["labels"][label]["merchant"] and city in ("Berlin", "Köln")
        assert low <= float(amount) <= high and len(amount.partition(".")[2]) == 2


def test_more_of_a_label_holds_what_fewer_held() -> None:
    few, many = ({*drawn_examples(spec(per_label=count), 0).rows} for count in (5, 10))
    assert few < many


def test_a_label_whose_fields_are_used_up_has_fewer_and_texts_of_two_labels_are_left_out() -> None:
    labels = {"a": {"word": ["one", "two"]}, "b": {"word": ["two", "three", "four"]}}
    found = drawn_examples(spec(template="{word}", labels=labels, fields={}, per_label=10), 0)
    assert sorted(found.rows) == [("four", "b"), ("one", "a"), ("three", "b")]  # `two` is of both
    assert found.shared == 1 and found.lacking == {"a": 9, "b": 8}
    assert len(list(found.notes())) == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"template": "{shop}"}, "the template has {shop}, and label groceries has no field of that name"),
        ({"template": "x"}, "the template has no field"),
        ({"fields": {**SPEC["fields"], "day": [1]}}, "fields has day, which the template does not use"),
        ({"fields": {**SPEC["fields"], "amount": {"lowest": 2, "highest": 1}}}, "highest (1) is below lowest (2)"),
        ({"labels": {"a": {"merchant": ["x"]}}}, "at least 2"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as caught:
        spec(**changes)
    assert told in str(caught.value)


def test_the_command_writes_a_folder_that_runs_as_a_dataset(tmp_path: Path) -> None:
    dataset = {"adapter": "files", "path": "out/documents", "questions": "out/questions.csv"}
    template = {"template": "{label} {amount}", "fields": {"amount": SPEC["fields"]["amount"]}}
    labels: dict[str, Any] = {"groceries": {}, "fuel_and_oil": {}}
    file = small.write(
        tmp_path,
        small.spec(
            [{"name": "b", "store": "bm25"}], dataset=dataset, synthetic={**template, "labels": labels, "per_label": 9}
        ),
    )
    planned = small.bench("generate", file, "-o", tmp_path / "out", "--dry-run")
    assert "18 examples would be written" in planned.stdout and not (tmp_path / "out").exists()
    told = small.bench("generate", file, "-o", tmp_path / "out", "--look", "2")
    assert told.exit_code == 0 and "18 examples" in told.stdout
    with (tmp_path / "out" / "questions.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert {row["label"] for row in rows} == {"groceries", "fuel_and_oil"} and len(rows) == 18
    assert (tmp_path / "out" / "documents" / "fuel_and_oil.txt").read_text() == "fuel and oil\n"
    ran = small.bench("run", file, "--output", tmp_path / "results", "--cache", tmp_path / "cache", "--quiet")
    assert ran.exit_code == 0, ran.output
    again = small.bench("generate", file, "-o", tmp_path / "out")
    assert again.exit_code == 2 and "which may have been edited" in again.output


def test_examples_are_no_questions_for_documents(tmp_path: Path) -> None:
    dataset = {"adapter": "beir", "path": "data", "queries": "synthetic"}
    file = small.write(tmp_path, small.spec([{"name": "b", "store": "bm25"}], dataset=dataset, synthetic=SPEC))
    told = small.bench("run", file)
    assert told.exit_code == 2 and "synthetic.template makes labelled examples" in told.output
