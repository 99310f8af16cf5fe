"""The commands that mine hard negatives: `bench mine` and `bench export-training`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from bench.commands.asking import agree_to_keys_of, refuse, refusing, resumable, telling_failures
from bench.commands.command_line import (
    CacheOption,
    DryRunOption,
    JsonOption,
    Overrides,
    QuietOption,
    TrustOption,
    cache_folder,
    config_path,
    given_path,
)
from bench.messages.terminal import say, show, show_json
from bench.messages.wording import beginning, counted

if TYPE_CHECKING:
    from bench.experiment.parts import Experiment
    from bench.run.export import Exported
    from bench.run.mining import MinedAlone, Wish

LOOKED_AT = 5  # pairs whose negatives are shown where nothing else is asked for
LONGEST_SHOWN = 160  # characters of a text

STRATEGIES = "random, bm25, top, hybrid, cluster, system or adversarial"
SYNONYMS = {"cosine": "top"}
"""What `export-training` calls strategies beside their names."""


def mine(
    config: Annotated[Path, typer.Argument(parser=given_path, help="Experiment file, or a folder with one.")],
    name: Annotated[str | None, typer.Argument(help="Model whose negatives to mine [default: the only one].")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.parquet", parser=given_path, help="Where to write n-tuples."),
    ] = None,
    strategy: Annotated[str | None, typer.Option(help=f"Without a model: {STRATEGIES}.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Encoder of the file that mines [default: its first]; with --strategy.")
    ] = None,
    per_query: Annotated[int | None, typer.Option(help="Negatives for each pair; with --strategy.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Another option of negatives, e.g. range_max=50; with --strategy."),
    ] = None,
    look: Annotated[int, typer.Option(help="Pairs whose negatives are shown.", min=0)] = LOOKED_AT,
    set_: Overrides = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    trust: TrustOption = False,
) -> None:
    """Find hard negatives for the pairs of the train split, and show some of them."""
    from bench.cache.artifacts import check_writable, write_atomically
    from bench.experiment.reader import load_experiment
    from bench.run.mining import wish_of_model, wish_of_options

    given = _given(strategy, model, per_query, option or [], name)
    if output is not None:
        check_writable(output)
    with refusing(), resumable(), telling_failures("negatives"):
        experiment = load_experiment(config_path(config), set_ or [])
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        wish = wish_of_options(experiment, given) if given else wish_of_model(experiment, name)
        if dry_run:
            show(_planned(experiment, wish, place, quiet=quiet))
            return
        agree_to_keys_of(experiment, trust, wish.parts, wish.systems)
        found = _mined(experiment, wish, place, quiet=quiet)
    if output is not None:
        from bench.train.mining.kept import parquet_bytes

        write_atomically(output, parquet_bytes(found.mined.table))
    _print(found, look, as_json=as_json)


def _given(
    strategy: str | None, model: str | None, per_query: int | None, others: Sequence[str], name: str | None
) -> dict[str, Any]:
    """The options of negatives as the command line has them; empty where a model's are taken."""
    known = {"strategy": strategy, "model": model, "per_query": per_query}
    given = {key: value for key, value in known.items() if value is not None} | _further(others)
    if given and strategy is None:
        refuse(["--model, --per-query and --option go with --strategy. A model's own: --set models.NAME.negatives.…"])
    if given and name is not None:
        refuse(
            [f"--strategy goes without the model {name}. Its own: --set models.{name}.negatives.strategy={strategy}"]
        )
    return given


def _further(options: Sequence[str]) -> dict[str, Any]:
    """What --option says."""
    from bench.experiment.yaml_text import parse_yaml

    given: dict[str, Any] = {}
    for each in options:
        key, equals, value = each.partition("=")
        if not equals:
            refuse([f"--option {each}: write KEY=VALUE, such as range_max=50."])
        try:
            given[key.strip()] = parse_yaml(value)
        except ValueError as error:
            refuse([f"--option {each}: {error}"])
    return given


def _planned(experiment: Experiment, wish: Wish, cache: Path, *, quiet: bool) -> str:
    from bench.progress import Progress
    from bench.run.plan import plan_mining

    with Progress(enabled=not quiet) as progress:
        return plan_mining(experiment, wish, cache, emit=progress)


def _mined(experiment: Experiment, wish: Wish, cache: Path, *, quiet: bool) -> MinedAlone:
    from bench.progress import Progress
    from bench.run.mining import mine_alone

    with Progress(enabled=not quiet) as progress:
        return mine_alone(experiment, wish, cache=cache, emit=progress)


