"""Sends a parcel to Braintrust and tells, one JSON object a line, what has arrived. Run as a process of its own.

Reads the parcel on stdin and the key from BRAINTRUST_API_KEY. The SDK's own retries are off: they print, and give up
in silence; here every call is tried again until it worked or its tries are used up.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from adapters.base import AdapterRejected
from adapters.trackers._bounded import bound_answers

T = TypeVar("T")

ROWS_AT_ONCE = 500


class GivenUp(Exception):
    """A call did not work until its last try."""


class Sender:
    """One parcel on its way."""

    def __init__(self, parcel: Mapping[str, Any], tell: Callable[..., None]) -> None:
        self.parcel = parcel
        self.tell = tell
        self.baseline: tuple[str, str] | None = None
        self.dataset: dict[str, str] | None = None
        self.records: dict[str, Mapping[str, Any]] = {}

    def send(self) -> None:
        """Send everything, the baseline first."""
        import braintrust
        from braintrust.logger import RetryRequestExceptionsAdapter

        bound_answers("Braintrust", self.parcel["timeout_seconds"], only=self.parcel["only"])
        # By default the SDK tries ten times over minutes.
        braintrust.set_http_adapter(RetryRequestExceptionsAdapter(default_timeout_secs=self.parcel["timeout_seconds"]))
        self.tried(
            "login",
            lambda: braintrust.login(app_url=self.parcel["app_url"], org_name=self.parcel["organization"]),
        )
        if self.parcel["dataset"]:
            self._dataset(self.parcel["dataset"])
        for system in self.parcel["systems"]:
            self._system(system)

    def tried(self, what: str, call: Callable[[], T]) -> T:
        """The call's value. Raises GivenUp."""
        for retries in range(self.parcel["max_retries"] + 1):
            try:
                return call()
            except Exception as error:  # of requests, urllib3 and the SDK's own tree, grouped or not
                cause = _first_line(error)
                if _is_final(error) or retries == self.parcel["max_retries"]:
                    raise GivenUp(f"{what}: {cause}") from error
                time.sleep(min(10.0, self.parcel["backoff_seconds"] * 2.0**retries))
        raise AssertionError("unreachable")

    def _dataset(self, wanted: Mapping[str, Any]) -> None:
        import braintrust

        def opened() -> Any:
            return braintrust.init_dataset(project=self.parcel["project"], name=wanted["name"])

        queries = {row["query_id"]: row for system in self.parcel["systems"] for row in system["rows"]}
        records = self._records(opened)
        missing = [row for query, row in queries.items() if query not in records]
        if wanted["mode"] == "push" and missing:

            def push() -> None:
                dataset = opened()
                for row in missing:
                    dataset.insert(id=f"query:{row['query_id']}", input=row["input"], expected=row["expected"])
                dataset.flush()

            self.tried("data set", push)
            records = self._records(opened)
        absent = len(queries.keys() - records.keys())
        if absent:
            self.tell(note=f"{absent:,} of {len(queries):,} queries are not in the data set {wanted['name']}.")
        self.records = records
        self.dataset = {"id": self.tried("data set", lambda: str(opened().id))}

    def _records(self, opened: Callable[[], Any]) -> dict[str, Mapping[str, Any]]:
        """The data set's records by query id; a record of another origin is known by its input's text."""

        def read() -> dict[str, Mapping[str, Any]]:
            found: dict[str, Mapping[str, Any]] = {}
            for record in opened():
                given = record.get("input")
                key = given.get("query_id") if isinstance(given, Mapping) else given
                if key is not None:
                    found[str(key)] = record
            return found

        return self.tried("data set", read)

    def _system(self, system: Mapping[str, Any]) -> None:
        import braintrust

        base = self.baseline if not system["is_baseline"] else None

        def opened() -> Any:
            experiment = braintrust.init(
                project=self.parcel["project"],
                experiment=system["experiment"],
                update=True,  # sent again, a result fills the experiment that it has
                set_current=False,
                metadata=system["metadata"],
                dataset=self.dataset,
                base_experiment_id=base[0] if base else None,
                git_metadata_settings=braintrust.GitMetadataSettings(collect="none"),
            )
            _ = experiment.id
            return experiment

        experiment = self.tried(system["system"], opened)
        if system["is_baseline"]:
            self.baseline = (experiment.id, system["system"])
        rows = {row["id"]: row for row in system["rows"]}
        arrived = self._arrived(system["experiment"])
        for _ in range(self.parcel["max_retries"] + 1):
            missing = [row for key, row in rows.items() if key not in arrived]
            if not missing:
                break
            for part in _parts(missing, ROWS_AT_ONCE):
                self._log(experiment, part)
            arrived = self._arrived(system["experiment"])
        sent = len(rows.keys() & arrived)
        self.tell(system=system["system"], sent=sent)
        try:
            self._summary(experiment, system, base)
        except GivenUp as error:  # the rows are there; only their comparison is not
            self.tell(note=f"{system['system']} could not be summarised ({error}).")

    def _log(self, experiment: Any, rows: Iterable[Mapping[str, Any]]) -> None:
        def log() -> None:
            for row in rows:
                start = row["metrics"]["start"]
                span = experiment.start_span(
                    name="query",
                    id=row["id"],
                    start_time=start,
                    set_current=False,
                    input=row["input"],
                    output=row["output"],
                    expected=row["expected"],
                    scores=row["scores"],
                    metrics={name: value for name, value in row["metrics"].items() if name not in ("start", "end")},
                    metadata={"query_id": row["query_id"]},
                    **({"error": row["error"]} if row["error"] else {}),
                    **self._origin(row),
                )
                span.end(end_time=row["metrics"]["end"])
            experiment.flush()

        self.tried("rows", log)

    def _origin(self, row: Mapping[str, Any]) -> dict[str, Any]:
        record = self.records.get(row["query_id"])
        if record is None or self.dataset is None:
            return {}
        origin = {"object_type": "dataset", "object_id": self.dataset["id"], "id": record["id"]}
        return {"origin": {**origin, "_xact_id": record.get("_xact_id")}}

    def _arrived(self, name: str) -> set[str]:
        """Ids of the rows that the service holds, read anew."""
        import braintrust

        def read() -> set[str]:
            found = braintrust.init(project=self.parcel["project"], experiment=name, open=True, set_current=False)
            return {row["id"] for row in found.fetch()}

        return self.tried("reading back", read)

    def _summary(self, experiment: Any, system: Mapping[str, Any], base: tuple[str, str] | None) -> None:
        summary = self.tried(
            "summary", lambda: experiment.summarize(comparison_experiment_id=base[0] if base else None)
        )
        told = f"{system['system']}: {summary.experiment_url}"
        scores = getattr(summary, "scores", None) or getattr(getattr(summary, "comparison", None), "scores", None) or {}
        if base:
            compared = ", ".join(
                f"{name} {score.diff:+.3f} ({score.improvements or 0} up, {score.regressions or 0} down)"
                for name, score in scores.items()
                if getattr(score, "diff", None) is not None and self.parcel.get("primary") in (None, name)
            )
            told += f" · against {base[1]}: {compared}" if compared else f" · compared with {base[1]}"
        self.tell(note=told, link=summary.project_url)


