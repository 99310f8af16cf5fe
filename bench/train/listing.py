"""What `bench models` tells of trained models, as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from adapters.base.trainer import TrainingStep
from bench.messages.wording import aligned, beginning, counted
from bench.train.card import figure, signed
from bench.train.choosing import Chosen, families
from bench.train.kept import CARD, KeptModel, KeptModels
from bench.train.provenance import ModelProvenance, SplitFacts, options_as_columns

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60  # characters of a curve
_SHOWN_NEGATIVES = 3
_LONGEST_TEXT = 100
_KEY_SHOWN = 12
_DASH = "–"


def listed(models: KeptModels) -> str:
    """All models, one line each, and trainings that did not end."""
    kept = list(models.all())
    heading = ("model", "recipe", "base", "dev", "before ► after", "MiB", "trained", "key")
    rows = [_line(each) for family in families(kept) for each in family]
    lines = aligned([heading, *rows]) if rows else [f"{models.folder}: no trained models. Train some: bench train FILE"]
    there = {each.key for each in kept}
    for key in models.interrupted():
        if key not in there:
            lines.append(
                f"! {key[:_KEY_SHOWN]}: a training that did not end left checkpoints; the same command goes on"
            )
    for each in kept:
        if _is_worse(each.provenance):
            lines.append(f"! {each.provenance.reference}: worse on dev than the base that it started from")
    return "".join(f"{line}\n" for line in lines)


def described(chosen: Chosen, negatives: Path) -> str:
    """One model with all that is known of it, its seeds one after another. negatives: the cache's folder of them."""
    parts = [_described(kept, negatives) for kept in chosen.models]
    if chosen.older:
        further = counted(chosen.older, "further model", "of this name, of other options or data")
        parts.append(f"· {further}: bench models lists them by their keys\n")
    return "\n".join(parts)


