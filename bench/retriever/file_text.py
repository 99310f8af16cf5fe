"""The text of a retriever's file: header, docstring, the source of its pieces, and the class."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.base import CodePiece
from bench.retriever.forms import FORMS, Form, FormName, behind_class
from bench.retriever.literals import in_docstring, literal
from bench.retriever.modules import Import, Source, Wanted, source_of
from bench.retriever.parts import (
    FusionPart,
    RerankingPart,
    SearchPart,
    StagePart,
    builds_in,
    nested,
    pieces_in,
    with_nested,
)
from bench.retriever.refusal import RetrieverRefused

PIPELINE = "adapters.code.pipeline"
BUILDING = "adapters.code.building"
_OWN: tuple[Wanted, ...] = ((PIPELINE, "Pipeline"), ("adapters.code.documents", "Documents"))
_STAGES = {SearchPart: "Search", FusionPart: "Fusion", RerankingPart: "Reranking"}
_PATH = Import("pathlib", "Path")
_LANGCHAIN = {"Field": Import("pydantic", "Field"), "ClassVar": Import("typing", "ClassVar")}
_CONSTANTS = ("RESULT", "SYSTEM", "EXACT", "TOOL_DESCRIPTION", "_HERE", "_RETRIEVER")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!_-]*")


@dataclass(frozen=True, slots=True)
class Told:
    """What the file says of itself. title: one line. paragraphs: of the docstring, each a list of lines, in which
    foreign text went through `in_docstring`. providers: of the store, the encoder, and the encoder's model. exact:
    whether it finds the same as was measured, short of rounding."""

    result: str
    system: str
    title: str
    paragraphs: Sequence[Sequence[str]]
    form: FormName
    searched: str
    providers: Mapping[str, str | None]
    requires: Mapping[str, str]
    python: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The table of documents. path: as an expression."""

    path: str
    rows: int
    fingerprint: str


def file_text(
    part: StagePart, told: Told, table: Table, *, class_name: str, k: int, place: Callable[[Path], str]
) -> str:
    """The file, formatted; as `plain_text`."""
    return formatted(plain_text(part, told, table, class_name=class_name, k=k, place=place))


def plain_text(
    part: StagePart, told: Told, table: Table, *, class_name: str, k: int, place: Callable[[Path], str]
) -> str:
    """The file before its layout. place: the expression of where a piece's file lies. Raises RetrieverRefused where the
    class cannot have that name, and for pieces of another form than they have."""
    pieces, form = list(pieces_in(part)), FORMS[told.form]
    wanted = [
        *form.wanted,
        *_OWN,
        *((PIPELINE, name) for name in _stages(part)),
        *((p.module, p.class_name) for p in pieces),
    ]
    source = source_of(list(dict.fromkeys(wanted)))
    imports = _imported(source, form)
    _check_class_name(class_name, {*source.taken, *imports, *form.offers, *_CONSTANTS})
    body = [
        *_head(told, source, imports, [class_name, *form.offers]),
        *source.definitions,
        _Class(source, table, place).text(part, told, class_name, k),
        behind_class(told.form, class_name, k, told.searched, source.names),
    ]
    return "\n\n".join(body) + "\n"


@dataclass(frozen=True, slots=True)
class Packaged:
    """The retriever's file of a package. opened: of each part that opens files, its variable, the files by argument,
    and the rows that it has nothing for. builds: the lines that make what builds the parts, and the variable of each;
    kept: parts that are opened where the package has them. names: of the definitions that a loader needs."""

    text: str
    opened: Sequence[tuple[str, Mapping[str, Path], Sequence[int]]]
    lines: Sequence[str]
    builds: Mapping[str, str]
    kept: Sequence[str]
    names: Sequence[str]


