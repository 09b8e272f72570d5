"""What the commands of the loop share: where a file's verdicts are, a seat at its table."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from askew.cli.app import say
from askew.errors import LabelError, StoreError

if TYPE_CHECKING:
    from askew.cli.tables import Opened
    from askew.labels import Labels
    from askew.model import Askew
    from askew.review.session import Session
    from askew.review.verdicts import Standing

HELD = 8 * 3600  # seconds: a list is printed in the morning and judged through the day
PREFIX = 6  # letters of a content hash that do for the whole


def place_of(file: str, store: str | None) -> str:
    """Tell where the verdicts of a file are kept."""
    return f"{file}.verdicts.db" if store is None else store


def name_of(place: str) -> str:
    """Name a store for a person: a path as it was given, a server without user and password."""
    if "://" not in place:
        return place
    from sqlalchemy import make_url

    url = make_url(place)
    return f"{url.host}/{url.database}" if url.host else str(url.database)


def is_there(place: str) -> bool:
    """Whether a store's file stands there; of a server nothing is known before it is asked."""
    path = place.removeprefix("sqlite:///")
    return "://" in path or Path(path).exists()


def check_there(place: str) -> None:
    """Raise ``StoreError`` where a command needs verdicts and no store stands."""
    if not is_there(place):
        raise StoreError(
            f"there is no store of verdicts at {place}; `askew next` and `askew label` make one, "
            "or say where it is with --store"
        )


def reviewer_of(name: str | None) -> str:
    """Take the reviewer's name as given, else the login name; empty where there is none."""
    if name is not None:
        return name
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # no such user, as in a container
        return ""


@dataclass(frozen=True)
class Known:
    """How many verdicts a store holds, row by row.

    Parameters
    ----------
    store
        Its name.
    anomaly, normal, unsure
        Rows of the table by what holds of them.
    disputed
        Those on which reviewers disagree.
    gone
        Judged rows that the table does not have.
    """

    store: str
    anomaly: int
    normal: int
    unsure: int
    disputed: int
    gone: int

    @classmethod
    def on(cls, standing: Mapping[str, Standing], keys: Iterable[str] | None, place: str) -> Known:
        """Count what holds of the rows with these keys, of all rows where None."""
        there = standing.keys() if keys is None else standing.keys() & set(keys)
        held = [standing[key] for key in there]
        said = Counter(str(one.verdict) for one in held)
        return cls(
            store=name_of(place),
            anomaly=said["anomaly"],
            normal=said["normal"],
            unsure=said["unsure"],
            disputed=sum(one.disputed for one in held),
            gone=len(standing) - len(held),
        )

    def __str__(self) -> str:
        text = (
            f"Verdicts: {self.anomaly:,} anomaly, {self.normal:,} normal, {self.unsure:,} unsure "
            f"from {self.store}"
        )
        if self.disputed:
            text += f"; on {self.disputed:,} reviewers disagree and the latest counts"
        if self.gone:
            text += f"; {self.gone:,} more on rows that the file does not have"
        return text


@contextmanager
def seat(
    opened: Opened,
    place: str,
    *,
    reviewer: str,
    kinds: dict[str, str] | None = None,
    seed: int = 0,
    strategy: str = "mixed",
    model: Askew | None = None,
) -> Iterator[Session]:
    """Open a session on an opened file, or from a model; its store is made where there is none.

    Raises
    ------
    SchemaError
        The file's columns are not those that the model was fitted on.
    LabelError
        The store holds verdicts, and none is on a row of this table.
    StoreError
        The store cannot be used.
    """
    from askew.review.session import Session
    from askew.review.store import open_store

    with (
        open_store(place) as store,
        Session(
            opened.table,
            store,
            id_column=opened.id_column if model is None else None,
            kinds=kinds,
            model=model,
            verdicts=opened.labels,
            strategy=strategy,
            reviewer=reviewer,
            lease=HELD,
            random_state=seed,
        ) as session,
    ):
        check_known(list(store.standings()), session.keys, opened, place)
        yield session


