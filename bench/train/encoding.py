"""What `bench encode` computes: vectors of texts, or the documents nearest to them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters import registry
from adapters.base import (
    TRAINED,
    AdapterRejected,
    Context,
    Encoder,
    Floats,
    Hits,
    InvalidOptions,
    Role,
    TextRows,
    exact_top_k,
)
from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.messages.suggestions import suggestion
from bench.messages.wording import aligned, beginning
from bench.money.budget import Budget
from bench.quality.embedding import Embedding, embedding_of
from bench.quality.stages import Count, Emit, Stage
from bench.train.choosing import choose_one, is_name
from bench.train.kept import KeptModels, is_key
from bench.train.texts import Text

Format: TypeAlias = Literal["jsonl", "npy", "parquet"]
_AT_ONCE = 512  # texts between two advances of the progress display
_SHOWN = 100  # characters of a text in the list of nearest documents


@dataclass(frozen=True, slots=True)
class Named:
    """An encoder and the word that a command names it by. note: how it was chosen, where that was not plain. keeping:
    of an encoder that an experiment names, where its vectors are kept and what it may spend; None of any other."""

    word: str
    encoder: Encoder
    note: str | None = None
    keeping: Keeping | None = None

    def encoded(self, texts: Sequence[Text], role: Role, emit: Emit) -> Floats:
        """Vectors float32 (n, dimension) of texts. Raises what the encoder raises, and AdapterRejected for a text that
        it refuses."""
        if self.keeping is not None:
            found = self.keeping.embedding(texts, role, emit).vectors(self.word, self.encoder, role)
            for cause in found.failures.values():
                raise AdapterRejected(f"{cause} The vectors of the other texts are kept.")
            return found.array
        parts = []
        with Stage(emit, "encode", self.word, len(texts), "texts") as advance:
            for start in range(0, len(texts), _AT_ONCE):
                part = [text.text for text in texts[start : start + _AT_ONCE]]
                parts.append(self.encoder.encode(TextRows(part), role).vectors)
                advance(len(part))
        return np.concatenate(parts)

    def nearest(self, texts: Sequence[Text], documents: Sequence[Text], top: int, emit: Emit) -> Nearest:
        """The `top` documents nearest to each text, by exact search, compared as the model means its vectors to be."""
        corpus = self.encoded(documents, "document", emit)
        asked = self.encoded(texts, "query", emit)
        return Nearest(texts, documents, exact_top_k(asked, corpus, min(top, len(documents)), self.encoder.similarity))


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the vectors of an experiment's encoders are kept, and what those that are not there yet may cost."""

    experiment: Experiment
    cache: Cache
    budget: Budget

    def embedding(self, texts: Sequence[Text], role: Role, emit: Emit) -> Embedding:
        """The embedding stage of texts."""
        ids = [text.id for text in texts]
        return embedding_of([text.text for text in texts], role, self.cache, Count(), emit, self.budget, ids=ids)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The documents nearest to each text, best first."""

    texts: Sequence[Text]
    documents: Sequence[Text]
    hits: Hits

    def rows(self) -> list[dict[str, Any]]:
        """A row for each text and document."""
        found = []
        for text, rows, scores in zip(self.texts, self.hits.rows.tolist(), self.hits.scores.tolist(), strict=True):
            for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1):
                if row >= 0:
                    document = self.documents[row]
                    about = {"rank": rank, "id": document.id, "score": score, "document": document.text}
                    found.append({"text": text.text, **about})
        return found

    def shown(self) -> str:
        """For people: each text, and below it its documents."""
        lines: list[str] = []
        rows = self.rows()
        for text in dict.fromkeys(row["text"] for row in rows):
            cells = [
                (str(row["rank"]), f"{row['score']:.3f}", row["id"], beginning(row["document"], _SHOWN))
                for row in rows
                if row["text"] == text
            ]
            lines += [beginning(text, _SHOWN), *(f"  {line}" for line in aligned(cells)), ""]
        return "\n".join(lines)


def named_encoder(model: str, models: KeptModels, keeping: Keeping | None) -> Named:
    """The encoder that a word names: one of the experiment's file, a model that was trained (`trained:NAME`, its name
    where no folder is called so, or its key), a folder, `package:…`, or an id on the hub. It is not checked yet.
    keeping: of the experiment whose file it is. Raises NoSuchModel, ConfigFaults, and what the adapter raises."""
    named = _of_file(model, models, keeping) if keeping is not None else _local(model, models)
    if named.encoder.consumes != "text":
        raise InvalidOptions(f"{model} hands on the vectors of a collection; it reads no texts.")
    return named


def vectors_as(form: Format, texts: Sequence[Text], vectors: Floats) -> bytes:
    """Texts with their vectors as a file: of NumPy's form the vectors alone."""
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, vectors, allow_pickle=False)
        return buffer.getvalue()
    if form == "parquet":
        flat = pa.array(vectors.ravel(), pa.float32())
        columns = {
            "id": [text.id for text in texts],
            "text": [text.text for text in texts],
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
        return _parquet(pa.table(columns))
    rows = zip(texts, vectors, strict=True)
    return _lines([{"id": text.id, "text": text.text, "vector": vector.tolist()} for text, vector in rows])


def nearest_as(form: Literal["jsonl", "parquet"], found: Nearest) -> bytes:
    """A row for each text and document, as a file."""
    rows = found.rows()
    return _parquet(pa.Table.from_pylist(rows)) if form == "parquet" else _lines(rows)


def _of_file(model: str, models: KeptModels, keeping: Keeping) -> Named:
    experiment = keeping.experiment
    known = experiment.encoders
    if model not in known:
        raise ConfigFaults([f"{experiment.file}: encoders: {model} is not there. {suggestion(model, known)}"])
    part = known[model]
    folders: dict[str, Path] = {}
    note = None
    reference = getattr(part.options, "model", None)
    if isinstance(reference, str) and reference.startswith(TRAINED):
        kept, note = choose_one(models, reference)
        folders[reference] = kept.folder
    return Named(model, part.kind(part.options, experiment.context(models=folders)), note, keeping)


def _local(model: str, models: KeptModels) -> Named:
    note, word = None, model
    here = "/" in model or Path(model).is_dir()
    if model.startswith(TRAINED) or is_key(model) or (not here and is_name(models, model)):
        kept, note = choose_one(models, model)
        if kept.provenance.makes != "encoder":
            raise InvalidOptions(f"{model} is a reranker: it scores pairs and gives no vectors.")
        word = str(kept.folder)
    kind = registry.load("encoders", registry.LOCAL["encoders"])
    return Named(model, kind(kind.Options(model=word), Context(Path.cwd())), note)


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode("utf-8", "backslashreplace")


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()
