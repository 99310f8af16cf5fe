"""The part of Braintrust's service that an experiment needs: login, project, data set, experiment, log, summary."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.standin.wire import Answer, Refusal, Request

if TYPE_CHECKING:
    from tests.standin.server import StandIn

ROWS_PER_PAGE = 1000


class Tracking:
    """Projects, data sets, experiments and their rows.

    rows: by object id, then by row id.
    git_metadata: what the organisation collects, as its login answers.
    """

    def __init__(self, git_metadata: Mapping[str, Any] | None) -> None:
        self.git_metadata = git_metadata
        self.projects: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self.transactions = 0

    def find(self, kind: dict[str, dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
        """The object whose fields are as wanted."""
        matching = (item for item in kind.values() if all(item.get(key) == value for key, value in wanted.items()))
        return next(matching, None)

    def make(self, kind: dict[str, dict[str, Any]], prefix: str, **fields: Any) -> dict[str, Any]:
        """A new object."""
        made = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{prefix}{len(kind)}")), **fields}
        kind[made["id"]] = made
        self.rows[made["id"]] = {}
        return made

    def experiment_rows(self, name: str) -> dict[str, dict[str, Any]]:
        """The rows of the experiment of that name, by row id."""
        found = self.find(self.experiments, name=name)
        return self.rows[found["id"]] if found else {}


def login(standin: StandIn, request: Request) -> Answer:
    organisation = {
        "id": "org1",
        "name": "stand-in",
        "api_url": standin.url,
        "proxy_url": standin.url,
        "realtime_url": None,
        "is_universal_api": True,
        "git_metadata": standin.tracking.git_metadata,
    }
    return Answer({"org_info": [organisation]})


def project(standin: StandIn, request: Request) -> Answer:
    name = request.json().get("name")
    with standin.lock:
        tracking = standin.tracking
        found = tracking.find(tracking.projects, name=name)
        return Answer(found or tracking.make(tracking.projects, "project", org_id="org1", name=name))


def dataset(standin: StandIn, request: Request) -> Answer:
    asked = request.json()
    with standin.lock:
        tracking = standin.tracking
        fields = {"project_id": asked.get("project_id"), "name": asked.get("name")}
        found = tracking.find(tracking.datasets, **fields)
        return Answer(found or tracking.make(tracking.datasets, "dataset", created="2026-01-01T00:00:00Z", **fields))


def experiment(standin: StandIn, request: Request) -> Answer:
    asked = request.json()
    ensure_new = asked.pop("ensure_new", False)
    with standin.lock:
        tracking = standin.tracking
        name, place = asked.get("name") or f"experiment-{len(tracking.experiments)}", asked.get("project_id")
        found = tracking.find(tracking.experiments, name=name, project_id=place)
        if found and not ensure_new:
            return Answer(found)
        if found:
            name = f"{name}-{len(tracking.experiments)}"
        return Answer(tracking.make(tracking.experiments, "experiment", **{**asked, "name": name}))


def find_experiment(standin: StandIn, request: Request) -> Answer:
    wanted: dict[str, Any] = {"name": request.query.get("experiment_name", [""])[0]}
    if "project_id" in request.query:
        wanted["project_id"] = request.query["project_id"][0]
    if "project_name" in request.query:
        place = standin.tracking.find(standin.tracking.projects, name=request.query["project_name"][0])
        wanted["project_id"] = place and place["id"]
    found = standin.tracking.find(standin.tracking.experiments, **wanted)
    return Answer({"objects": [found] if found else []})


def version(standin: StandIn, request: Request) -> Answer:
    return Answer({"version": "1.1", "logs3_payload_max_bytes": 6_291_456})


def log(standin: StandIn, request: Request) -> Answer:
    rows = request.json().get("rows") or []
    with standin.lock:
        tracking = standin.tracking
        tracking.transactions += 1
        for row in rows:
            place = tracking.rows.get(row.get("experiment_id") or row.get("dataset_id"))
            if place is None:
                raise Refusal(400, "a row belongs to no known experiment or data set")
            kept = place.get(row["id"], {}) if row.pop("_is_merge", False) else {}
            place[row["id"]] = _merged(kept, {**row, "_xact_id": f"{tracking.transactions:016d}"})
        return Answer({"ids": [row["id"] for row in rows], "xact_id": f"{tracking.transactions:016d}"})


def fetch(standin: StandIn, request: Request) -> Answer:
    asked, place = request.json(), request.places[0]
    events, cursor = _page(standin, place, asked)
    return Answer({"events": events, "cursor": cursor})


def btql(standin: StandIn, request: Request) -> Answer:
    query = request.json()["query"]
    events, cursor = _page(standin, query["from"]["args"][0]["value"], query)
    return Answer({"data": events, "cursor": cursor})


def summarize(standin: StandIn, request: Request) -> Answer:
    tracking = standin.tracking
    found = tracking.experiments.get(request.places[0])
    if found is None:
        raise Refusal(404, "no such experiment")
    base = tracking.experiments.get(found.get("base_exp_id") or "")
    mine, theirs = _by_input(tracking, found), _by_input(tracking, base)
    scores = {}
    for name in sorted({name for row in mine.values() for name in row.get("scores") or {}}):
        scores[name] = _compared(mine, theirs, "scores", name) | {"name": name}
    metrics = {}
    for name in sorted({name for row in mine.values() for name in row.get("metrics") or {}} - {"start", "end"}):
        compared = _compared(mine, theirs, "metrics", name)
        metrics[name] = {"metric": compared.pop("score"), "unit": "", "name": name, **compared}
    return Answer(
        {
            "project_name": tracking.projects[found["project_id"]]["name"],
            "experiment_name": found["name"],
            "project_url": standin.url,
            "experiment_url": standin.url,
            "comparison_experiment_name": base["name"] if base else None,
            "scores": scores,
            "metrics": metrics,
        }
    )


def summarize_dataset(standin: StandIn, request: Request) -> Answer:
    total = len(standin.tracking.rows.get(request.places[0], {}))
    return Answer({"data_summary": {"total_records": total}})


def _page(standin: StandIn, place: str, asked: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    with standin.lock:
        if place not in standin.tracking.rows:
            raise Refusal(404, "no such object")
        rows = list(standin.tracking.rows[place].values())
    start, limit = int(asked.get("cursor") or 0), int(asked.get("limit") or ROWS_PER_PAGE)
    return rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _by_input(tracking: Tracking, experiment: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    rows = tracking.rows[experiment["id"]].values() if experiment else ()
    return {repr(row.get("input")): row for row in rows}


def _compared(mine: dict[str, Any], theirs: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    values = {key: row[part][name] for key, row in mine.items() if (row.get(part) or {}).get(name) is not None}
    pairs = [
        (value, (theirs[key].get(part) or {}).get(name))
        for key, value in values.items()
        if key in theirs and (theirs[key].get(part) or {}).get(name) is not None
    ]
    differences = [mine - other for mine, other in pairs]
    return {
        "score": sum(values.values()) / max(1, len(values)),
        "diff": sum(differences) / len(differences) if differences else None,
        "improvements": sum(difference > 0 for difference in differences),
        "regressions": sum(difference < 0 for difference in differences),
    }


ROUTES = (
    ("POST", r"/api/apikey/login", login),
    ("POST", r"/v1/project", project),
    ("POST", r"/v1/dataset", dataset),
    ("POST", r"/v1/dataset/([^/]+)/fetch", fetch),
    ("GET", r"/v1/dataset/([^/]+)/summarize", summarize_dataset),
    ("POST", r"/v1/experiment", experiment),
    ("GET", r"/v1/experiment", find_experiment),
    ("POST", r"/v1/experiment/([^/]+)/fetch", fetch),
    ("GET", r"/v1/experiment/([^/]+)/summarize", summarize),
    ("GET", r"/version", version),
    ("POST", r"/logs3", log),
    ("POST", r"/btql", btql),
)