def packaged_text(part: StagePart, told: Told, table: Table, *, class_name: str, k: int) -> Packaged:
    """As `file_text`, for a class that opens whatever folder its field `data` names."""
    pieces, form = [*pieces_in(part), *builds_in(part)], FORMS[told.form]
    everything = [each for piece in pieces for each in with_nested(piece)]
    wanted = [
        *form.wanted,
        *_OWN,
        *((BUILDING, name) for name in ("BuiltData", "build_data")),
        *((PIPELINE, name) for name in _stages(part)),
        *((p.module, p.class_name) for p in everything),
    ]
    source = source_of(list(dict.fromkeys(wanted)))
    imports = _imported(source, form)
    _check_class_name(class_name, {*source.taken, *imports, *_CONSTANTS})
    writer = _PackagedClass(source, table, in_built_data)
    written = writer.text(part, told, class_name, k)
    body = [*_head(told, source, imports, [class_name, "RetrieverError"]), *source.definitions, written]
    text = formatted("\n\n".join(body) + "\n")
    retriever_made = list(writer.opened)
    writer.lines, writer.made = [], []  # a loader makes its own
    builds = {variable: writer.piece(build, "index") for variable, build in writer.built.items()}
    names = {source.names[p.module, p.class_name] for piece in builds_in(part) for p in with_nested(piece)}
    names |= {source.names[BUILDING, "build_data"], class_name}
    kept = [variable for variable, _, _ in retriever_made if variable not in builds]
    if kept or len(writer.opened) > len(retriever_made):
        names.add(source.names[BUILDING, "BuiltData"])
    return Packaged(text, list(writer.opened), list(writer.lines), builds, kept, sorted(names))


def loader_text(packaged: Packaged, package: str, class_name: str, fields: Sequence[str]) -> str:
    """The module of a package that builds what its retriever opens."""
    parts = ", ".join(f"{literal(name)}: {made}" for name, made in packaged.builds.items())
    kept = ", ".join(f"{literal(name)}: built.files({literal(name)})" for name in packaged.kept)
    opens = ['built = BuiltData(Path(__file__).resolve().parent / "data")'] if "BuiltData" in packaged.names else []
    lines = "\n".join(f"    {line}" for line in (*opens, *packaged.lines))
    described = "Builds what the retriever opens from documents of your own, with the options that were measured."
    return formatted(f'''"""{described}"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from {package}.retriever import {", ".join(packaged.names)}

__all__ = ["build"]


def build(documents: Iterable[Mapping[str, Any]], folder: Path | str) -> {class_name}:
    """Build the index of documents in a new folder, check it, and give the retriever that opens it.

    documents: each with `id`, `text` and further fields, which become metadata. Raises RetrieverError.
    """
{lines}
    place = build_data(documents, Path(folder), {{{parts}}}, kept={{{kept}}}, fields={literal(list(fields))})
    return {class_name}(data=place)
''')


def in_built_data(path: Path) -> str:
    """Nothing lies at a fixed place."""
    raise RetrieverRefused(f"{path} would have a fixed place")


def _kinds_first(name: str) -> tuple[bool, bool, str]:
    """The order in which ruff wants what a module offers: constants, classes, functions."""
    return not name.isupper(), not name[:1].isupper(), name


def _head(told: Told, source: Source, imports: Mapping[str, Import], offered: Sequence[str]) -> list[str]:
    """What stands above the definitions."""
    return [
        _header(told),
        _docstring(told),
        "from __future__ import annotations",
        "\n".join(_import_line(name, found) for name, found in {**source.imports, **imports}.items()),
        f"__all__ = {literal(sorted(offered, key=_kinds_first))}",
        f"RESULT = {literal(told.result)}\nSYSTEM = {literal(told.system)}\nEXACT = {literal(told.exact)}",
        "_HERE = Path(__file__).resolve().parent",
    ]


def _stages(part: StagePart) -> set[str]:
    found = {_STAGES[type(part)]}
    for leg in part.legs if isinstance(part, FusionPart) else [part.source] if isinstance(part, RerankingPart) else []:
        found |= _stages(leg)
    return found


def _imported(source: Source, form: Form) -> dict[str, Import]:
    """What the file imports beside what its pieces do. Raises RetrieverRefused where a piece means another by it."""
    wanted = {"Path": _PATH, **form.imports, **(_LANGCHAIN if form.langchain else {})}
    for name, bound in wanted.items():
        if source.imports.get(name, bound) != bound or (name in source.taken and name not in source.imports):
            raise RetrieverRefused(f"A piece defines {name}, which the retriever imports. Its author must rename it.")
    return wanted


def _check_class_name(name: str, taken: Collection[str]) -> None:
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name) or name.startswith("_"):
        raise RetrieverRefused(f"{name!r} cannot be the name of a class. Take letters and digits: --class MyRetriever")
    if name in taken:
        raise RetrieverRefused(f"{name} is a name that the file uses itself. Take another: --class My{name}")


