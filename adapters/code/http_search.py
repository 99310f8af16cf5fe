"""Asks a search service: one HTTP request for each query; paths read ids and scores from its JSON answer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]

from adapters.code.contract import Hit, RetrieverError, SearchEngine
from adapters.code.exchange import Exchange, Pause, acarried_out, carried_out, key_from
from adapters.code.http_client import HttpPart
from adapters.code.http_template import PLACEHOLDER, filled_template
from adapters.code.managed import one_line

_HTTP_PASSING = (429, 502, 503, 504)
_HTTP_LARGEST_SCORE = float(np.finfo(np.float32).max)


class HttpSearch(HttpPart, SearchEngine):
    """Sends templates whose placeholders are filled: {query}, {vector}, {k} and the names in `values`.

    ids: Arrow file with the columns row and id, of the documents that the service was measured with. found, scores,
        texts: paths to the documents' ids, scores and texts in the answer. ignore_unknown: whether an id that is not
        among `ids` is left out; else it is an error. key: environment variable of the service's key; key_header: the
        header that carries it.
    """

    def __init__(
        self,
        *,
        ids: Path | str,
        url: str,
        method: str,
        found: str,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        scores: str | None = None,
        texts: str | None = None,
        smaller_is_better: bool = False,
        ignore_unknown: bool = False,
        key: str | None = None,
        key_header: str = "Authorization: Bearer {key}",
        timeout_seconds: float = 10,
        retries: int = 2,
    ) -> None:
        super().__init__(timeout_seconds)
        self._ids = ids
        self._url = url
        self._method = method
        self._body = body
        self._parameters = dict(parameters or {})
        self._headers = dict(headers or {})
        self._values = dict(values or {})
        self._paths = found, scores, texts
        self._smaller_is_better = smaller_is_better
        self._ignore_unknown = ignore_unknown
        self._key = key
        self._key_header = key_header
        self._retries = retries
        self._rows: dict[str, int] | None = None

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        client = self._opened()

        def ask(request: Mapping[str, Any]) -> httpx.Response:
            return client.request(**request)

        return carried_out(self._exchange(text, vector, limit), ask, (httpx.TransportError,))

    async def asearch(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        client = await self._each_loop.client()

        async def ask(request: Mapping[str, Any]) -> httpx.Response:
            return await client.request(**request)

        return await acarried_out(self._exchange(text, vector, limit), ask, (httpx.TransportError,))

    def _sent_headers(self) -> dict[str, str]:
        headers = dict(self._headers)
        key = key_from(self._key, f"The service at {self._url}")
        if key is not None:
            name, _, value = self._key_header.partition(": ")
            headers[name] = value.replace("{key}", key)
        return headers

    def _exchange(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> Exchange[list[Hit]]:
        values: dict[str, Any] = {**self._values, "k": limit, "query": text}
        if vector is not None:
            values["vector"] = vector.tolist()
        request = {
            "method": self._method,
            "url": PLACEHOLDER.sub(lambda name: quote(str(values[name[1]]), safe=""), self._url),
            "params": filled_template(self._parameters, values) or None,
            "json": None if self._body is None else filled_template(self._body, values),
        }
        for attempt in range(self._retries + 1):
            pause, last = 0.2 * 2**attempt, attempt == self._retries
            try:
                answer = yield request
            except httpx.TimeoutException as error:
                raise RetrieverError(f"{self._url} gave no answer in {self._seconds:g} s.") from error
            except httpx.TransportError as error:
                if last:
                    raise RetrieverError(f"{self._url} cannot be reached: {error}. Is the service running?") from error
            else:
                if answer.status_code not in _HTTP_PASSING or last:
                    return self._read(self._content(answer))[:limit]
                wanted = answer.headers.get("retry-after", "")
                pause = float(wanted) if re.fullmatch(r"\d+(\.\d+)?", wanted) else pause
            yield Pause(min(pause, 10.0))
        raise AssertionError("unreachable")

    def _content(self, answer: httpx.Response) -> Any:
        said = one_line(answer.content[:1000].decode("utf-8", "replace"), self._key)
        if answer.status_code in (401, 403):
            where = f"in {self._key}" if self._key else "because this file names no variable of one"
            raise RetrieverError(f"{self._url} refused the key {where} ({answer.status_code}): {said}")
        if answer.status_code >= 300:
            raise RetrieverError(f"{self._url} answered {answer.status_code}: {said}")
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise RetrieverError(f"{self._url} did not answer with JSON ({error}): {said}") from error

    def _read(self, answer: Any) -> list[Hit]:
        """The hits of an answer, best first, each document once."""
        found_at, scores_at, texts_at = self._paths
        ids = [str(found) for found in self._values_at(answer, found_at)]
        scores = [-float(place) for place in range(len(ids))]
        if scores_at is not None:
            scores = [self._score(found) for found in self._values_at(answer, scores_at)]
        texts = [None] * len(ids) if texts_at is None else self._values_at(answer, texts_at, null=True)
        if not len(ids) == len(scores) == len(texts):
            raise RetrieverError(
                f"{self._url} answered with {len(ids)} ids, {len(scores)} scores and {len(texts)} texts."
            )
        rows, best = self._known(), dict[int, Hit]()
        for name, score, text in sorted(zip(ids, scores, texts, strict=True), key=lambda hit: -hit[1]):
            row = rows.get(name)
            if row is not None:
                best.setdefault(row, Hit(row, score, text))
            elif not self._ignore_unknown:
                raise RetrieverError(
                    f"{self._url} found the id {name!r}, which is not among the documents that this retriever knows. "
                    "Measure again with the documents that the service has now, or set ignore_unknown=True."
                )
        return list(best.values())

    def _known(self) -> dict[str, int]:
        if self._rows is None:
            try:
                with pa.memory_map(str(self._ids)) as source:
                    table = pa.ipc.open_file(source).read_all()
            except (OSError, pa.ArrowInvalid) as error:
                raise RetrieverError(
                    f"The documents' ids cannot be read from {self._ids}: {error}. Put the file back, or have this "
                    "file written again."
                ) from error
            self._rows = dict(zip(table.column("id").to_pylist(), table.column("row").to_pylist(), strict=True))
        return self._rows

    def _score(self, found: Any) -> float:
        try:
            score = math.nan if isinstance(found, bool) or not isinstance(found, int | float) else float(found)
        except OverflowError:
            score = math.inf
        if not abs(score) <= _HTTP_LARGEST_SCORE:
            raise RetrieverError(f"{self._url} gave a score that is no finite number: {str(found)[:80]}")
        return -score if self._smaller_is_better else score

    def _values_at(self, answer: Any, path: str, *, null: bool = False) -> list[Any]:
        """The values at a path, in order. null: whether they may be that."""
        found = [answer]
        for step in path.split("."):
            reached: list[Any] = []
            for part in found:
                if step == "*" and isinstance(part, list):
                    reached += part
                elif isinstance(part, Mapping) and step in part:
                    reached.append(part[step])
                elif isinstance(part, list) and step.isdigit() and int(step) < len(part):
                    reached.append(part[int(step)])
                else:
                    raise RetrieverError(f"The answer of {self._url} has no {step!r} on the way of {path}.")
            found = reached
        if any(isinstance(value, dict | list) or (value is None and not null) for value in found):
            raise RetrieverError(f"{path} leads to no plain values in the answer of {self._url}.")
        return found
