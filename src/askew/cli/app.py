"""What the commands share: the application, their common options, how they speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="askew",
    help="Anomaly detection that asks: rank the rows of a table, learn from a few verdicts, "
    "say why a row stands out.",
    epilog="Exit codes: 0 done, 1 a fault of Askew's own, 2 input or usage that cannot be used. "
    "Tables are CSV, TSV, Parquet, Arrow or Feather, by their suffix.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # so that a paragraph is one, whatever its line breaks here
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[str, typer.Argument(metavar="FILE", help="The table.", show_default=False)]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="COLUMN",
        help="The column with the verdicts: anomaly or normal, yes or no, 1 or 0; blank is not "
        "looked at.",
    ),
]
IdColumn = Annotated[
    str | None, typer.Option("--id", metavar="COLUMN", help="The column that names the rows.")
]
ZeroUnlabeled = Annotated[
    bool, typer.Option("--zero-unlabeled", help="Read 0 in the verdict column as not looked at.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="COLUMN=KIND",
        help="Say what a column is: number, category, date, text, identifier or ignore. "
        "May be given several times.",
    ),
]
StorePlace = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH_OR_URL",
        help="Where the verdicts are kept: a file, or postgresql://USER@HOST/DATABASE for a team; "
        "FILE.verdicts.db beside the table unless given.",
    ),
]
NoStore = Annotated[
    bool, typer.Option("--no-store", help="Leave the verdicts of FILE.verdicts.db out.")
]
Reviewer = Annotated[
    str | None,
    typer.Option("--reviewer", metavar="NAME", help="Who judges; your login name unless given."),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides every random draw.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def say(text: str = "") -> None:
    """Print a line for a person."""
    print(text)


def give(result: Any) -> None:
    """Print a result for a program."""
    print(json.dumps(result, ensure_ascii=False, default=str, allow_nan=False))


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Show on a terminal what takes a while; stay silent elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(doing):
        yield


def kinds_of(given: list[str] | None) -> dict[str, str] | None:
    """Read the --kind options."""
    pairs = [text.rpartition("=") for text in given or []]
    for name, _, kind in pairs:
        if not name:
            raise typer.BadParameter(
                f"{kind!r} is not of the form COLUMN=KIND, such as zip=category",
                param_hint="--kind",
            )
    return {name: kind for name, _, kind in pairs} or None
