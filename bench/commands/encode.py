"""The command `bench encode`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to_keys, refuse, refusing, resumable, telling_failures
from bench.commands.command_line import (
    CacheOption,
    DryRunOption,
    Overrides,
    TrustOption,
    cache_folder,
    config_path,
    given_path,
)
from bench.messages.terminal import say, show

if TYPE_CHECKING:
    from adapters.base import Role
    from bench.experiment.parts import Experiment
    from bench.train.encoding import Named
    from bench.train.texts import Text

FORMATS = ("jsonl", "npy", "parquet")
ROLES = ("query", "document")


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="An encoder of the file that --config names; else the name or key of a trained model, a folder, "
        "package:…, or an id on the model hub.",
    ),
]
Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT…", help="Texts to encode.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        parser=given_path,
        help="Texts: a line each, or rows of JSON Lines, CSV, TSV, Parquet.",
    ),
]
CorpusOption = Annotated[
    Path | None,
    typer.Option(
        "--corpus", metavar="FILE", parser=given_path, help="Documents: the nearest to each text are shown, no vectors."
    ),
]
TopOption = Annotated[int | None, typer.Option("--top", min=1, help="With --corpus: how many [default: 5].")]
RoleOption = Annotated[
    str | None, typer.Option("--role", help="Whether the texts are `query` or `document` [default: document].")
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="jsonl, npy or parquet [default: that of FILE's name, else jsonl].")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", parser=given_path, help="Where to write.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", parser=given_path, help="Experiment file that names MODEL.")
]


def encode(
    model: Model,
    texts: Texts = None,
    file: FileOption = None,
    corpus: CorpusOption = None,
    top: TopOption = None,
    role: RoleOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
    set_: Overrides = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    trust: TrustOption = False,
) -> None:
    """Turn texts into vectors, or find the documents nearest to them."""
    chosen = _format(form, output, corpus)
    _refuse_idle(role, top, corpus, set_, config)
    from bench.cache.artifacts import check_writable

    if output is not None:
        check_writable(output)  # before anything is paid for
    with refusing(), resumable() if config is not None else nullcontext(), telling_failures("encode"):
        asked = _texts(texts or [], file)
        lots = _lots(asked, corpus, role)
        named = _named(model, config, set_ or [], cache, trust, asking=not dry_run)
        if named.note:
            say(named.note)
        data = _computed(named, lots, top or 5, chosen, dry_run=dry_run)
    _deliver(data, None if dry_run else output)


def _lots(asked: Sequence[Text], corpus: Path | None, role: str | None) -> list[tuple[Role, Sequence[Text]]]:
    """What is encoded, by role: with a corpus its documents, and the texts as queries."""
    from bench.train.texts import read_texts

    if corpus is not None:
        return [("document", read_texts(corpus)), ("query", asked)]
    return [("query" if role == "query" else "document", asked)]


def _computed(
    named: Named,
    lots: Sequence[tuple[Role, Sequence[Text]]],
    top: int,
    form: str | None,
    *,
    dry_run: bool,
) -> bytes | str:
    from bench.progress import Progress
    from bench.run.encoding import check_bill, encoding, plan_encoding
    from bench.train.encoding import nearest_as, vectors_as

    with Progress() as progress, encoding(named, progress):
        if dry_run:
            return plan_encoding(named, lots, progress)
        check_bill(named, lots, progress)
        if len(lots) == 1:
            [(role, texts)] = lots
            return vectors_as(form or "jsonl", texts, named.encoded(texts, role, progress))  # type: ignore[arg-type]
        (_, documents), (_, asked) = lots
        found = named.nearest(asked, documents, top, progress)
    return found.shown() if form is None else nearest_as(form, found)  # type: ignore[arg-type]


def _format(form: str | None, output: Path | None, corpus: Path | None) -> str | None:
    """What to write; None for a list that people read."""
    ending = output.suffix.removeprefix(".") if output is not None else None
    chosen = form or (ending if ending in FORMATS else None)
    if chosen is not None and chosen not in FORMATS:
        refuse([f"--format {chosen}: known are {', '.join(FORMATS)}."])
    if form is not None and ending in FORMATS and ending != form:
        refuse([f"--format {form} and a file that ends in .{ending} contradict each other."])
    if chosen == "npy" and corpus is not None:
        refuse(["--format npy holds vectors, and with --corpus there are none to write. Take jsonl or parquet."])
    if chosen in ("npy", "parquet") and output is None:
        refuse([f"--format {chosen} is no text for a terminal. Name a file: --output FILE.{chosen}"])
    return chosen


def _refuse_idle(
    role: str | None, top: int | None, corpus: Path | None, set_: Sequence[str] | None, config: Path | None
) -> None:
    if role is not None and role not in ROLES:
        refuse([f"--role {role}: known are {', '.join(ROLES)}."])
    if role is not None and corpus is not None:
        refuse(["--role has no effect with --corpus: the texts are queries, the corpus holds documents."])
    if top is not None and corpus is None:
        refuse(["--top has no effect without --corpus."])
    if set_ and config is None:
        refuse(["--set has no effect without --config."])


def _texts(given: Sequence[str], file: Path | None) -> list[Text]:
    from bench.train.texts import Text, read_texts

    if bool(given) == (file is not None):
        refuse(["Give texts, or a file of them: --file FILE"])
    if file is not None:
        return read_texts(file)
    if not all(text.strip() for text in given):
        refuse(["A text is empty."])
    return [Text(str(number), text) for number, text in enumerate(given, start=1)]


def _named(
    model: str, config: Path | None, changes: Sequence[str], cache: Path | None, trust: bool, *, asking: bool
) -> Named:
    """The encoder, checked. asking: whether it may ask others."""
    from bench.cache.artifacts import Cache
    from bench.experiment.reader import load_experiment
    from bench.run.encoding import keeping_of
    from bench.train.choosing import NoSuchModel
    from bench.train.encoding import named_encoder
    from bench.train.kept import KeptModels

    experiment: Experiment | None = None
    setting, base = None, Path()
    if config is not None:
        experiment = load_experiment(config_path(config), changes)
        setting, base = experiment.settings.cache, experiment.base
    place = cache_folder(cache, setting, base)
    keeping = None if experiment is None else keeping_of(experiment, place)
    try:
        named = named_encoder(model, KeptModels(Cache(place)), keeping)
    except NoSuchModel as error:
        refuse([str(error)])
    if asking:
        agree_to_keys({f"encoders.{model}": named.encoder.contacts()}, trust)
    (named.encoder.check if asking else named.encoder.check_alone)()
    return named


def _deliver(data: bytes | str, output: Path | None) -> None:
    from bench.cache.artifacts import write_atomically

    if output is None:
        show(data if isinstance(data, str) else data.decode("utf-8"))
        return
    write_atomically(output, data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace"))
    show(f"{output}\n")
