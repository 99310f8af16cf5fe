"""What recipes for encoders share: a base as encoders name it, prompts, and how much of a text is read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from adapters.base import Floats, InvalidOptions, Makes, ModelNotFound, Role
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions
from adapters.models import check_length
from adapters.trainers._options import OF_LAYERS, EncoderTrainingOptions
from adapters.trainers._recipe import LocalTrainer
from adapters.trainers._rows import Rows

_READ_AT_ONCE = 32  # texts, where the model is asked for vectors


class EncoderTrainer(LocalTrainer):
    """A recipe that makes an encoder. An author fills in `_rows` and `_loss`."""

    makes: ClassVar[Makes] = "encoder"
    Options: ClassVar[type[EncoderTrainingOptions]] = EncoderTrainingOptions

    @property
    def starts_from_base(self) -> bool:
        return True

    def check(self) -> None:
        super().check()
        with as_option("base"):
            self._base.check()
        if self._base.static:
            for option in OF_LAYERS:
                self._refuse_idle(option, f"{self.options.base} is a table of vectors")
        check_length(self.options.base, self.options.max_length, self._base.max_length)
        self._check_frozen()

    def rest(self) -> None:
        if "_base" in self.__dict__:
            self._base.close()  # which lets go of the model; what it held is given back once, below
        super().rest()

    @cached_property
    def _base(self) -> SentenceTransformersEncoder:
        return self._encoder(self.options.base, self.options.revision)

    def _encoder(self, reference: str, revision: str | None = None) -> SentenceTransformersEncoder:
        options = SentenceTransformersOptions(
            model=reference,
            revision=revision,
            device=self.options.device,
            prompts=self.options.prompts,
            trust_remote_code=self.options.trust_remote_code,
        )
        return SentenceTransformersEncoder(options, self.context)

    def _refuse_idle(self, option: str, why: str) -> None:
        if getattr(self.options, option) != type(self.options).model_fields[option].default:
            raise InvalidOptions(f"{option} has no effect: {why}.", key=option)

    @property
    def _prompts(self) -> Mapping[Role, str]:
        return {"query": self._base.prompt("query"), "document": self._base.prompt("document")}

    def _model(self, seed: int, device: str) -> Any:
        self.check()
        with as_option("base"):
            # A new adapter each time: the model is changed by the training.
            model = self._encoder(self.options.base, self.options.revision).load().to(device)
        if not self._base.names_its_pooling:
            _pool_by_mean(model)
        self._set_prompts(model)
        length = self.options.max_length
        if length is not None and length > (model.max_seq_length or length):
            model.max_seq_length = length
        return model

    def _set_prompts(self, model: Any) -> None:
        """Give the model the prompts that it is trained with."""
        if any((*self._prompts.values(), *model.prompts.values())):  # an empty one takes the base's away
            model.prompts = {**model.prompts, **self._prompts}

    def _in_training(self, model: Any) -> None:
        super()._in_training(model)
        self._reads = model.max_seq_length
        if self.options.max_length is not None:
            model.max_seq_length = self.options.max_length

    @contextmanager
    def _in_use(self, model: Any) -> Iterator[None]:
        if self.options.max_length is None:
            yield
            return
        model.max_seq_length = self._reads
        try:
            yield
        finally:
            model.max_seq_length = self.options.max_length

    def _view(self, model: Any) -> Asked:
        return Asked(model, self._prompts)

    def _tokens_of(self, model: Any, rows: Rows, places: Sequence[int]) -> int:
        total = 0
        for name, texts in rows.texts():
            for start in range(0, len(places), _READ_AT_ONCE):
                some = [texts[place] for place in places[start : start + _READ_AT_ONCE]]
                read = model.preprocess(some, prompt=rows.prompts.get(name))
                total += int(read["attention_mask"].sum()) if "attention_mask" in read else read["input_ids"].numel()
        return total

    @abstractmethod
    def _loss(self, model: Any, rows: Rows) -> Any: ...


class Asked:
    """A model in memory as an encoder."""

    def __init__(self, model: Any, prompts: Mapping[Role, str]) -> None:
        self.model = model
        self._prompts = prompts

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        """Vectors float32 (n, dimension)."""
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        vectors = encode(
            list(texts),
            prompt=self._prompts[role],
            batch_size=_READ_AT_ONCE,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        found: Floats = vectors.float().cpu().numpy()
        return found


@contextmanager
def as_option(option: str) -> Iterator[None]:
    """What is wrong with a model that an option names is said of that option."""
    try:
        yield
    except InvalidOptions as error:
        raise InvalidOptions(str(error), key=option if error.key == "model" else error.key) from error
    except ModelNotFound as error:
        if option == "base":
            raise
        raise InvalidOptions(str(error), key=option) from error


def _pool_by_mean(model: Any) -> None:
    """A plain language model's vectors are the mean of its tokens', whatever the library would add."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    model[1] = Pooling(model[0].get_embedding_dimension(), pooling_mode="mean")
