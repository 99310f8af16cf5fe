"""What no adapter mapped ends one system, in whatever hook it is raised: the others are measured, the run says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.results.model import Result, read_result
from tests import small

MODULE = "raising_adapters"
ENTRY_POINTS = f"""[retrieval_bench.encoders]
raising = {MODULE}:RaisingEncoder
broken = {MODULE}:Absent
[retrieval_bench.stores]
raising = {MODULE}:RaisingStore
raising_server = {MODULE}:RaisingServer
[retrieval_bench.rerankers]
raising = {MODULE}:RaisingReranker
[retrieval_bench.trackers]
raising = {MODULE}:RaisingTracker
[retrieval_bench.datasets]
raising = {MODULE}:RaisingDataset
"""
KINDS = ["KeyError", "RuntimeError", "PanicException"]
ODD_KINDS = [
    "MuteError", "BoundError", "SystemExit", "GeneratorExit", "StopIteration", "MemoryError", "RecursionError",
    "ValueError",
]  # fmt: skip
TOLD = {
    "KeyError": "KeyError: 'planted'",
    "RuntimeError": "RuntimeError: planted in two lines",
    "PanicException": f"{MODULE}.PanicException: planted",
    "MuteError": f"{MODULE}.MuteError: its message cannot be shown (ValueError)",
    "BoundError": f"{MODULE}.BoundError: planted twice",
    "SystemExit": "SystemExit: planted",
    "GeneratorExit": "GeneratorExit: planted",
    "StopIteration": "StopIteration: planted",
    "MemoryError": "MemoryError: out of memory",
    "RecursionError": "RecursionError: maximum recursion depth exceeded",
    "ValueError": "ValueError (it says nothing more)",
}
GOOD = [{"name": "bm25", "store": "bm25"}, {"name": "dense", "encoder": "good"}]


@pytest.fixture(scope="module", autouse=True)
def _third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small.installed(tmp_path_factory.mktemp("site"), MODULE, ENTRY_POINTS):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data", documents=20, queries=4)
    return tmp_path


def experiment(
    *,
    encoders: dict[str, Any] | None = None,
    stores: dict[str, Any] | None = None,
    rerankers: dict[str, Any] | None = None,
    **keys: Any,
) -> dict[str, Any]:
    """Two systems that work, and one for each trap: of an encoder, of a store (as its index options), of a reranker."""
    systems: list[Any] = [*GOOD]
    systems += [{"name": f"encoder-{name}", "encoder": name} for name in encoders or {}]
    systems += [{"name": f"store-{name}", "encoder": "good", "store": name} for name in stores or {}]
    systems += [{"name": f"reranker-{name}", "store": "bm25", "reranker": name} for name in rerankers or {}]
    raising = {"adapter": "raising"}
    return small.spec(
        systems,
        encoders={"good": raising, **{name: {**raising, **trap} for name, trap in (encoders or {}).items()}},
        stores={
            "bm25": {"adapter": "bm25"},
            **{name: {"adapter": "raising", "index": trap} for name, trap in (stores or {}).items()},
        },
        rerankers={name: {**raising, **trap} for name, trap in (rerankers or {}).items()},
        **keys,
    )


def traps(kind: str, *hooks: str, **keys: Any) -> dict[str, Any]:
    return {hook: {"hook": hook, "kind": kind, **keys} for hook in hooks}


def run(folder: Path, spec: Any) -> tuple[int, Result, Any, Path]:
    """Exit code, result, what was printed, result folder."""
    places = ("--output", folder / "results", "--cache", folder / "cache", "--json")
    outcome = small.bench("run", small.write(folder, spec), *places)
    assert outcome.exit_code in (0, 1), outcome.stderr
    made = Path(json.loads(outcome.stdout)["result"])
    return outcome.exit_code, read_result(made), outcome, made


def others_are_measured(result: Result, names: tuple[str, ...] = ("bm25", "dense")) -> None:
    systems = small.by_name(result)
    for name in names:
        assert systems[name].status == "success", systems[name].error
        assert systems[name].measures["nDCG@10"].mean is not None


# -- before the start ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "MuteError", "SystemExit"])
def test_what_is_raised_before_the_start_is_one_fault_each_and_all_are_listed(folder: Path, kind: str) -> None:
    spec = experiment(
        encoders=traps(kind, "constructor", "check", "identity", "dimension", "similarity"),
        stores={
            f"s-{hook}": trap
            for hook, trap in traps(
                kind, "constructor", "check", "identity", "consumes", "plan", "uses_text", "health"
            ).items()
        },
        rerankers={f"r-{hook}": trap for hook, trap in traps(kind, "constructor", "check", "identity").items()},
    )
    outcome = small.bench("run", small.write(folder, spec), "--output", folder / "results", "--cache", folder / "c")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    faults = outcome.stderr.splitlines()
    named = [
        name for role in ("encoders", "rerankers", "stores") for name in spec[role] if name not in ("good", "bm25")
    ]
    assert len(named) == 15
    for name in named:
        (fault,) = [line for line in faults if f".{name}: " in line]
        assert TOLD[kind] in fault
        assert f"{MODULE}.py:" in fault and " in " in fault.rpartition("(")[2]
    assert len([line for line in faults if TOLD[kind] in line]) == 15
    assert not (folder / "results").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", ["constructor", "check", "sources", "load"])
def test_a_dataset_that_raises_is_a_fault_beside_those_of_the_adapters(folder: Path, hook: str, kind: str) -> None:
    dataset = {"adapter": "raising", "path": "data", "hook": hook, "kind": kind}
    spec = {**experiment(encoders=traps("KeyError", "check")), "dataset": dataset}
    outcome = small.bench("run", small.write(folder, spec), "--output", folder / "results", "--cache", folder / "c")
    assert outcome.exit_code == 2
    faults = outcome.stderr.splitlines()
    (fault,) = [line for line in faults if ": dataset: " in line]
    assert TOLD[kind] in fault and f"{MODULE}.py:" in fault
    assert any("encoders.check: KeyError: 'planted'" in line for line in faults)


def test_a_class_that_cannot_be_imported_is_a_fault(folder: Path) -> None:
    spec = small.spec([{"encoder": "x"}], encoders={"x": {"adapter": "broken"}})
    outcome = small.bench("run", small.write(folder, spec), "--output", folder / "results")
    assert outcome.exit_code == 2
    assert "encoders.x.adapter (broken): cannot be loaded: AttributeError: " in outcome.stderr


# -- the quality pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, *ODD_KINDS])
def test_what_is_raised_in_the_quality_pass_ends_one_system(folder: Path, kind: str) -> None:
    spec = experiment(
        encoders=traps(kind, "encode"),
        stores=traps(kind, "build", "describe", "open", "configure", "search", "note"),
        rerankers=traps(kind, "prepare", "score"),
    )
    code, result, outcome, made = run(folder, spec)
    assert (code, result.status) == (1, "partial")
    others_are_measured(result)
    bad = [system for system in result.systems if system.name not in ("bm25", "dense")]
    assert len(bad) == 9
    events = [json.loads(line) for line in (made / "events.jsonl").read_text().splitlines()]
    for system in bad:
        assert system.status == "error"
        assert (system.error or "").startswith(TOLD[kind])
        assert system.measures["nDCG@10"].mean is None
        (told,) = [e for e in events if e["event"] == "Warned" and e["about"] == system.name]
        assert told["traceback"].startswith("Traceback (most recent call last):")
        assert f"{MODULE}.py" in told["traceback"] and "bench/" in told["traceback"]
        assert told["frames"] and all(f"{MODULE}.py:" in frame or "adapters/" in frame for frame in told["frames"])
        assert f"{system.name}: error: {TOLD[kind]}" in outcome.stderr
    assert f"{MODULE}.py:" in outcome.stderr and "Traceback" not in outcome.stderr


def test_a_rerun_tries_a_failed_system_again(folder: Path) -> None:
    spec = experiment(encoders=traps("KeyError", "encode"), stores=traps("KeyError", "build", "search"))
    run(folder, spec)
    text = (folder / "bench.yaml").read_text()
    site = Path(__import__(MODULE).__file__)
    source = site.read_text()
    try:
        site.write_text(source.replace('raise KeyError("planted")', "return True"))
        __import__("sys").modules.pop(MODULE)
        code, result, _, _ = run(folder, text)
    finally:
        site.write_text(source)
        __import__("sys").modules.pop(MODULE, None)
    assert (code, result.status) == (0, "success")
    others_are_measured(result, tuple(system.name for system in result.systems))
    assert result.work.texts_embedded.computed == 24  # of the one that failed: 20 documents, 4 queries


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("build", "Store raising: _build returned NoneType, not Mapping"),
        ("describe", "Store raising: describe returned NoneType, not EffectiveIndex"),
        ("open", "Store raising: open returned NoneType, not Session"),
        ("search", f"{MODULE}.RaisingSession: _search returned NoneType, not Hits"),
        ("encode", "Encoder raising: _encode returned NoneType, not Encoded"),
        ("score", "Reranker raising: _score returned NoneType, not Scored"),
    ],
)
def test_a_result_of_the_wrong_type_is_told_with_the_method_that_gave_it(folder: Path, hook: str, said: str) -> None:
    role = {"encode": "encoders", "score": "rerankers"}.get(hook, "stores")
    code, result, _, _ = run(folder, experiment(**{role: traps("returns", hook)}))
    assert code == 1
    others_are_measured(result)
    assert said in (result.systems[-1].error or "")


def test_a_shared_part_that_raises_is_asked_once_and_ends_all_that_need_it(folder: Path) -> None:
    log = folder / "log.txt"
    spec = experiment(encoders={"shared": {"hook": "encode", "log": str(log)}})
    spec["systems"] += [
        {"name": "second", "encoder": "shared", "store": "plain"},
        {"name": "fused", "fuse": ["bm25", "encoder-shared"]},
        {"name": "fine", "fuse": ["bm25", "dense"]},
    ]
    spec["stores"]["plain"] = {"adapter": "exact"}
    code, result, outcome, _ = run(folder, spec)
    assert code == 1
    others_are_measured(result, ("bm25", "dense", "fine"))
    systems = small.by_name(result)
    assert systems["encoder-shared"].error == systems["second"].error == "KeyError: 'planted'"
    assert systems["fused"].error == "its leg encoder-shared failed: KeyError: 'planted'"
    assert log.read_text().splitlines().count("encode") == 1
    assert outcome.stderr.count(f"{MODULE}.py:") <= 4  # the frames of one exception, once


def test_without_its_baseline_a_run_measures_the_others_and_compares_nothing(folder: Path) -> None:
    code, result, _, _ = run(folder, experiment(encoders=traps("KeyError", "encode"), baseline="encoder-encode"))
    assert code == 1
    others_are_measured(result)
    assert all(not system.against_baseline for system in result.systems)
    assert (
        "encoder-encode: the baseline was not measured (error), so nothing is compared: no verdicts." in result.warnings
    )


# -- closing, health, trackers: nothing that was measured is lost ---------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_raised_when_adapters_are_closed_is_a_warning(folder: Path, kind: str) -> None:
    log = folder / "log.txt"
    closing = {"hook": "close", "kind": kind}
    spec = experiment(
        encoders={"c": closing, "last": {"log": str(log)}},
        stores={"d": closing, "session": {"hook": "session_close", "kind": kind}},
        rerankers={"e": closing},
    )
    spec["dataset"] = {"adapter": "raising", "path": "data", **closing}
    code, result, outcome, _ = run(folder, spec)
    assert (code, result.status) == (0, "success")
    assert "close" in log.read_text().splitlines()
    assert sum(f"it could not be closed: {TOLD[kind]}" in warning for warning in result.warnings) == 1
    assert outcome.stderr.count(f"could not be closed: {TOLD[kind]}") >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_whose_health_or_memory_is_not_told_is_measured(folder: Path, kind: str) -> None:
    health = {"hook": "health", "kind": kind, "after": 1}
    spec = experiment(stores={**traps(kind, "server_memory"), "health": health})
    for store in ("server_memory", "health"):
        spec["stores"][store]["adapter"] = "raising_server"
    code, result, outcome, _ = run(folder, spec)
    assert (code, result.status) == (0, "success")
    assert f"its server's memory is not known: {TOLD[kind]}" in outcome.stderr
    assert f"store-health: the state of its servers is not known: {TOLD[kind]}" in result.warnings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", ["constructor", "on", "finish", "close"])
def test_a_tracker_that_raises_never_fails_a_run(folder: Path, hook: str, kind: str) -> None:
    trackers = {"bad": {"adapter": "raising", "hook": hook, "kind": kind}, "good": {"adapter": "raising"}}
    code, result, _, _ = run(folder, experiment(trackers=trackers))
    assert (code, result.status) == (0, "success")
    bad, good = result.tracked
    assert any(TOLD[kind] in note for note in bad.notes)
    assert (good.sent, good.notes) == (1, [])
    assert f"trackers.bad: {TOLD[kind]}" in result.warnings


# -- the latency pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "MuteError", "SystemExit"])
def test_what_is_raised_in_the_latency_pass_makes_one_system_partial(folder: Path, kind: str) -> None:
    spec = experiment(
        encoders={"encode": {"hook": "encode", "kind": kind, "alone": True}},
        stores={
            "search": {"hook": "search", "kind": kind, "alone": True},
            "open": {"hook": "open", "kind": kind, "after": 1},
            "configure": {"hook": "configure", "kind": kind, "after": 1},
            "ends": {"hook": "session_close", "kind": kind, "after": 1},
        },
        rerankers={"score": {"hook": "score", "kind": kind, "alone": True}},
        latency={"samples": 6, "seconds": 5, "turn_seconds": 0.001},
    )
    code, result, _, made = run(folder, spec)
    assert (code, result.status) == (1, "partial")
    systems = small.by_name(result)
    for name in ("bm25", "dense", "store-ends"):
        assert systems[name].latency is not None and systems[name].status == "success", systems[name].error
    bad = ("encoder-encode", "store-search", "store-open", "store-configure", "reranker-score")
    for name in bad:
        assert systems[name].status == "partial"
        assert TOLD[kind] in (systems[name].error or "")
        assert systems[name].measures["nDCG@10"].mean is not None
    events = [json.loads(line) for line in (made / "events.jsonl").read_text().splitlines()]
    assert all(any(e.get("traceback") for e in events if e.get("about") == name) for name in bad)
    again = run(folder, spec)[1]
    assert small.by_name(again)["dense"].latency is not None  # measured with the others: rounds compare in one pass
    assert small.by_name(again)["store-search"].status == "partial"


@pytest.mark.parametrize("kind", ["KeyError", "PanicException", "BoundError"])
def test_what_is_raised_in_a_process_that_generates_load_makes_one_system_partial(folder: Path, kind: str) -> None:
    small.vectors(folder / "vectors", documents=20, queries=4)
    hooks = ("constructor", "open", "configure", "search", "session_close")
    stores = {hook: {"hook": hook, "kind": kind, "spared": os.getpid()} for hook in hooks}
    spec = small.spec(
        [{"name": name, "encoder": "given", "store": name} for name in ("fine", *hooks, "last")],
        dataset={"adapter": "vectors", "corpus": "vectors/corpus.npy", "queries": "vectors/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={
            name: {"adapter": "raising_server", "index": stores.get(name, {"log": "", "after": number})}
            for number, name in enumerate(("fine", *hooks, "last"))
        },
        measures=["ANN@10"],
        latency={"samples": 6, "seconds": 7, "workers": 2, "processes": 2},
    )
    code, result, _, _ = run(folder, spec)
    assert (code, result.status) == (1, "partial")
    systems = small.by_name(result)
    for name in ("fine", "last", "session_close"):
        assert systems[name].status == "success", systems[name].error
        assert systems[name].latency is not None and systems[name].latency.processes == 2
    for name in ("constructor", "open", "configure", "search"):
        assert systems[name].status == "partial"
        assert TOLD[kind] in (systems[name].error or "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_raised_while_rows_are_written_makes_one_system_partial(folder: Path, kind: str) -> None:
    writing = {"name": "writing", "samples": 6, "seconds": 5, "ingest": {"rows_per_second": 400, "share": 0.2}}
    spec = experiment(
        stores={
            **traps(kind, "insert", "settle", "drop"),
            "build": {"hook": "build", "kind": kind, "after": 1},
        },
        latency=[{"samples": 6, "seconds": 5, "turn_seconds": 0.001}, writing],
    )
    spec["systems"] = [system for system in spec["systems"] if system["name"] != "bm25"]
    code, result, outcome, _ = run(folder, spec)
    assert (code, result.status) == (1, "partial")
    systems = small.by_name(result)
    for name in ("store-insert", "store-settle", "store-build"):
        assert systems[name].status == "partial"
        assert TOLD[kind] in (systems[name].error or "")
        assert systems[name].latency is not None
    for name in ("dense", "store-drop"):
        assert systems[name].status == "success", systems[name].error
        assert len(systems[name].loads) == 2
    assert f"could not be dropped: {TOLD[kind]}" in outcome.stderr
    assert not list((folder / "cache").glob(".scratch-*"))


# -- other commands ------------------------------------------------------------------------------------------------


def test_a_dry_run_and_a_clean_up_say_what_was_raised(folder: Path) -> None:
    spec = experiment(encoders=traps("KeyError", "encode"), stores=traps("KeyError", "build", "drop"))
    path = small.write(folder, spec)
    planned = small.bench("run", path, "--dry-run", "--cache", folder / "cache")
    assert planned.exit_code == 0, planned.stderr
    assert planned.stdout.count("KeyError: 'planted'") >= 2
    run(folder, spec)
    cleaned = small.bench("clean", "--cache", folder / "cache", "--all", "--yes")
    assert cleaned.exit_code == 1
    assert "KeyError: 'planted'" in cleaned.stderr and "Traceback" not in cleaned.stderr
    assert "1 index could not be dropped" in cleaned.stdout


@pytest.mark.parametrize("hook", ["encode", "prepare"])
def test_a_message_that_no_file_can_hold_ends_one_system(folder: Path, hook: str) -> None:
    """Half of a surrogate pair, which is no Unicode text, and a control character that a terminal would obey."""
    trap = {"role": {"hook": hook, "kind": "UnwritableError"}}
    exit_code, result, outcome, made = run(
        folder, experiment(encoders=trap if hook == "encode" else None, rerankers=trap if hook == "prepare" else None)
    )
    assert exit_code == 1
    others_are_measured(result)
    assert result.systems[-1].error == r"ValueError: planted \ud83d \x1b[31m"
    assert r"planted \ud83d" in outcome.stderr
    events = [json.loads(line) for line in (made / "events.jsonl").read_text("utf-8").splitlines()]
    assert any(r"planted \ud83d" in (event.get("traceback") or "") for event in events)


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_an_identity_that_raises_later_is_a_fault_or_ends_one_system(folder: Path, after: int) -> None:
    """Whichever of the times that it is asked comes first: one before the start is a fault, one after ends a system."""
    trap = {"late": {"hook": "identity", "kind": "SystemExit", "after": after}}
    spec = experiment(encoders=trap, rerankers=trap)
    places = ("--output", folder / "results", "--cache", folder / "cache", "--json")
    outcome = small.bench("run", small.write(folder, spec), *places)
    assert outcome.exit_code in (0, 1, 2)  # not the 0 or 3 that SystemExit carries along
    if outcome.exit_code == 2:
        assert "late: SystemExit: planted" in outcome.stderr
        assert not (folder / "results").exists()
    else:
        others_are_measured(read_result(Path(json.loads(outcome.stdout)["result"])))


def test_endless_recursion_shows_a_screen_of_frames(folder: Path) -> None:
    _, result, outcome, _ = run(folder, experiment(encoders={"deep": {"hook": "encode", "kind": "RecursionError"}}))
    others_are_measured(result)
    assert len([line for line in outcome.stderr.splitlines() if line.startswith("  ")]) < 30
    assert "frames between" in outcome.stderr
