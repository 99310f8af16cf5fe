"""The judged queries of a result, with what one of its systems found for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.results.model import Result, SystemResult
from bench.results.rankings import Rankings, run_file, shown_build
from bench.results.texts import read_query_texts
from bench.retriever.proof import Hit, Question
from bench.retriever.refusal import RetrieverRefused

_NOBODY = "\x00"  # no document has this id: leaving it out asks an engine for one document more, and changes nothing


def questions_of(
    result: Result,
    folder: Path,
    system: SystemResult,
    *,
    most: int | None,
    whole_texts: Callable[[], Mapping[str, str]],
) -> list[Question]:
    """The judged queries with the measured rankings. most: how many at most, spread over all; None for all.
    whole_texts: reads the texts of all judged queries from the data, where the result does not hold them whole.

    Raises RetrieverRefused where the rankings are gone, and ResultUnreadable.
    """
    texts = {name: text.whole for name, text in read_query_texts(folder).items() if not text.cut}
    if len(texts) < result.dataset.judged:
        texts = dict(whole_texts())
    path = run_file(folder, system.name, shown_build(system))
    rankings = Rankings(path, texts, ())
    if not rankings.kept:
        raise RetrieverRefused(f"{path}: the rankings of {system.name} are gone. Copy the result's folder whole.")
    chosen = list(texts)
    if most is not None and most < len(chosen):
        chosen = [chosen[i * len(chosen) // most] for i in range(most)]
    own = result.dataset.own_documents_left_out > 0
    found: list[Question] = []
    for name in chosen:
        measured = [Hit(hit.document, hit.score) for hit in rankings.of(name)]
        exclude = _excluded(name, measured) if own else ()
        found.append(Question(name, texts[name], measured, exclude))
    return found


def _excluded(query: str, measured: list[Hit]) -> tuple[str]:
    """What a ranking left out: the query's own document. One that is relevant to it stays in the ranking."""
    return (_NOBODY,) if any(hit.document == query for hit in measured) else (query,)
