"""The screen: the answer before the table, no line too long, no two names alike, and nothing that matters left out.

`python -P -m tests.report.test_screen` writes the golden files anew after a change that was meant.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Sequence
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.answer import answer, figures_of
from bench.report.layout import common_part, shortened, width, wrapped
from bench.report.remarks import Remark, grouped
from bench.report.screen import plain, screen
from bench.results.model import Result, read_result
from tests import small
from tests.conftest import REPOSITORY
from tests.report.test_table import against, everything, few, index, latency, measures, stage, system

SCREENS = REPOSITORY / "tests/golden/screens"
KEPT = sorted((REPOSITORY / "tests/golden/results").glob("*.json"))
REAL = sorted(path.parent for path in SCREENS.glob("*/result.json"))
WIDTHS = (80, 120)
NAMES = st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=20, unique=True)


def shown(result: Result, columns: int | None = 80, place: Path | None = None, folder: str = "results/docs/x") -> str:
    figures = None if place is None else figures_of(place, result)
    return plain(screen(result, answer(result, figures), columns, folder=folder))


def rows(text: str) -> list[list[str]]:
    """The cells of the table of systems, its heading first."""
    lines = iter(text.split("\n\n")[1].splitlines())
    table = list(dropwhile(lambda line: not line.startswith("system"), lines))
    return [re.split(r"  +", line) for line in takewhile(lambda line: "  " in line, table)]


def goldens() -> dict[Path, str]:
    """What each golden file should hold."""
    found = {SCREENS / f"everything-{columns}.txt": shown(everything(), columns) for columns in WIDTHS}
    for place in REAL:
        for columns in WIDTHS:
            text = shown(read_result(place), columns, place, f"results/{place.name}/20261126T173334Z-dd854c412794")
            found[SCREENS / f"{place.name}-{columns}.txt"] = text
    return found


def test_the_screens_are_the_golden_ones() -> None:
    for path, text in goldens().items():
        assert text == path.read_text(encoding="utf-8"), (
            f"{path.name}: if the change was meant: python -P -m tests.report.test_screen"
        )


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("place", REAL, ids=lambda place: place.name)
def test_a_real_result_fits_a_screen_with_its_answer_first(place: Path, columns: int) -> None:
    lines = (SCREENS / f"{place.name}-{columns}.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 45
    assert max(map(width, lines)) <= columns
    assert " is best: " in lines[0] or " is the fastest setting " in " ".join(lines[:2])
    assert next(number for number, line in enumerate(lines) if line.startswith("system ")) <= 10


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_no_line_is_wider_than_the_terminal(path: Path, columns: int) -> None:
    lines = shown(read_result(path), columns, folder="r").splitlines()
    assert [line for line in lines if width(line) > columns] == []


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_names_of_any_length_and_script_fit_and_stay_unique(columns: int) -> None:
    names = [f"{'検索システム' * 9}{n}号" for n in range(4)] + [f"{'very-long-' * 9}{n}-end" for n in range(4)]
    names += ["a\x1b[31mb", "a\nb", "🙂" * 40, "é" * 90]
    result = few(systems=[system(name, measures(0.5 + n / 100, 0.7, 0.5)) for n, name in enumerate(names)])
    text = shown(result, columns)
    assert [line for line in text.splitlines() if width(line) > columns] == []
    assert "\x1b" not in text
    assert len({row[0] for row in rows(text)[1:]}) == len(rows(text)[1:]) == len(names)


@given(NAMES, st.integers(8, 60))
def test_shortened_names_fit_and_are_never_alike(names: list[str], columns: int) -> None:
    short = shortened(names, columns)
    assert len(set(short.values())) == len(names)
    assert all(width(text) <= columns for text in short.values())
    assert all(short[name] == name for name in names if width(name) <= columns)


@given(st.text(), st.integers(10, 80))
def test_wrapping_loses_no_letter(text: str, columns: int) -> None:
    lines = wrapped(text, columns, first="! ", rest="  ")
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(line[2:] for line in lines).split()) == "".join(text.split())


def test_what_all_names_begin_with_is_told_once() -> None:
    assert common_part(["given+a", "given+b"]) == "given+"
    assert common_part(["given+a", "other+b"]) == common_part(["given+"]) == common_part(["a+b", "a+"]) == ""
    names = [f"a-long-encoder-name+store-{n}" for n in range(3)]
    text = shown(few(systems=[system(name, measures(0.5, 0.7, 0.5)) for name in names]))
    assert "· each name begins with a-long-encoder-name+" in text
    assert text.count("a-long-encoder-name") == 1


def sweep(count: int) -> list[dict[str, Any]]:
    """Settings of three builds; a wider search finds more."""
    systems = []
    for n in range(count):
        build, wide = f"graph-{n % 3}", n // 3 + 1
        pipeline = {"store": {"name": build, "adapter": "a"}, "query": {"wide": wide}}
        name = f"minilm+{build}(wide={wide})"
        systems.append(system(name, measures(0.3 + n / 1000, 0.5, 0.4), pipeline=pipeline, index=index("graph")))
    return systems


def test_of_many_systems_a_screen_shows_the_best_of_each_build_and_says_how_many_there_are_more() -> None:
    text = shown(few(systems=sweep(60)))
    assert [row[:2] for row in rows(text)[1:]] == [["graph-2", "20"], ["graph-1", "20"], ["graph-0", "20"]]
    assert "57 more systems not shown" in text


def test_swept_options_are_columns() -> None:
    text = shown(few(systems=sweep(6)))
    assert rows(text)[0][:2] == ["system", "wide"]


def test_of_very_many_builds_a_screen_shows_fifteen_with_the_baseline_and_the_best() -> None:
    systems = [system(f"s{n:02}", measures(0.3 + n / 1000, 0.5, 0.4)) for n in range(60)]
    text = shown(few(baseline="s00", systems=systems))
    assert [row[0] for row in rows(text)[1:]] == [*(f"s{n}" for n in range(59, 45, -1)), "s00"]
    assert "45 more systems not shown" in text


def test_piped_output_has_every_system_column_and_remark() -> None:
    systems = sweep(60)
    text = shown(few(systems=systems), None)
    assert len(rows(text)[1:]) == 60
    assert "not shown" not in text and "left out" not in text
    full = shown(everything(), None)
    for sentence in ("computed: 862 texts embedded", "build peak +n", "intervals cover the sampling of queries"):
        assert sentence in full


def test_forty_systems_that_share_a_cause_share_a_sentence() -> None:
    systems = [system(f"s{n}", {}, status="error", error=f"row {n} holds NaN.") for n in range(40)]
    text = shown(few(systems=systems))
    assert "! s0, s1, s2 and 37 more: error: row 0 to 39 holds NaN." in text
    assert text.count("holds NaN") == 1


def test_remarks_that_differ_in_more_than_numbers_stay_apart() -> None:
    def told(*texts: str) -> list[str]:
        return [str(one) for one in grouped([Remark("!", t, f"s{n}") for n, t in enumerate(texts)], " and ".join)]

    one, more = "about 1 more query would decide", "about 1,200 more queries would decide"
    assert told(one, more) == ["! s0 and s1: about 1 to 1,200 more queries would decide"]
    assert told("no answer", "no route") == ["! s0: no answer", "! s1: no route"]
    assert told("10.0.0.1 is away", "10.0.0.2 is away") == ["! s0: 10.0.0.1 is away", "! s1: 10.0.0.2 is away"]
    assert told("it failed", "it failed") == ["! s0 and s1: it failed"]


def test_what_several_models_share_is_said_once() -> None:
    result = read_result(REPOSITORY / "tests/golden/results/trained.json")
    [model, *_] = result.models
    copies = model.near_copies.model_copy(update={"count": 60})
    models = [model.model_copy(update={"name": name, "near_copies": copies}) for name in ("one", "two", "three")]
    text = " ".join(shown(result.model_copy(update={"models": models}), 200).split())
    assert "! models.one, models.two and models.three: training queries that are nearly" in text
    assert text.count("training queries that are nearly") == 1


def test_a_long_remark_is_cut_on_a_screen_and_whole_in_a_file() -> None:
    result = few(systems=[system("a", {}, status="error", error="wrong " * 200)])
    lines = [line for line in shown(result).splitlines() if "wrong" in line]
    assert lines[-1].endswith("…") and shown(result, None).count("wrong") >= 200


def test_a_table_that_leaves_out_columns_names_them() -> None:
    text = shown(everything(), 80)
    assert "columns left out: " in text and "against bm25" in text.partition("columns left out: ")[2]
    assert "columns left out" not in shown(everything(), 250)


def test_a_mark_in_the_table_is_explained() -> None:
    times = latency(stage(1.2, 3.4), own=stage(1.2, 3.4), rounds=10, disturbed_rounds=2)
    text = shown(few(systems=[system("a", measures(0.5, 0.7, 0.5), latency=times)]))
    assert "1.20*" in text and "· * something else on this machine disturbed some of its rounds" in text


def test_a_model_of_one_seed_is_marked_in_few_words_on_a_screen() -> None:
    tuned = system("tuned", measures(0.6, 0.8, 0.6), against_baseline=against(0.04, 0.02, "better"), seeds=[1],
                   models={"encoders.tuned": "tuned"})  # fmt: skip
    result = few(baseline="bm25", systems=[*(s.model_dump() for s in few().systems), tuned])
    assert "better (1 seed)" in shown(result, 120)
    assert "better (this model; training again not tried)" in shown(result, None)


# -- the command -------------------------------------------------------------------------------------------------


def show(*words: object) -> Sequence[str]:
    outcome = small.bench("show", *words)
    assert outcome.exit_code == 0, outcome.stderr
    lines: list[str] = outcome.stdout.splitlines()
    return lines


def test_a_result_is_shown_again_with_its_answer_in_full_and_as_json() -> None:
    place = SCREENS / "quickstart"
    assert show(place)[0].startswith("hybrid is best: .640 nDCG@10")
    assert any(line.startswith("what the indexes take") for line in show(place, "--full"))
    assert '"proposed": "hybrid",' in "".join(show(place, "--json"))
    assert show(place / "result.json") == show(place)


def test_a_result_that_is_not_there_is_refused() -> None:
    assert small.bench("show", SCREENS / "none").exit_code == 2
    assert small.bench("show", SCREENS / "quickstart", "--full", "--json").exit_code == 2


@pytest.mark.parametrize(("variables", "painted"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_shows_colour_unless_it_has_none_or_nobody_wants_it(
    variables: dict[str, str], painted: bool
) -> None:
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(REPOSITORY), **variables}
    unset = {"NO_COLOR", "COLUMNS", "LINES"} - set(variables)
    environment = {name: value for name, value in environment.items() if name not in unset}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 60))
    command = [sys.executable, "-m", "bench", "show", str(SCREENS / "quickstart")]
    subprocess.run(command, stdout=theirs, env=environment, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\x1b[1m" in text and "\x1b[32mbetter" in text) == painted == ("\x1b" in text)
    lines = re.sub(r"\x1b\[\d+m", "", text).splitlines()
    assert max(map(width, lines[:12])) <= 60 and lines[0].startswith("hybrid is best: ")


def main() -> None:
    for path, text in goldens().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
