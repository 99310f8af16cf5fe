"""Laws of what becomes of a generator's texts."""

from __future__ import annotations

import pytest

from bench.experiment.languages import language_of
from bench.synthetic.cleaning import cleaned, fault_of, lines_of
from bench.synthetic.prompts import LANGUAGES, Asking

PASSAGE = "Copper melts at 1085 degrees Celsius and conducts heat well."


@pytest.mark.parametrize(
    ("written", "question"),
    [
        ('1. "How hot is copper?"', "How hot is copper?"),
        ("- **Question 2:** how hot is copper", "how hot is copper"),
        ("Q: how hot is copper", "how hot is copper"),
        ("Frage: „Wie heiß ist Kupfer?“", "Wie heiß ist Kupfer?"),
        ("« À quelle température fond le cuivre ? »", "À quelle température fond le cuivre ?"),
        ("问题：铜的熔点是多少？", "铜的熔点是多少？"),
        ("質問1：「銅は何度で溶けますか」", "銅は何度で溶けますか"),
        ("질문: 구리는 몇 도에서 녹나요?", "구리는 몇 도에서 녹나요?"),
        ('what is "red" copper', 'what is "red" copper'),
        ('"red" and "blue"', '"red" and "blue"'),
        ("2024 copper price", "2024 copper price"),
        ("a  tab\tand blanks", "a tab and blanks"),
        ("", ""),
    ],
)
def test_what_stands_around_a_question_is_taken_off_and_nothing_of_it(written: str, question: str) -> None:
    assert cleaned(written) == question


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ("how hot is copper", None),
        ("copper melts", None),  # two words of the passage are a search, not a copy
        ("conducts heat well", None),
        ("Copper melts at 1085 degrees", "copied"),  # five words in a row
        (PASSAGE.lower().rstrip("."), "copied"),
        (f"Here it is: {PASSAGE}", "copied"),
        ("?!", "empty"),
        ("12 34", "empty"),
        ("why " * 30, "too_long"),
    ],
)
def test_copies_empty_and_long_texts_are_no_questions(question: str, fault: str | None) -> None:
    assert fault_of(question, PASSAGE, longest=100) == fault


def test_a_copy_in_a_script_without_spaces_is_found() -> None:
    passage = "蓝鲸的心脏重约一百八十公斤，每分钟跳动二到三十七次。"
    assert fault_of("蓝鲸的心脏重约一百八十公斤", passage, longest=100) == "copied"  # 13 signs in a row
    assert fault_of("蓝鲸的心脏多重", passage, longest=100) is None


def test_a_text_with_several_questions_gives_its_lines_without_their_announcement() -> None:
    text = "Here are three questions:\n\n1. a one\n2. b two\n3. c three\n4. d four"
    found = lines_of(text, at_once=True, count=3, unfinished=True)
    assert [line.text for line in found] == ["1. a one", "2. b two", "3. c three"]
    assert not any(line.unfinished for line in found)  # what was cut off is the fourth
    cut = lines_of("a one\nb tw", at_once=True, count=3, unfinished=True)
    assert [line.unfinished for line in cut] == [False, True]
    assert lines_of("\n", at_once=True, count=3, unfinished=False)[0].text == ""


def test_a_text_with_one_question_gives_its_first_line() -> None:
    (one,) = lines_of("\nhow hot is copper\n\nText: another", at_once=False, count=3, unfinished=True)
    assert one == ("how hot is copper", False)
    (cut,) = lines_of("how hot is", at_once=False, count=3, unfinished=True)
    assert cut.unfinished


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the cat is on the mat and that is all there is to it", "en"),
        ("der Hund ist nicht in dem Haus und die Katze auch nicht", "de"),
        ("le chat est dans la maison et les chiens sont avec lui", "fr"),
        ("el perro no es de la casa y los gatos son de un vecino", "es"),
        ("我们在北京吃饭", "zh"),
        ("これは日本語のテストです", "ja"),
        ("한국어 문장입니다", "ko"),
        ("ALDI 12.40 Berlin", None),
        ("", None),
    ],
)
def test_the_language_of_texts_is_known_or_not_told(text: str, language: str | None) -> None:
    assert language_of([text]) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_with_the_document_and_the_number(language: str) -> None:
    many = Asking("conversation", language, None, 7, at_once=True).prompt(PASSAGE)
    assert isinstance(many, str) and PASSAGE in many and "7" in many and "{" not in many
    one = Asking("conversation", language, None, 7, at_once=False).prompt(PASSAGE)
    assert not isinstance(one, str) and one[0].role == "system" and PASSAGE in one[-1].text
    text = Asking("continuation", language, None, 7, at_once=False).prompt(PASSAGE)
    assert isinstance(text, str) and text.endswith(f"{PASSAGE}\n{LANGUAGES[language].question}:")
    assert Asking("passage", language, None, 7, at_once=False).prompt(PASSAGE) == PASSAGE


def test_a_prompt_of_ones_own_is_asked_as_it_is() -> None:
    own = Asking("conversation", "en", "Ask {count} of: {passage}", 2, at_once=True)
    assert own.prompt("a {count} b") == "Ask 2 of: a {count} b"
    assert Asking("passage", "en", "q: {passage}", 2, at_once=False).prompt("tin") == "q: tin"


def test_a_document_is_shown_up_to_the_characters_that_were_asked_for() -> None:
    asking = Asking("passage", "en", None, 1, at_once=False, characters=50)
    assert asking.prompt("x" * 50 + "y") == "x" * 50
