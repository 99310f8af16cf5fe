"""Servers that are started here listen to their user alone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.base import AdapterRejected
from adapters.servers import weaviate as weaviate_server
from adapters.servers._weaviate_credentials import Credentials
from adapters.servers.weaviate import Ports, Server
from adapters.stores.weaviate.options import WeaviateConnection
from tests.conftest import REPOSITORY, absent
from tests.weaviate.conftest import connection_of, store_at

# What a stranger may be told: that nobody listens, that a key is wanted, that there is no such call.
HARMLESS = ("refused", "401", "404 404 page not found", "UNAUTHENTICATED", "UNIMPLEMENTED")


@pytest.mark.parametrize("nodes", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_whatever_listens_refuses_strangers_or_asks_for_a_key(server_binary: Path, tmp_path: Path, nodes: int) -> None:
    if not Path("/proc/net/tcp").exists() or not (shutil.which("unshare") and shutil.which("ip")):
        absent("network namespaces need Linux with unshare and ip")
    alone = ["unshare", "--net", *(() if os.getuid() == 0 else ("--user", "--map-root-user"))]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        absent("this machine allows no network namespaces")
    command = [*alone, sys.executable, "-m", "tests.weaviate.listening", str(tmp_path), str(nodes)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    ports: dict[str, dict[str, str]] = json.loads(done.stdout)
    assert len(ports) == 6 * nodes  # REST, gRPC, gossip, data, raft and raft's calls; no metrics
    open_ports = {port: answers for port, answers in ports.items() if answers != {"connect": "refused"}}
    assert len(open_ports) == 2 * nodes  # gRPC and data: for these there is no setting
    for port, answers in open_ports.items():
        for call, answer in answers.items():
            assert answer.startswith(HARMLESS) or "unauthorized" in answer, f"{port}: {call}: {answer}"
        assert any("401" in answer or "unauthorized" in answer for answer in answers.values()), port


def test_credentials_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    made = Credentials.of(tmp_path / "server")
    file = Credentials.file(tmp_path / "server")
    assert Credentials.of(tmp_path / "server") == made == Credentials.kept(tmp_path / "server")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(made.key) >= 32 and made.key != made.cluster
    assert Credentials.of(tmp_path / "other") != made


def test_a_server_inherits_no_variable_that_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "PERSISTENCE_DATA_PATH", "CLUSTER_JOIN"):
        monkeypatch.setenv(name, "planted")
    environment = Server(tmp_path, Ports()).environment(Credentials("k", "c"))
    assert "planted" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]


def test_a_server_without_its_key_is_refused_with_the_cure(mortal: Server, tmp_path: Path) -> None:
    connection: dict[str, Any] = connection_of(mortal)
    with store_at(connection, type="flat") as store:
        store.check()
    del connection["api_key_env"]
    with store_at(connection, type="flat") as store, pytest.raises(AdapterRejected, match="name that in api_key_env"):
        store.health()


def test_a_key_of_the_environment_goes_to_no_address_that_a_file_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVIATE_API_KEY", "planted")
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
    assert WeaviateConnection().key() == "planted"
    for named in ({"host": "127.0.0.1"}, {"port": 9999}, {"url": "http://127.0.0.1:8080"}):
        assert WeaviateConnection(**named).key() is None  # type: ignore[arg-type]
    assert WeaviateConnection(url="http://127.0.0.1:1", api_key_env="WEAVIATE_API_KEY").key() == "planted"


def test_no_other_server_gets_the_key_of_one_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("WEAVIATE_API_KEY", raising=False)
    Credentials.of(weaviate_server.local_server().folder)
    assert WeaviateConnection().key() is None