def _print(found: MinedAlone, look: int, *, as_json: bool) -> None:
    table, report = found.mined.table, found.mined.report
    rows = table.slice(0, look).to_pylist()
    if as_json:
        show_json(
            {
                **report.model_dump(mode="json"),
                "key": found.mined.key,
                "relevant_to_test": found.relevant_to_test,
                "notes": list(found.notes),
                "negatives": rows,
            }
        )
        return
    for note in found.notes:
        say(note)
    for line in report.lines():
        show(f"{line}\n")
    if found.relevant_to_test:
        verb = "is" if found.relevant_to_test == 1 else "are"
        show(
            f"{counted(found.relevant_to_test, 'negative')} {verb} relevant to a query that is evaluated, and stay: "
            "judgements of the test choose nothing.\n"
        )
    for rule, examples in report.examples.items():
        show(f"\nLeft out by {rule}, for example:\n")
        for example in examples:
            show(f"  {_short(example.query)}\n    not {_short(example.text)}{_score(example.score)}\n")
    if rows:
        show("\nNegatives to look at:\n")
    for row in rows:
        show(f"  {_short(row['query'])}\n    + {_short(row['positive'])}\n")
        for text, score in zip(row["negatives"], row["negative_scores"], strict=True):
            show(f"    - {_short(text)}{_score(score)}\n")


def _short(text: str) -> str:
    return beginning(text, LONGEST_SHOWN, " …")


def _score(score: float | None) -> str:
    return "" if score is None else f"  ({score:.3f})"


def export_training(
    config: Annotated[Path, typer.Argument(parser=given_path, help="Experiment file; its dataset is exported.")],
    output: Annotated[Path, typer.Option(metavar="FILE", parser=given_path, help="Where to write.")] = Path(
        "training.jsonl"
    ),
    split: Annotated[str, typer.Option(help="The split whose judgements are used.")] = "train",
    negatives: Annotated[str, typer.Option(help=f"Hard negatives: {STRATEGIES}; cosine is top.")] = "bm25",
    per_query: Annotated[int, typer.Option(help="Hard negatives for each query.", min=0)] = 5,
    encoder: Annotated[str | None, typer.Option(help="Encoder that mines [default: the file's first].")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Another option of negatives, e.g. system=bm25 or by=GENERATOR."),
    ] = None,
    set_: Overrides = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    trust: TrustOption = False,
) -> None:
    """Write a reranker's training file (query, relevant passages, hard negatives) from a dataset."""
    from bench.cache.artifacts import check_writable
    from bench.experiment.negatives import Strategy
    from bench.experiment.reader import load_experiment
    from bench.run.mining import wish_of_options

    strategy = SYNONYMS.get(negatives, negatives)
    if strategy not in get_args(Strategy):
        known = "random, bm25 and cosine (another name of top), top, hybrid, cluster, system and adversarial"
        refuse([f"--negatives {negatives}: known are {known}."])
    given = {"strategy": strategy, "per_query": per_query, "model": encoder}
    options = {key: value for key, value in given.items() if value is not None} | _further(option or [])
    check_writable(output)  # before anything is paid for
    with refusing(), telling_failures(negatives):
        experiment = load_experiment(config_path(config), [f"dataset.split={split}", *(set_ or [])])
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        wish = wish_of_options(experiment, options) if per_query else None
        if dry_run:
            show(_planned_export(experiment, wish, place))
            return
        agree_to_keys_of(experiment, trust, wish.parts if wish else (), wish.systems if wish else ())
        done = _exported(experiment, output, place, wish)
    show(f"{output}: {counted(done.rows, 'query')}, {counted(done.negatives, 'hard negative')} ({negatives})")
    show(f", {counted(done.skipped, 'query')} without a relevant passage left out\n" if done.skipped else "\n")
    for note in done.notes:
        say(note)


def _planned_export(experiment: Experiment, wish: Wish | None, cache: Path) -> str:
    from bench.progress import Progress
    from bench.run.plan import plan_export

    if wish is None:
        return "without negatives nothing is embedded, scored or written by others\n"
    with Progress() as progress:
        return plan_export(experiment, wish, cache, emit=progress)


def _exported(experiment: Experiment, output: Path, cache: Path, wish: Wish | None) -> Exported:
    from bench.progress import Progress
    from bench.run.export import export_training as export

    with Progress() as progress:
        return export(experiment, output, cache=cache, wish=wish, emit=progress)
