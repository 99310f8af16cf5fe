"""The command `bench compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import JsonOption, given_path, terminal_width
from bench.messages.terminal import show, show_json, shown

if TYPE_CHECKING:
    from bench.comparing.forms import Form
    from bench.comparing.model import Compared

_SHOWN_QUERIES = 5

Old = Annotated[
    Path,
    typer.Argument(
        metavar="OLD",
        parser=given_path,
        help="The result before the change: a folder, or one of results, of which the newest.",
    ),
]
New = Annotated[Path, typer.Argument(metavar="NEW", parser=given_path, help="The result after it, likewise.")]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="shared|verdicts",
        help="`shared`: compare only the queries and measures that both have. `verdicts`: say whether both conclude "
        "the same of their systems, each over queries of its own, such as synthetic and real ones.",
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="FIGURE",
        help="Exit with 3 where this got worse: a measure, `own p50`, `total p95` or `cost`. May be repeated.",
    ),
]
Margin = Annotated[
    float | None,
    typer.Option("--margin", metavar="X", help="A loss of a measure that passes [default: the experiments' margin]."),
]
RatioMargin = Annotated[
    float | None,
    typer.Option(
        "--ratio-margin",
        metavar="X",
        help="Growth of a time or cost that passes, such as 1.10 [default: the experiments' margin of latency].",
    ),
]
Level = Annotated[
    float | None,
    typer.Option(
        "--level",
        metavar="X",
        help="Level of all intervals; higher alarms less: .99 for every night [default: 0.95].",
    ),
]
Without = Annotated[
    list[str] | None, typer.Option("--without", metavar="SYSTEM", help="Leave a system out. May be repeated.")
]
Queries = Annotated[
    int | None,
    typer.Option("--queries", min=0, max=1_000, help="How many queries to show of each system [default: 5]."),
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown instead, for a comment.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        parser=given_path,
        help="Write there, JSON or Markdown by its ending, and print the text.",
    ),
]


def compare(
    old: Old,
    new: New,
    on: On = None,
    fail_on: FailOn = None,
    margin: Margin = None,
    ratio_margin: RatioMargin = None,
    level: Level = None,
    without: Without = None,
    queries: Queries = None,
    as_json: JsonOption = False,
    as_markdown: AsMarkdown = False,
    output: Output = None,
) -> None:
    """Say what a change gained and lost between two results; with --fail-on a gate for continuous integration."""
    if on == "verdicts":
        margins = {"--margin": margin, "--ratio-margin": ratio_margin}
        of_a_change = {"--fail-on": fail_on, **margins, "--level": level, "--queries": queries}
        if idle := [option for option, given in of_a_change.items() if given is not None]:
            refuse([f"{', '.join(idle)}: of a change that is judged, and --on verdicts sets two results side by side."])
        _conclusions(old, new, tuple(without or ()), _form(output, as_json=as_json, as_markdown=as_markdown), output)
        return
    options = {"on": on, "margin": margin, "ratio_margin": ratio_margin}
    options |= {} if level is None else {"level": level}
    lists = {"fail_on": tuple(fail_on or ()), "without": tuple(without or ())}
    form = _form(output, as_json=as_json, as_markdown=as_markdown)
    compared = _compared(old, new, {**options, **lists}, form, output)
    _print(compared, form, _SHOWN_QUERIES if queries is None else queries, output)
    if compared.gate is not None:
        from bench.comparing.sentences import EXIT_STATUS

        raise typer.Exit(EXIT_STATUS[compared.gate.outcome])


def _form(output: Path | None, *, as_json: bool, as_markdown: bool) -> Form:
    """What to write, where that can be written."""
    from bench.cache.artifacts import check_writable
    from bench.comparing.forms import form_of

    if as_json and as_markdown:
        refuse(["--json and --markdown exclude each other."])
    form = form_of(output, as_json=as_json, as_markdown=as_markdown)
    if form is None:
        refuse([f"{output}: its ending says no form. Name it .json, .md or .txt, or give --json or --markdown."])
    if output is not None:
        check_writable(output)
    return form


def _compared(old: Path, new: Path, options: dict[str, Any], form: Form, output: Path | None) -> Compared:
    from bench.comparing.compare import Options, compare_results

    with _refused_into(output, form):
        return compare_results(old, new, Options(**options))


def _conclusions(old: Path, new: Path, without: tuple[str, ...], form: Form, output: Path | None) -> None:
    from bench.comparing.conclusions import compare_conclusions
    from bench.comparing.conclusions_forms import markdown_of, text_of, values_of

    with _refused_into(output, form):
        found = compare_conclusions(old, new, without)
    _deliver(form, output, partial(values_of, found), partial(markdown_of, found), partial(text_of, found))


@contextmanager
def _refused_into(output: Path | None, form: Form) -> Iterator[None]:
    """A refusal is written too: whoever reads the file wants to know."""
    from bench.comparing.forms import refusal_in
    from bench.comparing.model import CannotCompare
    from bench.results.model import ResultUnreadable

    try:
        yield
    except (CannotCompare, ResultUnreadable) as error:
        keys = list(error.keys) if isinstance(error, CannotCompare) else [str(error)]
        _write(output, refusal_in(form, keys), form)
        refuse(keys)


def _print(compared: Compared, form: Form, queries: int, output: Path | None) -> None:
    from bench.comparing.forms import values_of
    from bench.comparing.markdown import markdown_of
    from bench.comparing.text import text_of

    values = partial(values_of, compared, queries)
    _deliver(
        form,
        output,
        values,
        partial(markdown_of, compared, queries=queries),
        partial(text_of, compared, queries=queries),
    )


def _deliver(
    form: Form,
    output: Path | None,
    values: Callable[[], dict[str, Any]],
    markdown: Callable[[], str],
    text: Callable[..., str],
) -> None:
    """Print what was found in the form that is asked for; with a file, write it there and print the text. text: takes
    `width`, the columns of the terminal."""
    from bench.comparing.forms import json_of

    if output is not None:
        whole = {"json": lambda: json_of(values()), "markdown": markdown, "text": text}
        _write(output, whole[form](), form)
    if output is not None or form == "text":
        show(text(width=terminal_width()))
    elif form == "json":
        show_json(values())
    else:
        show(markdown())


def _write(output: Path | None, text: str, form: str) -> None:
    if output is None:
        return
    from bench.cache.artifacts import write_atomically
    from bench.messages.secrets import redacted

    # JSON has escapes of its own for what a terminal would obey.
    safe = redacted(text) if form == "json" else shown(text)
    write_atomically(output, safe.encode("utf-8", "backslashreplace"))
