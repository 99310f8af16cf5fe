"""Laws: what a terminal would obey, or would not show, is written out before it is printed, wherever it comes from."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from adapters import printable
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.experiment.starter import write_experiment
from bench.experiment.yaml_text import parse_yaml
from tests import small

# Colour, a window's title, a cleared screen as one byte (C1), an override of direction, a line separator, a zero-width
# space, the markup of the library that draws the bars, and one of its emoji.
HOSTILE = "\x1b[31mhostile\x1b]0;t\x07\x9b2J\u202e\u2028\u200b\x7f[red][link=x]:bug:"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def collection(folder: Path, hostile: str = HOSTILE) -> Path:
    """A BEIR folder whose ids, titles, texts and columns are all hostile."""
    folder.mkdir(parents=True)
    rows = [{"_id": f"d{i}{hostile}", "title": hostile, "text": f"word{i} {hostile}"} for i in range(30)]
    asks = [{"_id": f"q{i}{hostile}", "text": f"word{i} {hostile}"} for i in range(6)]
    small.write_jsonl(folder / "corpus.jsonl", [{**row, "metadata": {hostile: hostile}} for row in rows])
    small.write_jsonl(folder / "queries.jsonl", asks)
    (folder / "qrels").mkdir()
    judged = "".join(f"q{i}{hostile}\td{i}{hostile}\t1\n" for i in range(6))
    (folder / "qrels" / "test.tsv").write_text(judged, encoding="utf-8")
    return folder


def experiment(folder: Path, **keys: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    collection(folder / HOSTILE)
    (folder / "gone.trec").write_text(f"q0{HOSTILE.replace(' ', '')} Q0 nothing{HOSTILE} 1 2.0 x\n", encoding="utf-8")
    spec = small.spec([{"name": "a", "store": "bm25"}], dataset={"adapter": "beir", "path": HOSTILE})
    return small.write(folder, {**spec, **keys})


def printed(*arguments: str | Path) -> str:
    outcome = small.bench(*arguments)
    return outcome.stdout + outcome.stderr


COMMANDS: dict[str, Callable[[Path], Iterator[list[str | Path]]]] = {
    "run": lambda folder: iter(
        [
            ["run", experiment(folder), "--cache", folder / f"cache{HOSTILE}", "--output", folder / HOSTILE / "out"],
            ["run", folder, "--cache", folder / f"cache{HOSTILE}", "--dry-run"],
            ["clean", "--cache", folder / f"cache{HOSTILE}"],
            ["clean", "--cache", folder / f"cache{HOSTILE}", "--all", "--yes"],
        ]
    ),
    "a fault": lambda folder: iter([["run", experiment(folder, baseline=HOSTILE, **{HOSTILE: 1})]]),
    "a fault of the data": lambda folder: iter(
        [["run", experiment(folder, systems=[{"name": "a", "run": "gone.trec"}]), "--cache", folder / "cache"]]
    ),
    "no file": lambda folder: iter([["run", folder / HOSTILE], ["track", folder / HOSTILE]]),
    "no such option": lambda folder: iter(
        [["run", f"--{HOSTILE}"], [HOSTILE], ["track", folder, "--seconds", HOSTILE], ["run", "--set", HOSTILE, folder]]
    ),
    "init": lambda folder: iter(
        [["init", collection(folder / HOSTILE)], ["init", folder / HOSTILE], ["init", folder / f"no{HOSTILE}"]]
    ),
    "training": lambda folder: iter(
        [["export-training", experiment(folder), "--split", "test", "--output", folder / f"{HOSTILE}.jsonl"]]
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_what_a_terminal_would_obey(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [printed(*arguments) for arguments in COMMANDS[command](tmp_path / "here")]
    assert "\\x1b" in "".join(texts)  # it is shown as text, not left out
    for text in texts:
        assert not OBEYED.search(text), text


def test_json_that_is_printed_stays_json(tmp_path: Path) -> None:
    outcome = small.bench("run", experiment(tmp_path), "--cache", tmp_path / "c", "--output", tmp_path / "o", "--json")
    assert not OBEYED.search(outcome.stdout)
    assert json.loads(outcome.stdout)["status"] == "success"


def under_a_pty(*arguments: str | Path, environment: dict[str, str]) -> str:
    """What a command prints where both its outputs are a terminal."""
    ours, its = pty.openpty()
    command = [sys.executable, "-P", "-m", "bench", *map(str, arguments)]
    with subprocess.Popen(command, stdout=its, stderr=its, env={**os.environ, **environment}) as process:
        os.close(its)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # its other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
        process.wait()
    os.close(ours)
    return b"".join(pieces).decode("utf-8", "replace")


def test_a_terminal_gets_no_control_sequence_but_our_own(tmp_path: Path) -> None:
    path = experiment(tmp_path, latency={"workers": 2, "samples": 20, "seconds": 1})
    arguments = ("run", path, "--cache", tmp_path / "cache", "--output", tmp_path / "out")
    text = under_a_pty(*arguments, environment={"TERM": "xterm-256color"})
    assert "\x1b[31mhostile" not in text and "\x1b]" not in text and "\x9b" not in text and "\u202e" not in text
    assert "\\x1b[31mhostile" in text and "[red][link=x]:bug:" in text


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LANG": "C"}])
def test_names_that_are_no_text_are_told_without_a_traceback(locale: dict[str, str], tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b.yaml")
    (tmp_path / name).write_text("experiment: x")
    command = [sys.executable, "-P", "-m", "bench", "run", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **locale}, check=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr and b"\x1b" not in done.stderr and b"caf" in done.stderr


@pytest.mark.parametrize("char", ["\x1b", "\x00", "\x85", "\n", "\t", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028"])
def test_a_name_that_a_terminal_does_not_show_is_refused(char: str, tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    places = {
        "systems[0]": small.spec([{"name": f"a{char}b", "store": "bm25"}]),
        "experiment": small.spec([{"name": "a", "store": "bm25"}], experiment=f"a{char}b"),
        f"stores.x{char}y": small.spec([{"name": "a", "store": "bm25"}], stores={f"x{char}y": {"adapter": "bm25"}}),
        "latency[0]": small.spec([{"name": "a", "store": "bm25"}], latency=[{"name": f"a{char}b"}]),
        "measures[0]": small.spec([{"name": "a", "store": "bm25"}], measures=[f"nDCG{char}@10"]),
    }
    for place, spec in places.items():
        if place == "measures[0]" and char.isspace():
            continue  # a measure is read with spaces or without, and printed without
        path = tmp_path / "bench.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        with pytest.raises(ConfigFaults) as raised:
            load_experiment(path)
        assert any(place in fault for fault in raised.value.faults), (place, raised.value.faults)


def test_a_value_that_a_terminal_does_not_show_makes_no_name(tmp_path: Path) -> None:
    filters = [{"lang": "en"}, {"lang": "e\u202en"}]
    with pytest.raises(ConfigFaults, match=r"systems\[0\] is called .*U\+202E"):
        load_experiment(small.write(tmp_path, small.spec([{"store": "bm25", "filter": filters}])))


def test_texts_of_any_language_are_printed_as_they_are() -> None:
    for text in ["Ω≥ 日本語\u3000の 한국어", "naïve\tcafé\n", "हिन्दी 😀 نص"]:
        assert printable(text) == text


@pytest.mark.parametrize(
    "name",
    ["a\nsystems: [].csv", "b\u2028baseline: x.csv", "c\x85d.csv", "d'\"# .csv", "\x1b.csv", "2024.csv", "null.csv"],
)
def test_no_file_name_writes_into_the_experiment_that_is_made_for_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("query,positive\nwhat,this\nwho,that\n")
    write_experiment(tmp_path, tmp_path / "bench.yaml")
    made = parse_yaml((tmp_path / "bench.yaml").read_text(encoding="utf-8"))
    assert made["dataset"] == {"adapter": "pairs", "path": name, "passage": "positive", "number_by": "row"}
    assert load_experiment(tmp_path / "bench.yaml").baseline == "bm25"


@pytest.mark.parametrize("split", ["test\nbaseline: x", "2024", "null", "a # b", "\x1b"])
def test_no_split_writes_into_the_experiment_that_is_made_for_it(split: str, tmp_path: Path) -> None:
    small.collection(tmp_path)
    (tmp_path / "qrels" / "test.tsv").rename(tmp_path / "qrels" / f"{split}.tsv")
    write_experiment(tmp_path, tmp_path / "bench.yaml")
    made = parse_yaml((tmp_path / "bench.yaml").read_text(encoding="utf-8"))
    assert made["dataset"]["split"] == split and made["baseline"] == "bm25"
