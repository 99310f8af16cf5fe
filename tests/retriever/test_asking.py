"""Laws of asking measured systems: they find what was measured, their times add up, and many may ask at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.results.rankings import Rankings, run_file, shown_build
from bench.retriever.asking import (
    REST,
    MeasuredSystem,
    judged,
    judged_questions,
    loaded,
    made_ready,
    times_of,
    usual_systems,
)
from bench.retriever.engines import Engines
from bench.retriever.refusal import RetrieverRefused
from tests import small
from tests.retriever.conftest import SYSTEMS, Run

STAGES = {
    "bm25": {"search"}, "exact": {"encode", "search"}, "rrf": {"encode", "search"},
    "near": {"search", "rerank"}, "again": {"search", "rerank"},
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], MeasuredSystem]]:
    """Systems that are ready, each made once."""
    place, known = tmp_path_factory.mktemp("asked"), dict[str, MeasuredSystem]()

    def of(name: str) -> MeasuredSystem:
        if name not in known:
            known[name] = made_ready(
                run.result, run.folder, name, cache=run.home / "cache", place=place, agree=lambda contacts: None,
                emit=lambda event: None,
            )  # fmt: skip
        return known[name]

    yield of
    for each in known.values():
        each.close()


@pytest.mark.parametrize("name", [system["name"] for system in SYSTEMS])
def test_a_judged_question_finds_what_was_measured_with_its_grades(
    run: Run, ready: Callable[[str], MeasuredSystem], name: str
) -> None:
    question = judged_questions(run.folder, 1)[0].whole
    known = judged(run.folder, f"  {question.upper()} ")
    assert known is not None
    entry = next(system for system in run.result.systems if system.name == name)
    measured = Rankings(run_file(run.folder, name, shown_build(entry)), (known.query,), ()).of(known.query)
    asked = ready(name).ask(question, 5, known=known)
    assert [document.id for document in asked.documents] == [hit.document for hit in measured[:5]]
    assert [document.grade for document in asked.documents] == [known.grades.get(hit.document) for hit in measured[:5]]
    assert entry.pipeline.filter is not None or any(document.relevant for document in asked.documents)


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_a_question_have_their_times_and_no_more_than_the_whole(
    ready: Callable[[str], MeasuredSystem], name: str
) -> None:
    ready(name).ask("violin", 3)
    asked = ready(name).ask("violin", 3)
    assert set(asked.seconds) == STAGES[name] | {REST} and not asked.opened
    assert all(seconds >= 0 for seconds in asked.seconds.values())
    assert times_of(asked).count(" ms") == len(asked.seconds) + 1


def test_the_first_question_says_that_it_opened_index_and_models(ready: Callable[[str], MeasuredSystem]) -> None:
    system = ready("flat")
    system.close()
    assert system.ask("violin", 3).opened and not system.ask("violin", 3).opened


def test_questions_of_several_people_do_not_meet(ready: Callable[[str], MeasuredSystem], run: Run) -> None:
    questions = [text.whole for text in judged_questions(run.folder, 12)] * 4
    alone = [[document.id for document in ready("again").ask(question, 3).documents] for question in questions]
    with ThreadPoolExecutor(8) as people:
        together = list(people.map(lambda question: ready("again").ask(question, 3), questions))
    assert [[document.id for document in asked.documents] for asked in together] == alone
    assert all(set(asked.seconds) == STAGES["again"] | {REST} for asked in together)


def test_a_question_that_nobody_judged_has_no_relevant_documents(
    ready: Callable[[str], MeasuredSystem], run: Run
) -> None:
    assert judged(run.folder, "what is neon") is None
    assert {document.grade for document in ready("bm25").ask("violin", 3).documents} == {None}


def test_what_cannot_be_asked_says_why(run: Run, tmp_path: Path, ready: Callable[[str], MeasuredSystem]) -> None:
    with pytest.raises(RetrieverRefused, match="no system absent"):
        ready("absent")
    (tmp_path / "broken.py").write_text("raise OSError('no disk')")
    with pytest.raises(RetrieverRefused, match="no disk"):
        loaded(tmp_path / "broken.py", "Finder", "bm25")
    (tmp_path / "failing.py").write_text(
        "class Finder:\n    def parts(self): return []\n    def find(self, *asked): raise ValueError('gone')\n"
    )
    with pytest.raises(RetrieverRefused, match=r"bm25: .*gone"):
        loaded(tmp_path / "failing.py", "Finder", "bm25").ask("violin", 3)


def test_the_command_asks_the_proposed_system_and_the_baseline(run: Run) -> None:
    question = judged_questions(run.folder, 1)[0].whole
    told = small.bench("try", str(run.folder), question, "--json", "--cache", str(run.home / "cache"))
    values = json.loads(told.stdout)
    assert told.exit_code == 0 and values["query_id"] is not None and not values["faults"]
    assert [each["system"] for each in values["systems"]] == usual_systems(run.result, run.folder)
    other = small.bench(
        "try", str(run.folder), question, "--system", "rrf", "--system", "absent", "--cache", str(run.home / "cache")
    )
    assert other.exit_code == 1 and "✓" in other.stdout and "no system absent" in other.stderr


# -- what is kept open ---------------------------------------------------------------------------------------------


class Counted:
    """What counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_so_many_stay_open_at_most_and_those_longest_unused_are_closed() -> None:
    engines: Engines[Counted] = Engines(2)
    made = {}
    for name in ("a", "b", "a", "c"):
        with engines.borrowed((name,), Counted) as one:
            assert one.closed == 0
            made.setdefault(name, one)
    assert engines.open == 2 and {name: one.closed for name, one in made.items()} == {"a": 0, "b": 1, "c": 0}
    engines.close()
    assert made["a"].closed == made["c"].closed == 1 and not engines.folder.exists()


def test_nothing_is_closed_while_somebody_uses_it() -> None:
    engines: Engines[Counted] = Engines(1)
    with engines.borrowed(("a",), Counted) as one:
        for name in ("b", "c"):
            with engines.borrowed((name,), Counted):
                assert one.closed == 0
        assert one.closed == 0
    engines.close()


def test_what_many_ask_for_at_once_is_made_once() -> None:
    engines: Engines[Counted] = Engines(2)
    made, start = [], threading.Barrier(8)

    def make() -> Counted:
        made.append(Counted())
        return made[-1]

    def ask(_: int) -> Counted:
        start.wait()
        with engines.borrowed(("a",), make) as one:
            return one

    with ThreadPoolExecutor(8) as people:
        assert set(people.map(ask, range(8))) == {made[0]} and len(made) == 1
    engines.close()


def test_what_could_not_be_made_is_tried_again() -> None:
    engines: Engines[Counted] = Engines(2)

    def fail() -> Counted:
        raise RetrieverRefused("no index")

    with pytest.raises(RetrieverRefused, match="no index"), engines.borrowed(("a",), fail):
        pass
    with engines.borrowed(("a",), Counted) as one:
        assert one.closed == 0 and engines.open == 1
    engines.close()
