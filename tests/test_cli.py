"""The command: light to start, at home in every directory, results on stdout and everything else on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from adapters.servers import weaviate as weaviate_server
from bench.cli import SECTIONS, app
from tests import small
from tests.conftest import REPOSITORY

HEAVY = (
    "torch", "lancedb", "weaviate", "transformers", "sentence_transformers", "datasets", "pandas", "cohere", "pydantic",
)  # fmt: skip
BM25 = {"name": "bm25", "store": "bm25"}


pytestmark = pytest.mark.usefixtures("third_party")


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=cwd, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom bench.cli import app\n"
        f"try:\n    app(['--help'], prog_name='bench')\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert "Usage: bench" in done.stdout


def test_python_m_bench_works_from_any_directory_and_leaves_results_there(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    small.collection(project / "data")
    elsewhere.mkdir()
    path = small.write(project, small.spec([BM25]))
    done = command("run", str(path), "--json", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"answer", "result", "status", "systems"}
    assert Path(told["result"]).parent == elsewhere / "results" / "small"
    assert [path.name for path in elsewhere.iterdir()] == ["results"]  # the cache is the user's
    assert sorted(p.name for p in project.iterdir()) == ["bench.yaml", "data"]


def test_a_folder_stands_for_the_experiment_in_it(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    small.write(tmp_path, small.spec([BM25]))
    places = ("--output", tmp_path / "out", "--cache", tmp_path / "cache", "--quiet")
    outcome = small.bench("run", tmp_path, *places)
    assert outcome.exit_code == 0
    table = outcome.stdout.splitlines()
    assert table[0].startswith("bm25 reaches ")
    assert table[2].startswith("data (test) · 12 of 12 queries judged · 60 documents")
    assert table[3].startswith("system  nDCG@10 [95 %]")
    assert outcome.stderr == ""


def test_progress_goes_to_stderr(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, small.spec([BM25]))
    outcome = small.bench("run", path, "--output", tmp_path / "out", "--cache", tmp_path / "cache", "--json")
    assert json.loads(outcome.stdout)["status"] == "success"


def test_a_dry_run_says_what_a_run_would_do_and_does_none_of_it(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    experiment = small.spec(
        [BM25, {"name": "dense", "encoder": "words"}, {"name": "again", "store": "bm25", "reranker": "r"}],
        encoders={"words": {"adapter": "words"}},
        rerankers={"r": {"adapter": "bi_encoder", "encoder": "words"}},
        baseline="bm25",
        latency={"samples": 7, "turn_seconds": 0.001},
    )
    path = small.write(tmp_path, experiment)
    places = ("--output", tmp_path / "out", "--cache", tmp_path / "cache", "--quiet")
    before = small.bench("run", path, *places, "--dry-run")
    assert before.exit_code == 0
    assert not (tmp_path / "out").exists()
    assert "words (documents): 60 of 60 texts to embed" in before.stdout
    assert "cannot be detected by this test set" in before.stdout
    assert "7 samples a system" in before.stdout
    small.bench("run", path, *places)
    after = small.bench("run", path, *places, "--dry-run")
    assert "words (documents): 60 texts, all cached" in after.stdout
    assert "to load and index" not in after.stdout


def test_an_interrupted_run_is_cancelled_with_130_and_goes_on(tmp_path: Path) -> None:
    small.collection(tmp_path / "data", documents=400)
    words = {"adapter": "words", "log": "log.jsonl", "seconds_per_text": 0.02}
    path = small.write(tmp_path, small.spec([BM25, {"name": "d", "encoder": "words"}], encoders={"words": words}))
    site = tmp_path / "site"
    site.mkdir()
    small.third_party(site)
    process = subprocess.Popen(
        [sys.executable, "-c", small.INTERRUPTIBLE, "run", str(path), "--json", "--quiet"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{REPOSITORY}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "log.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(2)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert "The same command goes on where it stopped." in stderr
    assert "None" not in stderr
    (folder,) = (tmp_path / "results" / "small").iterdir()
    written = json.loads((folder / "result.json").read_text())
    assert written["status"] == "cancelled"
    assert {s["name"]: s["status"] for s in written["systems"]} == {"bm25": "success", "d": "cancelled"}


def test_the_doctor_names_every_adapter_and_what_it_needs() -> None:
    outcome = small.bench("doctor")
    assert outcome.exit_code == 0
    for name in ("beir", "sentence_transformers", "lancedb", "exact", "bm25", "cross_encoder", "words", "fragile"):
        assert name in outcome.stdout
    assert "ready" in outcome.stdout
    assert f"Weaviate server: {weaviate_server.advice()}" in outcome.stdout.splitlines()


def test_schema_prints_json() -> None:
    for arguments in ((), ("--result",)):
        outcome = small.bench("schema", *arguments)
        assert json.loads(outcome.stdout)["$schema"].startswith("https://json-schema.org/")


def test_an_unknown_option_is_refused_with_2(tmp_path: Path) -> None:
    outcome = small.bench("run", tmp_path / "x.yaml", "--jsn")
    assert (outcome.exit_code, outcome.stdout) == (2, "")


def test_help_lists_every_command_once_with_its_whole_sentence() -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    done = CliRunner().invoke(app, ["--help"], prog_name="bench")
    assert done.exit_code == 0
    assert "..." not in done.output.replace("[ARGS]...", "")
