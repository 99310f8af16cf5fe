"""The page Experiment: the file grows beside a form, is checked, tried dry, run, followed, cancelled and resumed."""

from __future__ import annotations

from typing import Any

from adapters.registry import LOCAL
from bench.ui import editing
from bench.ui.desk import Desk
from bench.ui.fields import SECTIONS, adapters_of, fields_of, part_of
from bench.ui.files import systems_of
from bench.ui.model_text import with_model
from bench.ui.pages.editor import HIDDEN, Editor, editor
from bench.ui.pages.form import components, values_of
from bench.ui.runs.panel import Panel, panel
from bench.ui.telling import refusal
from bench.ui.text import lines

_FIRST = "Encoder"  # what the form begins with


def build(desk: Desk) -> Panel:
    """Put the page together, inside its tab. Returns the panel of its runs."""
    import gradio
    from gradio.context import Context

    written = editor(desk, Context.block, {"Run": "run"}, tried="run")
    with written.form:
        kind = gradio.Radio(list(SECTIONS), value=_FIRST, label="Add or change")
        _form(kind, written, desk)
    return panel(desk, ("run",))


def _form(kind: Any, written: Editor, desk: Desk) -> None:
    """The form for one part: its adapter, its name, and a field for each option."""
    import gradio
    from gradio.context import Context

    first = adapters_of(SECTIONS[_FIRST])
    adapter = gradio.Dropdown(first, value=_usual(first), label="Adapter")
    called = gradio.Textbox("", label="Name", info="of a-z, 0-9, _ and -", max_lines=1)
    kind.change(_offered, kind, [adapter, called], **HIDDEN)

    def fields(section: str, chosen: str | None, text: str) -> None:
        where = SECTIONS.get(section, "settings")
        known = adapters_of(where)
        if known and chosen not in known:
            return
        try:
            found, inputs = components(fields_of(where, chosen or ""), values_of(text))
        except Exception as error:
            gradio.HTML(refusal(error))
            return
        put = gradio.Button("Put it into the file", variant="secondary")

        def edited(file: str, before: str, part_name: str, *typed: str | None) -> tuple[Any, str]:
            try:
                part = part_of(where, chosen or "", found, typed)
                if where == "models":
                    done = with_model(before, part_name.strip(), part, systems_of(desk, file, before))
                    return done.text, lines(done.told, "good")
                return _with(before, where, part_name.strip(), part), ""
            except Exception as error:
                return gradio.skip(), refusal(error)

        put.click(edited, [written.name, written.text, called, *inputs], [written.text, written.said], **HIDDEN)

    triggers = [Context.root_block.load, kind.change, adapter.change, written.opened.change]
    gradio.render([kind, adapter, written.text], triggers=triggers, show_progress="hidden")(fields)


def _offered(section: str) -> list[Any]:
    """The adapters of a section, and whether a part of it has a name."""
    import gradio

    names = adapters_of(SECTIONS.get(section, "settings"))
    named = SECTIONS.get(section) not in ("dataset", "latency", "systems", "settings")
    label = "Recipe" if section == "Model to train" else "Adapter"
    first = _usual(names)
    return [
        gradio.Dropdown(choices=names, value=first, visible=bool(names), label=label),
        gradio.Textbox(value="", visible=named),
    ]


def _usual(names: list[str]) -> str | None:
    """What most people want first: what runs on this machine."""
    return next((name for name in names if name in LOCAL.values()), names[0] if names else None)


def _with(text: str, section: str, name: str, part: dict[str, Any]) -> str:
    """The text with what the form says. Raises ValueError."""
    if section == "settings":
        for key, value in part.items():
            text = editing.with_value(text, key, value)
        return text
    if section in ("dataset", "latency"):
        return editing.with_value(text, section, part)
    if section == "systems":
        if not part:
            raise ValueError("Give the system a store, an encoder, a run or systems to fuse.")
        return editing.with_system(text, part)
    if not name:
        raise ValueError("Give the part a name, by which systems call it.")
    return editing.with_part(text, section, name, part)
