"""No line of an engine reaches a user's screen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.quiet import quieten_engines
from tests import small
from tests.conftest import REPOSITORY

_SET_BY_TESTS = ("_LOG", "_VERBOSITY", "TQDM_DISABLE", "TOKENIZERS_PARALLELISM")


def fresh() -> dict[str, str]:
    """The environment as it was before the adapters were imported here, with their place."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(_SET_BY_TESTS)}
    return {**kept, "PYTHONPATH": str(REPOSITORY)}


def stderr_of(folder: Path, experiment: Any, *arguments: str) -> str:
    """What `bench run` writes beside its result, in a process of its own; it must succeed."""
    small.write(folder, experiment)
    command = [sys.executable, "-m", "bench", "run", "bench.yaml", "--cache", "cache", *arguments]
    environment = fresh()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stderr


@pytest.mark.slow
def test_no_engine_writes_to_the_screen_of_a_quiet_run(tmp_path: Path, static_model: Path) -> None:
    small.collection(tmp_path / "data", documents=300, queries=12)
    types = ["IVF_PQ", "IVF_RQ", "IVF_HNSW_SQ"]
    lance = {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": ["vector", "hybrid"]}}
    stores = {
        "bm25": {"adapter": "bm25"},
        "jieba": {"adapter": "bm25", "index": {"tokenizer": "jieba"}},
        "lance": lance,
        "text": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "text"}},
        "indexed": {"adapter": "lancedb", "index": {"type": types, "num_partitions": 4}},  # 4 is too many for PQ
        "faiss": {"adapter": "faiss", "index": {"type": ["FLAT", "IVF_PQ", "HNSW"]}},
    }
    dense = [{"encoder": "static", "store": store} for store in ("exact", "lance", "indexed", "faiss")]
    experiment = small.spec(
        [*({"store": store} for store in ("bm25", "jieba", "text")), *dense],
        stores=stores,
        encoders={"static": {"adapter": "sentence_transformers", "model": str(static_model)}},
    )
    assert stderr_of(tmp_path, experiment, "--quiet") == ""


def test_what_a_user_has_set_stays() -> None:
    program = "import os; import adapters; print(os.environ['LANCEDB_LOG'], os.environ['LANCE_LOG'])"
    environment = {**fresh(), "LANCEDB_LOG": "debug"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["debug", "error"]
    before = dict(os.environ)
    quieten_engines()
    assert dict(os.environ) == before  # the suite itself has imported the adapters: nothing is left to set


def test_warnings_and_log_lines_of_packages_stay_off_the_screen_unless_asked_for() -> None:
    program = (
        "from adapters import quieten_process\nquieten_process()\nimport logging, warnings\n"
        "warnings.simplefilter('always')\nwarnings.warn('told by python')\n"
        "logging.getLogger('engine').error('told by an engine')\n"
    )
    environment = {name: value for name, value in fresh().items() if name != "PYTHONWARNINGS"}
    for more, told in (([], ""), (["-W", "default"], "told by python")):
        command = [sys.executable, *more, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert (told in done.stderr) if told else done.stderr == ""
        assert "told by an engine" not in done.stderr
