"""Laws of the guard: whose requests pass, and what of Gradio can be asked for at all."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import pytest

from bench.ui.desk import Desk, OutsideFolder
from bench.ui.guard import Door, Guard, Login
from tests import small
from tests.ui.serving import served

PORT = 7860
DOOR = Door("127.0.0.1", PORT)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the guard: it tells what nobody may read who is not let in."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"within"})


def ask(door: Door, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
    """What the guard of a door answers to a request, which is addressed to loopback unless it says otherwise."""
    given = {"host": f"127.0.0.1:{door.port}", **(headers or {})}
    heads = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    sent: list[Any] = []

    async def sending(message: Any) -> None:
        sent.append(message)

    async def asking() -> None:
        scope = {"type": "http", "path": path, "method": method, "headers": heads}
        await Guard(inner, door)(scope, None, sending)  # type: ignore[arg-type]

    asyncio.run(asking())
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, sent[1]["body"].decode())


def token(door: Door = DOOR) -> dict[str, str]:
    """What a tab sends that has opened the page."""
    return {"cookie": ask(door, "/").headers["set-cookie"].partition(";")[0]}


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_UI_PASSWORD", raising=False)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    home = tmp_path_factory.mktemp("desk")
    (home / "secret.txt").write_text("kept to itself")
    return Desk.at(home)


@pytest.fixture(scope="module")
def tab(desk: Desk) -> Iterator[Any]:
    """A browser that has opened the real page."""
    import httpx

    with served(desk.folder) as address, httpx.Client(base_url=address, timeout=60) as browser:
        assert "gradio_config" in browser.get("/").text
        yield browser


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_the_page_gives_its_tab_a_token_that_other_sites_cannot_send() -> None:
    kept = ask(DOOR, "/").headers["set-cookie"]
    assert kept.startswith("bench_7860=") and "HttpOnly" in kept and "SameSite=Strict" in kept
    assert ask(DOOR, "/config", token()) == Answer(200, ANY, "within")


@pytest.mark.parametrize("path", ["/config", "/gradio_api/info", "/gradio_api/file=x", "/gradio_api/queue/data"])
def test_without_the_token_of_the_page_nothing_is_told(path: str) -> None:
    for headers in ({}, {"cookie": "bench_7860="}, {"cookie": "bench_7860=é; x"}, token(Door("127.0.0.1", PORT))):
        answer = ask(DOOR, path, headers)
        assert answer.status == 403 and answer.text != "within"


def test_a_tab_of_an_earlier_start_learns_that_the_page_was_started_again() -> None:
    old = token(Door("127.0.0.1", PORT))
    assert ask(DOOR, "/gradio_api/app_id", old).status == 200
    assert ask(DOOR, "/gradio_api/app_id", {"origin": "http://evil.example"}).status == 403
    assert ask(DOOR, "/gradio_api/app_id", {"sec-fetch-site": "cross-site"}).status == 403
    assert ask(DOOR, "/gradio_api/app_id", old, "POST").status == 404


@pytest.mark.parametrize("origin", [
    "http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example", "", "http://[", "file://",
])  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/join", "/gradio_api/upload"])
def test_a_request_of_another_origin_is_refused(origin: str, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = ask(DOOR, path, {"origin": origin, **token()}, method)
        assert answer.status == 403 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_calls_foreign_is_refused(site: str) -> None:
    assert ask(DOOR, "/config", {"sec-fetch-site": site, **token()}).status == 403
    assert ask(DOOR, "/", {"sec-fetch-site": site}).status == 200  # a link to the page may be followed


@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1.evil.example", "evil.example:7860", "", "[", "192.168.1.7", "127.0.0.1@evil.example",
])  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/config", "/assets/x.js"])
def test_a_name_that_leads_here_is_refused(host: str, path: str) -> None:
    answer = ask(DOOR, path, {"host": host, **token()})
    assert answer.status == 421 and answer.text != "within" and "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_the_names_of_loopback_are_served(host: str) -> None:
    assert ask(DOOR, "/", {"host": host}).status == 200


@pytest.mark.parametrize("header", [
    None, "Basic", "Basic !!", "Bearer x", "Basic w6k=", "basic é", basic("ann", "wrong")["authorization"],
    basic("bob", "long enough")["authorization"], basic("ann", "")["authorization"],
])  # fmt: skip
def test_without_the_login_nothing_is_served(header: str | None) -> None:
    door = Door("192.168.1.7", PORT, Login("ann", "long enough"))
    headers = {"host": "192.168.1.7:7860", **({} if header is None else {"authorization": header})}
    for path in ("/", "/config", "/assets/x.js", "/theme.css", "/login", "/gradio_api/startup-events"):
        answer = ask(door, path, headers)
        assert answer.status == 401 and answer.text != "within" and "set-cookie" not in answer.headers


def test_with_the_login_the_page_is_served() -> None:
    for host, asked in (("192.168.1.7", "192.168.1.7"), ("0.0.0.0", "bench.example")):
        door = Door(host, PORT, Login("ann", "löng enough"))
        headers = {"host": asked, **basic("ann", "löng enough")}
        kept = ask(door, "/", headers).headers["set-cookie"].partition(";")[0]
        assert ask(door, "/config", {**headers, "cookie": kept}).text == "within"


def test_a_password_is_in_no_text_of_its_objects() -> None:
    assert "long enough" not in repr(Door("0.0.0.0", PORT, Login("ann", "long enough")))


@pytest.mark.parametrize("path", [
    "/monitoring", "/gradio_api/proxy=http://example.org", "/gradio_api/vibe-code", "/gradio_api/runs", "/docs",
    "/gradio_api/dev/reload", "/gradio_api/deep_link", "/gradio_api/file=http://169.254.169.254/x", "/logout", "/mcp",
    "/gradio_api/openapi.json", "/gradio_api/file=https://example.org/x", "/gradio_api/process_recording",
    "/gradio_api/file=HTTP://example.org/x",
])  # fmt: skip
def test_what_no_tab_asks_for_is_not_there(path: str) -> None:
    assert {ask(DOOR, path, token(), method).status for method in ("GET", "POST")} == {404}


def test_the_page_is_served_with_all_it_consists_of(tab: Any) -> None:
    page = tab.get("/").text
    parts = re.findall(r'(?:src|href)="\.?(/?assets/[^"]+|/[a-z.]+json)"', page)
    assert parts and {tab.get(part).status_code for part in [*parts, "/config", "/theme.css"]} == {200}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


@pytest.mark.parametrize("path", [
    "{home}/secret.txt", "secret.txt", "/etc/passwd", "../../etc/passwd", "%2e%2e/secret.txt", "/proc/self/environ",
    "{home}/../../../etc/passwd",
])  # fmt: skip
def test_no_file_is_served_that_nobody_put_on_the_page(tab: Any, desk: Desk, path: str) -> None:
    answer = tab.get(f"/gradio_api/file={path.format(home=desk.folder)}")
    assert answer.status_code in (403, 404) and "to itself" not in answer.text and "root:" not in answer.text


def test_a_page_names_itself_to_no_other_site(tab: Any) -> None:
    assert "server" not in tab.get("/").headers
    assert tab.get("/config", headers={"origin": "http://evil.example"}).status_code == 403
    assert tab.get("/", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ["../x.yaml", "/etc/passwd", "a/../../x", "link/passwd", "\0", "~root/x/../../../.."])
def test_a_path_that_leads_outside_is_refused(desk: Desk, path: str) -> None:
    link = desk.folder / "link"
    if not link.is_symlink():
        link.symlink_to("/etc")
    with pytest.raises(OutsideFolder):
        desk.inside(path)


def test_a_path_inside_is_made_absolute(desk: Desk) -> None:
    assert desk.inside("a/../b.yaml") == desk.folder / "b.yaml"
    assert desk.inside(desk.results / "x") == desk.results / "x"


@pytest.mark.parametrize(("arguments", "told"), [
    (["--host", "0.0.0.0"], "only with a login"),
    (["--host", "192.168.1.7"], "only with a login"),
    (["--host", "::"], "only with a login"),
    (["--host", "0.0.0.0", "--login", "ann"], "set BENCH_UI_PASSWORD to a password of 8 characters"),
    (["--login", "a:b"], "holds no colon"),
    (["nowhere"], "there is no such folder"),
])  # fmt: skip
def test_a_page_that_others_could_open_does_not_start(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = small.bench("ui", *arguments)
    assert done.exit_code == 2 and told in done.stderr
