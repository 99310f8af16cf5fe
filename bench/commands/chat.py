"""The command `bench chat`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.asking import agree_to_keys, refuse
from bench.commands.command_line import CacheOption, ResultArgument, TrustOption, given_path, result_folder
from bench.commands.retriever import SystemOption, read, telling_refusals
from bench.messages.terminal import say, show, show_json

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

    from adapters.base import Generator
    from bench.chat.answering import Answerer
    from bench.chat.conversation import Conversation, Turn
    from bench.chat.spending import Purse
    from bench.results.model import Result
    from bench.results.system import SystemResult

PASSAGES = 5  # that are read for each question


def chat(
    result: ResultArgument = None,
    system: SystemOption = None,
    generator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Generator of the result that answers [default: the only one]."),
    ] = None,
    with_: Annotated[
        str | None, typer.Option("--with", metavar="ADAPTER:MODEL", help="Another model that answers.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION=VALUE", help="An option of the generator, e.g. max_tokens=300."),
    ] = None,
    ask: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One question; left out, a conversation, or a question a line.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Passages that are read for each question.")] = PASSAGES,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="US dollars that may be spent [default: max_cost of the result]."),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(metavar="READ,WRITTEN", help="US dollars per million tokens, of a model without a known price."),
    ] = None,
    retriever: Annotated[
        Path | None, typer.Option(metavar="FILE.py", parser=given_path, help="A retriever of your own that searches.")
    ] = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --ask: print one JSON object.")] = False,
    trust: TrustOption = False,
) -> None:
    """Ask questions, answered from what a measured system finds, with citations."""
    wish = _Wish(result, system, generator, with_, tuple(option or ()), max_cost, price, retriever, cache, trust)
    _refuse_idle(wish, ask, as_json)
    with _ready(wish, k) as (conversation, purse, name):
        if ask is not None:
            _one(conversation, purse, ask, name, as_json=as_json)
        else:
            _several(conversation, purse, name)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asks for."""

    result: Path | None
    system: str | None
    generator: str | None
    spec: str | None
    changes: Sequence[str]
    max_cost: float | None
    price: str | None
    retriever: Path | None
    cache: Path | None
    trust: bool


def _refuse_idle(wish: _Wish, ask: str | None, as_json: bool) -> None:
    if importlib.util.find_spec("langchain_core") is None:
        refuse(['bench chat needs the module langchain_core. Install it: pip install "retrieval-bench[langchain]"'])
    if ask is not None and not ask.strip():
        refuse(["--ask: the question is empty."])
    if as_json and ask is None:
        refuse(["--json goes with one question: --ask TEXT"])
    if wish.generator is not None and wish.spec is not None:
        refuse(["--generator and --with exclude each other: one model answers."])
    if wish.retriever is not None and wish.result is None and (wish.system or wish.generator):
        refuse(["--system and --generator name something of a result. Name its folder too."])


@contextmanager
def _ready(wish: _Wish, k: int) -> Iterator[tuple[Conversation, Purse, str]]:
    """The conversation, what it spends, and the name of the system that searches."""
    from bench.chat.conversation import Conversation
    from bench.chat.model import GeneratorChatModel
    from bench.report.synthetic import sentence

    with telling_refusals():
        folder, result, place = _found(wish)
        answerer = _answerer(wish, folder, result)
    whose = "the command line" if wish.spec else "the result"
    agree_to_keys({answerer.name: answerer.contacts()}, wish.trust, whose)
    with _told_as_refusal(), closing(answerer.made()) as generator:
        name, measured, retriever = _searching(wish, folder, result, place)
        if result is not None and (told := sentence(result)) is not None:
            say(f"The choice of systems: {told[:1].lower()}{told[1:]}", dim=True)
        purse = _purse(wish, result, generator, measured)
        model = GeneratorChatModel(generator=generator)
        yield Conversation(retriever, model, purse, k=k), purse, name


@contextmanager
def _told_as_refusal() -> Iterator[None]:
    """What a generator is refused before anything is asked stops the command with exit status 2."""
    from adapters.base import AdapterError

    try:
        yield
    except AdapterError as error:
        refuse([str(error)])


def _found(wish: _Wish) -> tuple[Path, Result | None, Path]:
    """The result and the cache that it was run with; no result where a retriever and who answers are named."""
    if wish.result is None and wish.retriever is not None and wish.spec is not None:
        return Path(), None, Path()
    folder = result_folder(wish.result)
    return folder, *read(folder, wish.cache)


def _answerer(wish: _Wish, folder: Path, result: Result | None) -> Answerer:
    from bench.chat.answering import NobodyAnswers, chosen

    experiment: Mapping[str, Any] = {} if result is None else result.experiment
    told = None if result is None else result.provenance.base
    base = Path(told) if told and Path(told).is_dir() else folder
    try:
        return chosen(experiment, base, name=wish.generator, spec=wish.spec, changes=wish.changes)
    except NobodyAnswers as error:
        refuse([str(error)])


def _searching(
    wish: _Wish, folder: Path, result: Result | None, cache: Path
) -> tuple[str, SystemResult | None, BaseRetriever]:
    """What searches: its name, the system as the result knows it, and its retriever."""
    from bench.chat.retrieving import Unusable, load_retriever
    from bench.messages.suggestions import suggestion

    system, known = wish.system, {} if result is None else {each.name: each for each in result.systems}
    if system is not None and system not in known:
        refuse([f"--system {system}: is not in the result. {suggestion(system, known)}"])
    try:
        if wish.retriever is not None:
            return system or str(wish.retriever), known.get(system or ""), load_retriever(wish.retriever)
        assert result is not None
        with telling_refusals():
            return _written(result, folder, system, cache)
    except Unusable as error:
        refuse([str(error)])


