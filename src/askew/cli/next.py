"""``askew next FILE``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askew.cli.app import (
    File,
    IdColumn,
    Json,
    Kinds,
    LabelColumn,
    Reviewer,
    Seed,
    StorePlace,
    ZeroUnlabeled,
    app,
    busy,
    give,
    kinds_of,
    say,
)

if TYPE_CHECKING:
    from askew.cli.tables import Opened
    from askew.review.session import Card, Ranking

SHOWN = 4  # columns of a row, from the first


@app.command("next")
def next_(
    file: File,
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows to ask at the most.")] = 10,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="How rows are chosen: suspicious, uncertain, diverse, informative, mixed or "
            "random.",
        ),
    ] = "mixed",
    reviewer: Reviewer = None,
    label: LabelColumn = None,
    id_column: IdColumn = None,
    zero_unlabeled: ZeroUnlabeled = False,
    kind: Kinds = None,
    store: StorePlace = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Name the rows whose verdict helps most, and why each is asked.

    Learns from every verdict so far, then asks. Until you judge them the rows are kept for you,
    for eight hours, and shown to no other reviewer; the same command shows them again.
    `askew label` takes the answer. Mixed asks what looks most suspicious, and every fifth row at
    random, on which the estimates of what remains rest.
    """
    from askew.cli import loop, tables

    kinds = kinds_of(kind)
    with busy("Reading"):
        from askew.strategies import check_strategy

        check_strategy(strategy)
        opened = tables.open_file(
            file, label=label, id_column=id_column, zero_unlabeled=zero_unlabeled
        )
    place, who = loop.place_of(file, store), loop.reviewer_of(reviewer)
    with loop.seat(
        opened, place, reviewer=who, kinds=kinds, seed=seed, strategy=strategy
    ) as session:
        with busy("Learning and choosing"):
            cards = session.ask(n)
            rows = _rows(cards, session.ranking, opened)
        state = loop.tell_state(session, place, quiet=as_json)
        model = session.ranking.model.id_
    if as_json:
        give({"reviewer": who, "model": model, "asked": rows, **state})
        return
    if not cards:
        say("Nothing to ask: every row is judged, left unsure or before another reviewer.")
        return
    _show(rows)
    options = {"--id": id_column, "--label": label, "--store": store, "--reviewer": reviewer}
    given = [word for name, value in options.items() if value is not None for word in (name, value)]
    given += ["--zero-unlabeled"] * zero_unlabeled
    key = rows[0]["key"]
    say(f"Answer: {shlex.join(['askew', 'label', file, key, 'anomaly', *given])}")
    say("or normal, or unsure; several keys may stand before the verdict.")


def _rows(cards: Sequence[Card], ranking: Ranking, opened: Opened) -> list[dict[str, Any]]:
    """Give what is asked with its rank, its reasons and its cells, as plain values."""
    if not cards:
        return []
    chosen = opened.table.take([card.row for card in cards])
    reasons = ranking.model.explain(chosen)
    scores = [float(ranking.scores[card.row]) for card in cards]
    return [
        {
            "key": card.key,
            "why": card.why,
            "rank": 1 + int((ranking.scores > score).sum()),
            "score": score,
            "reasons": [
                {"column": one.column, "gain": one.gain, "text": one.text} for one in reason
            ],
            "row": {name: None if value != value else value for name, value in row.items()},
        }
        for card, score, reason, row in zip(cards, scores, reasons, chosen.to_pylist(), strict=True)
    ]


def _show(rows: Sequence[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("key", overflow="fold")
    shown.add_column("asked as", overflow="fold")
    shown.add_column("rank", justify="right")
    shown.add_column("score", justify="right")
    shown.add_column("why it stands out", overflow="fold", ratio=3)
    shown.add_column("row", overflow="fold", ratio=2)
    for one in rows:
        cells = [
            f"{name}: {'' if value is None else value}"
            for name, value in one["row"].items()
            if str(value) != one["key"]
        ]
        shown.add_row(
            Text(one["key"]),
            one["why"],
            f"{one['rank']:,}",
            f"{one['score']:.2f}",
            Text("\n".join(reason["text"] for reason in one["reasons"])),
            Text("\n".join(cells[:SHOWN])),
        )
    console = Console()
    console = console if console.is_terminal else Console(width=200)
    console.print(shown)
