"""The model card: what provenance.json says, in prose and tables, with the heading that model hubs read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from adapters import printable
from bench.messages.wording import counted
from bench.train.provenance import IMPORTED, ModelProvenance, options_as_columns

# What hubs take as an id; a card with another one is refused there.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_NOT_KNOWN = "–"
_ROWS = {"pairs": "pair", "scored": "pair", "documents": "text", "structure": "pair"}
_ZERO = re.compile(r"^([+-]?)0\.")


def model_card(provenance: ModelProvenance) -> str:
    """The card as Markdown. Names, options and notes may come from a stranger's data: each stands where neither YAML
    nor Markdown nor HTML reads it as anything but text."""
    heading = yaml.safe_dump(_heading(provenance), sort_keys=False, allow_unicode=False)
    parts = [
        f"---\n{heading}---\n",
        f"# {code(provenance.reference)}\n",
        f"{_opening(provenance)}\n",
        _section("Measured before and after", _measures(provenance)),
        _section("Data", _data(provenance)),
        _section("Training", _training(provenance)),
        _section("Options", _table(("option", "value"), _options(provenance))),
        _section("How to use it", _usage(provenance)),
    ]
    return "\n".join(part for part in parts if part)


def code(text: str) -> str:
    """Text as Markdown shows it literally, in one line, in a table's cell too."""
    plain = " ".join(printable(str(text), keep="").split()) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}".replace("|", "\\|")


def figure(value: float | None) -> str:
    """A measure without its leading zero; a dash where there is none."""
    return _NOT_KNOWN if value is None else _ZERO.sub(r"\1.", f"{value:.3f}")


def signed(value: float) -> str:
    """A difference, its sign always shown."""
    return _ZERO.sub(r"\1.", f"{value:+.3f}")


def _heading(provenance: ModelProvenance) -> dict[str, Any]:
    encoder = provenance.makes == "encoder"
    found: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity" if encoder else "text-ranking",
        "tags": ["sentence-transformers", "feature-extraction" if encoder else "cross-encoder", "retrieval-bench"],
    }
    base = provenance.base.reference if provenance.base else ""
    if provenance.base is not None and "commit" in provenance.base.identity and _HUB_ID.fullmatch(base):
        found["base_model"] = base
    if provenance.data.name and _HUB_ID.fullmatch(provenance.data.name):
        found["datasets"] = [provenance.data.name]
    return found


def _opening(provenance: ModelProvenance) -> str:
    kind = "An encoder: it turns texts into vectors." if provenance.makes == "encoder" else (
        "A reranker: it scores how well a document answers a query."
    )  # fmt: skip
    if provenance.recipe == IMPORTED:
        return f"{kind} It was trained elsewhere and imported on {code(provenance.created_at)}."
    base = f" from {code(provenance.base.reference)}" if provenance.base else ""
    where = f" by the experiment {code(provenance.experiment)}" if provenance.experiment else ""
    when = code(provenance.created_at)
    return f"{kind} It was trained{base} with the recipe {code(provenance.recipe)}{where} on {when}."


def _measures(provenance: ModelProvenance) -> str:
    rows = [
        (code(held.measure), _code_or_dash(held.split), _count(held.count), figure(held.before), figure(held.after),
         _change(held.before, held.after))
        for held in provenance.held_out
    ]  # fmt: skip
    table = _table(("measure", "split", "of", "before", "after", "change"), rows)
    if provenance.dev_measure is None and provenance.recipe != IMPORTED:
        return f"Nothing decided, because no judged queries did: the weights are those of the last step.\n\n{table}"
    if provenance.dev_measure is None or provenance.dev_after is None:
        return table
    decided = (
        f"The weights were chosen on the dev split by {code(provenance.dev_measure)} over a fixed pool of candidates: "
        f"{figure(provenance.dev_before)} before, {figure(provenance.dev_after)} after. No query of dev or test was "
        "learnt from, and the test split decided nothing.\n"
    )
    return f"{decided}\n{table}" if table else decided


def _data(provenance: ModelProvenance) -> str:
    data = provenance.data
    splits = [(name, getattr(data, name)) for name in ("train", "dev", "test")]
    rows = [
        (name, _code_or_dash(split.split), _count(split.queries), _count(split.documents), code(split.fingerprint))
        for name, split in splits
        if split is not None
    ]
    lines = [f"Collection: {code(data.name)}."] if data.name else []
    if data.rows is not None:
        lines.append(f"The model learnt from {counted(data.rows, _ROWS.get(data.learns_from or '', 'row'))}.")
    if data.leaks is not None:
        lines.append(f"{counted(data.leaks, 'pair')} with a query of dev or test were left out.")
    if data.near_copies:
        lines.append(f"Training queries that share long runs of words with such a query: {data.near_copies:,}.")
    if (negatives := provenance.negatives) is not None:
        told = json.dumps(negatives.options, ensure_ascii=False)
        who = "mined" if negatives.generator is None else f"written by {code(negatives.generator)}"
        lines.append(f"Hard negatives were {who}: {code(told)}.")
        if negatives.prompt is not None:
            lines.append(f"It was asked: {code(negatives.prompt)}.")
        if negatives.relevant_to_test is not None:
            lines.append(f"Of these, {negatives.relevant_to_test:,} are relevant to some evaluation query.")
    prose = " ".join(lines)
    notes = "\n".join(f"- {code(note)}" for note in (*data.notes, *provenance.notes))
    table = _table(("part", "split", "queries", "documents", "fingerprint"), rows)
    return "\n\n".join(part for part in (prose, table.rstrip(), notes) if part) + "\n"


def _training(provenance: ModelProvenance) -> str:
    base = provenance.base.identity if provenance.base else {}
    facts: list[tuple[str, Any]] = [
        ("seed", provenance.seed),
        ("steps", provenance.steps),
        ("weights of step", provenance.kept_step),
        ("epochs", provenance.epochs),
        ("tokens of one pass", provenance.tokens),
        ("parameters", provenance.parameters),
        ("trainable parameters", provenance.trainable_parameters),
        ("seconds", None if provenance.seconds is None else round(provenance.seconds, 1)),
        ("went on from the checkpoint of step", provenance.resumed_from),
        ("device", provenance.device),
        ("precision", provenance.precision),
        *((f"base's {name}", value) for name, value in base.items()),
        ("fingerprint of the rows", provenance.data.fingerprint),
        ("key", provenance.key),
        *provenance.versions.items(),
    ]
    return _table(("what", "value"), [(code(name), code(_plain(value))) for name, value in facts if value is not None])


def _options(provenance: ModelProvenance) -> list[tuple[str, str]]:
    return [(code(name), code(_plain(value))) for name, value in options_as_columns(provenance.options).items()]


def _usage(provenance: ModelProvenance) -> str:
    kind, call = (
        ("SentenceTransformer", 'encode_query(["how to sort an array"])')
        if provenance.makes == "encoder"
        else ("CrossEncoder", 'predict([("how to sort an array", "sort(a) returns a sorted copy")])')
    )
    lines = (f"from sentence_transformers import {kind}", "", f'model = {kind}("FOLDER")', f"model.{call}")
    return "\n".join(["```python", *lines, "```", ""])


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body.strip() else ""


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}", *lines]) + "\n"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _count(value: int | None) -> str:
    return _NOT_KNOWN if value is None else f"{value:,}"


def _code_or_dash(value: str | None) -> str:
    return _NOT_KNOWN if value is None else code(value)


def _change(before: float | None, after: float | None) -> str:
    return _NOT_KNOWN if before is None or after is None else signed(after - before)
