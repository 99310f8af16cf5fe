"""A task of which nothing is known before: which word answers which. A model that has not learnt it guesses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import EncodesTexts, Floats, ScoresPairs, TrainingData

TOPICS = 8
_FILLERS = ("the", "of", "a", "in", "and", "with")
_PAIRS_PER_TOPIC = 12
_POSITIONS = 16


def _asked(topic: int) -> str:
    return f"ask{topic}"


def _told(topic: int) -> str:
    return f"tell{topic}"


def _text(word: str, rng: np.random.Generator) -> str:
    words = rng.choice(_FILLERS, size=2).tolist()
    words.insert(int(rng.integers(3)), word)
    return " ".join(words)


def _both(topic: int, rng: np.random.Generator) -> str:
    """A document that holds the words of a question and of its answer, twice each."""
    words = [*[_asked(topic), _told(topic)] * 2, *rng.choice(_FILLERS, size=2).tolist()]
    return " ".join(words[place] for place in rng.permutation(len(words)))


def planted_data(*, negatives: int = 0) -> TrainingData:
    """Queries of eight topics with texts that answer them, the same as pairs with a similarity of 1 or 0, and documents
    that hold the words of a question and of its answer."""
    rng = np.random.default_rng(11)
    rows = [(topic, number) for number in range(_PAIRS_PER_TOPIC) for topic in range(TOPICS)]
    others = [[(topic + 1 + int(step)) % TOPICS for step in rng.permutation(TOPICS - 1)] for topic, _ in rows]
    queries = [_text(_asked(topic), rng) for topic, _ in rows]
    answers = [_text(_told(topic), rng) for topic, _ in rows]
    wrong = [[_text(_told(other), rng) for other in each[:negatives]] for each in others]
    pairs = pa.table(
        {
            "query_id": [f"q{topic}-{number}" for topic, number in rows],
            "document_id": [f"d{topic}-{number}" for topic, number in rows],
            "query": queries,
            "positive": answers,
            "negatives": pa.array(wrong, pa.list_(pa.string())),
        }
    )
    unlike = [_text(_told(each[0]), rng) for each in others]
    scored = pa.table(
        {
            "first": queries + queries,
            "second": answers + unlike,
            "score": pa.array([1.0] * len(rows) + [0.0] * len(rows), pa.float32()),
        }
    )
    both = [_both(topic, rng) for topic, _ in rows]
    documents = pa.table({"document_id": pairs["document_id"], "text": both})
    return TrainingData(pairs, scored, documents, pa.table({"query_id": pairs["query_id"], "text": queries}))


def share_found(model: EncodesTexts | ScoresPairs) -> float:
    """The share of topics whose answer a model puts before those of all other topics; 1/8 by guessing."""
    rng = np.random.default_rng(12)  # other texts than those of the training
    queries = [_text(_asked(topic), rng) for topic in range(TOPICS)]
    answers = [_text(_told(topic), rng) for topic in range(TOPICS)]
    if isinstance(model, EncodesTexts):
        asked, told = model.encode(queries, "query"), model.encode(answers, "document")
        scores = _unit(asked) @ _unit(told).T
    else:
        pairs = [(query, answer) for query in queries for answer in answers]
        scores = model.score(pairs).reshape(TOPICS, TOPICS)
    return float(np.mean(scores.argmax(axis=1) == np.arange(TOPICS)))


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def planted_base(folder: Path) -> Path:
    """A transformer of two layers with random weights that knows the words of the task, as a plain folder of the
    library transformers. It is the same at each call, and written once."""
    if (folder / "config.json").is_file():
        return folder
    import torch
    from transformers import BertConfig, BertModel

    words = [*_FILLERS, *map(_asked, range(TOPICS)), *map(_told, range(TOPICS))]
    _tokenizer(words).save_pretrained(str(folder))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=len(words) + 4,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=_POSITIONS,
            initializer_range=0.02,
        )
        BertModel(config).save_pretrained(str(folder))
    return folder


def planted_teacher(folder: Path) -> Path:
    """A table of vectors that knows which word answers which: both have the same vector, one direction for each topic.
    It is written once."""
    if (folder / "modules.json").is_file():
        return folder
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    words = [*_FILLERS, *map(_asked, range(TOPICS)), *map(_told, range(TOPICS))]
    tokenizer = _tokenizer(words).backend_tokenizer
    table = np.zeros((tokenizer.get_vocab_size(), TOPICS), np.float32)
    for topic in range(TOPICS):
        for word in (_asked(topic), _told(topic)):
            table[tokenizer.token_to_id(word), topic] = 1.0
    module = StaticEmbedding(tokenizer, embedding_weights=table)
    SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def _tokenizer(words: Sequence[str]) -> Any:
    """Every word is one token, all others are unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_POSITIONS,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
