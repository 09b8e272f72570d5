"""``askew fit FILE -o MODEL``."""

from __future__ import annotations

from typing import Annotated

import typer

from askew.cli.app import (
    File,
    IdColumn,
    Json,
    Kinds,
    LabelColumn,
    NoStore,
    Seed,
    StorePlace,
    ZeroUnlabeled,
    app,
    busy,
    give,
    kinds_of,
    say,
)


@app.command()
def fit(
    file: File,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="MODEL", help="The model file to write.")
    ],
    label: LabelColumn = None,
    id_column: IdColumn = None,
    zero_unlabeled: ZeroUnlabeled = False,
    kind: Kinds = None,
    store: StorePlace = None,
    no_store: NoStore = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn from a table and its verdicts, and write a model file.

    Verdicts that `askew label` wrote down for this file are picked up; they count before those of
    the verdict column.
    """
    from askew.cli import loop
    from askew.cli.tables import fit_model, open_file, summary, told

    kinds = kinds_of(kind)
    with busy("Reading"):
        opened = open_file(file, label=label, id_column=id_column, zero_unlabeled=zero_unlabeled)
        opened, known = loop.with_verdicts(opened, store, without=no_store)
    with busy("Fitting"):
        model = fit_model(opened, kinds=kinds, seed=seed)
        model.save(out)
    if as_json:
        give({"written": out, **summary(model), **loop.kept(known)})
        return
    for line in told(model):
        say(line)
    if known is not None:
        say(str(known))
    say(f"Written: {out} (model {model.id_})")
