"""Every file that a run keeps, harmed in every way: the figures of an undisturbed run, or an error that names the file.

The kinds of files are those that a run leaves on disk, so that none is forgotten when another comes to be kept.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.cache.locks import CacheBusy
from bench.experiment.faults import ConfigFaults
from bench.results.model import Result
from tests import small
from tests.harms import HARMS, Harm, change_a_digit, held_to_modes
from tests.killing import differences, without_times
from tests.thorough import enough

SYSTEMS = [
    {"name": "exact", "encoder": "words"},
    {"name": "bm25", "store": "bm25"},
    {"name": "flat", "encoder": "words", "store": "flat"},
    {"name": "faiss", "encoder": "words", "store": "faiss"},
    {"name": "fused", "fuse": ["bm25", "exact"]},
    {"name": "reranked", "store": "bm25", "reranker": "again", "depth": 20},
]
MEANT = {"vectors", "scores", "candidates", "timings", "indexes", "datasets", ".locks", "users"}
SAID = ("warnings",)  # they tell of the damage


@pytest.fixture(scope="module", autouse=True)
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small.installed(tmp_path_factory.mktemp("site")):
        yield


def experiment(*, seed: int = 0) -> dict[str, Any]:
    return small.spec(
        SYSTEMS,
        encoders={"words": {"adapter": "words"}},
        rerankers={"again": {"adapter": "bm25"}},
        stores={"bm25": {"adapter": "bm25"}, "flat": {"adapter": "lancedb"}, "faiss": {"adapter": "faiss"}},
        measures=["nDCG@10", "ANN@10"],
        baseline="bm25",
        latency=[{"workers": 2, "samples": 2, "seconds": 5}],
        seed=seed,
    )


class Kept:
    """A cache that a run left, its kinds of files, and the cache of another run over other documents."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.other = folder / "here", folder / "other"
        small.collection(self.folder / "data", documents=60, queries=12)
        small.collection(self.other / "data", documents=60, queries=12, seed=1)
        small.measure(self.other, experiment())
        self.undisturbed = self.run()
        assert self.undisturbed.status == "success"
        shutil.copytree(self.cache, self.folder / "whole", symlinks=True)
        self.kinds: dict[str, list[Path]] = defaultdict(list)
        for path in files(self.cache):
            self.kinds[kind_of(path)].append(path)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def run(self) -> Result:
        return small.measure(self.folder, experiment())[1]

    def restore(self) -> None:
        shutil.rmtree(self.cache)
        shutil.rmtree(self.folder / "results", ignore_errors=True)  # a run that could not start left none
        shutil.copytree(self.folder / "whole", self.cache, symlinks=True)

    def of_another_run(self, kind: str) -> Harm:
        """Puts the other run's file of that kind into a file's place."""
        theirs = [self.other / "cache" / path for path in files(self.other / "cache") if kind_of(path) == kind]
        return lambda path: shutil.copyfile(theirs[0], path)

    def of_a_neighbour(self, kind: str) -> Harm:
        """Puts another file of that kind of the same cache into a file's place."""

        def harm(path: Path) -> None:
            own = path.relative_to(self.cache)
            others = [other for other in self.kinds[kind] if other != own]
            if others:
                shutil.copyfile(self.folder / "whole" / others[0], path)

        return harm


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, adapters: None) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


def files(folder: Path) -> list[Path]:
    """Paths of all files below a folder, from there."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def kind_of(path: Path) -> str:
    """A path with keys, digests and numbers left out."""
    return re.sub(r"[0-9a-f-]{16,}|\d+", "#", path.as_posix())


def shown(result: Result) -> Any:
    """All that a result says but for times, what tells of the damage, and whether a folder was gone on with."""
    content = without_times(json.loads(result.model_dump_json()))
    return {name: value for name, value in content.items() if name not in SAID}


def check(kept: Kept, kind: str, harm: Harm, case: str, *, bound: bool = False) -> None:
    """Harm all files of a kind, one after the other at once, and run. bound: the modes of files bind this process."""
    kept.restore()
    for path in kept.kinds[kind]:
        harm(kept.cache / path)
    names = [path.name for path in kept.kinds[kind]]
    try:
        with ExitStack() as stack:
            if bound:
                stack.enter_context(held_to_modes())
            again = kept.run()
    except (ConfigFaults, CacheBusy, OSError) as error:
        assert any(name in str(error) for name in names), (case, str(error))
        return
    if again.status == "success":
        found = differences(shown(again), shown(kept.undisturbed))
        assert not found, (case, found[:5])
        return
    told = " ".join([*(system.error or "" for system in again.systems), *again.warnings])
    assert any(name in told for name in names), (case, told)


def check_all(kept: Kept, harms: dict[str, Callable[[str], Harm]], kinds: Sequence[str] | None = None) -> None:
    for kind in kinds or list(kept.kinds):
        for name, harm in harms.items():
            check(kept, kind, harm(kind), f"{name}: {kind}")


def always(harm: Harm) -> Callable[[str], Harm]:
    return lambda kind: harm


def test_every_part_of_a_cache_is_among_the_kinds_that_are_harmed(kept: Kept) -> None:
    assert {kind.partition("/")[0] for kind in kept.kinds if "/" in kind} == MEANT
    ends = {kind.rpartition("/")[2] for kind in kept.kinds}
    assert ends >= {"#.npz", "ref.json", "begun.json", "manifest.json", "corpus.arrow", "rows.arrow", ".lock"}


def test_a_digit_changed_in_any_kind_of_kept_file_changes_no_figure(kept: Kept) -> None:
    check_all(kept, {"digit": always(change_a_digit)})


@pytest.mark.slow
def test_another_runs_file_in_the_place_of_a_kept_one_changes_no_figure(kept: Kept) -> None:
    check_all(kept, {"of another run": kept.of_another_run})


@pytest.mark.slow
@pytest.mark.parametrize("name", enough(("truncate", "link", "neighbour"), (*HARMS, "neighbour", "unreadable")))
def test_every_harm_to_every_kind_of_kept_file_changes_no_figure(kept: Kept, name: str) -> None:
    if name == "neighbour":
        check_all(kept, {name: kept.of_a_neighbour})
    elif name == "unreadable":
        for kind in kept.kinds:
            check(kept, kind, lambda path: path.chmod(0), f"{name}: {kind}", bound=True)
    else:
        check_all(kept, {name: always(HARMS[name])})
