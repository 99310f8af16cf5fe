"""Law: starting in a stranger's folder runs none of the code that lies there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import small
from tests.latency.test_generators import first_documents
from tests.search_service import Service

# Of the standard library, of packages, of what packages look for and do without, and this project's own names.
PLANTED = [
    "pickle",
    "json",
    "numpy",
    "sitecustomize",
    "usercustomize",
    "torch",
    "queue",
    "struct",
    "selectors",
    "subprocess",
    "random",
    "site",
    "jieba",
    "faiss",
    "yaml",
    "typing_extensions",
    "pyarrow",
    "pydantic",
    "httpx",
    "mlflow",
    "braintrust",
    "requests",
    "adapters",
    "bench",
    "tests",
    "uvloop",
    "orjson",
    "simplejson",
]


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(first_documents)
    yield running
    running.stop()


def planted(folder: Path) -> Path:
    """Modules that tell of having run in a file beside the folder."""
    told = folder.parent / "ran"
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(told)!r}, 'a').write({name!r} + chr(10))\n")
    return told


def experiment(folder: Path, service: Service) -> None:
    small.collection(folder / "data", queries=6)
    asked = {"url": service.url, "body": {"q": "{query}", "k": "{k}"}, "ids": "ids.*"}
    small.write(
        folder,
        small.spec(
            [{"name": "service", "store": "service"}, {"name": "bm25", "store": "bm25"}],
            stores={"service": {"adapter": "http", "index": asked}, "bm25": {"adapter": "bm25"}},
            latency=[{"seconds": 5, "samples": 18, "workers": 2, "processes": 2}],
            trackers={"runs": {"adapter": "mlflow", "uri": "mlruns"}},
        ),
    )


@pytest.mark.slow
@pytest.mark.parametrize("start", ["bench", "python -m bench"])
def test_a_run_with_processes_and_trackers_runs_no_module_of_the_folder_it_starts_in(
    start: str, tmp_path: Path, service: Service
) -> None:
    folder = tmp_path / "strangers"
    experiment(folder, service)
    told = planted(folder)
    script = Path(sysconfig.get_path("scripts")) / "bench"
    command = [str(script)] if start == "bench" else [sys.executable, "-m", "bench"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if start != "bench":
        # `-m` itself looks into the folder before any line of ours runs: for the package, and what runpy imports.
        (folder / "bench.py").unlink()
    done = subprocess.run(
        [*command, "run", ".", "--quiet"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout or (folder / "results").is_dir()
    assert not told.exists(), told.read_text()
