"""Every word that a table, a screen or a report prints, each in two sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["measure", "verdict", "status", "column", "load", "word"]

KINDS: dict[Kind, str] = {
    "measure": "measures",
    "verdict": "verdicts",
    "status": "how a system or a run ended",
    "column": "columns and tables",
    "load": "load and time",
    "word": "other words",
}


class Entry(NamedTuple):
    """names: what it is called, first as it is listed; in a name `<…>` stands for any words. text: two sentences."""

    kind: Kind
    names: tuple[str, ...]
    text: str


def explain(term: str) -> Entry | None:
    """The entry of a word as it is printed, whatever its case, its numbers and its marks; None where there is none."""
    return _found(" ".join(term.split()).strip("`'\"").lower())


def names() -> list[str]:
    """All words that there is an entry for, as they are listed."""
    return [name for entry in ENTRIES for name in entry.names]


def _found(term: str) -> Entry | None:
    for asked in _forms(term):
        for entry in ENTRIES:
            if any(name.lower() == asked for name in entry.names):
                return entry
    for asked in _forms(term):
        for entry in ENTRIES:
            if any("<" in name and _pattern(name).fullmatch(asked) for name in entry.names):
                return entry
    return None


def _forms(term: str) -> Iterator[str]:
    """A word as it was asked for, and what is left of it without what differs from result to result."""
    yield term
    plain = re.sub(r" \[95 ?%\]$", "", term)
    yield plain
    yield re.sub(r"@\d+$", "", plain)
    yield re.sub(r"(\(.*\))?@\d+$", "", plain)
    yield re.sub(r" \(.*\)$", "", plain)
    yield plain.replace("_", " ")


def _pattern(name: str) -> re.Pattern[str]:
    parts = re.split(r"<[^>]*>", name.lower())
    return re.compile(".+".join(map(re.escape, parts)))


def _entries(kind: Kind, listed: str) -> Iterator[Entry]:
    """Entries `names: text`, names separated by bars; a line that begins with blanks goes on with the one before."""
    for line in re.sub(r"\n +", " ", listed.strip()).splitlines():
        called, _, text = line.partition(": ")
        yield Entry(kind, tuple(name.strip() for name in called.split(" | ")), text)


_MEASURES = """
nDCG: How well the relevant documents stand at the top of the first k, from 0 to 1, where a higher grade counts for
  more. A document counts less the lower it stands, and 1 is the best order that there is.
Recall | R | R@k: Which share of a query's relevant documents is among the first k. A query with none found scores 0.
Precision | P: Which share of the first k documents is relevant. It divides by k even where fewer documents were
  found.
MRR: One divided by the place of the first relevant document among the first k, so 1 for the first place and .5 for
  the second. A query without one among the first k scores 0.
MAP: The mean, over a query's relevant documents, of the precision at the place where each is found among the first k.
  It rewards finding all of them, and finding them early.
Hit: Whether at least one relevant document is among the first k, 1 or 0. Its mean is the share of queries that found
  something.
R_cap: Recall among the first k, divided by k where a query has more than k relevant documents. So 1 can be reached
  whatever the number of relevant documents is.
Judged: Which share of the first k documents somebody judged. It is empty where the judgements name relevant
  documents only.
ANN | ANN@<k>: Which share of the k best documents of exact search over the same vectors an index found. It says
  nothing about relevance, and a search by text has none.
"""
_VERDICTS = """
verdict: What the interval of the difference to the baseline says, in the measure that decides or in time. It comes
  from an interval that holds for all systems at once, never from a mean alone.
better: The whole interval of the difference to the baseline lies above 0. Chance alone would say so of any system of
  the file in less than one of twenty such experiments.
worse: The whole interval of the difference to the baseline lies below 0. The system loses, and the queries show it.
at most <margin> worse | not worse: The interval of the difference lies above minus the margin, so a loss, if there is
  one, is smaller than what matters to you. The margin stands in the experiment file.
