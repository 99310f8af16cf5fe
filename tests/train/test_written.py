"""Laws of hard negatives that a generator writes: what is asked, what is left out and why, what is kept and billed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Context, InvalidOptions, Message
from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.experiment.negatives import Negatives
from bench.experiment.trust import contacts_of
from bench.run.training import plan_training, train_models
from bench.synthetic.answers import Answer
from bench.train.kept import KeptModels
from bench.train.mining.prompts import LANGUAGES, AskingNear
from bench.train.mining.written import wanted
from tests import small
from tests.synthetic.made import asked, scribes, site
from tests.train import planted
from tests.train.mining import dataset, mined

POSITIVE = "The refund takes up to five working days after the parcel has come back."
DATA = dataset(
    [POSITIVE, "Parcels leave on weekdays before noon.", "Gift cards never expire."],
    ["when do I get my money back"],
    [(0, 0)],
)
[QUERY] = DATA.query_texts


@pytest.fixture(scope="module", autouse=True)
def _generators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scribes(tmp_path_factory.mktemp("site")):
        yield


def forger(folder: Path, name: str = "forger", **options: Any) -> Any:
    kind = registry.load("generators", name)
    return kind(kind.Options(**options), Context(base=folder))


def written(folder: Path, *texts: str, count: int | None = None, paid: bool = False, **options: Any) -> Any:
    """What is left of texts that are written for one query."""
    of_generator = {key: options.pop(key) for key in ("cut", "refuses", "manner") if key in options}
    name = "paid_forger" if paid else "forger"
    writer = forger(folder, name, script={QUERY: list(texts)}, **of_generator)
    return mined(
        DATA, folder / "cache", writer=writer, strategy="adversarial", by="w", per_query=count or len(texts), **options
    )


# -- what is left out --------------------------------------------------------------------------------------------------


def test_texts_that_look_like_answers_and_are_none_become_negatives_without_an_id(tmp_path: Path) -> None:
    found = written(tmp_path, "The refund of a gift card is a new gift card.", "Money orders are not taken any more.")
    [row] = found.table.to_pylist()
    assert row["negatives"] == ["The refund of a gift card is a new gift card.", "Money orders are not taken any more."]
    assert row["negative_ids"] == row["negative_scores"] == [None, None]
    assert found.report.writer == "forger scribe" and found.report.strategy == "adversarial"
    assert found.complete.num_rows == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (POSITIVE.upper(), "positive_text"),
        (QUERY.title(), "query_text"),
        ("When do I get back my money?", "near_copy"),  # the query's words in another order
        (POSITIVE.replace("five", "six"), "near_copy"),  # 13 of 14 words
        (f"Good to know. {POSITIVE} That is all.", "near_copy"),
        ("The refund takes up to five working days.", "near_copy"),  # a part of the positive, which answers
        ("", "empty"),
        ("...", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model I do not write such texts.", "refusal"),
        ("Es tut mir leid, dabei kann ich nicht helfen.", "refusal"),
        (LANGUAGES["en"].examples[0].near, "of_prompt"),
    ],
)
def test_each_text_is_checked_to_be_none_and_counted_by_the_rule_that_it_breaks(
    tmp_path: Path, text: str, rule: str
) -> None:
    found = written(tmp_path, text, "Shops buy back what nobody wore.")
    assert found.report.dropped == {rule: 1}
    assert found.table.column("negatives").to_pylist() == [["Shops buy back what nobody wore."]]
    [example] = found.report.examples[rule]
    assert example.query == QUERY and example.document_id is None
    assert (found.report.wanted, found.report.found, found.report.short) == (2, 1, 1)


def test_a_text_that_stood_before_is_no_second_negative_and_a_document_that_answers_nothing_may_be_one(
    tmp_path: Path,
) -> None:
    found = written(tmp_path, "Gift cards never expire.", "gift cards  never expire.")
    assert found.table.column("negatives").to_pylist() == [["Gift cards never expire."]]
    assert found.report.dropped == {"repeated_text": 1}


def test_a_positive_of_an_equal_query_is_none_either(tmp_path: Path) -> None:
    data = dataset(["one text of its own", "another text of its own"], ["a query?", "A query"], [(0, 0), (1, 1)])
    script = {text: ["another text of its own", "one text of its own"] for text in data.query_texts}
    writer = forger(tmp_path, script=script)
    found = mined(data, tmp_path / "cache", writer=writer, strategy="adversarial", by="w", per_query=2)
    assert found.report.dropped == {"positive_text": 4} and found.report.found == 0


def test_every_text_that_was_wanted_is_found_or_told_by_its_rule(tmp_path: Path) -> None:
    """Of four wanted, the service writes two and is cut off in the second."""
    found = written(tmp_path, "Shops buy back what nobody wore.", "Money is", count=4, paid=True, cut=True)
    assert found.report.dropped == {"unfinished": 1, "not_written": 2}
    assert found.report.found + sum(found.report.dropped.values()) == found.report.wanted == 4


def test_of_a_text_that_was_cut_off_its_whole_sentences_are_taken(tmp_path: Path) -> None:
    cut = "Shops buy back clothes. They pay with a card, 4.5"
    found = written(tmp_path, "Coats are dear.", cut, count=2, paid=True, cut=True)
    assert found.table.column("negatives").to_pylist() == [["Coats are dear.", "Shops buy back clothes."]]
    assert not found.report.dropped


def test_what_a_service_refuses_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    data = dataset(["one text of its own", "a second one, different"], ["first query", "other query"], [(0, 0), (1, 1)])
    writer = forger(tmp_path, "paid_forger", refuses="first query")
    found = mined(data, tmp_path / "cache", writer=writer, strategy="adversarial", by="w", per_query=2)
    assert found.report.dropped == {"refused": 2}
    assert [len(texts) for texts in found.table.column("negatives").to_pylist()] == [0, 2]
    assert found.report.usd is None  # it bills, and no price is known
    assert (found.report.tokens, found.report.output_tokens) == (100, 30)


def test_a_filter_throws_out_what_answers_after_all(tmp_path: Path) -> None:
    """By the words that a text shares with the query: the positive has none of money, back and get but back."""
    kind = registry.load("rerankers", "bm25")
    judge = kind(kind.Options())
    texts = "You get your money back within a week.", "Shoes are sold in pairs."
    found = written(tmp_path, *texts, judge=judge, filter="judge")
    assert found.table.column("negatives").to_pylist() == [["Shoes are sold in pairs."]]
    assert found.report.dropped == {"filter": 1}
    assert not found.report.unchecked and "Name a cross-encoder" not in " ".join(found.report.lines())


def test_a_mining_model_bounds_what_was_written(tmp_path: Path, static_model: Path) -> None:
    kind = registry.load("encoders", "sentence_transformers")
    texts = "Shoes are sold in pairs.", "When do you get it back"
    for bound, left in (({"max_score": 2.0}, 2), ({"min_score": 2.0}, 0)):
        encoder = kind(kind.Options(model=str(static_model), device="cpu"), Context())
        found = written(tmp_path, *texts, encoder=encoder, **bound)
        assert found.report.found == left
        assert found.report.dropped == ({} if left else {"min_score": 2})
        scores = found.table.column("negative_scores").to_pylist()[0]
        assert all(-1.0 <= score <= 1.0 for score in scores)
        encoder.close()


def test_margins_are_taken_from_the_score_of_the_positive(tmp_path: Path, static_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["Shoes are sold in pairs.", "When do you get it back", "My money, when?"]
    bare = SentenceTransformer(str(static_model), device="cpu")
    vectors = bare.encode([QUERY, POSITIVE, *texts], normalize_embeddings=True, show_progress_bar=False)
    scores = vectors[1:] @ vectors[0]
    expected = [text for text, score in zip(texts, scores[1:], strict=True) if score <= scores[0] - 0.05]
    kind = registry.load("encoders", "sentence_transformers")
    encoder = kind(kind.Options(model=str(static_model), device="cpu"), Context())
    found = written(tmp_path, *texts, encoder=encoder, absolute_margin=0.05)
    encoder.close()
    assert found.table.column("negatives").to_pylist() == [expected]
    assert found.report.dropped.get("absolute_margin", 0) == 3 - len(expected)


def test_where_no_model_looked_that_is_told(tmp_path: Path) -> None:
    found = written(tmp_path, "Shoes are sold in pairs.")
    assert any("no model has looked" in line for line in found.report.lines())


def test_what_is_lacking_is_drawn_from_the_documents(tmp_path: Path) -> None:
    found = written(tmp_path, "Shoes are sold in pairs.", POSITIVE, lacking="random")
    [row] = found.table.to_pylist()
    assert row["negative_ids"][0] is None and row["negative_ids"][1] in ("d1", "d2")
    assert (found.report.found, found.report.filled) == (2, 1)


# -- what is asked -----------------------------------------------------------------------------------------------------


def asking(**changes: Any) -> AskingNear:
    given = {"manner": "conversation", "language": "en", "own": None, "count": 2, "at_once": False, "characters": 4000}
    return AskingNear(**{**given, **changes})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_for_one_and_for_several_with_the_texts_of_the_pair(language: str) -> None:
    one = asking(language=language).prompt("the question", "the answer")
    assert isinstance(one, list) and all(isinstance(each, Message) for each in one)
    assert "the question" in one[-1].text and "the answer" in one[-1].text
    several = asking(language=language, at_once=True).prompt("the question", "the answer")
    assert isinstance(several, str) and "2" in several and "{count}" not in several
    goes_on = asking(language=language, manner="continuation").prompt("the question", "the answer")
    assert isinstance(goes_on, str) and goes_on.endswith(f"{LANGUAGES[language].near}:")


def test_a_prompt_of_ones_own_is_filled_as_it_stands() -> None:
    own = "{count} texts near {query}, not {passage}!"
    assert (
        asking(own=own, at_once=True).prompt("a {passage} b", "c {query} d")
        == "2 texts near a {passage} b, not c {query} d!"
    )
    assert asking(own=own, characters=3).prompt("q", "abcdef") == "1 texts near q, not abc!"


def test_what_announces_texts_and_stands_around_them_is_taken_off() -> None:
    answer = Answer(('Sure, here are two:\n\n1. "A first text."\n2) **Text:** A second text.\n3. A third.',), (False,))
    assert [each.text for each in wanted(answer, asking(at_once=True))] == ["A first text.", "A second text."]
    thinking = Answer(("<think>The user wants\na text.</think>\nA text\nof two lines.",), (False,))
    assert [each.text for each in wanted(thinking, asking(at_once=True, count=1))] == ["A text of two lines."]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strategy": "adversarial"}, "by is missing"),
        ({"strategy": "top", "by": "w"}, "by has no effect without strategy: adversarial"),
        ({"strategy": "adversarial", "by": "w", "prompt": "Write!"}, r"the prompt has no \{query\} and no \{passage\}"),
        ({"strategy": "adversarial", "by": "w", "range_max": 9}, "range_max has no effect without a ranking"),
        ({"strategy": "adversarial", "by": "w", "model": "e"}, "model has no effect without min_score"),
        ({"strategy": "adversarial", "by": "w", "not_same": "title"}, "not_same has no effect without documents"),
        ({"strategy": "adversarial", "by": "w", "chunk": 9}, "chunk has no effect"),
        ({"strategy": "system"}, "system is missing"),
        ({"strategy": "bm25", "system": "bm25"}, "system has no effect without strategy: system"),
    ],
)
def test_options_that_do_nothing_or_are_missing_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Negatives(**options)


def test_a_model_that_heeds_no_instruction_is_refused_unless_the_prompt_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="heeds no instruction"):
        written(tmp_path, "Shoes are sold in pairs.", manner="passage")
    with pytest.raises(InvalidOptions, match="is a language that there is no prompt in"):
        written(tmp_path, "Shoes are sold in pairs.", language="xx")


def test_the_generator_and_the_prompt_decide_the_key(tmp_path: Path) -> None:
    text = "Shoes are sold in pairs."
    own = {"prompt": "Not for: {query}\nNor like: {passage}"}
    changes: list[dict[str, Any]] = [{}, own, {"language": "de"}, {"passage_characters": 60}, {"lacking": "random"}]
    keys = [written(tmp_path, text, **change).key for change in changes]
    keys.append(written(tmp_path, "Boots are sold in pairs.").key)  # its script is of its identity
    assert len(set(keys)) == len(keys)


# -- a model that learns from them -------------------------------------------------------------------------------------

KEY = "planted-key-0123456789abcdef"
PRICE = {"provider": "paid_forger", "model": "scribe", "unit": "per_million_tokens", "usd": 100.0, "output_usd": 100.0}


def spec_of(data: Path, model: Path, **keys: Any) -> dict[str, Any]:
    spec = planted.experiment(data, model, prices=[PRICE], **keys)
    tuned = {
        **spec["models"]["tuned"],
        "epochs": 1,
        "negatives": {"strategy": "adversarial", "by": "w", "per_query": 2},
    }
    return {"generators": {"w": {"adapter": "paid_forger"}}, **spec, "models": {"tuned": tuned}}


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 documents with two training questions each: 32 pairs."""
    return planted.collection(tmp_path_factory.mktemp("few") / "data", splits={"train": 2, "dev": 1, "test": 1})