def with_verdicts(
    opened: Opened, store: str | None, *, without: bool = False
) -> tuple[Opened, Known | None]:
    """Add the verdicts of a file's store, where it has one, to those of its verdict column.

    On a row that both speak of the store's verdict counts.

    Raises
    ------
    LabelError
        The store holds verdicts, and none is on a row of this table.
    StoreError
        The store that was named is not there, or cannot be used.
    """
    if without and store is not None:
        raise typer.BadParameter("--store and --no-store are given; give one of the two")
    place = place_of(opened.path, store)
    if store is not None:
        check_there(place)
    if without or not is_there(place):
        return opened, None
    from askew.labels import read_labels
    from askew.review.store import open_store

    with open_store(place) as kept:
        standing = kept.standings()
    keys = keys_of(opened)
    check_known(list(standing), keys, opened, place)
    row = {key: number for number, key in enumerate(keys)}
    said = {row[key]: held for key, held in standing.items() if key in row}
    if said:
        labels = read_labels(opened.labels, n_rows=len(keys))
        opened = replace(opened, labels=_merged(labels, said))
    return opened, Known.on(standing, row, place)


def _merged(labels: Labels, said: Mapping[int, Standing]) -> Labels:
    values, unsure = labels.values.copy(), labels.unsure.copy()
    for row, held in said.items():
        values[row], unsure[row] = held.verdict.label, held.verdict == "unsure"
    return replace(labels, values=values, unsure=unsure)


def keys_of(opened: Opened) -> list[str]:
    """Name each row of an opened file as its store does."""
    from askew.table import open_frame

    return open_frame(opened.table, opened.id_column).names()


def find_keys(given: Sequence[str], keys: Sequence[str], opened: Opened) -> list[str]:
    """Find rows by their keys, or by the first letters of a key that is a hash.

    Raises
    ------
    LabelError
        No row has such a key, or several begin so.
    """
    there = set(keys)
    return [key if key in there else _by_prefix(key, keys, opened) for key in given]


def _by_prefix(start: str, keys: Sequence[str], opened: Opened) -> str:
    found: list[str] = []
    if opened.id_column is None and len(start) >= PREFIX:
        found = [key for key in keys if key.startswith(start)]
    if len(found) == 1:
        return found[0]
    if found:
        raise LabelError(
            f"{len(found):,} rows of {opened.path} have keys that begin with {start!r}: "
            f"{_some(found)}; give more letters"
        )
    raise LabelError(
        f"no row of {opened.path} has the key {start!r}; its keys are such as {_some(keys)}. "
        f"{_remedy([start], opened)}"
    )


def check_known(known: Sequence[str], keys: Sequence[str], opened: Opened, place: str) -> None:
    """Refuse a store that speaks of other rows alone; rows named otherwise look like that."""
    if not known or not set(keys).isdisjoint(known):
        return
    raise LabelError(
        f"none of the verdicts in {name_of(place)} is on a row of {opened.path}: the "
        f"{len(known):,} keys there are such as {_some(known)}, and the file's rows have keys such "
        f"as {_some(keys)}. {_remedy(known, opened)}"
    )


def _remedy(known: Sequence[str], opened: Opened) -> str:
    """Say how rows come to be named as somebody named them."""
    wanted = set(known)
    for name in opened.table.column_names:
        if name != opened.id_column and not wanted.isdisjoint(
            map(str, opened.table.column(name).to_pylist())
        ):
            return f"Such keys stand in the column {name!r}: give --id {name}"
    return (
        "Give the same --id and --label as when the rows were asked (without --id a row's key "
        "follows from its cells); if these are other rows, name another file or store"
    )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")


def kept(known: Known | None) -> dict[str, Any]:
    """Give for a program what was picked up, under a name of its own."""
    return {} if known is None else {"verdicts": asdict(known)}


def tell_state(session: Session, place: str, *, quiet: bool = False) -> dict[str, Any]:
    """Say how many verdicts there are and whether to go on; give the same for a program."""
    known, hint = Known.on(session.store.standings(), session.keys, place), session.hint()
    if not quiet:
        say(str(known))
        if hint.n_recent:
            said = hint.describe()
            say(said[0].upper() + said[1:])
    return {"verdicts": asdict(known), "hint": asdict(hint) | {"text": hint.describe()}}
