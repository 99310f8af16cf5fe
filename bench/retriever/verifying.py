"""Proves a file against the result that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cache.artifacts import Cache
from bench.messages.wording import counted
from bench.quality.stages import Emit, Stage
from bench.results.model import Result
from bench.retriever.environments import fresh_python
from bench.retriever.measured import chosen_system
from bench.retriever.proof import LEAST_OVERLAP, Named, Proof, named_in, prove
from bench.retriever.questions import questions_of
from bench.retriever.refusal import RetrieverRefused
from bench.retriever.writing import opened

_NAMED = 5  # differences that are named

Read = Callable[[Path], tuple[Result, Path]]
"""Reads a result's folder: the result, and the cache that it was run with."""


@dataclass(frozen=True, slots=True)
class Verified:
    """text: what is told of a proof."""

    proof: Proof
    text: str


def verify(
    file: Path, folder: Path | None, system: str | None, most: int | None, *, fresh: bool, emit: Emit, read: Read
) -> Verified:
    """Ask a file the judged queries of a result, at most so many, and compare. folder, system: None for those that the
    file names. Raises RetrieverRefused where that cannot be done, and as reading a result does."""
    named = named_in(file)
    place, name = _place(file, folder, named), system or named.system
    result, cache = read(place)
    entry = chosen_system(result, place, name)

    def whole_texts() -> Mapping[str, str]:
        with opened(result, place, cache, emit) as measured:
            dataset = measured.pipeline.dataset
            return dict(zip(dataset.query_ids, dataset.query_texts, strict=True))

    questions = questions_of(result, place, entry, most=most, whole_texts=whole_texts)
    python = None
    if fresh:
        with Stage(emit, "build", "environment", 1, "environments") as advance:
            python = str(fresh_python(file, Cache(cache)))
            advance(1)
    with Stage(emit, "search", file.name, len(questions), "queries") as advance:
        k = int(entry.pipeline.k or 10)
        proof = prove(file, named.class_name, questions, k=k, exact=named.exact, python=python, advance=advance)
    return Verified(proof, _told(file, proof, name, place))


def _place(file: Path, folder: Path | None, named: Named) -> Path:
    if folder is not None:
        return folder
    if not named.result:
        raise RetrieverRefused(f"{file}: names no result. Name it: --result RESULT --system NAME")
    place = Path(named.result)
    if not place.exists():
        raise RetrieverRefused(f"{file}: the result that it names is not at {place}. If it was moved: --result RESULT")
    return place


def _told(file: Path, proof: Proof, system: str, folder: Path) -> str:
    asked = counted(len(proof.shares), "query")
    if proof.exact and proof.holds:
        return f"{file}: the same as measured: {asked}, the same documents in the same order ({system} in {folder})."
    share = f"{100 * proof.overlap:.2f} % of the measured documents were found, over {asked}"
    if proof.holds:
        return f"{file}: as measured: {share}; {100 * LEAST_OVERLAP:.0f} % are asked for ({system} in {folder})."
    lines = [
        f"{file}: NOT as measured: {counted(len(proof.differences), 'query')} of {len(proof.shares):,} differ; {share}."
    ]
    lines += [f"  {difference}" for difference in proof.differences[:_NAMED]]
    if len(proof.differences) > _NAMED:
        lines.append(f"  and {len(proof.differences) - _NAMED:,} more")
    return "\n".join(lines)
