"""The parts of the page Train: recipes, curves of a training, trained models, and what they learnt from."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.experiment.faults import ConfigFaults
from bench.messages.wording import beginning, counted
from bench.ui.desk import Desk
from bench.ui.shown_results import preformatted
from bench.ui.telling import nothing, telling
from bench.ui.text import command, escaped, note, plain, table

if TYPE_CHECKING:
    from bench.train.kept import KeptModel, KeptModels
    from bench.ui.runs.following import Told

FIRST_RECIPE = "mnrl"  # what most people want first
_USUAL = ("epochs", "batch_size", "learning_rate", "max_length", "dimension", "seeds")
_FIGURE = re.compile(r"(loss|dev) (-?\d+\.\d+)")
_PAIRS = 10  # that are shown
_LONGEST = 240  # characters of a text
_WIDTH, _HEIGHT = 640, 180
_POINTS = 400


def cache_place(desk: Desk) -> Path:
    """The cache of the page, else the usual one."""
    from bench.cache.place import usual_place

    return desk.cache if desk.cache is not None else usual_place(Path()).folder


def kept_models(desk: Desk) -> KeptModels:
    """The models that were trained."""
    from bench.cache.artifacts import Cache
    from bench.train.kept import KeptModels

    return KeptModels(Cache(cache_place(desk)))


# -- recipes -------------------------------------------------------------------------------------------------------


def recipes() -> list[str]:
    """The recipes that there are."""
    from adapters import registry

    return sorted(registry.names("trainers"))


@telling
def recipe_part(name: str | None) -> str:
    """A recipe's options with what they mean, and the part of an experiment file that trains with it."""
    if not name:
        return nothing("Choose a recipe.")
    from adapters import registry
    from bench.experiment.models import ModelEntry

    kind = registry.load("trainers", name)
    schemas = [kind.Options.model_json_schema(), ModelEntry.model_json_schema()]
    rows = [
        [key, plain(about.get("description", "")), _default(key, about, schema)]
        for schema in schemas
        for key, about in schema.get("properties", {}).items()
        if key != "recipe"
    ]
    needed = [key for key in schemas[0].get("required", []) if key != "recipe"]
    lines = [f"models:\n  tuned:\n    recipe: {name}", *(f"    {key}: …" for key in needed)]
    head = preformatted("\n".join(lines), "The part of an experiment file")
    head += note("An encoder or a reranker of the file takes what comes of it by `model: trained:tuned`.")
    return head + table(["option", "meaning", "unless given"], rows, f"Options of {name}")


