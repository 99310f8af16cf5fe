"""Ten browsers look at one run: do they see the same, does it run once, and does the page's memory stay flat?

    python -P -m tests.perf.crowd --minutes 60

All press Run, and watch. Each minute a line says what they see, how many runs there are, and how much memory the
page's process takes. The run is as long as the watch; it embeds by an encoder that sleeps.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import small
from tests.conftest import CHROMIUM
from tests.ui.browsing import WIDE, button, fill, opened, sees, text
from tests.ui.serving import page

BROWSERS = 10
A_SECOND = 20  # texts that the encoder embeds
GROWTH = 1.1  # of the memory from a quarter of the way to the end, at most
EXPERIMENT = """\
experiment: long
dataset: {adapter: beir, path: data}
encoders: {words: {adapter: words, seconds_per_text: %s}}
systems: [{name: words, encoder: words}]
latency: false
"""
_DONE = re.compile(r"embedding with words[^:]*: ([\d,]+) of")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--minutes", type=float, default=2.0)
    asked.add_argument("--browsers", type=int, default=BROWSERS)
    given = asked.parse_args([] if __name__ != "__main__" else None)
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as folder, small.installed(Path(site)):
        home = Path(folder) / "home"
        write_collection(home / "data", int(given.minutes * 60 * A_SECOND))
        with page(home, "--cache", str(Path(folder) / "cache")) as (address, process):
            faults = watched(address.rstrip("/"), home, process.pid, given.minutes, given.browsers)
    if faults:
        raise SystemExit("\n".join(faults))


def write_collection(folder: Path, documents: int) -> None:
    """A collection that takes as long to embed as is watched, and some more."""
    folder.mkdir(parents=True)
    rows = [{"_id": f"d{i}", "text": f"the violin number {i}"} for i in range(documents + 60 * A_SECOND)]
    small.write_jsonl(folder / "corpus.jsonl", rows)
    small.write_jsonl(folder / "queries.jsonl", [{"_id": "q0", "text": "violin number 0"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("q0\td0\t1\n", encoding="utf-8")


def watched(address: str, home: Path, process: int, minutes: float, count: int) -> list[str]:
    """Open the browsers, watch, and print. Returns what was not as it must be."""
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        complaints: list[str] = []
        tabs = [opened(chromium.new_context(viewport=WIDE), address, complaints) for _ in range(count)]
        for tab in tabs:
            text(tab).fill(EXPERIMENT % (1 / A_SECOND))
            fill(tab, "File Where it is saved", "long.yaml")
        for tab in tabs:
            button(tab, "Run").click()
        for tab in tabs:
            sees(tab, "embedding with words")
        sizes: list[int] = []
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            for _ in range(30):  # the events of tabs are only heard while Playwright waits
                tabs[0].wait_for_timeout(min(2000, max(1, 1000 * (end - time.monotonic()))))
            sizes.append(memory_of(process))
            faults += told(tabs, len(list((home / ".bench-ui" / "runs").iterdir())), sizes)
        faults += [f"the browser complained: {each}" for each in dict.fromkeys(complaints)]
        button(tabs[0], "Cancel").click()
        sees(tabs[-1], "cancelled: it was cut off")
        chromium.close()
    warm = sizes[len(sizes) // 4]
    print(f"memory: {warm / 1e6:,.0f} MB after a quarter of the time, {sizes[-1] / 1e6:,.0f} MB at the end")
    return [*faults, *([f"memory grew {sizes[-1] / warm:.2f} times"] if sizes[-1] > GROWTH * warm else [])]


def told(tabs: list[Any], runs: int, sizes: list[int]) -> list[str]:
    """Print a line on a minute. Returns what was not as it must be."""
    seen = [_DONE.search(tab.locator(".progress").filter(visible=True).first.inner_text()) for tab in tabs]
    done = [int(each.group(1).replace(",", "")) for each in seen if each is not None]
    span = f"{min(done):,} to {max(done):,}" if done else "nothing"
    print(
        f"minute {len(sizes):>3}: {len(done)} of {len(tabs)} tabs see progress, {span} texts; runs: {runs}; "
        f"memory of the page {sizes[-1] / 1e6:,.0f} MB",
        flush=True,
    )
    return [
        *([f"minute {len(sizes)}: some tabs see no progress"] if len(done) < len(tabs) else []),
        # Progress comes by segments, and one may end while the tabs are asked.
        *([f"minute {len(sizes)}: tabs see {span}"] if len(set(done)) > 2 else []),
        *([f"minute {len(sizes)}: there are {runs} runs"] if runs != 1 else []),
    ]


def memory_of(process: int) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found.group(1))


if __name__ == "__main__":
    main()
