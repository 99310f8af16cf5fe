"""Laws: a key goes where the user sends it, and to no address that only a file names."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import Adapter, AdapterError, Context, Corpus, InvalidOptions, Queries, Rows, TextRows, Tracker
from adapters.stores.weaviate.options import WeaviateConnection
from tests import small
from tests.security.recording import MARK, VARIABLES, Recorder, planted, recording
from tests.trackers.test_trackers import events

QUICK = {"max_retries": 0, "timeout_seconds": 5}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A secret in every variable, and in the file of the home folder that MLflow looks into."""
    for name in ("OPENAI_BASE_URL", "CO_API_URL", "BRAINTRUST_APP_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in planted().items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    (home / ".mlflow").mkdir(parents=True)
    secret = f"{MARK}-of-the-home-folder"
    (home / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username = u\nmlflow_tracking_password = {secret}\n"
    )
    monkeypatch.setenv("HOME", str(home))
    yield


def leaked(seen: Recorder) -> list[str]:
    """The variables whose values came, in the clear or in base64 as basic authentication writes them."""
    values = {**{name: os.environ[name] for name in VARIABLES}, "the mark": MARK}
    basic = base64.b64encode(f"u:{MARK}-of-the-home-folder".encode()).decode()
    user = base64.b64encode(f"{os.environ['MLFLOW_TRACKING_USERNAME']}:".encode()).decode().rstrip("=")[:40]
    return [name for name, value in values.items() if seen.received(value)] + [
        name for name, text in (("home", basic), ("basic", user)) if seen.received(text)
    ]


def encoder(adapter: str, **options: Any) -> Callable[[Context], Any]:
    def use(context: Context) -> None:
        kind = registry.load("encoders", adapter)
        made = kind(kind.Options.model_validate({**options, **QUICK}), context)
        made.check()
        made.encode(TextRows(["a text"]), "query")

    return use


def reranker(adapter: str, **options: Any) -> Callable[[Context], Any]:
    def use(context: Context) -> None:
        kind = registry.load("rerankers", adapter)
        made = kind(kind.Options.model_validate({**options, **QUICK}), context)
        made.check()
        corpus = small_corpus()
        made.prepare(corpus)
        made.score(Queries(texts=["a question"]), small_rows())

    return use


def generator(adapter: str, **options: Any) -> Callable[[Context], Any]:
    def use(context: Context) -> None:
        kind = registry.load("generators", adapter)
        made = kind(kind.Options.model_validate({**options, **QUICK}), context)
        made.check()
        with suppress(AdapterError):
            made.generate(["a question"])
        list(made.stream("a question"))

    return use


def small_corpus() -> Corpus:
    return Corpus(["a text"])


def small_rows() -> Rows:
    return np.zeros((1, 1), np.int32)


def store(adapter: str, index: Mapping[str, Any] = {}, **connection: Any) -> Callable[[Context], Any]:
    def use(context: Context) -> None:
        kind = registry.load("stores", adapter)
        made = kind(kind.Index.model_validate(index), kind.Connection.model_validate(connection), context)
        try:
            made.check()
            made.health()
        finally:
            made.close()

    return use


def tracker(adapter: str, **options: Any) -> Callable[[Context], Any]:
    def use(context: Context) -> None:
        kind = registry.load("trackers", adapter)
        made: Tracker = kind(kind.Options.model_validate({**options, "max_retries": 0, "timeout_seconds": 5}), context)
        for event in events(2):
            made.on(event)
        made.finish(40)

    return use


USES: Mapping[str, Callable[[str], Callable[[Context], Any]]] = {
    "openai": lambda url: encoder("openai", model="m", dimension=4, base_url=f"{url}/v1"),
    "cohere encoder": lambda url: encoder("cohere", model="embed-v4.0", base_url=url),
    "cohere reranker": lambda url: reranker("cohere", model="rerank-v3.5", base_url=url),
    "openai generator": lambda url: generator("openai", model="m", base_url=f"{url}/v1"),
    "cohere generator": lambda url: generator("cohere", model="m", base_url=url),
    "rerank_api": lambda url: reranker("rerank_api", model="m", base_url=url),
    "http": lambda url: store("http", {"url": f"{url}/find", "body": {"q": "{query}"}, "ids": "hits.*.id"}),
    "weaviate, url": lambda url: store("weaviate", url=url, connect_seconds=2),
    "weaviate, host and port": lambda url: store("weaviate", host="127.0.0.1", port=int(url.rpartition(":")[2])),
    "weaviate, grpc_host": lambda url: store("weaviate", grpc_host="127.0.0.1", grpc_port=int(url.rpartition(":")[2])),
    "lancedb": lambda url: store(
        "lancedb", {}, uri="s3://bucket/x", storage_options={"endpoint": url, "allow_http": "true", "region": "eu"}
    ),
    "lancedb, aws_endpoint": lambda url: store(
        "lancedb", {}, uri="s3://bucket/x", storage_options={"aws_endpoint": url, "allow_http": "true"}
    ),
    "braintrust": lambda url: tracker("braintrust", app_url=url),
    "mlflow": lambda url: tracker("mlflow", uri=url),
}  # fmt: skip


#: The adapters that may talk to somebody, with what puts each to the test above.
WITH_NETWORK: Mapping[str, Sequence[str]] = {
    "encoders.openai": ["openai"],
    "encoders.cohere": ["cohere encoder"],
    "generators.openai": ["openai generator"],
    "generators.cohere": ["cohere generator"],
    "rerankers.cohere": ["cohere reranker"],
    "rerankers.rerank_api": ["rerank_api"],
    "stores.http": ["http"],
    "stores.weaviate": ["weaviate, url", "weaviate, host and port", "weaviate, grpc_host"],
    "stores.lancedb": ["lancedb", "lancedb, aws_endpoint"],
    "trackers.braintrust": ["braintrust"],
    "trackers.mlflow": ["mlflow"],
}
#: Those that ask the hub alone, at the address that its own variable gives: no option of theirs names another.
OF_THE_HUB = {
    "datasets.hub", "encoders.sentence_transformers", "generators.transformers", "rerankers.cross_encoder",
    "trainers.augmented_sbert", "trainers.contrastive_pretrain", "trainers.contrastive_tension",
    "trainers.cross_encoder", "trainers.distill", "trainers.gist", "trainers.gpl", "trainers.mnrl",
    "trainers.ranked_list", "trainers.static", "trainers.sts", "trainers.tsdae",
}  # fmt: skip
WITHOUT_NETWORK = {
    "datasets.beir", "datasets.files", "datasets.pairs", "datasets.vectors", "datasets.api_docs",
    "encoders.precomputed", "stores.exact", "stores.bm25", "stores.faiss", "rerankers.bm25", "rerankers.bi_encoder",
}  # fmt: skip


def test_every_adapter_is_held_to_these_laws_or_talks_to_nobody() -> None:
    every = {f"{role}.{name}" for role in registry.ROLES for name in registry.names(role)}
    assert every == {*WITH_NETWORK, *OF_THE_HUB, *WITHOUT_NETWORK}, "say where a new adapter belongs, and use it"
    assert {use for uses in WITH_NETWORK.values() for use in uses} == set(USES)
    for adapter in every - OF_THE_HUB:
        role, _, name = adapter.partition(".")
        says = registry.load(role, name).contacts is not Adapter.contacts  # type: ignore[arg-type]
        assert says == (adapter in WITH_NETWORK), adapter


@pytest.mark.parametrize("use", USES)
def test_an_address_of_a_file_gets_no_key_that_the_file_does_not_name(use: str, keys: None, tmp_path: Path) -> None:
    with recording() as seen:
        try:
            USES[use](seen.url)(Context(tmp_path))
        except (AdapterError, InvalidOptions) as error:
            assert MARK not in str(error)
        assert leaked(seen) == []


def test_a_refusal_without_a_key_says_how_the_file_names_the_variable(keys: None, tmp_path: Path) -> None:
    with recording() as seen, pytest.raises(AdapterError, match="api_key_env: NAME"):
        USES["openai"](seen.url)(Context(tmp_path))


NAMED: Mapping[str, tuple[str, Callable[[str], Callable[[Context], Any]]]] = {
    "openai": ("HF_TOKEN", lambda url: encoder("openai", model="m", dimension=4, base_url=url, api_key_env="HF_TOKEN")),
    "cohere": ("CO_API_KEY", lambda url: encoder("cohere", model="embed-v4.0", base_url=url, api_key_env="CO_API_KEY")),
    "mlflow": ("JINA_API_KEY", lambda url: tracker("mlflow", uri=url, api_key_env="JINA_API_KEY")),
    "weaviate": ("VOYAGE_API_KEY", lambda url: store("weaviate", url=url, api_key_env="VOYAGE_API_KEY")),
}


@pytest.mark.parametrize("use", NAMED)
def test_an_address_of_a_file_gets_the_key_that_the_file_names_and_no_other(
    use: str, keys: None, tmp_path: Path
) -> None:
    variable, make = NAMED[use]
    with recording() as seen:
        try:
            make(seen.url)(Context(tmp_path))
        except AdapterError as error:
            assert MARK not in str(error)
        assert leaked(seen) == [variable, "the mark"]


def test_an_address_that_the_user_gives_gets_the_usual_key(keys: None, tmp_path: Path) -> None:
    with recording() as seen:
        with pytest.raises(AdapterError):
            USES["openai"](seen.url)(Context(tmp_path, own_addresses=frozenset({f"{seen.url}/v1"})))
        assert "OPENAI_API_KEY" in leaked(seen)


@pytest.mark.parametrize("named", [{"grpc_host": "192.0.2.1"}, {"grpc_port": 1}, {"port": 1}, {"host": "h"}])
def test_no_part_of_an_address_in_a_file_keeps_the_default_servers_key(named: dict[str, Any], keys: None) -> None:
    assert WeaviateConnection.model_validate(named).key() is None


def stranger(folder: Path, url: str) -> Path:
    """An experiment file that names that address wherever one can be named."""
    small.collection(folder / "data", documents=30, queries=4)
    openai = {"adapter": "openai", "model": "m", "dimension": 4, "base_url": url, **QUICK}
    systems = [
        {"name": "bm25", "store": "bm25"},
        {"name": "e", "encoder": "e", "store": "exact"},
        {"name": "c", "encoder": "c", "store": "exact"},
        {"name": "w", "store": "w", "encoder": "e"},
        {"name": "h", "store": "h"},
        {"name": "r", "store": "bm25", "reranker": "r"},
        {"name": "rc", "store": "bm25", "reranker": "rc"},
    ]
    return small.write(
        folder,
        small.spec(
            systems,
            encoders={"e": openai, "c": {"adapter": "cohere", "model": "embed-v4.0", "base_url": url, **QUICK}},
            rerankers={
                "r": {"adapter": "rerank_api", "model": "m", "base_url": url, **QUICK},
                "rc": {"adapter": "cohere", "model": "rerank-v3.5", "base_url": url, **QUICK},
            },
            stores={
                "bm25": {"adapter": "bm25"},
                "exact": {"adapter": "exact"},
                "w": {"adapter": "weaviate", "url": url, "connect_seconds": 2},
                "h": {
                    "adapter": "http",
                    "index": {"url": f"{url}/find", "body": {"q": "{query}"}, "ids": "hits.*.id"},
                },
            },
            trackers={"m": {"adapter": "mlflow", "uri": url, **QUICK}, "b": {"adapter": "braintrust", "app_url": url}},
        ),
    )


def test_a_dry_run_of_a_strangers_file_asks_nobody(keys: None, tmp_path: Path) -> None:
    with recording(500) as seen:
        done = small.bench("run", stranger(tmp_path, seen.url), "--dry-run", "--quiet", "--cache", tmp_path / "cache")
        assert done.exit_code == 0, done.stderr
        assert seen.requests == []
    assert "a dry run does not ask 127.0.0.1" in done.stdout


def test_a_run_of_a_strangers_file_sends_no_key(keys: None, tmp_path: Path) -> None:
    places = ("--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    with recording(401) as seen:
        small.bench("run", stranger(tmp_path, seen.url), *places)
        assert leaked(seen) == []
        small.bench("run", stranger(tmp_path, seen.url), *places, "--set", "stores.w.url=http://127.0.0.1:9")
        assert leaked(seen) == []


def test_an_export_from_a_strangers_file_sends_no_key(keys: None, tmp_path: Path) -> None:
    more = ("--negatives", "cosine", "--split", "test", "--output", tmp_path / "t.jsonl", "--cache", tmp_path / "cache")
    with recording(401) as seen:
        for encoder in ("e", "c"):
            small.bench("export-training", stranger(tmp_path, seen.url), "--encoder", encoder, *more)
        assert seen.requests and leaked(seen) == []


def test_commands_that_need_nobody_ask_nobody(keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.collection(tmp_path / "data", documents=30, queries=4)
    with recording(401) as seen:
        for name in (
            "OPENAI_BASE_URL",
            "CO_API_URL",
            "BRAINTRUST_APP_URL",
            "BRAINTRUST_API_URL",
            "MLFLOW_TRACKING_URI",
        ):
            monkeypatch.setenv(name, seen.url)
        for command in (["doctor"], ["schema"], ["schema", "--result"], ["init", tmp_path / "data"], ["--help"]):
            assert small.bench(*command).exit_code == 0, command
        assert seen.requests == []


def named(folder: Path, url: str) -> Path:
    """An experiment whose file names an address and the variable whose key goes there."""
    small.collection(folder / "data", documents=30, queries=4)
    e = {"adapter": "openai", "model": "m", "dimension": 4, "base_url": url, "api_key_env": "OPENAI_API_KEY", **QUICK}
    systems = [{"name": "e", "encoder": "e"}]
    return small.write(folder, small.spec(systems, encoders={"e": e}, latency=False))


def test_a_key_to_an_address_of_a_file_is_announced_and_waits_for_the_users_word(
    keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "configuration"))
    places = ("--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    with recording(401) as seen:
        host = seen.url.removeprefix("http://")
        path = named(tmp_path, seen.url)
        refused = small.bench("run", path, *places)
        assert (refused.exit_code, seen.requests) == (2, [])
        assert f"OPENAI_API_KEY goes to {host}" in refused.stderr and "--trust" in refused.stderr
        trusted = small.bench("run", path, *places, "--trust")
        assert f"OPENAI_API_KEY goes to {host}" in trusted.stderr and leaked(seen) == ["OPENAI_API_KEY", "the mark"]
        (tmp_path / "configuration").mkdir()
        (tmp_path / "configuration" / "known_hosts").write_text(f"{host} OPENAI_API_KEY\n")
        before = len(seen.requests)
        known = small.bench("run", path, *places)
        assert "goes to" not in known.stderr and len(seen.requests) > before
