"""All perf scripts, one after the other: `python -P -m tests.perf`, or `python -P -m tests.perf lancedb` for one."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time

import tests.perf


def main() -> None:
    """Run each module of this package that has a `main`; exit status 1 when a ratio is missed."""
    missed: list[str] = []
    for name in sys.argv[1:] or sorted(module.name for module in pkgutil.iter_modules(tests.perf.__path__)):
        if name.startswith("_"):
            continue
        script = getattr(importlib.import_module(f"tests.perf.{name}"), "main", None)
        if script is None:
            continue
        print(f"— {name}", flush=True)
        began = time.perf_counter()
        try:
            script()
        except SystemExit as stop:
            if stop.code:
                missed.append(f"{name}: {stop.code}")
        print(f"  ({time.perf_counter() - began:,.0f} s)\n", flush=True)
    if missed:
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    main()
