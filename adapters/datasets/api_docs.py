"""Built on the spot from the docstrings of installed packages: real text that needs no download."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import types
import warnings
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeAlias, get_args

from pydantic import Field

from adapters import base
from adapters.base import DatasetInvalid, DatasetSource, MissingDependency, Tables
from adapters.datasets._tables import QrelsTable, TextTable

Half: TypeAlias = Literal["train", "test"]

_SIGNATURE = re.compile(r"[\w.]+\(.*\)(\s*->.*)?", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])")
_DEPRECATED = re.compile(r"(?<=Use of argument\(s\) ``)\{(.*?)\}(?=`` by position)")
_SHORTEST_QUERY = 3  # words; below that stand names and headings, not sentences
_SHORTEST_DOCUMENT = 200  # characters; below that too little is left to find the object by


class Entry(NamedTuple):
    """One documented object: its name, summary sentence, and the rest of its docstring."""

    name: str
    summary: str
    body: str


class ApiDocsOptions(base.Options):
    packages: tuple[str, ...] = Field(
        ("numpy", "scipy", "pandas"), min_length=1, description="Importable packages whose documentation is the corpus."
    )
    split: Half = Field("test", description="Half of the queries that is asked, chosen by a hash of the query.")
    limit: int | None = Field(
        None,
        ge=1,
        description="At most so many queries of that half, chosen by the same hash; left out, all. Models train on all "
        "of the other half.",
    )


class ApiDocs(DatasetSource):
    """Query: an object's summary sentence. Document: the rest of its docstring.

    Walks the packages' public names; nothing is called, no property evaluated. Objects with identical bodies are one
    document, and every document of a summary is relevant to it.
    """

    name: ClassVar[str] = "api_docs"
    Options = ApiDocsOptions

    def check(self) -> None:
        super().check()
        for package in self.options.packages:
            _distribution(package)

    def sources(self) -> tuple[Path, ...] | None:
        """The packages' lists of installed files, which hold a hash of each; None where one has no such list."""
        records = []
        for package in self.options.packages:
            listed = [file for file in _distribution(package).files or () if file.name == "RECORD"]
            if not listed:
                return None
            records.append(Path(str(listed[0].locate())))
        return tuple(records)

    def splits(self) -> tuple[str, ...]:
        return get_args(Half)

    def of_split(self, split: str) -> Self:
        """The other half, whole: `limit` is about the queries that are evaluated."""
        return type(self)(self.options.model_copy(update={"split": split, "limit": None}), self.context)

    def load(self) -> Tables:
        for package in self.options.packages:
            list(documented(package))  # scipy rewrites a docstring of numpy's when it is imported
        entries = [entry for package in self.options.packages for entry in documented(package)]
        if not entries:
            raise DatasetInvalid(
                ", ".join(self.options.packages),
                "no docstring with a summary and a body (is Python running with -OO?).",
            )
        corpus = TextTable(titled=True)
        documents: dict[str, str] = {}  # body: id
        for entry in entries:
            if entry.body not in documents:
                documents[entry.body] = entry.name
                corpus.add(entry.name, entry.body)
        relevant: dict[str, dict[str, None]] = {}  # normalised summary: ids in order
        wording: dict[str, str] = {}
        for entry in entries:
            key = normalised(entry.summary)
            wording.setdefault(key, entry.summary)
            relevant.setdefault(key, {})[documents[entry.body]] = None
        chosen = sorted((key for key in relevant if split_of(key) == self.options.split), key=_hash)
        queries, qrels = TextTable(titled=False), QrelsTable()
        for key in chosen[: self.options.limit]:
            name = f"q-{_hash(key):016x}"
            queries.add(name, wording[key])
            for document in relevant[key]:
                qrels.add(name, document, 1)
        return Tables(
            corpus=corpus.finish(),
            queries=queries.finish(),
            qrels=qrels.finish(),
            notes=("Queries are summary sentences of docstrings, documents the rest of them: a known-item search.",),
            provenance={"packages": {package: _distribution(package).version for package in self.options.packages}},
        )