def _parts(rows: list[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _is_final(error: BaseException) -> bool:
    """A refused key, or a request or answer that is wrong: another try does not help."""
    if isinstance(error, BaseExceptionGroup):
        return _is_final(error.exceptions[0])
    if isinstance(error, AdapterRejected):
        return True
    text = str(error)
    return any(mark in text for mark in ("[401]", "[403]", "Invalid API key", "401 Client", "403 Client"))


def _first_line(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _first_line(error.exceptions[0])
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def main() -> int:
    """Send what stands on stdin."""
    # Read when the SDK is imported: flush in this thread and raise, once, and wait for nothing at exit.
    os.environ |= {
        "BRAINTRUST_SYNC_FLUSH": "true",
        "BRAINTRUST_NUM_RETRIES": "0",
        "BRAINTRUST_DISABLE_ATEXIT_FLUSH": "true",
    }
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what the SDK prints is no part of the answer

    def tell(**what: Any) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    parcel = json.load(sys.stdin)
    try:
        Sender(parcel, tell).send()
    except GivenUp as error:
        tell(note=f"Braintrust did not take everything ({error}).")
    return 0


if __name__ == "__main__":
    code = main()
    # Not sys.exit: the SDK's pool of threads would be waited for.
    sys.stderr.flush()
    os._exit(code)
