"""Takes from modules the definitions that a file needs, with what these need in turn, and makes one text of them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeAlias

from bench.retriever.refusal import RetrieverRefused

CODE = "adapters.code"
_PROJECT = ("adapters", "bench")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Wanted: TypeAlias = tuple[str, str]
"""A module and a name in it."""


@dataclass(frozen=True, slots=True)
class Import:
    """What an import binds a name to. attribute: None for the module itself."""

    module: str
    attribute: str | None


@dataclass(slots=True)
class _Module:
    """A module's source. own: its definitions by name, in their order. bound: what its imports bind."""

    name: str
    lines: list[str]
    own: dict[str, ast.stmt] = field(default_factory=dict)
    bound: dict[str, Import] = field(default_factory=dict)

    def text(self, node: ast.stmt) -> str:
        """The lines of a definition, with its decorators and the comments right above it."""
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        while first > 1 and self.lines[first - 2].startswith("#"):
            first -= 1
        return "\n".join(self.lines[first - 1 : node.end_lineno])


@dataclass(frozen=True, slots=True)
class Source:
    """imports: what the text needs, by the name that it is bound to. definitions: their texts, each after those that it
    needs. names: what the wanted definitions are called in the text."""

    imports: Mapping[str, Import]
    definitions: Sequence[str]
    names: Mapping[Wanted, str]
    taken: frozenset[str]


def source_of(wanted: Sequence[Wanted]) -> Source:
    """The source of what is wanted, and of all that it needs of the same package and of `adapters.code`.

    Raises RetrieverRefused for a module that is not of the form that pieces have.
    """
    return _Collection(wanted).source()


class _Collection:
    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._wanted = wanted
        self._packages = {CODE, *(module.partition(".")[0] for module, _ in wanted if not module.startswith(CODE))}
        self._modules: dict[str, _Module] = {}
        self._needed: dict[str, set[str]] = {}
        self._imports: dict[str, Import] = {}
        for module, name in wanted:
            self._need(module, name)

    def source(self) -> Source:
        definitions: dict[str, str] = {}  # texts by final names
        names: dict[Wanted, str] = {}
        for module in self._in_order():
            loaded = self._modules[module]
            kept = [(name, node) for name, node in loaded.own.items() if name in self._needed[module]]
            renamed: dict[str, str] = {}
            for name, node in kept:
                taken = definitions.get(name)
                if name in self._imports or (taken is not None and taken != loaded.text(node)):
                    renamed[name] = _free(name, module, {*definitions, *self._imports, *loaded.own})
            renamed |= self._renamed_imports(loaded, names)
            for name, node in kept:
                final = renamed.get(name, name)
                definitions[final] = _with_names(loaded, node, renamed)
                names[module, name] = final
        imports = dict(sorted(self._imports.items()))
        return Source(imports, list(definitions.values()), names, frozenset((*definitions, *imports)))

    def _in_order(self) -> list[str]:
        """The modules, each after those that it needs."""
        graph = {
            name: {bound.module for bound in module.bound.values() if bound.module in self._needed}
            for name, module in self._modules.items()
        }
        return [name for name in TopologicalSorter(graph).static_order() if name in self._needed]

    def _renamed_imports(self, module: _Module, names: Mapping[Wanted, str]) -> dict[str, str]:
        """What copied definitions of other modules are called, where it is not what the module calls them."""
        found: dict[str, str] = {}
        for name, bound in module.bound.items():
            final = names.get((bound.module, bound.attribute or ""))
            if final is not None and final != name:
                found[name] = final
        return found

    def _need(self, module: str, name: str) -> None:
        """Take a definition and all that it needs, those first."""
        loaded = self._module(module)
        if name in self._needed.setdefault(module, set()):
            return
        node = loaded.own.get(name)
        if node is None:
            raise RetrieverRefused(f"{module} has no definition {name} at its top level, which a piece needs.")
        self._needed[module].add(name)
        for used in _names_in(node):
            if used in loaded.own:
                self._need(module, used)
            elif (bound := loaded.bound.get(used)) is not None:
                self._need_import(module, used, bound)

    def _need_import(self, module: str, name: str, bound: Import) -> None:
        if self._is_copied(bound.module):
            if bound.attribute is None:
                raise RetrieverRefused(f"{module} imports the module {bound.module} whole. A piece imports names.")
            self._need(bound.module, bound.attribute)
            return
        if bound.module.partition(".")[0] in _PROJECT:
            raise RetrieverRefused(
                f"{module} imports {bound.module}: a piece needs nothing of this project but {CODE}."
            )
        if self._imports.setdefault(name, bound) != bound:
            raise RetrieverRefused(
                f"{module} calls {_told(bound)} {name}, which another piece calls {_told(self._imports[name])}."
            )

    def _is_copied(self, module: str) -> bool:
        return any(module == package or module.startswith(f"{package}.") for package in self._packages)

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            self._modules[name] = _read(name)
        return self._modules[name]


