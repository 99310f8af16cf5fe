"""What stands in the tables of the pages is what the code has: rooms, hooks, fields and columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from adapters import base
from adapters.base import Adapter, DatasetSource, Encoder, Event, Reranker, Session, Store, Tracker
from bench.experiment.file import ExperimentFile
from bench.experiment.models import ModelEntry
from bench.results.history import HISTORY
from bench.results.model import Result, result_schema
from tests import small
from tests.conftest import REPOSITORY
from tests.pages import blocks as pages
from tests.test_architecture import ROOMS

CONTRACTS = {
    "Every role": Adapter,
    "DatasetSource": DatasetSource,
    "Encoder": Encoder,
    "Store": Store,
    "Session": Session,
    "Reranker": Reranker,
    "Tracker": Tracker,
}
KEYS = {
    "ExperimentFile": "The keys of the file",
    "SystemEntry": "Keys of a system",
    "Synthetic": "Keys of synthetic",
    "RoundTrip": "Keys of round_trip",
    "Structured": "Keys of synthetic with a template",
    "NumberRange": "Keys of a range of numbers",
    "LoadPoint": "Keys of a load point",
    "IngestPlan": "Keys of ingest",
    "Margins": "Keys of margin",
    "ProjectedSize": "Keys of projection",
}
FILLED_IN = {"_insert", "_settle"}  # hooks that are not abstract: a store that takes no rows leaves them


def test_the_page_on_architecture_has_the_rooms_as_they_are() -> None:
    told = {row[0]: row[2] for row in pages.rows("docs/architecture.md", "## Rooms")}
    assert told == {name: ", ".join(sorted(others)) or "–" for name, others in ROOMS.items()}
    for name in told:
        assert (REPOSITORY / "bench" / name).is_dir() or (REPOSITORY / "bench" / f"{name}.py").is_file()


def test_the_page_on_architecture_has_the_rooms_of_adapters() -> None:
    told = {row[0] for row in pages.rows("docs/architecture.md", "## Rooms of adapters")}
    there = {
        f"adapters/{path.name}"
        for path in (REPOSITORY / "adapters").iterdir()
        if (path / "__init__.py").is_file() and not path.name.startswith("_")
    }
    assert told == there


@pytest.mark.parametrize("heading", CONTRACTS)
def test_the_page_on_adapters_has_every_class_variable_and_hook(heading: str) -> None:
    contract = CONTRACTS[heading]
    hooks = {name for name in contract.__abstractmethods__ if not (name in vars(Adapter) and contract is not Adapter)}
    own = {**vars(contract), **vars(contract).get("__annotations__", {})}
    public = {name for name in own if not name.startswith("_")} | hooks | (FILLED_IN & set(own))
    told = {name for row in pages.rows("docs/adapters.md", f"### {heading}") for name in re.split(r", ", row[0])}
    assert told == public


def test_the_page_on_adapters_names_nothing_that_base_does_not_have() -> None:
    for block in pages.blocks("python", "docs/adapters.md"):
        for names in re.findall(r"from adapters\.base import \(?([^)]*?)\)?\n\n", block.text):
            assert {name.strip() for name in names.split(",") if name.strip()} <= set(base.__all__)


def test_the_page_on_results_says_of_every_field_what_its_schema_says() -> None:
    schema = result_schema()
    for name, model in {"Result": schema, **schema["$defs"]}.items():
        said = {field: option["description"].replace("`", "") for field, option in model["properties"].items()}
        assert dict(pages.rows("docs/results.md", f"### {name}")) == said, f"docs/results.md, {name}"


def test_the_page_on_results_has_the_history_of_the_format() -> None:
    told = pages.rows("docs/results.md", "## What a later release may change")
    assert told == [[str(added.format), added.release, added.day, added.what] for added in HISTORY]


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A result with two encoders' times, rows that were written meanwhile, and two measures."""
    folder = tmp_path_factory.mktemp("timed")
    small.collection(folder / "data", documents=60, queries=12)
    queries = folder / "data" / "queries.jsonl"
    queries.write_text(queries.read_text(encoding="utf-8").replace("}", ', "length": 4}'), encoding="utf-8")
    with small.installed(tmp_path_factory.mktemp("site")):
        return small.measure(
            folder,
            small.spec(
                [{"name": "bm25", "store": "bm25"}, {"name": "dense", "encoder": "words"}],
                encoders={"words": {"adapter": "words"}},
                measures=["nDCG@10", "ANN@10"],
                baseline="bm25",
                latency=[
                    {"samples": 6, "turn_seconds": 0.001},
                    {"workers": 2, "samples": 6, "ingest": {"rows_per_second": 500}},
                ],
            ),
        )


