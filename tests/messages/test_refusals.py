"""What the operating system refuses, at every edge of the command: one sentence, exit status 2, no traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.base import AdapterRejected, AdapterUnavailable, IndexMissing, InvalidOptions, NotIndexed
from bench.cache.artifacts import Cache, new_folder, write_atomically
from bench.messages.failures import failure_of
from bench.messages.refusals import refusal
from tests import small
from tests.conftest import REPOSITORY

BM25 = {"name": "bm25", "store": "bm25"}
TOO_LONG = "x" * 300


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an experiment, and a file where a folder might be wanted."""
    small.collection(tmp_path / "data", documents=12, queries=3)
    small.write(tmp_path, small.spec([BM25], measures=["nDCG@10"]))
    (tmp_path / "file").write_text("a file\n")
    return tmp_path


Arguments = Callable[[Path], list[str | Path]]
REFUSED: dict[str, Arguments] = {
    "run into a file": lambda at: ["run", at, "--cache", at / "cache", "--output", at / "file"],
    "run below a file": lambda at: ["run", at, "--cache", at / "cache", "--output", at / "file" / "results"],
    "run into a name that is too long": lambda at: ["run", at, "--cache", at / "cache", "--output", at / TOO_LONG],
    "run into a system's folder": lambda at: ["run", at, "--cache", at / "cache", "--output", "/proc/results"],
    "cache in a file": lambda at: ["run", at, "--cache", at / "file"],
    "cache in a system's folder": lambda at: ["run", at, "--cache", "/proc/cache"],
    "dry run, cache in a file": lambda at: ["run", at, "--dry-run", "--cache", at / "file"],
    "dry run, cache below a file": lambda at: ["run", at, "--dry-run", "--cache", at / "file" / "cache"],
    "init into a file's folder": lambda at: ["init", at / "data", "--output", at / "file" / "bench.yaml"],
    "init into a system's folder": lambda at: ["init", at / "data", "--output", "/proc/bench.yaml"],
    "init of a name that is too long": lambda at: ["init", at / "data", "--output", at / TOO_LONG],
    "init over a folder": lambda at: ["init", at / "data", "--force", "--output", at / "data"],
    "export into a system's folder": lambda at: [
        *["export-training", at, "--split=test", "--negatives=random"],
        *["--cache", at / "cache", "--output", "/proc/t.jsonl"],
    ],
    "an experiment of a name that is too long": lambda at: ["run", at / TOO_LONG],
    "a result of a name that is too long": lambda at: ["track", at / TOO_LONG],
    "a result that is a file": lambda at: ["track", at / "file"],
    "an unset variable": lambda at: ["run", at, "--output=$NO_SUCH_VARIABLE/x"],
    "clean of a name that is too long": lambda at: ["clean", "--yes", "--cache", at / TOO_LONG],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_operating_system_refuses_is_one_sentence_and_2(project: Path, case: str) -> None:
    outcome = small.bench(*REFUSED[case](project))
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    told = [line for line in outcome.stderr.splitlines() if not line.startswith(("Usage:", "Try ", "│", "╭", "╰"))]
    assert len([line for line in told if line]) <= 1 or case == "an unset variable", outcome.stderr
    assert "Errno" not in outcome.stderr


def command(at: Path, *arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **more.pop("environment", {})}  # type: ignore[dict-item]
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)], cwd=at, env=environment, text=True, check=False,
        stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **more},
    )  # type: ignore[call-overload, no-any-return]  # fmt: skip