undecided: The interval of the difference allows both a gain and a loss, so these queries cannot tell. More queries
  would make it shorter, and about how many would decide is said where it can be foreseen.
lost: Between two results that `bench compare` reads, the whole interval of the system's difference lies below 0. The
  interval holds for all compared systems at once.
gained: Between two results that `bench compare` reads, the whole interval of the system's difference lies above 0. The
  interval holds for all compared systems at once.
within margin: Between two results that `bench compare` reads, a loss of the system, if there is one, is smaller than
  the margin. The stricter margin of the two experiments holds.
faster: In the rounds of the latency pass the system's time is shorter than the baseline's, and the interval of the
  ratio lies below 1. The rounds are compared in pairs, so the machine's drift hits both alike.
slower: In the rounds of the latency pass the system's time is longer than the baseline's, and the interval of the
  ratio lies above 1. The rounds are compared in pairs, so the machine's drift hits both alike.
at most <percent> % slower | not slower: The interval of the ratio of times lies below the latency margin of the
  experiment file. So a loss of time, if there is one, is smaller than what matters to you.
<verdict> (1 seed) | 1 seed | this model; training again not tried: The verdict holds for this very model, which was
  trained once. How far another training of the same recipe would differ is not known, and `seeds: 3` would show it.
"""
_STATUSES = """
success: The system, or every system of the run, was measured as asked. Its figures can be used.
partial: Some queries failed, or more than 1 % of what the system ranks is missing; of a run, some systems have no
  figures. Failed queries score 0, and such a system is never called better.
not indexed: The engine did not build the index that was asked for, so there is nothing to measure. The reason stands
  beside it, and the measures are empty.
void: The engine's own exact search missed documents that it must find, so its figures prove nothing. They are
  withheld.
error: Something failed that ended this system, or the run, before it was measured. The cause stands beside it, and
  the other systems went on.
cancelled: The run was cut off before this was measured. The same command goes on where it stopped.
started: The run has not ended, or was killed. The same command goes on where it stopped.
"""
_COLUMNS = """
system: One way to answer a query: an encoder, a store with its index, perhaps a fusion and a reranker. Its name comes
  from the experiment file.
baseline: The system that all others are compared with, as the experiment file names it. Without one there are no
  verdicts.
against <baseline> | against: The system's mean minus the baseline's in the measure that decides, with its interval.
  The interval holds for all systems of the file at once.
change: The difference to what it is compared with, in per cent of that one's mean. It says how large a difference is,
  not whether it is shown.
own p50 ms | own: The median time, in milliseconds, of what only this system does for a query: search, fuse and
  rerank. Encoding the query is left out, because systems share it.
total p50 / p95 | total: The time of a query with its encoding, in milliseconds, that half of the queries and 95 % of
  them stay under. It is measured one query at a time, under the first load point.
p50 / p95 | p50 | p95 ms | p50 / p95 / p99 ms | p95 | p99 | p50 / p95 ms <load>: The time in milliseconds that 50 %,
  95 % or 99 % of the queries stay under. A p50 takes 20 samples, a p95 100 and a p99 1,000, and with fewer the cell
  is empty.
own p50 × | own p50 | total p95 × | total p95: The system's time divided by the baseline's in the same round, as a mean
  over the rounds with its interval. A figure of 2 says that it takes twice as long.
USD / 1,000 queries | USD: What 1,000 queries to this system cost: what services bill for, and the machine's time
  where the experiment gives its price. A model without a known price is unknown, not free.
by seed: The measure of each training of the system's models, because trainings by other seeds end in other models. Of
  more than six the lowest and the highest are shown.
latency of: The seed whose model the times were measured with. It is the one that was best on the dev split.
model: A model that this experiment trained. Other systems use it as `trained:` and its name.
recipe: How a model was trained, by the name of its method. What each does stands in docs/training.md.
base: The model that a training started from, and its figure before the training. A model that ends worse than its
  base is never proposed.
