"""The contract of a dataset's source."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from .adapter import Adapter, NoOptions
from .arrays import Context, Tables


class DatasetSource(Adapter):
    """Where a collection comes from."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def load(self) -> Tables:
        """Read the collection. Parses only: what the whole must satisfy is checked by the caller.

        Raises DatasetInvalid (file and line), ModelNotFound (a hub data set that is not there).
        """

    def sources(self) -> tuple[Path, ...] | None:
        """The local files that `load` reads, when they decide all of it: the loaded tables may then be kept until
        one of them changes. None: load anew each time."""
        return None

    def remarks(self) -> tuple[str, ...]:
        """Sentences for the result's reader about what lies beside those files and is not read. Asked at every load,
        also where kept tables are used. The default has nothing to say."""
        return ()
