"""The common part of the contracts of all roles. Public methods check and batch; an author writes the small core (the
methods that begin with `_`).

Every adapter is one class in one file with `name`, an `Options` model, and what to install. Heavy packages are
imported inside the methods that need them. The constructor takes validated options and a Context, and does
nothing slow: no model is loaded and no server called before `check` or the first use.
"""

from __future__ import annotations

import importlib.util
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from adapters.base._distributions import distribution_of
from adapters.base.closeable import Closeable
from adapters.base.contacts import Contact, asks_others, contacts_feared
from adapters.base.errors import MissingDependency

Consumes: TypeAlias = Literal["vector", "text"]


class Options(BaseModel):
    """Base of every options model: unknown keys are faults, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def refuse_idle(self, option: str, without: str, *, heeded: bool) -> None:
        """Raise ValueError for an option that is set and changes nothing. without: what it would need to have an
        effect. For validators: what a user writes either has an effect or is named as a fault."""
        unset = type(self).model_fields[option].get_default(call_default_factory=True)
        if not heeded and getattr(self, option) != unset:
            raise ValueError(f"{option} has no effect without {without}")


class NoOptions(Options):
    """For adapters that have nothing to set."""


class Adapter(Closeable, ABC):
    """What all roles share."""

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()  # importable packages beyond the standard library
    extra: ClassVar[str | None] = None  # the extra of this distribution that installs them
    brought_by: ClassVar[Mapping[str, str]] = {}  # the distribution of a required package, where its name is another
    figures_from: ClassVar[tuple[str, ...] | None] = None  # those of `requires` that can change a figure; None: all
    key_env: ClassVar[str | None] = None  # environment variable from which the provider's own SDK reads the key
    further_key_envs: ClassVar[tuple[str, ...]] = ()  # further variables whose keys its own server gets unasked

    @classmethod
    def missing(cls) -> MissingDependency | None:
        """The error for the first required package that is not installed, else None. Imports nothing."""
        for package in cls.requires:
            if importlib.util.find_spec(package) is None:
                return MissingDependency(cls.name, package, cls.extra)
        return None

    @classmethod
    def distributions(cls) -> tuple[str, ...]:
        """The installed distributions whose versions can change a figure: a result names them, and timings taken with
        others are taken again."""
        packages = cls.requires if cls.figures_from is None else cls.figures_from
        found = (distribution_of(package, cls.brought_by.get(package)) for package in packages)
        return tuple(name for name in found if name is not None)

    def check(self) -> None:
        """Raise an AdapterError for whatever can be known to fail before the run: a model that is not there, a
        missing key, a server that does not answer. Cheap: seconds at most, nothing billed."""
        if error := self.missing():
            raise error

    def contacts(self) -> Sequence[Contact]:
        """Whom this adapter talks to, from its options and the environment alone; nobody for an adapter that works on
        this machine by itself. The default guesses from options that look like addresses, which are then announced to
        the user and asked for."""
        options = (getattr(self, name, None) for name in ("options", "index", "connection"))
        context = getattr(self, "context", None)
        return contacts_feared(self.name, options, getattr(context, "own_addresses", frozenset()))

    def check_alone(self) -> None:
        """As `check`, without asking anybody whom a dry run must leave alone."""
        if not asks_others(self.contacts()):
            self.check()
        elif error := self.missing():
            raise error

    def remarks(self) -> Sequence[str]:
        """Sentences on how the work went that readers of a result must know. Called at the end of a run's work."""
        return ()

    def rest(self) -> None:
        """Give back memory that can be had again, such as a model's, because another adapter works next. The adapter
        may be used afterwards."""
        return

    def close(self) -> None:
        """Release connections and memory. Called once; the adapter is not used afterwards."""
        return
