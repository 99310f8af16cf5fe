"""Laws of local language models, with tiny ones that are made on the spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.base import AdapterRejected, Context, Generator, InvalidOptions, Message, ModelNotFound
from adapters.generators.transformers import TransformersGenerator, TransformersGeneratorOptions
from adapters.testing import GeneratorConformance
from adapters.writing import until_stop
from tests.models import WORDS, tiny_bert, tiny_writer

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ message['role'] }} {{ message['content'] }} {% endfor %}{% if add_generation_prompt %}the{% endif %}"
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("writers")
    return {
        "decoder": tiny_writer(place / "decoder"),
        "seq2seq": tiny_writer(place / "seq2seq", seq2seq=True),
        "template": tiny_writer(place / "template", template=TEMPLATE),
        "encoder": tiny_bert(place / "encoder"),
    }


def writer(folder: Path, *, context: Context = Context(), **options: Any) -> Generator:
    given = {"model": str(folder), "device": "cpu", "max_tokens": 8, **options}
    return TransformersGenerator(TransformersGeneratorOptions.model_validate(given), context)


class Local(GeneratorConformance):
    kind: str

    @pytest.fixture(autouse=True)
    def _available(self, folders: dict[str, Path]) -> None:
        self.folder = folders[self.kind]

    def generator(self) -> Generator:
        return writer(self.folder)

    def others(self) -> Sequence[Generator]:
        changes: list[dict[str, Any]] = [
            {"max_tokens": 7}, {"temperature": 0.5}, {"top_p": 0.5}, {"seed": 5}, {"stop": ["pie"]}, {"system": "how"},
            {"dtype": "bfloat16"}, {"max_length": 16}, {"batch_size": 1},
        ]  # fmt: skip
        return [writer(self.folder, **change) for change in changes]


class TestDecoder(Local):
    kind = "decoder"


class TestSeq2Seq(Local):
    kind = "seq2seq"


class TestTemplate(Local):
    kind = "template"


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_a_seed_gives_its_texts_and_leaves_the_processs_own_numbers_alone(folders: dict[str, Path], kind: str) -> None:
    prompts = ["how to bake", "sort the array", "apple pie"]
    with writer(folders[kind], temperature=1.0, seed=1) as one, writer(folders[kind], temperature=1.0, seed=2) as other:
        torch.manual_seed(3)
        expected = torch.rand(2)[1]
        torch.manual_seed(3)
        torch.rand(1)
        texts = one.generate(prompts).texts
        assert torch.rand(1) == expected
        assert one.generate(prompts).texts == texts
        assert other.generate(prompts).texts != texts


def test_words_of_the_model_come_out_and_are_counted(folders: dict[str, Path]) -> None:
    with writer(folders["decoder"], temperature=0) as generator:
        generated = generator.generate(["how to bake", "apple"])
        assert all(word in WORDS for text in generated.texts for word in text.split())
        # [CLS] how to bake [SEP] and [CLS] apple [SEP]: 5 + 3
        assert generated.usage.tokens == 8
        assert 1 <= generated.usage.output_tokens <= 16 and generated.usage.requests == 0


def test_a_decoder_refuses_a_prompt_that_is_too_long_by_name_and_the_others_go_on(folders: dict[str, Path]) -> None:
    with writer(folders["decoder"], max_length=16) as generator:
        ((_, part),) = generator.generate_each(["how to bake", "pie " * 40])
        assert list(part.failures) == [1] and part.texts[0] and part.texts[1] == ""
        for ask in (lambda: generator.generate(["pie " * 40]), lambda: list(generator.stream("pie " * 40))):
            with pytest.raises(AdapterRejected, match="has 42 tokens"):
                ask()


def test_an_encoder_decoder_cuts_a_prompt_that_is_too_long_and_counts_it(folders: dict[str, Path]) -> None:
    with writer(folders["seq2seq"], max_length=16) as generator:
        generated = generator.generate(["how to bake", "pie " * 40])
        assert generated.truncated is not None and generated.truncated.tolist() == [False, True]
        assert generated.usage.tokens == 5 + 16


def test_a_text_ends_where_the_model_has_no_places_left(tmp_path: Path) -> None:
    with writer(tiny_writer(tmp_path, positions=16), max_tokens=500, temperature=0) as generator:
        generated = generator.generate(["how to bake an apple pie"])  # 8 tokens with both ends, so 8 are left
        assert generated.usage.output_tokens <= 8


def test_a_template_without_a_place_for_instructions_has_them_in_the_first_question(folders: dict[str, Path]) -> None:
    with writer(folders["template"], temperature=0) as generator:
        together = [Message("system", "how"), Message("user", "to bake")]
        assert generator.generate([together]).texts == generator.generate(["how\n\nto bake"]).texts


def test_a_stop_ends_a_text_also_while_it_is_streamed(folders: dict[str, Path]) -> None:
    with writer(folders["decoder"], temperature=0, max_tokens=12) as generator:
        (whole,) = generator.generate(["how to bake"]).texts
    stop = next(word for word in whole.split()[1:] if word != whole.split()[0])
    with writer(folders["decoder"], temperature=0, max_tokens=12, stop=[stop]) as generator:
        (text,) = generator.generate(["how to bake"]).texts
        streamed = "".join(generator.stream("how to bake")).strip()
    assert text == streamed == whole.partition(stop)[0].strip()


def test_a_model_that_writes_no_text_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="writes no text"):
        writer(folders["encoder"]).check()
    with pytest.raises(ModelNotFound):
        writer(tmp_path / "gone").check()
    with pytest.raises(InvalidOptions, match="at most 256 tokens"):
        writer(folders["decoder"], max_length=1000).check()
    writer(folders["decoder"]).check()
    writer(folders["seq2seq"]).check()


def test_code_that_lies_beside_a_model_does_not_run_unasked(tmp_path: Path) -> None:
    folder = tiny_writer(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidOptions, match="trust_remote_code"):
        writer(folder).check()


@pytest.mark.parametrize(
    ("pieces", "stops", "text"),
    [
        (["ab", "cd"], [], "abcd"),
        (["ab", "cd"], ["bc"], "a"),  # over the border of two pieces
        (["a", "b", "c"], ["abd"], "abc"),  # begins like a stop and is none
        (["abcabc"], ["c", "b"], "a"),  # the first in the text, not in the list
        (["", "ab"], ["ab"], ""),
    ],
)
def test_a_text_ends_before_its_first_stop(pieces: list[str], stops: list[str], text: str) -> None:
    assert "".join(until_stop(pieces, stops)) == text
    assert all(until_stop(pieces, stops))


def test_flags_are_by_prompt(folders: dict[str, Path]) -> None:
    with writer(folders["decoder"], temperature=0, max_tokens=1, batch_size=2) as generator:
        generated = generator.generate(["how", "to", "bake"])
        assert generated.unfinished is not None and generated.unfinished.dtype == np.bool_
        assert len(generated.unfinished) == 3


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_several_texts_of_one_prompt_are_drawn_and_differ(folders: dict[str, Path], kind: str) -> None:
    with writer(folders[kind], top_p=0.95) as generator:
        assert generator.samples
        several = generator.several(["how to bake", "sort the array"], 4)
        assert len(set(several.texts[:4])) > 1 and len(set(several.texts[4:])) > 1
    with writer(folders[kind], temperature=0) as generator:  # nothing is drawn: each prompt has its one text
        several = generator.several(["how to bake"], 3)
        assert len(set(several.texts)) == 1
        assert several.texts[0] == generator.generate(["how to bake"]).texts[0]


def test_a_model_says_how_it_wants_to_be_asked(folders: dict[str, Path]) -> None:
    manners = {kind: writer(folders[kind]).manner for kind in ("decoder", "seq2seq", "template")}
    assert manners == {"decoder": "continuation", "seq2seq": "passage", "template": "conversation"}
