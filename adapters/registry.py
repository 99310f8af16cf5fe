"""Name to class, on demand: an adapter's module is imported when it is asked for, never before.

Third parties add theirs through entry points in the group `retrieval_bench.<role>`; the entry's name is the
adapter's name and its value `module:Class`.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from adapters.base import Adapter, InvalidOptions

RoleName: TypeAlias = Literal["datasets", "encoders", "stores", "rerankers", "trackers", "trainers", "generators"]
ROLES: tuple[RoleName, ...] = (
    "datasets", "encoders", "stores", "rerankers", "trackers", "trainers", "generators",
)  # fmt: skip

_BUILT_IN: Mapping[RoleName, Mapping[str, str]] = {
    "datasets": {
        "beir": "beir:BeirFolder",
        "files": "files:TextFiles",
        "pairs": "pairs:Pairs",
        "vectors": "vectors:VectorFiles",
        "hub": "hub:HubDataset",
        "api_docs": "api_docs:ApiDocs",
    },
    "encoders": {
        "sentence_transformers": "sentence_transformers:SentenceTransformersEncoder",
        "precomputed": "precomputed:PrecomputedEncoder",
        "cohere": "cohere:CohereEncoder",
        "openai": "openai:OpenAIEncoder",
    },
    "stores": {
        "exact": "exact:ExactStore",
        "bm25": "bm25:Bm25Store",
        "lancedb": "lancedb:LanceDbStore",
        "weaviate": "weaviate:WeaviateStore",
        "faiss": "faiss:FaissStore",
        "http": "http:HttpStore",
    },
    "rerankers": {
        "cross_encoder": "cross_encoder:CrossEncoderReranker",
        "bi_encoder": "bi_encoder:BiEncoderReranker",
        "bm25": "bm25:Bm25Reranker",
        "cohere": "cohere:CohereReranker",
        "rerank_api": "http_rerank:RerankApiReranker",
    },
    "trackers": {
        "braintrust": "braintrust:BraintrustTracker",
        "mlflow": "mlflow:MlflowTracker",
    },
    "trainers": {
        "sts": "sts:StsTrainer",
        "mnrl": "mnrl:MnrlTrainer",
        "gist": "gist:GistTrainer",
        "static": "static:StaticTrainer",
        "ranked_list": "ranked_list:RankedListTrainer",
        "contrastive_pretrain": "contrastive_pretrain:ContrastivePretrainTrainer",
        "contrastive_tension": "contrastive_tension:ContrastiveTensionTrainer",
        "tsdae": "tsdae:TsdaeTrainer",
        "cross_encoder": "cross_encoder:CrossEncoderTrainer",
        "distill": "distill:DistillTrainer",
        "gpl": "gpl:GplTrainer",
        "augmented_sbert": "augmented_sbert:AugmentedSbertTrainer",
    },
    "generators": {
        "openai": "openai:OpenAIGenerator",
        "cohere": "cohere:CohereGenerator",
        "transformers": "transformers:TransformersGenerator",
    },
}

LOCAL: Mapping[RoleName, str] = {"encoders": "sentence_transformers", "rerankers": "cross_encoder"}
"""Which adapter runs a model that lies in a folder; its option is `model`."""

DISTRIBUTIONS: tuple[str, ...] = (
    "torch", "sentence-transformers", "transformers", "lancedb", "pylance", "bm25s", "datasets", "weaviate-client",
    "faiss-cpu", "cohere", "openai",
)  # fmt: skip
"""The packages of the built-in adapters that can change a figure. They are written out because asking each adapter
takes half a second of imports; a test compares."""


_own_alone = False


def leave_out_third_parties() -> None:
    """From now on this process loads no adapters but those of this distribution."""
    global _own_alone
    _own_alone = True


def names(role: RoleName) -> tuple[str, ...]:
    """The names of all adapters of a role, built-in and third-party."""
    return tuple(sorted({*_BUILT_IN[role], *_entry_points(role)}))


def load(role: RoleName, name: str) -> type[Any]:
    """The class of an adapter. Raises InvalidOptions, with a suggestion, when there is none of that name."""
    if name in _BUILT_IN[role]:
        module, _, attribute = _BUILT_IN[role][name].partition(":")
        return cast("type[Adapter]", getattr(importlib.import_module(f"adapters.{role}.{module}"), attribute))
    third_party = _entry_points(role)
    if name in third_party and _own_alone:
        raise InvalidOptions("it is a third party's, whose code a restricted run does not load.", key="adapter")
    if name in third_party:
        return cast("type[Adapter]", third_party[name].load())
    known = sorted({*_BUILT_IN[role], *third_party})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
    raise InvalidOptions(f"There is no adapter {name!r} among the {role}. {hint}", key="adapter")


def _entry_points(role: RoleName) -> Mapping[str, EntryPoint]:
    return _all_entry_points(tuple((place, _changed(place)) for place in sys.path))[role]


@lru_cache(maxsize=4)
def _all_entry_points(places: tuple[tuple[str, int], ...]) -> Mapping[RoleName, Mapping[str, EntryPoint]]:
    """places: the folders in which packages are looked for, and when each changed, as it does when a package is
    installed or removed. A look through hundreds of packages takes ten milliseconds, and a run asks dozens of times."""
    found = entry_points()
    return {role: {entry.name: entry for entry in found.select(group=f"retrieval_bench.{role}")} for role in ROLES}


def _changed(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0
