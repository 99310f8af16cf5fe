"""A denoising auto-encoder: from the vector of a text that lost words, a decoder is to write the whole text.

Source: Wang et al. 2021, TSDAE, https://arxiv.org/abs/2104.06979. The decoder sees nothing of the text but the vector,
and it shares its layers with the encoder; what it has beyond these, attention to the vector, is drawn anew.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

_IGNORED = -100  # torch's mark of a token that no loss is taken of


def has_decoder(config: Any) -> bool:
    """Whether transformers has a decoder of the same layers for a model, told by its settings, which attends to a
    vector."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return False
    return "encoder_hidden_states" in inspect.signature(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].forward).parameters


def decoder_of(transformer: Any) -> Any:
    """The decoder of an encoder, with the encoder's own weights wherever both have them."""
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(transformer.config)
    config.is_decoder, config.add_cross_attention, config.use_cache = True, True, False
    decoder = AutoModelForCausalLM.from_config(config).to(transformer.device)
    _share(decoder.base_model, transformer)
    # The words that are written have the vectors of those that are read.
    decoder.get_output_embeddings().weight = transformer.get_input_embeddings().weight
    return decoder


def _share(decoder: Any, encoder: Any) -> None:
    """Put the encoder's parameters in the places of the decoder's of the same names and shapes."""
    theirs = dict(encoder.named_parameters())
    for name, own in list(decoder.named_parameters()):
        if name in theirs and theirs[name].shape == own.shape:
            place, _, last = name.rpartition(".")
            setattr(decoder.get_submodule(place), last, theirs[name])


def denoising(model: Any, *, deletion: float, special: Sequence[int]) -> Any:
    """The loss as the library calls it, given whole texts: words are deleted here, by random numbers of the library's
    own, so that a checkpoint holds where they stand.

    deletion: share of the tokens that are deleted; one at least stays. special: tokens that are never deleted.
    """
    import torch

    transformer = model.transformers_model

    class Denoising(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.decoder = decoder_of(transformer)

        def forward(self, sentence_features: Sequence[Any], labels: Any) -> Any:
            (whole,) = sentence_features
            read = dict(whole)
            ids, mask = read["input_ids"], read["attention_mask"]
            vectors = self.model({**read, **without_some(read, deletion, special)})["sentence_embedding"]
            written = self.decoder(
                input_ids=ids[:, :-1],
                attention_mask=mask[:, :-1],
                encoder_hidden_states=vectors[:, None],
                encoder_attention_mask=torch.ones(len(ids), 1, dtype=mask.dtype, device=mask.device),
            ).logits
            aims = ids[:, 1:].masked_fill(mask[:, 1:] == 0, _IGNORED)
            entropy = torch.nn.functional.cross_entropy
            return entropy(written.float().flatten(0, 1), aims.flatten(), ignore_index=_IGNORED)

    return Denoising()


def without_some(read: Mapping[str, Any], deletion: float, special: Sequence[int]) -> dict[str, Any]:
    """The texts without a share of their tokens, moved together: of all that is read for each token, (n, length) each.

    Special tokens stay, and of every text one other at least.
    """
    import torch

    ids, mask = read["input_ids"], read["attention_mask"].bool()
    plain = mask & ~torch.isin(ids, torch.tensor(list(special), device=ids.device))
    drawn = torch.rand(ids.shape, device=ids.device).masked_fill(~plain, -1.0)
    luckiest = torch.nn.functional.one_hot(drawn.argmax(dim=1), ids.shape[1]).bool()
    kept = mask & ~(plain & (drawn < deletion) & ~luckiest)
    # A stable order: what is kept first, each in its place.
    order = torch.sort((~kept).int(), dim=1, stable=True).indices
    longest = int(kept.sum(dim=1).max())
    of_tokens = {name: value for name, value in read.items() if getattr(value, "shape", None) == ids.shape}
    of_tokens["attention_mask"] = kept.to(read["attention_mask"].dtype)
    return {name: value.gather(1, order)[:, :longest] for name, value in of_tokens.items()}
