"""Result folders with chosen values by query, written without a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.model import DatasetInfo, Machine, MeasureValue, Provenance, Result, write_result
from bench.results.system import PipelineInfo, SystemResult

Values = npt.NDArray[np.float64]


def system(name: str, values: Mapping[str, Any] | None = None, /, **fields: Any) -> SystemResult:
    """An entry; its pipeline's digest comes from `hash`, or from its name."""
    made = SystemResult(
        name=name,
        status=fields.pop("status", "success"),
        hash=fields.pop("hash", f"hash of {name}"),
        pipeline=PipelineInfo.model_validate({"k": 10, **fields.pop("pipeline", {})}),
        incomplete=fields.pop("incomplete", False),
        **fields,
    )
    for measure, of in (values or {}).items():
        stack = np.atleast_2d(np.asarray(of, np.float64))
        made.measures[measure] = MeasureValue(
            mean=float(np.nanmean(stack)), interval=None, queries=stack.shape[1], failed=0
        )
    return made


def write(
    folder: Path,
    values: Mapping[str, Mapping[str, Any]],
    entries: Sequence[SystemResult] = (),
    *,
    query_ids: Sequence[str] | None = None,
    clusters: Sequence[int] | None = None,
    judged: Mapping[str, Mapping[str, int]] | None = None,
    texts: Mapping[str, str] | None = None,
    **fields: Any,
) -> Path:
    """A result folder. values: by system and measure, float (n,) or (builds, n). entries: those of systems that are not
    as `system` makes them. fields: of the result; `dataset` and `machine` change single values."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {entry.name: entry for entry in entries}
    systems = [given.pop(name, None) or system(name, of) for name, of in values.items()]
    for entry in systems:
        if not entry.measures:
            entry.measures |= system(entry.name, values[entry.name]).measures
    systems += given.values()
    count = max((np.atleast_2d(v).shape[1] for of in values.values() for v in of.values()), default=0)
    ids = list(query_ids or (f"q{i}" for i in range(count)))
    primary = fields.pop("primary", next((m for of in values.values() for m in of), "nDCG@10"))
    dataset = {"name": "made", "split": "test", "fingerprint": "f" * 64, "documents": 100, "queries": len(ids)}
    provenance = {"seed": 7, "packages": {"numpy": "2.0"}, **fields.pop("provenance", {})}
    machine = {"processor": "Z80", "cores": 2, "memory_bytes": 2**33, "system": "Linux", **fields.pop("machine", {})}
    result = Result(
        status=fields.pop("status", "success"),
        experiment=fields.pop("experiment", {"experiment": "made"}),
        config_hash="c",
        started_at=fields.pop("started_at", "2026-11-26T00:00:00Z"),
        dataset=DatasetInfo.model_validate(
            {**dataset, "judged": len(ids), "only_positives": True, **fields.pop("dataset", {})}
        ),
        provenance=Provenance.model_validate({**provenance, "machine": Machine.model_validate(machine)}),
        baseline=fields.pop("baseline", None),
        primary=primary,
        margin=fields.pop("margin", None),
        systems=systems,
        **fields,
    )
    if values:
        pq.write_table(pa.concat_tables(list(_tables(values, ids, clusters))), folder / "per_query.parquet")
    if judged is not None or texts is not None:
        _events(folder, ids, judged or {}, texts or {})
    write_result(folder, result)
    return folder


def _tables(values: Mapping[str, Mapping[str, Any]], ids: Sequence[str], clusters: Sequence[int] | None) -> Any:
    for name, of in values.items():
        stacks = {measure: np.atleast_2d(np.asarray(v, np.float64)) for measure, v in of.items()}
        for build in range(max(map(len, stacks.values()))):
            yield pa.table(
                {
                    "system": pa.array([name] * len(ids)),
                    "build": pa.array(np.full(len(ids), build + 1, np.int32)),
                    "query_id": pa.array(ids),
                    "cluster": pa.array(clusters or [None] * len(ids), pa.int64()),
                    "failed": pa.array([False] * len(ids)),
                    **{measure: pa.array(stack[build], from_pandas=True) for measure, stack in stacks.items()},
                }
            )


def _events(
    folder: Path, ids: Sequence[str], judged: Mapping[str, Mapping[str, int]], texts: Mapping[str, str]
) -> None:
    lines = [
        {"event": "QueryScored", "system": "any", "query_id": q, "query": texts.get(q), "expected": judged.get(q, {})}
        for q in ids
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def values(n: int = 300, *, seed: int = 0, mean: float = 0.5, deviation: float = 0.05) -> Values:
    """Values within [.4, .6], so that something can be taken from each and added."""
    rng = np.random.default_rng(seed)
    made: Values = np.clip(rng.normal(mean, deviation, n), 0.4, 0.6)
    return made


def changed(old: Values, loss: float, *, deviation: float, seed: int = 1) -> Values:
    """Values whose differences from the old ones have exactly this mean, -loss, and this deviation."""
    d = np.random.default_rng(seed).normal(0, 1, len(old))
    d = (d - d.mean()) / d.std(ddof=1) * deviation - loss
    new: Values = old + d
    assert new.min() >= 0 and new.max() <= 1, (new.min(), new.max())
    return new