def compared(one: Chosen, other: Chosen) -> str:
    """Two models side by side: where they differ, and what they measured. Of several seeds the mean with the lowest and
    the highest value."""
    left, right = ([kept.provenance for kept in chosen.models] for chosen in (one, other))
    rows = [("", one.name, other.name)]
    facts = [*_facts(left), *(pair for pair in _facts(right) if pair[0] not in dict(_facts(left)))]
    for name, _ in facts:
        here, there = dict(_facts(left)).get(name, _DASH), dict(_facts(right)).get(name, _DASH)
        if here != there:
            rows.append((name, here, there))
    rows.append(("seeds", str(len(left)), str(len(right))))
    lines = aligned(rows)
    differing = _other_data(left[0], right[0])
    if differing:
        lines.append(f"! not comparable: they were measured on different data ({differing})")
    measured = [("measured", one.name, other.name, "difference")]
    for name, of in _measures([*left, *right]).items():
        a, b = ([value for each in side if (value := of(each)) is not None] for side in (left, right))
        change = signed(_mean(b) - _mean(a)) if a and b and not differing else _DASH
        measured.append((name, _spread(a), _spread(b), change))
    lines += ["", *aligned(measured)] if len(measured) > 1 else []
    lines.append("· means of seeds with the lowest and the highest; a verdict needs the queries: bench run FILE")
    return "".join(f"{line}\n" for line in lines)


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Values as a row of bars, at most `width` of them: each is the mean of what falls together. Values that are not
    finite are left out."""
    values = [value for value in values if isfinite(value)]
    if not values:
        return ""
    edges = [round(i * len(values) / min(width, len(values))) for i in range(min(width, len(values)) + 1)]
    means = [_mean(values[a:b]) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((mean - low) / (high - low) * steps) if high > low else 0] for mean in means)


def _line(kept: KeptModel) -> tuple[str, ...]:
    about = kept.provenance
    return (
        about.reference,
        about.recipe,
        about.base.reference if about.base else _DASH,
        about.dev_measure or _DASH,
        _change(about.dev_before, about.dev_after),
        f"{kept.bytes / 2**20:,.1f}",
        about.created_at[:16].replace("T", " "),
        kept.key[:_KEY_SHOWN],
    )


def _described(kept: KeptModel, negatives: Path) -> str:
    about = kept.provenance
    origin = f" from {about.base.reference}" if about.base else ""
    where = f" by the experiment {about.experiment}" if about.experiment else ""
    lines = [
        f"{about.reference}  {about.makes}, recipe {about.recipe}{origin}{where}, {about.created_at}",
        *(f"  {line}" for line in aligned(list(_lines_of(about)))),
    ]
    if about.held_out:
        rows = [
            (held.measure, held.split or _DASH, f"{held.count:,}" if held.count is not None else _DASH,
             _change(held.before, held.after))
            for held in about.held_out
        ]  # fmt: skip
        lines += ["", *(f"  {line}" for line in aligned([("held out", "split", "of", "before ► after"), *rows]))]
    lines += ["", *(f"  {line}" for line in _curves(kept.curve()))] if kept.curve() else []
    lines += _shown_negatives(about, negatives)
    lines += [f"  · {note}" for note in (*about.data.notes, *about.notes)]
    lines += [f"  · key {kept.key}", f"  · card {kept.folder / CARD}"]
    return "".join(f"{line}\n" for line in lines)


def _lines_of(about: ModelProvenance) -> Iterable[tuple[str, str]]:
    yield "dev", f"{about.dev_measure or _DASH} {_change(about.dev_before, about.dev_after)}"
    for name in ("train", "dev", "test"):
        split: SplitFacts | None = getattr(about.data, name)
        if split is not None:
            queries = counted(split.queries, "query") if split.queries is not None else "queries not counted"
            yield f"{name} split", f"{split.split or _DASH}, {queries}, fingerprint {split.fingerprint[:_KEY_SHOWN]}"
    data = about.data
    if data.rows is not None:
        left_out = f", {counted(data.leaks, 'pair')} left out that leak" if data.leaks is not None else ""
        yield "rows", f"{data.rows:,}{left_out}"
    if about.steps is not None:
        kept = f", weights of step {about.kept_step:,}" if about.kept_step is not None else ""
        yield "steps", f"{about.steps:,}{kept}"
    if about.seconds is not None:
        yield "took", f"{about.seconds:,.1f} s on {about.device or 'a device not told'}, {about.precision or _DASH}"
    if about.parameters is not None:
        trainable = (
            f", {about.trainable_parameters:,} of them trained" if about.trainable_parameters is not None else ""
        )
        yield "parameters", f"{about.parameters:,}{trainable}"
    for name, value in options_as_columns(about.options).items():
        if value is not None:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _curves(curve: Sequence[TrainingStep]) -> list[str]:
    rows = []
    for name in ("loss", "dev", "learning_rate"):
        values = [value for step in curve if (value := getattr(step, name)) is not None]
        if values:
            rows.append((name.replace("_", " "), sparkline(values), f"{values[0]:.4g} ► {values[-1]:.4g}"))
    return aligned(rows)


def _shown_negatives(about: ModelProvenance, folder: Path) -> list[str]:
    mined = about.negatives
    if mined is None:
        return []
    lines = ["", f"  negatives: {json.dumps(mined.options, ensure_ascii=False)}"]
    if mined.relevant_to_test is not None:
        lines.append(f"  {mined.relevant_to_test:,} of them are relevant to some evaluation query")
    path = folder / f"{mined.key}.parquet"
    if mined.key is None or not path.is_file():
        return [*lines, "  their texts are not in this cache any more"]
    table = pq.read_table(path, columns=["query", "positive", "negatives"]).slice(0, _SHOWN_NEGATIVES)
    for row in table.to_pylist():
        lines.append(f"  query     {beginning(row['query'], _LONGEST_TEXT)}")
        lines.append(f"  positive  {beginning(row['positive'], _LONGEST_TEXT)}")
        lines += [f"  negative  {beginning(text, _LONGEST_TEXT)}" for text in row["negatives"][:_SHOWN_NEGATIVES]]
    return lines


def _facts(seeds: Sequence[ModelProvenance]) -> list[tuple[str, str]]:
    """What one seed says of all."""
    about = seeds[0]
    data = about.data
    facts: list[tuple[str, Any]] = [
        ("recipe", about.recipe),
        ("base", about.base.reference if about.base else None),
        ("data", data.name),
        ("train split", data.train.fingerprint[:_KEY_SHOWN] if data.train else None),
        ("rows", data.rows),
        ("parameters", about.parameters),
        ("device", about.device),
        ("precision", about.precision),
        ("seconds", None if about.seconds is None else round(about.seconds)),
        *options_as_columns(about.options).items(),
        *(options_as_columns(about.negatives.options, "negatives.").items() if about.negatives else ()),
    ]
    told = [
        (name, value if isinstance(value, str) else json.dumps(value)) for name, value in facts if value is not None
    ]
    return list(dict(told).items())


def _other_data(one: ModelProvenance, other: ModelProvenance) -> str:
    """The splits on which two models were measured and that differ."""
    differing = []
    for name in ("dev", "test"):
        here, there = getattr(one.data, name), getattr(other.data, name)
        if (here and here.fingerprint) != (there and there.fingerprint):
            differing.append(f"{name} {_mark(here)} / {_mark(there)}")
    return ", ".join(differing)


def _mark(split: SplitFacts | None) -> str:
    return split.fingerprint[:_KEY_SHOWN] if split else "none"


def _measures(seeds: Sequence[ModelProvenance]) -> dict[str, Callable[[ModelProvenance], float | None]]:
    """The measures that some of these have, by name."""
    found: dict[str, Callable[[ModelProvenance], float | None]] = {}
    for about in seeds:
        if about.dev_measure:
            found.setdefault(f"dev {about.dev_measure}", lambda each: each.dev_after)
        for held in about.held_out:
            found.setdefault(f"{held.split or 'held out'} {held.measure}", _measure_of(held.split, held.measure))
    return found


def _measure_of(split: str | None, measure: str) -> Callable[[ModelProvenance], float | None]:
    def value(about: ModelProvenance) -> float | None:
        return next((h.after for h in about.held_out if (h.split, h.measure) == (split, measure)), None)

    return value


def _spread(values: Sequence[float]) -> str:
    if not values:
        return _DASH
    span = f" [{figure(min(values))}, {figure(max(values))}]" if len(values) > 1 else ""
    return f"{figure(_mean(values))}{span}"


def _change(before: float | None, after: float | None) -> str:
    return f"{figure(before)} ► {figure(after)}"


def _is_worse(about: ModelProvenance) -> bool:
    return about.dev_before is not None and about.dev_after is not None and about.dev_after < about.dev_before


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
