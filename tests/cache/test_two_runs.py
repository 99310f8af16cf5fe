"""Two runs at once on one cache: both finish, nothing is made twice, and what kills one harms neither the other nor the
cache."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bench.results.model import Result, read_result
from tests import small
from tests.killing import Launcher, Place, check_same, differences, launcher, runs, written
from tests.thorough import enough

KILLS = 20
DOCUMENTS, QUERIES = 640, 140
BATCH = 128  # the least number of texts that are embedded at once


def place(folder: Path, cache: Path, *, documents: int = DOCUMENTS, seconds: float = 0.0003) -> Place:
    """An experiment over the first documents of one collection. cache: shared with the other runs."""
    folder.mkdir(parents=True)
    cache.mkdir(exist_ok=True)
    (folder / "cache").symlink_to(cache)
    small.collection(folder / "data", documents=documents, queries=QUERIES)
    slow = {"adapter": "slow", "index": {"build_seconds": 0.15}, "query": {"search_seconds": 0.05}}
    words = {"adapter": "words", "log": "batches.jsonl", "seconds_per_text": seconds}
    experiment = small.spec(
        [
            {"name": "bm25", "store": "bm25"},
            {"name": "dense", "encoder": "words"},
            {"name": "slow", "encoder": "words", "store": "slow"},
            {"name": "reranked", "store": "bm25", "reranker": "again", "depth": 20},
        ],
        encoders={"words": words},
        stores={"bm25": {"adapter": "bm25"}, "slow": slow},
        rerankers={"again": {"adapter": "bm25"}},
        baseline="bm25",
        latency={"workers": 2, "samples": 3, "seconds": 5},
    )
    small.write(folder, experiment)
    return Place(folder)


def embedded(*places: Place) -> Counter[tuple[str, str]]:
    """How often each text was embedded, by its role."""
    return Counter((role, text) for here in places for _, role, texts in here.batches() for text in texts)


def last(here: Place) -> Result:
    return read_result(here.results()[-1])


@pytest.fixture(scope="module")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Launcher, Launcher]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(launcher(tmp_path_factory.mktemp("site"))) for _ in range(2))
        yield one, other


def elsewhere(difference: str) -> bool:
    """Where an experiment lies stands in its result."""
    return difference.startswith((".provenance.base", ".config_hash"))


def at_once(launchers: tuple[Launcher, Launcher], *places: Place) -> None:
    """Run both to their ends."""
    for each, here in zip(launchers, places, strict=True):
        each.start(here.folder)
    for each, here in zip(launchers, places, strict=True):
        assert each.wait() == 0, (here.folder / "stderr").read_text()


@pytest.mark.slow
def test_two_runs_at_once_embed_a_shared_text_once(tmp_path: Path, launchers: tuple[Launcher, Launcher]) -> None:
    cache = tmp_path / "shared"
    one, other = place(tmp_path / "one", cache), place(tmp_path / "other", cache, documents=400)
    at_once(launchers, one, other)
    found = embedded(one, other)
    assert set(found.values()) == {1}
    # 640 documents, of which the other has the first 400; the questions of both are drawn anew.
    assert sum(count for (role, _), count in found.items() if role == "document") == DOCUMENTS
    for here in (one, other):
        assert last(here).status == "success"
    work = [last(here).work.texts_embedded for here in (one, other)]
    assert sum(each.computed for each in work) == sum(found.values())


@pytest.mark.slow
def test_the_same_command_twice_at_once_makes_everything_once(
    tmp_path: Path, launchers: tuple[Launcher, Launcher]
) -> None:
    here = place(tmp_path / "one", tmp_path / "shared")
    at_once(launchers, here, here)
    assert len(here.results()) == 2  # each writes a result of its own
    first, second = (read_result(folder) for folder in here.results())
    assert not differences(written(here.results()[0]), written(here.results()[1]), "")
    assert set(embedded(here).values()) == {1}
    built = [result.work.indexes_built for result in (first, second)]
    assert sum(each.computed for each in built) == len(list((tmp_path / "shared" / "indexes").iterdir()))
    # What one measured the other shows: it waited for it, and did not measure beside it.
    assert sorted(bool(result.latency_samples) for result in (first, second)) == [False, True]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_moments_a_run_harms_neither_the_other_nor_the_cache(
    tmp_path: Path, launchers: tuple[Launcher, Launcher]
) -> None:
    undisturbed = place(tmp_path / "undisturbed", tmp_path / "its cache")
    mortal, other = launchers
    began = time.perf_counter()
    mortal.start(undisturbed.folder)
    assert mortal.wait() == 0, (undisturbed.folder / "stderr").read_text()
    whole, wanted = time.perf_counter() - began, undisturbed.results()[0]

    def check(here: Place) -> None:
        found = differences(written(here.results()[-1]), written(wanted))
        assert all(elsewhere(difference) for difference in found), found
        assert runs(here.results()[-1]) == runs(wanted)

    rng = np.random.default_rng(15)
    kills, number = 0, 0
    while kills < enough(4, KILLS):
        number += 1
        cache = tmp_path / f"cache{number}"
        victim, bystander = (place(tmp_path / f"{number}" / name, cache) for name in ("victim", "bystander"))
        other.start(bystander.folder)
        wounds = 0
        for share in rng.uniform(0.0, 1.0, 3):
            process = mortal.start(victim.folder)
            if mortal.wait(share * whole) is not None:
                break
            os.kill(process, signal.SIGKILL)
            wounds += mortal.wait() == -signal.SIGKILL
        kills += wounds
        assert other.wait() == 0, (bystander.folder / "stderr").read_text()
        check(bystander)
        mortal.start(victim.folder)
        assert mortal.wait() == 0, (victim.folder / "stderr").read_text()
        check(victim)
        twice = embedded(victim, bystander).total() - len(embedded(victim, bystander))
        assert twice <= BATCH * wounds  # at most what was in flight
        before = embedded(victim, bystander).total()
        mortal.start(victim.folder)  # alone in the cache now: it computes nothing, and tidies up
        assert mortal.wait() == 0
        assert embedded(victim, bystander).total() == before
        check_same(victim, undisturbed, elsewhere)
