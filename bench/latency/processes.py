"""Load from processes of their own: one Python process cannot keep a fast server busy, and its queue would be timed.

The parent deals out a turn's queries and names the moment at which all begin; each child sends its share from threads
and gives back what it measured. They speak pickles over the child's standard input and output; the child is
`python -P -m bench.latency.processes`.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters import quieten_process
from adapters.base import (
    AdapterUnavailable,
    Context,
    Encoder,
    Floats,
    IndexRef,
    Reranker,
    Rows,
    Store,
)
from bench.experiment.parts import Searched, System
from bench.latency.loops import Assignment, Carried, Sent, Threads
from bench.latency.steps import LiveSystem, NotLive, Parts
from bench.machine import children
from bench.messages.failures import Failed, Failure, close_all, closing, failure_of
from bench.messages.terminal import guard_tracebacks, say

CLOSING_SECONDS = 5  # in which a child closes what it holds
LEAD_SECONDS = 0.05  # from dealing out a turn to its beginning, so that no child is late
# Of a processor. Threads of one process kept up 800 Weaviate queries a second, at .37 of a processor, adding 2.8 ms to
# the median; at 1,600 a second, which takes .61, they added 10.8 ms and lost a fifth of the rate, two processes 3.7 ms
# and a tenth: python -P -m tests.perf.clients, on two processors with the server beside them.
SHARE_FOR_ONE = 0.5


@dataclass(frozen=True)
class Portable:
    """A system that another process can open: its engines are servers and its query vectors are given.

    refs: of the indexes that it searches, by the system that searches. vectors: of the queries, by encoder.
    id_order: the place of each document's id in ascending order. own_rows: as `Dataset.own_rows`.
    expected: documents of the quality pass by query position, (n, k).
    """

    system: System
    refs: Mapping[str, IndexRef]
    vectors: Mapping[str, Floats]
    query_texts: Sequence[str]
    documents: int
    id_order: npt.NDArray[np.int32]
    own_rows: Rows | None
    context: Context
    expected: Rows

    @classmethod
    def of(cls, parts: Parts, system: System, context: Context, expected: Rows) -> Portable | None:
        """The system in this form. None where some of its work is done in this process: by an embedded engine, by a
        local model, or by a managed model, whose limits per minute are kept here."""
        systems = {node.system.name: node.system for node in system.nodes()}
        if any(
            each.run_file or each.reranker or (each.store and each.store.kind.embedded) for each in systems.values()
        ):
            return None
        encoders = {each.encoders.query for each in systems.values() if each.encoders is not None}
        vectors = {name: parts.given_vectors(name) for name in encoders}
        if any(array is None for array in vectors.values()):
            return None
        return cls(
            system=system,
            refs={name: parts.built(name, each.searched)[1] for name, each in systems.items() if each.searched},
            vectors={name: array for name, array in vectors.items() if array is not None},
            query_texts=parts.query_texts,
            documents=parts.documents,
            id_order=parts.id_order,
            own_rows=parts.own_rows,
            context=context,
            expected=expected,
        )


class _PartsAway:
    """The parts of a portable system in the process that it was sent to. They have connections of their own."""

    def __init__(self, portable: Portable) -> None:
        self._portable = portable
        self.documents, self.id_order, self.query_texts = portable.documents, portable.id_order, portable.query_texts
        self.own_rows = portable.own_rows
        self._stores: dict[str, Store] = {}

    def built(self, name: str, searched: Searched) -> tuple[Store, IndexRef]:
        choice = searched.store
        if name not in self._stores:
            self._stores[name] = choice.kind(choice.index, choice.connection, self._portable.context)
        return self._stores[name], self._portable.refs[name]

    def given_vectors(self, encoder: str) -> Floats | None:
        return self._portable.vectors[encoder]

    def encoder(self, name: str) -> Encoder:
        raise NotLive(f"encoder {name} works in another process")

    def reranker(self, name: str) -> Reranker:
        raise NotLive(f"reranker {name} works in another process")

    def close(self) -> None:
        close_all(store.close for store in self._stores.values())


def wanted_processes(share: float, workers: int) -> int:
    """How many processes are needed so that each takes under half a processor; at most one per worker and one per
    processor.

    share: processor seconds per second that the load would take of a single process.
    """
    return max(1, min(math.ceil(share / SHARE_FOR_ONE), workers, os.cpu_count() or 1))


class Children:
    """Processes that generate load, started when they are first wanted and shared by all systems of a load point: as
    many systems as there are may take turns, and there are never more processes than the most that one of them has."""

    def __init__(self) -> None:
        self._started: list[_Child] = []

    def first(self, count: int) -> list[_Child]:
        """That many of the processes. A process that has ended is replaced; the systems that were open in it are
        lost."""
        self._started = [child for child in self._started if child.alive()]
        self._started += [_Child() for _ in range(count - len(self._started))]
        return self._started[:count]

    def close(self) -> None:
        """End them all."""
        for child in self._started:
            child.close()


class Processes:
    """Generates load from children, each with its share of the workers; what they send is one turn."""

    def __init__(self, portable: Portable, children: Sequence[_Child], workers: int) -> None:
        """Raises Failed when a child does not start, or the system cannot be opened there."""
        self.processes = len(children)
        self._name = portable.system.name
        self._children = children
        for i, child in enumerate(children):
            child.ask(self._name, "open", portable, len(range(i, workers, len(children))))
        self._answers()

    @property
    def pids(self) -> tuple[int, ...]:
        """The children's process ids."""
        return tuple(child.pid for child in self._children)

    def configure(self) -> None:
        """Set the query options in every child. Raises Failed."""
        self._all("configure")

    def warm_up(self, turn: int, queries: Sequence[int], seconds: float) -> list[Sent]:
        """Send the queries by one worker of every child."""
        return [sent for answer in self._all("warm_up", turn, queries, seconds) for sent in answer]

    def carry_out(self, assignment: Assignment) -> Carried:
        """Send the assignment's queries, all children from the same moment on."""
        began = time.perf_counter() + LEAD_SECONDS
        for child, share in zip(self._children, assignment.shares(len(self._children)), strict=True):
            child.ask(self._name, "carry_out", share.starting(began))
        carried: list[Carried] = self._answers()
        return Carried(
            sent=[one for each in carried for one in each.sent],
            seconds=max(each.seconds for each in carried),
            processor_seconds=[own for each in carried for own in each.processor_seconds],
        )

    def close(self) -> None:
        """Nothing to do: a child closes its systems when it ends."""

    def _all(self, name: str, *arguments: Any) -> list[Any]:
        for child in self._children:
            child.ask(self._name, name, *arguments)
        return self._answers()

    def _answers(self) -> list[Any]:
        """Read one answer from each child, also when one of the answers is a failure, so that none is left in a
        pipe."""
        answers = [child.answer() for child in self._children]
        for answer in answers:
            if isinstance(answer, Failure):
                raise Failed(answer)
        return answers


