"""Editors show what an option means: every option says so itself, in a sentence of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.experiment.schema import experiment_schema


def options(node: Any, definitions: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property at any depth, with the path that leads to it."""
    if isinstance(node, list):
        for each in node:
            yield from options(each, definitions, path)
        return
    if not isinstance(node, dict):
        return
    if "$ref" in node:
        yield from options(definitions[node["$ref"].rpartition("/")[2]], definitions, path)
    titled = f"{path}({node['title']})" if "adapter" in node.get("properties", ()) else path
    for name, option in node.get("properties", {}).items():
        yield f"{titled}.{name}", option
        yield from options(option, definitions, f"{titled}.{name}")
    for word in ("anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties"):
        yield from options(node.get(word), definitions, path)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    schema = experiment_schema()
    return dict(options(schema, schema["$defs"], "file"))


def test_every_key_and_every_option_of_every_adapter_has_a_description(found: dict[str, dict[str, Any]]) -> None:
    assert len(found) > 320  # the walk reaches them
    assert [path for path, option in found.items() if not option.get("description")] == []


def test_a_description_is_a_sentence(found: dict[str, dict[str, Any]]) -> None:
    texts = {path: option.get("description", "") for path, option in found.items()}
    assert [path for path, text in texts.items() if len(text.split()) < 3 or not text.endswith(".")] == []


def test_no_two_options_share_a_description(found: dict[str, dict[str, Any]]) -> None:
    names: dict[str, set[str]] = {}
    for path, option in found.items():
        names.setdefault(option.get("description", ""), set()).add(path.rpartition(".")[2])
    assert {text: shared for text, shared in names.items() if len(shared) > 1} == {}


def test_an_option_whose_value_is_a_mapping_with_keys_describes_each_of_them(found: dict[str, dict[str, Any]]) -> None:
    deep = {
        "encoders(sentence_transformers).prompts.query", "stores(lancedb).index.full_text.stem", "latency.ingest.batch",
        "systems.fuse", "margin.latency", "projection.documents",
    }  # fmt: skip
    assert {f"file.{path}" for path in deep} <= set(found)