def _written(
    result: Result, folder: Path, system: str | None, cache: Path
) -> tuple[str, SystemResult | None, BaseRetriever]:
    """The retriever of a measured system, as `bench retriever` writes it."""
    from tempfile import TemporaryDirectory

    from bench.chat.retrieving import load_retriever
    from bench.progress import Progress
    from bench.retriever.writing import Wish, proposed_system, write_retriever

    if system is None:
        system, why = proposed_system(result, folder)
        say(f"Searched by {system}: {why}. Take another: --system NAME", dim=True)
    with TemporaryDirectory(prefix="bench-chat-") as place, Progress(enabled=False) as progress:
        file = Path(place) / "retriever.py"
        done = write_retriever(result, Wish(folder, system, file, cache), progress)
        retriever = load_retriever(done.path)
    return system, next((each for each in result.systems if each.name == system), None), retriever


def _purse(wish: _Wish, result: Result | None, generator: Generator, system: SystemResult | None) -> Purse:
    from bench.chat.paying import CannotPay, purse_of

    experiment: Mapping[str, Any] = {} if result is None else result.experiment
    try:
        return purse_of(experiment, generator, system, max_cost=wish.max_cost, price=wish.price)
    except CannotPay as error:
        refuse(list(error.faults))


# -- turns -----------------------------------------------------------------------------------------------------------


def _one(conversation: Conversation, purse: Purse, question: str, name: str, *, as_json: bool) -> None:
    try:
        turn = _turn(conversation, question, aloud=not as_json)
    except KeyboardInterrupt:
        say("Stopped.")
        say(purse.told())
        raise typer.Exit(130) from None
    except _Spent:
        turn = None
    if turn is None:
        say(purse.told())
        raise typer.Exit(1)
    if as_json:
        show_json(_as_dict(turn, purse, name))
    else:
        show(f"\n{purse.told()}\n")


def _several(conversation: Conversation, purse: Purse, name: str) -> None:
    """Questions until there are no more: of a terminal, or one a line of what is piped in."""
    terminal = sys.stdin is not None and sys.stdin.isatty()
    if terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 – it lets the line be edited
        say(f"Searched by {name}. Ask; Ctrl-C stops an answer, Ctrl-D ends.", dim=True)
    failed = interrupted = stopped = False
    while True:
        try:
            question = _question(terminal)
            if question is None:
                break
            if not question.strip():
                continue
            interrupted = False
            if not terminal:
                show(f"> {question.strip()}\n")
            failed = _turn(conversation, question, aloud=True) is None or failed
            show("\n")
        except KeyboardInterrupt:
            say("")
            if interrupted or not terminal:
                stopped = True
                break
            interrupted = True
            say("Stopped. Ctrl-C again ends the chat.", dim=True)
        except _Spent:
            failed = True
            break
    show(f"{purse.told()}\n")
    if stopped or failed:
        raise typer.Exit(130 if stopped and not terminal else int(failed))


def _question(terminal: bool) -> str | None:
    """The next question, None where there is none."""
    if terminal:
        try:
            return input("> ")
        except EOFError:
            show("\n")
            return None
    return (sys.stdin.readline() or None) if sys.stdin is not None else None


class _Spent(Exception):
    """The limit is reached, and has been told."""


def _turn(conversation: Conversation, question: str, *, aloud: bool) -> Turn | None:
    """A question with its answer, shown as it is written; None where something failed, which is told."""
    from bench.messages.failures import failure_of
    from bench.messages.wording import writable
    from bench.money.budget import BudgetExceeded

    asked = " ".join(writable(question).split())
    try:
        searched = conversation.stand_alone(asked)
        if searched != asked:
            say(f"Searched for: {searched}", dim=True)
        turn = conversation.ask(asked, searched, show if aloud else lambda piece: None)
    except KeyboardInterrupt:
        raise
    except BudgetExceeded as error:
        say(str(error))
        raise _Spent from None
    except BaseException as error:
        say(f"The question was not answered: {failure_of(error).cause}")
        return None
    if aloud:
        _show_rest(turn)
    return turn


def _show_rest(turn: Turn) -> None:
    """What follows an answer: what is to be known of it, then the passages."""
    from bench.chat.conversation import NOT_TOLD, NOTHING

    if turn.answer:
        show("\n")
    if turn.unfinished:
        say("The answer ends here because max_tokens was reached: --option max_tokens=N")
    if turn.invented:
        say(f"Taken out, because there is no such passage: {' '.join(dict.fromkeys(turn.invented))}")
    if not turn.passages:
        show(f"{NOTHING}\n")
        return
    if not turn.told:
        show(f"{NOT_TOLD}\n")
    show("\n")
    for passage in turn.passages:
        if passage.number in turn.cited or not turn.told:
            show(f"[{passage.number}] {' '.join(passage.id.split())}  {passage.shown}\n")
    if cut := [passage for passage in turn.passages if passage.cut]:
        from bench.chat.passages import LONGEST

        say(f"Read only in part, the first {LONGEST:,} characters: {' '.join(f'[{each.number}]' for each in cut)}")


def _as_dict(turn: Turn, purse: Purse, name: str) -> dict[str, Any]:
    usage = purse.usage
    return {
        "system": name,
        "question": turn.question,
        "searched": turn.searched,
        "answer": turn.answer,
        "told": turn.told,
        "cited": list(turn.cited),
        "taken_out": list(dict.fromkeys(turn.invented)),
        "unfinished": turn.unfinished,
        "passages": [passage.as_dict() for passage in turn.passages],
        "usage": {"tokens": usage.tokens, "output_tokens": usage.output_tokens, "at_most": purse.guessed},
        "usd": purse.usd,
    }
