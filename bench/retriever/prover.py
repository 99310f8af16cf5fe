"""Asks a retriever's file, in a process from which this project is hidden. It is run as a program, never imported.

Its first argument is the file. The first line of its input names the class, or is null; each further line is a query:
its text, how many documents, and ids to leave out. A line of output answers each; `{"error": …}` ends it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any


class Hidden(importlib.abc.MetaPathFinder):
    """Refuses the packages of this project, and those of third parties' adapters."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Nothing for any package but the hidden ones."""
        if fullname.partition(".")[0] in self._packages:
            raise ImportError(f"{fullname} is hidden: a retriever needs nothing of the program that wrote it")
        return None


def loaded(path: str) -> ModuleType:
    """The file as a module."""
    spec = importlib.util.spec_from_file_location("retriever_under_proof", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answers(retriever: Any, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The answer to each query: ids and scores, best first."""
    find = getattr(retriever, "find", None)  # of a retriever without LangChain
    for line in lines:
        asked = json.loads(line)
        excluded = {"exclude": asked["exclude"]} if asked["exclude"] else {}
        if find is not None:
            hits = [[each.id, each.score] for each in find(asked["query"], asked["k"], **excluded)]
        else:
            found = retriever.invoke(asked["query"], k=asked["k"], **excluded)
            hits = [[each.metadata["id"], each.metadata["score"]] for each in found]
        yield {"hits": hits}


def main() -> int:
    """The program. What the file itself prints goes to stderr."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = iter(sys.stdin.buffer.readline, b"")
    told = json.loads(next(lines))
    sys.meta_path.insert(0, Hidden(told["hidden"]))
    try:
        module = loaded(sys.argv[1])
        retriever = getattr(module, told["class"])()
        for answer in answers(retriever, (line.decode("utf-8") for line in lines)):
            print(json.dumps(answer), file=output, flush=True)
        retriever.close()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=output, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
