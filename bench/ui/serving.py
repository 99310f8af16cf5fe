"""Serves the page until it is ended. Runs that it started go on."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable

from bench.ui.desk import Desk
from bench.ui.guard import Door, Login


def bound(host: str, port: int | None) -> socket.socket:
    """A listening socket, on the first free port from 7860 on where none is given. Raises OSError."""
    last: OSError | None = None
    for each in (port,) if port is not None else range(7860, 7960):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, each))
        except OSError as error:
            opened.close()
            last = error
        else:
            return opened
    raise OSError(last.errno if last else 0, last.strerror if last else "no free port", f"{host}:{port or '7860-7959'}")


def serve(desk: Desk, listening: socket.socket, login: Login | None, host: str, tell: Callable[[str], None]) -> None:
    """Serve on a socket until SIGINT or SIGTERM. tell: hears the address once the page answers."""
    with tempfile.TemporaryDirectory(prefix="bench-ui-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # what browsers upload goes with the page
        import uvicorn

        from bench.ui.app import application

        port = listening.getsockname()[1]
        shown_host = f"[{host}]" if ":" in host else host
        app = application(desk, Door(host, port, login))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, ws="none",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        tell(f"http://{shown_host}:{port}/")
        uvicorn.Server(config).run(sockets=[listening])
