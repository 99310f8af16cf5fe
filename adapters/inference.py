"""Maps what libraries raise while a local model is loaded or works to errors that say what to do. Only errors whose
type or message is certain are mapped. Any other is raised on unchanged, and ends its system with its traceback.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import AdapterRejected, ModelNotFound, OutOfMemory
from adapters.base.freed import give_back

_MEMORY_WORDS = (
    "out of memory",  # torch on CUDA and MPS; Lance
    "can't allocate memory",  # torch on the processor: DefaultCPUAllocator
    "not enough memory",  # the same, on Windows
    "failed to allocate",
    "cannot allocate memory",  # ENOMEM
    "bad_alloc",  # C++: faiss
    "bad allocation",
    "invalid buffer size",  # MPS: one buffer larger than the device may have
    "cublas_status_alloc_failed",
    "memory allocation of",  # Rust
    "resources exhausted",  # DataFusion, the query engine of Lance
)
_DEVICE_WORDS = (
    "cuda error",
    "no cuda gpus",
    "nvidia driver",
    "cudnn_status",
    "cublas_status",
    "mps backend",
    "hip error",
)


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception of any library says that there was no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's own type
        return True
    if not isinstance(error, RuntimeError | OSError | ValueError):
        return False
    words = first_line(error).lower()
    return any(word in words for word in _MEMORY_WORDS)


@dataclass(slots=True)
class Loading:
    """A model that is being read. lacking: whether its library says that its files lack weights."""

    model: str
    folder: Path
    lacking: bool = False

    def check_whole(self, loaded: Any, answer: Callable[[], Any]) -> None:
        """Raise ModelNotFound where a model needs weights that its files lack.

        transformers draws such weights at random, so that each process measures another model. Some are never read,
        such as the pooler of a model whose vectors are means: those are told by changing them and asking again.

        loaded: the model, a module of torch. answer: what it gives for some text, an array or a tensor.
        """
        import torch

        drawn = _drawn_weights(loaded) if self.lacking else {}
        if not drawn:
            return
        before = torch.as_tensor(answer()).float().cpu()
        kept = {name: weight.detach().clone() for name, weight in drawn.items()}
        with torch.no_grad():
            for weight in drawn.values():
                weight.copy_(torch.linspace(-1.0, 1.0, weight.numel(), dtype=weight.dtype).reshape(weight.shape))
            after = torch.as_tensor(answer()).float().cpu()
            for name, weight in drawn.items():
                weight.copy_(kept[name])
        if not torch.equal(before, after):
            count, first = sum(1 for _ in loaded.parameters()), next(iter(drawn))
            raise ModelNotFound(
                f"Model {self.model} in {self.folder} lacks {len(drawn):,} of its {count:,} tensors of weights, such "
                f"as {first}: they would be drawn at random, another model each time. Its files belong to another "
                "architecture, or were saved in part: fetch the model again, or save it again with its library."
            )


@contextmanager
def loading(model: str, folder: Path, device: str, dtype: str) -> Iterator[Loading]:
    """Map what is raised while a model's files become a model. Raises OutOfMemory, ModelNotFound."""
    found = Loading(model, folder)
    try:
        with _reported(found):
            yield found
    except ModelNotFound:
        raise
    except Exception as error:
        if lacks_memory(error):
            release(device)
            raise OutOfMemory(
                f"No memory is left on {device} to load model {model} in {dtype}. Take a smaller dtype (float16, "
                f"bfloat16), a smaller model, or another device. ({first_line(error)})"
            ) from error
        raise ModelNotFound(f"Cannot load model {model} from {folder}: {first_line(error)}") from error


@contextmanager
def _reported(found: Loading) -> Iterator[None]:
    """Inside the context transformers' table of tensors that fit nothing is read, and not printed."""
    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level

    def no_report(record: logging.LogRecord) -> bool:
        report = "LOAD REPORT" in (text := str(record.msg))
        found.lacking |= report and "MISSING" in text
        return not report

    logger.addFilter(no_report)
    logger.setLevel(logging.WARNING)  # whatever a user has set
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeFilter(no_report)


def _drawn_weights(loaded: Any) -> dict[str, Any]:
    """The parameters that no file gave, by name. transformers marks all others, and those that are tied to them."""
    from transformers import PreTrainedModel

    return {
        name: weight
        for module in loaded.modules()
        if isinstance(module, PreTrainedModel)
        for name, weight in module.named_parameters()
        if not getattr(weight, "_is_hf_initialized", False)
    }


@contextmanager
def working(
    model: str,
    texts: Callable[[], Sequence[str]],
    *,
    batch_size: int,
    dtype: str,
    device: str,
    tokenize: Callable[[list[str]], Any],
) -> Iterator[None]:
    """Map what is raised while a model reads texts. texts: gives the texts, called where an error has to tell of them.
    tokenize: the model's tokenizer, to find a text that it cannot read.

    Raises OutOfMemory, AdapterRejected.
    """
    try:
        yield
    except BaseException as error:
        if lacks_memory(error):
            longest = max((len(text) for text in texts()), default=0)
            release(device)
            raise OutOfMemory(
                f"No memory is left on {device} for model {model} in {dtype} with batch_size {batch_size} (the longest "
                f"text has {longest:,} characters). Lower batch_size, take a smaller dtype (float16, bfloat16), set "
                f"max_length, or take another device. ({first_line(error)})"
            ) from error
        words = first_line(error).lower()
        if isinstance(error, RuntimeError) and any(word in words for word in _DEVICE_WORDS):
            raise AdapterRejected(
                f"The device {device} failed while model {model} worked on it in {dtype} with batch_size {batch_size}: "
                f"{first_line(error)}. Take another device, such as device: cpu."
            ) from error
        if isinstance(error, IndexError) and "index out of range" in words:
            raise AdapterRejected(
                f"A text has more tokens than model {model} has places for, or a token that it does not know "
                f"({first_line(error)}). Set max_length to what the model was trained with."
            ) from error
        given = texts()
        if not isinstance(error, KeyboardInterrupt) and (found := _unreadable(given, tokenize)) is not None:
            position, cause = found
            raise AdapterRejected(
                f"The tokenizer of model {model} fails on text {position + 1} of {len(given)} "
                f"({given[position][:60]!r}): {cause}. Change that text in the collection."
            ) from error
        raise


def _unreadable(texts: Sequence[str], tokenize: Callable[[list[str]], Any]) -> tuple[int, str] | None:
    """Position of the first text that the tokenizer cannot read, and why; None where it can read all."""
    try:
        tokenize(list(texts))
    except BaseException as whole:
        if isinstance(whole, KeyboardInterrupt):
            raise
    else:
        return None
    for position, text in enumerate(texts):
        try:
            tokenize([text])
        except BaseException as error:  # a panic in tokenizers is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            return position, f"{type(error).__name__}: {first_line(error)}"
    return None


def release(device: str) -> None:
    """Give back the memory of models that nobody holds, on a device too, so that the next model can use it. `auto`
    means any device."""
    give_back(collect=True)
    torch = sys.modules.get("torch")
    if torch is not None and device in ("cuda", "auto") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch is not None and device in ("mps", "auto") and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def first_line(error: BaseException) -> str:
    """The first line of a message: what follows in it is advice for programmers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
