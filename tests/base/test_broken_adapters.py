"""The conformance suite is tried itself: on adapters that are right, and on adapters that are wrong in one way each."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

THIRD_PARTY = Path(__file__).resolve().parents[1] / "third_party"
RIGHT = ("TestWhole", "TestEncoder", "TestReranker")
BROKEN = {
    name: module
    for module in ("broken_stores", "broken_models")
    for name in re.findall(r"^class (Test\w+)\(", (THIRD_PARTY / f"{module}.py").read_text(encoding="utf-8"), re.M)
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """By class and law: the message of a failure, None for a law that is kept. Skipped laws are left out."""
    sys.path.insert(0, str(THIRD_PARTY))
    try:
        modules = {module: importlib.import_module(module) for module in set(BROKEN.values())}
    finally:
        sys.path.remove(str(THIRD_PARTY))
    laws = {name: getattr(modules[module], name).law for name, module in BROKEN.items()}
    asked = [f"{THIRD_PARTY / BROKEN[name]}.py::{name}" + (f"::{law}" if law else "") for name, law in laws.items()]
    folder = tmp_path_factory.mktemp("broken")
    report, settings = folder / "report.xml", folder / "pytest.ini"
    settings.write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:asyncio",
        f"--junitxml={report}",
    ]
    ran = subprocess.run(
        [*command, f"--rootdir={folder}", "-c", str(settings), *asked],
        cwd=folder, env={"PYTHONPATH": f"{THIRD_PARTY}:{THIRD_PARTY.parent.parent}", "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.is_file(), ran.stdout + ran.stderr
    found: dict[str, dict[str, str | None]] = {name: {} for name in BROKEN}
    for case in ElementTree.parse(report).iter("testcase"):
        failure = case.find("failure")
        assert case.find("error") is None, ElementTree.tostring(case, encoding="unicode")
        if case.find("skipped") is None:
            told = None if failure is None else failure.get("message", "")
            found[case.get("classname", "").rpartition(".")[2]][case.get("name", "")] = told
    return found


@pytest.mark.parametrize(("name", "laws"), list(zip(RIGHT, (30, 8, 8), strict=True)))
def test_an_adapter_that_is_right_keeps_every_law(
    name: str, laws: int, outcomes: dict[str, dict[str, str | None]]
) -> None:
    kept = outcomes[name]
    assert len(kept) >= laws
    assert {law: told for law, told in kept.items() if told is not None} == {}


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in RIGHT])
def test_an_adapter_that_is_wrong_fails_by_the_name_of_its_law(
    name: str, outcomes: dict[str, dict[str, str | None]]
) -> None:
    (told,) = outcomes[name].values()
    assert told is not None, f"{name} keeps {next(iter(outcomes[name]))}"
    assert re.match(r"AssertionError|Failed|assert |adapters\.base\.errors\.", told), told
