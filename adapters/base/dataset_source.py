"""The contract of a dataset's source."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel

from adapters.base.adapter import Adapter, NoOptions
from adapters.base.arrays import Context, Tables


class DatasetSource(Adapter):
    """Where a collection comes from."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    def title(self) -> str | None:
        """The name of the collection in tables; None for the adapter's name. The default is the option `name`, `path`
        (the folder or file) or `dataset`, whichever there is first."""
        for option in ("name", "path", "dataset"):
            value = getattr(self.options, option, None)
            if value and option == "path":
                # Not resolved: a link is named as the user calls it.
                path = Path(os.path.normpath(self.context.path(value)))
                if name := path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem:
                    return name
            elif value:
                return str(value)
        return None

    @property
    def judged_split(self) -> str | None:
        """The part of the collection's judgements that is loaded, as results name it; None where there are no parts.
        The default is the option `split`."""
        split = getattr(self.options, "split", None)
        return None if split is None else str(split)

    @classmethod
    def takes(cls, key: str, spec: Mapping[str, Any]) -> bool:
        """Whether a key beside the adapter's name that the harness knows too is an option of this source. spec: all
        keys as the experiment file gives them. The default is whether `Options` has one of that name."""
        return key in cls.Options.model_fields

    def splits(self) -> tuple[str, ...]:
        """The parts that the collection's judgements come in, each a value of the option `split`; none where there are
        no parts. Cheap where the names are known without reading the collection.

        Raises DatasetInvalid, ModelNotFound. The default has none.
        """
        return ()

    def of_split(self, split: str) -> Self:
        """The same collection with another part of its judgements, one that `splits` names. Options that choose among
        the evaluated queries do not apply to it. The default sets the option `split`."""
        return type(self)(self.options.model_copy(update={"split": split}), self.context)

    def documents_alone(self) -> Self:
        """The same collection for somebody who needs its documents alone: queries and judgements may be empty, and need
        not be there. The default reads the whole collection."""
        return self

    @abstractmethod
    def load(self) -> Tables:
        """Read the collection. It only parses: the caller checks the collection as a whole.

        Raises DatasetInvalid (file and line), ModelNotFound (a hub data set that is not there).
        """

    def sources(self) -> tuple[Path, ...] | None:
        """The local files that `load` reads, when they decide all of it: the loaded tables may then be kept until
        one of them changes. None: load anew each time."""
        return None

    def remarks(self) -> tuple[str, ...]:
        """Sentences for readers of a result about what lies beside those files and is not read. Called at every load,
        also where kept tables are used. The default has none."""
        return ()
