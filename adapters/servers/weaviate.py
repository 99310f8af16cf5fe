"""A Weaviate server on this machine without Docker: build, start, stop, and a cluster of three on one host.

The one place that pins the server's version. Needs the standard library alone:
`python -P -m adapters.servers.weaviate build|up|down|cluster-up|cluster-down|status`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters import printable
from adapters.servers._ports import Ports, ServerFailed, listens
from adapters.servers._weaviate_credentials import Credentials

VERSION = "1.38.11"
IMAGE = f"cr.weaviate.io/semitechnologies/weaviate:{VERSION}"
# The module's @latest is an old 1.35.2: only the tag gives this version.
MODULE = f"github.com/weaviate/weaviate/cmd/weaviate-server@v{VERSION}"
GO_MINIMUM = (1, 26)

ENVIRONMENT: Mapping[str, str] = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
    "AUTHENTICATION_APIKEY_ENABLED": "true",
    "ASYNC_INDEXING": "true",
    # A late insert into a collection that was dropped must not bring it back with a guessed schema.
    "AUTOSCHEMA_ENABLED": "false",
    "DEFAULT_VECTORIZER_MODULE": "none",
    "DISABLE_TELEMETRY": "true",
    "GO_PROFILING_DISABLE": "true",
}
"""Settings of every local server, in Docker or without. Addresses, ports and keys are added to them."""

# The server gets no keys of other services, no proxies and no settings of other servers.
_INHERITED = ("PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "LC_ALL", "GOGC", "GOMAXPROCS", "GOMEMLIMIT")

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands before loopback
_CLUSTER_NODES = 3
_CLUSTER_FIRST_PORT = 8090


def cache_folder() -> Path:
    """Where the built binary lies, in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "retrieval-bench" / f"weaviate-{VERSION}"


def data_folder() -> Path:
    """Where `up` and `cluster-up` keep collections, logs and process ids."""
    root = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(root) / "retrieval-bench" / "weaviate"


def binary() -> Path | None:
    """The built server, None where it has not been built."""
    path = cache_folder() / "weaviate-server"
    return path if os.access(path, os.X_OK) else None


def go_version() -> tuple[int, ...] | None:
    """Version of the Go toolchain on the path, None without one."""
    if shutil.which("go") is None:
        return None
    done = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", done.stdout.strip())
    return tuple(int(part) for part in found.groups()) if found else None


def advice() -> str:
    """How this machine can have a server: one sentence with the command to type."""
    if binary() is not None:
        return "Start it: make weaviate-up"
    if shutil.which("docker") is not None and _docker_runs():
        return "Start it: docker compose up -d weaviate"
    go = go_version()
    if go is not None and go >= GO_MINIMUM:
        return "Build and start it with the Go toolchain found here: make weaviate weaviate-up"
    needed = ".".join(map(str, GO_MINIMUM))
    have = f"Go {'.'.join(map(str, go))}" if go else "no Go"
    return (
        f"This machine has no running Docker and {have}: install Docker (then: docker compose up -d weaviate) or Go "
        f"{needed} or newer (then: make weaviate weaviate-up), or name a server elsewhere: host and port, or url."
    )


def _docker_runs() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def build() -> Path:
    """The server's binary, built with `go install` (minutes, once). Raises ServerFailed."""
    if (built := binary()) is not None:
        return built
    go = go_version()
    if go is None or go < GO_MINIMUM:
        raise ServerFailed(
            f"Building Weaviate {VERSION} needs Go {'.'.join(map(str, GO_MINIMUM))} or newer; "
            f"found {'none' if go is None else '.'.join(map(str, go))}. Install it from https://go.dev/dl, "
            "or use Docker: docker compose up -d weaviate"
        )
    folder = cache_folder()
    unfinished = folder / f"build-{os.getpid()}"
    unfinished.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            ["go", "install", "-trimpath", MODULE], env={**os.environ, "GOBIN": str(unfinished)}, check=False
        )
        if done.returncode:
            raise ServerFailed(f"go install {MODULE} failed with exit status {done.returncode}; its output is above.")
        # A rename: a build that was killed leaves nothing that looks like a binary.
        (unfinished / "weaviate-server").replace(folder / "weaviate-server")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / "weaviate-server"


