"""Sends a parcel to MLflow and tells, one JSON object a line, what has arrived. Run as a process of its own.

Reads the parcel on stdin; where to send it stands in the parcel, credentials in MLflow's own variables.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.answers import address_shown
from adapters.base import path_of_uri
from adapters.trackers._bounded import bound_answers

PER_CALL = 100  # parameters that one call of MLflow's interface takes
FILE = "per_query.jsonl"


def send(parcel: Mapping[str, Any], tell: Callable[..., None]) -> None:
    """Send everything, system by system."""
    from mlflow.tracking import MlflowClient

    bound_answers("MLflow", parcel["timeout_seconds"], only=parcel["only"])
    client = MlflowClient(tracking_uri=parcel["uri"])
    found = client.get_experiment_by_name(parcel["experiment"])
    place = found.experiment_id if found else client.create_experiment(parcel["experiment"])
    for store in parcel["within"]:
        _check_inside(Path(store), client.get_experiment(place).artifact_location, Path(place))
    for system in parcel["systems"]:
        tags = {"bench.result": parcel["result"], "bench.system": system["system"]}
        wanted = " and ".join(f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items())
        runs = client.search_runs([place], filter_string=wanted, max_results=1)
        run = runs[0] if runs else client.create_run(place, run_name=system["system"], tags=tags)
        if parcel["only"]:
            _check_place(run.info.artifact_uri)
        for store in parcel["within"]:
            _check_inside(Path(store), run.info.artifact_uri, Path(place, run.info.run_id))
        if run.data.tags.get("bench.complete") != "true":
            _fill(client, run.info.run_id, system)
            client.set_tag(run.info.run_id, "bench.complete", "true")
        _verify(client, run.info.run_id, system)
        tell(sent=len(system["rows"]), note=f"{system['system']}: run {run.info.run_id}", link=parcel["uri"])


def _check_place(uri: str) -> None:
    """Raise RuntimeError unless the server takes files itself. It says where they go, a folder of this machine too."""
    if urlsplit(uri).scheme not in ("mlflow-artifacts", "http", "https"):
        raise RuntimeError(f"the server does not take files itself, but names a place for them: {address_shown(uri)}")


def _check_inside(store: Path, location: str, folder: Path) -> None:
    """Raise RuntimeError where a store that a file names would have something written elsewhere: by the place that it
    notes for files, or by a link.

    store: its folder, or its database. location: where it says that files go. folder: of what will be written, in it;
    where files are already, in a run's, none may be a link.
    """
    inside = (store if store.is_dir() else store.parent).resolve()
    allowed = [inside, Path("mlruns").absolute()]  # where MLflow puts the files of a database that tells no place
    paths = [Path(path_of_uri(location) or location or inside), inside / folder]
    if len(folder.parts) > 1:
        paths += (path for path in (inside / folder).rglob("*") if path.is_symlink())
    for path in paths:
        if not any(path.resolve().is_relative_to(each) for each in allowed):
            raise RuntimeError(
                f"{store} has files written to {path.resolve()}, outside of it. If they may go there, name the store "
                "yourself: MLFLOW_TRACKING_URI"
            )


def _fill(client: Any, run: str, system: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    parameters = [Param(name, value) for name, value in system["parameters"].items()]
    for start in range(0, len(parameters), PER_CALL):
        client.log_batch(run, params=parameters[start : start + PER_CALL])
    client.log_batch(run, metrics=[Metric(name, value, now, 0) for name, value in system["metrics"].items()])
    client.log_text(run, "\n".join(system["rows"]) + "\n", FILE)
    client.set_terminated(run, "FINISHED" if system["status"] in ("success", "partial", "not_indexed") else "FAILED")


def _verify(client: Any, run: str, system: Mapping[str, Any]) -> None:
    kept = client.get_run(run).data.metrics
    missing = sorted(system["metrics"].keys() - kept.keys())
    if missing or FILE not in {item.path for item in client.list_artifacts(run)}:
        raise RuntimeError(f"run {run} lacks {', '.join(missing) or FILE} though it was sent")


def _quoted(text: str) -> str:
    return text.replace("'", "\\'")


def main() -> int:
    """Send what stands on stdin."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what MLflow prints is no part of the answer

    def tell(**what: Any) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    try:
        send(json.load(sys.stdin), tell)
    except Exception as error:  # of requests, of the file system, of MLflow's own tree
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        tell(note=f"MLflow did not take everything ({first[:300]}).")
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
