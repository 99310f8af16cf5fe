"""Foreign text on the page: names, ids, texts and errors are shown as they are, and never read as HTML or Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence

from bench.messages.terminal import shown


def plain(text: object) -> str:
    """Text for a component that shows it as it is: without secrets, and with what a terminal would obey made visible
    (the same characters turn the direction of a page's text)."""
    return "\n".join(shown(line) for line in str(text).split("\n"))


def escaped(text: object) -> str:
    """Text for a place in HTML."""
    return html.escape(plain(text), quote=True)


def command(line: str) -> str:
    """The line of a page that says which command does the same."""
    return f'<p class="same">The same by a command: <code>{escaped(line)}</code></p>'


def note(text: str, kind: str = "plain") -> str:
    """A sentence of the page as HTML. kind: plain, good, bad or warn."""
    return f'<p class="note {kind}">{escaped(text)}</p>' if text else ""


def lines(texts: Sequence[object], kind: str = "plain") -> str:
    """Several sentences, one under another."""
    return "".join(note(str(text), kind) for text in texts)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """A small table as HTML, for what fits on a screen; numbers stand to the right."""
    top = "".join(f'<th scope="col">{escaped(each)}</th>' for each in head)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(caption)}"><table>'
        f"<caption>{escaped(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"<td>{'–' if value is None else escaped(value)}</td>"
    return f'<td class="number">{value:,}</td>'
