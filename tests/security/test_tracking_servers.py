"""Laws: a tracker's server is believed in nothing, and gets no key that the user did not agree to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.answers import LARGEST
from adapters.base import Context, Delivery, Tracker
from bench.results.model import write_result
from tests import small
from tests.security.hostile import saying
from tests.security.recording import Recorder, Reply, answering
from tests.trackers.test_trackers import events

KEY = "planted-tracking-77ab"
TRACKERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "braintrust": lambda url: {"app_url": url, "api_key_env": "LAW_KEY", "max_retries": 0, "timeout_seconds": 20},
    "mlflow": lambda url: {"uri": url, "api_key_env": "LAW_KEY", "max_retries": 0, "timeout_seconds": 20},
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAW_KEY", KEY)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "configuration"))
    for name in ("BRAINTRUST_APP_URL", "BRAINTRUST_API_URL", "BRAINTRUST_API_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def delivered(tracker: str, url: str, *, own: bool = False) -> Delivery:
    """What comes of sending there; own: the user named the address."""
    kind = registry.load("trackers", tracker)
    context = Context(own_addresses=frozenset({url})) if own else Context()
    made: Tracker = kind(kind.Options.model_validate(TRACKERS[tracker](url)), context)
    for event in events(2):
        made.on(event)
    return made.finish(60)


def refused(tracker: str, server: Recorder, *, own: bool = False) -> str:
    delivery = delivered(tracker, server.url, own=own)
    told = " ".join(delivery.notes)
    assert delivery.sent == 0 and delivery.unsent > 0 and KEY not in told
    return told


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_trackers_server_answers_within_bounds(tracker: str) -> None:
    bomb = saying(gzip.compress(b"\0" * (LARGEST + 1)), Content_Encoding="gzip")
    with answering(bomb) as server:
        assert f"at {server.url} answered with more than 64 MiB" in refused(tracker, server)


def test_a_trackers_server_answers_in_no_compression_that_was_not_asked_for() -> None:
    with answering(saying(b"x", Content_Encoding="br")) as server:
        assert "not asked for" in refused("braintrust", server)


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize(("own", "status"), [(False, 302), (True, 308)])
def test_a_trackers_key_follows_no_redirect(tracker: str, own: bool, status: int) -> None:
    with answering(saying(b"{}")) as second:
        with answering(saying(b"", status, Location=f"{second.url}/taken")) as first:
            assert f"sends on to {second.url}/taken" in refused(tracker, first, own=own)
            assert KEY in first.requests[0]
        assert second.requests == []


def mlflow_server(place: str) -> Reply:
    """Enough of MLflow's interface to be told where the files of a run go."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        content: dict[str, Any] = {}
        if "experiments" in handler.path:
            content = {"experiment": {"experiment_id": "1", "name": "x", "artifact_location": place}}
        elif handler.path.endswith("runs/create") or "runs/get" in handler.path:
            content = {"run": {"info": {"run_id": "r", "run_uuid": "r", "experiment_id": "1", "artifact_uri": place}}}
        saying(json.dumps(content).encode())(handler)

    return reply


def test_an_mlflow_server_that_a_file_names_writes_nowhere_on_this_machine(tmp_path: Path) -> None:
    with answering(mlflow_server((tmp_path / "taken").as_uri())) as server:
        assert "does not take files itself" in refused("mlflow", server)
    assert not (tmp_path / "taken").exists()


def test_no_server_that_a_file_names_draws_the_key_to_another() -> None:
    with answering(saying(b"{}")) as second:
        login = {"org_info": [{"id": "o", "name": "o", "api_url": second.url, "proxy_url": second.url}]}
        with answering(saying(json.dumps(login).encode())) as first:
            assert f"sends on to {second.url}" in refused("braintrust", first)
        with answering(mlflow_server(f"mlflow-artifacts://{second.url.removeprefix('http://')}/x")) as first:
            assert f"sends on to {second.url}" in refused("mlflow", first)
        assert second.requests == []


@pytest.mark.parametrize("tracker", TRACKERS)
def test_no_tracker_takes_a_password_from_a_netrc_file(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login u password netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with answering(saying(b"{}", 400)) as server:
        refused(tracker, server, own=True)
        assert KEY in server.requests[0] and "Basic" not in server.requests[0]


def handed_over(folder: Path, tracker: str, options: Mapping[str, Any]) -> Path:
    """A result folder of somebody else's whose experiment names a tracker so."""
    small.collection(folder / "data")
    given, result = small.measure(folder, small.spec([{"name": "bm25", "store": "bm25"}]))
    result.experiment["trackers"] = {"far": {"adapter": tracker, **options}}
    write_result(given, result)
    return given


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_received_result_sends_no_key_unless_the_user_agrees(tracker: str, tmp_path: Path) -> None:
    with answering(saying(b"{}", 401)) as server:
        folder = handed_over(tmp_path, tracker, TRACKERS[tracker](server.url))
        for choice in ([], ["--tracker", "far"]):
            done = small.bench("track", folder, *choice)  # asks nobody yet
            assert (done.exit_code, server.requests) == (2, [])
            assert f"LAW_KEY goes to {server.url.removeprefix('http://')}" in done.stderr and "--trust" in done.stderr
        small.bench("track", folder, "--trust")
        assert any(KEY in request for request in server.requests)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_received_result_that_names_no_variable_gets_no_key(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BRAINTRUST_API_KEY", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, KEY)
    with answering(saying(b"{}", 401)) as server:
        options = {name: value for name, value in TRACKERS[tracker](server.url).items() if name != "api_key_env"}
        folder = handed_over(tmp_path, tracker, options)
        assert small.bench("track", folder, "--trust").exit_code == 1
        assert not [request for request in server.requests if KEY in request]


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The folder's events with each changed so."""
    path = folder / "events.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(change(event)) + "\n" for event in events), encoding="utf-8")


def test_the_command_that_track_prints_has_the_folder_that_was_given_quoted(tmp_path: Path) -> None:
    folder = handed_over(tmp_path, "braintrust", {})
    given = folder.rename(tmp_path / "a; rm -rf x")
    rewritten(given, lambda event: {**event, **({"folder": "/elsewhere; rm"} if "folder" in event else {})})
    done = small.bench("track", given)
    assert "elsewhere" not in done.stdout and f"bench track '{given}' sends it later" in done.stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda event: [event],
        lambda event: 5,
        lambda event: {**event, "event": ["RunStarted"]},
        lambda event: {"event": event["event"]},
        lambda event: {**event, "folder": 5},
    ],
    ids=range(5),
)
def test_events_that_are_none_are_named_by_their_line(change: Callable[[Any], Any], tmp_path: Path) -> None:
    folder = handed_over(tmp_path, "braintrust", {})
    rewritten(folder, change)
    done = small.bench("track", folder)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{folder / 'events.jsonl'}, line ") and done.stderr.count("\n") == 1
