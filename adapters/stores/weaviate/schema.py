"""A collection's schema: the request to the server, and what the server made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import AdapterRejected, Similarity
from adapters.stores._fields import MetaFields
from adapters.stores.weaviate.fields import properties_of
from adapters.stores.weaviate.options import TRAINED, WeaviateIndex

ROW, TEXT, VECTOR = "row", "text", "default"
_DISTANCE = {Similarity.COSINE: "cosine", Similarity.DOT: "dot", Similarity.L2: "l2-squared"}


def class_name(name: str) -> str:
    """The collection of an index: Weaviate wants a capital first, then letters, digits and underscores."""
    return "Bench_" + re.sub(r"[^0-9A-Za-z]", "_", name)


def class_definition(
    name: str,
    index: WeaviateIndex,
    fields: MetaFields,
    similarity: Similarity,
    *,
    vectors: bool,
    mark: str,
    trained: bool = False,
    texts: bool = False,
) -> dict[str, Any]:
    """The class as the REST interface takes it. A quantizer that has to be trained is in it with `trained` only: a
    synchronous server would accept it at the creation and never compress; an update asks for it once the rows are in.
    texts: whether objects carry a text that is returned and not searched.
    """
    definition: dict[str, Any] = {
        "class": name,
        "description": mark,
        "properties": [*_own_properties(index, texts), *properties_of(fields, range_filters=index.range_filters)],
        **_given(
            invertedIndexConfig=_given(
                bm25=_given(b=index.bm25_b, k1=index.bm25_k1),
                stopwords=_given(preset=index.stopwords),
            ),
            shardingConfig=_given(desiredCount=index.shards, virtualPerPhysical=index.virtual_per_physical),
            replicationConfig=_given(
                factor=index.replication_factor,
                asyncEnabled=index.async_replication,
                deletionStrategy=index.deletion_strategy,
            ),
            multiTenancyConfig=_given(enabled=True if index.tenant is not None else None),
        ),
    }
    if vectors:
        definition["vectorConfig"] = {
            VECTOR: {
                "vectorizer": {"none": {}},
                "vectorIndexType": index.kind,
                "vectorIndexConfig": _vector_index(index, similarity, trained=trained),
            }
        }
    else:
        definition |= {"vectorizer": "none", "vectorIndexType": "hnsw", "vectorIndexConfig": {"skip": True}}
    return definition


def _own_properties(index: WeaviateIndex, texts: bool) -> list[dict[str, Any]]:
    """The properties of every object beside its metadata."""
    properties: list[dict[str, Any]] = [{"name": ROW, "dataType": ["int"], "indexFilterable": False}]
    if index.full_text:
        tokenization = index.tokenization or "word"
        properties.append(
            {"name": TEXT, "dataType": ["text"], "tokenization": tokenization, "indexFilterable": False,
             "indexSearchable": True}
        )  # fmt: skip
    elif texts:
        properties.append({"name": TEXT, "dataType": ["text"], "indexFilterable": False, "indexSearchable": False})
    return properties


def _vector_index(index: WeaviateIndex, similarity: Similarity, *, trained: bool) -> dict[str, Any]:
    """What is asked of the vector index; with `trained`, as it stands after the training."""
    distance = {"distance": _DISTANCE[similarity]}
    graph = _given(
        efConstruction=index.ef_construction,
        maxConnections=index.max_connections,
        cleanupIntervalSeconds=index.cleanup_interval_seconds,
        vectorCacheMaxObjects=index.vector_cache_max_objects,
    )
    codec = {} if index.codec in TRAINED and index.kind == "hnsw" and not trained else _codec(index)
    if index.kind == "hnsw":
        return {**distance, **graph, **codec}
    if index.kind == "flat":
        return {**distance, **_given(vectorCacheMaxObjects=index.vector_cache_max_objects), **codec}
    if index.kind == "hfresh":
        return {**distance, **_given(maxPostingSizeKB=index.max_posting_size_kb, replicas=index.replicas), **codec}
    flat = _uncompressed() if index.flat_quantizer in (None, "none") else {str(index.flat_quantizer): {"enabled": True}}
    return {
        **distance,
        **_given(threshold=index.threshold),
        "hnsw": {**distance, **graph, **codec},
        "flat": {**distance, **flat},
    }


def _codec(index: WeaviateIndex) -> dict[str, Any]:
    if index.codec == "none":
        return _uncompressed()
    return {
        index.codec: {
            "enabled": True,
            **_given(
                bits=index.bits,
                centering=index.centering,
                segments=index.segments,
                centroids=index.centroids,
                trainingLimit=index.training_limit,
                cache=index.cache,
                encoder=_given(type=index.encoder_type, distribution=index.encoder_distribution),
            ),
        }
    }


def _uncompressed() -> dict[str, Any]:
    # A host may set DEFAULT_QUANTIZATION. Only this setting keeps vectors uncompressed then.
    return {"skipDefaultQuantization": True}


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value != {}}


def vector_config(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The vector index config in a class that was read back; empty where the collection has no vectors."""
    config: dict[str, Any] = schema.get("vectorConfig", {}).get(VECTOR, {}).get("vectorIndexConfig", {})
    return config