def _header(told: Told) -> str:
    """Inline script metadata (PEP 723), and what type checkers must know of packages without types."""
    lines = ["/// script", f"requires-python = {json.dumps(told.python)}", "dependencies = ["]
    lines += [f"    {json.dumps(requirement(name, version))}," for name, version in sorted(told.requires.items())]
    lines += ["]", "///"]
    return "\n".join(f"# {line}" for line in lines) + '\n# mypy: disable-error-code="import-untyped, import-not-found"'


def requirement(name: str, version: str) -> str:
    """A pinned requirement. Raises RetrieverRefused for what is no name or version."""
    public = version.partition("+")[0]  # a build for one accelerator is not on the package index
    if not _DISTRIBUTION.fullmatch(name) or not _VERSION.fullmatch(public):
        raise RetrieverRefused(f"{name!r} {version!r}: is no package with a version that a file could ask for.")
    return f"{name}=={public}"


def _docstring(told: Told) -> str:
    parts = [in_docstring(told.title), *("\n".join(lines) for lines in told.paragraphs)]
    return '"""' + "\n\n".join(parts) + '\n"""'


def _import_line(name: str, bound: Import) -> str:
    if bound.attribute is None:
        return f"import {bound.module}" + ("" if name == bound.module else f" as {name}")
    return f"from {bound.module} import {bound.attribute}" + ("" if name == bound.attribute else f" as {name}")


@dataclass(slots=True)
class _Class:
    """Writes the class. place: where a piece's file lies, as an expression."""

    source: Source
    table: Table
    place: Callable[[Path], str]
    lines: list[str] = field(default_factory=list)
    made: list[tuple[CodePiece, str]] = field(default_factory=list)
    variables: set[str] = field(default_factory=lambda: {"self", "documents"})

    def text(self, part: StagePart, told: Told, class_name: str, k: int) -> str:
        self._documents()
        top = self._stage(part)
        pipeline = self._name(PIPELINE, "Pipeline")
        self.lines.append(f"return {pipeline}({top}, documents, limit={literal(k)})")
        form = FORMS[told.form]
        head = [
            f"class {class_name}({self.source.names[form.base]}):",
            f'    """{in_docstring(told.title)}"""',
            "",
            *(_langchain_fields(told, k) if form.langchain else _plain_constructor(k)),
            *self._fields(),
            "",
            f"    def _make(self) -> {pipeline}:",
        ]
        return "\n".join([*head, *(f"        {line}" for line in self.lines)])

    def _documents(self) -> None:
        """Make the table of documents."""
        table, documents = self.table, self._name("adapters.code.documents", "Documents")
        numbers = f"rows={literal(table.rows)}, fingerprint={literal(table.fingerprint)}"
        self.lines.append(f"documents = {documents}({table.path}, {numbers})")

    def _fields(self) -> list[str]:
        """Further fields of the class."""
        return []

    def _files(self, piece: CodePiece, variable: str) -> list[str]:
        """The arguments that say where a piece's files lie."""
        return [f"{_argument(name, piece)}={self.place(path)}" for name, path in piece.files.items()]

    def _without(self, argument: str, rows: Sequence[int], variable: str, build: CodePiece | None) -> list[str]:
        """The argument for the rows that a part has nothing for."""
        return [f"{argument}={literal(rows)}"] if rows else []

    def _stage(self, part: StagePart) -> str:
        """Make a stage; the variable that holds it."""
        stage = self._name(PIPELINE, _STAGES[type(part)])
        match part:
            case SearchPart():
                engine = self.piece(part.engine, "index")
                arguments = [engine, "documents"]
                if part.encoder is not None:
                    arguments += [f"encoder={self.piece(part.encoder, 'encoder')}"]
                    arguments += [f"similarity={literal(part.similarity)}"]
                arguments += self._without("undirected", part.undirected, engine, part.build)
            case FusionPart():
                legs = ", ".join(self._stage(leg) for leg in part.legs)
                arguments = [f"[{legs}]", f"weights={literal(part.weights)}", f"by={literal(part.by)}"]
                arguments += [f"constant={literal(part.constant)}"] if part.by == "rrf" else []
                arguments += [f"depth={literal(part.depth)}"]
            case RerankingPart():
                source = self._stage(part.source)
                scorer = self.piece(part.scorer, "scorer")
                arguments = [source, scorer, "documents", f"depth={literal(part.depth)}"]
                arguments += self._without("unscorable", part.unscorable, scorer, part.build)
        variable = self._variable(_STAGES[type(part)].lower())
        self.lines.append(f"{variable} = {stage}({', '.join(arguments)})")
        return variable

    def piece(self, piece: CodePiece, what: str) -> str:
        """Make a piece, once however often it is asked for; the variable that holds it."""
        for known, variable in self.made:
            if known == piece:
                return variable
        arguments: list[str] = []
        inner = {id(each): self.piece(each, "part") for each in nested(piece)}
        for name, value in piece.arguments.items():
            written = inner[id(value)] if isinstance(value, CodePiece) else literal(value)
            arguments.append(f"{_argument(name, piece)}={written}")
        variable = self._variable(what)
        arguments += self._files(piece, variable)
        self.lines.append(f"{variable} = {self._name(piece.module, piece.class_name)}({', '.join(arguments)})")
        self.made.append((piece, variable))
        return variable

    def _name(self, module: str, name: str) -> str:
        return self.source.names[module, name]

    def _variable(self, what: str) -> str:
        name, number = what, 1
        while name in self.variables or name in self.source.taken:
            number += 1
            name = f"{what}_{number}"
        self.variables.add(name)
        return name


