"""The command `bench try`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to_keys, refuse, refusing
from bench.commands.command_line import CacheOption, JsonOption, TrustOption, given_path, result_folder, terminal_width
from bench.commands.retriever import read, telling_refusals
from bench.messages.terminal import say, show, show_json

if TYPE_CHECKING:
    from adapters.base import Contact
    from bench.results.model import Result
    from bench.retriever.asking import Asked, Judged

ResultOption = Annotated[
    Path, typer.Argument(metavar="RESULT", parser=given_path, help="A result folder, or one of results: the newest.")
]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.")]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system", metavar="NAME", help="Ask this one; may be repeated [default: the proposed one and the baseline]."
    ),
]


def try_(
    result: ResultOption,
    question: Question,
    system: Systems = None,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="How many documents of each.")] = 5,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    trust: TrustOption = False,
) -> None:
    """Ask measured systems a question, and show what each finds, with scores and the time of its stages."""
    from bench.report.synthetic import sentence
    from bench.retriever.asking import judged, usual_systems

    if not question.strip():
        refuse(["QUESTION: it is empty."])
    with refusing(), telling_refusals():
        folder = result_folder(result)
        found, place = read(folder, cache)
        names = list(dict.fromkeys(system or usual_systems(found, folder)))
        known = judged(folder, question)
        asked, faults = _asked(_Asking(found, folder, place, question, known, k, trust), names)
    if as_json:
        _print_json(question, known, asked, faults)
    else:
        _print(known, asked)
        if (told := sentence(found)) is not None:
            say(f"The choice of systems: {told[:1].lower()}{told[1:]}", dim=True)
        for fault in faults.values():
            say(fault)
    if faults:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Asking:
    """A question to a result. place: of the cache."""

    result: Result
    folder: Path
    place: Path
    question: str
    known: Judged | None
    k: int
    trust: bool


def _asked(about: _Asking, names: Sequence[str]) -> tuple[list[Asked], dict[str, str]]:
    """What the systems found, and why others could not be asked, by system."""
    from bench.retriever.asking import left_out, made_ready
    from bench.retriever.refusal import RetrieverRefused

    asked: list[Asked] = []
    faults: dict[str, str] = {}

    def agree(contacts: Mapping[str, Sequence[Contact]]) -> None:
        agree_to_keys(contacts, about.trust, "the result")

    with TemporaryDirectory(prefix="bench-try-") as files:
        for name in names:
            try:
                ready = made_ready(
                    about.result, about.folder, name, cache=about.place, place=Path(files), agree=agree,
                    emit=lambda event: None,
                )  # fmt: skip
                with closing(ready):
                    exclude = left_out(about.result, about.folder, name, about.known)
                    ask = partial(ready.ask, about.question, about.k, known=about.known, exclude=exclude)
                    first = ask()
                    # Once more, now that index and models are open, where nobody bills for it.
                    asked.append(first if ready.keys else ask())
            except RetrieverRefused as error:
                faults[name] = str(error)
    return asked, faults


def _print(known: Judged | None, asked: Sequence[Asked]) -> None:
    from bench.report.lines import one_line
    from bench.retriever.asking import mark_of, times_of

    if known is None:
        say("Nobody judged this question, so no document is known to be relevant.", dim=True)
    width = terminal_width()
    for each in asked:
        show(f"{each.system}  {times_of(each)}\n")
        for document in each.documents:
            start = (
                f"  {document.place:>3} {mark_of(document.grade)} {document.score:.4f}  {one_line(document.id, 30)}  "
            )
            show(f"{start}{one_line(document.text, max(20, width - len(start)))}\n")
        show("\n" if each.documents else "  found nothing\n\n")


def _print_json(question: str, known: Judged | None, asked: Sequence[Asked], faults: Mapping[str, str]) -> None:
    systems = [
        {
            "system": each.system,
            "seconds": each.seconds,
            "opened": each.opened,
            "documents": [asdict(document) for document in each.documents],
        }
        for each in asked
    ]
    judged = known.query if known is not None else None
    show_json({"question": question, "query_id": judged, "systems": systems, "faults": dict(faults)})
