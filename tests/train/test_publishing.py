"""Laws of publishing: what arrives on a hub is the folder, whole, under the token of the hub's own variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.base import AdapterUnavailable
from adapters.base.offline import OFFLINE_VARIABLES
from adapters.hub import publish as publish_folder
from bench.train.kept import KeptModel
from tests.conftest import REPOSITORY
from tests.train.model_hub import ModelHub
from tests.train.stored import keep, provenance

TOKEN = "hf_0123456789abcdef"


@pytest.fixture
def hub() -> Iterator[ModelHub]:
    with ModelHub(TOKEN) as started:
        yield started


@pytest.fixture
def kept(tmp_path: Path) -> KeptModel:
    return keep(tmp_path / "cache", provenance(), extra={"model.safetensors": b"weights" * 100})


# Commands in a process of their own, because the hub's package reads whether it is offline when it is imported; they
# share one, because that takes seconds.
PROGRAM = """
import json, os, sys
from tests import small
for words, variables in json.loads(sys.argv[1]):
    os.environ.pop("HF_TOKEN", None)
    os.environ.update(variables)
    done = small.bench("models", *words)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def publish(tmp_path: Path, *calls: tuple[Sequence[str], Mapping[str, str]], **variables: str) -> list[list[Any]]:
    """Exit status, stdout and stderr of each export. calls: further words of the command, and variables."""
    words = ("export", "tuned", "--push", "me/tuned", "--yes", "--cache", str(tmp_path / "cache"))
    asked = json.dumps([([*words, *more], given) for more, given in calls])
    environment = {name: value for name, value in os.environ.items() if name not in (*OFFLINE_VARIABLES, "HF_TOKEN")}
    environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **variables}
    command = [sys.executable, "-c", PROGRAM, asked]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_published_model_arrives_whole_in_a_private_repository(
    hub: ModelHub, kept: KeptModel, tmp_path: Path
) -> None:
    (kept.folder / ".DS_Store").write_text("x")
    token = {"HF_TOKEN": TOKEN}
    (code, out, told), public = publish(tmp_path, ((), token), (("--public",), token), HF_ENDPOINT=hub.address)
    assert (code, out, told) == (0, f"{hub.address}/me/tuned/commit/{'1' * 40}\n", "")
    there = {p.relative_to(kept.folder).as_posix(): p.read_bytes() for p in kept.folder.rglob("*") if p.is_file()}
    del there[".DS_Store"]
    assert hub.files == there
    assert hub.private == [True, False] and hub.tokens - {None} == {f"Bearer {TOKEN}"}
    assert public[0] == 0


def test_what_a_hub_refuses_is_told_in_one_line(hub: ModelHub, kept: KeptModel, tmp_path: Path) -> None:
    told = publish(
        tmp_path,
        ((), {}),
        ((), {"HF_TOKEN": "hf_wrong"}),
        ((), {"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"}),
        (("--push", "not an id"), {"HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.address}),
        HF_ENDPOINT=hub.address,
    )
    causes = [
        "needs a token that may write. Set HF_TOKEN.",
        f"The hub at {hub.address} refused me/tuned: ",
        "me/tuned could not be sent to the hub at http://127.0.0.1:9: ",
        "'not an id' is no id of a repository",
    ]
    for (code, out, error), cause in zip(told, causes, strict=True):
        assert (code, out) == (2, "") and cause in error and error.count("\n") == 1, error
    assert hub.files == {}


def test_nothing_is_sent_while_the_hub_is_switched_off(hub: ModelHub, kept: KeptModel, tmp_path: Path) -> None:
    with pytest.raises(AdapterUnavailable, match="HF_HUB_OFFLINE"):  # as in every test
        publish_folder(kept.folder, "me/tuned", private=True)
