"""Laws of the store of trained models: whole or absent, as it was when it was kept, deleted only where it is ours."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.cache.artifacts import Cache
from bench.cache.clean import clean, contents
from bench.cache.digests import text_digests
from bench.cache.mark import cache_in_use, mark
from bench.train.card import model_card
from bench.train.kept import CARD, PROVENANCE, QUERIES, KeptModels
from bench.train.provenance import BaseModelOf, DataFacts, ModelProvenance
from bench.train.trainings import TRAININGS, trainings_csv
from tests.train.stored import CURVE, keep, provenance


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def table(cache: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((cache / "models" / TRAININGS).read_text())))


def test_a_kept_model_is_found_with_all_that_was_said_of_it(tmp_path: Path) -> None:
    about = provenance()
    kept = keep(tmp_path, about)
    found = KeptModels(Cache(tmp_path)).find(about.key)
    assert found is not None and found.folder == kept.folder == tmp_path / "models" / about.key
    assert found.provenance == kept.provenance == about.model_copy(update={"files": kept.provenance.files})
    assert found.curve() == list(CURVE)
    [digest] = text_digests(["sort an array"]).tolist()
    assert found.query_digests() == {digest.hex()}
    assert found.bytes == sum(f.stat().st_size for f in kept.folder.rglob("*") if f.is_file() and f.name != PROVENANCE)


def test_an_absent_model_is_no_damage(tmp_path: Path) -> None:
    store = KeptModels(Cache(tmp_path))
    assert store.find("ab" * 16) is None and store.damage("ab" * 16) is None
    assert list(store.all()) == [] and store.interrupted() == []


def test_a_model_of_unknown_queries_says_so(tmp_path: Path) -> None:
    assert keep(tmp_path, provenance(), queries=None).query_digests() is None
    assert keep(tmp_path, provenance(seed=2), queries=()).query_digests() == frozenset()


def changed(path: Path) -> None:
    path.write_text(path.read_text().replace("{}", "[]"))


def linked(path: Path) -> None:
    path.rename(path.parent.parent.parent / path.name)
    path.symlink_to(path.parent.parent.parent / path.name)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: changed(folder / "modules.json"), "modules.json is not as it was"),
        (lambda folder: (folder / "modules.json").write_text("{} "), "modules.json is not as it was"),
        (lambda folder: (folder / "1_Pooling" / "config.json").unlink(), "config.json is not there any more"),
        (lambda folder: (folder / "added.py").write_text("x"), "added.py was not there"),
        (lambda folder: linked(folder / "modules.json"), "modules.json is not as it was"),
        (lambda folder: (folder / "2_More").symlink_to(folder / "1_Pooling"), "2_More was not there"),
        (lambda folder: (folder / PROVENANCE).unlink(), "holds no provenance.json"),
        (lambda folder: (folder / PROVENANCE).write_text("{"), "holds no provenance.json"),
        (lambda folder: (folder / PROVENANCE).write_text('{"key": "' + "[" * 99999), "holds no provenance.json"),
        (lambda folder: linked(folder / PROVENANCE), "holds no provenance.json"),
        (lambda folder: folder.rename(folder.with_name("cd" * 16)), "of a model of this key"),
    ],
)
def test_a_model_that_is_not_as_it_was_kept_is_told_and_not_found(
    tmp_path: Path, harm: Callable[[Path], object], told: str
) -> None:
    kept = keep(tmp_path, provenance())
    store = KeptModels(Cache(tmp_path))
    harm(kept.folder)
    key = kept.key if kept.folder.exists() else "cd" * 16
    assert store.find(key) is None
    assert told in (store.damage(key) or "")


def test_hidden_files_that_a_system_leaves_are_no_damage(tmp_path: Path) -> None:
    kept = keep(tmp_path, provenance())
    (kept.folder / ".DS_Store").write_text("x")
    assert KeptModels(Cache(tmp_path)).find(kept.key) is not None


def test_a_model_that_is_kept_again_takes_the_place_of_the_damaged_one(tmp_path: Path) -> None:
    about = provenance()
    changed(keep(tmp_path, about).folder / "modules.json")
    again = keep(tmp_path, about.model_copy(update={"created_at": "2026-11-27T00:00:00+00:00"}))
    assert KeptModels(Cache(tmp_path)).find(about.key) == again
    assert [row["created_at"] for row in table(tmp_path)] == [about.created_at, "2026-11-27T00:00:00+00:00"]


def test_a_draft_that_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    store = KeptModels(Cache(tmp_path))
    about = provenance()
    draft = store.draft(about.key)
    (draft / "weights").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="weights is a link"):
        store.keep(about.key, draft, about)
    with pytest.raises(ValueError, match="The provenance is that of"):
        store.keep("cd" * 16, store.draft("cd" * 16), about)
    assert names(tmp_path / "models") == set()


def test_what_a_killed_training_was_writing_is_deleted_by_the_next_run_and_checkpoints_stay(tmp_path: Path) -> None:
    with cache_in_use(tmp_path):
        store = KeptModels(Cache(tmp_path))
        kept = keep(tmp_path, provenance())
        (store.draft("ab" * 16) / "half").write_text("x")
        (store.checkpoints("ab" * 16) / "checkpoint-5").mkdir()
    with cache_in_use(tmp_path):
        assert names(tmp_path / "models") == {kept.key, f"{'ab' * 16}.checkpoints", TRAININGS}
        assert store.interrupted() == ["ab" * 16]
        store.drop_checkpoints("ab" * 16)
        store.drop_checkpoints("ab" * 16)
        assert store.interrupted() == []


def test_models_are_listed_in_the_order_of_their_training_and_removed_with_their_checkpoints(tmp_path: Path) -> None:
    for seed in (3, 1, 2):
        keep(tmp_path, provenance(seed=seed))
    store = KeptModels(Cache(tmp_path))
    assert [kept.provenance.seed for kept in store.all()] == [1, 2, 3]
    first = next(store.all())
    store.checkpoints(first.key)
    store.remove(first.key)
    assert [kept.provenance.seed for kept in store.all()] == [2, 3]
    assert names(tmp_path / "models") == {*(kept.key for kept in store.all()), TRAININGS}


# -- cleaning --------------------------------------------------------------------------------------------------------


def test_cleaning_indexes_leaves_models_and_cleaning_all_takes_them(tmp_path: Path) -> None:
    mark(tmp_path)
    kept = keep(tmp_path, provenance())
    KeptModels(Cache(tmp_path)).checkpoints("ab" * 16)
    (tmp_path / "models" / "tensorboard").mkdir()
    (tmp_path / "models" / "mine.txt").write_text("x")
    clean(tmp_path, "index", tell=str)
    assert KeptModels(Cache(tmp_path)).find(kept.key) is not None
    assert any(line.startswith(f"{tmp_path / 'models'}, ") for line in contents(tmp_path, "all"))
    clean(tmp_path, "all", tell=str)
    assert names(tmp_path / "models") == {"mine.txt"}


def test_a_link_in_a_models_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    kept = keep(elsewhere, provenance())
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models" / kept.key).symlink_to(kept.folder)
    store = KeptModels(Cache(tmp_path / "cache"))
    assert store.find(kept.key) is None and list(store.all()) == []
    with pytest.raises(OSError, match="symbolic link"), cache_in_use(tmp_path / "cache"):
        pass
    store.remove(kept.key)
    assert kept.folder.is_dir() and not os.path.lexists(tmp_path / "cache" / "models" / kept.key)


# -- the card --------------------------------------------------------------------------------------------------------

HOSTILE = "---\n# owned\n<script>alert(1)</script> | `x` [link](http://example.com) \x1b[31m \u202e {{x}} : - 'a' \"b\""


def test_the_card_says_what_the_provenance_says(tmp_path: Path) -> None:
    kept = keep(tmp_path, provenance())
    card = (kept.folder / CARD).read_text()
    heading = yaml.safe_load(card.split("---\n")[1])
    assert heading["library_name"] == "sentence-transformers"
    assert heading["pipeline_tag"] == "sentence-similarity"
    assert heading["datasets"] == ["support"] and "base_model" not in heading  # a folder is no id of a hub
    assert "| `nDCG@10` | `test` | 50 | .550 | .660 | +.110 |" in card  # .66 - .55 = .11
    assert ".500 before, .625 after" in card
    assert "| `batch_size` | `64` |" in card
    for value in ("`tuned#1`", "`all-MiniLM-L6-v2`", "`mnrl`", "`support-search`", "120 rows", "3 pairs", "ab" * 16):
        assert value in card


def test_the_card_of_a_model_of_the_hub_names_it() -> None:
    base = BaseModelOf(reference="org/model", identity={"commit": "0123"})
    assert "\nbase_model: org/model\n" in model_card(provenance(base=base))


def test_hostile_names_stand_in_the_card_as_text() -> None:
    about = provenance(
        name=HOSTILE,
        experiment=HOSTILE,
        base=BaseModelOf(reference=HOSTILE, identity={"commit": HOSTILE}),
        data=DataFacts(name=HOSTILE, notes=(HOSTILE,)),
        options={HOSTILE: HOSTILE},
        recipe=HOSTILE,
        versions={HOSTILE: HOSTILE},
    )
    card = model_card(about)
    clean_card = model_card(provenance())
    _, heading, body = card.split("---\n", 2)
    assert set(yaml.safe_load(heading)) == {"library_name", "pipeline_tag", "tags"}
    assert body.count("\n#") == clean_card.split("---\n", 2)[2].count("\n#")  # no heading of its own
    for line in body.splitlines():
        if "script" in line:
            assert (
                line.replace("\\|", "").replace("``", "\0").split("<script>")[0].count("\0") % 2
            )  # inside a code span
        if line.startswith("| ") and "script" in line:
            assert line.replace("\\|", "").count("|") == 3
    assert "\x1b" not in card and "\u202e" not in card


# -- one table over all trainings ------------------------------------------------------------------------------------


def test_each_training_has_its_row_with_options_and_results(tmp_path: Path) -> None:
    keep(tmp_path, provenance())
    keep(tmp_path, provenance(seed=2, options={"epochs": 2.0, "loss": {"scale": 20}}))
    first, second = table(tmp_path)
    assert (first["name"], first["seed"], first["recipe"], first["dev_after"]) == ("tuned", "1", "mnrl", "0.625")
    assert (first["option.batch_size"], second["option.batch_size"]) == ("64", "")
    assert (first["option.loss.scale"], second["option.loss.scale"]) == ("", "20")
    assert (first["test.nDCG@10.before"], first["test.nDCG@10.after"]) == ("0.55", "0.66")
    assert first["resumed_from"] == ""  # not 0: it did not go on from a checkpoint


def test_a_row_stays_where_its_column_was_and_when_its_model_is_removed(tmp_path: Path) -> None:
    kept = keep(tmp_path, provenance())
    columns = (tmp_path / "models" / TRAININGS).read_text().splitlines()[0]
    KeptModels(Cache(tmp_path)).remove(kept.key)
    keep(tmp_path, provenance(seed=2, options={"zeta": 1}))
    assert (tmp_path / "models" / TRAININGS).read_text().splitlines()[0] == f"{columns},option.zeta"
    assert [row["seed"] for row in table(tmp_path)] == ["1", "2"]


def test_a_row_that_a_killed_program_did_not_write_is_written_by_the_next(tmp_path: Path) -> None:
    keep(tmp_path, provenance())
    (tmp_path / "models" / TRAININGS).unlink()
    told = trainings_csv(tmp_path / "models", [kept.provenance for kept in KeptModels(Cache(tmp_path)).all()])
    keep(tmp_path, provenance(seed=2))
    assert [row["seed"] for row in table(tmp_path)] == ["1", "2"]
    assert [row["seed"] for row in csv.DictReader(io.StringIO(told))] == ["1"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a,b\n1,2\n", b'key,created_at\n"1,2\n', b"key,created_at\n1\n"])
def test_a_file_that_is_no_such_table_is_put_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / TRAININGS).write_bytes(content)
    keep(tmp_path, provenance())
    [aside] = (tmp_path / "models").glob("trainings.damaged-*.csv")
    assert aside.read_bytes() == content
    assert len(table(tmp_path)) == 1


def test_a_provenance_of_a_later_version_is_read_without_what_is_unknown(tmp_path: Path) -> None:
    text = provenance().model_dump_json().replace('{"format":1', '{"format":1,"later":[1]')
    assert ModelProvenance.model_validate_json(text) == provenance()


def test_what_was_kept_beside_the_model_is_among_its_files(tmp_path: Path) -> None:
    kept = keep(tmp_path, provenance())
    assert {CARD, QUERIES, "training.csv", "modules.json", "1_Pooling/config.json"} == set(kept.provenance.files)