@dataclass(slots=True)
class _PackagedClass(_Class):
    """Writes a class that opens what a folder holds. opened: what it opens there; built: what builds its parts."""

    opened: list[tuple[str, Mapping[str, Path], Sequence[int]]] = field(default_factory=list)
    built: dict[str, CodePiece] = field(default_factory=dict)

    def _documents(self) -> None:
        self.variables.add("built")
        documents, data = self._name("adapters.code.documents", "Documents"), self._name(BUILDING, "BuiltData")
        self.lines.append(f"built = {data}(self.data)")
        self.lines.append(f"documents = {documents}(built.documents, rows=built.rows, fingerprint=built.fingerprint)")

    def _fields(self) -> list[str]:
        return ["", '    data: Path = Field(default=_HERE / "data", description="Folder of what it opens.")']

    def _files(self, piece: CodePiece, variable: str) -> list[str]:
        if not piece.files:
            return []
        self.opened.append((variable, piece.files, ()))
        return [f"**built.files({literal(variable)})"]

    def _without(self, argument: str, rows: Sequence[int], variable: str, build: CodePiece | None) -> list[str]:
        if build is None:
            return [f"{argument}={literal(rows)}"] if rows else []
        self.built[variable] = build
        self.opened = [(name, files, rows if name == variable else kept) for name, files, kept in self.opened]
        return [f"{argument}=built.left_out({literal(variable)})"]


def _langchain_fields(told: Told, k: int) -> list[str]:
    """How many documents a call returns, and what LangSmith shows."""
    providers = [
        f"    {name}: ClassVar[str | None] = {literal(value)}"
        for name, value in told.providers.items()
        if value is not None
    ]
    size = f'    k: int = Field(default={literal(k)}, ge=1, description="How many documents a call returns.")'
    return [size, *(["", *providers] if providers else [])]


def _plain_constructor(k: int) -> list[str]:
    return [f"    def __init__(self, k: int = {literal(k)}) -> None:", "        super().__init__(k)"]


def _argument(name: str, piece: CodePiece) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RetrieverRefused(f"{piece.class_name} of {piece.module} cannot have an argument called {name!r}.")
    return name


def formatted(text: str, *, own: str | None = None) -> str:
    """Source with its imports sorted and its layout as `ruff format` has it. own: the package beside which it lies.
    Raises RetrieverRefused for source with faults: a piece whose module is not of the form that pieces have."""
    known = () if own is None else ("--config", f'lint.isort.known-first-party = ["{own}"]')
    text = _ruff(text, "check", "--fix-only", "--select", "I", *known)
    text = _ruff(text, "format")
    _ruff(text, "check", *known)
    return text


def _ruff(text: str, *arguments: str) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        *arguments,
        "--isolated",
        "--quiet",
        "--stdin-filename",
        "retriever.py",
        "-",
    ]
    done = subprocess.run(command, input=text.encode("utf-8"), capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout if "--fix-only" not in arguments else b"") + done.stderr
        raise RetrieverRefused(f"The pieces do not make a sound file: {said.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8")