def _told(bound: Import) -> str:
    return bound.module if bound.attribute is None else f"{bound.module}.{bound.attribute}"


@lru_cache
def _read(name: str) -> _Module:
    """A module's source, which is not run. Nobody changes what is returned."""
    try:
        spec = importlib.util.find_spec(name)
        text = Path(str(spec.origin)).read_text(encoding="utf-8") if spec is not None else None
    except (ImportError, ValueError, OSError) as error:
        raise RetrieverRefused(f"The source of the module {name} cannot be read: {error}") from error
    if text is None:
        raise RetrieverRefused(f"There is no module {name}, whose source a piece needs.")
    module = _Module(name, text.splitlines())
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            module.bound |= {alias.asname or alias.name: Import(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            if node.level or node.module is None:
                raise RetrieverRefused(f"{name}: line {node.lineno}: a piece imports by whole names, not relatively.")
            module.bound |= {alias.asname or alias.name: Import(node.module, alias.name) for alias in node.names}
        else:
            for defined in _defined(node):
                module.own[defined] = node
    return module


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, _DEFINITIONS):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


@cache
def _names_in(node: ast.AST) -> tuple[str, ...]:
    """The names that a definition uses, each once, in their order: a dotted import counts by all its parts."""
    found: dict[str, None] = {}
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            found[each.id] = None
        elif isinstance(each, ast.Attribute) and (dotted := _dotted(each)) is not None:
            found[dotted] = None
    return tuple(found)


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := _dotted(node.value)) is not None:
        return f"{left}.{node.attr}"
    return None


def _free(name: str, module: str, taken: set[str]) -> str:
    """Another name for a definition, after its module."""
    stem = module.rpartition(".")[2]
    candidate = f"_{stem}{name}" if name.startswith("_") else f"{name}_of_{stem}"
    while candidate in taken:
        candidate += "_"
    return candidate


def _with_names(module: _Module, node: ast.stmt, renamed: Mapping[str, str]) -> str:
    """The text of a definition with other names in it."""
    text = module.text(node)
    used = {name for name in (*_names_in(node), *_defined(node)) if name in renamed}
    if not used:
        return text
    if shadowed := {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)} & used:
        raise RetrieverRefused(f"{module.name}: a parameter is called {min(shadowed)}, as another definition of it is.")
    lines = text.split("\n")
    offset = (node.end_lineno or node.lineno) - len(lines)
    places = [
        (each.lineno, each.col_offset, each.id)
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and each.id in renamed
    ]
    if isinstance(node, _DEFINITIONS) and node.name in renamed:
        line = lines[node.lineno - offset - 1]
        places.append((node.lineno, len(line[: line.index(f" {node.name}") + 1].encode()), node.name))
    for line_number, column, name in sorted(places, reverse=True):
        at = line_number - offset - 1
        line_bytes = lines[at].encode("utf-8")
        changed = line_bytes[:column] + renamed[name].encode() + line_bytes[column + len(name.encode()) :]
        lines[at] = changed.decode("utf-8")
    return "\n".join(lines)
