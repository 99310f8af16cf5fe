"""What a result holds of a system's rankings: means, differences and where quality goes."""

from __future__ import annotations

from pydantic import Field

from bench.results.fields import Fields, Interval
from bench.statistics.significance import Verdict


class MeasureValue(Fields):
    """A measure over all judged queries, of which a failed one counts 0. Recall against exact search is the mean over
    those for which exact search finds something."""

    mean: float | None = Field(description="Mean over the judged queries; null where it was not measured.")
    interval: Interval | None = Field(description="Interval of the mean at 95 %, over the sampling of queries.")
    queries: int = Field(description="How many queries are in the mean.")
    failed: int = Field(description="How many queries failed; each of them counts 0.")


class Against(Fields):
    """A system minus the baseline, in one measure. Only the primary measure has p values and a verdict."""

    difference: float = Field(description="The system's mean minus the baseline's.")
    percent: float | None = Field(
        description="The difference in per cent of the baseline's mean; null where that is 0."
    )
    interval: Interval | None = Field(
        description="Interval of the difference at 95 %: for all systems at once in the primary measure, for this one "
        "alone in the others."
    )
    p: float | None = Field(None, description="P value of the paired sign-flip test; null for other measures.")
    p_corrected: float | None = Field(None, description="The same p value, corrected for all systems at once.")
    verdict: Verdict | None = Field(
        None,
        description="What the interval says: `better`, `not_worse`, `worse` or `undecided`; null for other measures.",
    )
    queries_to_decide: int | None = Field(
        None, description="About how many more queries would decide; null where it is decided or not known."
    )
    wins: int = Field(description="Queries that the system answers better than the baseline.")
    ties: int = Field(description="Queries that both answer alike.")
    losses: int = Field(description="Queries that the baseline answers better.")


class DetectableBasis(Fields):
    """What the smallest difference that is shown reliably rests on."""

    deviation: float = Field(description="Standard deviation of a system's differences to the baseline by query.")
    system: str | None = Field(
        description="System whose differences have that deviation, the largest; null where it was assumed."
    )
    systems: int = Field(description="How many systems are compared with the baseline at once.")


class Loss(Fields):
    """Where quality goes between exact search and the final ranking: the mean after one stage."""

    stage: str = Field(description="The stage: `exact`, `ann`, `fused`, `retrieved` or `reranked`.")
    measure: str = Field(description="Name of the measure, spelled as in the experiment.")
    mean: float = Field(description="Mean of the measure after this stage.")
    interval: Interval = Field(description="Interval of this mean at 95 %.")
    leg: str | None = Field(None, description="Which leg of a fusion it is; null for the system's own search.")
