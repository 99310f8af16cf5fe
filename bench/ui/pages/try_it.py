"""The page Try it: a question to several systems side by side, and a chat with one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.ui import chatting
from bench.ui.desk import Desk
from bench.ui.shown_results import choices, results_of, stamp_of
from bench.ui.text import command, plain
from bench.ui.trying import Trying, asked_parts, first_to_try, offered, questions_offered

_SECONDS = 1800  # that a conversation is kept behind the last question


def build(desk: Desk) -> None:
    """Put the page together, inside its tab."""
    import gradio
    from gradio.context import Context

    tab, trying = Context.block, Trying.at(desk)
    chosen = gradio.Dropdown([], label="Result", value=None)
    told = gradio.HTML()
    with gradio.Tabs():
        with gradio.Tab("Side by side"):
            systems, judged = _side_by_side(trying, chosen)
        with gradio.Tab("Chat", visible=not desk.read_only):
            system, answers = _chat(trying, chosen)

    def look(sent: str | None) -> Any:
        found = results_of(desk)
        options = choices(desk, found)
        known = [value for _, value in options]
        return gradio.Dropdown(choices=options, value=sent if sent in known else first_to_try(desk, found))

    def offer(sent: str | None) -> list[Any]:
        usable, usual, faults, questions = offered(desk, sent)
        named = [(plain(name), name) for name in usable]
        answers = chatting.answering(desk, sent)
        return [
            gradio.CheckboxGroup(choices=named, value=usual),
            gradio.Dropdown(choices=questions_offered(questions), value=None),
            gradio.Dropdown(choices=named, value=next(iter(usual), None)),
            gradio.Dropdown(choices=answers, value=next(iter(answers), None)),
            faults,
        ]

    stamp = gradio.State("")  # of the chosen result as this tab shows it: a run may have gone on since
    looked = gradio.on([Context.root_block.load, tab.select], look, chosen, chosen, show_progress="hidden")
    looked.then(lambda sent: stamp_of(desk, sent), chosen, stamp, show_progress="hidden")
    chosen.change(lambda sent: stamp_of(desk, sent), chosen, stamp, show_progress="hidden")
    stamp.change(offer, chosen, [systems, judged, system, answers, told], show_progress="hidden")


def _side_by_side(trying: Trying, chosen: Any) -> tuple[Any, Any]:
    """A question to several systems. Returns the choice of systems and that of judged questions."""
    import gradio

    systems = gradio.CheckboxGroup([], label="Systems")
    judged = gradio.Dropdown([], label="A judged question", value=None)
    question = gradio.Textbox("", label="Question", max_lines=3)
    k = gradio.Slider(1, 50, value=5, step=1, label="Documents of each")
    ask = gradio.Button("Ask", variant="primary")
    shown = gradio.HTML()
    gradio.HTML(command("bench try RESULT QUESTION"))

    def asked(sent: str | None, names: list[str], question: str, k: int) -> Iterator[str]:
        yield from asked_parts(trying, sent, names, question or "", int(k))

    judged.input(lambda text: text or "", judged, question, show_progress="hidden")
    gradio.on([ask.click, question.submit], asked, [chosen, systems, question, k], shown, concurrency_limit=4)
    return systems, judged


def _chat(trying: Trying, chosen: Any) -> tuple[Any, Any]:
    """A conversation with one system. Returns the choice of the system and that of who answers."""
    import gradio

    with gradio.Row(elem_classes="narrow"):
        system = gradio.Dropdown([], label="System that searches", value=None)
        answers = gradio.Dropdown(
            [], label="Who answers: a generator of the result, or ADAPTER:MODEL", value=None, allow_custom_value=True
        )
    with gradio.Row(elem_classes="narrow"):
        k = gradio.Slider(1, 20, value=5, step=1, label="Passages of a question")
        max_cost = gradio.Textbox("", label="US dollars that may be spent; empty: as the result says", max_lines=1)
        price = gradio.Textbox("", label="Price of the model, where none is known: READ,WRITTEN", max_lines=1)
    options = gradio.Textbox("", label="Options of the model, OPTION=VALUE, one a line", lines=2)
    talk = gradio.HTML()
    question = gradio.Textbox("", label="Question", max_lines=3)
    with gradio.Row():
        ask = gradio.Button("Ask", variant="primary")
        anew = gradio.Button("Begin anew")
    gradio.HTML(command("bench chat RESULT"))
    kept = gradio.State(None, time_to_live=_SECONDS, delete_callback=_forget)

    def said(chat: Any, question: str, sent: str, system: str, answers: str, options: str, *more: Any) -> Iterator[Any]:
        k, max_cost, price = more
        wanted = chatting.Wanted(sent, system, answers or "", options or "", int(k), max_cost or "", price or "")
        for html, talking in chatting.said(trying, chat, wanted, question or ""):
            yield html, talking, ""

    def begin(chat: Any) -> tuple[str, None]:
        _forget(chat)
        return "", None

    inputs = [kept, question, chosen, system, answers, options, k, max_cost, price]
    gradio.on([ask.click, question.submit], said, inputs, [talk, kept, question], concurrency_limit=4)
    anew.click(begin, kept, [talk, kept])
    return system, answers


def _forget(chat: Any) -> None:
    if chat is not None:
        chat.close()
