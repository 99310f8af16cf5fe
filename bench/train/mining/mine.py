"""Finds hard negatives for the pairs that a model learns from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.base import EMPTY_ROW, Encoder, Floats, InvalidOptions, Questions, Reranker, Warned
from bench.cache.artifacts import Cache
from bench.cache.digests import content_key
from bench.cache.locks import entry_locked
from bench.cache.machine_lock import at_work
from bench.data.dataset import Dataset
from bench.data.tables import table_digest
from bench.experiment.negatives import WRITTEN, Negatives
from bench.money.budget import Budget
from bench.money.cost import price_of
from bench.quality.stages import Emit, Stage, waiting
from bench.synthetic.answers import Answers
from bench.train.mining import kept
from bench.train.mining.asked import Asked, column_of
from bench.train.mining.choosing import Candidate, Choosing, Dropped
from bench.train.mining.helpers import Helpers
from bench.train.mining.judging import Judging
from bench.train.mining.lexical import bm25, lexical
from bench.train.mining.mined import RULES, Mined, MiningReport
from bench.train.mining.nearest import Nearness
from bench.train.mining.rankings import ByBoth, ByCluster, ByTerms, ByVectors, Drawn, Rankings
from bench.train.mining.written import Copies, Text, Writer, Written, answering, writer_of
from bench.train.teaching import Teaching

_SLACK = 16  # documents beyond those that are surely barred, for texts that stand in the corpus twice
_BARRED = 100  # positives of a query that every search allows for; where a query has more, it is searched again
_FOR_JUDGE = 4  # documents drawn for each that is wanted, where a filter throws some out
LAYOUT = 1  # a higher number mines again what an earlier version mined


def mine(
    spec: Negatives,
    pairs: pa.Table,
    dataset: Dataset,
    *,
    helpers: Helpers,
    seed: int,
    cache: Path,
    emit: Emit,
    budget: Budget,
) -> Mined:
    """Find negatives for pairs, or take those that were found before.

    pairs: columns query_id, document_id, query, positive. dataset: the split that the pairs are of; its judgements say
    what is positive, and no other's do. helpers: those whom the strategy and the filter ask are asked, and no others.
    Which negatives a pair gets depends on its content, the corpus and the seed, not on the order of the pairs or on how
    much memory there is.
    Raises InvalidOptions, and what the helpers raise.
    """
    check(spec, dataset, helpers)
    helpers, asked = helpers.of(spec), Asked(pairs, dataset)
    writer = _writer(spec, helpers, dataset)
    key = negatives_key(spec, asked, helpers, writer, seed)
    work = _Mining(spec, asked, helpers, writer, seed=seed, cache=Cache(cache), emit=emit, budget=budget)
    table, report = _kept_or_mined(work, key)
    columns = [(name, table.column(name).combine_chunks()) for name in ("negatives", "negative_ids", "negative_scores")]
    return Mined(asked.restored(columns, pairs), report, key)


def is_kept(spec: Negatives, pairs: pa.Table, dataset: Dataset, *, helpers: Helpers, seed: int, cache: Path) -> bool:
    """Whether `mine` would take what was found before. Arguments as there."""
    helpers, asked = helpers.of(spec), Asked(pairs, dataset)
    key = negatives_key(spec, asked, helpers, _writer(spec, helpers, dataset), seed)
    return isinstance(kept.kept(cache, key), tuple)


def _writer(spec: Negatives, helpers: Helpers, dataset: Dataset) -> Writer | None:
    return None if helpers.writer is None else writer_of(spec, helpers.writer, dataset)


def _kept_or_mined(work: _Mining, key: str) -> tuple[pa.Table, MiningReport]:
    """What is kept under a key, mined where nothing is. What others are asked for is asked before the entry is held."""
    cache, emit = work.cache.folder, work.emit
    while True:
        given = None if isinstance(kept.kept(cache, key), tuple) else work.given()
        with entry_locked(cache, f"{kept.FOLDER}-{key}", waiting(emit)):
            found = kept.kept(cache, key)
            if isinstance(found, tuple):
                return found[0], found[1].model_copy(update={"reused": True})
            if given is None:  # damaged this very moment
                continue
            if isinstance(found, str):
                emit(Warned("negatives", f"{found}; they are mined again."))
            with at_work(waiting(emit)):
                table, report = work.mined(given)
            kept.keep(cache, key, table, report)
            return table, report


def check(spec: Negatives, dataset: Dataset, helpers: Helpers) -> None:
    """Raise InvalidOptions for what can be known to fail before anything is computed."""
    encoder, judge = helpers.encoder, helpers.judge
    if spec.by_vectors and encoder is None:
        raise InvalidOptions(f"strategy {spec.strategy} needs a mining model: name an encoder.", key="model")
    if spec.strategy == WRITTEN and encoder is not None and spec.by_vectors and encoder.consumes == "vector":
        raise InvalidOptions(
            "the data's own vectors are of its documents, and texts that a generator writes have none. Name an encoder "
            "of the file that reads texts.",
            key="model",
        )
    if spec.not_same is not None:
        column_of(spec.not_same, dataset)
    if spec.filter is not None and judge is None:
        raise InvalidOptions(f"there is no reranker {spec.filter}.", key="filter")
    if spec.filter is not None and judge is not None and judge.needs != "text":
        raise InvalidOptions(
            f"{spec.filter} compares vectors, as a mining model does. Name a cross-encoder.", key="filter"
        )
    if spec.strategy == WRITTEN:
        if helpers.writer is None:
            raise InvalidOptions(f"there is no generator {spec.by}.", key="by")
        writer_of(spec, helpers.writer, dataset)


def negatives_key(spec: Negatives, asked: Asked, helpers: Helpers, writer: Writer | None, seed: int) -> str:
    """The key of what mining finds: all that decides it."""
    relevant = [sorted(rows) for rows in asked.positives_of]
    encoder, judge, system = helpers.encoder, helpers.judge, helpers.candidates
    # Left out where there is none, so that what was mined before there were any is found again.
    further: dict[str, object] = {} if writer is None else {"writer": writer.identity}
    further |= {} if system is None else {"system": system.identity(asked.dataset.vector_dimension)}
    return content_key(
        {
            "layout": LAYOUT,
            "options": spec.deciding(),
            "pairs": table_digest(asked.table),
            "data": asked.dataset.fingerprint,
            "positives": relevant,
            "encoder": None if encoder is None else _identity(encoder),
            "judge": None if judge is None else judge.identity.as_dict(),
            "bm25": bm25().identity.as_dict() if spec.strategy in ("bm25", "hybrid") else None,
            "seed": seed if spec.draws else None,
            **further,
        }
    )


def _identity(encoder: Encoder) -> list[object]:
    roles = [encoder.role_settings("query"), encoder.role_settings("document")]
    return [encoder.identity.as_dict(), str(encoder.similarity), *map(dict, roles)]


@dataclass(frozen=True, slots=True)
class Given:
    """What is asked of others before the negatives themselves are held: each of them holds entries of the cache of its
    own. texts: those that were written for each pair, and what they took. ranking: of a system's candidates."""

    texts: Sequence[Sequence[Text]] = ()
    answers: Answers | None = None
    ranking: Rankings | None = None


