"""Who answers: a generator of the result's experiment, or one that the command line names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters import registry
from adapters.base import Contact, Context, Generator, InvalidOptions
from bench.experiment.trust import contacts_with
from bench.experiment.yaml_text import parse_yaml
from bench.messages.failures import as_failure
from bench.messages.suggestions import suggestion


class NobodyAnswers(Exception):
    """There is no generator, or none by that name; says which there are."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """A generator that is not made yet. name: as messages call it."""

    name: str
    kind: type[Any]
    options: Any
    context: Context

    def contacts(self) -> Sequence[Contact]:
        """Whom it would talk to."""
        return contacts_with(self.kind, (self.options,), self.context) or ()

    def made(self) -> Generator:
        """The generator, checked. Raises an AdapterError."""
        with as_failure(f"generator {self.name}"):
            if missing := self.kind.missing():
                raise missing
            generator: Generator = self.kind(self.options, self.context)
            generator.check()
        return generator


def chosen(
    experiment: Mapping[str, Any],
    base: Path,
    *,
    name: str | None = None,
    spec: str | None = None,
    changes: Sequence[str] = (),
    ours: bool = True,
) -> Answerer:
    """Who answers. experiment, base: of the result. name: of one of its generators. spec: ADAPTER:MODEL instead.
    changes: OPTION=VALUE. ours: whether who gives them owns the keys that may go to an address among them. Raises
    NobodyAnswers, InvalidOptions."""
    given = dict(_change(change) for change in changes)
    seed = experiment.get("seed")
    own = frozenset(str(value) for value in given.values() if isinstance(value, str) and ours)
    seed = seed if isinstance(seed, int) else 0
    context = Context(base, seed=seed, own_addresses=own)
    if spec is not None:
        adapter, colon, model = spec.partition(":")
        if not colon or not model:
            raise NobodyAnswers(f"--with {spec}: write ADAPTER:MODEL. Adapters: {_known()}.")
        return _answerer(
            f"--with {spec}",
            adapter,
            {"model": model, **given},
            Context(Path(), context.vector_dimension, context.seed, own),
        )
    parts = experiment.get("generators")
    named: Mapping[str, Any] = parts if isinstance(parts, Mapping) else {}
    if name is not None and name not in named:
        raise NobodyAnswers(f"--generator {name}: is not among the generators of the result. {suggestion(name, named)}")
    if name is None and len(named) != 1:
        have = (
            f"the result names several: {', '.join(named)}. Choose one: --generator NAME"
            if named
            else (f"the result names no generator. Name one: --with ADAPTER:MODEL. Adapters: {_known()}.")
        )
        raise NobodyAnswers(f"Nobody answers yet: {have}")
    name = name or next(iter(named))
    options = {**(named[name] if isinstance(named[name], Mapping) else {})}
    return _answerer(f"generators.{name}", str(options.pop("adapter", "")), {**options, **given}, context)


def _answerer(name: str, adapter: str, options: Mapping[str, Any], context: Context) -> Answerer:
    with as_failure(name):
        kind = registry.load("generators", adapter)
    try:
        return Answerer(name, kind, kind.Options.model_validate(dict(options)), context)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        known = suggestion(key, kind.Options.model_fields) if first["type"] == "extra_forbidden" else ""
        said = "is unknown" if known else f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise InvalidOptions(f"{name}: {key} {said}. {known}".rstrip(), key=key) from error


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise NobodyAnswers(f"--option {text}: write OPTION=VALUE, such as max_tokens=300.")
    try:
        return key.strip(), parse_yaml(value)
    except ValueError as error:
        raise NobodyAnswers(f"--option {text}: {error}") from error


def _known() -> str:
    return ", ".join(registry.names("generators"))
