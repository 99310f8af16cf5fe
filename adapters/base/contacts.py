"""Whom an adapter talks to, and whose key goes there. It is announced, and the user is asked, before anything is
sent."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

_URL = re.compile(r"(?!file:|sqlite:)[a-z][a-z0-9+.-]*://\S", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(localhost|\[[0-9a-f:.]+\]|[\w-]+(\.[\w-]+)+):\d{1,5}(/\S*)?", re.IGNORECASE)
_HOST = re.compile(r"[\w.-]+|\[?[0-9a-f:.]+\]?", re.IGNORECASE)
_NAMES_A_HOST = re.compile(r"(^|_)(host|hostname|address|endpoint|server|url)e?s?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Contact:
    """A server or service that an adapter talks to.

    address: a URL, or the name of a service. variable: the environment variable whose key goes there, None for none.
    own: the user chose the address (the provider's own, a variable of the environment, the command line); otherwise the
    experiment file did, which somebody else may have written. declared: the adapter named this contact; otherwise it is
    guessed from the options. usual: the variable is one that the adapter takes unasked, or the user's choice; otherwise
    the experiment file named it.
    """

    address: str
    variable: str | None
    own: bool
    declared: bool = True
    usual: bool = True

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
        """Whether a dry run may ask it: a server on this machine that the user chose and that takes no key."""
        return self.own and self.here and not self.sends_key


def is_address(key: str, value: Any) -> bool:
    """Whether an option of that name and value looks like the address of a server."""
    if not isinstance(value, str):
        return False
    return bool(
        _URL.match(value) or _HOST_AND_PORT.fullmatch(value) or (_NAMES_A_HOST.search(key) and _HOST.fullmatch(value))
    )


def contacts_feared(name: str, options: Iterable[Any], own_addresses: frozenset[str]) -> list[Contact]:
    """Whom an adapter may talk to that does not tell: the values in its options that look like addresses, with the
    variables in the options. Without an address, the variables may go wherever the adapter sends them. options: its
    options models. Default addresses come from the adapter's author, and the user chose to install the adapter.
    """
    models = [each for each in options if isinstance(each, BaseModel)]
    given = [leaf for model in models for leaf in _leaves("", model.model_dump(exclude_unset=True))]
    every = [leaf for model in models for leaf in _leaves("", model.model_dump())]
    addresses = list(dict.fromkeys(str(value) for key, value in given if is_address(key, str(value))))
    variables: list[str | None] = list(
        dict.fromkeys(
            value for key, value in (every if addresses else given) if key.endswith("_env") and isinstance(value, str)
        )
    )
    if not addresses:
        feared = [Contact(name, variable, own=False, declared=False) for variable in variables]
        return [contact for contact in feared if contact.sends_key]
    return [
        Contact(address, variable, own=address in own_addresses, declared=False)
        for address in addresses
        for variable in variables or [None]
    ]


def with_foreign_variables(
    contacts: Iterable[Contact], options: Iterable[Any], usual: Iterable[str], given: frozenset[str]
) -> list[Contact]:
    """The contacts, told apart by whether their variable is a usual one: a file could name that of any other service.

    options: the options models of the adapter, where the file's variables stand (`…_env`). usual: those that the
    adapter takes unasked. given: what the command line gave.
    """
    models = [each for each in options if isinstance(each, BaseModel)]
    leaves = [leaf for model in models for leaf in _leaves("", model.model_dump(exclude_unset=True))]
    foreign = {value for key, value in leaves if key.endswith("_env")} - {*usual} - given
    return [replace(contact, usual=contact.variable not in foreign) for contact in contacts]


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The innermost values of a dumped model, each with the nearest name above it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(str(name), inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _leaves(key, inner)
    else:
        yield key, value


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
