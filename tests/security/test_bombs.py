"""Laws: what was written to keep a reader busy ends in one sentence, before any of it is worked out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.results.model import ResultUnreadable, read_result
from tests import small


def merged(levels: int, width: int) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * width)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


def small_text(**keys: object) -> str:
    text: str = yaml.safe_dump({**small.spec([{"name": "a", "store": "bm25"}]), **keys}, sort_keys=False)
    return text


def matrix(**entry: object) -> str:
    """An experiment of one entry whose lists multiply."""
    return small_text(systems=[{"name": "a", "store": "bm25", **entry}])


def small_stores(index: dict[str, object]) -> str:
    return small_text(stores={"s": {"adapter": "lancedb", "index": index}}, systems=[{"store": "s"}])


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
    "a long tag": f"a: !{'x' * 250_000} 1",
    "many anchors": "[" + ",".join(f"&a{i} x" for i in range(18_000)) + "]",
    "unknown keys by the hundred thousand": "\n".join(f"k{i}:" for i in range(45_000)),
    "systems by the ten thousand": "systems:\n" + "- {name: a}\n" * 20_000,
    "two lists of a thousand": matrix(store=["bm25"] * 1000, filter=[{"lang": str(i)} for i in range(1000)]),
    "twenty lists of twenty": small_stores({f"k{i}": list(range(20)) for i in range(20)}),
    "two thousand lists of two": small_stores({f"k{i}": [1, 2] for i in range(2000)}),
    "lists in mappings in mappings": small_stores({"a": {"b": {f"k{i}": [1, 2] for i in range(40)}}}),
    "stores that multiply by systems": matrix(store=["bm25"] * 1500, filter=[{"lang": "a"}, {"lang": "b"}]),
    "measures by the thousand": small_text(measures=[f"nDCG@{i}" for i in range(1, 3000)]),
    "load points without names": small_text(latency=[{} for _ in range(3000)]),
}
HUGE = {
    "a depth": (matrix(depth=10**15), "systems[0].depth"),
    "a k": (matrix(k=10**15), "systems[0].k"),
    "a k with a point": (matrix(k=1e30), "systems[0].k"),
    "a cut-off": (small_text(measures=["nDCG@" + "9" * 40]), "measures"),
    "builds": (small_text(builds=10**9), "builds"),
    "samples": (small_text(latency={"samples": 10**12}), "latency.samples"),
    "rounds": (small_text(latency={"rounds": 10**12}), "latency.rounds"),
    "seconds": (small_text(latency={"seconds": 1e18}), "latency.seconds"),
    "a rate": (small_text(latency={"mode": "open", "rate": 1e300}), "latency.rate"),
    "rows to write": (small_text(latency={"ingest": {"rows_per_second": 1e300}}), "latency.ingest.rows_per_second"),
    "a seed": (small_text(seed=10**400), "line"),
    "a seed beyond 64 bits": (small_text(seed=10**30), "seed"),
    "a constant of fusion": (matrix(store=None, fuse=["b", "c"], rrf_k=-1), "systems[0].rrf_k"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_experiment_that_is_a_bomb_ends_in_one_sentence(bomb: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, BOMBS[bomb]))
    (fault,) = raised.value.faults
    assert len(fault) < 500


@pytest.mark.parametrize("number", HUGE)
def test_a_huge_number_is_named_before_anything_is_made_of_it(number: str, tmp_path: Path) -> None:
    text, place = HUGE[number]
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, text))
    assert any(f": {place}" in fault and len(fault) < 500 for fault in raised.value.faults), raised.value.faults


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("systems", "[" + "a," * 30_000 + "]"),
        ("systems", "[" * 5000),
        ("seed", "9" * 50_000),
        ("systems[" + "9" * 5000 + "].k", "1"),
        ("a" + ".b" * 40_000, "1"),
        ("stores.s.index", str({f"k{i}": list(range(20)) for i in range(20)})),
    ],
    ids=range(6),
)
def test_a_bomb_in_a_set_ends_in_a_sentence(key: str, value: str, tmp_path: Path) -> None:
    spec = small.spec([{"store": "s"}], stores={"s": {"adapter": "lancedb"}})
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, spec), [f"{key}={value}"])
    assert len(raised.value.faults) <= 51 and all(len(fault) < 1500 for fault in raised.value.faults)


def test_of_many_faults_of_a_kind_ten_are_told_and_the_others_counted(tmp_path: Path) -> None:
    places = {
        "": small.spec([{"name": "a", "store": "bm25"}], **{f"k{i}": 1 for i in range(1200)}),
        "systems: ": small.spec([{"name": f"a{i}", "store": "bm25", f"k{i}": 1} for i in range(1200)]),
        "stores.bm25.query: ": small.spec([{"store": "bm25"}]),
        "dataset: ": small.spec([{"store": "bm25"}]),
    }
    unknown = {f"k{i}": 1 for i in range(1200)}
    places["stores.bm25.query: "]["stores"] = {"bm25": {"adapter": "bm25", "query": unknown}}
    places["dataset: "]["dataset"] |= unknown
    for place, spec in places.items():
        with pytest.raises(ConfigFaults) as raised:
            load_experiment(small.write(tmp_path, spec))
        *told, last = raised.value.faults
        assert len(told) == 10 and last.endswith(f": {place}and 1,190 more of that kind."), last


def test_of_faults_without_end_the_first_are_told(tmp_path: Path) -> None:
    systems = [{"name": f"a{i}", "fuse": [f"b{i}", f"c{i}"]} for i in range(1000)]
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, small.spec(systems)))
    *told, last = raised.value.faults
    assert len(told) == 50 and last.endswith("and more. Mend these first.")


def test_fusions_of_fusions_are_walked_once_however_many_paths_they_have(tmp_path: Path) -> None:
    def tower(floors: int) -> list[dict[str, object]]:
        """Two systems a floor, each fused from both below: 2^floors paths from the top."""
        found: list[dict[str, object]] = [
            {"name": f"{side}0", "store": "bm25", "k": 10 + i} for i, side in enumerate("ab")
        ]
        for i in range(1, floors + 1):
            found += [{"name": f"{side}{i}", "fuse": [f"a{i - 1}", f"b{i - 1}"]} for side in "ab"]
        return found

    assert len(load_experiment(small.write(tmp_path, small.spec(tower(8)))).systems) == 18
    for floors in (10, 400):  # 2^11 - 2 systems below the highest of 10
        with pytest.raises(ConfigFaults, match=r"fuses (2,046 systems, 10 deep|more than 10\^\d+ systems, \d+ deep)"):
            load_experiment(small.write(tmp_path, small.spec(tower(floors))))
    circle = [*tower(3), {"name": "x", "fuse": ["a3", "y"]}, {"name": "y", "fuse": ["x", "b3"]}]
    above = {"name": "z", "fuse": ["x", "a0"]}  # rests on the circle and is none of it
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, small.spec([*circle, above])))
    named = [fault.rpartition(": ")[2] for fault in raised.value.faults]
    assert named == ["x would be fused with itself.", "y would be fused with itself."]


def test_a_matrix_of_as_many_systems_as_there_may_be_is_read(tmp_path: Path) -> None:
    index = {"k1": [i / 20 for i in range(1, 51)], "b": [i / 40 for i in range(40)]}  # 50 × 40
    spec = small.spec([{"store": "s"}], stores={"s": {"adapter": "bm25", "index": index}})
    assert len(load_experiment(small.write(tmp_path, spec)).systems) == 2000


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
