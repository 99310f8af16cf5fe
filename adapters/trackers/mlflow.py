"""MLflow: one run per system with its parameters, measures and a file of its queries."""

from __future__ import annotations

import json
import os
import re
import site
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from adapters.base import Contact, Context, Options, PathText, QueryScored, RunStarted, path_of_uri
from adapters.service import without_credentials
from adapters.trackers._sending import SendingTracker, numbers

_CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD")
_OF_THE_USERS_CONFIGURATION = ("databricks", "uc")
_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")  # mlflow's rule for names of metrics and parameters


class MlflowOptions(Options):
    """Where the runs go. A server's credentials are read from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD. A
    server that the file names gets none of them, but the token in the variable that api_key_env names."""

    uri: PathText | None = Field(
        None,
        description="Tracking server, or a folder for files; left out, MLFLOW_TRACKING_URI, else the folder "
        "mlruns beside the experiment file.",
    )
    name: str | None = Field(None, description="Name of the MLflow experiment; left out, that of this experiment.")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the token for a server that this file names; left out, such "
        "a server gets none.",
    )
    timeout_seconds: float = Field(20.0, gt=0, description="Seconds that a request to the tracking server may take.")
    max_retries: int = Field(4, ge=0, le=20, description="Further tries of a request that failed, 0 to 20.")


class MlflowTracker(SendingTracker):
    """A result that is sent again finds its runs and leaves the complete ones as they are."""

    name: ClassVar[str] = "mlflow"
    requires: ClassVar[tuple[str, ...]] = ("mlflow",)
    extra: ClassVar[str | None] = "mlflow"
    sender: ClassVar[str] = "_send_mlflow.py"
    key_variables: tuple[str, ...] = _CREDENTIALS
    further_key_envs: ClassVar[tuple[str, ...]] = _CREDENTIALS
    Options = MlflowOptions

    def __init__(self, options: MlflowOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self.key_variables = (*_CREDENTIALS, *([options.api_key_env] if options.api_key_env else []))

    def obstacle(self) -> str | None:
        name = self.options.api_key_env
        if name is None or os.environ.get(name, "").strip():
            return None
        return f"{name} is not set, so nothing was sent. Set it;"

    @property
    def _named_by_file(self) -> bool:
        """Whether the file names a server; the address behind `databricks` is the user's own."""
        return self.options.uri is not None and self._asks_server and self.options.uri not in self.context.own_addresses

    @property
    def _asks_server(self) -> bool:
        return path_of_uri(self._uri()) is None

    def writes(self) -> Sequence[Path]:
        path = path_of_uri(self._uri())
        return [] if path is None or self._of_the_user else [Path(path).absolute()]

    @property
    def _of_the_user(self) -> bool:
        """Whether the user named the store, and not the file."""
        if self.options.uri is not None:
            return self.options.uri in self.context.own_addresses
        given = os.environ.get("MLFLOW_TRACKING_URI", "")
        return "://" in given or given.startswith(("/", "~"))

    def contacts(self) -> Sequence[Contact]:
        if not self._asks_server:
            return ()
        given = next((name for name in _CREDENTIALS if os.environ.get(name)), None)
        variable = self.options.api_key_env or (None if self._named_by_file else given)
        uri = self._uri()
        address = without_credentials(uri) if "://" in uri else uri
        by_user = uri.partition("://")[0].startswith(_OF_THE_USERS_CONFIGURATION)
        return [Contact(address, variable, own=by_user or not self._named_by_file)]

    @property
    def _stays(self) -> bool:
        """Whether everything goes to one address, which only the file names."""
        return self._named_by_file and not self.contacts()[0].own

    @property
    def own_variables(self) -> tuple[str, ...]:
        """Credentials that MLflow finds by itself go where the user said, and to no address of a file."""
        return () if self._stays else ("MLFLOW_", "DATABRICKS_", "AWS_", "AZURE_", "GOOGLE_")

    def environment(self) -> Mapping[str, str]:
        credentials: dict[str, str] = {}
        if not self.own_variables:
            # MLflow and its kin look for credentials in files of the home folder as well; packages may lie there too.
            credentials = {"HOME": os.devnull, "USERPROFILE": os.devnull, "PYTHONUSERBASE": site.getuserbase()}
        if (name := self.options.api_key_env) is not None:
            credentials["MLFLOW_TRACKING_TOKEN"] = os.environ.get(name, "").strip()
        return {
            **credentials,
            # A folder is asked for by name here; mlflow 3 wants that confirmed.
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(self.options.timeout_seconds))),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(self.options.max_retries),
        }

    def parcel(self, started: RunStarted) -> dict[str, Any]:
        run = started.name
        return {
            "uri": self._uri(),
            "only": [self._uri()] if self._stays else [],
            "within": [str(path) for path in self.writes()],
            "timeout_seconds": self.options.timeout_seconds,
            "experiment": self.options.name or str(started.experiment.get("experiment", "benchmark")),
            "result": run,
            "systems": [
                {
                    "system": name,
                    "status": entry.get("status"),
                    "metrics": _metrics(entry),
                    "parameters": _flat({"pipeline": entry.get("pipeline"), "dataset": dict(started.dataset)}),
                    "rows": [json.dumps(_row(row), ensure_ascii=False) for row in rows],
                }
                for name, entry, rows in self.systems(started)
            ],
        }

    def _uri(self) -> str:
        given = self.options.uri or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
        if "://" in given or given in ("databricks", "uc"):
            return str(given)
        return self.context.path(given).resolve().as_uri()


def metric_name(measure: str) -> str:
    """A measure's name as MLflow takes it: nDCG@10 is nDCG_at_10."""
    return _NOT_IN_A_NAME.sub("_", measure.replace("@", "_at_"))


def _row(row: QueryScored) -> dict[str, Any]:
    found = asdict(row)
    del found["system"]
    return found


def _metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """Means of the measures, percentiles in milliseconds, money, sizes."""
    found = {name: value.get("mean") for name, value in (entry.get("measures") or {}).items()}
    latency = entry.get("latency") or {}
    for stage, values in latency.items():
        if isinstance(values, Mapping):
            found |= {f"{stage}_{name}": value for name, value in values.items()}
    cost = entry.get("cost") or {}
    found |= {name: cost.get(name) for name in ("corpus_usd", "per_1000_queries_usd")}
    found |= {name: entry.get(name) for name in ("build_seconds", "index_bytes", "truncated_texts")}
    found |= entry.get("memory") or {}
    return {metric_name(name): value for name, value in numbers(found).items()}


def _flat(node: Any, path: str = "") -> dict[str, str]:
    """Leaves by their path; what is empty is left out."""
    if isinstance(node, Mapping):
        found: dict[str, str] = {}
        for key, value in node.items():
            found |= _flat(value, f"{path}.{key}" if path else str(key))
        return found
    if node is None or node == []:
        return {}
    text = json.dumps(node, ensure_ascii=False) if isinstance(node, list) else str(node)
    return {_NOT_IN_A_NAME.sub("_", path): text[:500]}
