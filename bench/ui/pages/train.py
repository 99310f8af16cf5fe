"""The page Train: a training written by a form, with its curves while it goes on, recipes, and the models that were
trained."""

from __future__ import annotations

import re
from typing import Any

from adapters.base import TRAINED
from bench.ui import editing
from bench.ui import training as parts
from bench.ui.desk import Desk
from bench.ui.fields import base_names, cut_fields, fields_of, part_of
from bench.ui.files import systems_of
from bench.ui.model_text import with_model
from bench.ui.pages.editor import HIDDEN, Editor, editor
from bench.ui.pages.form import component, components, values_of
from bench.ui.runs.panel import Panel, panel
from bench.ui.telling import refusal
from bench.ui.text import lines

_NAME = re.compile(r"[a-z0-9_-]*")


def build(desk: Desk) -> Panel:
    """Put the page together, inside its tab. Returns the panel of its runs."""
    import gradio
    from gradio.context import Context

    tab = Context.block
    with gradio.Tabs():
        with gradio.Tab("Train"):
            written = editor(desk, tab, {"Train and measure": "run", "Train alone": "train"}, tried="train")
            with written.form:
                _form(desk, written)
            runs = panel(desk, ("train", "run"))
        with gradio.Tab("Recipes"):
            recipe = gradio.Dropdown(parts.recipes(), label="Recipe", value=None)
            about = gradio.HTML()
            recipe.change(parts.recipe_part, recipe, about, **HIDDEN)
        with gradio.Tab("Trained models") as trained:
            model, other, listed = _models(desk)

    def look(one: str | None) -> list[Any]:
        models = parts.model_choices(desk)
        keys = [key for _, key in models]
        chosen = one if one in keys else next(iter(keys), None)
        return [gradio.Dropdown(choices=models, value=chosen), gradio.Dropdown(choices=models), parts.models_part(desk)]

    gradio.on([Context.root_block.load, tab.select, trained.select], look, model, [model, other, listed], **HIDDEN)
    return runs


def _form(desk: Desk, written: Editor) -> None:
    """The form for a model: its recipe, its name, what it starts from, a field for each option, and which queries
    train."""
    import gradio
    from gradio.context import Context

    recipe = gradio.Dropdown(parts.recipes(), value=parts.FIRST_RECIPE, label="Recipe")
    lacks = gradio.HTML()
    name = gradio.Textbox("tuned", label="Name of the model", info="of a-z, 0-9, _ and -", max_lines=1)
    base = gradio.Dropdown(
        [], label="Starts from", value=None, allow_custom_value=True,
        info="An encoder or reranker of the file, trained:NAME, or a model as encoders name it.",
    )  # fmt: skip
    cuts = cut_fields()

    def fields(chosen: str) -> None:
        if chosen not in parts.recipes():
            return
        offered = [field for field in fields_of("models", chosen) if field.name != "base"]
        found, inputs = components(offered, {}, parts.usual_options(chosen))
        with gradio.Accordion("Which queries train, decide and are evaluated", open=False):
            sizes = [component(field, {}) for field in cuts]
        button = gradio.Button("Put it into the file", variant="secondary", elem_classes="sure")

        def edited(file: str, known: Any, text: str, called: str, base: str | None, *typed: Any) -> list[Any]:
            try:
                started = {"base": base.strip()} if base and base.strip() else {}
                part = {"recipe": chosen, **started, **part_of("models", chosen, found, typed[: len(found)])}
                sized = part_of("settings", "", cuts, typed[len(found) :])
                done = with_model(_with_sizes(text, sized), called.strip(), part, systems_of(desk, file, text))
            except Exception as error:
                return [gradio.skip(), gradio.skip(), refusal(error), gradio.skip()]
            new = parts.file_of(file, called.strip()) if file == known[0] and "models" not in values_of(text) else file
            return [new, done.text, lines(done.told, "good"), parts.lacks_part(desk, new, done.text, chosen)]

        inputs = [written.name, written.known, written.text, name, base, *inputs, *sizes]
        button.click(edited, inputs, [written.name, written.text, written.said, lacks], **HIDDEN)

    gradio.render(recipe, triggers=[Context.root_block.load, recipe.change], **HIDDEN)(fields)
    written.text.change(_bases, [written.text, base], base, trigger_mode="always_last", **HIDDEN)
    gradio.on(
        [written.opened.change, recipe.change],
        lambda *given: parts.lacks_part(desk, *given), [written.name, written.text, recipe], lacks, **HIDDEN,
    )  # fmt: skip


def _bases(text: str, chosen: str | None) -> Any:
    """What a model may start from, as the text has it now. What was chosen stays, unless it is a name of another
    file."""
    import gradio

    names = base_names(values_of(text))
    elsewhere = chosen is None or _NAME.fullmatch(chosen.removeprefix(TRAINED)) is not None
    return gradio.Dropdown(
        choices=names, value=next(iter(names), None) if elsewhere and chosen not in names else chosen
    )


def _with_sizes(text: str, sizes: dict[str, Any]) -> str:
    """The text with sizes of the queries' splits in its dataset. Raises ValueError."""
    if not sizes:
        return text
    section = values_of(text).get("dataset")
    if not isinstance(section, dict):
        raise ValueError("Give the file a dataset first: open one above, or the page Experiment.")
    return editing.with_value(text, "dataset", {**section, **sizes})


def _models(desk: Desk) -> tuple[Any, Any, Any]:
    """The models that were trained. Returns the two choices and the list."""
    import gradio

    listed = gradio.HTML()
    model = gradio.Dropdown([], label="Model", value=None)
    with gradio.Tabs():
        with gradio.Tab("Model"):
            shown = gradio.HTML()
        with gradio.Tab("What it learnt from"):
            learnt = gradio.HTML()
        with gradio.Tab("Compare with another"):
            other = gradio.Dropdown([], label="Other model", value=None)
            compared = gradio.HTML()
    model.change(
        lambda key: (parts.model_part(desk, key), parts.learnt_part(desk, key)), model, [shown, learnt], **HIDDEN
    )
    other.change(lambda one, two: parts.compared_part(desk, one, two), [model, other], compared, **HIDDEN)
    return model, other, listed