# Permission bits do not bind root while it has the capabilities CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2);
# what leaves the bounding set (PR_CAPBSET_DROP is 24) is gone from the next exec on.
WITHOUT_RIGHTS = (
    "import ctypes, os, sys; libc = ctypes.CDLL(None)\n"
    "if os.geteuid() == 0: assert not (libc.prctl(24, 1) or libc.prctl(24, 2))\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'bench', *sys.argv[1:]])"
)


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "--dry-run", "--cache", "c"], ["init", "data", "--output", "new.yaml"]], ids=" ".join
)
def test_a_folder_that_may_only_be_read_is_one_sentence(project: Path, arguments: list[str]) -> None:
    project.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_RIGHTS, *arguments], cwd=project, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=False,
        )  # fmt: skip
    finally:
        project.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "permission denied. Change its permissions, or name another place" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_standard_output_that_takes_nothing_is_one_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = command(tmp_path, "schema", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("the disk is full (standard output). Free space")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_that_cannot_be_printed_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = command(tmp_path, *arguments, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("the disk is full")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_that_never_ends_is_refused_where_a_file_is_read(tmp_path: Path) -> None:
    outcome = small.bench("run", "/dev/zero")
    assert outcome.exit_code == 2
    assert outcome.stderr == "/dev/zero: is a device, expected a file.\n"


def test_standard_output_that_is_closed_is_one_sentence(tmp_path: Path) -> None:
    program = f"exec {sys.executable} -m bench schema >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "standard output: it is closed, so the results cannot be shown.\n"


def test_a_reader_that_goes_away_leaves_no_traceback(tmp_path: Path) -> None:
    end, start = os.pipe()
    os.close(end)
    done = command(tmp_path, "schema", stdout=start)
    os.close(start)
    assert done.stderr == ""


def test_a_terminal_without_the_tables_characters_gets_plain_ones(project: Path) -> None:
    small.write_jsonl(project / "data" / "queries.jsonl", [{"_id": f"qä{i}", "text": "copper"} for i in range(3)])
    (project / "data" / "qrels" / "test.tsv").write_text("qä0\td0\t1\n", encoding="utf-8")
    plain = {"environment": {"PYTHONIOENCODING": "ascii"}}
    done = command(project, "run", "--quiet", **plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "data (test) - 1 of 3 queries judged - 12 documents" in done.stdout
    done = command(project, "run", "--quiet", "--json", **plain)
    assert json.loads(done.stdout)["status"] == "success"


def test_a_folder_whose_name_is_no_text_is_one_sentence(project: Path) -> None:
    at = Path(os.fsdecode(os.fsencode(project) + b"/caf\xe9"))
    at.mkdir()
    shutil.copy(project / "bench.yaml", at)
    for where, arguments in [
        (project, ["run", at]),
        (at, ["run", project]),
        (project, ["run", "--output", at]),
        (project, ["track", at]),
    ]:
        done = command(where, *arguments)
        assert done.returncode == 2
        assert "caf\\udce9" in done.stderr
        assert "holds bytes that are no text (UTF-8). Rename it." in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/c/x"), "the disk is full (/c/x). Free space, or name"),
        (OSError(errno.EROFS, "Read-only file system", "/c/x"), "/c/x: read-only file system. Mount it for writing"),
        (OSError(errno.EMFILE, "Too many open files", "/c/x"), "/c/x: too many open files. Let this process open more"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error."),
        (OSError("only words"), "only words."),
        (OSError(errno.EACCES, "Permission denied", b"/c/\xe9"), "/c/\udce9: permission denied."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_place_and_the_cure(error: OSError, sentence: str) -> None:
    assert refusal(error).startswith(sentence)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_files_and_folders_are_as_open_as_the_umask_lets_them(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "below" / "result.json", b"{}")
        folder = new_folder(tmp_path, ".scratch-")
        Cache(tmp_path / "cache").write("candidates", "key/0", {})
    finally:
        os.umask(before)
    for path in (tmp_path / "below" / "result.json", *(tmp_path / "cache").rglob("*.npz")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    for path in (tmp_path / "below", folder, tmp_path / "cache"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~mask


def test_everything_that_a_run_leaves_has_the_modes_that_the_umask_gives(project: Path) -> None:
    before = os.umask(0o027)
    try:
        outcome = small.bench("run", project, "--output", project / "out", "--cache", project / "cache", "--quiet")
    finally:
        os.umask(before)
    assert outcome.exit_code == 0
    left = [*(project / "out").rglob("*"), *(project / "cache").rglob("*")]
    modes = {str(path): (stat.S_IMODE(path.stat().st_mode), 0o750 if path.is_dir() else 0o640) for path in left}
    assert {path: oct(mode) for path, (mode, right) in modes.items() if mode != right} == {}


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device", "/c/x")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotIndexed("LanceDB: IO error: No space left on device (os error 28)"), "the disk is full. Free space"),
        (NotIndexed("faiss: write error: 3 != 4 (No space left on device)"), "the disk is full. Free space"),
        (chained(NotIndexed("it failed"), FULL), "the disk is full (/c/x). Free space"),
        (chained(AdapterUnavailable("check credentials"), RuntimeError("x (os error 24)")), "too many open files."),
        (OSError(errno.EMFILE, "Too many open files", "/c/x"), "/c/x: too many open files. Let this process open"),
        (OSError(errno.EFBIG, "File too large", "/c/x"), "/c/x: file too large. Let this process write larger files"),
        (chained(IndexMissing("gone"), PermissionError(errno.EACCES, "Permission denied", "/c/x")), "/c/x: permission"),
        (ExceptionGroup("two", [ValueError(), FULL]), "the disk is full (/c/x). Free space"),
    ],
)
def test_what_the_system_refuses_is_an_error_with_its_cause_however_an_engine_wraps_it(
    error: Exception, sentence: str
) -> None:
    failure = failure_of(error)
    assert (failure.status, failure.foreign) == ("error", False)
    assert failure.cause.lower().startswith(sentence.lower())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotIndexed("k-means needs 256 rows"), "not_indexed"),
        (chained(AdapterUnavailable("no answer"), PermissionError(errno.EACCES, "Permission denied")), "error"),
        (AdapterRejected("403: Permission denied for this key"), "error"),
        (InvalidOptions("uri: No space left on device"), "error"),
    ],
)
def test_what_an_engine_or_a_service_refuses_keeps_its_own_words(error: Exception, status: str) -> None:
    assert (failure_of(error).cause, failure_of(error).status) == (str(error), status)
