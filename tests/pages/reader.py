"""A reader who types what a page says: a directory with data, and each kind of command run as it can be run here."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path

import yaml

from tests import small
from tests.conftest import REPOSITORY

_LISTENING = "tests/weaviate/test_listening.py::test_whatever_listens_refuses_strangers_or_asks_for_a_key"
# What takes minutes, or this very suite, is held to by another test, which must be there.
MAKE: Mapping[str, str] = {
    "quickstart": "tests/test_configs.py::test_the_quick_start_runs",
    "managed-demo": "tests/test_configs.py::test_managed_and_local_models_run_against_stand_ins",
    "test": "tests/pages/test_commands.py::test_make_runs_the_tests_of_this_suite",
    "test-slow": "tests/pages/test_commands.py::test_make_runs_the_tests_of_this_suite",
    "lint": "tests/pages/test_commands.py::test_make_runs_the_tests_of_this_suite",
    "schema": "tests/results/test_results.py::test_the_published_schemas_are_those_the_command_prints",
    "weaviate": "tests/weaviate/conftest.py::server_binary",
    "weaviate-up": _LISTENING,
    "weaviate-down": _LISTENING,
    "weaviate-cluster-up": _LISTENING,
    "perf": "tests/perf/__main__.py::main",
}
# A run of one of these files is one of the tests there, made small; here stands only that the line names it rightly.
CONFIGURED = re.compile(r"configs/\w+\.yaml")
_SMALL = ("--set", "latency.samples=5", "--set", "latency.workers=2", "--set", "latency.seconds=3")


class Reader:
    """Types lines, one after another, in one directory; `cd` moves."""

    def __init__(self, folder: Path, model: Path) -> None:
        """model: a quick one, in place of the one that `bench init` writes."""
        self._model = model
        self.home = self.here = folder
        small.collection(folder / "DIR", documents=20, queries=4)
        shutil.copy(folder / "DIR/qrels/test.tsv", folder / "DIR/qrels/train.tsv")
        shutil.copytree(REPOSITORY / "configs", folder / "configs")
        self._kinds: Mapping[str, Callable[[str, list[str]], None]] = {
            "bench": self._bench,
            "make": self._make,
            "docker": self._docker,
            "export": self._shell,
            "cd": self._cd,
            ".": self._activate,
            "python": self._python,
            "pip": self._pip,
            "pytest": self._pytest,
        }

    def type(self, line: str) -> None:
        """Run a line. Fails where it fails, and where no kind of it is known."""
        words = list(dropwhile(re.compile(r"[A-Z_]+=").match, shlex.split(line)))
        assert words and words[0] in self._kinds, f"No test knows how to run {line!r}."
        self._kinds[words[0]](line, words)

    def _bench(self, line: str, words: list[str]) -> None:
        arguments = words[1:]
        named = CONFIGURED.search(line)
        if named is not None:
            assert (self.home / named[0]).is_file(), named[0]
            if "--dry-run" not in arguments:
                self._options_are_known(arguments)
                return
        with self._at_home():
            outcome = small.bench(*self._filled_in(arguments))
        assert outcome.exit_code == 0, outcome.stderr

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """In the reader's directory, with one cache for all that this reader types."""
        before, cache = Path.cwd(), os.environ["BENCH_CACHE"]
        os.chdir(self.here)
        os.environ["BENCH_CACHE"] = str(self.home / "cache")
        try:
            yield
        finally:
            os.environ["BENCH_CACHE"] = cache
            os.chdir(before)

    def _options_are_known(self, arguments: list[str]) -> None:
        told = small.bench(arguments[0], "--help").stdout
        for option in arguments:
            assert not option.startswith("--") or option in told, option

    def _filled_in(self, arguments: list[str]) -> list[str | Path]:
        """FILE, RESULT and the like become what this reader has."""
        if arguments[0] != "init" and any("FILE" in word or "DIR" in word for word in arguments):
            self._experiment()
        words: list[str | Path] = [
            self._newest() if word == "RESULT" else word.replace("FILE", "DIR/bench.yaml") for word in arguments
        ]
        if arguments[0] == "run" and "--set" not in arguments:
            words += [*_SMALL, "--set", f"encoders.minilm.model={self._model}"]
        if arguments[0] == "init":
            words.append("--force")
        return words

    def _experiment(self) -> None:
        if not (self.home / "DIR/bench.yaml").exists():
            assert small.bench("init", self.home / "DIR").exit_code == 0

    def _newest(self) -> Path:
        """The folder of a result, that of a run made for it where there is none."""
        found = sorted(self.here.glob("results/*/*"))
        if not found:
            self._experiment()
            assert small.bench("run", self.home / "DIR/bench.yaml", "--set", "latency=false").exit_code == 0
            found = sorted(self.here.glob("results/*/*"))
        return found[-1].relative_to(self.here)

    def _make(self, line: str, words: list[str]) -> None:
        """The target is there, its recipe is one that make can run, and a test holds to what it does."""
        [target] = words[1:]
        known = ("-o.venv/.uv", "-o.venv/.installed", "-o.venv/.installed-test")
        done = subprocess.run(
            ["make", "--dry-run", *known, target], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert target in MAKE, f"No test holds to what `{line}` does."

    def _docker(self, line: str, words: list[str]) -> None:
        """Docker is not there where tests run: the services must stand in the file, which a test compares with the
        server that tests start."""
        assert words[1:4] == ["compose", "up", "-d"], line
        services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
        assert set(words[4:]) <= set(services), line

    def _shell(self, line: str, words: list[str]) -> None:
        done = subprocess.run(["bash", "-euc", line], cwd=self.here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _cd(self, line: str, words: list[str]) -> None:
        self.here = self.here / words[1]
        assert self.here.is_dir(), line

    def _activate(self, line: str, words: list[str]) -> None:
        assert words[1:] == [".venv/bin/activate"], line

    def _pip(self, line: str, words: list[str]) -> None:
        self._run("-m", "pip", words[1], "--no-index", "--no-build-isolation", "--quiet", *words[2:])

    def _pytest(self, line: str, words: list[str]) -> None:
        self._run("-m", *words)

    def _python(self, line: str, words: list[str]) -> None:
        """A program of the tests takes many minutes: it is there, and is imported without a fault."""
        assert words[1:3] == ["-P", "-m"] and len(words) == 4, line
        assert callable(importlib.import_module(words[3]).main), line

    def _run(self, *arguments: str) -> None:
        """With an interpreter of the reader's own, which sees what is installed here and keeps what it installs."""
        if not self._interpreter.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.home / ".venv"], check=True)
            [here] = (self.home / ".venv/lib").glob("python*/site-packages")
            folders = "; ".join(f"site.addsitedir({folder!r})" for folder in site.getsitepackages())
            (here / "installed_here.pth").write_text(f"import site; {folders}\n")
        done = subprocess.run(
            [self._interpreter, *arguments], cwd=self.here, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def _interpreter(self) -> Path:
        return self.home / ".venv/bin/python"
