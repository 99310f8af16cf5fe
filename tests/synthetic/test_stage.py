"""Laws of synthetic queries from the documents to the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from bench.cache.mark import PARTS, named_by_us
from bench.data.written import BOTH, SCHEMA, TRAINING, WrittenSource
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.experiment.trust import contacts_of
from bench.money.budget import Budget
from bench.money.cost import NO_PRICES
from bench.quality.collection import evaluated_data
from bench.report.table import render
from bench.results.model import Result
from bench.run.folder import Places
from bench.run.plan import plan
from bench.run.preflight import budget_of
from bench.run.queries import with_queries
from bench.run.runner import run
from bench.synthetic.choosing import chosen_documents
from bench.synthetic.writing import opened
from bench.train.collection import load_splits
from tests import small
from tests.synthetic.made import SAMPLE, asked, experiment, scribes, site

PRICE = {"provider": "paid_scribe", "model": "scribe", "unit": "per_million_tokens", "usd": 100.0, "output_usd": 100.0}


class Made(NamedTuple):
    folder: Path
    file: Path
    result: Result
    plan_before: str
    plan_after: str
    asked_by_plan: int
    asked_by_run: int


def quiet(event: Any) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("synthetic")
    with scribes(place / "site"):
        yield place


@pytest.fixture(scope="module")
def made(places: Path) -> Made:
    """A run over documents alone, planned before and after."""
    folder = places / "run"
    file = experiment(folder)
    cache = folder / "cache"
    before = plan(load_experiment(file), cache, emit=quiet)
    planned = asked(folder)
    _, result = run(load_experiment(file), Places(folder / "results", cache))
    ran = asked(folder)
    after = plan(load_experiment(file), cache, emit=quiet)
    return Made(folder, file, result, before, after, planned, ran)


def test_a_run_over_documents_alone_measures_with_synthetic_queries(made: Made) -> None:
    assert made.result.status == "success"
    about = made.result.dataset.synthetic
    assert about is not None and about.used_for == "all" and about.generator == "s"
    assert about.documents == SAMPLE and about.queries == made.result.dataset.judged
    # Three questions for each of 40 documents: what is not kept was dropped for a reason that is told.
    assert about.queries + sum(about.dropped.values()) == 3 * SAMPLE
    assert about.tokens == 10 * SAMPLE and about.output_tokens == 4 * 3 * SAMPLE and about.usd == 0.0


def test_every_table_says_synthetic_with_who_wrote_them_and_whom_the_round_trip_favours(made: Made) -> None:
    table = render(made.result)
    assert "data, synthetic queries" in table.splitlines()[0]
    assert f"! synthetic: all {made.result.dataset.judged} evaluated queries were written by s (scribe scribe)" in table
    assert "only queries whose document bm25 finds among its first 5 were kept, which favours it" in table


def test_a_dry_run_tells_what_would_be_written_and_writes_at_most_a_few(made: Made) -> None:
    assert f"s: 120 questions to write for {SAMPLE} of {SAMPLE} documents, about" in made.plan_before
    assert made.asked_by_plan <= 5
    assert f"s: {SAMPLE} documents, all written for already" in made.plan_after


def test_nothing_is_written_twice(made: Made, places: Path) -> None:
    assert made.asked_by_run == made.asked_by_plan + SAMPLE
    before = asked(made.folder)
    run(load_experiment(made.file), Places(made.folder / "again", made.folder / "cache"))
    harder = load_experiment(made.file, ["synthetic.round_trip.top=1"])  # another sieve for the same texts
    _, result = run(harder, Places(made.folder / "again", made.folder / "cache"))
    assert asked(made.folder) == before
    assert result.dataset.synthetic is not None and result.dataset.synthetic.round_trip_top == 1
    assert result.dataset.judged <= made.result.dataset.judged


def test_queries_are_the_same_whatever_cache_they_were_written_into(made: Made) -> None:
    _, other = run(load_experiment(made.file), Places(made.folder / "again", made.folder / "other cache"))
    assert other.dataset.fingerprint == made.result.dataset.fingerprint


def test_a_larger_sample_holds_a_smaller_one_and_equal_documents_are_one() -> None:
    names, texts = [f"d{i}" for i in range(50)], [f"text {i}" for i in range(49)] + ["TEXT  0"]
    corpus = pa.table({"id": names, "title": pa.nulls(50, pa.string()), "text": [*texts[:48], "", texts[49]]})
    small, large = (chosen_documents(corpus, size, 0) for size in (10, 20))
    assert large[:10] == small
    everything = chosen_documents(corpus, None, 0)
    assert len(everything) == 48  # 50, but for the empty one and the repeated one
    assert next(each for each in everything if "d0" in each.document_ids).document_ids == ("d0", "d49")
    assert [each.text for each in chosen_documents(corpus, 10, 1)] != [each.text for each in small]


def test_no_documents_questions_stand_in_two_splits(made: Made) -> None:
    read = load_experiment(made.file)
    with opened(read, made.folder / "cache", quiet, Budget(NO_PRICES, None)) as writing:
        questions = writing.written().table
        seen: dict[str, str] = {}
        for split in ("train", "dev", "test"):
            source = WrittenSource(writing.source, writing.tables, questions, BOTH, title="t").of_split(split)
            tables = source.load()
            assert tables.qrels is not None and tables.queries.num_rows
            for document in tables.qrels.column("document_id").to_pylist():
                assert seen.setdefault(document, split) == split
        assert WrittenSource(writing.source, writing.tables, questions, TRAINING, title="t").splits() == (
            "train",
            "dev",
        )
    assert questions.schema == SCHEMA
    assert len(set(questions.column("id").to_pylist())) == questions.num_rows


def test_models_learn_from_synthetic_queries_while_real_ones_are_evaluated(places: Path) -> None:
    folder = places / "train"
    models = {"m": {"recipe": "mnrl", "base": "package:none/none"}}
    file = experiment(
        folder, labelled=True, dataset={"adapter": "beir", "path": "data", "queries": {"train": "synthetic"}},
        models=models,
    )  # fmt: skip
    read = load_experiment(file)
    assert read.needs_written
    with opened(read, folder / "cache", quiet, Budget(NO_PRICES, None)) as writing:
        read = replace(read, written=writing.written())
    evaluated = evaluated_data(read, folder / "cache", quiet)
    splits = load_splits(read, folder / "cache", evaluated=evaluated)
    assert all(name.startswith("q") for name in evaluated.query_ids) and evaluated.judged == 12
    assert all(name.startswith("synthetic-") for name in [*splits.train.query_ids, *splits.dev.query_ids])
    assert any("synthetic" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("synthetic.by=t5", "synthetic.by (t5) is not among the generators"),
        ("synthetic.round_trip.system=bm52", "synthetic.round_trip.system (bm52) is not a system"),
        ("synthetic.prompt=Ask!", "the prompt has no {passage}"),
        ("synthetic.per_document=0", "synthetic.per_document"),
        ("synthetic=null", "synthetic is missing: dataset.queries asks for synthetic queries"),
        ("dataset.queries={train: synthetic}", "dataset.queries.train has no effect without models to train"),
        ("dataset.queries=synthetics", "dataset.queries"),
    ],
)
def test_what_is_wrong_is_named_before_the_start(made: Made, change: str, told: str) -> None:
    with pytest.raises(ConfigFaults) as caught:
        load_experiment(made.file, [change])
    assert told in str(caught.value)


@pytest.mark.parametrize("writes", ["copy", "same"])
def test_a_run_without_a_single_fit_question_says_why(places: Path, writes: str) -> None:
    folder = places / writes
    file = experiment(folder, generators={"s": {"adapter": "scribe", "writes": writes}})
    with pytest.raises(ConfigFaults) as caught:
        run(load_experiment(file), Places(folder / "results", folder / "cache"))
    reason = {"copy": "120 copied from the document", "same": "40 written for several documents"}[writes]
    assert "synthetic: nothing is left of what s wrote" in str(caught.value) and reason in str(caught.value)
    assert not (folder / "results").exists()


def test_all_else_is_checked_before_anything_is_written(places: Path) -> None:
    folder = places / "early"
    file = experiment(folder, encoders={"e": {"adapter": "sentence_transformers", "model": "./nowhere"}})
    read = load_experiment(file, ["systems[0]={encoder: e}"])
    with pytest.raises(ConfigFaults) as caught:
        run(read, Places(folder / "results", folder / "cache"))
    assert "encoders.e" in str(caught.value) and asked(folder) == 0
    read = load_experiment(file, ["synthetic.round_trip.system=e"])  # needed for the round trip alone
    with pytest.raises(ConfigFaults) as caught:
        run(read, Places(folder / "results", folder / "cache"))
    assert "encoders.e" in str(caught.value) and asked(folder) == 0


# -- money and kills ---------------------------------------------------------------------------------------------------


def test_what_is_billed_is_told_before_and_after_and_kept(places: Path) -> None:
    folder = places / "paid"
    file = experiment(folder, scribe="paid_scribe", prices=[PRICE])
    told = plan(load_experiment(file), folder / "cache", emit=quiet)
    assert asked(folder) == 0 and "bill, estimated" in told and "s: questions for 40 documents:" in told
    _, result = run(load_experiment(file), Places(folder / "results", folder / "cache"))
    about = result.dataset.synthetic
    assert about is not None and asked(folder) == SAMPLE
    # 40 documents × (100 tokens read + 30 written) × 100 USD for a million = 0.52 USD
    assert about.usd == pytest.approx(0.52)
    _, again = run(load_experiment(file), Places(folder / "results", folder / "cache"))
    assert asked(folder) == SAMPLE and again.dataset.synthetic == about


def test_a_limit_that_would_be_passed_stops_before_the_first_question(places: Path) -> None:
    folder = places / "limit"
    file = experiment(folder, scribe="paid_scribe", prices=[PRICE], max_cost=0.05)
    with pytest.raises(ConfigFaults) as caught:
        run(load_experiment(file), Places(folder / "results", folder / "cache"))
    assert "max_cost (0.05 USD) would be passed" in str(caught.value) and asked(folder) == 0
    unpriced = load_experiment(file, ["prices=[]"])
    with pytest.raises(ConfigFaults, match="no price is known of paid_scribe scribe"):
        with_queries(unpriced, folder / "cache", quiet)
    assert asked(folder) == 0


def test_what_queries_cost_counts_against_the_limit_of_all_that_follows(places: Path) -> None:
    folder = places / "spent"
    file = experiment(folder, scribe="paid_scribe", prices=[PRICE], max_cost=1.0)
    words = ("export-training", file, "--cache", folder / "cache", "--set", "dataset.split=test")
    planned = small.bench(*words, "--dry-run")
    assert "s: 120 questions to write for 40 of 40 documents" in planned.stdout, planned.stderr
    assert "tokens read" in planned.stdout and "USD" in planned.stdout
    assert asked(folder) == 0
    written = with_queries(load_experiment(file), folder / "cache", quiet)
    assert budget_of(written).spent == written.spent == pytest.approx(0.52)
    assert with_queries(load_experiment(file), folder / "cache", quiet).spent == 0  # they are kept


def test_a_killed_run_pays_for_nothing_twice(places: Path) -> None:
    folder = places / "killed"
    file = experiment(folder, generators={"s": {"adapter": "paid_scribe", "die_after": 15}})
    environment = {**os.environ, "PYTHONPATH": str(site(folder / "site"))}
    command = [sys.executable, "-m", "bench", "run", str(file), "--cache", str(folder / "cache"), "--quiet"]
    command += ["--output", str(folder / "results")]
    died = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    assert asked(folder) == 15
    _, result = run(load_experiment(file, ["generators.s.die_after=null"]), Places(folder / "r", folder / "cache"))
    assert asked(folder) == SAMPLE  # the first 15 were kept
    _, other = run(load_experiment(file, ["generators.s.die_after=null"]), Places(folder / "r", folder / "other"))
    assert other.dataset.fingerprint == result.dataset.fingerprint


def test_a_damaged_piece_is_written_again(places: Path) -> None:
    folder = places / "damaged"
    file = experiment(folder, scribe="paid_scribe")
    run(load_experiment(file), Places(folder / "results", folder / "cache"))
    pieces = sorted((folder / "cache" / "synthetic").glob("*/*.json"))
    assert len(pieces) == SAMPLE
    pieces[0].write_text(pieces[0].read_text().replace("the", "teh", 1))
    pieces[1].write_text(json.dumps({"answers": []}))
    run(load_experiment(file), Places(folder / "results", folder / "cache"))
    assert asked(folder) == SAMPLE + 2


# -- who is talked to --------------------------------------------------------------------------------------------------


def test_whom_the_generator_talks_to_is_announced_and_refused_like_any_part(made: Made) -> None:
    managed = "generators.s={adapter: openai, model: m, base_url: 'https://example.org/v1', api_key_env: MINE}"
    read = load_experiment(made.file, [managed])
    assert [contact.host for contact in contacts_of(read)["generators.s"]] == ["example.org"]
    with pytest.raises(ConfigFaults, match=r"generators\.s talks to example\.org, and a restricted run"):
        load_experiment(made.file, [managed], restricted=True)


def test_kept_texts_are_cleaned_away_with_the_cache(made: Made) -> None:
    assert "synthetic" in PARTS
    names = [path.name for path in (made.folder / "cache" / "synthetic").iterdir()]
    assert names and all(named_by_us("synthetic", name) for name in names)
