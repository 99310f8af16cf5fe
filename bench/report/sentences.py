"""The answer in sentences, the most important first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.messages.wording import counted, listed
from bench.report import synthetic
from bench.report.answer import Answer, Price, Rival
from bench.report.cells import milliseconds, number, ratio, signed
from bench.report.engines import AtTarget, own_ms
from bench.report.models import of_one_seed
from bench.report.names import together
from bench.results.model import Result, SystemResult, Target

_ALIKE = 1  # groups of equal systems that are named

Naming = Callable[[str], str]


def _as_they_are(name: str) -> str:
    return name


def sentences(result: Result, answer: Answer, naming: Naming = _as_they_are) -> list[str]:
    """Each ends in a full stop. naming: how a system's name is written."""
    return list(_Telling(result, answer, naming).all())


class _Telling:
    """The sentences of one result."""

    def __init__(self, result: Result, answer: Answer, naming: Naming) -> None:
        self.result = result
        self.answer = answer
        self.naming = naming
        self.systems = {system.name: system for system in result.systems}
        self.base = "" if answer.baseline is None else naming(answer.baseline)

    def all(self) -> Iterator[str]:
        if self.answer.best is None:
            yield self._nothing()
            return
        by_target = self.result.primary.startswith("ANN@") and bool(self.answer.targets)
        if by_target:
            yield from self._targets()
        if not by_target or self.answer.grounds != "target":  # else the highest mean is that of exact search
            yield from self._best(self.answer.best)
        if (told := synthetic.sentence(self.result)) is not None:
            yield told
        if not by_target:
            yield from self._cost(self.answer.best)
            yield from self._open()
            yield from self._targets()
        yield from self._unmeasured()
        yield from self._same()

    # -- which system ----------------------------------------------------------------------------------------------

    def _nothing(self) -> str:
        systems = self.result.systems
        if self.result.status == "started":
            return "The run has not ended: there are no figures yet."
        if self.result.status == "cancelled":
            return "The run was cut off before any system could be called best; the same command goes on."
        if len(systems) == 1:
            return f"{self.naming(systems[0].name)} has no figures: {self._why(systems[0])}."
        return f"None of {counted(len(systems), 'system')} ended with figures that it can be judged by."

    def _best(self, name: str) -> Iterator[str]:
        answer, best = self.answer, self.systems[name]
        value = best.measures[answer.primary]
        mean = f"{number(value.mean)} {answer.primary}"
        if value.interval is not None:
            mean += f" [{number(value.interval[0])}, {number(value.interval[1])}]"
        if len(answer.contenders) == 1:
            yield f"{self.naming(name)} reaches {mean}; there is no other system to compare it with."
        elif name == answer.baseline:
            yield f"No system is shown to be better than {self.base}, the baseline, which has the highest mean: {mean}."
            yield from self._verdicts()
        elif answer.standing is not None:
            yield from self._against(best, number(value.mean))
        else:
            yield self._alone(best, mean)
        yield from self._aside()

    def _alone(self, best: SystemResult, mean: str) -> str:
        """Without a baseline, or with one that has no figures."""
        answer = self.answer
        name = self.naming(best.name)
        unmeasured = answer.baseline in answer.unmeasured
        reason = f"; the baseline {self.base} has no figures to compare with" if unmeasured else ""
        if answer.primary.startswith("ANN@") and best.index is not None and best.index.flat:
            rest = [one for one in answer.contenders if not self._flat(one)]
            if rest:
                second = f"{self.naming(rest[0])} has the highest of the others, {self._mean(rest[0])}"
                return f"{name} searches exactly, so that its {answer.primary} is 1 by construction; {second}{reason}."
            return f"All systems search exactly, so that their {answer.primary} is 1 by construction{reason}."
        if not answer.compared:
            reason = reason or "; whether it is better than the others is not known, without their values per query"
            return f"{name} has the highest mean, {mean}{reason}."
        if answer.shown:
            return f"{name} is best: {mean}, and it is shown to be better than every other system{reason}."
        return f"{name} has the highest mean, {mean}{reason}."

    def _against(self, best: SystemResult, mean: str) -> Iterator[str]:
        """The best one is not the baseline."""
        answer, standing = self.answer, self.answer.standing
        assert standing is not None
        name = self.naming(best.name)
        by = signed(standing.difference)
        if standing.interval is not None:
            by += f" [{signed(standing.interval[0])}, {signed(standing.interval[1])}]"
        once = of_one_seed(best, standing.verdict)
        if standing.verdict == "better":
            every = " and than every other system" if answer.shown and len(answer.rivals) > 1 else ""
            yield f"{name} is best: {mean} {answer.primary}, shown to be better than {self.base} ({by}){once}{every}."
            return
        held = f"{name} has the highest mean, {mean} {answer.primary}, but is not shown to be better than {self.base}"
        if standing.verdict == "not_worse":
            yield f"{held} ({by}); it is at most {number(self.result.margin)} worse{once}."
        else:
            more = standing.queries_to_decide
            decide = "" if more is None else f"; about {counted(more, 'more query')} would decide"
            yield f"{held} ({by}){decide}."
        if answer.grounds == "better" and answer.proposed is not None:
            yield from self._shown_instead(self.systems[answer.proposed])

    def _shown_instead(self, system: SystemResult) -> Iterator[str]:
        against = system.against_baseline[self.answer.primary]
        interval = f" [{signed(against.interval[0])}, {signed(against.interval[1])}]" if against.interval else ""
        once = of_one_seed(system, against.verdict)
        by = f"{signed(against.difference)}{interval}{once}"
        yield f"{self.naming(system.name)} ({self._mean(system.name)}) is shown to be better than {self.base}: {by}."

    def _verdicts(self) -> Iterator[str]:
        """What is known of the others where the baseline is best."""
        found: dict[str, list[str]] = {}
        more: list[int] = []
        for name in self.answer.contenders:
            against = self.systems[name].against_baseline.get(self.answer.primary)
            if against is not None and against.verdict is not None:
                found.setdefault(against.verdict, []).append(self.naming(name))
                more += [against.queries_to_decide] if against.queries_to_decide is not None else []
        said = []
        if close := found.get("not_worse"):
            said.append(f"{listed(close)} {_be(close)} at most {number(self.result.margin)} worse")
        if undecided := found.get("undecided"):
            said.append(f"{listed(undecided)} cannot be told from it{_decide(more)}")
        if worse := found.get("worse"):
            said.append(f"{listed(worse)} {_be(worse)} worse")
        if said:
            yield f"{'; '.join(said)}."

    def _aside(self) -> Iterator[str]:
        if self.answer.aside:
            told = listed([f"{self.naming(name)} ({self._mean(name)}, {why})" for name, why in self.answer.aside])
            yield f"Not called best, though the mean is higher: {told}."

    # -- what it costs ---------------------------------------------------------------------------------------------

    def _cost(self, name: str) -> Iterator[str]:
        price = self.answer.price
        if price is None:
            return
        said = [*self._time(price), *self._money(price)]
        if said:
            said[0] = said[0][0].upper() + said[0][1:]
            yield f"{'; '.join(said)}."

    def _time(self, price: Price) -> Iterator[str]:
        mine, its = price.total_ms, price.baseline_total_ms
        if mine is None:
            return
        mark = ", disturbed" if price.disturbed else ""
        beside = f"{self.base}: {milliseconds(its)} ms; " if its is not None else ""
        yield f"a query takes {milliseconds(mine)} ms ({beside}p50{mark})"
        if price.ratio is None:
            return
        interval = price.ratio.interval
        times = f"{ratio(price.ratio.ratio)} times"
        times += f" [{ratio(interval[0])}, {ratio(interval[1])}]" if interval else ""
        own = "without encoding" if mine != price.own_ms or its != price.baseline_own_ms else "so"
        if price.ratio.verdict in ("slower", "faster"):
            yield f"{own} it takes {times} as long"
        elif price.ratio.verdict == "undecided":
            yield f"{own} the two cannot be told apart ({times} as long)"
        else:
            slower = 100 * ((self.result.latency_margin or 1) - 1)
            yield f"{own} it is at most {slower:.3g} % slower"

    def _money(self, price: Price) -> Iterator[str]:
        if not price.billed:
            return
        if price.usd is None:
            yield "what 1,000 queries cost is not known"
            return
        mine, its = price.usd_interval, price.baseline_usd_interval
        if mine and its and mine[0] <= its[1] and its[0] <= mine[1]:
            yield f"what 1,000 queries cost, {price.usd:,.4f} USD, cannot be told from {self.base}"
            return
        beside = f" ({self.base}: {price.baseline_usd:,.4f})" if price.baseline_usd is not None else ""
        yield f"1,000 queries cost {price.usd:,.4f} USD{beside}"

    # -- what stays open -------------------------------------------------------------------------------------------

    def _open(self) -> Iterator[str]:
        """Rivals of the best one, but for the baseline, on which there is a verdict."""
        if self.answer.best == self.answer.baseline:
            return
        rivals = [one for one in self.answer.open if one.name != self.answer.baseline or not self.answer.standing]
        if rivals and self.answer.best is not None:
            told = listed([f"{self.naming(one.name)} ({number(one.mean)})" for one in rivals])
            more = [one.queries_to_decide for one in rivals if one.queries_to_decide is not None]
            yield f"{told} cannot be told from {self.naming(self.answer.best)}{_decide(more, _missing(rivals))}."

    def _unmeasured(self) -> Iterator[str]:
        names = [self.naming(name) for name in self.answer.unmeasured]
        if names:
            of = counted(len(self.result.systems), "system")
            yield f"{len(names):,} of {of} {'has' if len(names) == 1 else 'have'} no figures: {listed(names)}."

    def _same(self) -> Iterator[str]:
        copies = {copy.name: copy for copy in self.answer.copies}
        said = [f"{self.naming(one.name)} is a copy of {self.naming(one.of)}: {one.why}" for one in copies.values()]
        for group in sorted(self.answer.identical, key=lambda group: self.answer.best not in group):
            others = [name for name in group if name not in copies or copies[name].of not in group]
            if len(others) > 1:
                told = together(others, self.naming)
                said.append(f"{listed(told)} are identical in every query")
        if said:
            more = counted(len(said) - _ALIKE, "more such group") if len(said) > _ALIKE else ""
            yield "; ".join([*said[:_ALIKE], *([f"there {_are(len(said) - _ALIKE)} {more}"] if more else [])]) + "."

    # -- engines at equal recall -----------------------------------------------------------------------------------

    def _targets(self) -> Iterator[str]:
        """The highest target that any engine reaches first, then the lower ones, then what is not reached."""
        kinds: dict[tuple[str, ...], list[AtTarget]] = {}
        for at in self.answer.targets:
            key = (at.measure, str(at.encoder), str(at.filter), str(at.reranker), at.payload)
            kinds.setdefault(key, []).append(at)
        for ats in kinds.values():
            where = self._where(ats[0], several=len(kinds) > 1)
            reached = [at for at in reversed(ats) if at.fastest is not None]
            if reached:
                yield f"{where}{self._fastest(reached)}."
            if missed := self._missed(ats):
                yield f"{where}{missed}."

    def _where(self, at: AtTarget, *, several: bool) -> str:
        """What tells one comparison of engines from another in the same file."""
        if not several:
            return ""
        told = [str(at.encoder)] if at.encoder is not None else []
        told += [at.reranker] if at.reranker is not None else []
        told += [f"{key}={value}" for key, value in (at.filter or {}).items()]
        told += ["with texts"] if at.payload == "text" else []
        return f"{' + '.join(told) or 'By text'}: "

    def _fastest(self, reached: Sequence[AtTarget]) -> str:
        """reached: the highest target first. Targets that the same setting reaches as the fastest stand together."""
        groups: dict[str, list[AtTarget]] = {}
        for at in reached:
            assert at.fastest is not None and at.fastest.system is not None
            groups.setdefault(at.fastest.system, []).append(at)
        said: list[str] = []
        for system, ats in groups.items():
            first = ats[0].fastest
            assert first is not None
            goals = listed([number(at.target) for at in reversed(ats)], len(ats))
            disturbed = ", disturbed" if first.loads and first.loads[0].disturbed_rounds else ""
            time, name = f"{milliseconds(own_ms(first))} ms", self.naming(system)
            if said:
                said.append(f"for {goals} it is {name}: {time}")
            else:
                held = f"{name} is the fastest setting that is shown to reach {goals} {ats[0].measure}"
                said.append(f"{held}: {time} a query (own p50{disturbed})")
            alike = dict.fromkeys(row.system for at in ats for row in at.alike if row.system is not None)
            if alike:
                said[-1] += f", from which {listed([self.naming(one) for one in alike])} cannot be told apart"
        return "; ".join(said)

    def _missed(self, ats: Sequence[AtTarget]) -> str:
        missed: dict[tuple[str, ...], list[str]] = {}
        for at in ats:
            engines = tuple(dict.fromkeys(_engine(row) for row in at.missed))
            if engines:
                missed.setdefault(engines, []).append(number(at.target))
        said = [
            f"{listed(engines)} {_be(engines)} not shown to reach {' or '.join(t)}" for engines, t in missed.items()
        ]
        return "; ".join(said)

    # -- words -----------------------------------------------------------------------------------------------------

    def _mean(self, name: str) -> str:
        return number(self.systems[name].measures[self.answer.primary].mean)

    def _flat(self, name: str) -> bool:
        index = self.systems[name].index
        return index is not None and index.flat

    def _why(self, system: SystemResult) -> str:
        told = system.error.rstrip(".") if system.error else ""
        return told or system.status.replace("_", " ")


def _engine(row: Target) -> str:
    return row.engine


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _be(names: Sequence[str]) -> str:
    return _are(len(names))


def _missing(rivals: Sequence[Rival]) -> bool:
    """Whether of some rival no number of queries is foreseen to decide."""
    return any(one.queries_to_decide is None for one in rivals)


def _decide(more: Sequence[int], missing: bool = False) -> str:
    """How many more queries would decide, of several comparisons."""
    if not more:
        return ""
    low, high = min(more), max(more)
    queries = counted(low, "more query") if low == high else f"{low:,} to {high:,} more queries"
    return f"; about {queries} would decide{' some of it' if missing else ''}"
