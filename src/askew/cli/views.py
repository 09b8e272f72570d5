"""Ranked tables, shown and written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from askew.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from askew.cli.tables import Opened
    from askew.model import Askew


def rank_file(model: Askew, opened: Opened, *, explained: int | None) -> pa.Table:
    """Rank an opened file: its columns in its order, then Askew's."""
    from askew.ranking import COLUMNS

    check_free(opened.whole, COLUMNS)
    ranked: pa.Table = model.rank(
        opened.table, verdicts=opened.labels, explained=explained, sort=False
    )
    whole = opened.whole
    for name in COLUMNS:
        whole = whole.append_column(name, ranked.column(name))
    return whole


def check_free(table: pa.Table, names: Iterable[str]) -> None:
    """Refuse a file that has a column which would be written behind its own."""
    taken = [name for name in names if name in table.column_names]
    if taken:
        raise DataError(
            f"the file already has the column {taken[0]!r}, which Askew would write; rename it, "
            "or give the file that it was made from"
        )


def by_rank(ranked: pa.Table) -> pa.Table:
    """Sort by rank, the most anomalous first."""
    return ranked.sort_by("askew_rank")


def check_targets(out: str | None, report: str | None) -> None:
    """Refuse what cannot be written before any work is done."""
    from askew.atomic import check_place
    from askew.table import check_target

    if out is not None:
        check_target(out)
    if report is not None:
        check_place(Path(report))


def write(
    ranked: pa.Table,
    out: str | None,
    report: str | None,
    model: Askew,
    opened: Opened,
    *,
    sort: bool,
    top: int | None,
) -> None:
    """Write the table and the report, where they are asked for."""
    import pyarrow.compute as pc

    from askew.report import write_report
    from askew.table import is_csv, write_table

    if out is not None:
        chosen = untouched(ranked, opened) if is_csv(out) else ranked
        chosen = by_rank(chosen) if sort else chosen
        if top is not None:
            chosen = chosen.filter(pc.less_equal(chosen.column("askew_rank"), top))
        write_table(chosen, out, like=opened.path)
    if report is not None:
        write_report(model, opened.table, ranked, report)


def untouched(ranked: pa.Table, opened: Opened) -> pa.Table:
    """Give a ranked table as the text of its file's cells, where the file is CSV."""
    from askew.table import read_text

    text = read_text(opened.path)
    return ranked if text is None else with_text(ranked, text)


def with_text(table: pa.Table, text: pa.Table) -> pa.Table:
    """Put a CSV file's own text in the place of the values that were read from it."""
    if text.num_rows != table.num_rows:
        return table
    for i, name in enumerate(text.column_names):
        table = table.set_column(i, name, text.column(i))
    return table


def first_rows(ranked: pa.Table, n: int) -> list[dict[str, Any]]:
    """Give the first rows by rank, as plain values."""
    rows: list[dict[str, Any]] = by_rank(ranked).slice(0, n).to_pylist()
    return rows


def show(ranked: pa.Table, id_column: str | None, *, n: int) -> None:
    """Print the first rows by rank with their reasons."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from askew.ranking import COLUMNS

    first = id_column or next(name for name in ranked.column_names if name not in COLUMNS)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("rank", justify="right")
    shown.add_column(first, overflow="fold")
    shown.add_column("score", justify="right")
    shown.add_column("verdict")
    shown.add_column("why", overflow="fold", ratio=1)
    for row in first_rows(ranked, n):
        why = [row[f"askew_reason_{i}"] for i in (1, 2, 3)]
        shown.add_row(
            str(row["askew_rank"]),
            Text(str(row[first])),
            f"{row['askew_score']:.2f}",
            row["askew_verdict"] or "",
            Text("\n".join(text for text in why if text)),
        )
    console = Console()
    # Not a terminal: as wide as the reasons need, so that nothing is folded or cut.
    console = console if console.is_terminal else Console(width=160)
    console.print(shown)


def find_row(whole: pa.Table, id_column: str | None, row_id: str) -> int:
    """Find a row by its id as text, or by its number from 1 up; give its place from 0 up."""
    if id_column is None:
        if not row_id.isdecimal() or not 1 <= int(row_id) <= whole.num_rows:
            raise DataError(
                f"there is no row {row_id!r}; the model has no id column, so give a number from 1 "
                f"to {whole.num_rows:,}"
            )
        return int(row_id) - 1
    ids = [str(value) for value in whole.column(id_column).to_pylist()]
    if row_id not in ids:
        raise DataError(f"no row has the id {row_id!r} (column {id_column!r})")
    return ids.index(row_id)