def _default(key: str, about: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if key in schema.get("required", ()):
        return "must be given"
    return "nothing" if about.get("default") is None else str(about["default"])


def usual_options(name: str) -> set[str]:
    """The options of a recipe that most people look at."""
    from adapters import registry

    kind = registry.load("trainers", name)
    further = {"data": kind.learns_from == "scored", "negatives": kind.takes_negatives}
    return {*_USUAL, *(option for option, heeded in further.items() if heeded)}


def file_of(file: str, model: str) -> str:
    """The name of the file that trains a model, beside the one that it was made of."""
    path = Path(file)
    return str(path.with_name(f"{path.stem}-{model}{path.suffix}"))


@telling
def lacks_part(desk: Desk, file: str, text: str, recipe: str) -> str:
    """What to write where a recipe learns from judged queries and the collection has none to train on."""
    from adapters import registry
    from bench.train.collection import lacks_training_queries
    from bench.ui import files

    if recipe not in recipes() or registry.load("trainers", recipe).learns_from != "pairs":
        return ""
    try:
        experiment = files.checked(desk, file, text)
    except (ConfigFaults, ValueError):  # told under the text
        return ""
    if any(model.pairs_from for model in experiment.models.values()):
        return ""
    lacks = lacks_training_queries(experiment, cache_place(desk))
    return "" if lacks is None else note(f"The dataset {lacks} The fields below write it.", "warn")


# -- curves --------------------------------------------------------------------------------------------------------


def curves_part(told: Told) -> str:
    """The curves of the trainings that a run tells of, as far as they are."""
    return "".join(curves_of(label, read_curves(points)) for label, points in told.curves.items())


def read_curves(points: Sequence[tuple[int, str]]) -> dict[str, list[tuple[float, float]]]:
    """Loss and dev measure by step, of what progress told."""
    found: dict[str, list[tuple[float, float]]] = {}
    for step, text in points:
        for name, value in _FIGURE.findall(text):
            found.setdefault(name, []).append((float(step), float(value)))
    return found


def kept_curves(kept: KeptModel) -> dict[str, list[tuple[float, float]]]:
    """Loss and dev measure by step, of a model that was trained."""
    steps = kept.curve()
    found = {
        name: [(float(step.step), value) for step in steps if (value := getattr(step, name)) is not None]
        for name in ("loss", "dev")
    }
    return {name: points for name, points in found.items() if points}


def curves_of(label: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A drawing for each curve, and its first, lowest, highest and last value."""
    return "".join(_drawn(f"{label}: {name}", points) for name, points in curves.items() if points)


def _drawn(title: str, points: Sequence[tuple[float, float]]) -> str:
    values = [value for _, value in points]
    low, high = min(values), max(values)
    steps = [step for step, _ in points]
    wide, tall = max(steps) - min(steps) or 1.0, high - low or 1.0
    each = max(1, len(points) // _POINTS)
    chosen = [*points[::each], points[-1]]
    path = " ".join(
        f"{(step - min(steps)) / wide * _WIDTH:.1f},{(high - value) / tall * (_HEIGHT - 20) + 10:.1f}"
        for step, value in chosen
    )
    told = f"{values[0]:.4g} ► {values[-1]:.4g}, from {low:.4g} to {high:.4g}, "
    told += f"{counted(len(points), 'value')} to step {steps[-1]:,.0f}"
    return (
        f'<figure style="margin:.6rem 0"><figcaption class="note"><strong>{escaped(title)}</strong> {escaped(told)}'
        f'</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(f"{title}: {told}")}" '
        'style="width:100%;max-width:640px;height:auto;border:1px solid var(--border-color-primary)">'
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{path.rpartition(" ")[2].partition(",")[0]}" cy="{path.rpartition(",")[2]}" r="4" '
        'fill="currentColor"/></svg></figure>'
    )


# -- models --------------------------------------------------------------------------------------------------------


def model_choices(desk: Desk) -> list[tuple[str, str]]:
    """The kept models: what is shown, and the key that a browser sends; the last one trained first."""
    kept = sorted(kept_models(desk).all(), key=lambda each: each.provenance.created_at, reverse=True)
    return [(plain(f"{each.provenance.reference} · {each.provenance.created_at[:16]}"), each.key) for each in kept]


@telling
def models_part(desk: Desk) -> str:
    """What `bench models` prints."""
    from bench.train.listing import listed

    return preformatted(listed(kept_models(desk)), "Trained models") + command("bench models")


@telling
def model_part(desk: Desk, key: str | None) -> str:
    """A model: its curves, what `bench models show` prints, and its card."""
    if not key:
        return nothing("Choose a model.")
    from bench.train.choosing import choose
    from bench.train.listing import described

    chosen = choose(kept_models(desk), key)
    [kept] = chosen.models
    told = described(chosen, cache_place(desk) / "negatives")
    card = f"<details><summary>The model card</summary>{preformatted(kept.card(), 'The model card')}</details>"
    line = command(f"bench models show {shlex.quote(kept.provenance.reference)}")
    return curves_of(kept.provenance.reference, kept_curves(kept)) + preformatted(told, "The model") + card + line


@telling
def compared_part(desk: Desk, one: str | None, other: str | None) -> str:
    """What `bench models compare` prints of two models."""
    if not one or not other:
        return nothing("Choose two models.")
    from bench.train.choosing import choose
    from bench.train.listing import compared

    models = kept_models(desk)
    told = compared(choose(models, one), choose(models, other))
    return preformatted(told, "Two models") + command(shlex.join(["bench", "models", "compare", one, other]))


@telling
def learnt_part(desk: Desk, key: str | None) -> str:
    """Pairs that a model learnt from with their hard negatives, and documents that were left out, by the rule."""
    if not key:
        return nothing("Choose a model.")
    from bench.train.choosing import choose
    from bench.train.mining.kept import kept
    from bench.train.mining.mined import RULES

    [model] = choose(kept_models(desk), key).models
    mined = model.provenance.negatives
    if mined is None or mined.key is None:
        return note("This model learnt without mined negatives.")
    found = kept(cache_place(desk), mined.key)
    if found is None or isinstance(found, str):
        return note(found or "The negatives that it learnt from are not in this cache any more.", "warn")
    pairs, report = found
    rows = [
        [beginning(row["query"], _LONGEST), beginning(row["positive"], _LONGEST), _negatives(row)]
        for row in pairs.slice(0, _PAIRS).to_pylist()
    ]
    left_out = [
        [f"it {RULES.get(rule, rule)}", beginning(each.query, _LONGEST), beginning(each.text, _LONGEST), each.score]
        for rule, examples in report.examples.items()
        for each in examples
    ]
    told = "".join(note(line) for line in report.lines())
    told += table(["query", "positive", "negatives"], rows, f"The first {len(rows)} of {pairs.num_rows:,} pairs")
    if left_out:
        told += table(["left out because", "query", "document", "score"], left_out, "Documents that were left out")
    return told + command("bench mine FILE")


def _negatives(row: Mapping[str, Any]) -> str:
    scores = row["negative_scores"] or []
    texts = [beginning(text, _LONGEST) for text in row["negatives"]]
    told = [f"{text} ({score:.3f})" if score is not None else text for text, score in zip(texts, scores, strict=True)]
    return " | ".join(told)
