"""Finds the kept models that a command names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.base.trainer import TRAINED
from bench.messages.suggestions import suggestion
from bench.train.kept import KeptModel, KeptModels, is_key

_PART_OF_A_KEY = re.compile(r"[0-9a-f]{6,32}")


class NoSuchModel(Exception):
    """No kept model is named so; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The seeds of one model, or one of them. older: how many further models of that name there are, of other options,
    bases or data."""

    models: tuple[KeptModel, ...]
    older: int = 0

    @property
    def name(self) -> str:
        """The model as commands name it: without a seed where there are several."""
        first = self.models[0].provenance
        return first.name if len(self.models) > 1 else first.reference


def families(models: Sequence[KeptModel]) -> list[list[KeptModel]]:
    """The models, those together that differ in their seeds alone; the family trained last comes last."""
    found: dict[tuple[str, ...], list[KeptModel]] = {}
    for kept in models:
        found.setdefault(kept.provenance.family, []).append(kept)
    each = [sorted(family, key=_place) for family in found.values()]
    return sorted(each, key=lambda family: max(kept.provenance.created_at for kept in family))


def choose(models: KeptModels, wanted: str) -> Chosen:
    """The models that a word names: a key or its beginning, a name, `NAME#SEED`, each with `trained:` before it or not.
    Of several models of one name that with the latest training. Raises NoSuchModel."""
    kept = list(models.all())
    word = wanted.removeprefix(TRAINED)
    if by_name := _named(kept, word):
        return by_name
    by_key = [each for each in kept if each.key.startswith(word)] if _PART_OF_A_KEY.fullmatch(word) else []
    if len(by_key) == 1:
        return Chosen((by_key[0],))
    if by_key:
        raise NoSuchModel(f"{len(by_key)} models have a key that begins with {word}. Give more digits of it.")
    if is_key(word) and (fault := models.damage(word)):
        raise NoSuchModel(f"{fault}. Remove it: bench models remove {word}")
    if not kept:
        raise NoSuchModel(f"{models.folder} holds no trained models. Train some: bench train FILE")
    names = dict.fromkeys(name for each in kept for name in (each.provenance.name, each.provenance.reference))
    raise NoSuchModel(f"No trained model is called {wanted!r}. {suggestion(word, names)}")


def is_name(models: KeptModels, word: str) -> bool:
    """Whether a kept model is called so, as `bench models` lists it."""
    return _named(list(models.all()), word) is not None


def choose_one(models: KeptModels, wanted: str) -> tuple[KeptModel, str | None]:
    """One model, and a sentence on how it was chosen where the word names several seeds: the one that dev likes best,
    else the first. Raises NoSuchModel, also for a model whose files are not as they were."""
    chosen = choose(models, wanted)
    devs = [kept.provenance.dev_after for kept in chosen.models]
    best = chosen.models[max(range(len(devs)), key=lambda i: (float("-inf") if devs[i] is None else devs[i], -i))]
    if fault := models.damage(best.key):
        raise NoSuchModel(f"{fault}. Train it again, or remove it: bench models remove {best.key}")
    if len(chosen.models) == 1:
        return best, None
    why = "the best of its seeds on dev" if best.provenance.dev_after is not None else "the first of its seeds"
    return best, f"{wanted}: {best.provenance.reference} is taken, {why}; name another one: {best.provenance.name}#2"


def _named(kept: Sequence[KeptModel], word: str) -> Chosen | None:
    grouped = families([each for each in kept if each.provenance.name == word])
    if grouped:
        return Chosen(tuple(grouped[-1]), older=sum(map(len, grouped[:-1])))
    one = [each for each in kept if each.provenance.reference == word]
    return Chosen((max(one, key=lambda each: each.provenance.created_at),), len(one) - 1) if one else None


def _place(kept: KeptModel) -> tuple[int, str]:
    return kept.provenance.seed_number or 0, kept.provenance.created_at
