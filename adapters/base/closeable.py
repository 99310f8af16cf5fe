"""What is closed after its use, as a context manager."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closeable:
    """Closed where its context ends."""

    def close(self) -> None:
        """Give back what it holds."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
