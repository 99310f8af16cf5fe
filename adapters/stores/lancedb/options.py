"""The options of a LanceDB table: index families with their build options, and the options of a search.

Names and defaults are those of `lancedb.index` and of the query builders of lancedb 0.40; an option left out keeps
the engine's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from adapters._scripts import Writing
from adapters.base import InvalidOptions, Options, Similarity
from adapters.stores._quantizing import few_codes

IndexType: TypeAlias = Literal[
    "none", "IVF_FLAT", "IVF_SQ", "IVF_PQ", "IVF_RQ", "IVF_HNSW_FLAT", "IVF_HNSW_SQ", "IVF_HNSW_PQ"
]
Mode: TypeAlias = Literal["vector", "text", "hybrid"]

CONFIG_CLASS = {
    "IVF_FLAT": "IvfFlat", "IVF_SQ": "IvfSq", "IVF_PQ": "IvfPq", "IVF_RQ": "IvfRq",
    "IVF_HNSW_FLAT": "IvfHnswFlat", "IVF_HNSW_SQ": "IvfHnswSq", "IVF_HNSW_PQ": "IvfHnswPq",
}  # fmt: skip
_ALL = tuple(CONFIG_CLASS)
_HNSW = tuple(name for name in _ALL if "HNSW" in name)
_PQ = tuple(name for name in _ALL if name.endswith("_PQ"))
_QUANTISED = tuple(name for name in _ALL if not name.endswith("_FLAT"))
_APPLIES = {
    "num_partitions": _ALL,
    "target_partition_size": _ALL,
    "max_iterations": _ALL,
    "sample_rate": _ALL,
    "num_sub_vectors": _PQ,
    "num_bits": (*_PQ, "IVF_RQ"),
    "m": _HNSW,
    "ef_construction": _HNSW,
    "accelerator": tuple(name for name in _ALL if name != "IVF_HNSW_FLAT"),
}
TOKENIZERS: Mapping[Writing, str] = {
    "Chinese": "icu (words), or ngram with ngram_min_length 2",
    "Japanese": "icu (words), or ngram with ngram_min_length 2",
    "Korean": "ngram with ngram_min_length 2",
    "Thai, Lao, Khmer or Burmese": "icu",
    "names like C++, R or 3.5": "whitespace",
}
_DEFAULT_PQ_WIDTHS = (16, 8)  # dimensions in a sub-vector; source: lancedb, rust/lancedb/src/index/vector.rs
_ROWS_PER_PARTITION = {"IVF_PQ": 8192}  # rows per partition that the engine aims at; 4096 for other IVF types
DEFAULT_NPROBES = 20  # lancedb probes 20 partitions, at least and at most, unless told otherwise


class FullText(Options):
    """The full-text index over the documents' texts: the fields of `lancedb.index.FTS`."""

    with_position: bool = Field(False, description="Whether places of words are kept, which phrase queries need.")
    base_tokenizer: str = Field(
        "simple",
        description="How texts become words: simple, whitespace, raw, ngram, icu, icu/split, or jieba/* and "
        "lindera/* with their models.",
    )
    language: str = Field("English", description="Language of the stemmer and of the stop words, in English.")
    max_token_length: int | None = Field(
        40, ge=1, description="Characters of the longest word that is indexed; null for no limit."
    )
    lower_case: bool = Field(True, description="Whether words are brought to lower case.")
    stem: bool = Field(True, description="Whether words are stemmed.")
    remove_stop_words: bool = Field(True, description="Whether stop words are left out.")
    custom_stop_words: tuple[str, ...] | None = Field(
        None, description="Stop words instead of the language's; left out, the language's."
    )
    ascii_folding: bool = Field(True, description="Whether accents are taken off letters.")
    ngram_min_length: int = Field(3, ge=1, description="Characters of the shortest n-gram of tokenizer ngram.")
    ngram_max_length: int = Field(3, ge=1, description="Characters of the longest n-gram of tokenizer ngram.")
    prefix_only: bool = Field(False, description="Whether tokenizer ngram takes only the beginnings of words.")
    block_size: Literal[128, 256] = Field(
        128, description="Documents in a compressed block of postings; 256 is the engine's experimental format."
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        self.refuse_idle("language", "stem or remove_stop_words", heeded=self.stem or self.remove_stop_words)
        self.refuse_idle("custom_stop_words", "remove_stop_words", heeded=self.remove_stop_words)
        for option in ("ngram_min_length", "ngram_max_length", "prefix_only"):
            self.refuse_idle(option, "base_tokenizer: ngram", heeded=self.base_tokenizer == "ngram")
        return self

    def arguments(self) -> dict[str, Any]:
        """What `lancedb.index.FTS` is made with."""
        given = self.model_dump()
        return {**given, "custom_stop_words": given["custom_stop_words"] and list(given["custom_stop_words"])}


class LanceDbIndex(Options):
    """How the table is indexed. An option that the type does not know is a fault."""

    type: IndexType = Field(
        "none", description="Family of the index; none (or null, or FLAT) compares every search with every vector."
    )
    num_partitions: int | None = Field(
        None,
        ge=1,
        description="Partitions of the vectors; left out, the engine makes one for every 4,096 rows (8,192 with "
        "IVF_PQ, a million with HNSW).",
    )
    target_partition_size: int | None = Field(
        None, ge=1, description="Rows that a partition is meant to hold, instead of a number of partitions."
    )
    max_iterations: int | None = Field(None, ge=1, description="Rounds of k-means at most; left out, 50.")
    sample_rate: int | None = Field(
        None, ge=1, description="Vectors for each partition that k-means is trained on; left out, 256."
    )
    num_sub_vectors: int | None = Field(
        None,
        ge=1,
        description="Sub-vectors that PQ gives a code each, a divisor of the dimension; left out, one for every "
        "16 dimensions, or 8 where 16 does not divide.",
    )
    num_bits: int | None = Field(
        None,
        ge=1,
        le=8,
        description="Bits of a code: 4 or 8 for each sub-vector of PQ (left out, 8), 1 to 8 for each dimension of"
        " RQ (left out, 1).",
    )
    m: int | None = Field(None, ge=2, description="Neighbours of a node in the HNSW graph, at least 2; left out, 20.")
    ef_construction: int | None = Field(
        None, ge=1, description="Candidates looked at for each node while the HNSW graph is built; left out, 300."
    )
    accelerator: str | None = Field(
        None, description="Device that trains the partitions, such as cuda; left out, the processor."
    )
    full_text: bool | FullText = Field(
        False, description="Whether the texts are indexed too: true, or the options of that index."
    )

    @field_validator("type", mode="before")
    @classmethod
    def _flat_by_any_name(cls, value: Any) -> Any:
        return "none" if value is None or value == "FLAT" else value

    @field_validator(*_APPLIES)
    @classmethod
    def _applies(cls, value: Any, info: ValidationInfo) -> Any:
        kind, allowed = info.data.get("type"), _APPLIES[str(info.field_name)]
        if value is not None and kind is not None and kind not in allowed:
            raise ValueError(f"does not apply to type {kind}; it does to {', '.join(allowed)}")
        if info.field_name == "num_bits" and value is not None and kind in _PQ and value not in (4, 8):
            raise ValueError(f"is 4 or 8 for {kind}")
        return value

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        if self.num_partitions is not None and self.target_partition_size is not None:
            raise ValueError("target_partition_size has no effect beside num_partitions; keep one")
        return self

    @property
    def quantised(self) -> bool:
        """Whether the index compares codes, not the vectors."""
        return self.type in _QUANTISED

    @property
    def text_options(self) -> FullText | None:
        if isinstance(self.full_text, FullText):
            return self.full_text
        return FullText() if self.full_text else None

    @property
    def least_rows(self) -> int:
        """The fewest rows for an index: below them the engine accepts the request and silently builds none, because PQ
        needs one row per code."""
        return int(2 ** (self.num_bits or 8)) if self.type in _PQ else 1

    def config(self, similarity: Similarity) -> Any:
        """The engine's own description of this index."""
        import lancedb.index

        return getattr(lancedb.index, CONFIG_CLASS[self.type])(distance_type=str(similarity), **self._given())

    def _given(self) -> dict[str, Any]:
        return {name: value for name in _APPLIES if (value := getattr(self, name)) is not None}

    def build_arguments(self) -> dict[str, Any]:
        """What `LanceDbBuilder` of adapters/code is made with."""
        text = self.text_options
        return {
            "index": CONFIG_CLASS.get(self.type),
            "options": self._given(),
            "full_text": None if text is None else text.arguments(),
        }

    def shortcomings(self, rows: int, dimension: int) -> tuple[str, ...]:
        """Which defaults or options work badly on that many rows."""
        found: list[str] = []
        if self.type in _PQ and self.num_sub_vectors is None:
            codes = next((dimension // width for width in _DEFAULT_PQ_WIDTHS if dimension % width == 0), 1)
            found += few_codes(self.type, dimension, codes, 16, option="index.num_sub_vectors", instead="IVF_SQ")
        if self.type in _PQ and rows < self.least_rows:
            found.append(
                f"{self.type} trains {self.least_rows} codes, for which {rows:,} rows are too few: LanceDB builds no "
                "index. Take a type without PQ."
            )
        size = _ROWS_PER_PARTITION.get(self.type, 4096)
        given = self.num_partitions or self.target_partition_size
        if self.type in _ALL and self.type not in _HNSW and not given and rows < 2 * size:
            found.append(
                f"LanceDB makes one partition of {rows:,} rows where no number is given, so that every search of "
                f"{self.type} goes through all of them. Set index.num_partitions."
            )
        least = 256 if self.type in _PQ else 1
        if self.num_partitions is not None and rows < self.num_partitions * least:
            found.append(
                f"{self.num_partitions} partitions want {self.num_partitions * least:,} rows, and there are {rows:,}: "
                "LanceDB builds fewer. Lower index.num_partitions."
            )
        return tuple(found)

    def check_dimension(self, dimension: int) -> None:
        """Raise InvalidOptions when vectors of this dimension cannot be quantised as asked."""
        if self.type in _PQ and self.num_sub_vectors is not None:
            if dimension % self.num_sub_vectors:
                fits = [n for n in range(1, dimension + 1) if dimension % n == 0]
                near = sorted(fits, key=lambda n: abs(n - (self.num_sub_vectors or 0)))[:3]
                raise InvalidOptions(
                    f"num_sub_vectors {self.num_sub_vectors} does not divide the dimension {dimension}. "
                    f"Take {', '.join(map(str, sorted(near)))}.",
                    key="index.num_sub_vectors",
                )
            if self.num_bits == 4 and self.num_sub_vectors % 2:
                raise InvalidOptions(
                    f"With num_bits 4 num_sub_vectors must be even, not {self.num_sub_vectors}.",
                    key="index.num_sub_vectors",
                )
        if self.type == "IVF_RQ" and dimension % 8:
            raise InvalidOptions(
                f"IVF_RQ needs a dimension divisible by 8, not {dimension}. Take another index type.", key="index.type"
            )


class LanceDbQuery(Options):
    """How a table is searched."""

    mode: Mode = Field("vector", description="What is searched by; text and hybrid need index.full_text.")
    nprobes: int | None = Field(
        None,
        ge=1,
        description="Partitions that a search looks into; left out, 20; from the number of all on, the search is "
        "exhaustive.",
    )
    minimum_nprobes: int | None = Field(
        None,
        ge=1,
        description="Partitions that every search looks into, where nprobes is not given; left out, 20 or "
        "maximum_nprobes if that is fewer.",
    )
    maximum_nprobes: int | None = Field(
        None,
        ge=1,
        description="Partitions that a search looks into while it has fewer than k documents; left out, 20 or "
        "minimum_nprobes if that is more.",
    )
    refine_factor: int | None = Field(
        None,
        ge=1,
        description="This times k candidates are scored again with the vectors themselves; left out, codes "
        "decide; 1 is not the same as left out.",
    )
    ef: int | None = Field(
        None,
        ge=1,
        description="Candidates that a search keeps in the HNSW graph, at least k times refine_factor; left out, "
        "one and a half times as many as are asked for.",
    )
    bypass_vector_index: bool = Field(
        False, description="Whether a search goes past the index and compares with every vector."
    )
    fuse: Literal["rrf", "linear"] = Field(
        "rrf", description="How hybrid search makes one ranking of two: by reciprocal ranks or by weighted scores."
    )
    rrf_k: int = Field(
        60,
        ge=1,
        description="Constant of reciprocal rank fusion in hybrid search; the larger, the less the first ranks "
        "stand out.",
    )
    weight: float = Field(0.7, ge=0, le=1, description="Share of the vector's score in a linear hybrid search, 0 to 1.")

    @field_validator(
        "nprobes", "minimum_nprobes", "maximum_nprobes", "refine_factor", "ef", "bypass_vector_index",
        "fuse", "rrf_k", "weight",
    )  # fmt: skip
    @classmethod
    def _applies(cls, value: Any, info: ValidationInfo) -> Any:
        name, mode, data = str(info.field_name), info.data.get("mode"), info.data
        if value == cls.model_fields[name].default:
            return value
        if mode == "text":
            raise ValueError("does not apply to mode text")
        if name in ("fuse", "rrf_k", "weight") and mode != "hybrid":
            raise ValueError(f"does not apply to mode {mode}; it does to hybrid")
        if name == "rrf_k" and data.get("fuse") != "rrf":
            raise ValueError("does not apply to fuse linear")
        if name == "weight" and data.get("fuse") != "linear":
            raise ValueError("does not apply to fuse rrf")
        if name.endswith("imum_nprobes") and data.get("nprobes") is not None:
            raise ValueError("does not go together with nprobes, which sets both bounds")
        if name == "maximum_nprobes" and value < (data.get("minimum_nprobes") or 1):
            raise ValueError("is smaller than minimum_nprobes")
        return value

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option in ("nprobes", "minimum_nprobes", "maximum_nprobes", "refine_factor", "ef"):
            if self.bypass_vector_index and getattr(self, option) is not None:
                raise ValueError(f"{option} has no effect beside bypass_vector_index, which goes past the index")
        return self

    def check(self, index: LanceDbIndex) -> None:
        """Raise InvalidOptions for an option that this index has no use for."""
        if self.mode != "vector" and index.text_options is None:
            raise InvalidOptions(f"mode {self.mode} needs a full-text index: set index.full_text.", key="query.mode")
        allowed = {
            "nprobes": _ALL,
            "minimum_nprobes": _ALL,
            "maximum_nprobes": _ALL,
            "refine_factor": _QUANTISED,
            "ef": _HNSW,
            "bypass_vector_index": _ALL,
        }
        for name, types in allowed.items():
            if getattr(self, name) and index.type not in types:
                raise InvalidOptions(
                    f"{name} does not apply to index type {index.type}; it does to {', '.join(types)}.",
                    key=f"query.{name}",
                )