class Server:
    """One server process on loopback with its data in a folder, which outlives it."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        environment: Mapping[str, str] | None = None,
        *,
        credentials_in: Path | None = None,
    ) -> None:
        """environment: settings over ENVIRONMENT. credentials_in: folder of its credentials, which the nodes of a
        cluster share, by default its own; they are made when it is first started."""
        self.folder = folder
        self.ports = ports
        self._extra = dict(environment or {})
        self._credentials_in = credentials_in or folder

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.metrics}/metrics"

    @property
    def data_path(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def credentials_file(self) -> Path:
        return Credentials.file(self._credentials_in)

    @property
    def key(self) -> str | None:
        """The credentials that clients need, None where the server has never been started."""
        kept = Credentials.kept(self._credentials_in)
        return None if kept is None else kept.key

    def resident_bytes(self) -> int | None:
        """Memory of the running process, None when it does not run."""
        if (pid := self.pid()) is None:
            return None
        asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        kibibytes = asked.stdout.strip()
        return int(kibibytes) * 1024 if kibibytes.isdecimal() else None

    def environment(self, credentials: Credentials) -> dict[str, str]:
        """The process's environment: the server's settings, and of this process what any program needs."""
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            **ENVIRONMENT,
            **credentials.environment(),
            "PERSISTENCE_DATA_PATH": str(self.data_path),
            "CLUSTER_HOSTNAME": "weaviate-0",
            # Without these two settings the server advertises the machine's external address.
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "GRPC_PORT": str(self.ports.grpc),
            "CLUSTER_GOSSIP_BIND_PORT": str(self.ports.gossip),
            "CLUSTER_DATA_BIND_PORT": str(self.ports.data),
            "RAFT_PORT": str(self.ports.raft),
            "RAFT_INTERNAL_RPC_PORT": str(self.ports.raft_rpc),
            "PROMETHEUS_MONITORING_PORT": str(self.ports.metrics),
            **self._extra,
        }

    def start(self) -> None:
        """Start the process; returns at once. Raises ServerFailed when a port is taken or there is no binary."""
        program = binary()
        if program is None:
            raise ServerFailed(f"Weaviate {VERSION} is not built here. Build it: make weaviate")
        if self.pid() is not None:
            return
        if taken := [port for port in self.ports if listens(port)]:
            raise ServerFailed(f"Port {taken[0]} is taken by another program; stop that one first.")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data_path.mkdir(exist_ok=True)
        credentials = Credentials.of(self._credentials_in)
        arguments = ["--scheme", "http", "--host", "127.0.0.1", "--port", str(self.ports.http)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(program), *arguments],
                env=self.environment(credentials),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(process.pid), encoding="utf-8")
        _CHILDREN[process.pid] = process

    def wait_ready(self, seconds: float = 60) -> None:
        """Return when the server takes requests. Raises ServerFailed with the end of its log."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if ready(self.url):
                return
            if self.pid() is None:
                break
            time.sleep(0.1)
        raise ServerFailed(f"The server at {self.url} did not get ready. {self.log_end()}")

    def log_end(self, lines: int = 5) -> str:
        """The last lines of the log, under a heading."""
        kept = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return f"End of {self.log}:\n" + "\n".join(kept[-lines:])

    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        try:
            pid = int(self._pid_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        child = _CHILDREN.get(pid)
        if child is not None and child.poll() is not None:
            return None
        # A process id is used again after a restart of the machine: ask whose it is now.
        asked = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return pid if "weaviate-server" in asked.stdout else None

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL), and wait until it is gone."""
        self._end(signal.SIGKILL, seconds=10)

    def stop(self) -> None:
        """Ask the process to end (SIGTERM), then kill it. The data stay."""
        self._end(signal.SIGTERM, seconds=30)
        if self.pid() is not None:
            self.kill()

    def _end(self, number: signal.Signals, *, seconds: float) -> None:
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.pid() is not None:
            time.sleep(0.05)

    @property
    def _pid_file(self) -> Path:
        return self.folder / "server.pid"


_CHILDREN: dict[
    int, subprocess.Popen[bytes]
] = {}  # started by this process: a dead child answers ps until it is waited


def ready(url: str, seconds: float = 2) -> bool:
    """Whether the server at this address takes requests."""
    try:
        with _DIRECT.open(f"{url}/v1/.well-known/ready", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def cluster(folder: Path, ports: Sequence[Ports], environment: Mapping[str, str] | None = None) -> list[Server]:
    """Servers that form one cluster on this host, not started. ports: one for each, the data port after gossip's.
    environment: settings over ENVIRONMENT, for all."""
    names = [f"weaviate-{i}" for i in range(len(ports))]
    shared = {
        # Without it: "leader not found".
        "CLUSTER_IN_LOCALHOST": "true",
        "RAFT_JOIN": ",".join(f"{name}:{each.raft}" for name, each in zip(names, ports, strict=True)),
        "RAFT_BOOTSTRAP_EXPECT": str(len(ports)),
    }
    join = {"CLUSTER_JOIN": f"127.0.0.1:{ports[0].gossip}"}
    return [
        Server(
            folder / name,
            each,
            {**(environment or {}), **shared, "CLUSTER_HOSTNAME": name, **(join if i else {})},
            credentials_in=folder,
        )
        for i, (name, each) in enumerate(zip(names, ports, strict=True))
    ]


def start_cluster(servers: Sequence[Server]) -> None:
    """Start all, then wait until each is ready and sees the others. Raises ServerFailed."""
    for server in servers:
        server.start()
        # The others join at the gossip port of the first, only once, when they start: it must be open by then.
        until = time.monotonic() + 30
        while not listens(server.ports.gossip) and server.pid() is not None and time.monotonic() < until:
            time.sleep(0.1)
    for server in servers:
        server.wait_ready(120)
    until, key = time.monotonic() + 60, servers[0].key
    while time.monotonic() < until:
        asked = urllib.request.Request(f"{servers[0].url}/v1/nodes", headers={"Authorization": f"Bearer {key}"})
        with _DIRECT.open(asked, timeout=5) as answer:
            nodes = json.load(answer)["nodes"]
        if len(nodes) == len(servers) and all(node.get("status") == "HEALTHY" for node in nodes):
            return
        time.sleep(0.2)
    ends = "\n".join(server.log_end() for server in servers)
    raise ServerFailed(f"The cluster did not come together: {nodes}.\n{ends}")


def local_server() -> Server:
    """The server of `up`: default ports, data in the user's data folder."""
    return Server(data_folder() / "single", Ports())


