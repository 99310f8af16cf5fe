"""Asks measured systems questions of one's own: each by the retriever that `bench retriever` writes, with the time of
each stage, and with the relevant documents marked where the question is one that was judged.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from adapters.base import Contact
from bench.experiment.trust import contacts_of
from bench.messages.failures import failure_of
from bench.quality.stages import Emit
from bench.report.cells import milliseconds
from bench.report.query_lists import REFUSED, RELEVANT
from bench.results.model import Result
from bench.results.rankings import Rankings, run_file, shown_build
from bench.results.texts import Text, read_judgements, read_query_texts
from bench.retriever.measured import chosen_system
from bench.retriever.refusal import RetrieverRefused
from bench.retriever.writing import Wish, experiment_in, proposed_system, write_retriever

STAGES = {"encode": "encode", "search": "search", "score": "rerank"}
"""What the parts of a retriever do, and the stage that their time belongs to. What a part does inside of itself, as a
reranker that encodes the query, is its own."""
_NOT_ASKED = ("dataset", "trackers", "models")
REST = "rest"
"""The stage of what is neither of these: fusion, order, and the texts of the documents."""
_numbers = count(1)

Agree = Callable[[Mapping[str, Sequence[Contact]]], None]


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document that a system found. grade: None where the question or the document was not judged for it."""

    place: int
    id: str
    text: str
    score: float
    stage: str
    grade: int | None

    @property
    def relevant(self) -> bool:
        """Whether it is known to be relevant."""
        return self.grade is not None and self.grade > 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a system found. seconds: by stage, those that it has. opened: whether this question opened index and models
    too, so that its times are not those of a query."""

    system: str
    documents: tuple[FoundDocument, ...]
    seconds: dict[str, float]
    opened: bool

    @property
    def total_seconds(self) -> float:
        """From the question to the documents."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Judged:
    """A question that the collection judges. grades: by document. exclude: ids that its measured ranking left out."""

    query: str
    grades: dict[str, int]


def judged(folder: Path, question: str) -> Judged | None:
    """The judged query with that text, spelled alike but for blanks and case; None where there is none."""
    texts = read_query_texts(folder)
    plain = _plain(question)
    named = next((name for name, text in texts.items() if not text.cut and _plain(text.whole) == plain), None)
    if named is None:
        return None
    grades = (read_judgements(folder) or {}).get(named)
    return None if grades is None else Judged(named, grades)


