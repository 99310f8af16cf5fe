"""The commands; what they print goes through `bench.terminal`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from adapters import printable, quieten_process
from bench.commands.asking import (
    agree_to_keys,
    agree_to_keys_of,
    agree_to_places,
    refuse,
    refusing,
    resumable,
)
from bench.commands.chat import chat
from bench.commands.clean import clean
from bench.commands.command_line import (
    RESULTS,
    CacheOption,
    ConfigArgument,
    DryRunOption,
    EventsOption,
    JsonForTable,
    Overrides,
    QuietOption,
    TrustOption,
    cache_folder,
    config_path,
    given_path,
)
from bench.commands.compare import compare
from bench.commands.data import data
from bench.commands.encode import encode
from bench.commands.generate import generate
from bench.commands.init import init
from bench.commands.mining import export_training, mine
from bench.commands.models import app as models_app
from bench.commands.queries import queries
from bench.commands.report import report
from bench.commands.results import results
from bench.commands.retriever import retriever, verify_retriever
from bench.commands.show import explain, print_result
from bench.commands.show import show as show_command
from bench.commands.train import train
from bench.commands.try_ import try_
from bench.commands.ui import ui
from bench.machine import fence
from bench.messages.terminal import guard_tracebacks, say, show, show_json

_WHOLE = 1_000  # characters: no sentence is cut

if TYPE_CHECKING:
    from bench.experiment.parts import Experiment
    from bench.results.model import Result


SECTIONS = {
    "To begin": ("init", "data", "run", "doctor", "ui"),
    "To read results": ("show", "results", "queries", "compare", "report", "explain"),
    "To use what was measured": ("try", "chat", "retriever", "verify-retriever", "encode"),
    "To train": ("train", "models", "mine", "generate", "export-training"),
    "To look after it all": ("clean", "track", "schema", "new-adapter"),
}
"""The commands, as --help lists them."""


class _Commands(TyperGroup):
    """The commands. What the operating system refuses them is told in one sentence, wherever it comes up: while options
    are read too, of which --help prints."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        return self._telling(super().make_context, *args, **extra)

    def invoke(self, ctx: Any) -> Any:
        return self._telling(super().invoke, ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Every command with its whole first sentence, by purpose."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                told = [(name, self.commands[name].get_short_help_str(limit=_WHOLE)) for name in names]
                formatter.write_dl(told)

    def _telling(self, step: Callable[..., Any], *args: Any, **extra: Any) -> Any:
        try:
            return step(*args, **extra)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has gone, as `head` does
                raise
            from bench.messages.refusals import refusal

            refuse([refusal(error)])
        except UnicodeEncodeError as error:
            from bench.messages.refusals import unwritable_text

            refuse([unwritable_text(error)])
        except Exception as error:
            # Errors about the command line, which quote it.
            if isinstance(message := getattr(error, "message", None), str):
                vars(error)["message"] = printable(message)
            raise


app = typer.Typer(
    name="bench",
    cls=_Commands,
    help="Benchmark retrieval pipelines truthfully: encoder, index, reranker, latency and cost from one YAML file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(encode)
app.add_typer(models_app)
RestrictedOption = Annotated[
    bool,
    typer.Option(
        "--restricted",
        help="For a file that you do not trust: no network, no path outside its folder, no third-party adapter.",
    ),
]


@app.command()
def run(
    config: ConfigArgument = None,
    set_: Overrides = None,
    output: Annotated[Path, typer.Option(metavar="DIR", parser=given_path, help="Where results go.")] = Path(RESULTS),
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="Take the latencies again.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train kept models again.")] = False,
    as_json: JsonForTable = False,
    quiet: QuietOption = False,
    trust: TrustOption = False,
    restricted: RestrictedOption = False,
    events: EventsOption = None,
) -> None:
    """Run an experiment and print its table."""
    file = config_path(config)
    if restricted and events is not None:
        refuse(["--events and --restricted exclude each other: behind the fence only results and cache are written."])
    if restricted and fence.standing() is None:
        flags = {"--dry-run": dry_run, "--remeasure": remeasure, "--retrain": retrain, "--json": as_json}
        flags |= {"--quiet": quiet}
        _run_apart(file, output, cache, set_ or [], [flag for flag, given in flags.items() if given])
    from adapters.registry import leave_out_third_parties
    from bench.experiment.reader import load_experiment

    if restricted:
        leave_out_third_parties()
    with refusing(), resumable():
        experiment = load_experiment(file, set_ or [], restricted=restricted)
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        if restricted and not quiet and (standing := fence.standing()) is not None:
            say(standing.sentence())
        if dry_run:
            show(_planned(experiment, place, quiet=quiet, remeasure=remeasure))
            return
        agree_to_keys_of(experiment, trust)
        folder, result = _measured(
            experiment, output, place, events, quiet=quiet, again={"remeasure": remeasure, "retrain": retrain}
        )
    print_result(folder, result, as_json=as_json)
    if result.status != "success":
        raise typer.Exit(1)


