"""Takes a model that was trained elsewhere into the cache, and says how far its training data is known to be clean."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from adapters import registry
from adapters.base import AdapterError, Context, InvalidOptions
from bench.cache.digests import content_key, text_digests
from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.messages.wording import counted
from bench.quality.collection import load_data
from bench.train.collection import load_splits
from bench.train.kept import CARD, PROVENANCE, QUERIES, KeptModel, KeptModels, file_digests, read_query_digests
from bench.train.near_copies import near_copies
from bench.train.provenance import IMPORTED, ModelProvenance, read_provenance
from bench.train.texts import every_text

_NAME = re.compile(r"[a-z0-9_-]+")
_FORMER_CARD = "README.before-import.md"
_SHOWN = 3  # queries that a sentence spells out
_LEFT_OUT = ("checkpoint-*", ".*")  # what trainers and systems leave beside a model


@dataclass(frozen=True, slots=True)
class Imported:
    """told: sentences on what was found out of its training data, and what could not be."""

    model: KeptModel
    told: tuple[str, ...]


class _Known(NamedTuple):
    """What is known of the texts that a model learnt from. texts: None where only their digests are."""

    digests: frozenset[str]
    texts: tuple[str, ...] | None


def import_model(
    models: KeptModels, folder: Path, *, name: str | None, evaluation: Sequence[Dataset], data: Path | None
) -> Imported:
    """Copy a model's folder into the cache. A folder that this program wrote keeps its key and its provenance, so that
    the experiment that would train the model finds it.

    name: None for that of its provenance, else of its folder. evaluation: collections whose queries it should not have
    learnt from. data: a file of the texts that it learnt from, None where they are not at hand.
    Raises InvalidOptions for a folder that holds no model, a model that is kept already and a name that cannot be one,
    what the model's adapter raises, DatasetInvalid for the data, and OSError.
    """
    _check_folder(folder)
    makes = _kind(folder)
    about, told = _provenance(folder, name, makes)
    if (kept := models.find(about.key)) is not None:
        raise InvalidOptions(f"{folder}: this model is kept already, as {kept.provenance.reference} ({kept.key}).")
    texts = None if data is None else tuple(dict.fromkeys(plain_query(text) for text in every_text(data)))
    known = _known(folder, texts, believed=about.recipe != IMPORTED)
    told += _checked(known, evaluation, about)
    draft = models.draft(about.key)
    try:
        shutil.copytree(folder, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        if about.recipe == IMPORTED:  # nothing of another program's may pass for what this one found out
            (draft / QUERIES).unlink(missing_ok=True)
            if (draft / CARD).exists():
                (draft / CARD).rename(draft / _FORMER_CARD)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    noted = about.model_copy(update={"notes": tuple(dict.fromkeys((*about.notes, *told)))})
    return Imported(models.keep(about.key, draft, noted, queries=texts), told)


def evaluation_of(experiment: Experiment, cache: Path) -> tuple[list[Dataset], list[str]]:
    """The collections whose queries no model of an experiment may have learnt from, and what to tell of them. Raises
    ConfigFaults."""
    test = load_data(experiment, cache)
    try:
        return load_splits(experiment, cache).evaluated(test), []
    except ConfigFaults:
        return [test], ["The data has no dev split; the queries that are evaluated are looked for alone."]


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InvalidOptions(f"{folder}: there is no such folder.")
    links = sorted(path for path in folder.rglob("*") if path.is_symlink())
    if links:
        raise InvalidOptions(f"{links[0]}: is a symbolic link, and none is followed here. Copy it first: cp -rL")


def _kind(folder: Path) -> Literal["encoder", "reranker"]:
    """What the folder holds. Raises what the adapter of encoders raises, where that of rerankers refuses it too."""
    try:
        _check_as("encoders", folder)
    except AdapterError:
        try:
            _check_as("rerankers", folder)
        except AdapterError:
            pass
        else:
            return "reranker"
        raise
    return "encoder"


def _check_as(role: registry.RoleName, folder: Path) -> None:
    kind = registry.load(role, registry.LOCAL[role])
    with closing(kind(kind.Options(model=str(folder)), Context(Path.cwd()))) as model:
        model.check()


def _provenance(
    folder: Path, name: str | None, makes: Literal["encoder", "reranker"]
) -> tuple[ModelProvenance, tuple[str, ...]]:
    """The model's own provenance where its files are those of which it tells, else what can be said of it."""
    path = folder / PROVENANCE
    own = read_provenance(path.read_bytes()) if path.is_file() else None
    files = file_digests(folder)
    told: tuple[str, ...] = (f"{folder} says nothing of its training, or nothing that this program can read.",)
    if own is not None:
        changed = sorted(file for file, digest in own.files.items() if files.get(file) != digest)
        if not changed and own.recipe != IMPORTED:
            return own if name is None else own.model_copy(update={"name": _checked_name(name)}), ()
        told = ("Its provenance is that of a model that was imported before.",)
        if changed:
            told = (f"Its provenance is not believed: {changed[0]} is not the file of which it tells.",)
    called = _checked_name(name or (own.name if own is not None else folder.name.lower()))
    key = content_key([IMPORTED, {file: digest.model_dump() for file, digest in files.items()}])
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ModelProvenance(key=key, name=called, makes=makes, recipe=IMPORTED, created_at=now), told


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidOptions(f"{name!r} is no name of a model: small letters, digits, _ and -. Give one: --name NAME")
    return name


