"""The page Data: a collection is looked at, and nothing of it is changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.ui import looked_at
from bench.ui.desk import Desk
from bench.ui.fields import adapters_of, fields_of, part_of
from bench.ui.looked_at import ENDINGS, KINDS
from bench.ui.pages.form import component
from bench.ui.telling import refusal
from bench.ui.text import command, escaped, lines, note, plain, table

if TYPE_CHECKING:
    from bench.quality.overview import Overview

_SIZES = [100, 1_000, 10_000]  # rows on a page
_HIDDEN = {"show_progress": "hidden"}


def build(desk: Desk) -> None:
    """Put the page together, inside its tab."""
    import gradio
    from gradio.context import Context

    tab = Context.block
    spec = gradio.State(None)  # the dataset section that is looked at, and where its paths start
    page = _Page(desk)
    with gradio.Accordion("Which data", open=True), gradio.Tabs():
        with gradio.Tab("An experiment file"):
            file = gradio.Dropdown([], label="Experiment file of the folder")
            of_file = gradio.Button("Look at its data", elem_classes="sure")
        with gradio.Tab("Files or a folder"):
            place = gradio.Textbox("", label="File or folder", info="Within the folder of this page.", max_lines=1)
            of_place = gradio.Button("Find out what is there", elem_classes="sure")
            upload = gradio.File(
                file_count="multiple", file_types=ENDINGS, label="Or drop files here", interactive=not desk.read_only
            )
        with gradio.Tab("A dataset adapter"):
            adapter = gradio.Dropdown(adapters_of("dataset"), value="api_docs", label="Adapter")
            fields = gradio.Column()
    said = gradio.HTML()
    seen = gradio.HTML()
    shown = _rows(page, spec)
    looked = [spec, said, seen]
    _of_adapter(page, adapter, fields, looked, shown)
    gradio.on([Context.root_block.load, tab.select], page.files, file, file, **_HIDDEN)
    show, inputs, outputs = shown
    of_file.click(page.of_file, file, looked).then(show, inputs, outputs, **_HIDDEN)
    of_place.click(page.of_place, place, looked).then(show, inputs, outputs, **_HIDDEN)
    upload.upload(page.of_upload, upload, looked).then(show, inputs, outputs, **_HIDDEN)


Shown = tuple[Callable[..., Any], list[Any], list[Any]]


def _rows(page: _Page, spec: Any) -> Shown:
    """The table of documents, queries or judgements, page by page."""
    import gradio

    with gradio.Row():
        kind = gradio.Radio(list(KINDS), value="Documents", label="Rows")
        words = gradio.Textbox("", label="With these words", max_lines=1)
        size = gradio.Dropdown(_SIZES, value=1_000, label="Rows at once")
        number = gradio.Number(1, label="From row", minimum=1, precision=0)
    count = gradio.HTML()
    rows = gradio.Dataframe(
        headers=["id", "text"], datatype="str", type="array", interactive=False, max_height=480, label="Rows"
    )
    whole = gradio.HTML()
    inputs, outputs = [spec, kind, words, number, size], [count, rows, whole]
    gradio.on([kind.change, words.submit, number.submit, size.change], page.rows, inputs, outputs, **_HIDDEN)

    def pick(spec: Any, kind: str, event: Any) -> str:
        return page.whole(spec, kind, event.row_value[0] if event.row_value else "")

    pick.__annotations__["event"] = gradio.SelectData  # Gradio looks there for what it is to send
    rows.select(pick, [spec, kind], whole, **_HIDDEN)
    return page.rows, inputs, outputs


def _of_adapter(page: _Page, adapter: Any, place: Any, looked: list[Any], shown: Shown) -> None:
    """The form of an adapter's options."""
    import gradio
    from gradio.context import Context

    def fields(chosen: str) -> None:
        if chosen not in adapters_of("dataset"):
            return
        found = fields_of("dataset", chosen)
        inputs = [component(field, {}) for field in found]
        look = gradio.Button("Look at it", elem_classes="sure")

        def of_form(*typed: str | None) -> list[Any]:
            return page.look(lambda: (part_of("dataset", chosen, found, typed), page.desk.folder), form=True)

        show, asked, outputs = shown
        look.click(of_form, inputs, looked).then(show, asked, outputs, **_HIDDEN)

    with place:
        gradio.render(adapter, triggers=[Context.root_block.load, adapter.change], **_HIDDEN)(fields)


