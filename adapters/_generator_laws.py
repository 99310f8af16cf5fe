"""The laws that every generator inherits."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from adapters.base import Generator, Message, Prompt

PROMPTS: tuple[Prompt, ...] = (
    "What is tin?",
    "日本語の質問 „quotes“ 🙂",
    [Message("system", "Answer in one word."), Message("user", "What is neon?")],
    [Message("user", "What is tin?"), Message("assistant", "A metal."), Message("user", "And neon?")],
    "What is tin?",
)


class GeneratorConformance:
    """The laws of a generator. Fill in `generator`; give `others` where options change texts."""

    def generator(self) -> Generator:
        """A new adapter, with a small `max_tokens`."""
        raise NotImplementedError

    def others(self) -> Sequence[Generator]:
        """Generators that differ in one option each that changes texts: their identities must differ too."""
        return ()

    def unavailable(self) -> str | None:
        """Why this generator cannot be tried here, if it cannot."""
        missing = self.generator().missing()
        return str(missing) if missing else None

    @pytest.fixture(autouse=True)
    def _available(self) -> None:
        if reason := self.unavailable():
            pytest.skip(reason)

    def test_every_prompt_has_a_text_at_its_place(self) -> None:
        with self.generator() as generator:
            generated = generator.generate(PROMPTS)
            assert len(generated.texts) == len(PROMPTS) and not generated.failures
            assert all(isinstance(text, str) for text in generated.texts)
            for flags in (generated.unfinished, generated.truncated):
                assert flags is None or len(flags) == len(PROMPTS)

    def test_the_same_prompts_have_the_same_texts_again(self) -> None:
        with self.generator() as one, self.generator() as other:
            assert one.generate(PROMPTS).texts == other.generate(PROMPTS).texts == one.generate(PROMPTS).texts

    def test_several_texts_of_a_prompt_stand_together_and_come_again(self) -> None:
        prompts = PROMPTS[:2]
        with self.generator() as one, self.generator() as other:
            several = one.several(prompts, 3)
            assert len(several.texts) == 6 and not several.failures
            assert list(several.texts) == list(other.several(prompts, 3).texts)
            assert one.manner in ("conversation", "continuation", "passage")
            assert list(one.several([], 3).texts) == []

    def test_parts_hold_every_prompt_once(self) -> None:
        with self.generator() as generator:
            parts = list(generator.generate_each(PROMPTS))
            places = [place for part, _ in parts for place in part]
            assert sorted(places) == list(range(len(PROMPTS)))
            assert all(len(part) == len(generated.texts) for part, generated in parts)

    def test_a_streamed_text_is_the_whole_text(self) -> None:
        for prompt in PROMPTS:
            with self.generator() as generator:
                (whole,) = generator.generate([prompt]).texts
                with generator.stream(prompt) as pieces:
                    text = "".join(pieces)
                    assert pieces.ended is not None, "The stream does not tell how it ended."
                assert text.strip() == whole.strip()

    def test_what_is_read_and_written_is_counted(self) -> None:
        with self.generator() as generator:
            generated = generator.generate(PROMPTS[:1])
            pieces = generator.stream(PROMPTS[0])
            list(pieces)
            assert pieces.ended is not None
            for usage in (generated.usage, pieces.ended.usage):
                assert usage.tokens > 0
                assert usage.output_tokens > 0 or not generated.texts[0]
                assert usage.output_tokens <= generator.max_tokens

    def test_a_stream_that_is_closed_early_leaves_the_generator_usable(self) -> None:
        with self.generator() as generator:
            pieces = generator.stream(PROMPTS[0])
            next(pieces, None)
            pieces.close()
            assert generator.generate(PROMPTS[:1]).texts == self.generator().generate(PROMPTS[:1]).texts

    def test_no_prompts_give_no_texts(self) -> None:
        with self.generator() as generator:
            assert list(generator.generate([]).texts) == []

    def test_an_option_that_changes_texts_changes_the_identity(self) -> None:
        every = (self.generator(), *self.others())
        identities = [json.dumps(each.identity.as_dict(), sort_keys=True) for each in every]
        assert len(set(identities)) == len(identities)
        assert self.generator().identity.as_dict() == self.generator().identity.as_dict()
        assert self.generator().max_tokens >= 1
