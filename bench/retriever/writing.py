"""Writes the retriever of a system of a result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapters.base import CodePiece, InvalidOptions
from bench.cache.artifacts import Cache, check_writable, write_atomically
from bench.cache.mark import cache_in_use
from bench.cache.users import recorded
from bench.cache.uses import note_paths
from bench.experiment.parts import Experiment, Part, System, models_named
from bench.experiment.reader import experiment_of
from bench.money.budget import Budget
from bench.money.cost import NO_PRICES
from bench.quality.collection import load_data
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.report.answer import answer, figures_of
from bench.results.model import RESULT_FILE, Result, SystemResult, TrainedModel
from bench.results.rankings import shown_build
from bench.retriever.file_text import Table, Told, file_text
from bench.retriever.forms import FORMS, FormName
from bench.retriever.keeping import (
    DOCUMENTS,
    DataFolder,
    check_data,
    empty_folder,
    in_cache,
    kept_folder,
    requirements_of,
    write_documents,
)
from bench.retriever.measured import check_finished, chosen_system, paragraphs
from bench.retriever.package import Contents, check_package, write_package
from bench.retriever.parts import (
    Collecting,
    SearchPart,
    StagePart,
    builds_in,
    pieces_in,
    searches_in,
    with_nested,
)
from bench.retriever.refusal import RetrieverRefused
from bench.synthetic.writing import with_kept
from bench.train.kept import KeptModels

_LONGEST_CLASS = 60
_NAMES_OF_THE_FILE = ("BaseRetriever", "MeasuredRetriever", "PlainRetriever")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be written. folder: of the result. data: a folder for copies of what it opens; None where it opens the
    cache's. class_name: None for one made of the system's name. force: whether what is there is replaced. form: of
    the file."""

    folder: Path
    system: str
    output: Path
    cache: Path
    data: Path | None = None
    class_name: str | None = None
    force: bool = False
    form: FormName = "retriever"


