"""Whoever reads result.json is told by its schema what a field means, in a sentence of its own."""

from __future__ import annotations

from typing import Any

import pytest

from bench.results.model import result_schema
from tests.experiment.test_descriptions import options


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    schema = result_schema()
    return dict(options(schema, schema["$defs"], "result"))


def test_every_field_of_a_result_at_any_depth_has_a_description(found: dict[str, dict[str, Any]]) -> None:
    deep = {
        "result.systems.cost.parts.price.read_on", "result.systems.pipeline.encoder.document",
        "result.targets.loads.total.p50_ms", "result.provenance.machine.cores",
    }  # fmt: skip
    assert deep <= set(found)  # the walk reaches them
    assert [path for path, option in found.items() if not option.get("description")] == []


def test_the_description_of_a_field_is_a_sentence(found: dict[str, dict[str, Any]]) -> None:
    texts = {path: option.get("description", "") for path, option in found.items()}
    assert [path for path, text in texts.items() if len(text.split()) < 3 or not text.endswith(".")] == []


def test_no_two_fields_of_a_result_share_a_description(found: dict[str, dict[str, Any]]) -> None:
    names: dict[str, set[str]] = {}
    for path, option in found.items():
        names.setdefault(option.get("description", ""), set()).add(path.rpartition(".")[2])
    assert {text: shared for text, shared in names.items() if len(shared) > 1} == {}
