"""The proof that a retriever's file finds what was measured."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.results.ids import encode_id
from bench.retriever import prover
from bench.retriever.refusal import RetrieverRefused

TOLERANCE = 1e-6
"""How much two scores may differ, relative to the larger of 1 and the score."""
LEAST_OVERLAP = 0.99
"""The mean share of the measured documents that a retriever must find where it cannot be the same to the last place."""
_PROJECT = ("bench", "adapters")


class Hit(NamedTuple):
    """A document in a ranking."""

    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Named:
    """What a file says of itself: the result and system that it comes from, its class, and whether it finds the same as
    was measured, short of rounding: not with a service's model, or an index that was built again."""

    result: str
    system: str
    class_name: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A query with its measured ranking. exclude: ids of documents that the ranking leaves out."""

    id: str
    text: str
    measured: Sequence[Hit]
    exclude: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A query that the file answers otherwise. place: of the first difference, from 1."""

    query: str
    place: int
    measured: str | None
    found: str | None

    def __str__(self) -> str:
        return (
            f"query {self.query}, place {self.place}: {self.found or 'nothing'} where {self.measured or 'nothing'} was "
            "measured"
        )


@dataclass(slots=True)
class Proof:
    """What a file found. shares: of the measured documents, by query."""

    exact: bool
    differences: list[Difference] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    @property
    def overlap(self) -> float:
        """The mean share of the measured documents that were found; 1 where nothing was asked."""
        return sum(self.shares) / len(self.shares) if self.shares else 1.0

    @property
    def holds(self) -> bool:
        """Whether it finds what was measured, as nearly as it can be asked for."""
        return not self.differences if self.exact else self.overlap >= LEAST_OVERLAP


def named_in(path: Path) -> Named:
    """What a retriever's file says of itself; it is read and not run. Raises RetrieverRefused."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RetrieverRefused(f"{path}: there is no such file. Write one: bench retriever RESULT -o {path}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise RetrieverRefused(f"{path}: cannot be read as Python: {error}") from error
    values: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    offered = values.get("__all__")
    named = [name for name in offered if name in classes] if isinstance(offered, list) else []
    class_name = next(iter([*named, *classes[-1:]]), None)
    if class_name is None:
        raise RetrieverRefused(f"{path}: holds no class, so it is no retriever that `bench retriever` wrote.")
    exact = values.get("EXACT") is not False
    return Named(str(values.get("RESULT") or ""), str(values.get("SYSTEM") or ""), class_name, exact)


def prove(
    path: Path,
    class_name: str,
    questions: Sequence[Question],
    *,
    k: int,
    exact: bool,
    python: str | None,
    advance: Callable[[int], None],
) -> Proof:
    """Ask a file all questions in a process of its own, and compare. exact: whether order and scores must be the same;
    else the overlap counts. python: the interpreter; None for this one, from which this project is hidden.

    Raises RetrieverRefused where the file cannot be run, with what it says.
    """
    proof = Proof(exact)
    for question, found in zip(questions, _answers(path, class_name, questions, k, python), strict=True):
        compare(question, found, k, proof)
        advance(1)
    return proof


def compare(question: Question, found: Sequence[Hit], k: int, proof: Proof) -> None:
    """Compare what was found with what was measured, the first k places of each."""
    names = [Hit(encode_id(hit.document), hit.score) for hit in found]
    measured = question.measured[:k]
    wanted = {hit.document for hit in measured}
    proof.shares.append(len(wanted & {hit.document for hit in names[:k]}) / len(wanted) if wanted else 1.0)
    place = first_difference(measured, names, k)
    if place is not None:
        proof.differences.append(
            Difference(question.id, place + 1, _document(measured, place), _document(names[:k], place))
        )


def first_difference(measured: Sequence[Hit], found: Sequence[Hit], k: int) -> int | None:
    """The first place, from 0, at which two rankings differ; None where they are the same.

    Documents whose scores differ by at most the tolerance may change places, also with one beyond the cut: the scores
    of a place decide, and a document that stands in both must have the same score in both.
    """
    ours, theirs = found[:k], measured[:k]
    known = {hit.document: hit.score for hit in found}
    for place in range(max(len(ours), len(theirs))):
        if place >= len(ours) or place >= len(theirs):
            return place
        mine, other = ours[place], theirs[place]
        if not near(mine.score, other.score):
            return place
        if mine.document != other.document:
            # Another document may stand here where its own score is as good as the same.
            elsewhere = known.get(other.document)
            if elsewhere is not None and not near(elsewhere, other.score):
                return place
            if elsewhere is None and not near(theirs[-1].score, other.score):
                return place  # it is not found at all, and no tie at the cut explains it
            if mine.document not in {hit.document for hit in theirs} and not near(theirs[-1].score, mine.score):
                return place
    return None


def near(one: float, other: float) -> bool:
    """Whether two scores are the same, short of rounding."""
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))


def _document(ranking: Sequence[Hit], place: int) -> str | None:
    return ranking[place].document if place < len(ranking) else None


def _answers(
    path: Path, class_name: str, questions: Sequence[Question], k: int, python: str | None
) -> Iterator[list[Hit]]:
    """What a file finds for each question, in a process that is isolated from this one's environment and folder."""
    told = {"class": class_name, "hidden": [] if python else [*_PROJECT, *_third_parties()]}
    lines = [json.dumps(told)]
    lines += [json.dumps({"query": q.text, "k": k, "exclude": list(q.exclude)}) for q in questions]
    command = [python or sys.executable, "-I", str(Path(prover.__file__)), str(path.resolve())]
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        given.write("\n".join(lines).encode() + b"\n")
        given.seek(0)
        with subprocess.Popen(
            command, stdin=given, stdout=subprocess.PIPE, stderr=said, cwd=folder, env={**os.environ}
        ) as process:
            try:
                assert process.stdout is not None
                yield from _read(path, process.stdout, len(questions), said)
            finally:
                process.kill()


def _read(path: Path, output: IO[bytes], count: int, said: IO[bytes]) -> Iterator[list[Hit]]:
    for _ in range(count):
        line = output.readline()
        answer: Mapping[str, Any] = json.loads(line) if line.strip() else {}
        if "hits" not in answer:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            cause = answer.get("error") or "".join(last) or "it ended without a word"
            raise RetrieverRefused(f"{path}: {cause}")
        yield [Hit(str(document), float(score)) for document, score in answer["hits"]]


def _third_parties() -> list[str]:
    """The packages that bring adapters of third parties."""
    points = entry_points()
    groups = [group for group in points.groups if group.startswith("retrieval_bench.")]
    return sorted({each.module.partition(".")[0] for group in groups for each in points.select(group=group)})
