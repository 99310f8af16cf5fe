"""Laws of the form: parts go into the text of an experiment, and the rest of it stays as it was written."""

from __future__ import annotations

import pytest
import yaml

from bench.ui.editing import with_part, with_system, with_value
from bench.ui.fields import SECTIONS, adapters_of, fields_of, part_of
from tests.conftest import REPOSITORY

TEXT = """\
# why this is asked
experiment: small
encoders:
  # the first one
  one: {adapter: a}   # small
  "two":
    adapter: b
    model: m

stores: {bm25: {adapter: bm25}}
systems:
- {name: x, store: bm25}
# the end
"""


def test_a_part_is_added_and_every_other_line_stays() -> None:
    edited = with_part(TEXT, "encoders", "three", {"adapter": "c", "note": "a: b # c"})
    assert yaml.safe_load(edited)["encoders"]["three"] == {"adapter": "c", "note": "a: b # c"}
    assert [line for line in TEXT.splitlines() if line not in edited.splitlines()] == []


def test_a_part_of_the_same_name_is_replaced() -> None:
    edited = with_part(TEXT, "encoders", "two", {"adapter": "c"})
    assert yaml.safe_load(edited)["encoders"] == {"one": {"adapter": "a"}, "two": {"adapter": "c"}}
    assert "# the first one" in edited and "model: m" not in edited


def test_a_section_in_one_line_and_one_that_is_missing_take_a_part() -> None:
    edited = with_part(with_part(TEXT, "stores", "f", {"adapter": "faiss"}), "rerankers", "r", {"adapter": "c"})
    values = yaml.safe_load(edited)
    assert list(values["stores"]) == ["bm25", "f"] and values["rerankers"] == {"r": {"adapter": "c"}}
    assert "# why this is asked" in edited and "# the first one" in edited


def test_a_system_goes_to_the_end_of_the_list() -> None:
    edited = with_system(TEXT, {"name": "y", "encoder": "one", "depth": [10, 20]})
    assert yaml.safe_load(edited)["systems"][1] == {"name": "y", "encoder": "one", "depth": [10, 20]}
    assert yaml.safe_load(with_system("", {"store": "bm25"}))["systems"] == [{"store": "bm25"}]


def test_a_value_takes_the_place_of_what_was_there() -> None:
    edited = with_value(with_value(TEXT, "seed", 3), "seed", 4)
    assert yaml.safe_load(edited)["seed"] == 4 and edited.count("seed") == 1 and "# the first one" in edited


@pytest.mark.parametrize("name", ["no", "1", "null", "é", "a b", "{", "- x", "a: b", "#"])
def test_a_name_that_yaml_would_read_otherwise_stays_that_name(name: str) -> None:
    for text in (TEXT, "", "encoders:\n", "encoders: null\nx: 1\n", "encoders: &a\n  k: {b: c}\nmodels: *a\n"):
        assert name in yaml.safe_load(with_part(text, "encoders", name, {"adapter": "a"}))["encoders"]


@pytest.mark.parametrize("text", ["- 1", "a: [", "a: 1\na: 2"])
def test_what_is_no_experiment_is_not_edited(text: str) -> None:
    with pytest.raises(ValueError):
        with_part(text, "encoders", "x", {})


@pytest.mark.parametrize("name", ["quickstart", "finetune", "sts", "index_matrix", "load"])
def test_a_part_can_be_put_into_each_experiment_that_comes_along(name: str) -> None:
    text = (REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    before, edited = yaml.safe_load(text), with_part(text, "encoders", "new", {"adapter": "precomputed"})
    after = yaml.safe_load(edited)
    assert (
        after.pop("encoders") == {**before.pop("encoders", {}), "new": {"adapter": "precomputed"}} and after == before
    )
    assert [line for line in text.splitlines() if line not in edited.splitlines()] == []


@pytest.mark.parametrize(("section", "adapter"), [
    (section, adapter) for section in SECTIONS.values() for adapter in adapters_of(section) or [""]
])  # fmt: skip
def test_every_adapter_has_a_form_with_a_description_for_each_option(section: str, adapter: str) -> None:
    fields = fields_of(section, adapter)  # type: ignore[arg-type]
    assert {field.description != "" for field in fields} <= {True}
    assert part_of(section, adapter, fields, [""] * len(fields)).keys() <= {"adapter", "recipe"}  # type: ignore[arg-type]


def test_what_is_typed_is_read_as_the_file_reads_it() -> None:
    fields = fields_of("stores", "lancedb")
    typed = {("index", "type"): "IVF_PQ", ("query", "nprobes"): "[1, 4]", ("index", "num_partitions"): " 3 "}
    part = part_of("stores", "lancedb", fields, [typed.get((field.group, field.name)) for field in fields])
    assert part == {
        "adapter": "lancedb", "index": {"type": "IVF_PQ", "num_partitions": 3}, "query": {"nprobes": [1, 4]},
    }  # fmt: skip
    with pytest.raises(ValueError, match="nprobes: "):
        part_of("stores", "lancedb", fields, ["[1" if field.name == "nprobes" else None for field in fields])
