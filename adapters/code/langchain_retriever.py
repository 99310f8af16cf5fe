"""The retriever as LangChain knows it."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import Field, PrivateAttr

from adapters.code.contract import RetrieverError
from adapters.code.pipeline import Call, Candidate, Pipeline


class MeasuredRetriever(BaseRetriever):
    """A retriever that does what a measured system did. It opens its index at the first query.

    A call may say `k`, and `exclude`: ids of documents that it leaves out.
    """

    k: int = Field(default=10, ge=1, description="How many documents a call returns.")

    vector_store_provider: ClassVar[str | None] = None
    embedding_provider: ClassVar[str | None] = None
    embedding_model: ClassVar[str | None] = None

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _opened: Pipeline | None = PrivateAttr(default=None)

    @abstractmethod
    def _make(self) -> Pipeline:
        """The measured system, made of its parts."""

    def _pipeline(self) -> Pipeline:
        with self._lock:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        exclude: Sequence[str] = (),
    ) -> list[Document]:
        pipeline = self._pipeline()
        return _documents(pipeline, pipeline.find(Call(query, frozenset(exclude)), self._asked(k)))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        exclude: Sequence[str] = (),
    ) -> list[Document]:
        pipeline = self._pipeline()
        return _documents(pipeline, await pipeline.afind(Call(query, frozenset(exclude)), self._asked(k)))

    def _asked(self, k: int | None) -> int:
        asked = self.k if k is None else k
        if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
            raise RetrieverError(f"k is {asked!r}. Give a whole number of documents, at least 1.")
        return asked

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        parameters = super()._get_ls_params(**kwargs)
        if self.vector_store_provider is not None:
            parameters["ls_vector_store_provider"] = self.vector_store_provider
        if self.embedding_provider is not None:
            parameters["ls_embedding_provider"] = self.embedding_provider
        if self.embedding_model is not None:
            parameters["ls_embedding_model"] = self.embedding_model
        return parameters

    def close(self) -> None:
        """Close indexes and connections. The next query opens them again."""
        with self._lock:
            opened, self._opened = self._opened, None
        for part in opened.parts() if opened is not None else ():
            part.close()

    async def aclose(self) -> None:
        """As `close`, for what was opened in an event loop."""
        with self._lock:
            opened, self._opened = self._opened, None
        for part in opened.parts() if opened is not None else ():
            await part.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _documents(pipeline: Pipeline, candidates: Sequence[Candidate]) -> list[Document]:
    """Candidates as LangChain's documents. Metadata of the same names as ours are called `meta.<name>`."""
    found: list[Document] = []
    for rank, each in enumerate(candidates, start=1):
        ours = {"id": each.id, "score": each.score, "rank": rank, "stage": pipeline.top.name}
        theirs = pipeline.documents.metadata(each.row)
        metadata = {f"meta.{name}" if name in ours else name: value for name, value in theirs.items()}
        text = pipeline.documents.text(each.row) if each.text is None else each.text
        found.append(Document(id=each.id, page_content=text, metadata={**metadata, **ours}))
    return found
