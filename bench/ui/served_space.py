"""Serves a Space: the pages that only read, for everybody."""

from __future__ import annotations

import os
from pathlib import Path

from bench.ui.app import MOST_TABS, pages
from bench.ui.desk import Desk
from bench.ui.look import CSS, theme


def desk_of(folder: Path) -> Desk:
    """The desk of a Space's folder. There is no cache: systems open what came along."""
    folder = folder.resolve()
    return Desk(folder, folder / "results", folder / "no-cache", read_only=True)


def main(folder: Path) -> None:
    """Serve until the process ends. Where, say GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, which a Space sets; without
    them on this machine alone."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    pages(desk_of(folder)).launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        server_port=int(os.environ["GRADIO_SERVER_PORT"]) if os.environ.get("GRADIO_SERVER_PORT") else None,
        share=False,
        show_error=False,
        ssr_mode=False,
        footer_links=[],
        allowed_paths=[],
        enable_monitoring=False,
        state_session_capacity=MOST_TABS,
        mcp_server=False,
        theme=theme(),
        css=CSS,
    )