def _known(folder: Path, texts: tuple[str, ...] | None, *, believed: bool) -> _Known | None:
    """What is known of the texts that the model learnt from, its own digests only where its provenance is believed."""
    own = read_query_digests(folder) if believed else None
    if texts is None:
        return None if own is None else _Known(own, None)
    return _Known(frozenset(_hex(texts)) | (own or frozenset()), texts)


def _checked(known: _Known | None, evaluation: Sequence[Dataset], about: ModelProvenance) -> tuple[str, ...]:
    return tuple(_sentences(known, evaluation, about))


def _sentences(known: _Known | None, evaluation: Sequence[Dataset], about: ModelProvenance) -> Iterator[str]:
    if not evaluation:
        yield "No experiment was named, so its training texts were compared with no evaluation queries."
        return
    if about.data.test is not None:
        same = about.data.test.fingerprint in {dataset.fingerprint for dataset in evaluation}
        yield (
            "It was measured on this very test split."
            if same
            else "It was measured on other data than this test split."
        )
    if known is None:
        yield "Nothing is known of the texts that it learnt from, so whether it has seen these queries cannot be told."
        return
    queries = list(dict.fromkeys(plain_query(text) for dataset in evaluation for text in dataset.query_texts))
    seen = [query for query, digest in zip(queries, _hex(queries), strict=True) if digest in known.digests]
    among = f"of {counted(len(queries), 'evaluation query')} {'stands' if len(seen) == 1 else 'stand'} among the"
    shown = f": {'; '.join(repr(query) for query in seen[:_SHOWN])}" if seen else ""
    yield f"{len(seen) or 'None'} {among} {counted(len(known.digests), 'text')} that it learnt from{shown}."
    if known.texts is None:
        yield "Near copies were not looked for, because of its training texts only digests are there."
    else:
        fresh = [text for text in known.texts if text not in set(queries)]
        near = near_copies(fresh, [query for query in queries if query not in set(seen)])
        shown = "".join(f"; {text!r} and {found.text!r}" for text, found in list(near.items())[:_SHOWN])
        yield f"{len(near) or 'None'} of its training texts nearly copy such a query{shown}."
    base = about.base.reference if about.base is not None else "its base"
    yield f"What {base} had learnt from before is not known."


def _hex(texts: Sequence[str]) -> list[str]:
    return [digest.hex() for digest in text_digests(texts).tolist()]
