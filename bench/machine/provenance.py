"""Where a result comes from: code, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "retrieval-bench", "numpy", "pyarrow", "torch", "sentence-transformers", "transformers", "lancedb", "pylance",
    "bm25s", "datasets", "weaviate-client", "faiss-cpu", "cohere", "openai", "scipy",
)  # fmt: skip


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Versions of the packages that can change a figure, those installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
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


def provenance() -> dict[str, Any]:
    """commit and dirty: of the harness's own checkout, None where it was installed without one."""
    commit, dirty = _commit(Path(__file__).resolve().parent)
    return {"commit": commit, "dirty": dirty, "packages": packages(), "machine": machine(), "addresses": {}}


def _commit(folder: Path) -> tuple[str | None, bool | None]:
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
