"""Pairs that the structure of documents gives: what a model's `pairs_from` may name."""

from __future__ import annotations

from typing import Literal, TypeAlias

PairsFrom: TypeAlias = Literal["title", "neighbours", "halves"]
ALL_PAIRS: tuple[PairsFrom, ...] = ("title", "neighbours", "halves")
