"""Laws: what was written to keep a reader busy ends in one sentence, before any of it is worked out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.results.model import ResultUnreadable, read_result
from tests import small


def merged(levels: int, width: int) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * width)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "aliases": "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)),
    "merges": merged(14, 10),
    "a chain of merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i}: &a{i}\n  <<: *a{i - 1}\n  k{i}: 1\n" for i in range(1, 3000)),
    "brackets": "[" * 250_000,
    "braces": "{a: " * 60_000,
    "dashes": "- " * 140_000,
    "indents": "\n".join(" " * i + "a:" for i in range(700)),
    "a million digits": "seed: " + "9" * 250_000,
    "a hexadecimal number": "seed: 0x" + "f" * 250_000,
    "a sexagesimal number": "seed: 1" + ":59" * 90_000,
    "an exponent": "margin: 1.0e+" + "9" * 250_000,
    "a long key": f'? "{"k" * 200_000}"\n: 1',
    "a long text": "experiment: " + "x" * 250_000,
    "megabytes": "a: x\n" * 1_000_000,
    "many values": "a: [" + "1," * 100_000 + "]",
    "itself": "a: &a {b: *a}",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_experiment_that_is_a_bomb_ends_in_one_sentence(bomb: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, BOMBS[bomb]))
    (fault,) = raised.value.faults
    assert len(fault) < 500


@pytest.mark.parametrize("text", ["a" * 99_000, "x://" + ":" * 99_000, "http://" * 14_000, "$" * 99_000], ids=range(4))
def test_no_text_makes_a_pattern_quadratic(text: str, tmp_path: Path) -> None:
    for changes in ({"measures": [f"nDCG@10{text}"]}, {"baseline": text}, {"cache": text, "baseline": "b"}):
        with pytest.raises(ConfigFaults) as raised:
            load_experiment(small.write(tmp_path, small.spec([{"name": "a", "store": "bm25"}], **changes)))
        assert all(len(fault) < 2000 for fault in raised.value.faults)


@pytest.mark.parametrize(
    "text", ["[" * 10**6, f'{{"format": {"9" * 10**6}}}', '{"format": 1e999999}', '{"a":' * 500_000], ids=range(4)
)
def test_a_result_that_is_a_bomb_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ResultUnreadable):
        read_result(tmp_path)