app.command()(train)
app.command()(results)
app.command()(queries)
app.command("show")(show_command)
app.command()(explain)


# What runs an experiment is loaded once its file is known to be right, because that takes most of a second.


def _planned(experiment: Experiment, cache: Path, *, quiet: bool, remeasure: bool) -> str:
    from bench.progress import Progress
    from bench.run.plan import plan

    with Progress(enabled=not quiet) as progress:
        return plan(experiment, cache, emit=progress, remeasure=remeasure)


def _measured(
    experiment: Experiment, output: Path, cache: Path, events: Path | None, *, quiet: bool, again: Mapping[str, bool]
) -> tuple[Path, Result]:
    """again: what is done anew though it is kept."""
    from bench.progress import Progress
    from bench.run.folder import Places
    from bench.run.following import followed
    from bench.run.runner import run as run_experiment

    with followed(events) as followers, Progress(enabled=not quiet) as progress:
        return run_experiment(experiment, Places(output, cache), listeners=[progress, *followers], **again)


app.command()(init)


app.command()(clean)


@app.command()
def doctor() -> None:
    """Say which adapters are there, which can be used on this machine, and what to install for the others."""
    from bench import doctor as machine

    show(machine.report(cache_folder(None, None, Path())))


@app.command()
def schema(
    result: Annotated[bool, typer.Option("--result", help="The schema of result.json instead.")] = False,
) -> None:
    """Print the JSON schema of experiment files, for editors."""
    from bench.experiment.schema import experiment_schema
    from bench.results.model import result_schema

    show_json(result_schema() if result else experiment_schema())


@app.command()
def track(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", parser=given_path, help="A result folder.")],
    tracker: Annotated[
        str | None, typer.Option(help="Send to this tracker only, or to one the experiment did not name.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long delivery may take.")] = 120.0,
    trust: TrustOption = False,
) -> None:
    """Send a finished result to its trackers, such as what did not arrive when it was run."""
    from adapters.base import AdapterError
    from bench.experiment.trust import places_to_announce
    from bench.results.model import ResultUnreadable, check_unchanged, read_result
    from bench.run.tracking import Tracking, base_of, replay, trackers_for

    try:
        result = read_result(folder)
        check_unchanged(folder)
        trackers = trackers_for(result.experiment, tracker, base_of(result, folder))
        events = list(replay(folder))
        writes = {f"trackers.{name}": each.writes() for name, each in trackers.items()}
    except (ResultUnreadable, AdapterError) as error:
        refuse([str(error)])
    agree_to_keys({f"trackers.{name}": each.contacts() for name, each in trackers.items()}, trust, "the result")
    agree_to_places(places_to_announce(writes, folder), trust)
    tracking = Tracking(trackers)
    for event in events:
        tracking(event)
    deliveries = tracking.deliver(seconds)
    for delivery in deliveries:
        show(f"{delivery}\n")
        for note in delivery.notes:
            show(f"  {note}\n")
    if any(delivery.unsent or not delivery.sent for delivery in deliveries):
        raise typer.Exit(1)


@app.command("new-adapter")
def new_adapter(
    role: Annotated[
        str, typer.Argument(metavar="ROLE", help="dataset, encoder, store, reranker, tracker, trainer or generator.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the adapter, its module and its folder.")],
) -> None:
    """Write a package NAME with a small adapter that passes its laws, for you to change."""
    from bench.new_adapter import Refused, next_commands, write_package

    try:
        folder = write_package(role, name, Path())
    except Refused as error:
        refuse([str(error)])
    say(f"Written: {', '.join(str(path) for path in sorted(folder.iterdir()))}")
    for line in next_commands(role, name):
        show(f"{line}\n")


app.command()(compare)
app.command()(data)
app.command()(mine)
app.command()(generate)
app.command()(retriever)
app.command("verify-retriever")(verify_retriever)
app.command()(chat)
app.command("try")(try_)
app.command("export-training")(export_training)
app.command()(report)
app.command()(ui)


def _run_apart(file: Path, output: Path, cache: Path | None, changes: Sequence[str], flags: Sequence[str]) -> NoReturn:
    """Run the same command behind a fence, in a process of its own."""
    from bench.cache.place import restricted_place
    from bench.run.apart import run_apart

    arguments = ["run", str(file), "--restricted", "--output", str(output), *flags]
    arguments += ["--cache", str(cache)] if cache is not None else []
    arguments += [each for change in changes for each in ("--set", change)]
    try:
        place = cache or restricted_place(Path())
    except ValueError as error:
        refuse([str(error)])
    raise typer.Exit(run_apart(arguments, file=file, output=output, cache=place, cache_is_given=cache is not None))


def main() -> None:
    """Entry point of the command `bench`."""
    quieten_process()
    guard_tracebacks()
    app(prog_name="bench")