@dataclass(frozen=True, slots=True)
class _Mining:
    """One mining that found nothing kept."""

    spec: Negatives
    asked: Asked
    helpers: Helpers
    writer: Writer | None
    seed: int
    cache: Cache
    emit: Emit
    budget: Budget

    def given(self) -> Given:
        """What a generator writes, or a system finds."""
        if self.writer is not None:
            written = Written(self.asked, self.writer, answering(self.cache.folder, self.emit, self.budget))
            return Given(list(written.texts()), written.answers)
        if self.helpers.candidates is not None:
            barred = min(self.asked.most_barred, _BARRED) + _SLACK
            return Given(
                ranking=self.helpers.candidates.ranking(
                    self.asked, self.spec, barred, self.cache, self.emit, self.budget
                )
            )
        return Given()

    def mined(self, given: Given) -> tuple[pa.Table, MiningReport]:
        """The pairs in their own order with what was found, and the report."""
        began = time.perf_counter()
        if self.writer is not None:
            choosing, taken = self._fit(given.texts, self.writer)
        else:
            with ExitStack() as stack:
                encoder = self.helpers.encoder
                nearness = None if encoder is None else self._nearness(encoder)
                rankings = given.ranking or self._rankings(nearness, stack)
                choosing = Choosing(self.spec, self.asked, self._positive_scores(nearness))
                taken = self._walked(rankings, choosing)
        if self.helpers.judge is not None:
            taken = self._judged(self.helpers.judge, choosing, taken)
        taken = [candidates[: self.spec.per_query] for candidates in taken]
        filled = self._fill(choosing, taken) if self.spec.lacking == "random" else 0
        report = self._report(choosing, taken, filled, time.perf_counter() - began)
        return self._table(taken), report if given.answers is None else _billed(report, given.answers)

    def _fit(self, given: Sequence[Sequence[Text]], writer: Writer) -> tuple[Choosing, list[list[Candidate]]]:
        """The texts that a generator wrote and no rule leaves out, in their order."""
        comparing = None if self.helpers.encoder is None else self._comparing(self.helpers.encoder)
        of_positives = None if comparing is None else comparing([[] for _ in given])[:, 0]
        choosing = Choosing(self.spec, self.asked, of_positives)
        copies = Copies(self.asked, writer.asking.shown)
        found: list[list[Candidate]] = []
        for pair, texts in enumerate(given):
            seen: set[str] = set()
            found.append([])
            for text, fault in texts:
                row = self.asked.add(text)
                rule = fault or choosing.barred(pair, row, seen) or copies.rule(pair, text)
                if rule is None:
                    seen.add(self.asked.text(row))
                    found[pair].append(Candidate(row, np.nan))
                else:
                    choosing.count(pair, [Dropped(rule, row, np.nan)])
        return choosing, found if comparing is None else self._bounded(choosing, comparing, found)

    def _comparing(self, encoder: Encoder) -> Callable[[list[list[str]]], Floats]:
        """Scores by the mining model of each pair's positive and of texts beside it, (pairs, 1 + most texts)."""
        label = f"negatives ({self.spec.model or encoder.identity.model})"
        teaching = Teaching(encoder, label, self.cache, self.emit, self.budget)
        queries = [self.asked.texts[query] for query in self.asked.query_of.tolist()]

        def compared(texts: list[list[str]]) -> Floats:
            documents = [[own, *more] for own, more in zip(self.asked.positives, texts, strict=True)]
            scores = teaching.scores(Questions(queries=queries, documents=documents))
            return np.where(np.isnan(scores), -np.inf, scores)

        return compared

    def _bounded(
        self, choosing: Choosing, comparing: Callable[[list[list[str]]], Floats], given: list[list[Candidate]]
    ) -> list[list[Candidate]]:
        """The texts whose scores by the mining model keep its bounds."""
        scores = comparing([[self.asked.document_text(each.row) for each in texts] for texts in given])
        found: list[list[Candidate]] = []
        for pair, candidates in enumerate(given):
            scored = [
                Candidate(each.row, score) for each, score in zip(candidates, scores[pair, 1:].tolist(), strict=False)
            ]
            rules = [choosing.by_score(pair, each.score) for each in scored]
            choosing.count(pair, [Dropped(rule, *each) for rule, each in zip(rules, scored, strict=True) if rule])
            found.append([each for rule, each in zip(rules, scored, strict=True) if rule is None])
        return found

    def _nearness(self, encoder: Encoder) -> Nearness:
        return Nearness(self.spec, self.asked, encoder, cache=self.cache, emit=self.emit, budget=self.budget)

    def _rankings(self, nearness: Nearness | None, stack: ExitStack) -> Rankings:
        spec, asked = self.spec, self.asked
        if nearness is not None and spec.strategy == "top":
            return ByVectors(asked, nearness)
        if nearness is not None and spec.strategy == "cluster":
            return ByCluster(asked, nearness, clusters=spec.clusters, seed=self.seed, emit=self.emit)
        if spec.strategy == "random":
            return Drawn(asked, self.seed)
        terms = stack.enter_context(lexical(asked.dataset, asked.texts, folder=self.cache.folder, emit=self.emit))
        return ByTerms(asked, terms) if nearness is None else ByBoth(asked, terms, nearness)

    def _positive_scores(self, nearness: Nearness | None) -> Floats | None:
        if nearness is None or (self.spec.absolute_margin is None and self.spec.relative_margin is None):
            return None
        return nearness.scores(self.asked.query_of, self.asked.positive_rows[:, None])[:, 0]

    def _walked(self, rankings: Rankings, choosing: Choosing) -> list[list[Candidate]]:
        """The candidates of each pair, in the order in which they are taken. A ranking that ends before the last place
        that is taken is asked for again, deeper."""
        documents = self.asked.dataset.documents
        wanted = self._enough()
        depth = min(documents, self._places(wanted) + min(self.asked.most_barred, _BARRED) + _SLACK)
        deepest = documents if rankings.deepest is None else min(documents, rankings.deepest)
        found: list[list[Candidate]] = [[] for _ in range(len(self.asked))]
        open_pairs = np.arange(len(self.asked))
        with Stage(self.emit, "mine", "negatives", len(self.asked), "pairs") as advance:
            while len(open_pairs):
                hits, again = rankings.ranking(open_pairs, depth), []
                for i, pair in enumerate(open_pairs.tolist()):
                    walk = choosing.walk(pair, hits.rows[i], hits.scores[i], wanted)
                    if not walk.ended and depth < deepest:
                        again.append(pair)
                        continue
                    choosing.count(pair, walk.dropped)
                    found[pair] = self._in_order(pair, walk.valid)
                    advance(1)
                open_pairs, depth = np.array(again, np.int64), min(deepest, depth * 4)
        return found

    def _places(self, wanted: int | None) -> int:
        """How many places of a ranking are looked at first. A fusion depends on how deep its rankings are, so it is as
        deep as the places that are taken; any other is asked for more where rules leave out too much."""
        if wanted is None or self.spec.strategy == "hybrid":
            return self.spec.last_place
        return wanted + self.spec.range_min - 1

    def _enough(self) -> int | None:
        """How many candidates of a pair are looked for; None for all in the places that are taken."""
        if self.spec.strategy == "random":
            return self.spec.per_query * (1 if self.helpers.judge is None else _FOR_JUDGE)
        return None if self.spec.at_random or self.helpers.judge is not None else self.spec.per_query

    def _in_order(self, pair: int, valid: list[Candidate]) -> list[Candidate]:
        if not self.spec.at_random:
            return valid
        return [valid[i] for i in self.asked.rng(pair, self.seed).permutation(len(valid)).tolist()]

    def _judged(self, judge: Reranker, choosing: Choosing, given: list[list[Candidate]]) -> list[list[Candidate]]:
        """What the filter leaves, as many as are wanted: it is asked for no more than can be taken."""
        judging = Judging(self.spec, self.asked, judge, cache=self.cache, emit=self.emit, budget=self.budget)
        taken: list[list[Candidate]] = [[] for _ in given]
        seen = [0] * len(given)
        while True:
            rows = np.full((len(given), self.spec.per_query), EMPTY_ROW, np.int32)
            for pair, candidates in enumerate(given):
                part = candidates[seen[pair] : seen[pair] + self.spec.per_query - len(taken[pair])]
                rows[pair, : len(part)] = [candidate.row for candidate in part]
            if not (rows != EMPTY_ROW).any():
                return taken
            scores = judging.scores(rows)
            for pair in np.flatnonzero(rows[:, 0] != EMPTY_ROW).tolist():
                for score in scores[pair, rows[pair] != EMPTY_ROW].tolist():
                    candidate = given[pair][seen[pair]]
                    seen[pair] += 1
                    rule = judging.rule(pair, score)
                    if rule is None:
                        taken[pair].append(candidate)
                    else:
                        choosing.count(pair, [Dropped(rule, candidate.row, score)])

    def _fill(self, choosing: Choosing, taken: list[list[Candidate]]) -> int:
        """Fill up with documents drawn at random. Returns how many."""
        count = 0
        for pair, candidates in enumerate(taken):
            lacking, width = self.spec.per_query - len(candidates), _SLACK
            while lacking:
                drawn = self.asked.drawn(pair, self.spec.per_query + self.asked.most_barred + width, self.seed)
                more = choosing.filled(pair, candidates, drawn)
                if len(more) == lacking or len(drawn) == self.asked.dataset.documents:
                    candidates += more
                    count += len(more)
                    break
                width *= 4
        return count

    def _table(self, taken: list[list[Candidate]]) -> pa.Table:
        asked = self.asked
        rows = [[candidate.row for candidate in candidates] for candidates in taken]
        scores = [[s if np.isfinite(s := candidate.score) else None for candidate in each] for each in taken]
        columns = {
            "negatives": [[asked.document_text(row) for row in each] for each in rows],
            "negative_ids": [[asked.document_id(row) for row in each] for each in rows],
            "negative_scores": scores,
        }
        table = asked.table
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values, kept.SCHEMA.field(name).type))
        return table.cast(kept.SCHEMA)

    def _report(self, choosing: Choosing, taken: list[list[Candidate]], filled: int, seconds: float) -> MiningReport:
        wanted, encoder, judge = self.spec.per_query, self.helpers.encoder, self.helpers.judge
        return MiningReport(
            strategy=self.spec.strategy,
            miner=None if encoder is None else encoder.identity.model,
            judge=None if judge is None else judge.identity.model,
            writer=None if self.writer is None else self.writer.name,
            prompt=None if self.writer is None else self.writer.asking.told,
            system=self.spec.system,
            pairs=len(taken),
            per_query=wanted,
            wanted=wanted * len(taken),
            found=sum(map(len, taken)),
            filled=filled,
            short=sum(len(candidates) < wanted for candidates in taken),
            dropped={rule: choosing.tally.counts[rule] for rule in RULES if choosing.tally.counts[rule]},
            examples={rule: tuple(choosing.tally.examples[rule]) for rule in RULES if rule in choosing.tally.examples},
            seconds=seconds,
        )


def _billed(report: MiningReport, answers: Answers) -> MiningReport:
    """The report with what the texts took."""
    used, identity = answers.used, answers.generator.identity
    usd = price_of(answers.budget.prices, identity.provider, identity.model, used) if answers.generator.bills else 0.0
    return report.model_copy(update={"tokens": used.tokens, "output_tokens": used.output_tokens, "usd": usd})
