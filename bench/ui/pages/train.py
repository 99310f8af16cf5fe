"""The page Train: recipes, a training with its curves while it goes on, and the models that were trained."""

from __future__ import annotations

from typing import Any

from bench.ui import training as parts
from bench.ui.desk import Desk
from bench.ui.runs.board import LIVE, board
from bench.ui.telling import reasons
from bench.ui.text import command, escaped, lines, note, plain

_SECONDS = 2


def build(desk: Desk) -> None:
    """Put the page together, inside its tab."""
    import gradio
    from gradio.context import Context

    tab = Context.block
    with gradio.Tabs():
        with gradio.Tab("Train"):
            file = _training(desk)
        with gradio.Tab("Recipes"):
            recipe = gradio.Dropdown(parts.recipes(), label="Recipe", value=None)
            gradio.HTML(note("The page Experiment writes such a part by a form, under: Model to train."))
            about = gradio.HTML()
            recipe.change(parts.recipe_part, recipe, about, show_progress="hidden")
        with gradio.Tab("Trained models") as trained:
            model, other, listed = _models(desk)

    def look(sent: str | None, one: str | None) -> list[Any]:
        files = parts.files_with_models(desk)
        models = parts.model_choices(desk)
        keys = [key for _, key in models]
        chosen = one if one in keys else next(iter(keys), None)
        return [
            gradio.Dropdown(
                choices=[(plain(name), name) for name in files],
                value=sent if sent in files else next(iter(files), None),
            ),
            gradio.Dropdown(choices=models, value=chosen),
            gradio.Dropdown(choices=models),
            parts.models_part(desk),
        ]

    gradio.on(
        [Context.root_block.load, tab.select, trained.select],
        look,
        [file, model],
        [file, model, other, listed],
        show_progress="hidden",
    )


def _training(desk: Desk) -> Any:
    """Starts a training and shows how the last one goes. Returns the choice of the file."""
    import gradio

    file = gradio.Dropdown([], label="Experiment file with models", value=None)
    again = gradio.Checkbox(label="Train kept models again")
    with gradio.Row():
        start = gradio.Button("Train", variant="primary", interactive=not desk.read_only)
        cancel = gradio.Button("Cancel the training", interactive=not desk.read_only)
    said = gradio.HTML()
    state = gradio.HTML()
    gradio.HTML(command("bench train FILE"))

    def begin(sent: str | None, again: bool) -> str:
        if not sent:
            return note("Choose a file. A file with `models:` is needed; the page Experiment writes one.")
        flags = ["--retrain"] if again else []
        try:
            board(desk).start("train", sent, flags)
        except Exception as error:
            return lines(reasons(error), "bad")
        return command(board(desk).command_of("train", sent, flags))

    def stop() -> str:
        live = [run for run in board(desk).listing() if run.kind == "train" and run.state in LIVE]
        for run in live[:1]:
            board(desk).cancel(run)
        return note("It is being cancelled; what was computed is kept." if live else "No training goes on.")

    start.click(begin, [file, again], said)
    cancel.click(stop, None, said)
    gradio.Timer(_SECONDS).tick(lambda: going_part(desk), None, state, show_progress="hidden")
    return file


def going_part(desk: Desk) -> str:
    """How the training goes that was asked for last: its state, its stages, its curves, and what it printed."""
    import time

    run = next((each for each in board(desk).listing() if each.kind == "train"), None)
    if run is None:
        return note("No training was started here yet.")
    told = board(desk).told(run)
    head = note(
        f"{run.file}: {run.state}{f' ({run.cause})' if run.cause else ''}", "good" if run.state in LIVE else "plain"
    )
    stages = lines([stage.told(time.time()) for stage in told.stages.values()])
    log = board(desk).log(run)
    printed = (
        f'<div class="log" tabindex="0" role="region" aria-label="What it printed">{escaped(log)}</div>' if log else ""
    )
    return head + stages + parts.curves_part(told) + printed


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
        lambda key: (parts.model_part(desk, key), parts.learnt_part(desk, key)), model, [shown, learnt],
        show_progress="hidden",
    )  # fmt: skip
    other.change(lambda one, two: parts.compared_part(desk, one, two), [model, other], compared, show_progress="hidden")
    return model, other, listed
