"""What killed programs leave of files that they were writing is deleted by the next, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cache.drafts import draft_beside, remove_drafts
from bench.cache.mark import cache_in_use, is_marked
from tests import small

KEY = "0123456789abcdef" * 2


def test_drafts_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    kept = [victim / draft_beside(victim / "x").name]
    folder = tmp_path / "part"
    drafts = [draft_beside(folder / "a.npz"), draft_beside(folder / "key" / "b.npz")]
    kept += [folder / "a.npz", folder / ".writing-notes", folder / "key" / "in" / draft_beside(folder).name]
    for path in (*drafts, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (folder / f".{KEY}-{KEY[:16]}").mkdir()
    (folder / f".{KEY}-{KEY[:16]}" / "corpus.arrow").write_bytes(b"x")
    (folder / "link").symlink_to(victim)
    remove_drafts(folder)
    assert not any(path.exists() for path in (*drafts, folder / f".{KEY}-{KEY[:16]}"))
    assert all(path.exists() for path in kept)
    remove_drafts(tmp_path / "absent")


@pytest.mark.parametrize("marked", [True, False])
def test_a_run_deletes_the_drafts_of_killed_ones_in_a_cache_of_its_own_alone(tmp_path: Path, marked: bool) -> None:
    cache = tmp_path / "cache"
    draft = draft_beside(cache / "candidates" / KEY / "0.npz")
    if marked:
        with cache_in_use(cache):
            assert is_marked(cache)
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"x")
    if not marked:
        (cache / "thesis.tex").touch()
    with cache_in_use(cache):
        assert draft.exists() is not marked


def test_a_cache_whose_mark_was_being_written_when_its_run_was_killed_is_marked(tmp_path: Path) -> None:
    draft_beside(tmp_path / "CACHEDIR.TAG").write_bytes(b"Sig")
    with cache_in_use(tmp_path) as unmarked:
        assert unmarked is None
    assert is_marked(tmp_path)


def test_a_result_that_is_gone_on_with_loses_the_drafts_of_its_killed_run(tmp_path: Path) -> None:
    small.collection(tmp_path / "data", documents=12, queries=3)
    made, _ = small.measure(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}]))
    text = (made / "result.json").read_text()
    (made / "result.json").write_text(text.replace('"status": "success"', '"status": "started"', 1))
    drafts = [draft_beside(made / "result.json"), draft_beside(made / "runs" / "bm25.trec")]
    for draft in drafts:
        draft.write_bytes(b"x")
    again, _ = small.measure(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}]))
    assert again == made
    assert not any(draft.exists() for draft in drafts)