class _Page:
    """What the buttons do."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def files(self, chosen: str | None) -> Any:
        import gradio

        names, value = self.names(chosen)
        return gradio.Dropdown(choices=names, value=value)

    def names(self, chosen: str | None) -> tuple[list[tuple[str, str]], str | None]:
        """The experiment files of the folder, and the chosen one, else the first."""
        names = [self.desk.named(path) for path in self.desk.experiment_files()]
        value = chosen if chosen in names else next(iter(names), None)
        return [(plain(name), name) for name in names], value

    def of_file(self, file: str | None) -> list[Any]:
        if not file:
            return [None, note("There is no experiment file in the folder yet: start with a file or a folder."), ""]
        said = command(f"bench data {shlex.quote(file)}")
        return self.look(lambda: looked_at.dataset_of(self.desk, file), said)

    def of_place(self, place: str) -> list[Any]:
        try:
            file, told = looked_at.found_in(self.desk, place)
        except Exception as error:
            return [None, refusal(error), ""]
        said = lines(told) + note(f"Run it on the page Experiment: {file}", "good")
        said += command(f"bench init {shlex.quote(place or '.')}") + command(f"bench data {shlex.quote(file)}")
        return self.look(lambda: looked_at.dataset_of(self.desk, file), said)

    def of_upload(self, uploaded: list[str] | None) -> list[Any]:
        try:
            place = looked_at.dropped(self.desk, uploaded or [])
        except Exception as error:
            return [None, refusal(error), ""]
        one = uploaded[0].rpartition("/")[2] if uploaded and len(uploaded) == 1 else ""
        found = self.of_place(f"{place}/{one}" if one else place)
        if found[0] is None and one.lower().endswith(looked_at.DOCUMENTS):
            return self.of_place(place)
        return found

    def look(self, section: Callable[[], Any], said: str = "", *, form: bool = False) -> list[Any]:
        """The section that is looked at now, what is said of it, and the overview. form: it was typed,
        and is shown as the file would have it."""
        try:
            spec, base = section()
            if form:
                said = f'<div class="log">{escaped(looked_at.written(spec))}</div>' + command("bench data FILE")
            seen = looked_at.collection(self.desk, spec, base, again=True)
        except Exception as error:
            return [None, said + refusal(error), ""]
        return [(spec, str(base)), said, _overview(seen)]

    def _seen(self, spec: Any) -> Overview:
        from pathlib import Path

        return looked_at.collection(self.desk, spec[0], Path(spec[1]))

    def rows(self, spec: Any, kind: str, words: str, number: float | None, size: int) -> list[Any]:
        import gradio

        if spec is None:
            return ["", gradio.skip(), ""]
        try:
            part = looked_at.rows(self._seen(spec), kind, words, int(number or 1) - 1, size if size in _SIZES else 100)
        except Exception as error:
            return [refusal(error), gradio.skip(), ""]
        last = part.first + len(part.rows)
        told = f"Rows {part.first + 1:,} to {last:,} of {part.found:,}" if part.rows else "There are none."
        return [note(told), gradio.Dataframe(value=part.rows, headers=part.head or ["none"]), ""]

    def whole(self, spec: Any, kind: str, id: str) -> str:
        text = looked_at.whole(self._seen(spec), kind, id) if spec is not None else ""
        return (
            f'<div class="log" tabindex="0" role="region" aria-label="Whole row">{escaped(text)}</div>' if text else ""
        )


def _overview(seen: Overview) -> str:
    """The overview as tables, a warning before them."""
    parts = [lines(seen.warnings, "warn")]
    for heading, rows in seen.sections:
        if heading == "Notes":
            parts.append(lines([value for _, value in rows]))
        else:
            parts.append(table(["What", "How much"], rows, heading))
    return "".join(parts)
