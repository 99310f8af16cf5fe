"""Which values a run computes now, so that another that needs some of them computes the rest, and waits for these.

Of vectors and scores many runs make different parts under one key. A run therefore claims the digests that it is about
to compute: a locked file that lists them, in `<cache>/.locks/<entry>.claims/`. The file system frees it when the run
ends, however it ends. Nobody waits for a claim while it has one of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.cache.digests import DIGEST_BYTES, Digests
from bench.cache.locks import FOLDER, CacheBusy, Kind, Waiting, holder, in_order, opened, signed, tried, untold, waited
from bench.cache.own_files import own_folder

_HEAD = 32  # bytes before the digests: who claims them


class Claims:
    """The claims on values of one key."""

    def __init__(self, cache: Path, name: str) -> None:
        self._door = cache / FOLDER / f"{name}.door"
        self._folder = cache / FOLDER / f"{name}.claims"
        self._what = name.partition("-")[0]

    @contextmanager
    def taken(self, digests: Digests) -> Iterator[npt.NDArray[np.bool_]]:
        """Claim digests, (n,), while the context lasts: those that nobody else claims. Yields which, bool (n,)."""
        with in_order(Kind.CLAIMS):
            path = self._folder / secrets.token_hex(8)
            with self._through_the_door():
                free = ~self._claimed(digests)
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                tried(file, path)
                signed(file)
                os.pwrite(file, digests[free].tobytes(), _HEAD)
            try:
                yield free
            finally:
                path.unlink(missing_ok=True)
                os.close(file)

    def ended(self, digests: Digests, wait: Waiting = untold) -> None:
        """Wait until nobody else claims any of these digests."""
        with in_order(Kind.CLAIMS) as may_wait:
            for path in self._paths():
                with suppress(FileNotFoundError), _open(path) as file:
                    if tried(file, path, shared=True) or not np.isin(digests, _claims(file, digests)).any():
                        continue
                    said = f"another run ({holder(file)}) makes the same {self._what}"
                    if not may_wait:
                        raise CacheBusy(f"{said}. Run it again.")
                    self._ended(file, path, said, wait)

    def _ended(self, file: int, path: Path, said: str, wait: Waiting) -> None:
        waited(lambda: tried(file, path, shared=True), wait, lambda: said)

    @contextmanager
    def _through_the_door(self) -> Iterator[None]:
        """Look at claims, and make one, while nobody else does."""
        own_folder(self._folder)
        with opened(self._door) as file:
            waited(lambda: tried(file, self._door), untold, lambda: "")
            yield

    def _claimed(self, digests: Digests) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(digests), np.bool_)
        for path in self._paths():
            with suppress(FileNotFoundError), _open(path) as file:
                if tried(file, path, shared=True):
                    path.unlink(missing_ok=True)  # its run has ended
                else:
                    found |= np.isin(digests, _claims(file, digests))
        return found

    def _paths(self) -> list[Path]:
        try:
            return list(self._folder.iterdir())
        except FileNotFoundError:
            return []


@contextmanager
def _open(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _claims(file: int, like: Digests) -> Digests:
    data = os.pread(file, os.fstat(file).st_size, _HEAD)
    return np.frombuffer(data[: len(data) // DIGEST_BYTES * DIGEST_BYTES], like.dtype)
