"""Laws: what a few bytes on disk unpack to, or claim to be, is read up to a bound."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.machine import children
from tests import small

MEMORY = 6 << 30  # of address space; what is handed over unpacks to more, or claims to


def bounded(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, in a process that may not have as much memory as it would take to believe what it reads."""
    # By a shell: a preexec_fn would fork this process, of which lance warns once some other test has imported it.
    shell = ["sh", "-c", f'ulimit -v {MEMORY >> 10}; exec "$@"', "sh"]
    return subprocess.run(
        [*shell, *children.command("bench", *map(str, arguments))],
        env=children.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def packed(path: Path, head: bytes, size: int, filling: bytes) -> None:
    """A file of gzip that unpacks to as many bytes: a member for each 64 MiB, all but the first the same."""
    part = gzip.compress(filling * (64 << 20), 1)
    path.write_bytes(gzip.compress(head) + part * (size // (64 << 20)))


def test_an_experiment_file_that_unpacks_to_gigabytes_is_refused_in_a_moment(tmp_path: Path) -> None:
    packed(tmp_path / "bench.yaml", b"experiment: a\n#", 20 << 30, b"a")
    for restricted in ([], ["--restricted"]):
        done = bounded(
            "run", tmp_path / "bench.yaml", "--output", tmp_path / "o", "--cache", tmp_path / "c", *restricted
        )
        assert done.returncode == 2 and "characters, which no experiment needs" in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("head", [b'{"_id": "d0", "text": "', b'\xff\xfe{\0"\0'])
def test_a_line_that_unpacks_to_gigabytes_is_named(head: bytes, tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    (tmp_path / "data" / "corpus.jsonl").unlink()
    packed(tmp_path / "data" / "corpus.jsonl.gz", head, 20 << 30, b"a")
    path = small.write(tmp_path, small.spec([{"name": "a", "store": "bm25"}]))
    done = bounded("run", path, "--quiet", "--output", tmp_path / "o", "--cache", tmp_path / "c")
    assert done.returncode == 2 and "corpus.jsonl.gz:1" in done.stderr and "is larger than 1 GiB" in done.stderr


@pytest.mark.slow
def test_a_kept_file_that_claims_any_length_is_damaged_and_a_result_is_refused(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, small.spec([{"name": "a", "store": "bm25", "reranker": "again"}],
                                            rerankers={"again": {"adapter": "bm25"}}))  # fmt: skip
    places = ("--quiet", "--output", tmp_path / "o", "--cache", tmp_path / "c")
    assert bounded("run", path, *places).returncode == 0
    kept = [file for file in (tmp_path / "c").rglob("*") if file.suffix in (".npz", ".json")]
    assert {file.suffix for file in kept} == {".npz", ".json"}
    for file in kept:
        os.truncate(file, 1 << 40)
    (result,) = (tmp_path / "o" / "small").iterdir()
    os.truncate(result / "result.json", 1 << 40)
    refused = bounded("track", result, "--tracker", "mlflow")
    assert refused.returncode == 2 and "is larger than 4 GiB" in refused.stderr
    shutil.rmtree(tmp_path / "o")
    again = bounded("run", path, *places)
    assert again.returncode == 0, again.stderr