@dataclass(frozen=True, slots=True)
class Written:
    """part: the pieces that it was made of. opens: the folders that the file opens."""

    path: Path
    class_name: str
    system: str
    part: StagePart
    opens: tuple[Path, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The environment variables that it reads keys from."""
        return tuple(dict.fromkeys(key for piece in pieces_in(self.part) for key in piece.keys))


def proposed_system(result: Result, folder: Path) -> tuple[str, str]:
    """The system that a result proposes, and why, as a phrase. Raises RetrieverRefused where it proposes none."""
    found = answer(result, figures_of(folder, result))
    if found.proposed is None or found.grounds is None:
        raise RetrieverRefused(f"{folder}: proposes no system. Name one: --system NAME")
    reasons = {
        "target": "it is the fastest that reaches the highest target",
        "better": f"it has the highest {found.primary} of those that are shown to be better than the baseline",
        "baseline": "it is the baseline, and no other is shown to be better",
        "highest": f"it has the highest {found.primary}",
    }
    return found.proposed, reasons[found.grounds]


def write_retriever(result: Result, wish: Wish, emit: Emit) -> Written:
    """Write the retriever of a system. Raises RetrieverRefused, ConfigFaults where the experiment cannot be read here,
    and CacheBusy."""
    check_finished(result, wish.folder)
    system = chosen_system(result, wish.folder, wish.system)
    if wish.output.exists() and not wish.force:
        raise RetrieverRefused(f"{wish.output} is there already. Replace it: --force")
    if wish.data is not None:
        check_data(wish.data, force=wish.force)
    check_writable(wish.output)
    class_name = wish.class_name or class_name_of(system.name)
    with opened(result, wish.folder, wish.cache, emit) as measured:
        part, table, folder = measured.collected(system)
        copied = None if wish.data is None else DataFolder.begun(wish.data, wish.output)
        try:
            place = in_cache if copied is None else copied.place
            told = _told(result, wish, system, part, _where(copied))
            text = file_text(
                part,
                told,
                Table(place(folder / DOCUMENTS), table.rows, table.fingerprint),
                class_name=class_name,
                k=int(system.pipeline.k or 10),
                place=place,
            )
            if copied is not None:
                copied.finish()
        finally:
            if copied is not None:
                copied.drop()
        paths = [folder, *(path for piece in pieces_in(part) for path in piece.files.values())]
        opens = tuple(dict.fromkeys(paths)) if wish.data is None else (wish.data,)
        with recorded(wish.cache, wish.output.resolve(), system.name):
            note_paths(wish.cache, opens)
    _check_file_name(wish.output, text)
    write_atomically(wish.output, text.encode("utf-8"))
    return Written(wish.output, class_name, system.name, part, opens)


def _check_file_name(output: Path, text: str) -> None:
    """Raise RetrieverRefused for a file that would be imported instead of a package that it imports itself."""
    if output.stem in re.findall(r"^ *(?:import|from) (\w+)", text, re.MULTILINE):
        raise RetrieverRefused(
            f"{output.name} imports the package {output.stem}, and would hide it. Take another name: -o FILE"
        )


def package_retriever(result: Result, wish: Wish, emit: Emit) -> Written:
    """Write the package of a system into the folder `output`. Raises as `write_retriever` does, also for a store that
    exports no code that builds its index."""
    check_finished(result, wish.folder)
    system = chosen_system(result, wish.folder, wish.system)
    check_package(wish.output, force=wish.force)
    class_name = wish.class_name or class_name_of(system.name)
    with opened(result, wish.folder, wish.cache, emit) as measured:
        part, table, folder = measured.collected(system, building=True)
        told = _told(result, wish, system, part, ["Index, documents and models lie in the folder `data` beside it."])
        filters = measured.system(system).filter
        contents = Contents(
            result=result,
            folder=wish.folder,
            system=system,
            part=part,
            told=told,
            class_name=class_name,
            k=int(system.pipeline.k or 10),
            documents=folder / DOCUMENTS,
            rows=table.rows,
            fingerprint=table.fingerprint,
            fields=() if filters is None else filters.fields,
            keys=tuple(dict.fromkeys(key for piece in _all_pieces(part) for key in piece.keys)),
        )
        write_package(contents, wish.output)
    return Written(wish.output, class_name, system.name, part, (wish.output,))


def _all_pieces(part: StagePart) -> list[CodePiece]:
    """The pieces of a tree, with those that build such parts."""
    return [*pieces_in(part), *(each for build in builds_in(part) for each in with_nested(build))]


def class_name_of(system: str) -> str:
    """A class's name for a system: its words, each with a capital letter."""
    words = re.findall(r"[A-Za-z0-9]+", system)
    name = "".join(word[0].upper() + word[1:] for word in words)[:_LONGEST_CLASS]
    found = f"{name if name[:1].isalpha() else f'System{name}'}Retriever"
    return f"My{found}" if found in _NAMES_OF_THE_FILE else found


@dataclass(frozen=True, slots=True)
class Counted:
    """Of the corpus: how many documents, and the fingerprint of ids, texts and metadata."""

    rows: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A result's experiment over its data, as it was measured."""

    result: Result
    folder: Path
    experiment: Experiment
    pipeline: Pipeline

    def system(self, entry: SystemResult) -> System:
        """The build of a system that a user would take."""
        found = next(each for each in self.experiment.systems if each.name == entry.name)
        return self.experiment.at(found, shown_build(entry))

    def collected(self, entry: SystemResult, *, building: bool = False) -> tuple[StagePart, Counted, Path]:
        """The pieces of a system, the size of its table of documents, and the folder of the cache that holds it.
        building: whether what builds such parts is collected too."""
        materials = self.pipeline.materials
        fingerprint = materials.corpus_fingerprint(texts=True)
        folder = kept_folder(self.pipeline.cache, fingerprint)
        documents = folder / DOCUMENTS
        if not documents.is_file():
            write_documents(documents, self.pipeline.dataset, fingerprint)
        again = f"bench run {self.experiment_file()}"
        collecting = Collecting(self.pipeline, documents, partial(empty_folder, folder), again, self.built_at, building)
        part = collecting.collect(self.system(entry))
        return part, Counted(self.pipeline.dataset.documents, fingerprint), folder

    @property
    def built_at(self) -> dict[str, str]:
        """When the index of each system was built."""
        return {each.name: each.index.built_at for each in self.result.systems if each.index is not None}

    def experiment_file(self) -> str:
        """What to write for the experiment's file, whose name the result does not hold."""
        return f"FILE   (the experiment {self.experiment.name} in {self.experiment.base})"


def experiment_in(result: Result, folder: Path) -> Experiment:
    """The experiment of a result. Raises ConfigFaults where it cannot be read here."""
    base = Path(result.provenance.base or folder)
    return experiment_of(result.experiment, base, str(folder / RESULT_FILE))


@contextmanager
def opened(result: Result, folder: Path, cache: Path, emit: Emit) -> Iterator[Measured]:
    """A result's experiment over its data. Nothing is asked for that the cache does not hold; the cache is this
    process's meanwhile. Raises RetrieverRefused where cache or data are not those of the result."""
    if not cache.is_dir():
        raise RetrieverRefused(
            f"There is no cache {cache}, where the indexes of the result lie. Name the one that it was run with: "
            "--cache DIR"
        )
    experiment = experiment_in(result, folder)
    with cache_in_use(cache):
        try:
            experiment = with_kept(experiment, cache, emit)
        except InvalidOptions as error:
            raise RetrieverRefused(f"{folder}: {error}") from error
        dataset = load_data(experiment, cache)
        if dataset.fingerprint != result.dataset.fingerprint:
            raise RetrieverRefused(
                f"{folder}: the data have changed since ({dataset.fingerprint[:8]}…, measured were "
                f"{result.dataset.fingerprint[:8]}…). Bring them back, or run the experiment again."
            )
        kept = Cache(cache)
        models = _MeasuredModels(result.models, kept)
        pipeline = Pipeline(experiment, dataset, kept, emit, Budget(NO_PRICES, None), models)
        try:
            yield Measured(result, folder, experiment, pipeline)
        finally:
            pipeline.close()


@dataclass(slots=True)
class _MeasuredModels:
    """The trained models of a result, as far as the cache still holds them."""

    trained: list[TrainedModel]
    cache: Cache
    folders: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = KeptModels(self.cache)
        for model in self.trained:
            for number, seed in enumerate(model.seeds, start=1):
                if (found := kept.find(seed.key)) is not None:
                    self.folders[f"trained:{model.name}#{number}"] = found.folder

    def need(self, part: Part) -> None:
        """Raise RetrieverRefused for a model that is gone."""
        for name in models_named(part.options):
            if not any(each.startswith(f"trained:{name}#") for each in self.folders):
                raise RetrieverRefused(
                    f"The model {name} that was trained is not in the cache {self.cache.folder}. Run the experiment "
                    "again, or name the cache that holds it: --cache DIR"
                )

    def chosen(self, system: System) -> int:
        """The result says it itself."""
        return system.build

    def begin(self) -> None:
        """Nothing stands in."""

    def results(self) -> list[TrainedModel]:
        """As the result has them."""
        return self.trained

    def described(self, name: str) -> dict[str, Any]:
        """Of no use here: the result describes them."""
        raise KeyError(name)

    def close(self) -> None:
        """Nothing is there."""


def _where(copied: DataFolder | None) -> list[str]:
    """Sentences on where texts and indexes come from."""
    if copied is not None:
        return ["Index, documents and models were copied, and are looked for beside this file."]
    return [
        "Index, documents and models are opened where the measurement left them; `bench clean` deletes",
        "what lies in its cache. For a retriever that can move, write it with --data DIR.",
    ]


def _told(result: Result, wish: Wish, system: SystemResult, part: StagePart, where: list[str]) -> Told:
    pieces = _all_pieces(part)
    if keys := dict.fromkeys(key for piece in pieces for key in piece.keys):
        where.append(f"Keys are read from the environment: {', '.join(keys)}.")
    packages = result.provenance.packages
    return Told(
        result=str(wish.folder.resolve()),
        system=system.name,
        title=f"Retriever of the system {system.name}, measured on {result.dataset.name}.",
        paragraphs=paragraphs(result, wish.folder, system, where),
        form=wish.form,
        searched=(
            f"Searches {result.dataset.documents:,} documents ({result.dataset.name}) and returns the passages that "
            "answer a question best, with their ids."
        ),
        providers=_providers(system, part, result),
        requires={name: _version(name, packages) for name in requirements_of(pieces, FORMS[wish.form])},
        python=">=3.11",
        exact=all(piece.exact for piece in pieces) and not any(each.rebuilt for each in searches_in(part)),
    )


def _providers(system: SystemResult, part: StagePart, result: Result) -> dict[str, str | None]:
    """What LangSmith shows: the stores, and the first encoder with its model."""
    searches = list(searches_in(part))
    by_name = {entry.name: entry for entry in result.systems}
    found = [by_name[each.name].pipeline.encoder for each in searches if _encodes(each) and each.name in by_name]
    encoder: Mapping[str, Any] = next((each.query for each in found if each is not None and each.query), {})
    return {
        "vector_store_provider": "+".join(dict.fromkeys(each.store for each in searches)),
        "embedding_provider": encoder.get("adapter"),
        "embedding_model": str(encoder["model"]) if encoder.get("model") is not None else None,
    }


def _encodes(search: SearchPart) -> bool:
    return search.encoder is not None


def _version(name: str, measured: Mapping[str, str]) -> str:
    """The version of a distribution that was measured, else the one that is installed."""
    plain = {key.lower().replace("_", "-"): value for key, value in measured.items()}
    if (found := plain.get(name.lower().replace("_", "-"))) is not None:
        return found
    try:
        return version(name)
    except PackageNotFoundError:
        raise RetrieverRefused(f"The package {name}, which the retriever needs, is not installed.") from None
