"""The parts of the page Try it: what systems find for a question, and conversations with one of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ui.desk import Desk
from bench.ui.shown_results import result_at
from bench.ui.telling import nothing, reasons
from bench.ui.text import command, escaped, lines, note, plain

if TYPE_CHECKING:
    from adapters.base import Contact
    from bench.report.all_results import Listed
    from bench.results.model import Result, SystemResult
    from bench.retriever.asking import Asked, FoundDocument, Judged, MeasuredSystem
    from bench.retriever.engines import Closing, Engines

OPEN = 4  # systems that stay open where nobody asks them
_LONGEST = 300  # characters of a document
KEPT = "systems.json"
"""In a Space: which systems came along, and where their retrievers lie."""
_QUESTIONS = 100  # judged ones that are offered


@dataclass(frozen=True, slots=True)
class KeptSystem:
    """A system that came along. result: the name of its result's folder; place: the folder of its retriever, from that
    of the Space on."""

    result: str
    system: str
    place: str
    class_name: str


def kept_systems(desk: Desk) -> dict[tuple[str, str], KeptSystem]:
    """The systems that came along to a read-only desk, by result and name."""
    found = [KeptSystem(**each) for each in json.loads((desk.folder / KEPT).read_text(encoding="utf-8"))]
    return {(each.result, each.system): each for each in found}


@dataclass(frozen=True, slots=True)
class Trying:
    """What everybody who tries shares. engines: the open systems."""

    desk: Desk
    engines: Engines[Closing]

    @classmethod
    def at(cls, desk: Desk) -> Trying:
        from bench.retriever.engines import Engines

        return cls(desk, Engines(OPEN))


class KeyNotAgreed(Exception):
    """A key would go to an address that nobody agreed to; says how to agree."""


def cache_of(desk: Desk, result: Result, folder: Path) -> Path:
    """The cache that a result was run with: that of the page, of its experiment, else the usual one."""
    from adapters.base.paths import resolve_path
    from bench.cache.place import usual_place

    if desk.cache is not None:
        return desk.cache
    setting = result.experiment.get("cache")
    if isinstance(setting, str) and setting:
        return resolve_path(Path(result.provenance.base or folder), setting)
    return usual_place(Path()).folder


def admitted_cache(desk: Desk, result: Result, folder: Path) -> Path:
    """The cache of a result whose experiment reads nothing outside of the page's folders. Raises OutsideFolder."""
    from bench.retriever.writing import experiment_in

    desk.admit(experiment_in(result, folder))
    return cache_of(desk, result, folder)


def agree(contacts: Mapping[str, Sequence[Contact]]) -> None:
    """Raise KeyNotAgreed for a key that would go to an address of a file: on a page nobody is asked."""
    import typer

    from bench.experiment.trust import announcement, keys_to_announce, known_hosts_file, known_line

    known = known_hosts_file(typer.get_app_dir)
    for path, contact in keys_to_announce(contacts, known):
        raise KeyNotAgreed(
            f"{announcement(path, contact, 'the result or the form')} Nothing was sent. If it may go there, write the "
            f'line "{known_line(contact)}" into {known}'
        )


# -- what can be asked ---------------------------------------------------------------------------------------------


def offered(desk: Desk, sent: str | None) -> tuple[list[str], list[str], str, list[str]]:
    """Of a result: the systems that can be asked, those that are asked unless another is chosen, why others cannot, as
    HTML, and judged questions."""
    if not sent:
        return [], [], nothing("Choose a result."), []
    from bench.retriever.asking import judged_questions, usual_systems

    try:
        folder, result = result_at(desk, sent)
        why = _reasons_not_to(desk, folder, result)
        usable = [name for name, fault in why.items() if not fault]
        usual: list[str] = []
        with suppress(Exception):  # a result that proposes nothing: the first ones are taken
            usual = [name for name in usual_systems(result, folder) if name in usable]
        faults = lines([f"{name} cannot be tried: {fault}" for name, fault in why.items() if fault], "warn")
        return usable, usual or usable[:2], faults, [text.whole for text in judged_questions(folder, _QUESTIONS)]
    except Exception as error:
        return [], [], lines(reasons(error), "bad"), []


