"""The part of a page that shows runs: the queue, how far the chosen one is, its log, and what can be done with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench.cache.digests import content_key
from bench.messages.wording import counted
from bench.ui.desk import Desk
from bench.ui.runs.board import LIVE, RESUMABLE, Kind, Run, board
from bench.ui.runs.following import Told
from bench.ui.shown_results import choices, results_of
from bench.ui.telling import reasons
from bench.ui.text import command, escaped, lines, note, plain
from bench.ui.training import curves_part

_SECONDS = 1.5  # between two looks
_MOST = 100  # runs of the list
_COLOURS = {"finished": "good", "running": "good", "failed": "bad", "refused": "bad", "killed": "bad"}
_LATEST = ""
Seen: TypeAlias = tuple[list[str], str, bool]  # digests of what a tab shows, the run that it shows, whether that lives
_NOTHING: Seen = ([], "", False)
_HIDDEN: dict[str, Any] = {"show_progress": "hidden"}


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel of a page. chosen: the list of its runs; opener: the button that opens the result of the chosen one."""

    chosen: Any
    opener: Any
    result: Callable[[str | None], Any]

    def opens_in(self, choice: Any) -> None:
        """Let the result be opened on the page Results. choice: its list of results."""
        import gradio

        self.opener.click(self.result, self.chosen, choice, **_HIDDEN).then(
            lambda: gradio.Tabs(selected="Results"), None, _tabs(choice), **_HIDDEN
        )


def panel(desk: Desk, kinds: Sequence[Kind]) -> Panel:
    """Put the panel together, inside a page. kinds: of the runs that are chosen from; the queue shows all."""
    import gradio

    seen = gradio.State(_NOTHING)
    queue = gradio.HTML(elem_classes="queue")
    chosen = gradio.Dropdown([("the latest", _LATEST)], value=_LATEST, label="Run to look at")
    offered = gradio.Textbox("", label="Runs to look at", visible="hidden")
    progress = gradio.HTML(elem_classes="progress")
    with gradio.Row():
        cancel = gradio.Button("Cancel", interactive=False, variant="stop", elem_classes="sure")
        resume = gradio.Button("Resume", interactive=False, elem_classes="sure")
        results = gradio.Button("Open its result", interactive=False, elem_classes="sure")
    said = gradio.HTML()
    with gradio.Accordion("What the command prints", open=False):
        log = gradio.HTML()
    timer = gradio.Timer(_SECONDS)
    acts = _Acts(desk, kinds)
    # One dependency, so that no answer overtakes a later one, which says nothing of parts that did not change since.
    # And as long as a tab is open, Gradio keeps one more copy of a part each time that it is read, or given a bare
    # value, after it was updated or skipped: no look writes the list of runs, which each look reads, and none gives
    # bare values.
    gradio.on(
        [timer.tick, chosen.input, said.change], acts.look, [chosen, seen],
        [seen, queue, offered, progress, cancel, resume, results, log, said],
        queue=False, trigger_mode="always_last", **_HIDDEN,
    )  # fmt: skip
    offered.change(acts.offer, [offered, chosen], chosen, queue=False, **_HIDDEN)
    cancel.click(acts.cancel, chosen, said, **_HIDDEN)
    resume.click(acts.resume, chosen, [said, chosen], **_HIDDEN)
    return Panel(chosen, results, acts.result)


class _Acts:
    """What the panel shows, and what its buttons do."""

    def __init__(self, desk: Desk, kinds: Sequence[Kind]) -> None:
        self._desk = desk
        self._kinds = kinds

    def look(self, name: str | None, before: Seen) -> list[Any]:
        """The parts of the panel that are new. before: what the tab shows. What was said of a run is forgotten when it
        ends, because it is not true any more."""
        import gradio

        every = board(self._desk).listing()[:_MOST]
        runs = [run for run in every if run.kind in self._kinds]
        run = _picked(runs, name)
        told = board(self._desk).told(run) if run is not None else None
        options = [("the latest", _LATEST), *((_named(each), each.id) for each in runs)]
        parts: list[Any] = [
            queue_part(every),
            json.dumps(options),
            progress_part(self._desk, run, told),
            run is not None and run.state in LIVE,
            run is not None and run.state in RESUMABLE,
            told is not None and told.folder is not None,
            log_part(self._desk, run),
        ]
        now: Seen = ([content_key(part) for part in parts], run.id if run is not None else "", parts[3])
        if now == before:
            return [gradio.skip()] * 9
        known = before[0] or [""] * len(parts)
        news = [gradio.update(**{"interactive" if isinstance(part, bool) else "value": part}) for part in parts]
        shown = [new if digest != old else gradio.skip() for new, digest, old in zip(news, now[0], known, strict=True)]
        ended = (before[1], before[2], now[2]) == (now[1], True, False)
        return [now, *shown, "" if ended else gradio.skip()]

    def offer(self, offered: str, name: str | None) -> Any:
        """The list of runs, with the same one chosen as long as it is there. offered: as the last look found it."""
        import gradio

        options = [(str(label), str(value)) for label, value in json.loads(offered)]
        return gradio.update(choices=options, value=name if name in {value for _, value in options} else _LATEST)

    def result(self, name: str | None) -> Any:
        """The result of a run, chosen in a list of results; nothing new before there is one."""
        import gradio

        run = _picked([each for each in board(self._desk).listing() if each.kind in self._kinds], name)
        folder = board(self._desk).told(run).folder if run is not None else None
        options = choices(self._desk, results_of(self._desk))
        if folder not in {value for _, value in options}:
            return gradio.skip()
        return gradio.Dropdown(choices=options, value=folder)

    def cancel(self, name: str | None) -> str:
        return self._do(self._stopped, name)

    def resume(self, name: str | None) -> tuple[str, str]:
        return self._do(lambda run: _resumed(self._desk, run), name), _LATEST

    def _stopped(self, run: Run) -> str:
        board(self._desk).cancel(run)
        return "It was asked to stop; what was paid for is kept."

    def _do(self, what: Callable[[Run], str], name: str | None) -> str:
        run = _picked([each for each in board(self._desk).listing() if each.kind in self._kinds], name)
        try:
            return "" if run is None else note(what(run))
        except Exception as error:
            return lines(reasons(error), "bad")


