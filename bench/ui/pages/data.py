"""The page Data."""

from __future__ import annotations

from bench.ui.desk import Desk
from bench.ui.text import command


def build(desk: Desk) -> None:
    """Put the page together, inside its tab."""
    import gradio

    gradio.HTML(command("bench init DIR"))
