"""The commands that write a retriever and prove it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import refuse, refusing, resumable
from bench.commands.command_line import (
    CacheOption,
    QuietOption,
    ResultArgument,
    cache_folder,
    given_path,
    result_folder,
)
from bench.messages.terminal import say, show

if TYPE_CHECKING:
    from bench.results.model import Result

SystemOption = Annotated[
    str | None,
    typer.Option("--system", metavar="NAME", help="Which system [default: the one that the result proposes]."),
]


class Form(StrEnum):
    """What a retriever's file offers."""

    retriever = "retriever"
    function = "function"
    tool = "tool"
    mcp = "mcp"


OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", parser=given_path, help="Where to write.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        parser=given_path,
        help="Copy index, models and documents into this folder, to take along with the file.",
    ),
]
ClassOption = Annotated[
    str | None, typer.Option("--class", metavar="NAME", help="Name of the class [default: after the system].")
]
FormOption = Annotated[
    Form,
    typer.Option(
        "--as",
        metavar="FORM",
        help="What to write: a LangChain retriever, a plain function, a tool for a LangChain agent, or an MCP "
        "server with one tool.",
    ),
]
PackageOption = Annotated[
    Path | None,
    typer.Option(
        "--package",
        metavar="DIR",
        parser=given_path,
        help="Write an installable package instead: the retriever with its data, a loader that builds the same of "
        "other documents, a test, and a page.",
    ),
]


def retriever(
    result: ResultArgument = None,
    system: SystemOption = None,
    output: OutputOption = Path("retriever.py"),
    data: DataOption = None,
    class_name: ClassOption = None,
    form: FormOption = Form.retriever,
    package: PackageOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    cache: CacheOption = None,
) -> None:
    """Write a measured system as one Python file with a LangChain retriever, which needs nothing of this program."""
    from bench.progress import Progress
    from bench.retriever.writing import Wish, package_retriever, proposed_system, write_retriever

    if package is not None and (data is not None or form is not Form.retriever):
        refuse(["A package holds a LangChain retriever with its data: leave --data and --as out."])

    with refusing(), telling_refusals():
        folder = result_folder(result)
        found, place = read(folder, cache)
        if system is None:
            system, why = proposed_system(found, folder)
            say(f"The system {system}: {why}. Take another: --system NAME")
        with Progress(enabled=True) as progress:
            wish = Wish(folder, system, package or output, place, data, class_name, force, form.value)
            done = (write_retriever if package is None else package_retriever)(found, wish, progress)
    for path in done.opens if package is None else ():
        say(f"It opens {path}" + ("" if data is not None else f", {_fate(path, place)}; --data DIR copies it."))
    if done.keys:
        say(f"It reads keys from the environment: {', '.join(done.keys)}")
    show(f"{done.path}: class {done.class_name}\n")
    file = done.path if package is None else next(done.path.glob("src/*/retriever.py"))
    show(f"bench verify-retriever {file}\n")


def _fate(path: Path, cache: Path) -> str:
    """What may happen to a file or folder that a retriever opens where it lies."""
    cached = path.resolve().is_relative_to(cache.resolve())
    return "which `bench clean` deletes" if cached else "which must stay there"


def verify_retriever(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", parser=given_path, help="A file that `bench retriever` wrote.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--result", metavar="RESULT", parser=given_path, help="Result folder [default: the file names it]."
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="NAME", help="Which system [default: the file names it].")
    ] = None,
    queries: Annotated[
        int | None, typer.Option("--queries", metavar="N", min=1, help="Ask only so many queries [default: all].")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run it in a new environment made from its header, which is then kept.")
    ] = False,
    cache: CacheOption = None,
    quiet: QuietOption = False,
) -> None:
    """Prove that a retriever's file, without this program, finds what was measured."""
    from bench.progress import Progress
    from bench.retriever.verifying import verify

    with refusing(), resumable(), telling_refusals(), Progress(enabled=not quiet) as progress:
        told = verify(file, folder, system, queries, fresh=fresh, emit=progress, read=lambda place: read(place, cache))
    show(f"{told.text}\n")
    if not told.proof.holds:
        raise typer.Exit(1)


def read(folder: Path, cache: Path | None) -> tuple[Result, Path]:
    """A result, and the cache that it was run with. Raises ResultUnreadable."""
    from bench.results.model import read_result

    result = read_result(folder)
    setting = result.experiment.get("cache")
    base = Path(result.provenance.base or folder)
    return result, cache_folder(cache, setting if isinstance(setting, str) else None, base)


@contextmanager
def telling_refusals() -> Iterator[None]:
    """What stands against a retriever stops a command with exit status 2."""
    from adapters.base import AdapterError
    from bench.results.model import ResultUnreadable
    from bench.retriever.refusal import RetrieverRefused

    try:
        yield
    except (RetrieverRefused, ResultUnreadable, AdapterError) as error:
        refuse([str(error)])
