"""A conversation with a measured system on the page: streamed, cited, its cost shown and kept under its limit."""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ui.desk import Desk
from bench.ui.shown_results import result_at
from bench.ui.telling import nothing, reasons
from bench.ui.text import escaped, lines, note
from bench.ui.trying import Trying, admitted_cache, agree

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from adapters.base import Generator
    from bench.chat.conversation import Conversation, Turn
    from bench.chat.spending import Purse
    from bench.results.model import Result

LANGCHAIN = 'A chat needs the module langchain_core. Install it: pip install "retrieval-bench[langchain]"'
_LONGEST = 4000  # characters of a question


class CannotChat(Exception):
    """Nobody can be talked to; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks for. result: as the browser sent it. answers: a generator of the result, or ADAPTER:MODEL.
    options: OPTION=VALUE, one a line. max_cost: US dollars, empty for the result's own. price: READ,WRITTEN."""

    result: str
    system: str
    answers: str
    options: str = ""
    k: int = 5
    max_cost: str = ""
    price: str = ""


@dataclass(slots=True)
class Chat:
    """One person's conversation. The system that searches is shared with others."""

    wanted: Wanted
    conversation: Conversation
    purse: Purse
    generator: Generator
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Let the model go."""
        self.generator.close()


@dataclass(frozen=True, slots=True)
class _Shared:
    """Searches by a system that is borrowed for each question."""

    trying: Trying
    result: Result
    folder: Path
    system: str

    def invoke(self, input: str, /, *, k: int) -> list[Document]:
        key = ("chat", str(self.folder), self.result.started_at, self.system)
        with self.trying.engines.borrowed(key, self._made) as retriever:
            found: list[Document] = retriever.invoke(input, k=k)  # type: ignore[attr-defined]
            return found

    def _made(self) -> Any:
        from tempfile import mkdtemp

        from bench.chat.retrieving import load_retriever
        from bench.retriever.asking import check_keys, contacts_in
        from bench.retriever.writing import Wish, write_retriever

        file = Path(mkdtemp(dir=self.trying.engines.folder)) / "retriever.py"
        cache = admitted_cache(self.trying.desk, self.result, self.folder)
        done = write_retriever(self.result, Wish(self.folder, self.system, file, cache), lambda event: None)
        if done.keys:
            check_keys(self.system, done.keys)
            agree(contacts_in(self.result, self.folder))
        return load_retriever(done.path)


def answering(desk: Desk, sent: str | None) -> list[str]:
    """The generators that a result names."""
    if not sent:
        return []
    try:
        named = result_at(desk, sent)[1].experiment.get("generators")
    except Exception:  # the other parts of the page say what is wrong with it
        return []
    return list(named) if isinstance(named, Mapping) else []


def begun(trying: Trying, wanted: Wanted) -> Chat:
    """A conversation that can begin. Raises whatever stands against it."""
    if importlib.util.find_spec("langchain_core") is None:
        raise CannotChat(LANGCHAIN)
    from bench.chat.answering import chosen
    from bench.chat.conversation import Conversation
    from bench.chat.model import GeneratorChatModel
    from bench.chat.paying import purse_of
    from bench.retriever.measured import chosen_system

    folder, result = result_at(trying.desk, wanted.result)
    system = chosen_system(result, folder, wanted.system)
    base = Path(result.provenance.base or folder)
    spec = wanted.answers if ":" in wanted.answers else None
    changes = [line for line in wanted.options.splitlines() if line.strip()]
    name = None if spec else wanted.answers or None
    answerer = chosen(
        result.experiment, base if base.is_dir() else folder, name=name, spec=spec, changes=changes, ours=False
    )
    agree({answerer.name: answerer.contacts()})
    generator = answerer.made()
    try:
        limit, price = _dollars(wanted.max_cost), wanted.price.strip() or None
        purse = purse_of(result.experiment, generator, system, max_cost=limit, price=price)
    except BaseException:
        generator.close()
        raise
    searching = _Shared(trying, result, folder, wanted.system)
    return Chat(
        wanted, Conversation(searching, GeneratorChatModel(generator=generator), purse, k=wanted.k), purse, generator
    )


def _dollars(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < float("inf"):
        raise CannotChat(f"{text}: write how many US dollars may be spent, such as 0.50.")
    return dollars


def said(trying: Trying, chat: Chat | None, wanted: Wanted, question: str) -> Iterator[tuple[str, Chat | None]]:
    """The conversation as HTML while it is answered, and the conversation itself. One with another system or model
    begins anew."""
    asked = " ".join(question.split())[:_LONGEST]
    if not asked or not wanted.result or not wanted.system:
        yield nothing("Choose a result and a system, and type a question."), chat
        return
    try:
        if chat is None or chat.wanted != wanted:
            if chat is not None:
                chat.close()
            chat = begun(trying, wanted)
    except Exception as error:
        yield lines(reasons(error), "bad"), None
        return
    if not chat.lock.acquire(blocking=False):
        yield _history(chat) + note("The question before is still being answered.", "warn"), chat
        return
    try:
        yield from ((html, chat) for html in _answered(chat, asked))
    finally:
        chat.lock.release()


def _answered(chat: Chat, asked: str) -> Iterator[str]:
    before = _history(chat) + _question(asked)
    pieces: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
    worker = threading.Thread(target=_work, args=(chat.conversation, asked, pieces), daemon=True)
    worker.start()
    text, fault = "", ""
    yield before + note("Searching …")
    while (piece := pieces.get()) is not None:
        if isinstance(piece, Exception):
            fault = lines([f"The question was not answered: {reason}" for reason in reasons(piece)], "bad")
        else:
            text += piece
            yield before + f'<p class="note">{escaped(text)}</p>'
    worker.join()
    end = note(chat.purse.told())
    yield (before + fault if fault else _history(chat)) + end


def _work(conversation: Conversation, asked: str, pieces: queue.SimpleQueue[str | Exception | None]) -> None:
    """Ask in a thread of its own, because the answer comes by calls and the page takes it from a generator."""
    try:
        conversation.ask(asked, conversation.stand_alone(asked), pieces.put)
    except Exception as error:
        pieces.put(error)
    finally:
        pieces.put(None)


def _history(chat: Chat) -> str:
    return "".join(_question(turn.question) + _turn(turn) for turn in chat.conversation.turns)


def _question(text: str) -> str:
    return f'<p class="note"><strong>{escaped(text)}</strong></p>'


def _turn(turn: Turn) -> str:
    from bench.chat.conversation import NOT_TOLD, NOTHING

    told: list[str] = []
    if turn.searched != turn.question:
        told.append(f"Searched for: {turn.searched}")
    if turn.unfinished:
        told.append("The answer ends here because max_tokens was reached: max_tokens=N among the options")
    if turn.invented:
        told.append(f"Taken out, because there is no such passage: {' '.join(dict.fromkeys(turn.invented))}")
    if not turn.passages:
        told.append(NOTHING)
    elif not turn.told:
        told.append(NOT_TOLD)
    return note(turn.answer) + lines(told) + _passages(turn)


def _passages(turn: Turn) -> str:
    shown: Sequence[Any] = [each for each in turn.passages if each.number in turn.cited or not turn.told]
    items = "".join(
        f"<li>[{each.number}] <strong>{escaped(each.id)}</strong> {escaped(each.shown)}</li>" for each in shown
    )
    return f'<ul class="same" style="list-style:none;padding:0">{items}</ul>' if items else ""
