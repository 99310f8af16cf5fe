"""Laws: a cache knows who uses its entries, so that what one experiment alone uses can be dropped, and nothing else."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bench.cache.artifacts import Cache
from bench.cache.digests import text_digests
from bench.cache.entries import entries
from bench.cache.mark import cache_in_use
from bench.cache.users import record_of, users
from bench.cache.uses import note
from tests import small
from tests.cache.test_locks import another

A, B = Path("/experiments/a.yaml"), Path("/experiments/b.yaml")
KEY = "0123456789abcdef" * 2
DAY = 24 * 3600


def embed(cache: Path, file: Path | None, *lots: list[str]) -> None:
    """A run that needs texts in lots: of each it embeds what is missing."""
    with cache_in_use(cache, None if file is None else (file, file.stem)):
        segments = Cache(cache).segments("vectors", KEY)
        for texts in lots:
            digests = text_digests(texts)
            if (missing := segments.missing(digests)).any():
                segments.append(digests[missing], {"vectors": np.ones((int(missing.sum()), 4), np.float32)})
            segments.gather(digests, ["vectors"])


def has(cache: Path, text: str) -> bool:
    return not Cache(cache).segments("vectors", KEY).missing(text_digests([text])).any()


def model(cache: Path, file: Path, key: str = KEY) -> Path:
    """A trained model of a file's, as far as cleaning looks at it."""
    folder = cache / "models" / key
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"paid for")
    with cache_in_use(cache, (file, file.stem)):
        note(cache, "models", key)
    return folder


def clean(cache: Path, *options: str | Path) -> str:
    done = small.bench("clean", "--cache", cache, "--yes", *options)
    assert done.exit_code == 0, done.output
    return done.output


