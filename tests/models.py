"""Small transformers made on the spot from a configuration, for tests that need no meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WORDS = [
    "how",
    "to",
    "sort",
    "an",
    "array",
    "the",
    "elements",
    "of",
    "in",
    "place",
    "a",
    "recipe",
    "for",
    "apple",
    "pie",
    "bake",
    "now",
]


def tiny_tokenizer(folder: Path, words: list[str], positions: int) -> None:
    """A word-level BERT tokenizer: every word of the list is one token, all others are unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(str(folder))


def tiny_bert(folder: Path, *, words: list[str] = WORDS, positions: int = 16) -> Path:
    """A BERT of two layers and 32 dimensions with random weights, as a plain transformers folder."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(7)
    tiny_tokenizer(folder, words, positions)
    config = BertConfig(
        vocab_size=len(set(words)) + 4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(str(folder))
    return folder


TOPICS = {"fruit": "apple", "metal": "iron", "river": "water", "music": "violin"}
FILLERS = ["the", "of", "a", "in", "and", "with"]


def topic_document(topic: str, generator: np.random.Generator) -> str:
    """Two fillers with the topic's word somewhere among them."""
    words = generator.choice(FILLERS, size=2).tolist()
    words.insert(int(generator.integers(3)), TOPICS[topic])
    return " ".join(words)


def tiny_cross_encoder(folder: Path, *, labels: int = 1, train: bool = True) -> Path:
    """A BERT that learnt, from a fixed seed, which document word belongs to which query word of TOPICS."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    tiny_tokenizer(folder, [*TOPICS, *TOPICS.values(), *FILLERS], 16)
    config = BertConfig(
        vocab_size=len(TOPICS) * 2 + len(FILLERS) + 4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        num_labels=labels,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForSequenceClassification(config)
    if train:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two threads on matrices this small wait for each other
        _learn_topics(model, folder)
        torch.set_num_threads(threads)
    model.eval()
    model.save_pretrained(str(folder))
    return folder


def _learn_topics(model: Any, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    generator = np.random.default_rng(7)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    pairs = [(query, topic) for query in TOPICS for topic in TOPICS]
    wanted = torch.tensor([float(query == topic) for query, topic in pairs])
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(len(TOPICS) - 1.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(400):
        documents = [topic_document(topic, generator) for _, topic in pairs]
        batch = tokenizer([query for query, _ in pairs], documents, padding=True, return_tensors="pt")
        loss = loss_of(model(**batch).logits.squeeze(-1), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.005:
            return
    raise AssertionError(f"the tiny cross-encoder did not learn its topics: loss {loss.item():.3f}")


def tiny_writer(folder: Path, *, seq2seq: bool = False, template: str | None = None, positions: int = 256) -> Path:
    """A language model with random weights, which writes words of WORDS in an order of its own: a decoder of the kind
    of GPT-2, or a T5. template: how it reads conversations."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

    torch.manual_seed(7)
    tiny_tokenizer(folder, WORDS, positions)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.chat_template = template
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(str(folder))
    size = len(set(WORDS)) + 4
    model: Any
    if seq2seq:
        model = T5ForConditionalGeneration(
            T5Config(
                vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=3,
                decoder_start_token_id=0,
            )
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size, n_positions=positions, n_embd=32, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3,
                pad_token_id=0, initializer_range=0.5,
            )
        )  # fmt: skip
    model.save_pretrained(str(folder))
    return folder
