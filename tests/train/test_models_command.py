"""Laws of `bench models`: what it shows is what is kept, and it deletes and sends nothing unasked."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from bench.cache.artifacts import Cache
from bench.train.kept import KeptModels
from tests import small
from tests.train.stored import keep, provenance


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two seeds of `tuned`; dev likes the second better."""
    keep(tmp_path / "cache", provenance(seed=1))
    keep(tmp_path / "cache", provenance(seed=2, dev_after=0.7))
    return tmp_path / "cache"


def test_models_are_listed_and_shown_wherever_the_cache_is_named(cache: Path) -> None:
    assert small.bench("models", "--cache", cache).stdout.count("\ntuned#") == 2
    before = small.bench("models", "--cache", cache, "show", "tuned#1")
    behind = small.bench("models", "show", "tuned#1", "--cache", cache)
    assert before.stdout == behind.stdout and before.exit_code == 0
    assert "batch_size" in before.stdout
    assert small.bench("models", "show", "tuned", "--card", "--cache", cache).stdout.startswith("---\nlibrary_name")
    assert "seeds" in small.bench("models", "compare", "tuned", "tuned#1", "--cache", cache).stdout


def test_the_table_of_all_trainings_goes_to_a_file_or_to_standard_output(cache: Path, tmp_path: Path) -> None:
    told = small.bench("models", "--csv", tmp_path / "all.csv", "--cache", cache)
    assert "all.csv: 2 trainings" in told.stdout
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [row["dev_after"] for row in rows] == ["0.625", "0.7"]
    assert small.bench("models", "--csv", "-", "--cache", cache).stdout == (tmp_path / "all.csv").read_text()
    assert small.bench("models", "--cache", cache, "--csv", "x", "show", "tuned").exit_code == 2


def test_a_model_that_is_not_there_is_a_fault_of_the_command(cache: Path) -> None:
    for words in (("show", "tunde"), ("compare", "tuned", "x"), ("export", "x", "--to", "y"), ("remove", "../..")):
        told = small.bench("models", *words, "--cache", cache)
        assert told.exit_code == 2 and "No trained model is called" in told.stderr


def test_an_exported_folder_is_the_best_seed_as_it_was_kept(cache: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model"
    told = small.bench("models", "export", "tuned", "--to", target, "--cache", cache)
    assert told.exit_code == 0 and "tuned#2 is taken" in told.stderr
    kept = next(k for k in KeptModels(Cache(cache)).all() if k.provenance.seed == 2)
    assert {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()} == {
        p.relative_to(kept.folder): p.read_bytes() for p in kept.folder.rglob("*") if p.is_file()
    }
    again = small.bench("models", "export", "tuned", "--to", target, "--cache", cache)
    assert again.exit_code == 2 and "is there already" in again.stderr
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_an_export_needs_one_place(cache: Path, tmp_path: Path) -> None:
    assert "Say where to" in small.bench("models", "export", "tuned", "--cache", cache).stderr
    both = small.bench("models", "export", "tuned", "--to", tmp_path / "x", "--push", "a/b", "--cache", cache)
    assert both.exit_code == 2
    idle = small.bench("models", "export", "tuned", "--to", tmp_path / "x", "--public", "--cache", cache)
    assert idle.exit_code == 2 and "no effect without --push" in idle.stderr


def test_nothing_is_removed_unasked(cache: Path) -> None:
    told = small.bench("models", "remove", "tuned", "--cache", cache)
    assert told.exit_code == 2 and "Nothing was deleted." in told.stderr
    assert len(list(KeptModels(Cache(cache)).all())) == 2


def test_a_seed_a_name_and_a_damaged_model_can_be_removed(cache: Path) -> None:
    store = KeptModels(Cache(cache))
    first, second = store.all()
    assert small.bench("models", "remove", "tuned#1", "--yes", "--cache", cache).exit_code == 0
    assert not first.folder.exists()
    (second.folder / "provenance.json").write_text("{")
    assert "Remove it: bench models remove" in small.bench("models", "show", second.key, "--cache", cache).stderr
    assert small.bench("models", "remove", second.key, "--yes", "--cache", cache).exit_code == 0
    assert not second.folder.exists()
    store.checkpoints("ab" * 16)
    assert small.bench("models", "remove", "ab" * 16, "--yes", "--cache", cache).exit_code == 0
    assert store.interrupted() == []


def test_nothing_is_sent_unasked(cache: Path) -> None:
    told = small.bench("models", "export", "tuned#1", "--push", "me/tuned", "--cache", cache)
    assert told.exit_code == 2
    assert "Nothing was sent: 6 files" in told.stderr and "to me/tuned on https://" in told.stderr
