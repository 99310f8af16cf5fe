"""What a result holds of engines at equal recall: the cheapest settings for targets, and fronts."""

from __future__ import annotations

from pydantic import Field

from bench.results.fields import Fields, Interval, Options, Payload
from bench.results.latency import Latency
from bench.results.system import Memory


class OnFront(Fields):
    """A system among those of its front."""

    name: str = Field(description="Name of the system on this front.")
    quality: float = Field(description="Its mean of the front's measure.")
    p95_ms: float = Field(description="95th percentile of its total under the first load point, in milliseconds.")
    per_second: float | None = Field(description="Highest rate that it kept up with, in queries a second.")
    bytes: int | None = Field(description="Bytes of its index; null where they are not known.")
    on_front: bool = Field(
        description="Whether no other system is better in one of quality and p95 and no worse in the other."
    )
    not_told_apart: list[str] = Field(
        [], description="Its neighbours by p95 from which neither quality nor time tells it apart."
    )


class Front(Fields):
    """What quality costs in time, for the systems of one encoder and filter."""

    encoder: str | None = Field(description="Encoder of these systems; null for those that search by text alone.")
    filter: Options | None = Field(
        None, description="Conditions on metadata of these systems; null where they have none."
    )
    payload: Payload = Field("none", description="`text` where their searches return the documents' texts.")
    measure: str = Field(description="Measure that stands for quality.")
    systems: list[OnFront] = Field(description="The systems, in order of their p95.")


class Target(Fields):
    """The cheapest setting of one build that reaches a target; null where none was shown to.

    Cheapest: the lowest p50 of searching under the first load point. Chosen on one half of the queries, where the
    one-sided 95 % lower bound of the mean had to reach the target; mean and interval are those of the other half.
    """

    encoder: str | None = Field(description="Encoder of the build; null where it is searched by text alone.")
    engine: str = Field(description="Name of the store part in the experiment.")
    index: Options = Field(description="Index options of the build that differ from the defaults.")
    index_type: str | None = Field(description="The engine's own word for the kind of the index.")
    reranker: str | None = Field(None, description="Name of the reranker that follows; null where none does.")
    filter: Options | None = Field(
        None, description="Conditions on metadata of these searches; null where they have none."
    )
    payload: Payload = Field("none", description="`text` where these searches return the documents' texts.")
    measure: str = Field(description="Measure that has to reach the target.")
    target: float = Field(description="What the measure had to reach.")
    system: str | None = Field(description="System that was chosen; null where none was shown to reach the target.")
    setting: Options | None = Field(description="Query options of that system that differ from the defaults.")
    mean: float | None = Field(description="Its mean on the reporting half of the queries.")
    interval: Interval | None = Field(description="Interval of its mean on the reporting half, at 95 %.")
    builds: list[float] = Field(
        [], description="Mean of each build on the reporting half, where there are several builds."
    )
    chosen_on: int = Field(description="How many queries the setting was chosen on.")
    reported_on: int = Field(description="How many other queries it is reported on.")
    settings: int = Field(description="How many settings were measured without a failed query.")
    bound: float | None = Field(description="Lower bound of the chosen setting on the choosing half.")
    best_bound: float | None = Field(description="Highest lower bound among all the settings.")
    attainable: float = Field(
        description="Lower bound of a setting that misses nothing; higher targets need more queries."
    )
    loads: list[Latency] = Field([], description="Its times under each load point, measured again after the choice.")
    not_told_apart: list[str] = Field(
        [],
        description="Systems chosen for the same target whose own p50 cannot be told apart from this one's.",
    )
    build_seconds: float | None = Field(description="Seconds that the build took; null where they are not known.")
    index_bytes: int | None = Field(description="Bytes of the build on disk; null where they are not known.")
    memory: Memory | None = Field(None, description="What held the build; null where it was not measured.")
