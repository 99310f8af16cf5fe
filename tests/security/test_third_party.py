"""Laws: an adapter that does not say whom it talks to gets the most careful treatment that its options call for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, is_address
from bench.results.model import write_result
from tests import small
from tests.security.hostile import saying
from tests.security.recording import Recorder, answering

ENTRY_POINTS = "".join(
    f"[retrieval_bench.{role}]\nsilent = silent_adapters:Silent{name}\n"
    for role, name in (
        ("encoders", "Encoder"), ("stores", "Store"), ("trackers", "Tracker"), ("datasets", "Dataset"),
    )
)  # fmt: skip
KEY = "planted-silent-19de"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Somebody's server, the adapters installed, keys set, and no terminal."""
    monkeypatch.setenv("SILENT_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", f"{KEY}-other")
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "configuration"))
    (tmp_path / "site").mkdir()
    with answering(saying(b"{}")) as seen:
        monkeypatch.setenv("SILENT_ADDRESS", seen.url)
        with small.installed(tmp_path / "site", "silent_adapters", ENTRY_POINTS):
            yield seen


def file_with(folder: Path, role: str, options: dict[str, Any]) -> Path:
    """An experiment that uses the silent adapter of that role."""
    small.collection(folder / "data", documents=30, queries=4)
    system: dict[str, Any] = {"name": "a", "store": "bm25"}
    keys: dict[str, Any] = {}
    part = {"adapter": "silent", **options}
    if role == "encoder":
        system, keys = {"name": "a", "encoder": "s"}, {"encoders": {"s": part}}
    elif role == "store":
        system["store"], keys = "s", {"stores": {"s": part}}
    elif role == "tracker":
        keys = {"trackers": {"s": part}}
    else:
        keys = {"dataset": part}
    return small.write(folder, small.spec([system], **keys))


def uses(address: str) -> list[tuple[str, dict[str, Any]]]:
    host = address.removeprefix("http://")
    return [
        ("encoder", {"url": address}),
        ("encoder", {"endpoint": host}),
        ("encoder", {"backend": host}),
        ("encoder", {"nested": {"servers": [address]}}),
        ("encoder", {"url": address, "api_key_env": "OTHER_KEY"}),
        ("store", {"hostname": host}),
        ("tracker", {"url": address}),
        ("dataset", {"url": address}),
    ]


@pytest.mark.parametrize("use", range(8))
def test_a_file_draws_no_silent_adapter_to_its_address_unasked(use: int, server: Recorder, tmp_path: Path) -> None:
    role, options = uses(server.url)[use]
    path = file_with(tmp_path, role, options)
    places = ("--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    done = small.bench("run", path, *places)
    host = server.url.removeprefix("http://")
    assert (done.exit_code, server.requests) == (2, [])
    key = "OTHER_KEY" if "api_key_env" in options else "*"
    assert f"{host}" in done.stderr and "does not say whom it contacts" in done.stderr
    assert f'"{host} {key}"' in done.stderr
    small.bench("run", path, *places, "--trust")
    assert server.requests
    before = len(server.requests)
    (tmp_path / "configuration").mkdir()
    (tmp_path / "configuration" / "known_hosts").write_text(f"{host} {key}\n")
    known = small.bench("run", path, *places)
    assert "does not say" not in known.stderr and len(server.requests) > before


def test_a_variable_of_a_file_goes_to_no_silent_adapter_unasked(server: Recorder, tmp_path: Path) -> None:
    path = file_with(tmp_path, "encoder", {"api_key_env": "OTHER_KEY"})
    done = small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert (done.exit_code, server.requests) == (2, [])
    assert "may send OTHER_KEY to silent, which the file names" in done.stderr


def test_a_silent_adapter_without_address_or_variable_is_used_as_it_is(server: Recorder, tmp_path: Path) -> None:
    path = file_with(tmp_path, "encoder", {})
    small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert server.requests  # to the address of its author, whom the user trusted by installing it


def test_an_address_of_the_command_line_is_the_users_own(server: Recorder, tmp_path: Path) -> None:
    path = file_with(tmp_path, "encoder", {"endpoint": "192.0.2.1"})
    places = ("--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    done = small.bench("run", path, *places, "--set", f"encoders.s.endpoint={server.url.removeprefix('http://')}")
    assert "does not say" not in done.stderr and server.requests


def test_a_dry_run_loads_no_dataset_from_an_address_of_the_file(server: Recorder, tmp_path: Path) -> None:
    done = small.bench("run", file_with(tmp_path, "dataset", {"url": server.url}), "--dry-run", "--quiet")
    assert server.requests == [] and "a dry run does not ask" in done.stdout + done.stderr


def test_a_received_result_draws_no_silent_tracker_to_its_address_unasked(server: Recorder, tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    folder, result = small.measure(tmp_path, small.spec([{"name": "a", "store": "bm25"}]))
    result.experiment["trackers"] = {"s": {"adapter": "silent", "url": server.url}}
    write_result(folder, result)
    done = small.bench("track", folder)
    assert (done.exit_code, server.requests) == (2, []) and "does not say whom it contacts" in done.stderr
    assert small.bench("track", folder, "--trust").exit_code == 0 and server.requests


ADDRESSES = [
    ("url", "http://h"), ("x", "https://h:1/p"), ("x", "grpc://h"), ("x", "redis://u@h"), ("host", "h"),
    ("base_host", "10.0.0.1"), ("x", "localhost:80"), ("x", "a.example.org:443"), ("endpoint", "a.example.org"),
    ("x", "127.0.0.1:9/p"), ("x", "[::1]:9"), ("servers", "a"), ("address", "::1"),
]  # fmt: skip
NO_ADDRESSES = [
    ("model", "org/name"), ("x", "a text: with words"), ("path", "data/x"), ("x", "file:///a"), ("x", "C:\\a"),
    ("uri", "data/x"), ("name", "h"), ("x", "12:30"), ("template", "{query}"), ("x", "sqlite:///a"), ("host", "a b"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), ADDRESSES)
def test_what_looks_like_an_address_is_taken_for_one(key: str, value: str) -> None:
    assert is_address(key, value)


@pytest.mark.parametrize(("key", "value"), NO_ADDRESSES)
def test_what_does_not_look_like_an_address_is_not_taken_for_one(key: str, value: str) -> None:
    assert not is_address(key, value)


def test_every_adapter_of_ours_with_an_address_or_a_variable_says_whom_it_talks_to() -> None:
    silent: list[str] = []
    for role in registry.ROLES:
        for name in registry.names(role):
            kind = registry.load(role, name)
            models = [getattr(kind, each, None) for each in ("Options", "Index", "Query", "Connection")]
            fields = [field for model in models if model is not None for field in model.model_fields]
            if kind.contacts is Adapter.contacts and any(
                field.endswith("_env") or is_address(field, "host") for field in fields
            ):
                silent.append(f"{role}.{name}")
    assert silent == []