def documented(package: str) -> Iterator[Entry]:
    """The documented public objects of a package, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated modules and names warn when they are looked at
        objects = _public_objects(package)
    for name in sorted(objects):
        if entry := _entry(name, objects[name]):
            yield entry


def normalised(query: str) -> str:
    """What two spellings of one query have in common. Signs stay: x1 + x2 is not x1 * x2."""
    return " ".join(query.casefold().split()).rstrip(".")


def split_of(normalised_query: str) -> Half:
    """The side a query stands on, whatever else is in the collection."""
    return "test" if _hash(normalised_query) % 2 else "train"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _public_objects(package: str) -> dict[str, Any]:
    """Callables and classes with their public members, each under the first name the walk meets it by."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    modules = [importlib.import_module(package)]
    for module in modules:  # grows while the package itself is walked
        for name in _public_names(module):
            value = _attribute(module, name)
            if value is None or id(value) in seen:
                continue
            seen.add(id(value))
            qualified = f"{module.__name__}.{name}"
            if isinstance(value, types.ModuleType):
                # Its direct namespaces only: what lies deeper is mostly the same objects, or meant for typing.
                if module is modules[0] and value.__name__ == qualified:
                    modules.append(value)
            elif callable(value) and _belongs(value, package):
                found[qualified] = value
                if inspect.isclass(value):
                    found |= {f"{qualified}.{key}": member for key, member in _members(value, package)}
    return found


def _public_names(module: types.ModuleType) -> list[str]:
    names = vars(module).get("__all__")
    if not names:
        # Which submodules hang on a package depends on what else was imported; which ones lie in it does not.
        names = {name for name, value in vars(module).items() if not isinstance(value, types.ModuleType)}
        names |= {info.name for info in pkgutil.iter_modules(vars(module).get("__path__", ()))}
    return sorted({name for name in names if isinstance(name, str) and not name.startswith("_")} - {"test", "tests"})


def _attribute(module: types.ModuleType, name: str) -> Any:
    if name in vars(module):
        return vars(module)[name]
    try:
        # scipy imports its public subpackages when they are first asked for.
        return importlib.import_module(f"{module.__name__}.{name}")
    except ImportError:
        return None


def _belongs(value: Any, package: str) -> bool:
    home = getattr(value, "__module__", None)  # None for numpy's ufuncs
    return home is None or (isinstance(home, str) and home.split(".")[0] == package)


def _members(kind: type, package: str) -> Iterator[tuple[str, Any]]:
    """A class's own public methods and properties, not looked up through their descriptors."""
    for name, value in vars(kind).items():
        if name.startswith("_"):
            continue
        member = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if isinstance(member, property) or inspect.isroutine(member):
            yield name, member


def _entry(name: str, value: Any) -> Entry | None:
    docstring = inspect.getattr_static(value, "__doc__", None)
    if not isinstance(docstring, str):
        docstring = value.__doc__  # of a C function, where the class holds a descriptor
    if not isinstance(docstring, str):
        return None
    text = _reproducible(inspect.cleandoc(docstring), value)
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
    while paragraphs and _SIGNATURE.fullmatch(paragraphs[0].strip()):
        del paragraphs[0]  # the signature that C functions carry above their summary
    if not paragraphs:
        return None
    summary = _SENTENCE_END.split(" ".join(paragraphs[0].split()))[0]
    words = summary.split()
    # With any white space, wherever it stands again: a document that holds its query finds itself.
    body = re.sub(r"\s+".join(re.escape(word) for word in words), "", text).strip()
    if len(words) < _SHORTEST_QUERY or len(body) < _SHORTEST_DOCUMENT:
        return None
    return Entry(name, summary, body)


def _reproducible(text: str, value: Any) -> str:
    """A docstring without what differs between processes. scipy writes parts of some when it is imported: names of
    arguments as a set, in any order, and what distributions draw at random."""
    drawn = getattr(value, "__module__", None) == "scipy.stats._new_distributions"
    lines = (line for line in text.splitlines() if not (drawn and line.endswith("# may vary")))
    return _DEPRECATED.sub(_in_order, "\n".join(lines)) if drawn or "by position" in text else text


def _in_order(found: re.Match[str]) -> str:
    return f"{{{', '.join(sorted(found[1].split(', ')))}}}"


def _distribution(package: str) -> Distribution:
    try:
        return distribution(package)
    except PackageNotFoundError:
        names = packages_distributions().get(package)
        if not names:
            raise MissingDependency("api_docs", package, None) from None
        return distribution(names[0])