def test_the_page_on_results_has_every_column_of_the_files(timed: tuple[Path, Result]) -> None:
    kept: dict[str, dict[str, str]] = {
        "per_query": {"nDCG@10": "<measure>", "ANN@10": "<measure>"},
        "timings": {"encode_seconds.words": "encode_seconds.<encoder>"},
        "qrels": {},
        "texts": {"meta.length": "meta.<name>"},
    }
    for name, shown in kept.items():
        columns = pq.read_schema(timed[0] / f"{name}.parquet").names
        told = {row[0] for row in pages.rows("docs/results.md", f"## {name}.parquet")}
        assert told == {shown.get(column, column) for column in columns}


def test_the_page_on_results_has_every_event() -> None:
    told = {row[0] for row in pages.rows("docs/results.md", "## events.jsonl")}
    assert told == {kind.__name__ for kind in get_args(Event)}


def test_the_page_on_results_has_every_column_of_the_printed_tables() -> None:
    """Of the first screen of the README, which the quick start printed, and of all tables of a kept result."""
    [block] = [block for block in pages.blocks("text") if block.name == "quickstart"]
    every = (REPOSITORY / "tests/golden/table.txt").read_text(encoding="utf-8")
    told = {name for row in pages.rows("docs/results.md", "## The printed tables") for name in row[0].split(", ")}
    named = [re.sub("<[^>]+>", "@", name) for name in told]
    patterns = [re.compile(re.escape(name).replace("@", ".+") + "$") for name in named if name != "@"]
    measures = re.compile(r"\w+@\d+$")
    lines = [line.strip() for text in (block.text, every) for line in text.splitlines()]
    headings = [line for line in lines if re.match("(system|encoder|model)  ", line)]
    assert len(headings) >= 9
    for heading in (cell for line in headings for cell in re.split(r"  +", line)):
        assert measures.match(heading) or any(p.match(heading) for p in patterns), heading


def test_the_page_on_experiments_has_every_key() -> None:
    schema = ExperimentFile.model_json_schema()
    found = {"ExperimentFile": schema, **schema["$defs"]}
    for model, heading in KEYS.items():
        told = [row[0] for row in pages.rows("docs/experiment.md", f"### {heading}")]
        assert sorted(told) == sorted(found[model]["properties"]), f"docs/experiment.md, {heading}"
    assert set(KEYS) == {name for name, model in found.items() if "properties" in model}


def test_the_page_on_training_has_every_key_of_a_model() -> None:
    told = {row[0]: row[2] for row in pages.rows("docs/training.md", "## Models of an experiment")}
    assert told == {name: field.description for name, field in ModelEntry.model_fields.items()}


def test_each_law_on_the_page_on_numbers_has_three_sentences() -> None:
    laws = pages.prose(REPOSITORY / "docs/numbers.md").split("\n## ")[1:]
    for law in laws:
        title, _, text = law.partition("\n")
        sentences = re.findall(r"[.?!](?=\s|$)", re.sub(r"`[^`]*`", "", text))
        assert len(sentences) == 3, (title, len(sentences))
