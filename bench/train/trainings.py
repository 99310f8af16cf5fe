"""One CSV over all trainings of a cache: what was asked for, and what came out."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.cache.artifacts import write_atomically
from bench.cache.own_files import NOT_ITSELF, read_own
from bench.messages.wording import writable
from bench.train.provenance import ModelProvenance, options_as_columns

TRAININGS = "trainings.csv"
# Their order never changes; a new one is added at the end. Options, negatives and measures follow as they come up.
COLUMNS = (
    *("created_at", "name", "seed_number", "seed", "recipe", "makes", "key", "experiment", "base", "data"),
    *("data_fingerprint", "rows", "leaks", "device", "precision", "seconds", "steps", "kept_step", "epochs", "tokens"),
    *("parameters", "trainable_parameters", "resumed_from", "dev_measure", "dev_before", "dev_after"),
)
_ONE_TRAINING = ("key", "created_at")


def record_trainings(folder: Path, kept: Iterable[ModelProvenance]) -> None:
    """Add a row for each training that has none yet. A file that is no such table is put aside under another name."""
    path = folder / TRAININGS
    rows = _read(path)
    if rows is None:
        path.rename(folder / f"trainings.damaged-{secrets.token_hex(4)}.csv")
        rows = []
    told = {_training(row) for row in rows}
    further = [row for provenance in kept if _training(row := _row(provenance)) not in told]
    if further or not path.exists():
        write_atomically(path, _csv([*rows, *further]).encode("utf-8"))


def trainings_csv(folder: Path, kept: Iterable[ModelProvenance]) -> str:
    """The table as text: what the file says, and the rows of kept models that it lacks."""
    rows = _read(folder / TRAININGS) or []
    told = {_training(row) for row in rows}
    return _csv([*rows, *(row for provenance in kept if _training(row := _row(provenance)) not in told)])


def _row(provenance: ModelProvenance) -> dict[str, str]:
    values: dict[str, Any] = {name: getattr(provenance, name, None) for name in COLUMNS}
    data = provenance.data
    values |= {"data": data.name, "data_fingerprint": data.fingerprint, "rows": data.rows, "leaks": data.leaks}
    values["base"] = provenance.base.reference if provenance.base else None
    values |= {f"option.{name}": value for name, value in options_as_columns(provenance.options).items()}
    if provenance.negatives is not None:
        mined = options_as_columns(provenance.negatives.options)
        values |= {f"negatives.{name}": value for name, value in mined.items()}
    for held in provenance.held_out:
        where = f"{held.split}." if held.split else ""
        values |= {f"{where}{held.measure}.before": held.before, f"{where}{held.measure}.after": held.after}
    return {name: _cell(value) for name, value in values.items()}


def _cell(value: Any) -> str:
    """A value that was not measured or does not apply leaves its cell empty."""
    if value is None:
        return ""
    return writable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _training(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(name, "") for name in _ONE_TRAINING)


def _read(path: Path) -> list[dict[str, str]] | None:
    """The rows; none of an absent file, None where it is no such table."""
    try:
        text = read_own(path).decode("utf-8")
        reader = csv.DictReader(io.StringIO(text), strict=True)
        rows = list(reader)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno not in NOT_ITSELF:
            raise
        return None
    except (ValueError, csv.Error):
        return None
    whole = {*_ONE_TRAINING} <= {*(reader.fieldnames or ())} and all(None not in {*row, *row.values()} for row in rows)
    return rows if whole else None


def _csv(rows: Sequence[dict[str, str]]) -> str:
    names = list(dict.fromkeys([*(name for row in rows for name in row), *COLUMNS]))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