@pytest.fixture(scope="module")
def trained(small_data: Path, static_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A dry run, a training of two seeds, another dry run."""
    folder = tmp_path_factory.mktemp("written")
    spec = spec_of(small_data, static_model)
    spec["models"]["tuned"]["seeds"] = 2
    experiment = planted.written(folder, spec)
    cache = folder / "cache"
    before = plan_training(experiment, [], cache, emit=lambda event: None)
    asked_by_plan = asked(folder)
    [model] = train_models(experiment, [], cache, emit=lambda event: None)
    spec["models"]["tuned"]["epochs"] = 2
    after = plan_training(planted.written(folder, spec), [], cache, emit=lambda event: None)
    return folder, cache, before, asked_by_plan, model, after


def test_a_dry_run_tells_texts_requests_tokens_and_the_bill_and_asks_nobody(trained: Any) -> None:
    _, _, before, asked_by_plan, _, after = trained
    assert "negatives: 2 texts for each pair, adversarial" in before
    assert "w: 64 texts to write in 32 requests for 32 of 32 pairs" in before
    assert "tokens read" in before and "USD, ± 20%" in before
    assert asked_by_plan == 0
    assert "w: 32 pairs, all written for already" in after


def test_a_pair_is_asked_for_once_for_all_seeds(trained: Any) -> None:
    folder, _, _, _, model, _ = trained
    assert model.error is None and asked(folder) == 32
    assert (model.negatives.strategy, model.negatives.generator) == ("adversarial", "paid_forger scribe")
    assert (model.negatives.wanted, model.negatives.found) == (64, 64)


def test_origin_and_card_tell_who_wrote_the_negatives_and_what_was_asked(trained: Any) -> None:
    _, cache, _, _, _, _ = trained
    for kept in KeptModels(Cache(cache)).all():
        facts = kept.provenance.negatives
        assert facts is not None and facts.generator == "paid_forger scribe"
        assert facts.prompt is not None and "{query}" in facts.prompt and "{passage}" in facts.prompt
        assert facts.options["by"] == "w"
        card = (kept.folder / "README.md").read_text()
        assert "written by `paid_forger scribe`" in card and "no model has looked" in card


def test_who_writes_negatives_is_known_before_anything_is_sent(
    small_data: Path, static_model: Path, tmp_path: Path
) -> None:
    spec = spec_of(small_data, static_model, generators={"w": {"adapter": "openai", "model": "gpt-5-mini"}})
    spec["models"]["tuned"]["negatives"]["by"] = "w"
    assert any("generators.w" in place for place in contacts_of(planted.written(tmp_path, spec)))
    other = {**spec, "models": {"tuned": {"recipe": "mnrl", "base": "static"}}}
    assert not any("generators.w" in place for place in contacts_of(planted.written(tmp_path, other)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"by": "writer"}, r"models\.tuned\.negatives\.by \(writer\) is not among the generators"),
        ({"by": None}, "by is missing: name the generator"),
        ({"filter": "judge"}, r"models\.tuned\.negatives\.filter \(judge\) is not among the rerankers"),
        ({"language": "xx"}, r"models\.tuned\.negatives\.language"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_asked(
    small_data: Path, static_model: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    spec = spec_of(small_data, static_model)
    negatives = {**spec["models"]["tuned"]["negatives"], **change}
    spec["models"]["tuned"]["negatives"] = {key: value for key, value in negatives.items() if value is not None}
    with pytest.raises(ConfigFaults, match=told):
        train_models(planted.written(tmp_path, spec), [], tmp_path / "cache", emit=lambda event: None)
    assert asked(tmp_path) == 0


def test_a_limit_that_would_be_passed_stops_before_the_first_text(
    small_data: Path, static_model: Path, tmp_path: Path
) -> None:
    spec = spec_of(small_data, static_model, max_cost=0.01)
    with pytest.raises(ConfigFaults, match=r"max_cost \(0.01 USD\) would be passed"):
        train_models(planted.written(tmp_path, spec), [], tmp_path / "cache", emit=lambda event: None)
    mine = small.bench("mine", tmp_path / "bench.yaml", "--cache", tmp_path / "cache", "--quiet")
    assert mine.exit_code == 2 and "max_cost (0.01 USD) would be passed" in mine.stderr
    assert asked(tmp_path) == 0


@pytest.mark.slow
def test_a_killed_training_pays_for_nothing_twice(small_data: Path, static_model: Path, tmp_path: Path) -> None:
    spec = spec_of(small_data, static_model, generators={"w": {"adapter": "paid_forger", "die_after": 15}})
    planted.written(tmp_path, spec)
    environment = {**os.environ, "PYTHONPATH": str(site(tmp_path / "site"))}
    command = [sys.executable, "-m", "bench", "train", str(tmp_path / "bench.yaml"), "--quiet"]
    died = subprocess.run(
        [*command, "--cache", str(tmp_path / "cache")], env=environment, capture_output=True, text=True, check=False
    )
    assert died.returncode == 9, died.stderr
    assert asked(tmp_path) == 15
    spec["generators"]["w"]["die_after"] = None
    [model] = train_models(planted.written(tmp_path, spec), [], tmp_path / "cache", emit=lambda event: None)
    assert model.error is None and asked(tmp_path) == 32  # the first 15 were kept


# -- the commands ------------------------------------------------------------------------------------------------------


def test_the_commands_that_mine_and_export_ask_the_same_writer(
    small_data: Path, static_model: Path, tmp_path: Path
) -> None:
    planted.written(tmp_path, spec_of(small_data, static_model))
    at = [tmp_path / "bench.yaml", "--cache", tmp_path / "cache"]
    planned = small.bench("mine", *at, "--quiet", "--dry-run")
    assert planned.stdout.startswith("32 pairs, 2 negatives for each, strategy adversarial by w\n"), planned.stderr
    assert "  w: 64 texts to write in 32 requests for 32 of 32 pairs" in planned.stdout
    assert "bill, estimated" in planned.stdout and "w: negatives for 32 pairs: " in planned.stdout
    assert asked(tmp_path) == 0
    told = json.loads(small.bench("mine", *at, "--quiet", "--json").stdout)
    assert (told["strategy"], told["writer"], told["found"]) == ("adversarial", "paid_forger scribe", 64)
    # 32 requests × (100 tokens read + 30 written) × 100 USD for a million = 0.416 USD
    assert told["usd"] == pytest.approx(0.416)
    alone = small.bench("mine", *at, "--quiet", "--strategy", "adversarial", "--per-query", "2")
    assert alone.exit_code == 0, alone.stderr
    assert "strategy adversarial by paid_forger scribe: 64 of 64 negatives found." in alone.stdout
    assert "3,200 tokens were read and 960 written: 0.4160 USD." in alone.stdout
    assert asked(tmp_path) == 32  # what the first command had written
    out = tmp_path / "training.jsonl"
    done = small.bench("export-training", *at, "--output", out, "--negatives", "adversarial", "--per-query", "2")
    assert done.exit_code == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 32 and all(len(row["hard_negatives"]) == 2 for row in rows)
    assert asked(tmp_path) == 32


@pytest.mark.parametrize(("adapter", "model"), [("cohere", "command-a-03-2025"), ("openai", "gpt-5-mini")])
def test_a_managed_service_writes_negatives_and_its_key_stands_nowhere(
    small_data: Path,
    static_model: Path,
    tmp_path: Path,
    standin: Any,
    monkeypatch: pytest.MonkeyPatch,
    adapter: str,
    model: str,
) -> None:
    standin.keys = frozenset({KEY})
    for variable in ("CO_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    standin.says = lambda messages: "- The first lists prices.\n- The second lists opening hours."
    generators = {"w": {"adapter": adapter, "model": model, "backoff_seconds": 0.001}}
    spec = spec_of(small_data, static_model, generators=generators)
    planted.written(tmp_path, spec)
    found = json.loads(small.bench("mine", tmp_path, "--cache", tmp_path / "cache", "--quiet", "--json").stdout)
    assert found["writer"] == f"{adapter} {model}" and found["found"] == 64
    assert sum(standin.seen.answered.values()) == 32
    held = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not held
