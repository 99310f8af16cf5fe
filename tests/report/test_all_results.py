"""Laws of the list of all results, and of the table of all their systems."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.report.all_results import Listed, all_results, as_csv, as_values, in_order, listed, rows_of
from bench.results.folders import results_below
from tests import small

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "results"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results as runs leave them, with one that is no result and one whose texts are a stranger's."""
    home = tmp_path_factory.mktemp("all")
    for name in ("basis", "billed", "trained", "timed", "statuses"):
        folder = home / "results" / name / f"{name}-1"
        folder.mkdir(parents=True)
        shutil.copy(GOLDEN / f"{name}.json", folder / "result.json")
    broken = home / "results" / "<b>broken</b>\n" / "x"
    broken.mkdir(parents=True)
    (broken / "result.json").write_text('{"format": 1')
    hostile = json.loads((GOLDEN / "basis.json").read_text())
    hostile["systems"][0]["name"] = '=HYPERLINK("http://example.org")'
    hostile["systems"][1]["pipeline"]["store"]["name"] = "  @SUM(1)"
    hostile["dataset"]["name"] = "<script>alert(1)</script>\x1b[31m"
    (home / "results" / "hostile" / "1").mkdir(parents=True)
    (home / "results" / "hostile" / "1" / "result.json").write_text(json.dumps(hostile))
    return home


@pytest.fixture(scope="module")
def found(home: Path) -> list[Listed]:
    return all_results([home])


def table(found: list[Listed]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(found))))


def test_every_result_below_a_folder_is_listed_once(home: Path, found: list[Listed]) -> None:
    assert len(found) == 7
    assert len(all_results([home, home / "results", home / "results" / "basis" / "basis-1"])) == 7
    assert [each.started for each in found[:-1]] == sorted((each.started for each in found[:-1]), reverse=True)


def test_links_caches_hidden_folders_and_what_lies_in_a_result_are_passed_over(home: Path, tmp_path: Path) -> None:
    result = home / "results" / "basis" / "basis-1"
    for name in ("cache", ".hidden", "results/one/inner"):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(result / "result.json", tmp_path / name / "result.json")
    (tmp_path / "cache" / "CACHEDIR.TAG").touch()
    (tmp_path / "cache" / "result.json").rename(tmp_path / "cache" / "kept.json")
    shutil.copytree(result, tmp_path / "cache" / "inner")
    shutil.copy(result / "result.json", tmp_path / "results" / "one" / "result.json")
    (tmp_path / "link").symlink_to(home, target_is_directory=True)
    assert list(results_below(tmp_path)) == [tmp_path / "results" / "one"]


def test_a_result_that_cannot_be_read_is_listed_with_the_cause(found: list[Listed]) -> None:
    [broken] = [each for each in found if each.result is None]
    assert broken.status == "unreadable" and "cut short" in (broken.fault or "")
    [row] = [row for row in table(found) if row["run_status"] == "unreadable"]
    assert row["system"] == "" and "cut short" in row["error"]


def test_names_of_a_stranger_stay_on_their_line_and_in_their_cell(found: list[Listed]) -> None:
    cells = [cell for row in rows_of(found) for cell in row]
    assert not any("\n" in cell or "\x1b" in cell for cell in cells)
    texts = [value for row in table(found) for value in row.values()]
    assert '\'=HYPERLINK("http://example.org")' in texts and "'  @SUM(1)" in texts
    assert not any(text.lstrip().startswith(("=", "@")) for text in texts)


def test_a_table_has_a_row_for_each_system_with_its_options_and_figures(found: list[Listed]) -> None:
    golden = json.loads((GOLDEN / "billed.json").read_text())
    rows = [row for row in table(found) if "/billed/" in row["result"]]
    assert [row["system"] for row in rows] == [system["name"] for system in golden["systems"]]
    for row, system in zip(rows, golden["systems"], strict=True):
        value = system["measures"][golden["primary"]]
        assert row[golden["primary"]] == ("" if value["mean"] is None else repr(value["mean"]))
        encoder = (system["pipeline"]["encoder"] or {}).get("query") or {}
        assert row["encoder.adapter"] == encoder.get("adapter", "")


def test_what_was_not_measured_is_empty_and_never_0(found: list[Listed]) -> None:
    rows = [row for row in table(found) if "/basis/" in row["result"]]
    assert {row["total_p50_ms"] for row in rows} == {""} == {row["usd_per_1000_queries"] for row in rows}


def test_a_list_is_sorted_and_searched(found: list[Listed]) -> None:
    by_measure = [each.highest[0] for each in in_order(found, "measure") if each.highest is not None]
    assert by_measure == sorted(by_measure, reverse=True)
    assert in_order(found, "measure")[-1].result is None
    assert {each.folder.parent.name for each in found if each.holds("PRO small")} == {"billed"}


def test_the_command_lists_writes_and_refuses(home: Path, tmp_path: Path) -> None:
    told = small.bench("results", str(home), "--find", "pro")
    assert told.exit_code == 0 and "billed" in told.stdout and "trained" not in told.stdout
    written = small.bench("results", str(home), "--csv", str(tmp_path / "all.csv"))
    assert written.exit_code == 0 and "7 results" in written.stdout
    assert (tmp_path / "all.csv").read_text() == as_csv(all_results([home]))
    values: Any = json.loads(small.bench("results", str(home), "--json").stdout)
    assert [each["fault"] is None for each in values["results"]].count(False) == 1
    for wrong in (["--sort", "size"], ["--csv", "-", "--json"], [str(tmp_path / "absent")]):
        refused = small.bench("results", *([] if wrong[0].startswith("/") else [str(home)]), *wrong)
        assert refused.exit_code == 2 and "Traceback" not in refused.output


def test_a_list_and_a_table_of_results_say_synthetic(tmp_path: Path) -> None:
    for name in ("synthetic", "basis"):
        (tmp_path / name).mkdir()
        shutil.copy(GOLDEN / f"{name}.json", tmp_path / name / "result.json")
    found = all_results([tmp_path])
    assert {row["queries"] for row in table(found)} == {"synthetic", "given"}
    assert {bool(each["synthetic"]) for each in as_values(found)} == {True, False}
    assert "synthetic queries" in listed(found)
