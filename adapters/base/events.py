"""What happens in a run, as one union of frozen types.

The progress display, events.jsonl, the trackers and every front end read the same events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A result folder was opened. dataset: name, documents, judged; experiment: the resolved config. run: the folder's
    name while it was run, where it may have another one since."""

    experiment: Mapping[str, Any]
    folder: str
    dataset: Mapping[str, Any]
    systems: Sequence[str]
    resumed: bool = False
    run: str | None = None

    @property
    def name(self) -> str:
        """The same for the same result, wherever its folder is now."""
        return self.run or PurePath(self.folder).name


@dataclass(frozen=True, slots=True)
class StageStarted:
    """Work that may take a while. stage: encode, build, search, rerank, latency …; total in `unit`, None if unknown."""

    stage: str
    label: str
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """`done` of the stage's total is finished. note: how it stands, such as the loss of a training."""

    stage: str
    label: str
    done: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class StageFinished:
    """computed and reused count units of the stage."""

    stage: str
    label: str
    seconds: float
    computed: int
    reused: int


@dataclass(frozen=True, slots=True)
class QueryScored:
    """One query of one system. output: document ids, best first; expected: grade by document id; scores: measures
    within 0..1, None where not measured; metrics: seconds and money."""

    system: str
    query_id: str
    query: str | None
    output: Sequence[str]
    expected: Mapping[str, int]
    scores: Mapping[str, float | None]
    metrics: Mapping[str, float] = field(default_factory=dict)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class SystemFinished:
    """A system ended. entry: its entry of result.json."""

    system: str
    status: str
    error: str | None
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a reader must know; `about` names the part. Of an exception that no adapter mapped there is the whole
    traceback; frames are the adapter's own, `file:line in function`, outermost first."""

    about: str
    message: str
    frames: Sequence[str] = ()
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The result folder is complete as it stands. status: as in result.json."""

    status: str
    folder: str


Event: TypeAlias = (
    RunStarted | StageStarted | StageAdvanced | StageFinished | QueryScored | SystemFinished | Warned | RunFinished
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a tracker delivered. sent: rows (queries of systems) that were read back from the service; unsent: the
    others; link: where to look; notes: sentences for the reader, such as why rows were not sent."""

    tracker: str
    sent: int
    unsent: int
    link: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for a person."""
        done = f"{self.tracker}: {self.sent:,} rows sent" + (f", {self.unsent:,} NOT sent" if self.unsent else "")
        return done + (f" · {self.link}" if self.link else "")


def event_as_dict(event: Event) -> dict[str, Any]:
    """The event as one JSON object, its type under `event`."""
    return {"event": type(event).__name__, **asdict(event)}
