"""Laws: a restricted run reaches no network, no file outside its folder and no foreign code, whatever its file says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.machine import children, fence
from bench.results.model import read_result
from tests import small
from tests.conftest import MINILM, REPOSITORY


def restricted(folder: Path, *arguments: str | Path, file: str = "bench.yaml") -> subprocess.CompletedProcess[str]:
    """`bench run FILE --restricted` of a file in `folder`, from beside it."""
    command = children.command("bench", "run", str(folder / file), "--restricted", *map(str, arguments))
    environment = {**children.environment(), "OPENAI_API_KEY": "sk-not-a-real-key", "CO_API_KEY": "not-a-real-key"}
    return subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_experiment_on_local_data_runs_restricted_and_finds_the_same(tmp_path: Path, static_model: Path) -> None:
    folder = tmp_path / "given"
    small.collection(folder / "data")
    shutil.copytree(static_model, folder / "model")
    spec = small.spec(
        [{"name": "a", "store": "bm25"}, {"name": "b", "store": "flat", "encoder": "static"}],
        encoders={"static": {"adapter": "sentence_transformers", "model": "model"}},
        stores={"bm25": {"adapter": "bm25"}, "flat": {"adapter": "lancedb", "index": {"type": "none"}}},
    )
    small.write(folder, spec)
    done = restricted(folder)
    assert done.returncode == 0, done.stderr
    told = f"restricted: no network, reads only {folder} and what is installed, writes only {tmp_path}/results and"
    assert told in done.stderr
    (result,) = (tmp_path / "results" / "small").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["bench.yaml", "data", "model"]  # nothing was written
    _, free = small.measure(folder, spec)
    assert small.means(read_result(result)) == small.means(free)


@pytest.mark.slow
def test_the_quick_start_runs_restricted(tmp_path: Path) -> None:
    fewer = "dataset.packages=[click, jinja2, fsspec, pydantic, requests, typer]"  # an index of PQ wants 256 documents
    sets = ("--set", fewer, "--set", "dataset.limit=20", "--set", "latency=false")
    places = ("--output", tmp_path / "o", "--cache", tmp_path / "c")
    done = restricted(REPOSITORY / "configs", *sets, *places, file="quickstart.yaml")
    assert done.returncode == 0, done.stderr


def test_whatever_a_strangers_file_may_not_do_is_named_at_once(tmp_path: Path) -> None:
    folder, outside = tmp_path / "given", tmp_path / "outside"
    small.collection(folder / "data")
    outside.mkdir()
    (outside / "secret.jsonl").write_text("{}\n")
    (folder / "data" / "leads.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "pickled").mkdir()
    (folder / "pickled" / "config.json").write_text("{}")
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"")
    (folder / "run.trec").symlink_to(outside / "secret.jsonl")
    own = {"adapter": "sentence_transformers"}
    spec = small.spec(
        [
            *({"name": f"e-{name}", "encoder": name} for name in ("managed", "hub", "pickled", "remote", "outside")),
            *({"name": f"s-{name}", "store": name, "encoder": "managed"} for name in ("server", "kept", "cloud")),
            {"name": "reranked", "encoder": "managed", "reranker": "service"},
            *({"name": f"r{i}", "run": run} for i, run in enumerate(["run.trec", str(outside / "secret.jsonl")])),
        ],
        encoders={
            "managed": {"adapter": "openai", "model": "text-embedding-3-small"},
            "hub": {**own, "model": "some/model"},
            "pickled": {**own, "model": "pickled"},
            "remote": {**own, "model": MINILM, "trust_remote_code": True},
            "outside": {**own, "model": "../outside"},
            "third": {"adapter": "words"},
        },
        stores={
            "server": {"adapter": "weaviate"},
            "kept": {"adapter": "lancedb", "uri": "database"},
            "cloud": {"adapter": "lancedb", "uri": "s3://bucket/folder"},
        },
        rerankers={"service": {"adapter": "rerank_api", "base_url": "http://127.0.0.1:9", "model": "m"}},
        trackers={"sent": {"adapter": "mlflow"}},
        cache=str(outside),
    )
    small.write(folder, spec)
    site = small.third_party(tmp_path)
    sys.path.insert(0, str(site))
    try:
        done = restricted(folder)
    finally:
        sys.path.remove(str(site))
    assert done.returncode == 2
    named = {
        "encoders.managed": "talks to api.openai.com",
        "encoders.hub.model": "some/model",
        "encoders.pickled.model": "is a pickle",
        "encoders.remote.trust_remote_code": "would run code",
        "encoders.outside.model": "is outside",
        "encoders.third.adapter": "third party",
        "stores.server": "talks to",
        "stores.kept.uri": "keeps them in the cache alone",
        "stores.cloud": "talks to",
        "rerankers.service": "talks to 127.0.0.1:9",
        "trackers.sent": "no network",
        "dataset.path": "leads outside",
        "systems[9].run": f"leads to {outside}",
        "systems[10].run": "is outside",
        "cache": "is outside",
    }
    lines = done.stderr.splitlines()
    for place, what in named.items():
        assert any(f": {place}" in line and what in line for line in lines), (place, lines)
    assert not (tmp_path / "results").exists() and not (outside / ".lock").exists()


def test_a_dry_run_is_restricted_too(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    small.collection(folder / "data")
    small.write(folder, small.spec([{"name": "a", "store": "bm25"}]))
    done = restricted(folder, "--dry-run", "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "restricted: no network" in done.stderr and "quality pass" in done.stdout
    small.write(folder, small.spec([{"name": "a", "run": "/etc/hostname"}]))
    done = restricted(folder, "--dry-run")
    assert done.returncode == 2 and "systems[0].run (/etc/hostname) is outside" in done.stderr


def test_a_file_that_is_a_link_is_not_taken_for_the_one_it_leads_to(tmp_path: Path) -> None:
    own, given = tmp_path / "own", tmp_path / "given"
    small.collection(own / "data")
    small.write(own, small.spec([{"name": "a", "store": "bm25"}]))
    given.mkdir()
    (given / "bench.yaml").symlink_to(own / "bench.yaml")
    done = restricted(given)
    assert done.returncode == 2 and "is a link that leads to" in done.stderr


def test_the_command_prints_the_same_where_its_output_is_read_by_a_program(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, small.spec([{"name": "a", "store": "bm25"}]))
    places = ("--output", tmp_path / "out", "--cache", tmp_path / "cache")
    outcome = small.bench("run", path, "--restricted", "--json", *places)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["status"] == "success"


# -- the fence itself, which holds where no rule has looked ----------------------------------------------------------

ATTEMPTS = {
    "connect": "import socket; socket.create_connection(('127.0.0.1', PORT), 1)",
    "datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "a local socket": "import socket; socket.socket(socket.AF_UNIX).connect('/tmp/x')",
    "look up a name": "import socket; socket.getaddrinfo('localhost', 80)",
    "listen": "import socket; socket.socket().bind(('127.0.0.1', 0))",
    "a program": "import subprocess; subprocess.run(['true'])",
    "a shell": "import os; os.system('true') == 0 or 1 / 0",
    "a fork": "import os; os._exit(0) if os.fork() == 0 else None",
    "read": "open(OUTSIDE + '/secret').read()",
    "read through a link": "open(INSIDE + '/link').read()",
    "read by steps upward": "open(INSIDE + '/../outside/secret').read()",
    "list": "import os; os.listdir(OUTSIDE)",
    "write beside": "open(OUTSIDE + '/new', 'w')",
    "write what is read": "open(INSIDE + '/new', 'w')",
    "append": "open(OUTSIDE + '/secret', 'a')",
    "remove": "import os; os.remove(OUTSIDE + '/secret')",
    "move in": "import os; os.rename(OUTSIDE + '/secret', OWN + '/secret')",
    "move out": "open(OWN + '/a', 'w').close(); import os; os.rename(OWN + '/a', OUTSIDE + '/a')",
    "link in": "import os; os.link(OUTSIDE + '/secret', OWN + '/hard')",
    "make a folder": "import os; os.mkdir(OUTSIDE + '/folder')",
    "remove by a folder's descriptor": "import os; os.unlink('secret', dir_fd=os.open('/', os.O_RDONLY))",
    "shorten": "import os; os.truncate(OUTSIDE + '/secret', 0)",
}
ALLOWED = "open(INSIDE + '/data').read(); open(OWN + '/x', 'w').close(); import os; os.remove(OWN + '/x'); import json"
# What native code does: no event of Python's tells of it.
NATIVE = {
    "native read": "import ctypes; ctypes.CDLL(None).open(os.fsencode(OUTSIDE + '/secret'), 0) >= 0 or 1 / 0",
    "native write": "import ctypes; ctypes.CDLL(None).creat(os.fsencode(OUTSIDE + '/new'), 0o600) >= 0 or 1 / 0",
    "native network": "import pyarrow.flight as f; f.connect('grpc://127.0.0.1:%d' % PORT).wait_for_available(1)",
}


def attempt(folder: Path, statement: str) -> subprocess.CompletedProcess[str]:
    """A statement behind a fence. It exits with 3 where it was refused."""
    inside, own, outside = (folder / name for name in ("inside", "own", "outside"))
    for each in (inside, own, outside):
        each.mkdir()
    (outside / "secret").write_text("secret")
    (inside / "data").write_text("data")
    (inside / "link").symlink_to(outside / "secret")
    places = fence.Places((str(inside),), (str(own),), str(own))
    program = (
        "import os, sys\n"
        "from bench.machine import fence\n"
        f"INSIDE, OWN, OUTSIDE, PORT = {str(inside)!r}, {str(own)!r}, {str(outside)!r}, 9\n"
        f"told = fence.put_up(fence.{places!r})\n"
        "print(told.files)\n"
        f"try:\n    {statement}\n"
        "except BaseException as error:\n    print(type(error).__name__, error)\n    sys.exit(3)\n"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, env=children.environment(), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    assert (outside / "secret").read_text() == "secret" and [path.name for path in outside.iterdir()] == ["secret"]
    return done


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_fence_holds(what: str, tmp_path: Path) -> None:
    done = attempt(tmp_path, ATTEMPTS[what])
    assert done.returncode == 3, f"{what} was let through"
    assert "PermissionError" in done.stdout, done.stdout


def test_a_fence_lets_through_what_it_was_given(tmp_path: Path) -> None:
    done = attempt(tmp_path, ALLOWED)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("what", NATIVE)
def test_the_kernels_fence_holds_native_code_and_no_other_is_claimed_to(what: str, tmp_path: Path) -> None:
    done = attempt(tmp_path, NATIVE[what])
    if "the kernel" not in done.stdout:
        pytest.skip("this kernel has no Landlock, as the fence says")
    assert done.returncode == 3, f"{what} was let through"


def test_a_fence_is_put_up_before_any_thread_is_started() -> None:
    program = (
        "import os, sys\n"
        "import bench.machine.fence\n"
        "print(len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 1)\n"
    )
    done = subprocess.run([*children.command("bench")[:2], "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_no_key_of_the_users_reaches_a_restricted_run(tmp_path: Path) -> None:
    from bench.run import apart

    os.environ["OPENAI_API_KEY"] = "sk-planted"
    try:
        found = apart._environment(str(tmp_path))
    finally:
        del os.environ["OPENAI_API_KEY"]
    assert "sk-planted" not in found.values() and found["HF_HUB_OFFLINE"] == "1"


def test_a_model_is_trained_from_what_the_folder_or_a_package_holds_alone(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    spec = small.spec(
        [{"encoder": "tuned"}],
        models={
            "tuned": {"recipe": "mnrl", "base": MINILM},
            "next": {"recipe": "mnrl", "base": "trained:tuned"},
            "hub": {"recipe": "mnrl", "base": "some/model"},
            "above": {"recipe": "mnrl", "base": "../model"},
            "scored": {"recipe": "mnrl", "base": MINILM, "data": {"path": "../scored.tsv"}},
        },
        encoders={"tuned": {"adapter": "sentence_transformers", "model": "trained:tuned"}},
    )
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, spec), restricted=True)
    told = [fault.partition(": ")[2].partition(" (")[0] for fault in raised.value.faults if "restricted run" in fault]
    assert sorted(told) == ["models.above.base", "models.hub.base", "models.scored.data.path"]
