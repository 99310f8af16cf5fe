"""A tab's looks at a run, without a browser: python -P -m tests.ui.watched FOLDER prints, as JSON, how many answers
differed, how many parts of the page its session held after each, and of how many tabs the page keeps a state. A process
of its own, because Gradio leaves loops open."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.ui.app import application
from bench.ui.desk import Desk
from bench.ui.guard import Door
from bench.ui.runs.files import EVENTS, LOG
from tests.ui.test_runs import a_run, event

_LOOKS = 12


def main(folder: Path) -> None:
    """Each look finds news in one part or another; further runs are asked for before two of them."""
    from starlette.testclient import TestClient

    desk = Desk.at(folder)
    run = a_run(desk, started={"at": "x", "pid": 1}, ended={"at": "x", "exit": 1})
    inner = application(desk, Door("127.0.0.1", 1)).inner
    gradio: Any = next(app for route in inner.routes if hasattr(app := getattr(route, "app", None), "state_holder"))
    kept, answers = [], set()
    with TestClient(inner) as browser:
        looks = next(each for each in browser.get("/config").json()["dependencies"] if each["targets"][0][1] == "tick")
        asked = {"data": ["", None], "fn_index": looks["id"], "trigger_id": looks["targets"][0][0], "session_hash": "s"}
        for number in range(_LOOKS):
            (run.folder / LOG).write_text(f"line {number // 2}")
            with (run.folder / EVENTS).open("a") as file:
                file.write(event("Warned", about="a", message=f"warning {number // 3}"))
            if number in (4, 5):
                a_run(desk, f"further {number}")
            answers.add(browser.post("/gradio_api/run/predict", json=asked).raise_for_status().text)
            kept.append(len(gradio.state_holder.session_data["s"].blocks_config.blocks))
    print(json.dumps({"answers": len(answers), "kept": kept, "tabs": gradio.state_holder.capacity}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