def _tabs(within: Any) -> Any:
    """The tabs of all pages, from a part of one of them."""
    found, block = None, within
    while (block := block.parent) is not None:
        found = block if type(block).__name__ == "Tabs" else found
    return found


def _picked(runs: Sequence[Run], name: str | None) -> Run | None:
    """The run of a name; else the one that runs now, else the one that was asked for last."""
    named = [run for run in runs if run.id == name] or [run for run in runs if run.state == "running"] or list(runs)
    return named[0] if named else None


def _resumed(desk: Desk, run: Run) -> str:
    again = board(desk).resume(run)
    if run.changed:
        return f"{run.file} is another file than it was, so this is a new run; what the cache holds is not made again."
    return "It waits for its turn." if again.state == "waiting" else "It goes on where it stopped."


def _named(run: Run) -> str:
    return plain(f"{run.kind} {run.file}, {run.state}, asked for {run.asked_at}")


def queue_part(runs: Sequence[Run]) -> str:
    """Who runs, and who waits for it."""
    live = [run for run in reversed(runs) if run.state in LIVE]
    if not live:
        return note("Nothing runs." if runs else "Nothing has been run here yet.")
    doing = "is trained" if live[0].kind == "train" else "runs"
    first = f"{live[0].file} {doing if live[0].state == 'running' else 'begins'}"
    waiting = "".join(f"<li>{escaped(f'{run.kind} {run.file}, asked for {run.asked_at}')}</li>" for run in live[1:])
    rest = f'<p class="note">Waiting, first come first served:</p><ol>{waiting}</ol>' if waiting else ""
    return note(f"{first}.") + rest


def progress_part(desk: Desk, run: Run | None, told: Told | None) -> str:
    """How a run stands: what goes on, with the time left, what ended, and what must be known."""
    if run is None or told is None:
        return ""
    now = time.time()
    cause = f": {run.cause}" if run.cause else ""
    parts = [f"<h3>{escaped(f'{run.kind} {run.file}')}</h3>"]
    parts.append(f'<div role="status">{note(f"{run.state}{cause}", _COLOURS.get(run.state, "plain"))}</div>')
    if run.state == "running":
        parts += [_bar(stage.told(now), stage.done, stage.total) for stage in told.stages.values()]
    if told.systems:
        parts.append(note(f"{len(told.finished):,} of {counted(len(told.systems), 'system')} ended"))
        parts += [note(f"{name}: {how}", "bad") for name, how in told.finished.items() if how != "success"]
    if told.folder:
        parts.append(note(f"Result: {desk.named(Path(told.folder))}"))
    parts.append(curves_part(told))
    parts.append(lines(told.warnings[:20], "warn"))
    if len(told.warnings) > 20:
        parts.append(note(f"and {len(told.warnings) - 20:,} more; the log has them."))
    if told.lines:
        items = escaped("\n".join(told.lines[-30:]))
        parts.append(f'<div class="log" tabindex="0" role="region" aria-label="What happened">{items}</div>')
    parts.append(command(board(desk).command_of(run.kind, run.file, run.flags)))
    return "".join(parts)


def _bar(text: str, done: int, total: int | None) -> str:
    name = escaped(text)
    value = f' value="{done}" max="{total}"' if total else ""
    return f'<p class="note">{name}</p><progress aria-label="{name}"{value}></progress>'


def log_part(desk: Desk, run: Run | None) -> str:
    """The end of what the command printed."""
    text = board(desk).log(run) if run is not None else ""
    body = escaped(text) if text else "Nothing yet."
    return f'<div class="log" tabindex="0" role="region" aria-label="Log">{body}</div>'
