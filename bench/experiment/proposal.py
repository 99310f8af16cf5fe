"""Writes the text of an experiment that is worth running: with what this machine has, and nothing in it that does
nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters import printable
from adapters.at_hand import Offer
from bench.experiment.languages import Language
from bench.experiment.yaml_text import parse_yaml

_SMALLEST_FOR_PQ = 256  # vectors that its codes learn from
_ROWS_PER_PARTITION = 256  # fewer, and the engine makes fewer partitions
_MOST_PARTITIONS = 256
_LEAST_PROBES = 8
_PRICED = (("openai", "text-embedding-3-small"), ("cohere", "embed-v5.0-fast"))  # services that embed


@dataclass(frozen=True, slots=True)
class Subject:
    """What an experiment is about. what: in words; dataset: lines of YAML below `dataset:`; documents: about how many;
    labelled, texts: whether there are judgements, and texts rather than vectors; questions: whether there are some,
    else they are written; runs: whether the file has no places to fill."""

    name: str
    what: str
    dataset: Sequence[str]
    documents: int
    language: Language
    labelled: bool = True
    texts: bool = True
    questions: bool = True
    runs: bool = True


@dataclass(frozen=True, slots=True)
class AtHand:
    """What can be used. prices: a line for each service that embeds for money."""

    encoders: Sequence[Offer] = ()
    rerankers: Sequence[Offer] = ()
    servers: Sequence[Offer] = ()
    writers: Sequence[Offer] = ()
    prices: Mapping[tuple[str, str], str] | None = None


def experiment_text(subject: Subject, hand: AtHand) -> str:
    """The file, commented."""
    return "\n".join(_sections(subject, hand)) + "\n"


def _sections(subject: Subject, hand: AtHand) -> Iterator[str]:
    # A file's name may hold a line end, and what follows that would no longer be a comment.
    yield f"# Written from {printable(subject.what, keep='')}."
    if subject.runs:
        yield "# Change what you like; `bench run` reads it as it is."
    else:
        yield "# It does not run yet: fill the places that say so, between < and >."
    yield "# `bench run FILE --dry-run` says what a run would do; `bench schema` helps editors to complete keys."
    yield f"experiment: {subject.name}"
    yield "dataset:"
    yield from (f"  {line}" for line in subject.dataset)
    if not subject.questions:
        yield "  queries: synthetic   # nobody asked these: they find what is badly broken, and train models"
    yield ""
    if not subject.questions:
        yield from _writing(subject, hand)
    names = [offer.name for offer in hand.encoders[:2]] if subject.texts else ["given"]
    yield from _encoders(subject, hand)
    pq = bool(names) and subject.documents >= _SMALLEST_FOR_PQ
    yield from _stores(subject, hand, pq=pq, dense=bool(names))
    reranked, rerankers = _reranked(names, hand) if subject.texts else ([], [])
    if rerankers:
        yield from ("rerankers:", *rerankers, "")
    yield "systems:"
    yield from _systems(subject, hand, names, pq=pq)
    yield from reranked
    yield "# - {name: today, run: today.trec}   # the rankings of what you use now, as a TREC run file"
    yield ""
    if subject.texts:
        yield "baseline: bm25"
        yield "margin: 0.02   # a loss smaller than this does not matter to you"
    if not subject.labelled:
        yield "measures: [ANN@10, ANN@1]   # no judgements: recall against exact search decides"
    yield "latency: {samples: 1000, seconds: 60}"


def _writing(subject: Subject, hand: AtHand) -> Iterator[str]:
    writer = hand.writers[0]
    yield "generators:"
    yield f"  writer: {flow(writer.options)}   # {_about(writer)}"
    sample = "" if subject.documents <= 200 else ", sample: 200"
    yield f"synthetic: {{by: writer, per_document: 3{sample}, round_trip: {{system: bm25, top: 10}}}}"
    yield ""


def _encoders(subject: Subject, hand: AtHand) -> Iterator[str]:
    if not subject.texts:
        yield "encoders:"
        yield "  given: {adapter: precomputed, similarity: cosine}   # or dot, l2: as the vectors' model means it"
        yield ""
        return
    shown = hand.encoders[:2]
    comment = "" if shown else "# "
    yield f"{comment}encoders:"
    for offer in shown:
        yield f"  {quoted(offer.name)}: {flow(offer.options)}   # {_about(offer)}"
    if len(shown) < 2:
        yield "# a-second: {adapter: sentence_transformers, model: …}   # a hub id, a folder, package:NAME/PATH"
    for (service, model), price in (hand.prices or {}).items():
        yield f"# {service}: {{adapter: {service}, model: {model}}}   # asks a service: {price}"
    yield ""


def _about(offer: Offer) -> str:
    return f"{offer.about}; the first run downloads it" if offer.downloaded else offer.about


def _stores(subject: Subject, hand: AtHand, *, pq: bool, dense: bool) -> Iterator[str]:
    servers = hand.servers if dense else ()
    if subject.texts or pq or servers:
        yield "stores:"
    if subject.texts:
        bm25 = subject.language.bm25
        said = _tokenizing(subject.language)
        yield f"  bm25: {flow({'adapter': 'bm25', **({'index': bm25} if bm25 else {})})}   # {said}"
    if pq:
        partitions, probes = partitions_for(subject.documents)
        yield "  ivf-pq:"
        yield "    adapter: lancedb"
        yield f"    index: {{type: IVF_PQ, num_partitions: {partitions}}}"
        lists = f"lists multiply: [{max(1, probes // 4)}, {probes}]" if probes > 1 else "lists multiply"
        yield f"    query: {{nprobes: {probes}, refine_factor: 10}}   # {lists}"
    for offer in servers:
        yield f"  {quoted(offer.name)}: {flow(offer.options)}   # {offer.about}"
    yield ""


def _tokenizing(language: Language) -> str:
    if language.bm25.get("tokenizer") in ("jieba", "characters"):
        return "a script without spaces between words; or tokenizer: jieba, characters"
    if language.name is not None:
        return f"{language.name.capitalize()}, as far as its frequent words tell; or tokenizer: default, stem, code"
    return "tokenizer: stem with a language, jieba or characters for scripts without spaces, code for names like C++"


def partitions_for(documents: int) -> tuple[int, int]:
    """How many partitions an index of so many documents has, and how many of them a search looks into: about the square
    root, as far as each gets enough rows, and an eighth, but no fewer than a few."""
    most = max(1, documents // _ROWS_PER_PARTITION)
    partitions = min(most, _MOST_PARTITIONS, max(1, round(math.sqrt(documents))))
    return partitions, min(partitions, max(_LEAST_PROBES, partitions // 8))


def _systems(subject: Subject, hand: AtHand, names: Sequence[str], *, pq: bool) -> Iterator[str]:
    if subject.texts:
        yield "  - {name: bm25, store: bm25}"
    if not names:
        return
    first, *others = names
    yield f"  - {{name: dense, encoder: {quoted(first)}}}   # exact search"
    for other in others:
        yield f"  - {{name: {quoted(f'dense-{other}')}, encoder: {quoted(other)}}}"
    if pq:
        yield f"  - {{name: dense-ivf-pq, encoder: {quoted(first)}, store: ivf-pq}}"
    for offer in hand.servers:
        yield f"  - {{name: {quoted(f'dense-{offer.name}')}, encoder: {quoted(first)}, store: {quoted(offer.name)}}}"
    if subject.texts:
        yield "  - {name: hybrid, fuse: [bm25, dense], by: rrf}"


def _reranked(names: Sequence[str], hand: AtHand) -> tuple[list[str], list[str]]:
    """A system whose candidates another model orders anew, and the reranker that it needs. The model that found them
    would leave them as they are."""
    if not names:
        return [], []
    scored, about = {"adapter": "bi_encoder", "encoder": names[-1]}, "or a cross_encoder with `model: …`"
    if hand.rerankers:
        scored, about = dict(hand.rerankers[0].options), f"a cross-encoder {hand.rerankers[0].about}"
    reranker = f"  rescore: {flow(scored)}   # {about}"
    if hand.rerankers or len(names) > 1:
        return [f"  - {{name: dense-reranked, encoder: {quoted(names[0])}, reranker: rescore, depth: 50}}"], [reranker]
    return ["  - {name: bm25-reranked, store: bm25, reranker: rescore}"], [reranker]


# -- YAML --------------------------------------------------------------------------------------------------------------


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(name))}: {flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, bool) or not isinstance(value, str):
        return json.dumps(value)
    # In braces a comma, a bracket or a colon ends a text.
    return value if re.fullmatch(r"[\w./-]+(:[\w./-]+)*", value) and _reads_as_itself(value) else quoted(value)


def quoted(text: str) -> str:
    """A text as YAML reads it back: `2024` and `null` are texts here."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text) and _reads_as_itself(text):
        return text
    return printable(json.dumps(text, ensure_ascii=False), keep="")


def _reads_as_itself(text: str) -> bool:
    """Whether a text without quotes is the same text to who reads the file: `.inf`, `1.5` and `---` are not."""
    try:
        return bool(parse_yaml(text) == text)
    except ValueError:
        return False


def priced(prices: Any) -> dict[tuple[str, str], str]:
    """What services that embed ask for, in words."""
    found = {}
    for service, model in _PRICED:
        if (price := prices.find(service, model)) is not None:
            found[service, model] = f"${price.usd:g} per million tokens, as read in {price.read_on}"
    return found
