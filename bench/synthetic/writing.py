"""The stage of synthetic queries: documents are chosen, a generator writes, and what is fit to be a query is kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.base import DatasetSource, Generator, InvalidOptions, Tables
from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.data.tables import load_tables
from bench.data.written import SCHEMA
from bench.experiment.parts import Experiment, Questions
from bench.experiment.synthetic import Written
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.money.cost import NO_PRICES, price_of
from bench.quality.collection import own_source
from bench.quality.stages import Emit, waiting
from bench.synthetic.answers import Answer, Answers
from bench.synthetic.choosing import Chosen, chosen_documents
from bench.synthetic.cleaning import Drop, cleaned, fault_of, lines_of, told
from bench.synthetic.finding import found, over_questions
from bench.synthetic.prompts import LANGUAGES, Asking
from bench.synthetic.writers import prompt_language, ready

_TOKENS = 64  # that a model on this machine may write for a question where the file says nothing
_LOOKED_AT = 200  # documents that tell the language
_WORDS = 8  # of a document that stand in for a question


@dataclass
class Writing:
    """The synthetic queries of one experiment, over the tables of its collection."""

    experiment: Experiment
    questions: Questions
    source: DatasetSource
    tables: Tables
    cache: Path
    emit: Emit
    budget: Budget

    @cached_property
    def seed(self) -> int:
        """Of the choice of documents, and of the generator where it names none."""
        given = self.questions.spec.seed
        return self.experiment.settings.seed if given is None else given

    @cached_property
    def documents(self) -> list[Chosen]:
        """Those that questions are written for. Raises InvalidOptions where there is none."""
        chosen = chosen_documents(self.tables.corpus, self.questions.spec.sample, self.seed)
        if not chosen:
            raise InvalidOptions("no document has a text that a question could be written for.")
        return chosen

    @cached_property
    def generator(self) -> Generator:
        """Who writes. A model on this machine draws, and stops early, where the file does not say otherwise."""
        context = replace(self.experiment.context(), seed=self.seed)
        return ready(self.questions.generator, context, tokens=_TOKENS)

    @cached_property
    def asking(self) -> Asking:
        """How it is asked."""
        spec = self.questions.spec
        shown = (document.text for document in self.documents[:_LOOKED_AT])
        language = prompt_language(spec.language, shown, LANGUAGES)
        several = not self.generator.samples
        manner, characters = self.generator.manner, spec.passage_characters
        return Asking(manner, language, spec.prompt, spec.per_document, at_once=several, characters=characters)

    @cached_property
    def prompts(self) -> list[Any]:
        """What is asked for each document."""
        return [self.asking.prompt(document.text) for document in self.documents]

    @cached_property
    def answers(self) -> Answers:
        """What was written, and what is to be."""
        return Answers(self.generator, self.asking.texts, self.cache, self.emit, self.budget)

    @cached_property
    def missing(self) -> list[int]:
        """Positions of the documents that nothing is written for yet."""
        return self.answers.missing(self.prompts)

    # -- questions ---------------------------------------------------------------------------------------------------

    def written(self) -> Written:
        """The queries. What is not written yet is written now. Raises what the generator and the round trip raise,
        BudgetExceeded, and InvalidOptions where nothing is left."""
        answers = self.answers.of(self.prompts)
        dropped: Counter[Drop] = Counter()
        rows = self._candidates(answers, dropped)
        spec = self.questions.spec
        if rows and spec.round_trip is not None and self.questions.finder is not None:
            flags = found(
                self.experiment,
                self.questions.finder,
                spec.round_trip.top,
                self.over(_table(rows)),
                cache=self.cache,
                emit=self.emit,
                budget=self.budget,
            )
            dropped["not_found"] = int((~flags).sum())
            rows = [row for row, kept in zip(rows, flags.tolist(), strict=True) if kept]
        if not rows:
            raise InvalidOptions(
                f"nothing is left of what {self.questions.spec.by} wrote: {', '.join(told(dropped))}. Look at the "
                "prompt and the model, or ask the round trip for less."
            )
        return Written(_table(rows), self._about(answers, rows, dropped))

    def over(self, questions: pa.Table) -> Dataset:
        """The collection with these questions as its queries."""
        return over_questions(self.source, self.tables, questions)

    def _candidates(self, answers: Sequence[Answer], dropped: Counter[Drop]) -> list[dict[str, Any]]:
        """Questions that are fit, without those that stand for several documents."""
        found: dict[str, list[tuple[str, Chosen]]] = {}
        for document, answer in zip(self.documents, answers, strict=True):
            own: set[str] = set()
            for question in self._cleaned(answer, document, dropped):
                key = plain_query(question)
                if key in own:
                    dropped["repeated"] += 1
                    continue
                own.add(key)
                found.setdefault(key, []).append((question, document))
        dropped["of_several"] += sum(len(each) for each in found.values() if len(each) > 1)
        return [_row(*each[0]) for each in found.values() if len(each) == 1]

    def _cleaned(self, answer: Answer, document: Chosen, dropped: Counter[Drop]) -> Iterator[str]:
        if answer.failure is not None:
            dropped["refused"] += 1
            return
        asking = self.asking
        for text, unfinished in zip(answer.texts, answer.unfinished, strict=True):
            for line in lines_of(text, at_once=asking.at_once, count=asking.count, unfinished=unfinished):
                question = cleaned(line.text)
                fault = fault_of(question, document.text, longest=self.questions.spec.longest)
                if fault is None and line.unfinished:
                    fault = "unfinished"
                if fault is None:
                    yield question
                else:
                    dropped[fault] += 1

    def _about(
        self, answers: Sequence[Answer], rows: Sequence[dict[str, Any]], dropped: Counter[Drop]
    ) -> dict[str, Any]:
        spec, identity, used = self.questions.spec, self.generator.identity, self.answers.used
        billed = self.generator.bills
        usd = price_of(self.budget.prices, identity.provider, identity.model, used) if billed else 0.0
        about: dict[str, Any] = {
            "generator": spec.by,
            "provider": identity.provider,
            "model": identity.model,
            "address": identity.address,
            "language": None if spec.prompt is not None or self.asking.manner == "passage" else self.asking.language,
            "documents": len(self.documents),
            "queries": len(rows),
            "dropped": {reason: count for reason, count in dropped.items() if count},
            "round_trip_system": None if spec.round_trip is None else spec.round_trip.system,
            "round_trip_top": None if spec.round_trip is None else spec.round_trip.top,
            "tokens": used.tokens,
            "output_tokens": used.output_tokens,
            "usd": usd,
        }
        return {**about, "notes": list(notes_of(about))}

    def stand_in(self) -> Written:
        """Words of the documents in the place of questions that are not written yet, as many as there may be."""
        rows = []
        for document in self.documents:
            words = document.text.split()
            for i in range(self.questions.spec.per_document):
                rows.append(_row(" ".join([*words[i : i + _WORDS], str(i + 1)]), document))
        about = {"documents": len(self.documents), "queries": len(rows), "notes": ()}
        return Written(_table(rows), about, stand_in=True)

    def close(self) -> None:
        """Close the generator, where there is one."""
        if "generator" in vars(self):
            self.generator.close()


def notes_of(about: dict[str, Any]) -> Iterator[str]:
    """Sentences on how synthetic queries came about."""
    who = f"{about['generator']} ({about['provider']} {about['model']})"
    documents = counted(about["documents"], "document")
    yield f"The queries are synthetic: {who} wrote for {documents}, and {counted(about['queries'], 'query')} were kept."
    if left_out := list(told(about["dropped"])):
        yield f"Left out were {'; '.join(left_out)}."
    if (system := about["round_trip_system"]) is not None:
        yield f"A query is kept where {system} finds its document among the first {about['round_trip_top']:,}."


def _row(question: str, document: Chosen) -> dict[str, Any]:
    digest = hashlib.blake2b(f"{document.text}\0{question}".encode("utf-8", "surrogatepass"), digest_size=8)
    return {
        "id": f"synthetic-{digest.hexdigest()}",
        "text": question,
        "document_ids": list(document.document_ids),
        "share": document.share,
    }


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SCHEMA)


@contextmanager
def opened(experiment: Experiment, cache: Path, emit: Emit, budget: Budget) -> Iterator[Writing]:
    """The synthetic queries of an experiment. Raises InvalidOptions where its file says nothing of them, and what its
    dataset raises."""
    if experiment.questions is None:
        raise InvalidOptions("synthetic is missing: say who writes questions, such as synthetic: {by: NAME}")
    with own_source(experiment, emit, documents_alone=experiment.cuts.synthetic != "train") as source:
        tables, _ = load_tables(source, cache / "datasets", waiting(emit))
        writing = Writing(experiment, experiment.questions, source, tables, cache, emit, budget)
        try:
            yield writing
        finally:
            writing.close()


def with_kept(experiment: Experiment, cache: Path, emit: Emit) -> Experiment:
    """The experiment with its synthetic queries as they were written before, where any are evaluated. Raises
    InvalidOptions where some are not written."""
    if experiment.cuts.synthetic != "all":
        return experiment
    with opened(experiment, cache, emit, Budget(NO_PRICES, None)) as writing:
        if writing.missing:
            raise InvalidOptions("the cache does not hold the synthetic queries. Run the experiment again.")
        return replace(experiment, written=writing.written())
