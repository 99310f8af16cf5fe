"""Knocks at every port of freshly started servers from an address that is not loopback, without a key.

`python -P -m tests.weaviate.listening FOLDER NODES` in a network namespace of its own, which it gives a second address.
Prints JSON: by port, what the server answers to each call; "refused" where nobody listens for strangers.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path

import grpc

from adapters.servers.weaviate import Ports, Server, cluster, start_cluster

ADDRESS = "10.99.0.1"
HTTP_CALLS = (
    ("GET", "/v1/schema"), ("GET", "/v1/objects"), ("POST", "/v1/graphql"), ("DELETE", "/v1/schema/Any"),
    ("GET", "/metrics"), ("GET", "/tenant-activity"), ("GET", "/nodes/status"),
    ("GET", "/indices/Any/shards/s/objects/id"),
    ("DELETE", "/indices/Any/shards/s/objects/id"), ("POST", "/indices/Any/shards/s/objects"),
    ("POST", "/replicas/indices/Any/shards/s/objects"), ("POST", "/cluster/users/db/"), ("POST", "/backups/can-commit"),
    ("POST", "/exports/prepare"), ("GET", "/debug/pprof/"),
)  # fmt: skip
GRPC_CALLS = (
    "/weaviate.v1.Weaviate/Search",
    "/weaviate.v1.Weaviate/BatchObjects",
    "/weaviate.v1.Weaviate/BatchDelete",
    "/weaviate.v1.Weaviate/TenantsGet",
    "/weaviate.v1.Weaviate/Aggregate",
    "/clusterapi.FileReplicationService/ListFiles",
    "/clusterapi.ReplicationService/DeleteObject",
    "/weaviate.internal.cluster.ClusterService/Apply",
)


def listening_ports(servers: list[Server]) -> list[int]:
    """Ports on which any of the processes listens for streams, on whatever address. Source: proc(5), /proc/net/tcp."""
    sockets = {
        str(link.readlink())
        for server in servers
        for link in Path(f"/proc/{server.pid()}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(found)


def knock(port: int) -> dict[str, str]:
    """By call, what is answered to a stranger."""
    with socket.socket() as probe:
        probe.settimeout(5)
        if probe.connect_ex((ADDRESS, port)):
            return {"connect": "refused"}
    answers: dict[str, str] = {}
    for method, path in HTTP_CALLS:
        connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
        try:
            connection.request(method, path, body=b"{}", headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            answers[f"{method} {path}"] = f"{answer.status} {answer.read(200).decode('utf-8', 'replace')}"
        except (OSError, http.client.HTTPException):
            answers[f"{method} {path}"] = "refused"
        finally:
            connection.close()
    with grpc.insecure_channel(f"{ADDRESS}:{port}") as channel:
        for method in GRPC_CALLS:
            try:
                channel.unary_unary(method)(b"", timeout=3)
                answers[method] = "OK"
            except grpc.RpcError as error:
                answers[method] = f"{error.code().name} {error.details()}"
    return answers


def main(folder: Path, nodes: int) -> None:
    for command in ("ip link set lo up", f"ip addr add {ADDRESS}/24 dev lo"):
        subprocess.run(command.split(), check=True)
    if nodes == 1:
        servers = [Server(folder / "single", Ports.free(), {"RAFT_TIMEOUTS_MULTIPLIER": "1"})]
        servers[0].start()
    else:
        servers = cluster(folder, [Ports.free() for _ in range(nodes)])
    try:
        if nodes == 1:
            servers[0].wait_ready()
        else:
            start_cluster(servers)
        print(json.dumps({port: knock(port) for port in listening_ports(servers)}))
    finally:
        for server in servers:
            server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
