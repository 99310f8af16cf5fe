"""Laws: a result can grow. A reader leaves out what a later release adds, and what an older one wrote stays readable.

`golden/results` holds results of format 1 as the commit that stands in them wrote them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError

from bench.report.table import render
from bench.results.fields import Fields
from bench.results.history import FORMAT, HISTORY
from bench.results.model import (
    Result,
    ResultUnreadable,
    Status,
    SystemResult,
    SystemStatus,
    read_result,
    result_schema,
    write_result,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FIXTURES = [GOLDEN / "result.json", GOLDEN / "first_version" / "result.json", *sorted((GOLDEN / "results").iterdir())]
OPEN = {
    "Result.experiment", "DatasetInfo.provenance", "Provenance.servers", "EncodersInfo.document", "EncodersInfo.query",
    "PipelineInfo.store", "PipelineInfo.index", "PipelineInfo.query", "PipelineInfo.filter", "PipelineInfo.reranker",
    "Index.parameters", "Front.filter", "Target.index", "Target.filter", "Target.setting",
    "TrainedModel.options", "Variant.options",
}  # fmt: skip
ADDED: list[Any] = [7, None, "more", [1, {"a": 2}], {"p50_ms": {"name": []}}]
Plant = Callable[[str, dict[str, Any]], None]
by_file = pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")


def objects(values: Any, option: dict[str, Any], models: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Each object of a result that has fields, innermost first, with the name of its model."""
    if "$ref" in option:
        name = option["$ref"].rpartition("/")[2]
        option = models[name]
    for choice in option.get("anyOf", ()):
        if values is not None:
            yield from objects(values, choice, models, name)
    if isinstance(values, list):
        for value in values:
            yield from objects(value, option.get("items", {}), models, name)
    elif isinstance(values, dict):
        fields = option.get("properties", {})
        for key, value in values.items():
            of = fields.get(key, option.get("additionalProperties"))
            if isinstance(of, dict):
                yield from objects(value, of, models, name)
        if fields:
            yield name, values