def differences(asked: Mapping[str, Any], effective: Mapping[str, Any]) -> list[str]:
    """One sentence for each option of a class that the server made differently. Raises AdapterRejected for one that it
    dropped."""
    vectors = dict(vector_config(asked))
    if "skipDefaultQuantization" not in vector_config(effective):
        vectors.pop("skipDefaultQuantization", None)  # a server before 1.33 has no default quantization to skip
    sentences = _compare(vectors, vector_config(effective), "index")
    for part in ("invertedIndexConfig", "shardingConfig", "replicationConfig", "multiTenancyConfig"):
        sentences += _compare(asked.get(part, {}), effective.get(part) or {}, part)
    return sentences


def _compare(asked: Mapping[str, Any], effective: Mapping[str, Any], where: str) -> list[str]:
    """One sentence for each option whose effective value is another than the one asked for.

    Raises AdapterRejected for one that the server does not know and dropped without a word.
    """
    sentences = []
    for key, value in asked.items():
        if key not in effective:
            raise AdapterRejected(
                f"{where}: this version of Weaviate dropped {key}: {value!r} without a word. Leave the option out, or "
                "use a newer server."
            )
        if isinstance(value, Mapping):
            sentences += _compare(value, effective[key] or {}, f"{where}.{key}")
        elif effective[key] != value:
            sentences.append(f"{where}.{key}: asked for {value}, got {effective[key]}.")
    return sentences


_KEYS = {
    "ef": "ef",
    "dynamic_ef_min": "dynamicEfMin",
    "dynamic_ef_max": "dynamicEfMax",
    "dynamic_ef_factor": "dynamicEfFactor",
    "filter_strategy": "filterStrategy",
    "flat_search_cutoff": "flatSearchCutoff",
    "search_probe": "searchProbe",
}


def own_part(index: WeaviateIndex, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the options of an index stand in its vector index config: of a dynamic one those of its graph."""
    part: Mapping[str, Any] = config.get("hnsw", {}) if index.kind == "dynamic" else config
    return part


def query_settings(index: WeaviateIndex, config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of searches that a collection keeps, by the client's names, from its vector index config."""
    part = own_part(index, config)
    settings = {name: part[key] for name, key in _KEYS.items() if key in part}
    if "rescoreLimit" in part.get(index.codec, {}):
        settings["rescore_limit"] = part[index.codec]["rescoreLimit"]
    return settings


def reconfigured(index: WeaviateIndex, changes: Mapping[str, Any]) -> Any:
    """The client's update of these options of searches."""
    from weaviate.classes.config import Reconfigure

    part = Reconfigure.VectorIndex
    values = {name: value for name, value in changes.items() if name != "rescore_limit"}
    if "filter_strategy" in values:
        from weaviate.classes.config import VectorFilterStrategy

        values["filter_strategy"] = VectorFilterStrategy(values["filter_strategy"])
    if "rescore_limit" in changes:
        values["quantizer"] = getattr(part.Quantizer, index.codec)(rescore_limit=changes["rescore_limit"])
    graph = index.kind == "dynamic"
    update = part.dynamic(hnsw=part.hnsw(**values)) if graph else getattr(part, index.kind)(**values)
    return Reconfigure.Vectors.update(vector_index_config=update)


def training(index: WeaviateIndex) -> Any:
    """The client's update that starts the quantizer's training."""
    from weaviate.classes.config import PQEncoderDistribution, PQEncoderType, Reconfigure

    make = Reconfigure.VectorIndex.Quantizer
    if index.codec == "pq":
        quantizer = make.pq(
            centroids=index.centroids,
            segments=index.segments,
            training_limit=index.training_limit,
            encoder_type=PQEncoderType(index.encoder_type) if index.encoder_type else None,
            encoder_distribution=PQEncoderDistribution(index.encoder_distribution)
            if index.encoder_distribution
            else None,
        )
    else:
        quantizer = make.sq(training_limit=index.training_limit)
    return Reconfigure.Vectors.update(vector_index_config=Reconfigure.VectorIndex.hnsw(quantizer=quantizer))


@dataclass(frozen=True, slots=True)
class Mark:
    """What a collection's description says of its maker. `rows` stands once the build is complete.

    settings: the options of searches as the server set them at the creation, so that a sweep can go back to them.
    seconds: what the build took.
    """

    name: str
    rows: int | None = None
    seconds: float | None = None
    settings: Mapping[str, Any] | None = None

    def write(self) -> str:
        return json.dumps(
            {"retrieval-bench": self.name, "rows": self.rows, "seconds": self.seconds, "settings": self.settings},
            sort_keys=True,
        )

    @staticmethod
    def read(description: str | None) -> Mark | None:
        """The mark, None for a collection that something else made."""
        try:
            data = json.loads(description or "")
        except ValueError:
            return None
        if not isinstance(data, dict) or "retrieval-bench" not in data:
            return None
        return Mark(data["retrieval-bench"], data.get("rows"), data.get("seconds"), data.get("settings"))