class _Child:
    def __init__(self) -> None:
        # In a session of its own, so that Ctrl-C reaches the parent alone, which then closes the pipe.
        self._process = subprocess.Popen(
            children.command("bench.latency.processes"),
            env=children.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, system: str, name: str, *arguments: Any) -> None:
        """Ask the child to open a system or to call a method of its load. `answer` tells where the child has ended."""
        assert self._process.stdin is not None
        # Pickled apart, so that a child that cannot read what an adapter put into the arguments still knows where they
        # end.
        inner = pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL)
        message = pickle.dumps((system, name, inner), pickle.HIGHEST_PROTOCOL)
        with suppress(OSError):
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def answer(self) -> Any:
        """The value of the call, or the failure that ended it."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            return failure_of(AdapterUnavailable("A process that generates load has ended; its output is above."))

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()  # at its end the child closes what it holds
            self._process.wait(timeout=CLOSING_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class _Open:
    """A system in the process it was sent to."""

    def __init__(self, portable: Portable, workers: int) -> None:
        self._parts = _PartsAway(portable)
        self._workers: list[LiveSystem] = []
        self.threads = Threads(self._workers, portable.expected)
        try:
            for _ in range(workers):
                self._workers.append(LiveSystem(self._parts, portable.system))
        except BaseException:
            list(closing(self.closes))
            raise

    @property
    def closes(self) -> list[Callable[[], None]]:
        """The calls that end it, in order."""
        return [self.threads.close, self._parts.close]


def _end_without_parent() -> None:
    """End this process when the parent ends, which closes the pipe, while a turn's queries are sent. Otherwise a load
    that nobody waits for would go on until the turn is over. Watching takes no time until then. Source: poll(2),
    POLLHUP."""
    watched = select.poll()
    watched.register(sys.stdin.fileno(), 0)
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in watched.poll()):
        pass
    time.sleep(CLOSING_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve a parent until it closes the pipe."""
    threading.Thread(target=_end_without_parent, name="parent", daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a package prints must not fall among the answers
    quieten_process()
    guard_tracebacks()
    systems: dict[str, _Open] = {}
    try:
        while True:
            try:
                system, name, inner = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                arguments = pickle.loads(inner)
                if name == "open":
                    systems[system] = _Open(*arguments)
                    answer = None
                else:
                    answer = getattr(systems[system].threads, name)(*arguments)
            except BaseException as error:
                answer = failure_of(error)
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    finally:
        answers.close()
        for failure in closing(close for each in systems.values() for close in each.closes):
            say(f"A system that was measured could not be closed: {failure.where}")


if __name__ == "__main__":
    main()
