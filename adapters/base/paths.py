"""Paths as users write them: `~` and `$VARIABLES` stand for what they mean in a shell, relative ones start at a folder
that whoever reads them names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

# As in a shell: $NAME, ${NAME}. A dollar sign before anything else is itself.
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def expand_path(text: str) -> str:
    """A path with its `~` and variables replaced. Raises ValueError that names an undefined variable or user."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not (found := os.environ.get(name)):
            raise ValueError(f"the variable {name} in the path {text} is not set. Set it: export {name}=…")
        return found

    expanded = _VARIABLE.sub(value, text)
    if "\0" in expanded:
        raise ValueError("a path cannot hold a null character.")
    try:
        return str(Path(expanded).expanduser()) if expanded.startswith("~") else expanded
    except RuntimeError as error:
        user = expanded.partition("/")[0]
        raise ValueError(f"there is no home folder for {user} in the path {text}. Write the folder out.") from error


def resolve_path(base: Path, path: str | Path) -> Path:
    """Where a user's path leads: relative ones start at `base`.

    Raises ValueError as `expand_path` does, and for a path that is no text: most engines take none.
    """
    resolved = base / expand_path(str(path))
    whole = str(resolved.absolute())
    try:
        whole.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the path {whole!r} holds bytes that are no text (UTF-8). Rename it.") from None
    return resolved


def _resolvable(path: Path) -> Path:
    expand_path(str(path))
    return path


def _resolvable_text(text: str) -> str:
    if "://" not in text:
        expand_path(text)
    return text


@dataclass(frozen=True, slots=True)
class _Holds:
    """Marks the type of an option: `path` holds a path and nothing else, `text` may hold one."""

    kind: Literal["path", "text"]


FilePath = Annotated[Path, AfterValidator(_resolvable), _Holds("path")]
"""An option that is a path. It stays as written; `Context.path` says where it leads."""

FolderOrUri = Annotated[str, AfterValidator(_resolvable_text), _Holds("path")]
"""An option that is a path or an address such as s3://bucket/folder."""

PathText = Annotated[str, AfterValidator(_resolvable_text), _Holds("text")]
"""An option that may be a path, and may be a name or an address."""


def path_of_uri(uri: str) -> str | None:
    """The file or folder that a `file:` or `sqlite:` address means; None for any other address."""
    scheme, _, _ = uri.partition(":")
    kind = scheme.lower().partition("+")[0]
    if kind not in ("file", "sqlite"):
        return None
    path = urlsplit(uri).path
    # SQLAlchemy writes one slash before the path: sqlite:////tmp/x is /tmp/x, sqlite:///x is x.
    return url2pathname(path) if kind == "file" else path.removeprefix("/")


def paths_feared(options: Any) -> list[str]:
    """The texts among options that may be paths: each but the addresses of servers."""
    if isinstance(options, Mapping):
        return [path for value in options.values() for path in paths_feared(value)]
    if isinstance(options, list | tuple | set | frozenset):
        return [path for value in options for path in paths_feared(value)]
    if not isinstance(options, str | Path):
        return []
    text = str(options)
    if (path := path_of_uri(text)) is not None:
        return [path]
    return [] if "://" in text or "\0" in text else [text]


def holds_path(field: FieldInfo) -> Literal["path", "text"] | None:
    """Whether an option is a path, may be one, or is none."""
    return _held([*field.metadata, field.annotation])


def _held(types: Iterable[Any]) -> Literal["path", "text"] | None:
    for each in types:
        if isinstance(each, _Holds):
            return each.kind
        if isinstance(each, type) and issubclass(each, Path):
            return "path"
        if found := _held((*get_args(each), *getattr(each, "__metadata__", ()))):
            return found
    return None
