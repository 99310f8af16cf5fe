"""By which laws a result was made, from what, on which machine, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.document.parts import Block, Bullets, Line, Listing, Paragraph, Section, Table, Term
from bench.report.document.paths import step
from bench.report.document.source import Source
from bench.report.document.words import measure, words


def section(source: Source) -> Section:
    """The sixth part of a report."""
    blocks: list[Block] = [Bullets(tuple(_laws(source))), _facts(source)]
    blocks += [table for table in (_packages(source), _servers(source)) if table is not None]
    blocks.append(
        Paragraph(
            (
                "To make it again: write the experiment below into experiment.yaml, put the data where it "
                "says, and type: bench run experiment.yaml",
            )
        )
    )
    blocks.append(Listing(("The experiment as it was run",), source.figure("experiment", "block")))
    return Section("origin", ("Method and origin",), tuple(blocks))


def _laws(source: Source) -> Iterator[Line]:
    """What holds of the numbers, as far as this result uses it."""
    result = source.result
    yield ("The measure that decides is ", measure(source, result.primary), ", the first of the experiment.")
    yield (
        "An ",
        Term("interval", "interval"),
        " of a mean covers the sampling of queries",
        ", and of builds and seeds where there are several." if any(s.builds for s in source.systems) else ".",
    )
    if source.baseline is not None:
        yield (
            "Differences are paired by query. Their intervals hold for all systems at once, so that comparing many "
            "systems does not make one of them look better by chance.",
        )
        if result.margin is not None:
            yield ("The margin is ", source.figure("margin"), ": a system shown to lose no more counts as good enough.")
    if result.experiment.get("cluster"):
        yield ("Queries of one group were resampled together, by ", source.figure("experiment.cluster", "text"), ".")
    yield ("A query that failed or found nothing scores nothing and stays in every mean.",)
    if any(system.latency is not None for system in source.systems):
        yield (
            "Quality was measured in batches, times in a second pass with live queries, system after system in rounds: "
            "so the machine's drift hits all alike.",
        )
    if result.dataset.own_documents_left_out:
        yield (
            "For ",
            source.figure("dataset.own_documents_left_out", "count"),
            " queries their own document, of the same id, was left out of every ranking.",
        )
    if result.targets:
        yield (
            "A setting was chosen for a target on ",
            source.figure("targets[0].chosen_on", "count"),
            " queries and is reported on ",
            source.figure("targets[0].reported_on", "count"),
            " others.",
        )
    if any(system.cost is not None and system.cost.machine_usd_per_hour is not None for system in source.systems):
        at = next(i for i, s in enumerate(source.systems) if s.cost and s.cost.machine_usd_per_hour is not None)
        yield (
            "Time on the machine costs ",
            source.figure(f"systems[{at}].cost.machine_usd_per_hour", "usd"),
            " an hour, as the file says.",
        )


def _facts(source: Source) -> Table:
    machine, rows = (
        "provenance.machine",
        [
            ("collection", "dataset.name", "text"),
            ("split", "dataset.split", "text"),
            ("documents", "dataset.documents", "count"),
            ("queries", "dataset.queries", "count"),
            ("queries that were judged", "dataset.judged", "count"),
            ("fingerprint of the collection", "dataset.fingerprint", "text"),
            ("digest of the configuration", "config_hash", "text"),
            ("digest of the result", "digest", "text"),
            ("seed of all that is drawn", "provenance.seed", "count"),
            ("began", "started_at", "time"),
            ("ended", "finished_at", "time"),
            ("commit of the program", "provenance.commit", "text"),
        ],
    )
    rows += [
        ("processor", f"{machine}.processor", "text"),
        ("cores", f"{machine}.cores", "count"),
        ("memory, MiB", f"{machine}.memory_bytes", "mib"),
        ("system", f"{machine}.system", "text"),
        ("its release", f"{machine}.release", "text"),
        ("Python", f"{machine}.python", "text"),
    ]
    known = [(name, path, form) for name, path, form in rows if source.value(path) is not None]
    cells = tuple((words(name), words(source.figure(path, form))) for name, path, form in known)
    return Table("facts", ("Where this result comes from",), (words("what"), words("value")), cells)


def _packages(source: Source) -> Table | None:
    packages = source.result.provenance.packages
    if not packages:
        return None
    rows = tuple(
        (
            words(source.figure(f"computed.packages[{i}]", "text")),
            words(source.figure(f"provenance.packages{step(name)}", "text")),
        )
        for i, name in enumerate(packages)
    )
    return Table(
        "packages", ("Versions of the packages that can change a figure",), (words("package"), words("version")), rows
    )


def _servers(source: Source) -> Table | None:
    servers = source.result.provenance.servers
    if not servers:
        return None
    rows = tuple(
        (
            words(source.figure(f"computed.servers[{i}]", "text")),
            words(source.figure(f"provenance.servers{step(name)}", "settings")),
        )
        for i, name in enumerate(servers)
    )
    return Table("servers", ("Engines outside the process",), (words("store"), words("what it says of itself")), rows)
