"""Tells which adapters there are, which can be used on this machine and what to install for the others; and where the
cache is."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

from adapters import registry
from adapters.base import HUB, hub_is_offline
from bench.cache.clean import sizes
from bench.cache.entries import entries
from bench.cache.users import users
from bench.machine.provenance import machine, packages
from bench.messages.failures import failure_of
from bench.messages.wording import counted


def report(cache: Path) -> str:
    """A plain-text report. cache: the folder that runs use here."""
    lines = [_machine(), ""]
    for role in registry.ROLES:
        names = registry.names(role)
        if not names:
            continue
        lines.append(role)
        width = max(map(len, names))
        lines += [f"  {name.ljust(width)}  {_state(role, name)}" for name in names]
        lines.append("")
    return "\n".join([*lines, *_servers(), _offline(), _cache(cache)]) + "\n"


def _servers() -> list[str]:
    """How to have the servers that stores need."""
    found: list[str] = []
    for name in registry.names("stores"):
        try:
            advice = registry.load("stores", name).server_advice()
        except BaseException as error:
            failure_of(error)  # told beside the store's name
            continue
        if advice:
            found.append(advice)
    return found


def _machine() -> str:
    about = machine()
    memory = f", {about['memory_bytes'] / 2**30:.0f} GiB" if about["memory_bytes"] else ""
    harness = f"retrieval-bench {packages().get('retrieval-bench', 'from a folder')}"
    return f"{about['processor']}, {about['cores']} cores{memory}, Python {about['python']}; {harness}"


def _state(role: registry.RoleName, name: str) -> str:
    try:
        kind = registry.load(role, name)
        missing = kind.missing()
        versions = [] if missing else [f"{name} {version(name)}" for name in kind.distributions()]
    except BaseException as error:  # a third party's module may fail in any way, and the doctor reports it
        return f"cannot be loaded: {failure_of(error).where}"
    if missing:
        return str(missing)
    shown = f" ({', '.join(versions)})" if versions else ""
    if kind.key_env and kind.key_env not in os.environ:
        return f"ready, but needs a key in {kind.key_env}{shown}"
    return f"ready{shown}"


def _offline() -> str:
    if hub_is_offline():
        return f"{HUB}: off (HF_HUB_OFFLINE is set); models come from folders, packages and the local cache"
    return f"{HUB}: used for models and datasets given by name"


def _cache(folder: Path) -> str:
    parts = sizes(folder)
    if not parts:
        return f"cache: {folder}, nothing in it yet"
    told = ", ".join(f"{part} {size:,}" for part, size in parts.items())
    return f"cache: {folder}, {sum(parts.values()):,} bytes ({told}); {_use(folder)}"


def _use(folder: Path) -> str:
    """How many use a cache, and what nobody is known to use."""
    known, damaged = users(folder)
    unknown = sum(entry.bytes for entry in entries(folder) if not entry.users)
    gone = sum(not user.file.exists() for user in known)
    parts = [f"used by {counted(len(known), 'experiment')}{f' ({gone:,} of them not there any more)' if gone else ''}"]
    parts += [f"{counted(damaged, 'record')} of use damaged"] if damaged else []
    parts += [f"{unknown:,} bytes of unknown use"] if unknown else []
    return ", ".join(parts)
