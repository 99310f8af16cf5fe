"""What a result holds of where it comes from: dataset, code, machine, and who answered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.results.fields import Fields, Options


class SyntheticQueries(Fields):
    """Queries that a generator wrote."""

    used_for: Literal["all", "train"] = Field(
        description="What they were used for: `all`, to train and to evaluate; `train`, to train alone."
    )
    generator: str = Field(description="Name of the generator in the experiment.")
    provider: str = Field(description="Whose model it is.")
    model: str = Field(description="Model that wrote them.")
    address: str | None = Field(None, description="What answered in the provider's place; null where nothing did.")
    language: str | None = Field(None, description="Language of the prompt; null for a prompt of the user's, or none.")
    documents: int = Field(description="Documents that were given to the generator.")
    queries: int = Field(description="Queries that were kept, of all splits.")
    dropped: dict[str, int] = Field({}, description="Texts that were left out, by the reason.")
    round_trip_system: str | None = Field(
        None, description="System that had to find the document of each query; null where none had to."
    )
    round_trip_top: int | None = Field(None, description="Among how many documents it had to find it.")
    tokens: int = Field(0, description="Tokens that the generator read, in whichever run.")
    output_tokens: int = Field(0, description="Tokens that it wrote, in whichever run.")
    usd: float | None = Field(
        None, description="US dollars that it cost, in whichever run; null where no price is known."
    )
    notes: list[str] = Field([], description="The same in sentences.")


class DatasetInfo(Fields):
    """The collection that was searched, and how it was read."""

    name: str = Field(description="Name of the collection.")
    split: str | None = Field(None, description="Which judgements were used; null where there is one set of them.")
    fingerprint: str = Field(description="Digest of corpus, queries and judgements together.")
    documents: int = Field(description="Documents in the corpus.")
    queries: int = Field(description="Queries in the file.")
    judged: int = Field(description="Queries that were evaluated.")
    only_positives: bool | None = Field(
        None, description="Whether no document was judged as not relevant; null where nothing is judged."
    )
    own_documents_left_out: int = Field(0, description="Queries whose own document, of the same id, no ranking holds.")
    notes: list[str] = Field([], description="How it was read, where a reader must know.")
    warnings: list[str] = Field([], description="What is doubtful about it, a sentence each.")
    synthetic: SyntheticQueries | None = Field(
        None, description="Where its queries, or those that models learned from, were written; null where none were."
    )
    provenance: Options = Field(
        {}, description="Versions and origins of what it was made from, as its adapter names them."
    )


class Machine(Fields):
    """The machine, as far as latencies depend on it."""

    processor: str | None = Field(None, description="Model of the processor, as it names itself.")
    cores: int | None = Field(None, description="Processor cores that the system has.")
    memory_bytes: int | None = Field(None, description="Bytes of main memory; null where the system does not tell.")
    system: str | None = Field(None, description="Name of the operating system.")
    release: str | None = Field(None, description="Release of the operating system's kernel.")
    python: str | None = Field(None, description="Version of Python that ran the harness.")


class Provenance(Fields):
    """Where a result comes from: code, packages, machine, and who answered."""

    commit: str | None = Field(None, description="Commit of the harness's own checkout; null where it has none.")
    dirty: bool | None = Field(None, description="Whether files of that checkout differed from the commit.")
    packages: dict[str, str] = Field({}, description="Versions of the packages that can change a figure, by name.")
    machine: Machine = Field(Machine(), description="The machine that the harness ran on.")
    addresses: dict[str, str] = Field(
        {},
        description="What answered in a provider's place, by part; where there is one the figures are not the "
        "provider's.",
    )
    base: str | None = Field(
        None, description="Folder of the experiment file, from which its relative paths start; null in older results."
    )
    servers: dict[str, Options] = Field(
        {},
        description="Engines outside this process by store part: what each says of itself, its version and its "
        "`connection`, as the adapter names them.",
    )
    seed: int | None = Field(None, description="Seed of everything that is drawn at random.")
    resumed: bool | None = Field(None, description="Whether the run went on with one that was cut off.")
