"""Laws: a file holds no secret, and none is printed, logged or sent on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Warned
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.messages.secrets import is_secret, redacted
from bench.run.folder import EventLog
from tests import small

REPOSITORY = Path(__file__).parents[2]
# In two pieces each, so that no scanner takes this file for a leak.
VALUES = [
    "ghp_" + "a1B2c3D4" * 5,
    "github_pat_" + "11ABCDEFG0" * 4,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "xoxb-" + "123456789012-abcdef",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "sk-" + "proj-abcdefghijklmnop1234",
    "hf_" + "abcdefghijklmnopqrst",
    "glpat-" + "abcdefghij0123456789",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "Bearer " + "abcdefghijklmnop1234",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AccountName=a;Account" + "Key=abcdefgh1234==",
]
ADDRESSES = [
    f"https://search.example/{rest}"
    for rest in ("x?sig=abc", "?key=abc", "?a=1&token=abc", "?api_key=abc", "?access_token=a", "?X-Amz-Signature=abc")
]
NAMES = [
    "subscription-key",
    "account_key",
    "pwd",
    "passwd",
    "sas",
    "Authorization",
    "bearer",
    "private_key",
    "client_secret",
    "connection_string",
    "api_key",
    "aws_secret_access_key",
    "password",
    "db_password",
    "token",
]
HARMLESS = {
    "model": "sentence-transformers/all-MiniLM-L6-v2",
    "path": "data/sk-learn/AKIA",
    "query": "Represent this sentence: ",
    "revision": "c5f93f70b6c2f3a1d2a4d5e6f708192a3b4c5d6e",
    "api_key_env": "OPENAI_API_KEY",
    "url": "http://localhost:8080/v1",
    "api_key_header": "Authorization: Bearer {key}",
    "tokenizer": "jieba",
    "max_tokens": "512",
    "keyword": "a key",
    "base_url": "https://api.example/v1?version=2024-02-01&keyword=x",
    "name": "task-specific-embedding-model-v2-large",
    "prompt": "Basic questions about tokens and keys",
    "uri": "s3://bucket/some-long-folder-name-0123456789",
}


def faults(tmp_path: Path, **changes: Any) -> str:
    spec = small.spec([{"name": "a", "store": "bm25"}], **changes)
    with pytest.raises(ConfigFaults) as raised:
        load_experiment(small.write(tmp_path, spec))
    return str(raised.value)


@pytest.mark.parametrize("value", VALUES)
def test_values_of_well_known_shapes_are_refused_by_their_place_and_redacted(value: str, tmp_path: Path) -> None:
    told = faults(tmp_path, stores={"bm25": {"adapter": "bm25", "note": value}})
    assert "stores.bm25.note looks like a secret" in told and value not in told
    assert value.split(";")[-1] not in redacted(f"the server said: {value}, and closed")
    assert "bm25[0]" not in told and "[1]" in faults(tmp_path, measures=["nDCG@10", value])


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_with_keys_and_signatures_are_refused_and_redacted(address: str, tmp_path: Path) -> None:
    told = faults(tmp_path, encoders={"e": {"adapter": "openai", "model": "m", "base_url": address}})
    assert "encoders.e.base_url carries" in told and address not in told
    assert "=[redacted]" in redacted(f"GET {address} failed") and address not in redacted(f"GET {address} failed")


@pytest.mark.parametrize("name", NAMES)
def test_options_that_are_called_like_secrets_are_refused(name: str, tmp_path: Path) -> None:
    told = faults(tmp_path, stores={"l": {"adapter": "lancedb", "storage_options": {name: "abcdefgh"}}})
    assert f"stores.l.storage_options.{name} looks like a secret" in told and "abcdefgh" not in told


@pytest.mark.parametrize("name", HARMLESS)
def test_names_paths_hashes_and_prompts_are_no_secrets(name: str) -> None:
    assert not is_secret(name, HARMLESS[name])
    assert redacted(HARMLESS[name]) == HARMLESS[name]


def test_no_experiment_of_this_repository_is_taken_for_a_leak() -> None:
    for path in (REPOSITORY / "configs").glob("*.y*ml"):
        text = path.read_text(encoding="utf-8")
        assert redacted(text) == text


def test_the_value_of_a_variable_that_holds_a_key_stands_in_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANGE_API_KEY", "0-plain-value-0")
    log = EventLog(tmp_path)
    log(Warned("w", "the server said: key 0-plain-value-0 is unknown"))
    log.close()
    line = json.loads((tmp_path / "events.jsonl").read_text(encoding="utf-8"))
    assert line["message"] == "the server said: key [redacted] is unknown"


def test_the_search_for_secrets_takes_time_in_proportion_to_a_text() -> None:
    # Of length squared, each of these would take minutes.
    for piece in ("a", "x:", "://", "a://b:", "eyJ", "Bearer ", "?key", "-----BEGIN A", "sk-", "http://"):
        redacted(piece * (300_000 // len(piece)))
