"""The page Experiment: the file grows beside a form, is checked, tried dry, run, followed, cancelled and resumed."""

from __future__ import annotations

from typing import Any

from adapters.registry import LOCAL
from bench.ui import editing, files
from bench.ui.desk import Desk
from bench.ui.dry_run import dry_run
from bench.ui.fields import SECTIONS, adapters_of, fields_of, part_of
from bench.ui.pages.form import component
from bench.ui.runs.board import FLAGS, board
from bench.ui.runs.panel import panel
from bench.ui.telling import refusal
from bench.ui.text import command, escaped, note, plain

_OPTIONS = {
    "Measure latencies again": "--remeasure",
    "Train kept models again": "--retrain",
    "Send keys to the addresses that the file names": "--trust",
}
_FIRST = 4  # options that are shown at once, where none must be given
_HIDDEN = {"show_progress": "hidden"}


def build(desk: Desk) -> None:
    """Put the page together, inside its tab."""
    import gradio
    from gradio.context import Context

    tab = Context.block
    known = gradio.State(("", ""))  # the name and the text that this tab last read or wrote
    with gradio.Row():
        source = gradio.Dropdown([], label="Start from", info="A file of the folder, or one that comes along.", scale=4)
        look = gradio.Button("Look again", scale=1, min_width=120)
    with gradio.Row(elem_classes="sides"):
        with gradio.Column(min_width=300):
            kind = gradio.Radio(list(SECTIONS), value="Encoder", label="Add or change")
            form = gradio.Column()
        with gradio.Column(min_width=300):
            name = gradio.Textbox("bench.yaml", label="File", info="Where it is saved, in the folder.", max_lines=1)
            text = gradio.Textbox(
                "", label="Experiment", lines=20, max_lines=30, elem_classes="yaml",
                placeholder="Start from a file above, or add parts with the form.",
            )  # fmt: skip
            faults = gradio.HTML()
            options = gradio.CheckboxGroup(list(_OPTIONS), label="Options of the run", value=[])
            with gradio.Row():
                save = gradio.Button("Save", elem_classes="sure", interactive=not desk.read_only)
                dry = gradio.Button("Dry run", elem_classes="sure", interactive=not desk.read_only)
                go = gradio.Button("Run", variant="primary", elem_classes="sure", interactive=not desk.read_only)
    with form:
        _form(kind, text, faults)
    said = gradio.HTML()
    shown = panel(desk, ("run",))
    page = _Page(desk)
    gradio.on([Context.root_block.load, tab.select, look.click], page.sources, source, source, **_HIDDEN)
    source.input(page.open, source, [name, text, known, faults, said], **_HIDDEN)
    gradio.on([text.change, name.change], page.faults, [name, text], faults, trigger_mode="always_last", **_HIDDEN)
    save.click(page.save, [name, text, known], [said, known], **_HIDDEN).then(page.sources, source, source, **_HIDDEN)
    dry.click(page.dry, [name, text, known], [said, known], concurrency_limit=2)
    go.click(page.go, [name, text, known, options], [said, known]).then(
        shown.look, shown.inputs, shown.outputs, **_HIDDEN
    )


class _Page:
    """What the buttons do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def sources(self, chosen: str | None) -> Any:
        import gradio

        found = [(plain(label), value) for label, value in files.choices(self._desk)]
        return gradio.Dropdown(choices=found, value=chosen if chosen in {value for _, value in found} else None)

    def open(self, chosen: str | None) -> list[Any]:
        import gradio

        if not chosen:
            return [gradio.skip()] * 5
        try:
            name, text = files.opened(self._desk, chosen)
        except Exception as error:
            return [*[gradio.skip()] * 4, refusal(error)]
        return [name, text, (name, text), self.faults(name, text), ""]

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

    def save(self, name: str, text: str, known: tuple[str, str]) -> tuple[str, tuple[str, str]]:
        try:
            path = self._saved(name, text, known)
        except Exception as error:
            return refusal(error), known
        return note(f"Saved: {self._desk.named(path)}", "good"), (name, text)

    def dry(self, name: str, text: str, known: tuple[str, str]) -> tuple[str, tuple[str, str]]:
        """Save, and tell time, bill and detectable difference."""
        try:
            file = self._desk.named(self._saved(name, text, known))
            whole, told = dry_run(self._desk, file)
        except Exception as error:
            return refusal(error), known
        head = note("" if whole else "It cannot begin:", "bad")
        body = f'<div class="log" tabindex="0" role="region" aria-label="Dry run">{escaped(told)}</div>'
        return head + body + command(f"bench run {file} --dry-run"), (name, text)

    def go(self, name: str, text: str, known: tuple[str, str], options: list[str]) -> tuple[str, tuple[str, str]]:
        """Save, and run or wait for the runs before."""
        try:
            files.checked(self._desk, name, text)
            file = self._desk.named(self._saved(name, text, known))
            flags = [_OPTIONS[each] for each in options if each in _OPTIONS and _OPTIONS[each] in FLAGS["run"]]
            board(self._desk).start("run", file, flags)
        except Exception as error:
            return refusal(error), known
        return command(board(self._desk).command_of("run", file, flags)), (name, text)

    def _saved(self, name: str, text: str, known: tuple[str, str]) -> Any:
        return files.save(self._desk, name, text, known=known[1] if known[0] == name else None)


def _form(kind: Any, text: Any, faults: Any) -> None:
    """The form for one part: its adapter, its name, and a field for each option."""
    import gradio
    from gradio.context import Context

    adapter = gradio.Dropdown([], label="Adapter", visible=False)
    called = gradio.Textbox("", label="Name", info="of a-z, 0-9, _ and -", max_lines=1, visible=False)

    gradio.on([Context.root_block.load, kind.change], _offered, kind, [adapter, called], **_HIDDEN)

    def fields(section: str, chosen: str | None, written: str) -> None:
        where = SECTIONS.get(section, "settings")
        known = adapters_of(where)
        if known and chosen not in known:
            return
        try:
            found = fields_of(where, chosen or "")
        except Exception as error:
            gradio.HTML(refusal(error))
            return
        values = _values(written)
        first = [field for field in found if field.default is None] or found[:_FIRST]
        later = [field for field in found if field not in first]
        inputs = [component(field, values) for field in first]
        with gradio.Accordion(f"{len(later)} more options", open=False, visible=bool(later)):
            inputs += [component(field, values) for field in later]
        put = gradio.Button("Put it into the file", variant="secondary")

        def edited(before: str, part_name: str, *typed: str | None) -> tuple[Any, str]:
            try:
                return _with(
                    before, where, part_name.strip(), part_of(where, chosen or "", [*first, *later], typed)
                ), ""
            except Exception as error:
                return gradio.skip(), refusal(error)

        put.click(edited, [text, called, *inputs], [text, faults], **_HIDDEN)

    triggers = [Context.root_block.load, kind.change, adapter.change]
    gradio.render([kind, adapter, text], triggers=triggers, show_progress="hidden")(fields)


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


def _values(text: str) -> dict[str, Any]:
    from bench.experiment.yaml_text import parse_yaml

    try:
        found = parse_yaml(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


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
