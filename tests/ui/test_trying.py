"""Laws of the page Try it: it asks what was measured, texts stay texts, and conversations are each person's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.results.model import read_result
from bench.ui.chatting import Wanted, said
from bench.ui.desk import Desk
from bench.ui.trying import Trying, asked_parts, cache_of, offered
from tests import small
from tests.standin import StandIn
from tests.ui.test_shown_results import check_harmless

SCRIPT = "<script>window.stolen=1</script> violin <img src=x onerror=alert(1)> \x1b[31m"
MINI = "openai:gpt-5-mini"


@pytest.fixture(scope="module")
def trying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trying]:
    """A result of two searches and a run file over a stranger's texts."""
    home = tmp_path_factory.mktemp("trying")
    data = small.collection(home / "data", documents=20, queries=4)
    with (data / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": "<i>d</i>", "text": SCRIPT}) + "\n")
    (home / "today.trec").write_text("q0 Q0 d0 1 1.0 x\n")
    stores = {"bm25": {"adapter": "bm25"}, "flat": {"adapter": "bm25", "index": {"b": 0.0}}}
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "<b>flat</b>", "store": "flat"},
               {"name": "today", "run": "today.trec"}]  # fmt: skip
    small.measure(home, small.spec(systems, stores=stores, baseline="bm25"))
    found = Trying.at(Desk.at(home, cache=home / "cache"))
    yield found
    found.engines.close()


@pytest.fixture(scope="module")
def sent(trying: Trying) -> str:
    return str(next(trying.desk.results.glob("*/*")))


def test_what_can_be_asked_is_offered_and_what_cannot_says_why(trying: Trying, sent: str) -> None:
    usable, usual, faults, questions = offered(trying.desk, sent)
    assert usable == ["bm25", "<b>flat</b>"] and usual[0] in usable
    assert "today cannot be tried: it is a run file" in faults and len(questions) == 4
    assert "outside" in offered(trying.desk, "/etc")[2]


def test_systems_answer_side_by_side_with_times_and_marks(trying: Trying, sent: str) -> None:
    question = offered(trying.desk, sent)[3][0]
    *growing, last = asked_parts(trying, sent, ["bm25", "<b>flat</b>"], question, 3)
    assert len(growing) == 2 and "is asked" in growing[0]
    assert last.count('class="found"') == 2 and last.count("search ") == 2
    assert "✓" in last and "relevant documents among" in last and "bench try" in last
    check_harmless(last.replace("<span class=", "<p class=").replace("</span>", "</p>"))


def test_texts_ids_and_questions_of_strangers_stay_text(trying: Trying, sent: str) -> None:
    *_, last = asked_parts(trying, sent, ["bm25"], "<img src=x onerror=alert(1)> violin", 5)
    assert "&lt;script&gt;window.stolen=1" in last and "&lt;i&gt;d&lt;/i&gt;" in last and "\x1b" not in last
    assert "<img" not in last and "Nobody judged this question" in last


@pytest.mark.parametrize("names", [["today"], ["absent"]])
def test_a_system_that_cannot_be_asked_says_why_beside_the_others(trying: Trying, sent: str, names: list[str]) -> None:
    *_, last = asked_parts(trying, sent, ["bm25", *names], "violin", 3)
    assert last.count("note bad") == 1 and "Traceback" not in last and "<ol" in last


def test_several_people_ask_one_open_system(trying: Trying, sent: str) -> None:
    def ask(number: int) -> str:
        *_, last = asked_parts(trying, sent, ["bm25"], ("violin", "copper")[number % 2], 3)
        return last.partition("<ol")[2]

    with ThreadPoolExecutor(6) as people:
        assert len(set(people.map(ask, range(12)))) == 2
    assert trying.engines.open <= 4


def test_the_cache_is_that_of_the_page_else_that_of_the_result(trying: Trying, sent: str) -> None:
    result = read_result(Path(sent))
    assert cache_of(trying.desk, result, Path(sent)) == trying.desk.cache
    result.experiment["cache"] = "kept"
    elsewhere = cache_of(Desk.at(trying.desk.folder), result, Path(sent))
    assert elsewhere == Path(str(result.provenance.base)) / "kept"


# -- a conversation ------------------------------------------------------------------------------------------------


def last_of(trying: Trying, chat: Any, wanted: Wanted, question: str) -> tuple[str, Any]:
    *_, last = said(trying, chat, wanted, question)
    return last


def test_an_answer_is_streamed_cited_and_its_cost_shown(trying: Trying, sent: str, standin: StandIn) -> None:
    standin.says = lambda messages: "It plays <b>loud</b> [1], they say [9]."
    *growing, (last, chat) = said(trying, None, Wanted(sent, "bm25", MINI), "violin?")
    assert len(growing) > 2 and "It plays" in growing[-1][0]
    assert "&lt;b&gt;loud&lt;/b&gt; [1]" in last and "there is no such passage: [9]" in last and "Cost: 0.0" in last
    check_harmless(last)
    standin.says = lambda messages: "copper" if "Rewrite" in messages[0]["content"] else "Copper [1]."
    again, same = last_of(trying, chat, Wanted(sent, "bm25", MINI), "and that?")
    assert same is chat and "Searched for: copper" in again and "violin?" in again
    other, new = last_of(trying, chat, Wanted(sent, "<b>flat</b>", MINI), "violin?")
    assert new is not chat and "and that?" not in other
    new.close()


def test_a_limit_is_kept_and_what_cannot_be_asked_says_why(trying: Trying, sent: str, standin: StandIn) -> None:
    told, _ = last_of(trying, None, Wanted(sent, "bm25", MINI, max_cost="0"), "violin?")
    assert "max_cost" in told and standin.seen.requests.total() == 0
    for wanted, why in (
        (Wanted(sent, "today", MINI), "run file"),
        (Wanted(sent, "bm25", ""), "names no generator"),
        (Wanted(sent, "bm25", "openai:gpt-5-mini", options="nonsense=1"), "nonsense is unknown"),
        (Wanted(sent, "bm25", "absent:x"), "absent"),
        (Wanted(sent, "bm25", MINI, max_cost="nan"), "how many US dollars"),
        (Wanted("/etc", "bm25", MINI), "outside"),
    ):
        told, _ = last_of(trying, None, wanted, "violin?")
        assert "note bad" in told and why in told, told
        check_harmless(told)
    assert standin.seen.requests.total() == 0


def test_no_key_goes_to_an_address_that_a_browser_names(
    trying: Trying, sent: str, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-secret-of-the-server")
    for options in ("base_url=http://127.0.0.1:9/v1\napi_key_env=SECRET_KEY", "api_key_env=SECRET_KEY"):
        told, chat = last_of(trying, None, Wanted(sent, "bm25", MINI, options=options), "violin?")
        assert chat is None and "SECRET_KEY" in told and "Nothing was sent" in told and "sk-secret" not in told
    assert standin.seen.requests.total() == 0
