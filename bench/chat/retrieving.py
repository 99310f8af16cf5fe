"""Loads a retriever from a Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from langchain_core.retrievers import BaseRetriever

from bench.messages.failures import failure_of

_MODULE = "retriever_of_the_chat"


class Unusable(Exception):
    """A file from which no retriever can be made; says why and what to do."""


def load_retriever(file: Path, *, name: str | None = None) -> BaseRetriever:
    """The retriever that a file defines, made without arguments. name: which of its classes; None where it has one.
    Raises Unusable."""
    if not file.is_file():
        raise Unusable(f"{file}: there is no such file. Write one: bench retriever RESULT -o {file.name}")
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        raise Unusable(f"{file}: is no Python file. A retriever's file ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # pydantic looks its annotations up there
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise Unusable(
            f"{file}: needs the module {error.name}, which is not installed. Install what the file's header lists."
        ) from error
    except BaseException as error:
        raise Unusable(f"{file}: cannot be loaded: {failure_of(error).where}") from error
    kind = _kind(file, vars(module), name)
    try:
        return kind()
    except BaseException as error:
        raise Unusable(f"{file}: {kind.__name__} cannot be made: {failure_of(error).where}") from error


def _kind(file: Path, names: dict[str, Any], name: str | None) -> type[BaseRetriever]:
    """The class in the file that is a retriever, and of which no other one there is a kind."""
    found = [
        each
        for each in dict.fromkeys(value for value in names.values() if isinstance(value, type))
        if issubclass(each, BaseRetriever) and each.__module__ == _MODULE and each.__name__ == (name or each.__name__)
    ]
    last = [each for each in found if not any(other is not each and issubclass(other, each) for other in found)]
    if len(last) != 1:
        what = "no retriever" if not last else f"several: {', '.join(each.__name__ for each in last)}"
        raise Unusable(f"{file}: defines {what}. A chat needs a file with one class derived from BaseRetriever.")
    return last[0]
