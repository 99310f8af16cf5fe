"""Braintrust: one experiment per system, one row per query, compared with the baseline's experiment.

Nothing of the repository is sent: collection of git metadata is off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from adapters.base import Contact, Context, Options, QueryScored, RunStarted
from adapters.service import without_credentials
from adapters.trackers._sending import SendingTracker, numbers, row_id, scores_within_bounds


class BraintrustDataset(Options):
    """The dataset on Braintrust whose queries the rows are linked to."""

    name: str = Field(description="Name of the dataset in the project.")
    mode: Literal["push", "take"] = Field(
        "push",
        description="push adds the queries that the dataset does not have yet; take links rows to those that it "
        "has and adds none.",
    )


OWN_ADDRESS = "https://www.braintrust.dev"
KEY_ENV = "BRAINTRUST_API_KEY"  # the SDK reads it


class BraintrustOptions(Options):
    """Where the rows go, and how long a request is tried."""

    project: str = Field("retrieval-bench", description="Project on Braintrust that all experiments go to.")
    organization: str | None = Field(None, description="Organization on Braintrust; left out, the key's own.")
    app_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Address of Braintrust; left out, BRAINTRUST_APP_URL, else the service's own.",
    )
    api_key_env: str = Field(
        KEY_ENV,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key of Braintrust.",
    )
    dataset: BraintrustDataset | None = Field(
        None, description="Dataset on Braintrust that rows are linked to; left out, none."
    )
    timeout_seconds: float = Field(20.0, gt=0, description="Seconds that a request waits for its answer.")
    max_retries: int = Field(6, ge=0, le=50, description="Further tries of a request that failed, 0 to 50.")
    backoff_seconds: float = Field(
        0.5, ge=0, description="Seconds of the first pause between tries; later ones double."
    )


class BraintrustTracker(SendingTracker):
    """Rows are read back after they were sent: the SDK drops them after three tries and returns as if all was well."""

    name: ClassVar[str] = "braintrust"
    requires: ClassVar[tuple[str, ...]] = ("braintrust",)
    extra: ClassVar[str | None] = "braintrust"
    key_env: ClassVar[str | None] = KEY_ENV
    sender: ClassVar[str] = "_send_braintrust.py"
    Options = BraintrustOptions

    def __init__(self, options: BraintrustOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self.key_variables = (options.api_key_env,)

    @property
    def _named_by_file(self) -> bool:
        """Whether the file says where rows and key go."""
        return self.options.app_url is not None and self.options.app_url not in self.context.own_addresses

    def contacts(self) -> Sequence[Contact]:
        address = self.options.app_url or os.environ.get("BRAINTRUST_APP_URL") or OWN_ADDRESS
        unnamed = self._named_by_file and "api_key_env" not in self.options.model_fields_set
        variable = None if unnamed else self.options.api_key_env
        return [Contact(without_credentials(address), variable, own=not self._named_by_file)]

    def writes(self) -> Sequence[Path]:
        return ()

    @property
    def own_variables(self) -> tuple[str, ...]:
        return () if self._named_by_file else ("BRAINTRUST_",)

    def obstacle(self) -> str | None:
        name = self.options.api_key_env
        if self.contacts()[0].variable is None:
            return (
                "app_url names an address, and the file does not say whose key may go there, so nothing was sent. "
                f"Write it beside app_url: api_key_env: {name};"
            )
        return None if os.environ.get(name, "").strip() else f"{name} is not set, so nothing was sent. Set it;"

    def environment(self) -> Mapping[str, str]:
        return {
            "BRAINTRUST_API_KEY": os.environ[self.options.api_key_env].strip(),
            "BRAINTRUST_HTTP_TIMEOUT": str(self.options.timeout_seconds),
        }

    def parcel(self, started: RunStarted) -> dict[str, Any]:
        options, run = self.options, started.name
        baseline = started.experiment.get("baseline")
        systems = [
            {
                "system": name,
                "experiment": _experiment_name(started, name, run),
                "is_baseline": name == baseline,
                "metadata": {
                    "system": name,
                    "status": entry.get("status"),
                    "pipeline": entry.get("pipeline"),
                    "measures": entry.get("measures"),
                    "cost": entry.get("cost"),
                    "dataset": dict(started.dataset),
                    "configuration": dict(started.experiment),
                    "result": run,
                },
                "rows": [_row(_experiment_name(started, name, run), row) for row in rows],
            }
            for name, entry, rows in self.systems(started)
        ]
        return {
            "project": options.project,
            "organization": options.organization,
            "app_url": options.app_url,
            # The service tells where rows go. One that a file names gets them itself.
            "only": [options.app_url] if self._named_by_file else [],
            "systems": systems,
            "primary": next(iter(started.experiment.get("measures") or ()), None),
            "dataset": options.dataset.model_dump() if options.dataset else None,
            "timeout_seconds": options.timeout_seconds,
            "max_retries": options.max_retries,
            "backoff_seconds": options.backoff_seconds,
        }


def _experiment_name(started: RunStarted, system: str, run: str) -> str:
    """The same for the same result, so that sending it again fills the same experiment."""
    return f"{started.experiment.get('experiment', 'benchmark')} · {system} · {run}"


def _row(experiment: str, row: QueryScored) -> dict[str, Any]:
    metrics = numbers(row.metrics)
    now = time.time()
    return {
        "id": row_id(experiment, row.query_id),
        "query_id": row.query_id,
        # Braintrust pairs the rows of two experiments by their input.
        "input": {"query_id": row.query_id, "query": row.query},
        "output": list(row.output),
        "expected": dict(row.expected),
        "scores": scores_within_bounds(row.scores),
        # Without both ends the SDK lets a row last until the next one is logged.
        "metrics": {**metrics, "start": now, "end": now + metrics.get("total_seconds", 0.0)},
        "error": "the query failed" if row.failed else None,
    }
