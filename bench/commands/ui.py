"""`bench ui`: a page to look at data, run, train, compare and try."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import CacheOption, given_path
from bench.messages.terminal import say, show
from bench.messages.wording import counted

if TYPE_CHECKING:
    from bench.ui.desk import Desk
    from bench.ui.guard import Login

PASSWORD = "BENCH_UI_PASSWORD"
_SHORTEST = 8

AlsoOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", parser=given_path, help="A further folder that experiments may read, as of models."),
]
SpaceOption = Annotated[
    Path | None,
    typer.Option(
        "--space",
        metavar="DIR",
        parser=given_path,
        help="Serve nothing: write a folder that runs as a Space of the model hub, with results and small systems.",
    ),
]
SystemsOption = Annotated[
    list[str] | None,
    typer.Option("--system", metavar="NAME", help="With --space: systems to try [default: all that can be]."),
]


def ui(
    folder: Annotated[
        Path | None,
        typer.Argument(parser=given_path, help="The folder to work in; the page reads nothing outside [default: .]."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this machine only with --login.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port [default: the first free one from 7860 on].")
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            metavar="USER", help=f"Ask for this name and the password in {PASSWORD}, or typed where it is not set."
        ),
    ] = None,
    also: AlsoOption = None,
    space: SpaceOption = None,
    system: SystemsOption = None,
    cache: CacheOption = None,
) -> None:
    """Open a page in the browser to look at data, run experiments, train, compare results and try systems."""
    from bench.ui.desk import Desk
    from bench.ui.serving import bound, serve

    _ask_for_gradio()
    place = (folder or Path()).resolve()
    if not place.is_dir():
        refuse([f"{place}: there is no such folder."])
    if space is not None:
        _write_space(Desk.at(place, cache=cache), space, system or [])
        return
    if system:
        refuse(["--system goes with --space DIR."])
    known = _login(host, login)
    listening = bound("127.0.0.1" if host == "localhost" else host, port)
    try:
        serve(
            Desk.at(place, cache=cache, further=also or []),
            listening,
            known,
            host,
            lambda address: show(f"{address}\n"),
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        listening.close()


def _write_space(desk: Desk, target: Path, names: list[str]) -> None:
    from bench.ui.space import SpaceRefused, write_space

    try:
        done = write_space(desk, target, names)
    except SpaceRefused as error:
        refuse([str(error)])
    for sentence in done.left_out:
        say(f"Left out: {sentence}")
    show(f"{done.folder}: {counted(done.results, 'result')}, {counted(len(done.systems), 'system')} to try\n")


def _ask_for_gradio() -> None:
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        refuse(["bench ui needs Gradio, which is not installed: pip install 'retrieval-bench[ui]'"])


def _login(host: str, user: str | None) -> Login | None:
    """The login, its password from the environment or typed: one on a command line stands in the list of processes."""
    from bench.ui.guard import LOOPBACK, Login

    if user is None and host in LOOPBACK:
        return None
    if user is None:
        refuse([
            f"--host {host}: beyond this machine the page is served only with a login: --login USER, the password "
            f"in the variable {PASSWORD}."
        ])  # fmt: skip
    password = os.environ.pop(PASSWORD, "")
    if not password and sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass(f"Password of {user}: ")
    if not user or ":" in user:
        refuse([f"--login {user}: a name is not empty and holds no colon."])
    if len(password) < _SHORTEST:
        refuse([f"--login {user}: set {PASSWORD} to a password of {_SHORTEST} characters or more."])
    say("Over plain HTTP a password can be read on the way: beyond a network that you trust, put TLS before the page.")
    return Login(user, password)
