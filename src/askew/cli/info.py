"""``askew info MODEL``."""

from __future__ import annotations

from typing import Annotated

import typer

from askew.cli.app import Json, app, give, say


@app.command()
def info(
    model_file: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model file.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Say what a model file holds."""
    from askew.cli import tables
    from askew.persist import manifest_of

    manifest = manifest_of(model_file)
    model = tables.load_model(model_file)
    if as_json:
        give({**manifest, **tables.summary(model)})
        return
    parent = f", refitted from {model.parent_}" if model.parent_ else ""
    say(f"Model {model.id_}{parent}: Askew {manifest['askew']}, {manifest['created']}")
    for line in tables.told(model, whole=True):
        say(line)
    say(tables.told_threshold(model.threshold_))
    if model.calibration_ is not None:
        c = model.calibration_
        say(f"Probabilities: from {c.n_anomaly:,} anomalies and {c.n_normal:,} normals, held out")
    say(f"Ranker: {model.ranker_}")
    for column in model.schema_.columns:
        out = "" if column.used else ", left out"
        say(f"  {column.name}: {column.kind} ({column.why}{out})")
