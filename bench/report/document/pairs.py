"""Single queries: the largest gains and losses of one system against another, and those that every system fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.document.parts import (
    Block,
    Inline,
    Line,
    Paragraph,
    Passage,
    QueryCard,
    QueryCards,
    Section,
)
from bench.report.document.source import Source
from bench.report.document.words import listed, measure
from bench.report.queries import failed_by_all, largest_first
from bench.results.rankings import Rankings
from bench.results.texts import Text
from bench.statistics.measure_names import Measure

EACH = 20
"""Queries of each kind that are shown at most."""
HITS = 5
RELEVANT = 4
LONGEST = 320
"""Characters of a text that are shown."""
_KINDS = (("loss", "losses"), ("gain", "gains"), ("hard", "that all fail"))


def moved(source: Source) -> Mapping[str, Any]:
    """The two systems that are set side by side, how many queries differ, and those that are shown. Of `loss` and
    `gain` the largest differences come first; `hard` are queries in which every system scores nothing."""
    sides = _sides(source)
    figures = source.figures
    if figures is None or len(sides) < 2:
        return {}
    system, other = sides
    primary = Measure.parse(source.result.primary)
    values = {
        name: of.mean(axis=0)
        for name in figures.systems
        if (of := figures.systems[name].values.get(primary)) is not None
    }
    names = [source.systems[place].name for place in (system, other)]
    if any(name not in values for name in names):
        return {}
    difference = values[names[0]] - values[names[1]]
    losses, gains, hard = largest_first(-difference), largest_first(difference), failed_by_all(list(values.values()))
    chosen = {"loss": losses[:EACH], "gain": gains[:EACH], "hard": hard[:EACH]}
    rankings = [source.rankings(place) for place in sides]
    shown = [(kind, i) for kind, rows in chosen.items() for i in rows]
    texts = _texts(source, [figures.query_ids[i] for _, i in shown], rankings)
    return {
        "system": names[0],
        "other": names[1],
        "counts": {"loss": len(losses), "gain": len(gains), "hard": len(hard), "queries": len(difference)},
        "shown": {kind: len(rows) for kind, rows in chosen.items()},
        "queries": [
            {
                "kind": kind,
                **_query(source, figures.query_ids[i], rankings, texts),
                "values": [float(values[name][i]) for name in names],
                "difference": float(difference[i]),
            }
            for kind, i in shown
        ],
    }


def _sides(source: Source) -> list[int]:
    """The proposed system, or else the best one, against the baseline; where it is the baseline, the best other one
    against it; without a baseline against the second."""
    decision, answer = source.computed("decision"), source.computed("answer")
    chosen = decision["system"]
    first = chosen if chosen is not None else source.places.get(answer["best"] or "")
    if first is None:
        return []
    others = [source.places[name] for name in answer["contenders"] if source.places[name] != first]
    if source.baseline is None or source.baseline == first:
        second = decision["second"] if decision["second"] is not None else next(iter(others), None)
        if second is None:
            return []
        return [second, first] if first == source.baseline else [first, second]
    return [first, source.baseline]


def _texts(source: Source, queries: Sequence[str], rankings: Sequence[Rankings | None]) -> dict[str, Text]:
    """The texts of what is shown, read once."""
    wanted: set[str] = set()
    for query in queries:
        wanted |= set(_relevant(source, query)[:RELEVANT])
        for ranking in rankings:
            wanted |= set(source.hits(ranking, query)[:HITS] if ranking is not None else ())
    return source.documents(wanted)


def _relevant(source: Source, query: str) -> list[str]:
    grades = source.judgements.get(query, {})
    return sorted((document for document, grade in grades.items() if grade > 0), key=lambda each: -grades[each])


def _query(
    source: Source, query: str, rankings: Sequence[Rankings | None], texts: Mapping[str, Text]
) -> dict[str, Any]:
    relevant = _relevant(source, query)
    text = source.query_texts.get(query)
    found = [source.hits(ranking, query) if ranking is not None else [] for ranking in rankings]
    return {
        "id": query,
        "text": None if text is None else _cut(text.whole),
        "relevant": [
            {"id": document, "text": _shown(texts.get(document)), "places": [_place(hits, document) for hits in found]}
            for document in relevant[:RELEVANT]
        ],
        "more_relevant": max(0, len(relevant) - RELEVANT),
        "hits": [
            [
                {"id": document, "text": _shown(texts.get(document)), "relevant": document in relevant}
                for document in hits[:HITS]
            ]
            for hits in found
        ],
    }


def _place(hits: Sequence[str], document: str) -> int | None:
    return hits.index(document) + 1 if document in hits else None


def _shown(text: Text | None) -> str | None:
    return None if text is None else _cut(text.whole)


def _cut(text: str) -> str:
    text = " ".join(text[: 8 * LONGEST].split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


# -- the section -----------------------------------------------------------------------------------------------------


def section(source: Source) -> Section:
    """The fifth part of a report."""
    pairs = source.computed("pairs")
    blocks: list[Block]
    if not pairs or not pairs["queries"]:
        why = (
            "No two systems of this result can be set side by side query by query."
            if not pairs
            else "The two systems answer every query alike."
        )
        blocks = [Paragraph((why,))]
    else:
        blocks = [Paragraph(_introduction(source, pairs)), _cards(source, pairs)]
    return Section("queries", ("Queries",), tuple(blocks))


def _introduction(source: Source, pairs: Mapping[str, Any]) -> Line:
    path = "computed.pairs"
    counts = pairs["counts"]
    line: list[Inline] = ["Of ", source.figure(f"{path}.counts.queries", "count"), " queries, "]
    line += [source.figure(f"{path}.system", "text"), " answers ", source.figure(f"{path}.counts.gain", "count")]
    line += [" better than ", source.figure(f"{path}.other", "text"), " and "]
    line += [source.figure(f"{path}.counts.loss", "count"), " worse, by ", measure(source, source.result.primary)]
    line += ["; in ", source.figure(f"{path}.counts.hard", "count"), " every system scores nothing."]
    cut = [(kind, words) for kind, words in _KINDS if counts[kind] > pairs["shown"][kind]]
    if cut:
        shown: list[Line] = [(source.figure(f"{path}.shown.{kind}", "count"), f" {words}") for kind, words in cut]
        line += [" Shown are, the largest differences first, ", *listed(shown), "; bench queries lists all."]
    for side in ("system", "other"):
        if len(source.systems[source.places[pairs[side]]].builds) > 1:
            line += [" Of ", source.figure(f"{path}.{side}", "text"), ", values are means over its builds or seeds; "]
            line += ["hits and places are of the one that a user would take."]
    return tuple(line)


def _cards(source: Source, pairs: Mapping[str, Any]) -> QueryCards:
    cards = tuple(_card(source, pairs, i) for i in range(len(pairs["queries"])))
    present = {card.kind for card in cards}
    return QueryCards(tuple(kind for kind in _KINDS if kind[0] in present), cards)


def _card(source: Source, pairs: Mapping[str, Any], i: int) -> QueryCard:
    query, path = pairs["queries"][i], f"computed.pairs.queries[{i}]"
    sides = tuple(
        (
            (source.figure(f"computed.pairs.{side}", "text"), " ", source.figure(f"{path}.values[{j}]")),
            tuple(
                Passage(
                    (source.figure(f"{path}.hits[{j}][{n}].id", "text"),),
                    _text(source, f"{path}.hits[{j}][{n}].text"),
                    hit["relevant"],
                )
                for n, hit in enumerate(query["hits"][j])
            ),
        )
        for j, side in enumerate(("system", "other"))
    )
    title = "text" if query["text"] is not None else "id"
    summary: Line = (
        "query ",
        source.figure(f"{path}.id", "text"),
        ", difference ",
        source.figure(f"{path}.difference", "signed"),
    )
    relevant = tuple(
        Passage(_where(source, f"{path}.relevant[{n}]"), _text(source, f"{path}.relevant[{n}].text"), True)
        for n in range(len(query["relevant"]))
    )
    if query["more_relevant"]:
        summary = (*summary, ", ", source.figure(f"{path}.more_relevant", "count"), " more relevant documents")
    return QueryCard((source.figure(f"{path}.{title}", "text"),), summary, relevant, sides, query["kind"])


def _where(source: Source, path: str) -> Line:
    """Its id, and where each of the two systems put it."""
    line: list[Inline] = [source.figure(f"{path}.id", "text")]
    for j, side in enumerate(("system", "other")):
        line += [", " if j else ": ", source.figure(f"computed.pairs.{side}", "text")]
        if source.value(f"{path}.places[{j}]") is None:
            line += [" does not find it"]
        else:
            line += [" puts it at place ", source.figure(f"{path}.places[{j}]", "count")]
    return tuple(line)


def _text(source: Source, path: str) -> Line:
    return () if source.value(path) is None else (source.figure(path, "text"),)
