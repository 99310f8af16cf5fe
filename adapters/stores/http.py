"""Any search service as a store: one HTTP request per query; two paths read ids and scores from its JSON answer."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa

from adapters.answers import Bounds, bounded_client, one_line
from adapters.base import (
    EMPTY_ROW,
    AdapterError,
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    CodePiece,
    Consumes,
    Contact,
    Context,
    EffectiveIndex,
    Filter,
    Hits,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    UnknownIds,
    Value,
)
from adapters.base.processes import is_this_machine
from adapters.code.http_template import PLACEHOLDER, filled_template
from adapters.fan import Fan
from adapters.service import shown, without_credentials
from adapters.stores._http_options import HttpConnection, HttpIndex, HttpQuery, Json

_IDS = "ids.arrow"
_LARGEST_SCORE = float(np.finfo(np.float32).max)  # what scores are kept in
_SHOWN_BYTES = 300  # of an answer
_RESERVED = ("query", "vector", "k")


class HttpStore(Store):
    """The service holds the documents already: `build` keeps only which id stands for which row."""

    name = "http"
    requires = ("httpx",)
    figures_from = ()  # the service does the work
    Index = HttpIndex
    Query = HttpQuery
    Connection = HttpConnection
    embedded = False
    filters = False

    def __init__(self, index: HttpIndex, connection: HttpConnection, context: Context = Context()) -> None:
        super().__init__(index, connection, context)
        self.returns_text = index.texts is not None
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> Identity:
        return Identity("http", "http", self.index.url, settings={"layout": 1})

    def consumes(self, query: Any) -> frozenset[Consumes]:
        names = self.index.placeholders
        if unknown := sorted(names - set(_RESERVED) - set(query.values)):
            raise InvalidOptions(
                f"The placeholder {{{unknown[0]}}} has no value. Known: {{query}}, {{vector}}, {{k}} and the names "
                "under query.values.",
                key=f"query.values.{unknown[0]}",
            )
        if idle := sorted(set(query.values) - names):
            raise InvalidOptions(f"No template holds {{{idle[0]}}}.", key=f"query.values.{idle[0]}")
        needs: set[Consumes] = set()
        if "query" in names:
            needs.add("text")
        if "vector" in names:
            needs.add("vector")
        if not needs:
            raise InvalidOptions("The request holds neither {query} nor {vector}.", key="index.body")
        return frozenset(needs)

    @property
    def holds_text(self) -> bool:
        return True  # the service does

    def no_texts(self) -> InvalidOptions:
        return InvalidOptions(
            "store http returns no texts where no option says where they stand in the answer. Set index.texts, or "
            "leave payload out.",
            key="payload",
        )

    @property
    def needs_every_row(self) -> bool:
        return True  # the service may find any document, and its id must be known

    def check(self) -> None:
        super().check()
        self._headers()
        address = urlsplit(self.index.url)
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname, port), timeout=min(5, self.connection.timeout_seconds)).close()
        except OSError as error:
            raise AdapterUnavailable(f'Adapter "http" needs a service at {self.index.url} ({error}).') from error

    def server_processes(self) -> tuple[int, ...] | None:
        """None for a service on this machine: only the process that listens is known, and it may have others."""
        return None if is_this_machine(urlsplit(self.index.url).hostname or "") else ()

    def contacts(self) -> Sequence[Contact]:
        url, variable = self.index.url, self.connection.api_key_env
        return [Contact(without_credentials(url), variable, own=url in self.context.own_addresses)]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _headers(self) -> dict[str, str]:
        headers = {str(name): str(value) for name, value in self.index.headers.items()}
        if (variable := self.connection.api_key_env) is not None:
            if not (key := os.environ.get(variable)):
                raise AdapterRejected(
                    f'Adapter "http" takes its key from the environment variable {variable}, which is not set. '
                    f"Set it: export {variable}=…"
                )
            name, _, value = self.connection.api_key_header.partition(": ")
            headers[name] = value.replace("{key}", key)
        return headers

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        schema = pa.schema([("row", pa.int32()), ("id", pa.string())])
        with pa.ipc.new_file(str(place.folder / _IDS), schema) as writer:
            for batch in batches:
                writer.write_batch(batch.select(schema.names).cast(schema))
        return {}

    def open(self, ref: IndexRef) -> HttpSession:
        import httpx

        with self._lock:
            if self._client is None:
                bounds = Bounds(self.index.url, self.connection.timeout_seconds, cure="Ask it for less: index.body.")
                self._client = bounded_client(
                    httpx,
                    self.index.url,
                    bounds,
                    connections=None,
                    # Connections stay open, because a user of the service does not open a new one for each query
                    # either.
                    kept_alive=max(self.connection.search_threads, 64),
                    headers=self._headers(),
                )
        return HttpSession(ref, self.index, self.connection, self._client)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        count = _ids(ref).num_rows
        return EffectiveIndex(
            type="http", rows=count, rows_indexed=count, flat=False, parameters={"url": self.index.url}
        )

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        builder = CodePiece("adapters.code.local_builders", "IdsBuilder")
        built: dict[str, Value] = {"builder": builder, "argument": "ids", "file": "ids.arrow"}
        return CodePiece("adapters.code.building", "BuiltPart", built)

    def export(
        self, ref: IndexRef, query: HttpQuery, *, filter: Filter | None = None, payload: bool = False
    ) -> CodePiece:
        if filter is not None:
            raise _no_filter()
        index, connection = self.index, self.connection
        variable = connection.api_key_env
        return CodePiece(
            "adapters.code.http_search",
            "HttpSearch",
            {
                "url": index.url,
                "method": index.method,
                "body": index.body,
                "parameters": dict(index.parameters),
                "headers": dict(index.headers),
                "values": dict(query.values),
                "found": index.ids,
                "scores": index.scores,
                "texts": index.texts if payload else None,
                "smaller_is_better": index.smaller_is_better,
                "ignore_unknown": index.unknown_ids == "ignore",
                "key": variable,
                "key_header": connection.api_key_header,
                "timeout_seconds": connection.timeout_seconds,
                "retries": connection.retries,
            },
            requires=("httpx", "pyarrow"),
            files={"ids": Path(ref.folder) / _IDS},
            keys=() if variable is None else (variable,),
        )


def _no_filter() -> InvalidOptions:
    return InvalidOptions("Store http cannot filter. Write the condition into index.body.", key="filter")


class _Found(NamedTuple):
    """The service's answer to one query: rows with scores, best first, the ids that the corpus lacks, and the hits'
    texts where they are asked for."""

    hits: list[tuple[int, float]]
    unknown: UnknownIds
    texts: list[str | None]


class HttpSession(Session):
    """One session serves many threads once it is configured."""

    def __init__(self, ref: IndexRef, index: HttpIndex, connection: HttpConnection, client: Any) -> None:
        super().__init__(ref)
        self.options = HttpQuery()
        self._index = index
        self._connection = connection
        self._client = client
        ids = _ids(ref)
        self._rows = dict(zip(ids.column("id").to_pylist(), ids.column("row").to_pylist(), strict=True))
        self._needs = index.placeholders
        self._fan = Fan(connection.search_threads, "http-search")
        self._lock = threading.Lock()
        self._unknown = UnknownIds()

    def unknown_ids(self) -> UnknownIds:
        return self._unknown

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if filter is not None:
            raise _no_filter()
        for name, given in (("query", queries.texts), ("vector", queries.vectors)):
            if name in self._needs and given is None:
                raise InvalidOptions(f"The template holds {{{name}}} and the system has none.", key="index.body")

        def one(i: int) -> _Found:
            values: dict[str, Any] = {**self.options.values, "k": limit}
            if queries.texts is not None:
                values["query"] = queries.texts[i]
            if queries.vectors is not None and "vector" in self._needs:
                values["vector"] = queries.vectors[i].tolist()
            return self._read(self._ask(values))

        found = self._fan.each(one, len(queries))
        with self._lock:
            self._unknown = sum((each.unknown for each in found), self._unknown)
        empty = (EMPTY_ROW, -math.inf)
        padded = [(each.hits + [empty] * limit)[:limit] for each in found]
        return Hits(
            np.array([[row for row, _ in hits] for hits in padded], np.int32),
            np.array([[score for _, score in hits] for hits in padded], np.float32),
            [each.texts[:limit] for each in found] if self.payload else None,
        )

    def _ask(self, values: Mapping[str, Any]) -> Json:
        """The service's answer to one query; retried where a retry may cure."""
        for attempt in range(self._connection.retries + 1):
            try:
                return self._try(values)
            except _Passing as passing:
                if attempt == self._connection.retries:
                    raise passing.error from passing.__cause__
                time.sleep(min(passing.seconds or 0.2 * 2**attempt, 10))
        raise AssertionError

    def _try(self, values: Mapping[str, Any]) -> Json:
        import httpx

        index = self._index
        try:
            answer = self._client.request(
                index.method,
                PLACEHOLDER.sub(lambda found: quote(str(values[found[1]]), safe=""), index.url),
                params=filled_template(dict(index.parameters), values) or None,
                json=filled_template(index.body, values) if index.body is not None else None,
            )
        except httpx.TimeoutException as error:
            raise AdapterTimeout(
                f"{index.url} gave no answer in {self._connection.timeout_seconds:g} s (connection.timeout_seconds)."
            ) from error
        except httpx.TransportError as error:
            raise _Passing(AdapterUnavailable(f"{index.url} cannot be reached: {error}.")) from error
        text = one_line(answer.content[:_SHOWN_BYTES].decode("utf-8", "replace"))
        if answer.status_code in (401, 403):
            raise AdapterRejected(f"{index.url} refused the key ({answer.status_code}): {text}. Check api_key_env.")
        if answer.status_code in (429, 502, 503, 504):
            kind: type[AdapterError] = AdapterRejected if answer.status_code == 429 else AdapterUnavailable
            raise _Passing(
                kind(f"{index.url} answered {answer.status_code}: {text}"), _seconds(answer.headers.get("retry-after"))
            )
        if answer.status_code >= 300:
            raise AdapterRejected(f"{index.url} answered {answer.status_code}: {text}")
        try:
            return answer.json()
        except ValueError as error:
            raise AdapterRejected(f"{index.url} did not answer with JSON ({error}): {text}") from error
        except RecursionError as error:
            raise AdapterRejected(f"{index.url} answered with brackets in brackets without end: {text}") from error

    def _read(self, answer: Json) -> _Found:
        """Rows and scores of an answer, best first, each row once."""
        index = self._index
        ids = [str(found) for found in self._at(answer, index.ids, "index.ids")]
        if index.scores is None:
            scores = [-float(place) for place in range(len(ids))]
        else:
            scores = [self._score(found) for found in self._at(answer, index.scores, "index.scores")]
        if len(scores) != len(ids):
            raise AdapterRejected(
                f"{index.url} answered with {len(ids)} ids at {index.ids} and {len(scores)} scores at {index.scores}."
            )
        texts = self._texts(answer, len(ids))
        best: dict[int, tuple[float, str | None]] = {}
        unknown: list[str] = []
        for name, score, text in sorted(zip(ids, scores, texts, strict=True), key=lambda hit: -hit[1]):
            row = self._rows.get(name)
            if row is not None:
                best.setdefault(row, (score, text))
            elif index.unknown_ids == "ignore":
                unknown.append(name)
            else:
                raise AdapterRejected(
                    f"{index.url} found the id {shown(name)}, which is not in the corpus. Give the service the same "
                    "corpus, or set index.unknown_ids: ignore."
                )
        hits = [(row, score) for row, (score, _) in best.items()]
        lost = UnknownIds(len(unknown), len(ids), unknown[0] if unknown else None)
        return _Found(hits, lost, [text for _, text in best.values()] if self.payload else [])

    def _texts(self, answer: Json, count: int) -> list[str | None]:
        """The texts of an answer in its order; null for each where they are not asked for."""
        path = self._index.texts
        if not self.payload or path is None:
            return [None] * count
        found = self._at(answer, path, "index.texts", null=True)
        if len(found) != count:
            raise AdapterRejected(
                f"{self._index.url} answered with {count} ids at {self._index.ids} and {len(found)} texts at {path}."
            )
        if wrong := [each for each in found if each is not None and not isinstance(each, str)]:
            raise AdapterRejected(f"{self._index.url} gave {shown(wrong[0])} at {path}, which is no text.")
        return found

    def _score(self, found: Json) -> float:
        try:
            score = math.nan if isinstance(found, bool) or not isinstance(found, int | float) else float(found)
        except OverflowError:
            score = math.inf
        if not abs(score) <= _LARGEST_SCORE:
            raise AdapterRejected(f"{self._index.url} gave the score {shown(found)}, which is no finite number.")
        return -score if self._index.smaller_is_better else score

    def _at(self, answer: Json, path: str, option: str, *, null: bool = False) -> list[Json]:
        """The values at a path, in order. null: whether they may be that."""
        found = [answer]
        for depth, step in enumerate(path.split(".")):
            reached: list[Json] = []
            for part in found:
                if step == "*" and isinstance(part, list):
                    reached += part
                elif isinstance(part, Mapping) and step in part:
                    reached.append(part[step])
                elif isinstance(part, list) and step.isdigit() and int(step) < len(part):
                    reached.append(part[int(step)])
                else:
                    where = ".".join(path.split(".")[:depth]) or "the top"
                    has = one_line(f"the keys {', '.join(part)}") if isinstance(part, Mapping) else type(part).__name__
                    raise AdapterRejected(
                        f"The answer of {self._index.url} has no {step!r} at {where} ({option}: {path}); it has {has}."
                    )
            found = reached
        if any(isinstance(value, dict | list) or (value is None and not null) for value in found):
            raise AdapterRejected(f"{option}: {path} leads to no plain values in the answer of {self._index.url}.")
        return found

    def close(self) -> None:
        self._fan.close()


class _Passing(Exception):
    """A failure that another try may cure. seconds: how long the service asks to wait."""

    def __init__(self, error: AdapterError, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and re.fullmatch(r"\d+(\.\d+)?", header) else None


def _ids(ref: IndexRef) -> pa.Table:
    try:
        with pa.memory_map(str(Path(ref.folder) / _IDS)) as source:
            return pa.ipc.open_file(source).read_all()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise IndexMissing(f"No ids in {ref.folder}: the index has to be built again.") from error