def models_in(values: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = result_schema()
    yield from objects(values, schema, schema["$defs"], "Result")


def written(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def read(folder: Path, values: Any) -> Result:
    (folder / "result.json").write_text(json.dumps(values), encoding="utf-8")
    return read_result(folder)


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where a value stands no more as it stood."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}[{i}]")
    elif before != after:
        yield path


# -- what a later release adds -----------------------------------------------------------------------------------


@by_file
@pytest.mark.parametrize("added", ADDED, ids=repr)
def test_a_field_that_is_not_known_is_left_out_in_every_object_at_every_depth(
    path: Path, added: Any, tmp_path: Path
) -> None:
    values, plain = written(path), read_result(path)
    for _, found in list(models_in(values)):
        found["added_later"] = copy.deepcopy(added)
    grown = read(tmp_path, values)
    assert grown == plain and grown.model_dump() == plain.model_dump()
    assert render(grown) == render(plain)


def test_the_kept_results_hold_an_object_of_every_kind() -> None:
    """So that the law of fields that are not known reaches each of them."""
    reached = {name for path in FIXTURES for name, _ in models_in(written(path))}
    assert reached == {"Result", *result_schema()["$defs"]}


@pytest.mark.parametrize("place", [(), ("systems", 0), ("systems", 1, "cost", "parts", 0, "usage"), ("dataset",)])
def test_a_field_that_is_known_and_holds_nonsense_is_refused_by_name(place: tuple[Any, ...], tmp_path: Path) -> None:
    values = written(GOLDEN / "results" / "billed.json")
    found: Any = values
    for step in place:
        found = found[step]
    known = next(iter(found)) if place else "margin"
    found[known] = {"not": "a value"}
    where = ".".join(map(str, (*place, known)))
    with pytest.raises(ResultUnreadable, match=rf"result\.json: {where}: "):
        read(tmp_path, values)


@by_file
def test_the_published_schema_takes_results_with_fields_that_it_does_not_know(path: Path) -> None:
    schema = jsonschema.Draft202012Validator(result_schema())
    values = written(path)
    schema.validate(values)
    for _, found in list(models_in(values)):
        found["added_later"] = 1
    schema.validate(values)


# -- what writes a result ----------------------------------------------------------------------------------------


def kinds(kind: type[Fields] = Fields) -> Iterator[type[Fields]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds(each)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_who_makes_a_result_cannot_name_a_field_that_there_is_not(kind: type[Fields]) -> None:
    with pytest.raises(ValidationError) as raised:
        kind.model_validate({"no_such_field": 1})
    assert "extra_forbidden" in {error["type"] for error in raised.value.errors()}
    with pytest.raises(ValueError, match="no_such_field"):
        kind.model_construct().no_such_field = 1  # type: ignore[attr-defined]


def test_every_model_of_the_result_is_one_that_holds_its_makers_to_its_fields() -> None:
    assert {kind.__name__ for kind in kinds()} == {"Result", *result_schema()["$defs"]}


def test_no_mapping_is_open_but_those_of_adapters_datasets_and_experiments() -> None:
    schema = result_schema()
    models = {"Result": schema, **schema["$defs"]}
    fields = {
        f"{name}.{field}": option for name, model in models.items() for field, option in model["properties"].items()
    }
    assert {name for name, option in fields.items() if '"additionalProperties": true' in json.dumps(option)} == OPEN


# -- what an older release wrote ---------------------------------------------------------------------------------


@by_file
def test_a_kept_result_that_is_written_again_loses_nothing(path: Path, tmp_path: Path) -> None:
    write_result(tmp_path, read_result(path))
    assert list(lost(written(path), written(tmp_path / "result.json"))) == []


@by_file
def test_a_kept_result_is_shown(path: Path) -> None:
    result = read_result(path)
    assert all(system.name in render(result) for system in result.systems)


def test_the_kept_results_have_every_status_and_every_part() -> None:
    results = [read_result(path) for path in FIXTURES]
    systems = [system for result in results for system in result.systems]
    assert {result.status for result in results} == set(get_args(Status))
    assert {system.status for system in systems} == set(get_args(SystemStatus)) - {"started"}  # no file holds that
    assert {name for name in Result.model_fields if not any(getattr(result, name) for result in results)} == NEWER
    assert {name for name in SystemResult.model_fields if not any(getattr(one, name) for one in systems)} == GAPS


NEWER = {"warnings", "files", "digest"}  # nothing was doubtful of these collections; the others came later
GAPS = {
    "truncated_texts", "documents_without_direction", "queries_without_direction", "documents_without_vector",
    "truncated_pairs", "unscored_pairs", "queries_without_terms", "incomplete",
}  # fmt: skip


def test_every_field_stands_in_the_history_of_the_format_once() -> None:
    """A field is added with an entry that says so, and none is ever taken away."""
    schema = result_schema()
    there = [
        f"{name}.{field}"
        for name, model in {"Result": schema, **schema["$defs"]}.items()
        for field in model["properties"]
    ]
    told = [f"{name}.{field}" for added in HISTORY for name, fields in added.fields.items() for field in fields.split()]
    assert sorted(told) == sorted(there)


def test_the_history_goes_forward_to_the_format_that_is_written() -> None:
    order = [(added.format, added.day) for added in HISTORY]
    assert order == sorted(order) and order[-1][0] == FORMAT


# -- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 1])
def test_a_result_that_is_cut_short_anywhere_says_so(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "result.json"
    values = {**written(GOLDEN / "results" / "error.json"), "warnings": ['é \\ " } ] 猫', "}"]}
    whole = (json.dumps(values, ensure_ascii=False, indent=indent) + "\n").encode()
    for length in [*range(0, len(whole) - 1, 29), 1, len(whole) - 2]:
        path.write_bytes(whole[:length])
        with pytest.raises(ResultUnreadable, match="cannot be read: it is cut short"):
            read_result(tmp_path)
    path.write_bytes(whole[:-1])  # the line end alone
    assert read_result(tmp_path).status == "error"


@pytest.mark.parametrize("content", ['{"format": 1,, "a": 2}', '{"format" 1}', '{"a": nope}', '{"format": 1} x}'])
def test_a_result_that_is_no_json_in_its_middle_is_not_called_cut_short(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ResultUnreadable, match="cannot be read: ") as raised:
        read_result(tmp_path)
    assert "cut short" not in str(raised.value)


def test_a_result_of_a_newer_format_is_refused_with_both_versions_and_the_release_that_wrote_it(tmp_path: Path) -> None:
    values = {**written(GOLDEN / "results" / "error.json"), "format": FORMAT + 1}
    values["provenance"]["packages"]["retrieval-bench"] = "9.1.0"
    with pytest.raises(ResultUnreadable) as raised:
        read(tmp_path, values)
    message = str(raised.value)
    assert raised.value.newer
    assert f"was written in format {FORMAT + 1}; this version reads up to {FORMAT}." in message
    assert "pip install --upgrade retrieval-bench (9.1.0 wrote it, this is " in message


@pytest.mark.parametrize("provenance", [None, [], {"packages": 3}, {"packages": {"retrieval-bench": 9}}])
def test_a_newer_result_whose_provenance_has_another_shape_is_refused_as_newer(tmp_path: Path, provenance: Any) -> None:
    with pytest.raises(ResultUnreadable, match="was written in format 9") as raised:
        read(tmp_path, {"format": 9, "provenance": provenance})
    assert raised.value.newer


@pytest.mark.parametrize("number", [True, 0, -1, 1.0, "1", None, [1]])
def test_what_has_no_version_of_a_format_is_no_result(tmp_path: Path, number: Any) -> None:
    with pytest.raises(ResultUnreadable, match=r"is not a result \(it has no format version\)"):
        read(tmp_path, {**written(GOLDEN / "results" / "error.json"), "format": number})
