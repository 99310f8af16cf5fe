"""Every command on every page runs, and every command, option and file that the prose names is there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from bench.cli import SECTIONS
from tests import small
from tests.conftest import REPOSITORY
from tests.pages import blocks as pages
from tests.pages.reader import CONFIGURED, MAKE, Reader
from tests.standin import StandIn

_SPAN = r"(?:`|^)(?:[A-Z_]+=\S+ )*"  # how a command begins in a page's prose


def lines() -> list[tuple[str, str]]:
    """Page and line of every command, in the order in which a reader types them."""
    found = []
    for block in pages.blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = line.partition("  #")[0].strip()
            if command and not command.startswith("#"):
                found.append((block.page, command))
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory, minilm: Path, static_model: Path) -> dict[str, Reader]:
    """Each page's reader, who keeps what the page's earlier commands left."""
    return {page: Reader(tmp_path_factory.mktemp("reader"), static_model) for page, _ in lines()}


@pytest.mark.parametrize(("page", "line"), lines())
def test_every_command_of_every_page_runs(readers: dict[str, Reader], standin: StandIn, page: str, line: str) -> None:
    readers[page].type(line)


def test_a_block_without_a_known_language_is_a_fault_of_the_page() -> None:
    strange = [
        f"{block.where}: {block.language!r}" for block in pages.blocks() if block.language not in pages.LANGUAGES
    ]
    assert strange == []


def test_every_command_that_a_page_names_is_one() -> None:
    text = "\n".join(pages.text_of(page) for page in pages.pages())
    named = set(re.findall(rf"{_SPAN}bench ([a-z][a-z-]+)", text, re.MULTILINE))
    assert {"run", "init", "doctor"} <= named
    for name in sorted(named):
        assert help_text(name), name


def test_the_readme_names_every_command() -> None:
    readme = pages.text_of(REPOSITORY / "README.md")
    assert [name for names in SECTIONS.values() for name in names if f"`bench {name}" not in readme] == []


@cache
def help_text(*names: str) -> str:
    """The help of a command, asked for once."""
    outcome = small.bench(*names, "--help")
    assert outcome.exit_code == 0, names
    return outcome.stdout


def help_of(name: str, rest: Sequence[str]) -> str:
    """The help of a command, or of the one of a group that the words behind its name begin with."""
    told = help_text(name)
    group = rest[:1] and re.search(rf"^  {re.escape(rest[0])} ", told.partition("Commands:")[2], re.MULTILINE)
    return help_text(name, rest[0]) if group else told


def test_every_option_that_a_page_names_is_one() -> None:
    for page in pages.pages():
        for name, rest in re.findall(r"(?:`|^)bench ([a-z][a-z-]+)([^`\n]*)", pages.text_of(page), re.MULTILINE):
            told = help_of(name, rest.split())
            for option in re.findall(r"(?<=\s)--[a-z-]+", rest):
                assert option in told, f"{page.name}: bench {name} {option}"


def test_every_make_target_that_a_page_names_is_one() -> None:
    rules = "\n".join(p.read_text() for p in (REPOSITORY / "Makefile", *REPOSITORY.glob("*.mk")))
    targets = {t for line in re.findall(r"^([a-z][a-z -]*):", rules, re.MULTILINE) for t in line.split()}
    for page in pages.pages():
        named = set(re.findall(rf"{_SPAN}make ([a-z][a-z-]+)`", pages.text_of(page), re.MULTILINE))
        assert named <= targets, (page.name, named - targets)


def test_every_file_that_a_page_names_is_there() -> None:
    for page in pages.pages():
        text = pages.text_of(page)
        named = {REPOSITORY / name for name in CONFIGURED.findall(text)}
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", pages.prose(page))
        named |= {page.parent / link for link in links}
        written = re.findall(r"`((?:bench|adapters|tests|configs|docs)/[\w./-]+)`", text)
        named |= {REPOSITORY / name for name in written if "<" not in name}
        assert [str(path) for path in sorted(named) if not path.exists()] == [], page.name


def test_every_link_to_a_section_leads_to_one() -> None:
    for page in pages.pages():
        for link, section in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", pages.prose(page)):
            target = page.parent / link if link else page
            headings = re.findall(r"^#+ (.*)$", pages.prose(target), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert section in anchors, f"{page.name}: {link}#{section}"


def test_what_a_target_of_make_does_is_held_to_by_a_test_that_is_there() -> None:
    for target, test in MAKE.items():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8"), f"make {target}: {test}"


def test_make_runs_the_tests_of_this_suite() -> None:
    """Whoever reads this started them; the recipe names the tools that judge them."""
    done = subprocess.run(["make", "--dry-run", "test"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert all(tool in done.stdout for tool in ("ruff check", "ruff format --check", "mypy", "pytest"))


def test_the_readme_is_short() -> None:
    assert len(pages.text_of(REPOSITORY / "README.md").splitlines()) <= 200
