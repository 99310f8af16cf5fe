"""Where a result comes from: code, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.base import Adapter

OWN_PACKAGES = ("retrieval-bench", "numpy", "pyarrow", "scipy")


def packages(in_use: Iterable[type[Adapter]] = ()) -> dict[str, str]:
    """Versions of the installed packages that can change a figure: those of the harness, of the adapters that come with
    it, and of the adapters in use, which may come from elsewhere."""
    required = tuple(name for kind in in_use for name in kind.distributions())
    return dict(_versions((*OWN_PACKAGES, *registry.DISTRIBUTIONS, *required)))


@lru_cache(maxsize=8)
def _versions(names: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=1)
def machine() -> dict[str, Any]:
    """The machine, as far as latencies depend on it."""
    model = platform.processor() or platform.machine()
    memory = None
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
    }


@lru_cache(maxsize=1)
def checkout() -> tuple[str | None, bool | None]:
    """The commit of the harness's own checkout and whether files of it differ from that; None where it was installed
    without one. As first asked for: this process goes on with the code that it imported."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", str(folder / "provenance.py")) is None:
        return None, None
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)