def age(cache: Path, file: Path, days: int) -> None:
    """Let everything have been written so many days ago, and a file have used it then."""
    at = int(time.time()) - days * DAY
    place = record_of(cache, file)
    record = json.loads(place.read_text())
    names = [name for group in record["used"].values() for name in group]
    place.write_text(json.dumps({**record, "used": {datetime.fromtimestamp(at, UTC).isoformat(): names}}))
    for path in [*cache.rglob("*.npz"), *cache.rglob("weights"), *cache.glob("models/*")]:
        os.utime(path, (at, at))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Of two experiments, each with a text of its own and one that they share."""
    embed(tmp_path, A, ["shared"], ["of a"])
    embed(tmp_path, B, ["shared"], ["of b"])
    return tmp_path


def test_what_one_experiment_alone_uses_is_dropped_and_what_another_uses_stays(cache: Path) -> None:
    before = {entry.name: entry.bytes for entry in entries(cache)}
    size = next(iter(before.values()))  # all hold one vector
    planned = small.bench("clean", A, "--cache", cache, "--dry-run")
    assert planned.exit_code == 0
    assert planned.stdout.splitlines() == [
        f"vectors: 1 entry, {size:,} bytes",
        f"kept 1 entry that others use too ({B}), {size:,} bytes",
    ]
    assert [has(cache, text) for text in ("shared", "of a", "of b")] == [True, True, True]
    asked = small.bench("clean", A, "--cache", cache)
    assert asked.exit_code == 2 and "--yes" in asked.stderr
    assert f"0 indexes dropped, {size:,} bytes deleted in {cache}." in clean(cache, A)
    assert [has(cache, text) for text in ("shared", "of a", "of b")] == [True, False, True]
    assert [user.file for user in users(cache)[0]] == [B]
    assert f"deleted of vectors: 2 entries, {2 * size:,} bytes" in clean(cache, B)  # nobody else uses it any more
    assert not entries(cache) and not users(cache)[0]


def test_what_nobody_is_known_to_use_is_dropped_by_age_and_with_all_alone(cache: Path) -> None:
    embed(cache, None, ["of nobody"])
    assert "1 entry" in clean(cache, A)
    assert has(cache, "of nobody")
    assert "nothing to clean" in clean(cache, "--older-than", "1d")
    age(cache, B, 40)
    clean(cache, "--older-than", "30d")
    assert not entries(cache)


def test_what_somebody_has_used_since_is_not_old(cache: Path) -> None:
    age(cache, B, 40)
    age(cache, A, 20)  # the files are as old as this, too
    for path in cache.rglob("*.npz"):
        os.utime(path, (0, 0))
    clean(cache, "--older-than", "3w")
    assert [has(cache, text) for text in ("shared", "of a", "of b")] == [True, True, False]
    assert "nothing that" in clean(cache, B, "--older-than", "3w")
    clean(cache, A, "--older-than", "12h")
    assert [has(cache, text) for text in ("shared", "of a")] == [True, False]


def test_trained_models_are_dropped_with_models_alone(tmp_path: Path) -> None:
    embed(tmp_path, A, ["of a"])
    kept = model(tmp_path, A)
    assert "kept 1 trained model, 8 bytes. To delete trained models too: --models" in clean(tmp_path, A)
    assert kept.is_dir() and not has(tmp_path, "of a")
    age(tmp_path, A, 40)
    assert "kept 1 trained model" in clean(tmp_path, "--older-than", "30d")
    assert "deleted of models: 1 entry, 8 bytes" in clean(tmp_path, A, "--models")
    assert not kept.exists() and not users(tmp_path)[0]


def test_a_running_run_keeps_everything_and_is_named(cache: Path) -> None:
    with another(cache, "mark.cache_in_use(cache)") as process:
        done = small.bench("clean", A, "--cache", cache, "--yes")
        assert done.exit_code == 2 and f"in use by another run (process {process.pid})" in done.stderr
    assert has(cache, "of a")


def test_a_file_that_is_gone_is_still_cleaned_by_its_path_and_an_unknown_one_is_refused(cache: Path) -> None:
    assert not A.exists()
    clean(cache, A)
    refused = small.bench("clean", "/experiments/c.yaml", "--cache", cache, "--yes")
    assert refused.exit_code == 2 and "there is no such file" in refused.stderr


def test_two_runs_of_one_file_at_once_lose_no_record(tmp_path: Path) -> None:
    with cache_in_use(tmp_path):  # marks it, once
        pass

    def run(number: int) -> None:
        with cache_in_use(tmp_path, (A, "a")):
            for i in range(20):
                note(tmp_path, "vectors", f"{number}/{i}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(users(tmp_path)[0][0].used) == 80


def test_a_damaged_record_is_told_and_harms_nothing(cache: Path) -> None:
    for text in ("", "{", "[]", '{"file": 1}', '{"file": "/a", "name": "a", "used": {"never": []}}', "[" * 9000):
        record_of(cache, A).write_text(text)
        assert users(cache)[1] == 1
    assert small.bench("clean", "--cache", cache, "--older-than", "1d").exit_code == 0
    embed(cache, A, ["shared"], ["of a"])
    assert users(cache)[1] == 0


def test_a_killed_runs_first_entries_are_recorded(tmp_path: Path) -> None:
    with cache_in_use(tmp_path, (A, "a")):
        note(tmp_path, "vectors", "first")
        assert set(users(tmp_path)[0][0].used) == {"vectors/first"}  # before the run ends


@pytest.mark.parametrize("text", ["30", "30x", "d", "-1d", "30 days", "1e3d", ""])
def test_a_span_that_is_none_is_refused_with_what_to_write(text: str) -> None:
    done = small.bench("clean", f"--older-than={text}")
    assert done.exit_code == 2 and "12h, 30d, 2w" in done.stderr


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    for options in (["--all", "--index"], ["--all", "--older-than", "1d"]):
        done = small.bench("clean", "--cache", tmp_path, *options)
        assert done.exit_code == 2 and "exclude each other" in done.stderr
    assert "--models has no effect" in small.bench("clean", "--cache", tmp_path, "--models").stderr


def test_a_run_and_a_dry_run_record_all_that_they_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    small.collection(tmp_path / "data")
    file = small.write(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}]))
    assert small.bench("run", file, "--dry-run", "--quiet").exit_code == 0
    assert {entry.part for entry in entries(tmp_path / "cache") if entry.users} == {"datasets"}
    assert small.bench("run", tmp_path, "--quiet", "--output", tmp_path / "results").exit_code == 0
    found = entries(tmp_path / "cache")
    assert {entry.part for entry in found} == {"datasets", "indexes", "candidates"}
    assert all([user.file for user in entry.users] == [file] for entry in found)
    assert "used by 1 experiment" in small.bench("doctor").stdout.splitlines()[-1]
    assert "1 index dropped" in small.bench("clean", tmp_path, "--yes").stdout
    assert not entries(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.np?"))