def judged_questions(folder: Path, most: int) -> list[Text]:
    """Some judged queries whose text is kept whole, spread over all of them, to ask."""
    whole = [text for text in read_query_texts(folder).values() if not text.cut and text.whole.strip()]
    return whole if len(whole) <= most else [whole[i * len(whole) // most] for i in range(most)]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def usual_systems(result: Result, folder: Path) -> list[str]:
    """The systems that are asked where none is named: the one that the result proposes, and the baseline. Raises
    RetrieverRefused where that is none."""
    usable = [system.name for system in result.systems if system.status in ("success", "partial")]
    baseline = [result.baseline] if result.baseline in usable else []
    return list(dict.fromkeys([proposed_system(result, folder)[0], *(name for name in baseline if name is not None)]))


def times_of(asked: Asked) -> str:
    """`encode 2.31 ms, search 0.42 ms, rest 0.11 ms: 2.84 ms`."""
    parts = ", ".join(f"{stage} {milliseconds(1000 * seconds)} ms" for stage, seconds in asked.seconds.items())
    opened = " (with the opening of index and models)" if asked.opened else ""
    return f"{parts}: {milliseconds(1000 * asked.total_seconds)} ms{opened}"


def mark_of(grade: int | None) -> str:
    """Whether a document is known to be relevant, as lists of queries mark it."""
    return " " if grade is None else RELEVANT if grade > 0 else REFUSED


def left_out(result: Result, folder: Path, system: str, known: Judged | None) -> tuple[str, ...]:
    """Ids that the measured ranking of a judged query left out: where queries are documents too, its own."""
    if known is None or not result.dataset.own_documents_left_out:
        return ()
    entry = chosen_system(result, folder, system)
    ranked = Rankings(run_file(folder, system, shown_build(entry)), (known.query,), ())
    return () if any(hit.document == known.query for hit in ranked.of(known.query)) else (known.query,)


class MeasuredSystem:
    """A system of a result, ready to be asked from several threads at once. It opens its index at the first question.

    keys: the variables of the environment that it reads: a service bills for a question.
    """

    def __init__(self, name: str, retriever: Any, keys: Sequence[str] = ()) -> None:
        self.name = name
        self.keys = tuple(keys)
        self._retriever = retriever
        self._lock = threading.Lock()
        self._opened = False
        self._spent = threading.local()

    def ask(self, question: str, k: int, *, known: Judged | None = None, exclude: Sequence[str] = ()) -> Asked:
        """The best k documents. Raises RetrieverRefused where the system cannot do its work."""
        with self._lock:  # the first question opens index and models, and others wait for it
            opening = not self._opened
            if opening:
                asked = self._timed(question, k, known, exclude, opening=True)
                self._opened = True
                return asked
        return self._timed(question, k, known, exclude, opening=False)

    def close(self) -> None:
        """Close index and models. The next question opens them again."""
        with self._lock:
            self._opened = False
            self._retriever.close()

    def _timed(self, question: str, k: int, known: Judged | None, exclude: Sequence[str], *, opening: bool) -> Asked:
        try:
            if opening:
                for part in self._retriever.parts():
                    self._watch(part)
            self._spent.seconds, self._spent.inside = {}, 0.0
            start = time.perf_counter()
            found = self._retriever.find(question, k, tuple(exclude))
            total = time.perf_counter() - start
        except Exception as error:
            raise RetrieverRefused(f"{self.name}: {failure_of(error).cause}") from error
        seconds: dict[str, float] = dict(self._spent.seconds)
        seconds[REST] = max(0.0, total - sum(seconds.values()))
        grades = known.grades if known is not None else {}
        documents = tuple(
            FoundDocument(each.rank, each.id, each.text, each.score, each.stage, grades.get(each.id)) for each in found
        )
        return Asked(self.name, documents, seconds, opening)

    def _watch(self, part: Any) -> None:
        """Count the time of a part's work for the question that its thread answers."""
        for name, stage in STAGES.items():
            work = getattr(part, name, None)
            if callable(work):
                setattr(part, name, self._counted(work, stage))

    def _counted(self, work: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            spent, before = self._spent, self._spent.inside
            start, spent.inside = time.perf_counter(), 0.0
            try:
                return work(*arguments)
            finally:
                took = time.perf_counter() - start
                # A part that calls another, as a reranker its encoder, has the time of its own work alone.
                spent.seconds[stage] = spent.seconds.get(stage, 0.0) + took - spent.inside
                spent.inside = before + took

        return counted


def made_ready(
    result: Result, folder: Path, system: str, *, cache: Path, place: Path, agree: Agree, emit: Emit
) -> MeasuredSystem:
    """A system of a result, ready to be asked. place: a folder for its retriever's file. agree: hears whom the parts of
    the result may send keys to, where the system needs a key, and raises where they may not. Raises as
    `write_retriever` does, and for a key that is not set."""
    file = place / f"asked_{next(_numbers)}.py"
    done = write_retriever(result, Wish(folder, system, file, cache, form="function"), emit)
    if done.keys:
        check_keys(system, done.keys)
        agree(contacts_in(result, folder))
    return loaded(file, done.class_name, system, done.keys)


def contacts_in(result: Result, folder: Path) -> dict[str, Sequence[Contact]]:
    """Whom the encoders, stores and rerankers of a result's experiment talk to."""
    found = contacts_of(experiment_in(result, folder))
    return {path: contacts for path, contacts in found.items() if not path.startswith(_NOT_ASKED)}


def check_keys(system: str, keys: Sequence[str]) -> None:
    """Raise RetrieverRefused for keys that are not in the environment."""
    if absent := [key for key in keys if not os.environ.get(key)]:
        raise RetrieverRefused(f"{system}: needs {', '.join(absent)} in the environment, where it is not set.")


def loaded(file: Path, class_name: str, system: str, keys: Sequence[str] = ()) -> MeasuredSystem:
    """The system of a retriever's file of the form `function`. Raises RetrieverRefused."""
    name = f"bench_asked_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # the file's name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there while the file is run
    try:
        spec.loader.exec_module(module)
        return MeasuredSystem(system, getattr(module, class_name)(), keys)
    except Exception as error:
        raise RetrieverRefused(f"{system}: its retriever cannot be loaded: {failure_of(error).where}") from error
    finally:
        del sys.modules[name]
