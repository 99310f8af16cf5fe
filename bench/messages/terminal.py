"""The way to a terminal: whatever is printed passes here. Results go to stdout, progress and faults to stderr.

No secret passes, and nothing that a terminal would obey: names, ids, texts and errors may come from a stranger's data.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from adapters import printable

# What tables are drawn with, for a terminal that has no such characters.
_PLAIN = str.maketrans({"·": "-", "►": ">", "–": "-", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "…": "...",
                         "✓": "+", "✗": "-",
                         **{bar: str(height) for height, bar in enumerate("▁▂▃▄▅▆▇█", 1)}})  # fmt: skip

_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "warn": "33"}


def shown(text: str) -> str:
    """Text as it may be printed."""
    from bench.messages.secrets import redacted

    return printable(redacted(text))


def say(line: str, *, dim: bool = False) -> None:
    """Print a line to standard error. dim: in weaker letters, where that is a terminal."""
    if sys.stderr is None:  # standard error is closed: print would use standard output instead
        return
    with suppress(OSError):  # standard error refuses, so the refusal cannot be told either
        weaker = dim and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        print(f"\x1b[2m{shown(line)}\x1b[0m" if weaker else shown(line), file=sys.stderr)


def show(text: str) -> None:
    """Print to standard output. Raises OSError that names it where it refuses."""
    _write(shown(text))


def show_lines(lines: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Print lines of pieces, each a text and its style, to standard output: in colour where a person looks at a
    terminal that has some, and plainly everywhere else. Raises as `show` does."""
    painted = has_colour()
    text = "".join("".join(_painted(*piece, painted) for piece in line) + "\n" for line in lines)
    _write(text if painted else "".join(f"{line.rstrip()}\n" for line in text.split("\n")[:-1]))


def _painted(text: str, style: str, painted: bool) -> str:
    code = _STYLES.get(style) if painted else None
    return shown(text) if code is None else f"\x1b[{code}m{shown(text)}\x1b[0m"


def has_colour() -> bool:
    """Whether standard output is a terminal with colours, and nobody asked for none. Source: no-color.org."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_columns() -> int | None:
    """Columns of the terminal that results go to; None where they go to a file or another program."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def show_json(value: Any) -> None:
    """Print a value as JSON, which stays JSON: what a terminal would obey is written as JSON escapes it."""
    from bench.messages.secrets import redacted

    text = redacted(json.dumps(value, ensure_ascii=False, indent=1))
    text = printable(text, escape=lambda char: json.dumps(char)[1:-1])
    _write((text if _can_be_printed(text) else json.dumps(json.loads(text), indent=1)) + "\n")


def _write(text: str) -> None:
    out = sys.stdout
    if out is None:
        raise OSError(errno.EBADF, "it is closed, so the results cannot be shown", "standard output")
    if not _can_be_printed(text):
        encoding = out.encoding
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    try:
        out.write(text)
        out.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # otherwise the rest of the buffer is refused again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from error


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def guard_tracebacks() -> None:
    """Let tracebacks of the whole process pass here too: they quote messages and lines of files."""
    sys.excepthook = _on_exception
    threading.excepthook = _on_thread_exception


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def _on_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        _on_exception(args.exc_type, args.exc_value, args.exc_traceback)
