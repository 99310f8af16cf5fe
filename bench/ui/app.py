"""The pages together, and the application that serves them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench.ui.desk import Desk
from bench.ui.guard import Door, Guard
from bench.ui.look import CSS, theme
from bench.ui.pages import data, experiment, results, train, try_it

PAGES: tuple[tuple[str, Callable[[Desk], Any]], ...] = (
    ("Data", data.build),
    ("Experiment", experiment.build),
    ("Train", train.build),
    ("Results", results.build),
    ("Try it", try_it.build),
)
_READING = ("Results", "Try it")  # what a read-only desk shows
_RUNNING = ("Experiment", "Train")  # those that have a panel of runs
LARGEST_UPLOAD = "200mb"
MOST_TABS = (
    200  # whose state is kept, 400 kB each, for an hour after they were closed; the one not used longest goes first
)


def pages(desk: Desk) -> Any:
    """The tabs, as Gradio's Blocks."""
    import gradio

    made: dict[str, Any] = {}
    with gradio.Blocks(title="bench", analytics_enabled=False) as blocks, gradio.Tabs():
        for name, build in PAGES:
            if desk.read_only and name not in _READING:
                continue
            with gradio.Tab(name, id=name):
                made[name] = build(desk)
        for name in _RUNNING:
            if name in made:
                made[name].opens_in(made["Results"])
    blocks.queue(default_concurrency_limit=8, max_size=200, api_open=False)
    blocks.state_session_capacity = MOST_TABS
    return blocks


def application(desk: Desk, door: Door) -> Guard:
    """The application: Gradio's behind the guard of the door."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio
    from fastapi import FastAPI

    inner = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        pages(desk),
        path="/",
        server_name=door.host,
        server_port=door.port,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=LARGEST_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=CSS,
    )
    return Guard(inner, door)
