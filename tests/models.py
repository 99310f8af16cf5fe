"""Small transformers made on the spot from a configuration, for tests that need no meaning."""

from __future__ import annotations

from pathlib import Path

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
