"""Which processes of this machine serve an address."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path


def is_this_machine(host: str) -> bool:
    """Whether a host name or address is this machine's. One that cannot be resolved is not."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return any(_is_own(family, str(address[0])) for family, _, _, _, address in found)


def _is_own(family: int, address: str) -> bool:
    try:
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return True
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))  # an address of another machine cannot be bound
    except (OSError, ValueError):
        return False
    return True


def named(part: str) -> tuple[int, ...]:
    """Ids of the processes whose program's name holds this part."""
    return tuple(pid for pid, name in _programs() if part in name)


def listeners(port: int) -> tuple[int, ...]:
    """Ids of the processes that listen at a TCP port, as far as this user may see them; empty where there is no
    /proc. Source: proc(5), /proc/net/tcp: local address, state 0A for listening, and the inode of the socket."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return tuple(pid for pid, _ in _programs() if inodes and inodes & set(_open_files(pid)))


def _programs() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue  # it has ended


def _open_files(pid: int) -> Iterator[str]:
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return  # it has ended, or is another user's
    for link in links:
        try:
            yield str(link.readlink())
        except OSError:
            continue
