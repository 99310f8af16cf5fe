"""Whom an adapter talks to, and whose key goes there: what is asked and announced before anything is sent."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody whom an adapter talks to.

    address: a URL, or the name of a service. variable: the environment variable whose key goes there, None for none.
    own: the user chose the address (the provider's own, a variable of the environment, the command line); otherwise
    the experiment file did, which somebody else may have written.
    """

    address: str
    variable: str | None
    own: bool

    @property
    def host(self) -> str:
        """Host and port as the address writes them, without credentials."""
        address = self.address if "://" in self.address else f"//{self.address}"
        return urlsplit(address).netloc.rpartition("@")[2].lower() or self.address

    @property
    def sends_key(self) -> bool:
        """Whether there is a key that would go there."""
        return self.variable is not None and bool(os.environ.get(self.variable, "").strip())

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        address = self.address if "://" in self.address else f"//{self.address}"
        return is_loopback(urlsplit(address).hostname or "")

    @property
    def is_own_server(self) -> bool:
        """Whether it is a server of the user's own choice on this machine that takes no key: what a dry run may ask."""
        return self.own and self.here and not self.sends_key


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def asks_others(contacts: Iterable[Contact]) -> bool:
    """Whether any of them may not be asked by a dry run."""
    return not all(contact.is_own_server for contact in contacts)