def local_cluster() -> list[Server]:
    """The servers of `cluster-up`: REST on 8090 to 8092, gRPC on 50061 to 50063."""
    ports = [
        Ports(_CLUSTER_FIRST_PORT + i, 50061 + i, 7956 + 2 * i, 7957 + 2 * i, 8400 + 2 * i, 8401 + 2 * i, 2122 + i)
        for i in range(_CLUSTER_NODES)
    ]
    return cluster(data_folder() / "cluster", ports)


def status() -> dict[str, Any]:
    """Which server is built and which servers run, as JSON for people and for `bench doctor`."""
    built = binary()
    return {
        "version": VERSION,
        "binary": None if built is None else str(built),
        "single": local_server().url if local_server().pid() else None,
        "cluster": [server.url for server in local_cluster() if server.pid()],
        "advice": advice(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -P -m adapters.servers.weaviate", description=__doc__)
    parser.add_argument("command", choices=("build", "up", "down", "cluster-up", "cluster-down", "status"))
    command = parser.parse_args(arguments).command
    try:
        sys.stdout.write(_run(command) + "\n")
    except ServerFailed as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return 1
    return 0


def _run(command: str) -> str:
    single, several = local_server(), local_cluster()
    if command == "build":
        return f"Weaviate {VERSION}: {build()}"
    if command == "up":
        build()
        single.start()
        single.wait_ready()
        return f"Weaviate {VERSION} at {single.url}. {_listening([single])}"
    if command == "cluster-up":
        build()
        start_cluster(several)
        return f"Cluster of three: {', '.join(server.url for server in several)}. {_listening(several)}"
    if command == "status":
        return json.dumps(status(), indent=2)
    for server in [single] if command == "down" else reversed(several):
        server.stop()
    return "Stopped; the data stay in " + str(data_folder())


def _listening(servers: Sequence[Server]) -> str:
    """Which ports can be reached from other machines, and where the key is."""
    open_ports = [str(port) for server in servers for port in (server.ports.grpc, server.ports.data)]
    return (
        f"Ports {', '.join(open_ports)} (gRPC and data of nodes) listen on every interface, since Weaviate has no "
        f"setting for that; they ask for the key in {servers[0].credentials_file}, where the adapter finds it."
    )


if __name__ == "__main__":
    sys.exit(main())
