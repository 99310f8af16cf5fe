"""Small collections and experiments for whole runs, and a third party's adapters as an installer would leave them."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import Result as Outcome
from typer.testing import CliRunner

from bench.cli import app
from bench.experiment.reader import load_experiment
from bench.results.model import Result, SystemResult
from bench.run.folder import Listener, Places
from bench.run.runner import run

HERE = Path(__file__).resolve().parent
ODD = "odd_adapters"
ENTRY_POINTS = f"""[retrieval_bench.encoders]
words = {ODD}:WordsEncoder
[retrieval_bench.stores]
fragile = {ODD}:FragileStore
forgetful = {ODD}:ForgetfulStore
lazy = {ODD}:LazyStore
full_disk = {ODD}:FullDisk
slow = {ODD}:SlowStore
clumsy = {ODD}:ClumsyStore
"""
SUBJECTS = [
    "copper", "violin", "harbour", "orchard", "glacier", "lantern", "falcon", "saddle", "pepper", "mirror",
    "canyon", "ribbon", "anchor", "beetle", "chapel", "dagger", "engine", "fabric", "garden", "hammer",
]  # fmt: skip
VERBS = ["polishes", "carries", "measures", "repairs", "follows", "paints", "hides", "sells", "finds", "breaks"]


# The command as a program that Ctrl-C ends. A shell gives jobs in the background a SIGINT that is ignored, and children
# inherit it. A preexec_fn would do, but it forks in Python, which lance warns of in a process that has imported it.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from bench.cli import main; main()"
)


def third_party(folder: Path, module: str = ODD, entry_points: str = ENTRY_POINTS) -> Path:
    """A site folder with a module of `third_party` and the metadata of the distribution that brings its adapters."""
    for source in (HERE / "third_party").glob(f"{module}*.py"):  # with the code that it exports
        shutil.copy(source, folder)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder


@contextmanager
def installed(folder: Path, module: str = ODD, entry_points: str = ENTRY_POINTS) -> Iterator[None]:
    """The third party's adapters on this process's path."""
    sys.path.insert(0, str(third_party(folder, module, entry_points)))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module, None)


def collection(folder: Path, *, documents: int = 60, queries: int = 12, seed: int = 0) -> Path:
    """A BEIR folder. Every document is a distinct sentence of known words; query i asks for document i in part of its
    words, so that BM25 and vectors find much and miss some. Every second document has lang en, the others de."""
    rng = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < documents:
        subject, verb, other, third = rng.choice(SUBJECTS), rng.choice(VERBS), *rng.choice(SUBJECTS, 2)
        texts[f"the {subject} {verb} the {other} near the {third} number {rng.integers(50)}"] = None
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"_id": f"d{i}", "text": t, "lang": ("en", "de")[i % 2]} for i, t in enumerate(texts)]
    asked = [" ".join(rng.permutation(text.split()[1:])[:4]) for text in list(texts)[:queries]]
    asks = [{"_id": f"q{i}", "text": f"{text} question {i}"} for i, text in enumerate(asked)]
    write_jsonl(folder / "corpus.jsonl", rows)
    write_jsonl(folder / "queries.jsonl", asks)
    judged = "".join(f"q{i}\td{i}\t2\nq{i}\td{(i + 1) % documents}\t1\n" for i in range(queries))
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_text(judged, encoding="utf-8")
    return folder


def write_jsonl(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def vectors(folder: Path, *, documents: int, queries: int, dimension: int = 32, seed: int = 0) -> Path:
    """corpus.npy and queries.npy: documents around 20 centres, queries near documents."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dimension))
    corpus = centres[rng.integers(20, size=documents)] + 0.6 * rng.standard_normal((documents, dimension))
    asked = corpus[rng.choice(documents, queries, replace=False)] + 0.3 * rng.standard_normal((queries, dimension))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "corpus.npy", corpus.astype(np.float32))
    np.save(folder / "queries.npy", asked.astype(np.float32))
    return folder


def spec(systems: Sequence[Any], **keys: Any) -> dict[str, Any]:
    """An experiment over the collection in `data`, without a latency pass unless asked for."""
    return {
        "experiment": "small",
        "dataset": {"adapter": "beir", "path": "data"},
        "stores": {"bm25": {"adapter": "bm25"}},
        "systems": list(systems),
        "latency": False,
        **keys,
    }


def write(folder: Path, experiment: Any) -> Path:
    path = folder / "bench.yaml"
    path.write_text(experiment if isinstance(experiment, str) else yaml.safe_dump(experiment, sort_keys=False))
    return path


def measure(
    folder: Path, experiment: Any, *overrides: str, remeasure: bool = False, listeners: Sequence[Listener] = ()
) -> tuple[Path, Result]:
    """Run an experiment in this process; cache and results lie in the folder."""
    loaded = load_experiment(write(folder, experiment), overrides)
    return run(loaded, Places(folder / "results", folder / "cache"), remeasure=remeasure, listeners=listeners)


def bench(*arguments: str | Path, input: str | None = None) -> Outcome:
    """The command, in this process: exit_code, stdout, stderr. input: what is piped into it."""
    outcome = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="bench", input=input)
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome


def older_record(path: Path, *forgotten: str) -> None:
    """Rewrite an index's record as a version before digests and stamps of builds left it, and without further keys of
    it (`build_memory`, `ref.withheld`)."""
    record = json.loads(path.read_text())
    for key in ("digest", "files", "build_id"):
        record.pop(key, None)
    for name in forgotten:
        *parents, key = name.split(".")
        del (record[parents[0]] if parents else record)[key]
    path.write_text(json.dumps(record))


def by_name(result: Result) -> dict[str, SystemResult]:
    return {system.name: system for system in result.systems}


def means(result: Result) -> dict[str, dict[str, float | None]]:
    return {s.name: {name: value.mean for name, value in s.measures.items()} for s in result.systems}
