"""YAML of a user: plain values, or one sentence on what has no place in an experiment."""

from __future__ import annotations

import datetime

import pytest

from bench.experiment.yaml_text import parse_yaml

FAULTS = {
    "a: 1\na: 2\n": "line 2, column 1: the key 'a' stands here twice.",
    "? [1]\n: x\n": "line 1, column 3: a key cannot be a list or mapping.",
    "2024-11-01: x\n": "2024-11-01: a date cannot be a key. Put it in quotes.",
    "day: 2024-13-41\n": "a value cannot be read: month must be in 1..12.",
    "systems: [{depth: .nan}]\n": "systems[0].depth: nan is no number that an experiment can hold.",
    "margin: -.inf\n": "margin: -inf is no number that an experiment can hold.",
    "seed: 18446744073709551616\n": "seed: a whole number must fit 64 bits.",
    'name: "a\\ud83d"\n': "name: 'a\\ud83d' holds half of a surrogate pair, which is no Unicode text.",
    '"k\\ud83d": 1\n': "'k\\ud83d' holds half of a surrogate pair, which is no Unicode text.",
    'a: {b: {"k\\udfff": 1}}\n': "a.b: 'k\\udfff' holds half of a surrogate pair, which is no Unicode text.",
    "a: !!binary aGk=\n": "a: a value of the kind bytes has no place in an experiment.",
    "a: !!set {x, y}\n": "a: a value of the kind set has no place in an experiment.",
    "a: &a [*a]\n": "line 1, column 4: found unconstructable recursive node.",
    "a: " + "[" * 200 + "]" * 200: "line 1, column 104: mappings and lists are nested too deeply.",
    "a: " + "[" * 5000: "line 1, column 104: mappings and lists are nested too deeply.",
    "seed: " + "9" * 5000: "line 1, column 7: a number of more than 100 characters",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_what_has_no_place_in_an_experiment_is_a_fault(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_yaml(text)
    assert str(raised.value).startswith(FAULTS[text])


def test_a_few_lines_of_aliases_cannot_stand_for_billions() -> None:
    # Ten of ten, nine times over: 10^9 values in nine lines.
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ValueError, match="aliases stand for more than 100,000 values"):
        parse_yaml("\n".join(lines))


def test_plain_values_dates_and_aliases_are_read() -> None:
    text = "a: &a {x: [1, 0.5, true, null, text, 2024-11-01]}\nb: *a\nc: {<<: *a, y: 2}\n1: one\n"
    values = [1, 0.5, True, None, "text", datetime.date(2024, 11, 1)]
    assert parse_yaml(text) == {"a": {"x": values}, "b": {"x": values}, "c": {"x": values, "y": 2}, 1: "one"}