trained: The figure of the model after its training, on the dev split, as the mean over its seeds. Dev queries choose,
  test queries judge.
pairs | texts | learnt from: How many pairs of a query and its document a model learnt from, or how many texts where its
  recipe learns from texts alone. What leaks the evaluation is left out of them.
leaks: Training pairs or queries that were left out because their query is one of the evaluation. Learning from them
  would make the figures too good.
measure | before | after: A measure on held-out data before the training and after it. It is the mean over the seeds.
encoder: The model that turns texts into vectors. Its time for a query is measured once for all systems that use it.
systems: The systems that share a figure, such as the time of an encoder. Of many only the first are named.
index: The engine's own word for the kind of index, read back after the build. It may differ from what was asked for,
  and then a remark says so.
build s: How many seconds the index took to build. Several systems may search one build.
disk MiB: How much space the index takes on disk, in units of 1,048,576 bytes. On a server it is that of all its
  nodes.
build peak MiB: By how much this process grew while it built the index, or the most memory that a server held
  meanwhile. An engine's first build counts the engine's own buffers too.
search peak MiB: The most memory that this process or the server held while the index was searched. It counts
  everything that the process holds.
beside | without ms | without MiB | ×: The same system without the texts returned, and its time and size. The ratio
  says what returning texts costs.
n: How many samples a time rests on. More samples make the percentiles surer.
distinct: How many different queries are among the samples. Queries repeat where there are fewer than samples.
engine: The store part of the experiment file, with what tells it from the others. A row is one build of its index.
at least: The target: what the measure had to reach. A setting counts only where the lower bound of its mean reaches
  it.
setting: The query options of the setting that was chosen, as they differ from the defaults. Where options differ by
  target, their values stand in the order of the targets.
not reached: No setting of this build was shown to reach the target. That is an answer, and nothing is interpolated.
per second: The highest rate of queries that the system kept up with. Among load points of several workers it is the
  best one's.
not told apart from: Neighbours of about the same time from which neither the measure nor the time tells this system
  apart. Choosing between them is a matter of taste.
where <measure> goes | loss: The measure after each stage of a system, so that one sees which stage loses it. Exact
  search over the same vectors comes first.
front: The systems of which no other is both better and faster. All others pay for nothing.
exact: The measure after exact search over the same vectors, the most that an index over them can give. The harness
  adds this search where the experiment has none.
► ann: The measure after the search of the index. The difference to exact is what the index loses.
retrieved: The measure of the candidates before the reranker. The difference to reranked is what the reranker does.
fused: The measure after rankings were fused. The legs stand before it.
reranked: The measure after the reranker. It orders the candidates and finds no others.
"""
_LOADS = """
load | load point: One way of putting load on a system: how many workers send queries, or at which rate. Times are
  measured once for each.
closed | closed-<workers>: Each of so many workers sends its next query when it has its answer. One worker shows the
  time of a lone query.
open | open-<rate>qps: Queries are sent on a schedule that is fixed beforehand, so many a second, whether answers have
  come or not. A query's time runs from its planned start, so a stall is felt by all queries behind it.
saturated: The system did not keep up with the schedule, so its queue grew. Its percentiles are empty, because they
  would only tell how long the test was.
achieved / s: How many queries were answered a second. Under an open load it should be the rate that was offered.
wait | wait p95: The time before a query was sent, in a queue or for a limit of our own. It counts in an open load,
  where a slow system makes queries wait.
encode: The time of turning the query into a vector. It is measured once per encoder, over all systems that use it.
search: The time of all searches of a query. The engine is asked for one query, as a user would.
fuse: The time of making one ranking of several. It is usually far below a millisecond.
rerank: The time of the reranker, which scores the candidates of a query. It grows with their number.
failed: How many queries failed. They count 0 in the measures, and their times are left out.
kept up | not kept up: Whether rows could be written at the planned rate while queries ran. At least .97 of the rate
  counts as kept up.