def first_to_try(desk: Desk, found: Sequence[Listed]) -> str | None:
    """The newest result that has a system to ask, else the newest; None where there is none."""
    read = [(each.folder, each.result) for each in found if each.result is not None]
    usable = (folder for folder, result in read if not all(_reasons_not_to(desk, folder, result).values()))
    newest = next(usable, read[0][0] if read else None)
    return None if newest is None else str(newest)


def _reasons_not_to(desk: Desk, folder: Path, result: Result) -> dict[str, str]:
    """Why each system cannot be asked; empty for one that can."""
    why = {system.name: _why_not(system) for system in result.systems}
    if desk.read_only:
        along = kept_systems(desk)
        why |= {name: "it did not come along to this page." for name in why if (folder.name, name) not in along}
    return why


def _why_not(system: SystemResult) -> str:
    if system.pipeline.run is not None:
        return "it is a run file, which nobody can ask."
    if system.status not in ("success", "partial"):
        return f"it ended as {system.status.replace('_', ' ')}{f': {system.error}' if system.error else ''}."
    return ""


# -- a question ----------------------------------------------------------------------------------------------------


def asked_parts(trying: Trying, sent: str | None, names: Sequence[str], question: str, k: int) -> Iterator[str]:
    """What each system finds, side by side; grows with each system that has answered."""
    from bench.retriever.asking import judged, left_out

    if not sent or not names or not question.strip():
        yield nothing("Choose a result and systems, and type a question.")
        return
    try:
        folder, result = result_at(trying.desk, sent)
        known = judged(folder, question)
    except Exception as error:
        yield lines(reasons(error), "bad")
        return
    head = "" if known else note("Nobody judged this question, so no document is known to be relevant.")
    done: list[str] = []
    for name in names:
        yield head + _beside([*done, _column(name, note("is asked …"))])
        try:
            with _ready(trying, result, folder, name) as system:
                asked = system.ask(question, k, known=known, exclude=left_out(result, folder, name, known))
            done.append(_column(name, _answer(asked, known)))
        except Exception as error:
            done.append(_column(name, lines(reasons(error), "bad")))
    chosen = " ".join(f"--system {shlex.quote(name)}" for name in names)
    line = f"bench try {shlex.quote(trying.desk.named(folder))} {shlex.quote(question)} {chosen} --k {k}"
    yield head + _beside(done) + command(line)


def _ready(trying: Trying, result: Result, folder: Path, name: str) -> Any:
    """The system, borrowed from those that are open."""
    from bench.retriever.asking import loaded, made_ready

    def make() -> MeasuredSystem:
        if trying.desk.read_only:
            along = kept_systems(trying.desk)[folder.name, name]
            return loaded(trying.desk.folder / along.place / "retriever.py", along.class_name, name)
        cache = admitted_cache(trying.desk, result, folder)
        return made_ready(
            result, folder, name, cache=cache, place=trying.engines.folder, agree=agree, emit=lambda event: None
        )

    return trying.engines.borrowed(("ask", str(folder), result.started_at, name), make)


def _beside(columns: Sequence[str]) -> str:
    return f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{"".join(columns)}</div>'


def _column(name: str, body: str) -> str:
    return (
        '<section class="found" style="flex:1 1 18rem;min-width:0;overflow-wrap:anywhere">'
        f"<p><strong>{escaped(name)}</strong></p>{body}</section>"
    )


def _answer(asked: Asked, known: Judged | None) -> str:
    from bench.retriever.asking import times_of

    body = "".join(_document(document) for document in asked.documents) or "<li>found nothing</li>"
    missed = ""
    if known is not None:
        found = sum(document.relevant for document in asked.documents)
        there = sum(grade > 0 for grade in known.grades.values())
        missed = note(f"{found} of {there} relevant documents among the first {len(asked.documents)}.")
    return f'<p class="same">{escaped(times_of(asked))}</p><ol style="padding-left:1.5rem">{body}</ol>{missed}'


def _document(document: FoundDocument) -> str:
    from bench.retriever.asking import mark_of

    text = document.text if len(document.text) <= _LONGEST else f"{document.text[:_LONGEST]}…"
    grade = f" (grade {document.grade})" if document.grade is not None and document.grade > 1 else ""
    return (
        f"<li>{mark_of(document.grade)} <strong>{escaped(document.id)}</strong>{grade} "
        f'<span class="same">{document.score:.4f}</span><br>{escaped(text)}</li>'
    )


def questions_offered(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Judged questions to choose from: what is shown, and what is asked."""
    return [(plain(text[:120]), text) for text in texts]
