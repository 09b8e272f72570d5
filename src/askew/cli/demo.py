"""``askew demo``: the main job on a real table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askew.cli.app import Json, Seed, app, busy, give, say

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MALIGNANT = 30  # of 212: rare, as anomalies are
JUDGED = 5  # of each kind
FIRST = 20  # rows that an expert might look at next


@app.command()
def demo(
    folder: Annotated[
        str, typer.Option("--folder", help="Where the table, the ranking and the report go.")
    ] = "askew-demo",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Rank a real table: breast-cancer measurements with ten verdicts.

    The Wisconsin measurements that scikit-learn carries: all 357 benign rows and 30 malignant
    ones. Five of each have a verdict; the others are blank.
    """
    from askew.cli import tables, views

    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    source, out, report = (home / name for name in ("cells.csv", "ranked.csv", "report.html"))
    malignant = write_cells(source, seed)
    with busy("Fitting"):
        opened = tables.open_file(str(source), label="verdict", id_column="id")
        model = tables.fit_model(opened, kinds=None, seed=seed)
    with busy("Ranking"):
        ranked = views.rank_file(model, opened, explained=None)
        views.write(ranked, str(out), str(report), model, opened, sort=True, top=None)
    found = count_found(ranked, malignant, opened.table, seed)
    if as_json:
        give({"written": [str(source), str(out), str(report)], "found": found})
        return
    n, open_rows, left = opened.whole.num_rows, found["unjudged"], found["malignant_unjudged"]
    say(f"{source}: {n} rows of cell measurements, {JUDGED} judged anomaly, {JUDGED} normal")
    for line in tables.told(model):
        say(line)
    views.show(ranked, "id", n=10)
    say(f"Malignant among the first {FIRST} of the {open_rows} rows not judged ({left} in all):")
    say(f"  Askew with {2 * JUDGED} verdicts  {found['askew']:>4}")
    say(f"  isolation forest         {found['isolation_forest']:>4}")
    say(f"  random looking           {found['random']:>6.1f}   on average")
    say(f"Written: {source}, {out}, {report}")
    say(f"The same by hand: askew rank {source} --label verdict --id id -o ranked.csv --sort")
    say(f"Judge more rows, on a page: askew review {source} --label verdict --id id")


def write_cells(path: Path, seed: int) -> dict[str, bool]:
    """Write the table as CSV; give which ids are malignant, for counting only."""
    import numpy as np
    import pyarrow as pa
    from sklearn.datasets import load_breast_cancer

    from askew.table import write_table

    data = load_breast_cancer()
    generator = np.random.default_rng(seed)
    benign = np.flatnonzero(data.target == 1)
    malignant = generator.choice(np.flatnonzero(data.target == 0), MALIGNANT, replace=False)
    rows = generator.permutation(np.concatenate([benign, malignant]))
    odd = data.target[rows] == 0
    verdict = np.full(len(rows), None, dtype=object)
    for kind, word in ((odd, "anomaly"), (~odd, "normal")):
        verdict[generator.choice(np.flatnonzero(kind), JUDGED, replace=False)] = word
    ids = [f"cell-{i:03d}" for i in range(1, len(rows) + 1)]
    columns: dict[str, pa.Array] = {"id": pa.array(ids)}
    for name, values in zip(data.feature_names, data.data[rows].T, strict=True):
        columns[str(name)] = pa.array(values)
    columns["verdict"] = pa.array(verdict, pa.string())
    write_table(pa.table(columns), path)
    return dict(zip(ids, odd.tolist(), strict=True))


def count_found(
    ranked: pa.Table, malignant: dict[str, bool], table: pa.Table, seed: int
) -> dict[str, float]:
    """Count the malignant rows among the first ``FIRST`` that have no verdict."""
    import numpy as np
    from sklearn.ensemble import IsolationForest

    ids = ranked.column("id").to_pylist()
    truth = np.array([malignant[i] for i in ids])
    unjudged = np.array([v is None for v in ranked.column("askew_verdict").to_pylist()])
    x = np.column_stack([table.column(n).to_numpy() for n in table.column_names if n != "id"])
    forest = -IsolationForest(random_state=seed).fit(x).score_samples(x)

    def found(scores: np.ndarray) -> int:
        order = np.argsort(-np.where(unjudged, scores, -np.inf), kind="stable")
        return int(truth[order[:FIRST]].sum())

    return {
        "first": FIRST,
        "unjudged": int(unjudged.sum()),
        "malignant_unjudged": int(truth[unjudged].sum()),
        "askew": found(ranked.column("askew_score").to_numpy()),
        "isolation_forest": found(forest),
        "random": FIRST * float(truth[unjudged].mean()),
    }
