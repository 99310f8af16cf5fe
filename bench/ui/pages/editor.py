"""The text of an experiment beside a form: its file, what is wrong with it, and the buttons that save, try and run
it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ui import files
from bench.ui.desk import Desk
from bench.ui.dry_run import dry_run
from bench.ui.runs.board import FLAGS, Kind, board
from bench.ui.telling import refusal
from bench.ui.text import command, escaped, note, plain

HIDDEN: dict[str, Any] = {"show_progress": "hidden"}
_OPTIONS = {
    "Measure latencies again": "--remeasure",
    "Train kept models again": "--retrain",
    "Send keys to the addresses that the file names": "--trust",
}
Known = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Editor:
    """What the rest of a page hangs on to.

    form: an empty place beside the text. known: the name and the text that were last read or written. opened: a number
    that changes when a file is opened. starts: the buttons that start something."""

    form: Any
    name: Any
    text: Any
    said: Any
    known: Any
    opened: Any


def editor(desk: Desk, tab: Any, buttons: Mapping[str, Kind], *, tried: Kind) -> Editor:
    """Put it together, inside a page. tab: that of the page; the files of the folder are looked at when it is opened.
    buttons: what they say, and what they start; the first one is the usual one. tried: what the dry run tries."""
    import gradio
    from gradio.context import Context

    known = gradio.State(("", ""))  # the name and the text that this tab last read or wrote
    opened = gradio.State(0)
    with gradio.Row(elem_classes="narrow"):
        source = gradio.Dropdown([], label="Start from", info="A file of the folder, or one that comes along.", scale=4)
        look = gradio.Button("Look again", scale=1, min_width=120)
    with gradio.Row(elem_classes="sides"):
        with gradio.Column(min_width=300):
            form = gradio.Column()
        with gradio.Column(min_width=300):
            name = gradio.Textbox("bench.yaml", label="File", info="Where it is saved, in the folder.", max_lines=1)
            text = gradio.Textbox(
                "", label="Experiment", lines=20, max_lines=30, elem_classes="yaml",
                placeholder="Start from a file above, or add parts with the form.",
            )  # fmt: skip
            faults = gradio.HTML()
            flags = {flag for each in buttons.values() for flag in FLAGS[each]}
            offered = [label for label, flag in _OPTIONS.items() if flag in flags]
            options = gradio.CheckboxGroup(offered, label="Options of the run", value=[])
            with gradio.Row():
                save, dry, *starts = (
                    gradio.Button(
                        label, variant="primary" if label == next(iter(buttons)) else "secondary", elem_classes="sure",
                        interactive=not desk.read_only,
                    )
                    for label in ("Save", "Dry run", *buttons)
                )  # fmt: skip
    said = gradio.HTML()
    page = _Page(desk)
    gradio.on([Context.root_block.load, tab.select, look.click], page.sources, source, source, **HIDDEN)
    source.input(page.open, [source, opened], [name, text, known, faults, said, opened], **HIDDEN)
    gradio.on([text.change, name.change], page.faults, [name, text], faults, trigger_mode="always_last", **HIDDEN)
    save.click(page.save, [name, text, known], [said, known], **HIDDEN).then(page.sources, source, source, **HIDDEN)
    dry.click(page.trying(tried), [name, text, known], [said, known], concurrency_limit=2)
    for start, kind in zip(starts, buttons.values(), strict=True):
        start.click(page.starting(kind), [name, text, known, options], [said, known])
    return Editor(form, name, text, said, known, opened)


class _Page:
    """What the buttons do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def sources(self, chosen: str | None) -> Any:
        import gradio

        found = [(plain(label), value) for label, value in files.choices(self._desk)]
        return gradio.Dropdown(choices=found, value=chosen if chosen in {value for _, value in found} else None)

    def open(self, chosen: str | None, opened: int) -> list[Any]:
        import gradio

        if not chosen:
            return [gradio.skip()] * 6
        try:
            name, text = files.opened(self._desk, chosen)
        except Exception as error:
            return [*[gradio.skip()] * 4, refusal(error), gradio.skip()]
        return [name, text, (name, text), self.faults(name, text), "", opened + 1]

    def faults(self, name: str, text: str) -> str:
        """What is wrong with the text, all of it together, or what it stands for."""
        if not text.strip():
            return ""
        try:
            found = files.checked(self._desk, name, text)
        except Exception as error:
            return refusal(error)
        systems = ", ".join(system.name for system in found.systems[:12])
        more = f" and {len(found.systems) - 12} more" if len(found.systems) > 12 else ""
        models = f" Models to train: {', '.join(found.models)}." if found.models else ""
        return note(f"Nothing is wrong with it. Systems: {systems}{more}.{models}", "good")

    def save(self, name: str, text: str, known: Known) -> tuple[str, Known]:
        try:
            path = self._saved(name, text, known)
        except Exception as error:
            return refusal(error), known
        return note(f"Saved: {self._desk.named(path)}", "good"), (name, text)

    def trying(self, kind: Kind) -> Callable[..., tuple[str, Known]]:
        """Saves, and tells time, bill and detectable difference of a run, or pairs, steps and time of a training."""

        def dry(name: str, text: str, known: Known) -> tuple[str, Known]:
            try:
                file = self._desk.named(self._saved(name, text, known))
                whole, told = dry_run(self._desk, file, kind)
            except Exception as error:
                return refusal(error), known
            head = note("" if whole else "It cannot begin:", "bad")
            body = f'<div class="log" tabindex="0" role="region" aria-label="Dry run">{escaped(told)}</div>'
            return head + body + command(f"bench {kind} {shlex.quote(file)} --dry-run"), (name, text)

        return dry

    def starting(self, kind: Kind) -> Callable[..., tuple[str, Known]]:
        """Saves, and runs or trains, or waits for the runs before."""

        def go(name: str, text: str, known: Known, options: list[str]) -> tuple[str, Known]:
            try:
                files.checked(self._desk, name, text)
                file = self._desk.named(self._saved(name, text, known))
                flags = [_OPTIONS[each] for each in options if _OPTIONS.get(each) in FLAGS[kind]]
                board(self._desk).start(kind, file, flags)
            except Exception as error:
                return refusal(error), known
            return command(board(self._desk).command_of(kind, file, flags)), (name, text)

        return go

    def _saved(self, name: str, text: str, known: Known) -> Path:
        return files.save(self._desk, name, text, known=known[1] if known[0] == name else None)
