"""A model to train, put into the text of an experiment together with what takes it: a part, a system, and the system
of its base to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters import registry
from adapters.base import TRAINED
from bench.experiment.parts import System
from bench.experiment.yaml_text import parse_yaml
from bench.ui.editing import with_part, with_system, with_value

_CANDIDATES = 30  # that a reranker reads, where the file has no system to take it from


@dataclass(slots=True)
class Written:
    """An experiment's text as it grows, and what was put into it, a sentence each."""

    text: str
    told: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """The parts of a section as the text has them."""
        found = self.values().get(name)
        return found if isinstance(found, dict) else {}

    def entries(self) -> list[dict[str, Any]]:
        """The systems as the text has them."""
        found = self.values().get("systems")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def values(self) -> dict[str, Any]:
        found = parse_yaml(self.text)
        return found if isinstance(found, dict) else {}

    def add_system(self, name: str, entry: Mapping[str, Any]) -> str:
        """Add a system under this name, or the next free one. Returns the name."""
        called = _free(name, {str(each.get("name")) for each in self.entries()})
        self.text = with_system(self.text, {"name": called, **entry})
        self.told.append(f"System {called}")
        return called


def with_model(text: str, name: str, part: Mapping[str, Any], systems: Sequence[System]) -> Written:
    """The text with a model, and what is missing beside it. part: with its recipe. systems: those that the text
    describes, as far as nothing is wrong with it. A model of the same name is replaced. Raises ValueError."""
    if not name:
        raise ValueError("Give the model a name, by which encoders call it: trained:NAME.")
    kind = registry.load("trainers", str(part["recipe"]))
    role: Literal["encoder", "reranker"] = kind.makes
    section: Literal["encoders", "rerankers"] = "encoders" if role == "encoder" else "rerankers"
    done = Written(with_part(text, "models", name, part), [f"Model {name}"])
    called = next(
        (each for each, about in done.section(section).items() if _model_of(about) == f"{TRAINED}{name}"), None
    )
    if called is None:
        called = _free(name, set(done.section(section)))
        done.text = with_part(
            done.text, section, called, {"adapter": registry.LOCAL[section], "model": f"{TRAINED}{name}"}
        )
        done.told.append(f"{role.capitalize()} {called}")
    there = any(called in _named(entry.get(role)) for entry in done.entries())
    if role == "encoder":
        before = _of_encoder(done, called, part, systems, there)
    else:
        before = _of_reranker(done, called, part, there)
    if before is not None and done.values().get("baseline") != before:
        done.text = with_value(done.text, "baseline", before)
        done.told.append(f"The baseline is {before} now: differences are those to what the model starts from")
    return done


def _of_encoder(
    done: Written, called: str, part: Mapping[str, Any], systems: Sequence[System], there: bool
) -> str | None:
    """Add a system of an encoder, and one of its base. Returns the name of the latter."""
    base = _base_of(done, part)
    before = None
    if base in done.section("encoders"):
        alone = next((system.name for system in systems if _is_alone(system, base)), None)
        before = alone or done.add_system(base, {"encoder": base})
    if not there:
        done.add_system(called, {"encoder": called})
    return before


def _base_of(done: Written, part: Mapping[str, Any]) -> str:
    """The part of the file that a model starts from, where it is one; for trained:NAME that with this model."""
    base = str(part.get("base"))
    if not base.startswith(TRAINED):
        return base
    parts = {**done.section("rerankers"), **done.section("encoders")}
    return next((name for name, about in parts.items() if _model_of(about) == base), base)


def _is_alone(system: System, encoder: str) -> bool:
    """Whether a system searches exactly by an encoder and does nothing else: an index would add losses of its own."""
    if system.encoders is None or system.reranker is not None or system.filter is not None:
        return False
    if system.store is None or system.store.adapter != "exact":
        return False
    return {name for name, _ in system.encoders.roles} == {encoder}


def _of_reranker(done: Written, called: str, part: Mapping[str, Any], there: bool) -> str | None:
    """Add a system of a reranker: that of its base, else one that searches. Returns the name of the system that it is
    compared with."""
    base = _base_of(done, part)
    named = [each for each in done.entries() if isinstance(each.get("name"), str)]
    like = next((each for each in named if each.get("reranker") == base), None)
    like = like or next((each for each in named if each.get("encoder") == base and not each.get("reranker")), None)
    like = like or next((each for each in named if "run" not in each and not each.get("reranker")), None)
    if there:
        return None if like is None else str(like["name"])
    if like is not None:
        candidates = {key: value for key, value in like.items() if key != "name"}
        done.add_system(f"{like['name']}-{called}", {"depth": _CANDIDATES, **candidates, "reranker": called})
        return str(like["name"])
    if base in done.section("encoders"):
        before = done.add_system(base, {"encoder": base})
        done.add_system(f"{base}-{called}", {"encoder": base, "reranker": called, "depth": _CANDIDATES})
        return before
    done.told.append(f"No system was found whose documents it could rerank: add one with reranker: {called}")
    return None


def _model_of(about: object) -> object:
    return about.get("model") if isinstance(about, dict) else None


def _named(value: object) -> set[str]:
    """The parts that an option of a system names, whichever way it is written."""
    if isinstance(value, dict):
        return {each for inner in value.values() for each in _named(inner)}
    if isinstance(value, list):
        return {each for inner in value for each in _named(inner)}
    return {value} if isinstance(value, str) else set()


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where it is taken."""
    return next(each for each in (name, *(f"{name}-{number}" for number in range(2, 1000))) if each not in taken)
