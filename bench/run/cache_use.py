"""The cache of an experiment, in use by one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.base import Warned
from bench.cache.mark import cache_in_use
from bench.experiment.parts import Experiment
from bench.quality.stages import Emit


@contextmanager
def using_cache(experiment: Experiment, cache: Path, emit: Emit) -> Iterator[None]:
    """Use a cache beside other runs, as `cache_in_use`. Where it cannot be marked, that is told. Raises CacheBusy."""
    with cache_in_use(cache, experiment.user) as unmarked:
        if unmarked:
            emit(Warned("cache", unmarked))
        yield