*: Something else on the machine disturbed some of the rounds that a time rests on. The figures count nevertheless,
  and a quiet machine gives better ones.
disturbed: Other programs took the processors, or the whole machine stood still, in some of the rounds. That is told
  by what was outside the measurement, never by the times themselves.
round | turn: In a round every system has one turn of at least a second, in an order drawn anew. So what changes on
  the machine meets all systems alike.
"""
_WORDS = """
[95 %] | interval: Where the mean would lie with other queries of the same kind, in 95 of 100 such samples. It covers
  the drawing of queries, and of builds and seeds where there are several, and nothing else.
–: This was not measured or does not exist for the system. It is never 0.
! | ·: A line with `!` may change what you conclude from a figure. A line with `·` tells how something was done.
margin: How much worse in the measure that decides does not matter to you, as the experiment file says. It makes the
  verdict `at most … worse` possible.
primary measure | first measure: The first measure of the experiment file, which alone decides. The others show where
  systems differ.
detectable difference | differences under <number> <measure> cannot be seen here: The smallest true difference that
  this test set shows with a chance of 80 %, for all systems of the file together. It rests on how much the
  differences vary from query to query, and more queries make it smaller.
cannot be told apart | cannot be told from | not told apart: The best system is not shown to be better, because the
  interval of the difference includes 0. The interval holds whichever system came out best, since the best one was
  chosen by the same queries.
identical | identical in every query: Two systems have the same value in every measure for every query. One of them
  can go.
gate: A comparison of two results that fails with exit status 3 where a figure is shown to have become worse, such as
  `bench compare OLD NEW --fail-on nDCG@10`. It says what loss it finds in four of five cases, and how often it fails
  though nothing got worse.
copy | is a copy of: A system that must rank as another one does, whatever the queries are, such as exact hits scored
  again by their own encoder. It adds time and nothing else.
no figures: A system that failed before it was measured. Its status says how it ended.
best: The system with the highest mean of the measure that decides, among those that are whole. Whether it is shown to
  be better than others is said beside it.
highest mean: The system's mean is the highest, but it is not shown to be better. Other queries might put another one
  first.
proposed: The system that a retriever is generated from unless you name one. It is the best one that is shown to be
  better than the baseline, else the baseline, and with targets the fastest that reaches the highest one.
one build: The figures rest on one making of an index that comes out differently each time. How far another would
  differ is not known, and `builds: 3` shows it.
build: One making of an index. An unseeded one comes out differently each time.
seed: What the random draws of a training start from. Another seed ends in another model.
adjusted: The engine built something else than was asked for. The sentence says what, and the figures are those of
  what was built.
relevant: A document that was judged with a grade of 1 or more for the query. A document that nobody judged counts as
  not relevant.
only positives are judged: The judgements name relevant documents and no irrelevant ones. A good document that nobody
  judged counts as not relevant, for all systems alike.
target: A recall that the experiment asks for, such as .95. Each engine shows its cheapest setting that reaches it.
fastest setting: The setting with the shortest own p50 among all engines that are shown to reach the target. It was
  chosen on one half of the queries and measured again afterwards.
synthetic | synthetic query | synthetic queries: Questions that a language model wrote for documents, because nobody's
  own were there or too few. Systems may stand in another order with the questions of users.
round trip: Only those synthetic queries are kept whose document a named system finds. That removes nonsense, and
  favours the system that was named and those like it.
stand-in: Something that answered in a provider's place, such as a local server. Its figures are not the provider's.
"""

ENTRIES: tuple[Entry, ...] = (
    *_entries("measure", _MEASURES),
    *_entries("verdict", _VERDICTS),
    *_entries("status", _STATUSES),
    *_entries("column", _COLUMNS),
    *_entries("load", _LOADS),
    *_entries("word", _WORDS),
)
