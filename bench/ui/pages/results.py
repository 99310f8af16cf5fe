"""The page Results: all results, and of one or two of them what the commands tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.ui import shown_results as parts
from bench.ui.desk import Desk
from bench.ui.text import command, note, plain

if TYPE_CHECKING:
    from bench.report.all_results import Listed

_SORTS = {
    "Newest first": "started", "Experiment": "experiment", "Dataset": "dataset", "Status": "status",
    "Highest measure": "measure",
}  # fmt: skip
_MOST = 50  # queries of a list


def build(desk: Desk) -> Any:
    """Put the page together, inside its tab. Returns the list that a result is chosen from."""
    import gradio
    from gradio.context import Context

    tab = Context.block
    words, sort, again, table = _list()
    told = gradio.HTML()
    gradio.HTML(command("bench results"))
    chosen = gradio.Dropdown([], label="Result", value=None)
    stamp = gradio.State("")  # of the chosen result as this tab shows it: a run may have gone on since
    with gradio.Tabs():
        with gradio.Tab("Answer"):
            answer = gradio.HTML()
        with gradio.Tab("Report"):
            report_of = gradio.Button("Show the report")
            report = gradio.HTML()
        with gradio.Tab("Queries"):
            _queries(desk, chosen, stamp)
        with gradio.Tab("Compare two"):
            before = _comparison(desk, chosen)
        with gradio.Tab("Table of all"):
            _all_systems(desk)

    def look(words: str, sort: str, sent: str | None) -> list[Any]:
        found = _found(desk, words, sort)
        options = parts.choices(desk, found)
        known = [value for _, value in options]
        value = sent if sent in known else next(iter(known), None)
        lists = [gradio.Dropdown(choices=options, value=value), gradio.Dropdown(choices=options)]
        return [parts.rows(desk, found), parts.unreadable_part(found), *lists]

    def pick(words: str, sort: str, event: Any) -> Any:
        named = event.row_value[-1] if event.row_value else None
        same = (each for each in _found(desk, words, sort) if parts.named_in_list(desk, each) == named)
        each = next(same, None)
        return gradio.skip() if each is None or each.result is None else str(each.folder)

    pick.__annotations__["event"] = gradio.SelectData  # Gradio looks there for what it is to send
    inputs, lists = [words, sort, chosen], [table, told, chosen, before]
    triggers = [Context.root_block.load, tab.select, again.click, words.submit, sort.change]
    looked = gradio.on(triggers, look, inputs, lists, show_progress="hidden")
    table.select(pick, [words, sort], chosen, show_progress="hidden")
    looked.then(lambda sent: parts.stamp_of(desk, sent), chosen, stamp, show_progress="hidden")
    chosen.change(lambda sent: parts.stamp_of(desk, sent), chosen, stamp, show_progress="hidden")
    stamp.change(lambda sent: (parts.answer_part(desk, sent), ""), chosen, [answer, report], show_progress="minimal")
    report_of.click(lambda sent: parts.report_part(desk, sent), chosen, report)
    return chosen


def _list() -> tuple[Any, Any, Any, Any]:
    """What all results are found by, and their table."""
    import gradio

    from bench.report.all_results import HEADER

    hint = "words of a name, a dataset or a system"
    with gradio.Row(elem_classes="narrow"):
        words = gradio.Textbox("", label="Find", placeholder=hint, max_lines=1, scale=3)
        sort = gradio.Dropdown(list(_SORTS), value="Newest first", label="Sort by", scale=1)
        again = gradio.Button("Look again", scale=0)
    table = gradio.Dataframe(
        headers=list(HEADER), datatype="str", type="array", interactive=False, max_height=320, label="Results"
    )
    return words, sort, again, table


def _found(desk: Desk, words: str, sort: str) -> list[Listed]:
    from bench.report.all_results import in_order

    found = [each for each in parts.results_of(desk) if each.holds(words)]
    return in_order(found, _SORTS.get(sort, "started"))


def _queries(desk: Desk, chosen: Any, stamp: Any) -> None:
    """Queries of the result, listed as `bench queries` does. stamp: changes with the result."""
    import gradio

    with gradio.Row(elem_classes="narrow"):
        kind = gradio.Dropdown(list(parts.KINDS), value="Got worse", label="Which queries")
        system = gradio.Dropdown([], label="In this system")
        than = gradio.Dropdown([], label="Than in this one")
        measure = gradio.Dropdown([], label="By")
        words = gradio.Textbox("", label="Words or id", max_lines=1)
        most = gradio.Slider(1, _MOST, value=5, step=1, label="At most")
    show = gradio.Button("Show queries")
    shown = gradio.HTML()

    def offered(sent: str | None) -> list[Any]:
        systems, measures = parts.asked_of(desk, sent)
        usual = [("the usual one", "")]
        lists = ([*usual, *((plain(name), name) for name in names)] for names in (systems, systems, measures))
        return [*(gradio.Dropdown(choices=each, value="") for each in lists), ""]

    def listed(sent: str | None, kind: str, *asked: Any) -> str:
        return parts.queries_part(desk, sent, kind, *asked)

    stamp.change(offered, chosen, [system, than, measure, shown], show_progress="hidden")
    gradio.on([show.click, words.submit], listed, [chosen, kind, system, than, measure, words, most], shown)


def _comparison(desk: Desk, chosen: Any) -> Any:
    """What changed from another result to the chosen one. Returns the list of others."""
    import gradio

    before = gradio.Dropdown([], label="Before the change", value=None)
    gradio.HTML(note("The chosen result above is the one after the change."))
    shared = gradio.Checkbox(label="Compare only the queries and measures that both have")
    compare = gradio.Button("Compare")
    shown = gradio.HTML()
    compare.click(
        lambda old, new, on: parts.comparison_part(desk, old, new, on), [before, chosen, shared], shown
    )  # fmt: skip
    return before


def _all_systems(desk: Desk) -> None:
    """The options and figures of all systems of all results, to take along."""
    import gradio

    gradio.HTML(note("A row for each system of each result: options, measures, times and costs."))
    make = gradio.Button("Write the table")
    file = gradio.File(label="all-results.csv", interactive=False)
    gradio.HTML(command("bench results --csv all-results.csv"))
    make.click(lambda: parts.table_file(parts.results_of(desk)), None, file)
