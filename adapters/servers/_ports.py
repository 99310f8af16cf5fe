"""The ports of servers on this machine, and finding free ones."""

from __future__ import annotations

import random
import socket
from typing import NamedTuple


class ServerFailed(Exception):
    """The server cannot be built, started or stopped; the message says what to do."""


class Ports(NamedTuple):
    """Every port a server may open.

    REST, gossip and raft listen on loopback. gRPC and the nodes' data port listen on every interface, for which there
    is no setting: they ask for a key. The metrics port, which can do neither, is closed unless the environment of a
    server asks for it.
    """

    http: int = 8080
    grpc: int = 50051
    gossip: int = 7946
    data: int = 7947
    raft: int = 8300
    raft_rpc: int = 8301
    metrics: int = 2112

    @staticmethod
    def free() -> Ports:
        """Ports that nobody uses now and that no other call in this process was given. In a cluster on one host each
        node takes the others' data port to be the one after the gossip port, and their internal port the one after
        the raft port."""
        http, grpc, metrics = (_free_port() for _ in range(3))
        gossip, raft = (_free_port(successor=True) for _ in range(2))
        return Ports(http, grpc, gossip, gossip + 1, raft, raft + 1, metrics)


# Below every system's ephemeral range: a port from there may become some connection's own before the server binds it.
_LENT_PORTS = range(15_000, 32_000)
_given: set[int] = set()


def _free_port(*, successor: bool = False) -> int:
    """A port that can be bound, with the next one where asked. Raises ServerFailed when none is left."""
    for _ in range(1000):
        first = random.choice(_LENT_PORTS)
        wanted = {first, first + 1} if successor else {first}
        if not wanted & _given and all(_can_bind(port) for port in wanted):
            _given.update(wanted)
            return first
    raise ServerFailed(f"No free port found from {_LENT_PORTS.start} to {_LENT_PORTS.stop}; stop some servers.")


def _can_bind(port: int) -> bool:
    """Whether a server could listen there, on all interfaces, for streams and (gossip) for datagrams."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
