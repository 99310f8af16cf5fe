"""The server's version and settings are the same wherever one is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.servers import weaviate as weaviate_server
from adapters.servers._weaviate_credentials import Credentials
from adapters.servers.weaviate import ENVIRONMENT, IMAGE, Ports, Server, ServerFailed, cluster
from tests.conftest import REPOSITORY

SINGLE = "weaviate"
CLUSTER = ("weaviate-0", "weaviate-1", "weaviate-2")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    services: dict[str, Any] = loaded["services"]
    assert set(services) == {SINGLE, *CLUSTER}
    return services


def test_docker_starts_the_version_that_make_builds(services: dict[str, Any]) -> None:
    assert {service["image"] for service in services.values()} == {IMAGE}
    assert IMAGE.endswith(f":{weaviate_server.VERSION}")
    assert weaviate_server.MODULE.endswith(f"@v{weaviate_server.VERSION}")


def test_docker_servers_have_the_settings_of_local_ones(services: dict[str, Any]) -> None:
    local = Server(Path("unused"), Ports()).environment(Credentials("k", "c"))
    for service in services.values():
        environment = service["environment"]
        assert {key: environment[key] for key in ENVIRONMENT} == dict(ENVIRONMENT)
        assert {key: local[key] for key in ENVIRONMENT} == dict(ENVIRONMENT)
    assert ENVIRONMENT["ASYNC_INDEXING"] == "true"


def test_docker_cluster_has_the_settings_of_the_local_one(services: dict[str, Any]) -> None:
    nodes = cluster(Path("unused"), [Ports(), Ports(), Ports()])
    for name, node in zip(CLUSTER, nodes, strict=True):
        docker, local = services[name]["environment"], node.environment(Credentials("k", "c"))
        assert docker["CLUSTER_HOSTNAME"] == local["CLUSTER_HOSTNAME"] == name
        assert docker["RAFT_BOOTSTRAP_EXPECT"] == local["RAFT_BOOTSTRAP_EXPECT"] == "3"
        members = [member.partition(":")[0] for member in local["RAFT_JOIN"].split(",")]
        assert docker["RAFT_JOIN"].split(",") == members == list(CLUSTER)
        assert ("CLUSTER_JOIN" in docker) == ("CLUSTER_JOIN" in local)
        assert services[name]["profiles"] == ["cluster"]


def test_docker_publishes_on_loopback_only(services: dict[str, Any]) -> None:
    for service in services.values():
        assert len(service["ports"]) == 3
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_docker_ports_are_those_of_local_servers(services: dict[str, Any]) -> None:
    local = [weaviate_server.local_server(), *weaviate_server.local_cluster()]
    for name, server in zip((SINGLE, *CLUSTER), local, strict=True):
        published = [int(port.split(":")[1]) for port in services[name]["ports"]]
        assert published == [server.ports.http, server.ports.grpc, server.ports.metrics]


def test_docker_servers_are_watched_and_keep_their_data(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "ready" in service["healthcheck"]["test"][-1]
        assert service["volumes"] == [f"{name}:{service['environment']['PERSISTENCE_DATA_PATH']}"]


def test_no_two_local_servers_share_a_port() -> None:
    ports = [port for server in weaviate_server.local_cluster() for port in server.ports]
    ports += weaviate_server.local_server().ports
    assert len(set(ports)) == len(ports) == 28  # four servers, seven ports each


def test_a_taken_port_is_named(server_binary: Path, tmp_path: Path) -> None:
    import socket

    ports = Ports.free()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.grpc))
        taken.listen()
        with pytest.raises(ServerFailed, match=f"Port {ports.grpc} is taken"):
            Server(tmp_path, ports).start()


def test_the_tool_runs_on_the_standard_library_alone() -> None:
    program = (
        "import sys, adapters.servers.weaviate as server\n"
        "assert server.main(['status']) == 0\n"
        "assert not {'weaviate', 'pydantic', 'numpy', 'pyarrow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert yaml.safe_load(done.stdout)["version"] == weaviate_server.VERSION
