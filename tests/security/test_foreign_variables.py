"""Laws: a file draws no variable of another service's, not even to the address that its adapter has by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Context
from bench.experiment.overrides import addresses_given
from bench.experiment.trust import contacts_with, keys_to_announce
from tests import small

FOREIGN = "HF_TOKEN"
#: What each adapter that takes the name of a variable must be given beside it, and an address that is its own, where
#: it has none by itself.
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "encoders.openai": {"model": "text-embedding-3-small"},
    "encoders.cohere": {"model": "embed-v4.0"},
    "rerankers.cohere": {"model": "rerank-v3.5"},
    "generators.openai": {"model": "gpt-5-mini"},
    "generators.cohere": {"model": "command-a-03-2025"},
    "rerankers.rerank_api": {"model": "m", "base_url": "http://127.0.0.1:9"},
    "stores.http": {"index": {"url": "http://127.0.0.1:9/find", "body": {"q": "{query}"}, "ids": "ids.*"}},
    "stores.weaviate": {},
    "stores.lancedb": {"uri": "s3://bucket/x", "storage_options": {"endpoint": "http://127.0.0.1:9"}},
    "trackers.braintrust": {},
    "trackers.mlflow": {"uri": "databricks"},
}
OWN = frozenset({"http://127.0.0.1:9", "http://127.0.0.1:9/find"})


def takes_variable(kind: Any) -> bool:
    models = (getattr(kind, name, None) for name in ("Options", "Index", "Connection"))
    return any(model is not None and "api_key_env" in model.model_fields for model in models)


def asked(adapter: str, variable: str, own: frozenset[str], tmp_path: Path) -> list[str | None]:
    """The variables that are asked for where a file names this one."""
    role, _, name = adapter.partition(".")
    kind: Any = registry.load(role, name)  # type: ignore[arg-type]
    given = {**GIVEN[adapter], "api_key_env": variable}
    if role == "stores":
        options: tuple[Any, ...] = (kind.Index.model_validate(given.pop("index", {})), kind.Connection(**given))
    else:
        options = (kind.Options.model_validate(given),)
    contacts = contacts_with(kind, options, Context(tmp_path, own_addresses=own))
    assert contacts
    return [contact.variable for _, contact in keys_to_announce({"part": contacts}, tmp_path / "known_hosts")]


def test_every_adapter_that_takes_the_name_of_a_variable_is_held_to_these_laws() -> None:
    every = {f"{role}.{name}" for role in registry.ROLES for name in registry.names(role)}
    taking = {each for each in every if takes_variable(registry.load(*each.split(".")))}  # type: ignore[arg-type]
    assert taking == set(GIVEN)


@pytest.mark.parametrize("adapter", GIVEN)
def test_a_foreign_variable_is_asked_for_whatever_the_address(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOREIGN, "planted")
    assert set(asked(adapter, FOREIGN, OWN, tmp_path)) == {FOREIGN}
    chosen = addresses_given([f"x.api_key_env={FOREIGN}"])  # by the user
    assert chosen == {FOREIGN} and asked(adapter, FOREIGN, OWN | chosen, tmp_path) == []
    monkeypatch.delenv(FOREIGN)
    assert asked(adapter, FOREIGN, OWN, tmp_path) == []  # nothing would go there


@pytest.mark.parametrize("adapter", GIVEN)
def test_the_usual_variable_is_not_asked_for(adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role, _, name = adapter.partition(".")
    kind: Any = registry.load(role, name)  # type: ignore[arg-type]
    for variable in (*([kind.key_env] if kind.key_env else []), *kind.further_key_envs):
        monkeypatch.setenv(variable, "planted")
        assert asked(adapter, variable, OWN, tmp_path) == []


def test_a_run_that_names_a_foreign_variable_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOREIGN, "planted")
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    small.collection(tmp_path / "data", documents=30, queries=4)
    encoder = {"adapter": "openai", "model": "text-embedding-3-small", "api_key_env": FOREIGN}
    path = small.write(tmp_path, small.spec([{"name": "e", "encoder": "e"}], encoders={"e": encoder}))
    done = small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert done.exit_code == 2 and not (tmp_path / "results").exists()
    told = f"encoders.e: {FOREIGN}, a variable that the file names and not the usual one, goes to api.openai.com"
    assert told in done.stderr and f'"api.openai.com {FOREIGN}"' in done.stderr
