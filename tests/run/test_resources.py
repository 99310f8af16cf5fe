"""Runs that lack a disk, files, an output or a while of life: one true cause, and what was finished is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.results.model import read_result
from tests import small
from tests.conftest import REPOSITORY

# A shell gives jobs in the background a SIGINT that is ignored, and children inherit it.
COMMAND = (
    "import resource, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); limits = sys.argv[1];"
    "[resource.setrlimit(getattr(resource, name), (int(value), int(value)))"
    " for name, _, value in (each.partition('=') for each in limits.split(',') if each)];"
    "sys.argv[1:2] = []; from bench.cli import main; main()"
)


def values(fast: Any, *, slow: Sequence[Any]) -> list[Any]:
    return [fast, *(pytest.param(value, marks=pytest.mark.slow) for value in slow)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data", documents=400, queries=60)
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "dense", "encoder": "words"}]
    spec = small.spec(systems, encoders={"words": {"adapter": "words"}}, measures=["nDCG@10", "Recall@100"])
    small.write(tmp_path, spec)
    (tmp_path / "site").mkdir()
    small.third_party(tmp_path / "site")
    return tmp_path


def command(at: Path, *arguments: str, limits: str = "") -> list[str]:
    return [sys.executable, "-P", "-c", COMMAND, limits, "run", "--quiet", *arguments]


def environment(at: Path) -> dict[str, str]:
    # No bytecode: where files may not grow, Python itself leaves it cut short, and reads it ever after.
    more = {"PYTHONPATH": f"{at / 'site'}{os.pathsep}{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **more}


def bench(at: Path, *arguments: str, limits: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(
        command(at, *arguments, limits=limits), cwd=at, env=environment(at), text=True, check=False, **pipes
    )  # type: ignore[no-any-return]


def last_result(folder: Path) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(sorted(folder.glob("small/*/result.json"))[-1].read_text())
    return shown


def measures(result: dict[str, Any]) -> dict[str, Any]:
    return {system["name"]: system["measures"] for system in result["systems"]}


def finished(at: Path) -> dict[str, Any]:
    """The same experiment once nothing is lacking: what it computed is told, and that it succeeded is checked."""
    done = bench(at)
    assert (done.returncode, done.stderr) == (0, "")
    return last_result(at / "results")


# -- outputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("json_asked", [[], ["--json"]], ids=["table", "json"])
def test_a_run_whose_table_cannot_be_printed_is_kept(project: Path, json_asked: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = bench(project, *json_asked, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("the disk is full (standard output).") and done.stderr.count("\n") == 1
    assert last_result(project / "results")["status"] == "success"


def test_a_run_whose_output_is_closed_is_kept(project: Path) -> None:
    shell = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command(project)]
    done = subprocess.run(shell, cwd=project, env=environment(project), stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "standard output: it is closed, so the results cannot be shown.\n"
    assert last_result(project / "results")["status"] == "success"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_run_that_can_tell_nobody_of_its_progress_is_measured(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = bench(project, stderr=full)
    assert done.returncode == 0
    assert last_result(project / "results")["status"] == "success"


# -- disks -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_mounts() -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user mount a file system of their own")


# Room for the folder and a first word of the result; for its last word too; for a run file of two.
@pytest.mark.parametrize("kilobytes", values(40, slow=(16, 400)))
def test_results_on_a_full_disk_name_the_cause_and_the_next_run_computes_nothing_again(
    project: Path, own_mounts: None, kilobytes: int
) -> None:
    script = f"mount -t tmpfs -o size={kilobytes}k tmpfs small && exec " + '"$@"'
    (project / "small").mkdir()
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command(project, "--output", "small", "--json")],
        cwd=project, env=environment(project), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if done.stdout:
        assert done.returncode == 1
        causes = [system["error"] for system in json.loads(done.stdout)["systems"] if system["status"] != "success"]
        assert causes and all(cause.startswith("the disk is full (small/small/") for cause in causes)
    else:
        assert done.returncode == 2
        assert done.stderr.startswith("the disk is full (small/small/") and done.stderr.count("\n") == 1
    work = finished(project)["work"]
    assert [work[name]["computed"] for name in ("texts_embedded", "indexes_built", "queries_searched")] == [0, 0, 0]


@pytest.mark.parametrize("kilobytes", values(20, slow=(4, 60, 200)))
def test_files_that_may_not_grow_name_the_cause(project: Path, kilobytes: int) -> None:
    done = bench(project, "--json", limits=f"RLIMIT_FSIZE={kilobytes * 1024}")
    assert "Traceback" not in done.stderr
    told = done.stderr
    if done.stdout:
        systems = json.loads(done.stdout)["systems"]
        assert done.returncode == (1 if any(system["error"] for system in systems) else 0)
        told = "\n".join(system["error"] for system in systems if system["error"])
    else:
        assert done.returncode == 2
    assert all("ile too large. Let this process write larger files" in line for line in told.splitlines())
    finished(project)


@pytest.mark.parametrize("files", values(12, slow=(8, 16, 24)))
def test_few_open_files_are_enough_or_named_as_the_cause(project: Path, files: int) -> None:
    wanted = measures(finished(project))
    done = bench(project, "--json", "--output", "few", "--cache", "few-cache", limits=f"RLIMIT_NOFILE={files}")
    if done.returncode == 0:
        assert measures(last_result(project / "few")) == wanted
        return
    assert "Traceback" not in done.stderr and "ulimit -n" in done.stderr + done.stdout, done.stderr


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", values(0.02, slow=(0.0, 0.1, 0.4)))
def test_a_second_ctrl_c_shows_no_traceback_and_the_same_command_goes_on(project: Path, gap: float) -> None:
    process = subprocess.Popen(
        command(project, "--set", "encoders.words.seconds_per_text=0.02"), cwd=project, env=environment(project),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not any("encode" in path.read_text() for path in project.glob("results/small/*/events.jsonl")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(gap)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    # The second may come when Python has given up its handlers.
    assert process.returncode in (130, -signal.SIGINT)
    assert (stdout, stderr) in (("", "Cut off. The same command goes on where it stopped.\n"), ("", ""))
    assert last_result(project / "results")["status"] in ("started", "cancelled")
    finished(project)


# -- a while of life ---------------------------------------------------------------------------------------------------

SUSPENDED = 1.5  # seconds
LOADS: dict[str, dict[str, Any]] = {
    "one worker": {"workers": 1, "samples": 40, "seconds": 30, "turn_seconds": 0.4},
    "two workers": {"workers": 2, "samples": 300, "seconds": 6},
    "on a schedule": {"mode": "open", "rate": 20, "samples": 60, "seconds": 10},
}


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS)
def test_a_run_that_was_suspended_in_its_latency_pass_says_so(project: Path, load: str) -> None:
    systems = [{"name": "slow", "encoder": "words", "store": "slow"}]
    stores = {"slow": {"adapter": "slow", "query": {"search_seconds": 0.02}}}
    encoders = {"words": {"adapter": "words"}}
    small.write(project, small.spec(systems, encoders=encoders, stores=stores, latency=LOADS[load]))
    process = subprocess.Popen(
        command(project, "--json"), cwd=project, env=environment(project), stdout=subprocess.PIPE
    )
    until = time.monotonic() + 60
    while not any('"latency"' in path.read_text() for path in project.glob("results/small/*/events.jsonl")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    time.sleep(SUSPENDED)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)
    latency = small.by_name(read_result(next(project.glob("results/small/*"))))["slow"].latency
    assert latency is not None
    rounds = json.dumps(latency.disturbances)
    table = pq.read_table(next(project.glob("results/small/*/timings.parquet"))).to_pylist()
    # Either the round was taken again and left out, or it stands, and the cell says why.
    longest = max((row["total_seconds"] for row in table if row["counted"]), default=0.0)
    assert "this process stood still" in rounds or longest < SUSPENDED, (rounds, longest)
    assert any(row["disturbed"] for row in table)
