"""Laws of the managed generators, with the real clients against a real server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from adapters.base import (
    AdapterError,
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    Context,
    Generator,
    Message,
    ModelNotFound,
    WrongAnswer,
)
from adapters.generators.cohere import CohereGenerator, CohereGeneratorOptions
from adapters.generators.openai import OpenAIGenerator, OpenAIGeneratorOptions
from adapters.testing import GeneratorConformance
from bench.money.budget import Budget, BudgetExceeded
from bench.money.cost import AT_MOST, NO_PRICES, load_prices, price_of, text_bytes, writing_usage
from tests.managed.conftest import PLANTED_KEY
from tests.standin import KINDS, Faults, StandIn

QUICK: dict[str, Any] = {"backoff_seconds": 0.001, "timeout_seconds": 10.0, "max_tokens": 40}


def openai(**options: Any) -> Generator:
    return OpenAIGenerator(OpenAIGeneratorOptions(**{"model": "gpt-5-mini", **QUICK, **options}))


def cohere(**options: Any) -> Generator:
    return CohereGenerator(CohereGeneratorOptions(**{"model": "command-a-03-2025", **QUICK, **options}))


MAKERS: list[Callable[..., Generator]] = [openai, cohere]


class Closing(GeneratorConformance):
    """Closes what a law has left open: connections are of this process."""

    make: Callable[..., Generator]

    @pytest.fixture(autouse=True)
    def _available(self, standin: StandIn) -> Iterator[None]:
        self.made: list[Generator] = []
        yield
        for generator in self.made:
            generator.close()

    def generator(self) -> Generator:
        self.made.append(type(self).make())
        return self.made[-1]

    def others(self) -> Sequence[Generator]:
        changes: list[dict[str, Any]] = [
            {"max_tokens": 7}, {"temperature": 0.5}, {"top_p": 0.5}, {"seed": 5}, {"stop": ("x",)},
            {"system": "Rhyme."}, {"base_url": "http://127.0.0.1:9"},
        ]  # fmt: skip
        return [type(self).make(**change) for change in changes]


class TestOpenAI(Closing):
    make = staticmethod(openai)


class TestCohere(Closing):
    make = staticmethod(cohere)


def streamed(generator: Generator, prompt: str = "Why?") -> str:
    with generator, generator.stream(prompt) as pieces:
        return "".join(pieces)


@pytest.mark.parametrize("make", MAKERS)
def test_the_instruction_goes_before_prompts_that_bring_none(make: Callable[..., Generator], standin: StandIn) -> None:
    seen: list[Any] = []
    standin.says = lambda messages: seen.append(messages) or "yes"  # type: ignore[func-returns-value]
    with make(system="Rhyme.") as generator:
        generator.generate(["Why?", [Message("system", "Be brief."), Message("user", "How?")]])
        list(generator.stream("Where?"))
    first = {messages[-1]["content"]: messages[0]["content"] for messages in seen}
    assert first == {"Why?": "Rhyme.", "How?": "Be brief.", "Where?": "Rhyme."}


@pytest.mark.parametrize("make", MAKERS)
def test_a_text_that_ends_at_max_tokens_is_told(make: Callable[..., Generator], standin: StandIn) -> None:
    standin.says = lambda messages: "one two three four five"
    with make(max_tokens=2) as generator:
        generated = generator.generate(["Why?"])
        assert generated.texts == ["one two"] and generated.unfinished is not None and generated.unfinished.all()
        with generator.stream("Why?") as pieces:
            assert "".join(pieces) == "one two"
        assert pieces.ended is not None and pieces.ended.unfinished
        assert (pieces.ended.usage.requests, pieces.ended.usage.output_tokens) == (1, 2)


@pytest.mark.parametrize("make", MAKERS)
def test_stops_are_not_part_of_the_text(make: Callable[..., Generator], standin: StandIn) -> None:
    standin.says = lambda messages: "tin END neon"
    with make(stop=("END",)) as generator:
        assert generator.generate(["Why?"]).texts[0].strip() == "tin"
    assert streamed(make(stop=("END",))).strip() == "tin"


@pytest.mark.parametrize("make", MAKERS)
def test_faults_that_pass_change_no_text(make: Callable[..., Generator], standin: StandIn) -> None:
    prompts = [f"question {i}" for i in range(12)]
    with make() as generator:
        expected = generator.generate(prompts).texts
    kinds = tuple(kind for kind in KINDS if kind not in ("count", "nan", "slow", "truncated"))
    standin.faults = Faults(rate=0.5, kinds=kinds, retry_after="0.001", seed=3)
    with make(max_retries=20) as generator:
        generated = generator.generate(prompts)
    assert generated.texts == expected
    assert generated.usage.retries > 0 and generated.usage.requests == 12
    assert standin.seen.faults.total() > 0


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["429", "500", "503", "reset"])
def test_a_stream_that_fails_before_its_first_piece_is_tried_again(
    make: Callable[..., Generator], kind: str, standin: StandIn
) -> None:
    standin.faults = Faults(rate=0.6, kinds=(kind,), retry_after="0.001", seed=1)
    with make(max_retries=20) as generator:
        for i in range(6):
            pieces = generator.stream(f"question {i}")
            assert "".join(pieces).strip() == f"You ask: question {i}"
    assert standin.seen.faults[kind] > 0


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["truncated", "cut"])
def test_a_stream_that_breaks_off_is_an_error_and_no_whole_text(
    make: Callable[..., Generator], kind: str, standin: StandIn
) -> None:
    standin.faults = Faults(rate=1.0, kinds=(kind,))
    standin.says = lambda messages: "a long text of many words " * 20
    with make(max_tokens=400, max_retries=1) as generator, pytest.raises(AdapterError) as caught:
        list(generator.stream("Why?"))
    assert isinstance(caught.value, AdapterUnavailable | AdapterRejected)


@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_that_never_ends_is_a_timeout(make: Callable[..., Generator], standin: StandIn) -> None:
    standin.event_seconds = 0.2
    standin.says = lambda messages: "word " * 30
    with make(timeout_seconds=0.5, max_retries=0) as generator, pytest.raises(AdapterTimeout, match="timeout_seconds"):
        list(generator.stream("Why?"))


@pytest.mark.parametrize("make", MAKERS)
def test_a_refused_prompt_fails_alone_and_by_name(make: Callable[..., Generator], standin: StandIn) -> None:
    standin.objects_to = ("forbidden",)
    with make() as generator:
        parts = generator.generate_each(["good", "forbidden", "fine"])
        found = {place: part for places, part in parts for place in places}
        assert [bool(found[place].failures) for place in range(3)] == [False, True, False]
        with pytest.raises(AdapterRejected, match=r"content policy violation.*The prompt: 'forbidden'"):
            generator.generate(["good", "forbidden"])
        with pytest.raises(AdapterRejected, match="content policy violation"):
            list(generator.stream("forbidden"))


@pytest.mark.parametrize("make", MAKERS)
def test_refusals_name_their_cause(make: Callable[..., Generator], standin: StandIn) -> None:
    with make(model="nobody") as generator, pytest.raises(ModelNotFound, match="nobody"):
        generator.generate(["Why?"])
    with make(model="nobody") as generator, pytest.raises(ModelNotFound, match="nobody"):
        list(generator.stream("Why?"))
    standin.expired = True
    with make() as generator, pytest.raises(AdapterRejected, match="refused the key in") as caught:
        list(generator.stream("Why?"))
    assert PLANTED_KEY not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_a_server_that_is_away_is_named(make: Callable[..., Generator], standin: StandIn) -> None:
    with make(base_url="http://127.0.0.1:9", max_retries=0) as generator:
        with pytest.raises(AdapterUnavailable, match=r"127\.0\.0\.1:9"):
            generator.generate(["Why?"])
        with pytest.raises(AdapterUnavailable, match=r"127\.0\.0\.1:9"):
            list(generator.stream("Why?"))


@pytest.mark.parametrize("make", MAKERS)
def test_without_a_key_nobody_is_asked(make: Callable[..., Generator], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "CO_API_KEY", "OPENAI_BASE_URL", "CO_API_URL"):
        monkeypatch.delenv(name, raising=False)
    with make() as generator, pytest.raises(AdapterRejected, match=r"export (OPENAI|CO)_API_KEY"):
        generator.check()


def test_a_stream_asks_nothing_before_its_first_piece_is_taken(standin: StandIn) -> None:
    with openai() as generator:
        generator.stream("Why?").close()
    assert standin.seen.requests.total() == 0


def test_a_conversation_without_a_question_is_refused(standin: StandIn) -> None:
    with openai() as generator, pytest.raises(WrongAnswer, match="must end with a message of the user"):
        generator.generate([[Message("assistant", "Well.")]])


def test_a_server_of_ones_own_bills_nothing_and_gets_the_older_name_of_the_limit(standin: StandIn) -> None:
    with openai(model="local-model", base_url=f"{standin.url}/v1", api_key_env="OPENAI_API_KEY") as generator:
        assert generator.bills
    standin.keyless, standin.keys = True, None
    with openai(model="local-model", base_url=f"{standin.url}/v1", max_tokens=1) as generator:
        assert not generator.bills
        assert generator.generate(["Why?"]).texts == ["You"]


# -- money -----------------------------------------------------------------------------------------------------------


def test_what_is_read_and_what_is_written_have_prices_of_their_own(standin: StandIn) -> None:
    prices = load_prices()
    standin.says = lambda messages: "one two three four"
    with openai() as generator:
        usage = generator.generate(["Why?"]).usage
    assert usage.output_tokens == 4
    # gpt-5-mini: 0.25 USD per million tokens read, 2.00 per million written
    expected = usage.tokens * 0.25e-6 + 4 * 2.00e-6
    assert price_of(prices, "openai", "gpt-5-mini", usage) == pytest.approx(expected)
    assert price_of(NO_PRICES, "openai", "gpt-5-mini", usage) is None
    only_read = load_prices([{"provider": "openai", "model": "gpt-5-mini", "unit": "per_million_tokens", "usd": 0.25}])
    assert price_of(only_read, "openai", "gpt-5-mini", usage) is None  # not known, and not 0


def test_a_budget_reckons_a_text_as_long_as_it_may_be(standin: StandIn) -> None:
    most = writing_usage(text_bytes(["Why?"]), 1000, AT_MOST)
    # 4 bytes and 2 more tokens at 0.25e-6, 1,000 tokens at 2e-6: .0020015 USD
    with openai() as generator:
        assert Budget(load_prices(), 0.0021).affordable(generator, most) == 1
        with pytest.raises(BudgetExceeded, match="gpt-5-mini"):
            Budget(load_prices(), 0.0020).affordable(generator, most)
        budget = Budget(load_prices(), 1.0)
        standin.counts_tokens = False
        budget.after(generator, generator.generate(["Why?"]).usage, most.total())
    assert budget.spent == pytest.approx(0.0020015)  # an answer that tells nothing may have used the most


def test_the_seed_is_the_experiments_where_the_options_have_none(standin: StandIn) -> None:
    options = OpenAIGeneratorOptions(model="gpt-5-mini")
    with OpenAIGenerator(options, Context(seed=11)) as generator:
        assert generator.seed == 11 and generator.identity.settings["seed"] == 11
    with openai(seed=4) as generator:
        assert generator.seed == 4
