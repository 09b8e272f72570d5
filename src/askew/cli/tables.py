"""What several commands do with a file: open it, take its verdicts out, fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from askew.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from askew.labels import Labels
    from askew.model import Askew
    from askew.threshold import Threshold


LONG = 5000  # rows beyond which a ranker's samples are told; below, its bags are just its method


@dataclass(frozen=True)
class Opened:
    """A file's table without its verdict column, and the verdicts."""

    path: str
    whole: pa.Table
    table: pa.Table
    labels: Labels | None
    id_column: str | None


def open_file(
    path: str,
    *,
    label: str | None = None,
    id_column: str | None = None,
    zero_unlabeled: bool = False,
    model: Askew | None = None,
) -> Opened:
    """Read a file and its verdicts; what is not named is taken from the model, where there is one.

    Raises
    ------
    DataError
        The file cannot be read, or has no such column.
    """
    from askew.labels import read_labels
    from askew.table import read_table, row_keys
    from askew.table.checks import listed

    whole = read_table(path)
    if model is not None:
        id_column = _id_as_fitted(model, id_column)
        if label is None and model.labels_.column in whole.column_names:
            label = model.labels_.column
        zero_unlabeled = zero_unlabeled or model.labels_.zero_is_unlabeled
    for option, name in (("--label", label), ("--id", id_column)):
        if name is not None and name not in whole.column_names:
            raise DataError(
                f"{path}: {option} names the column {name!r}, which the file lacks; its columns "
                f"are {listed(whole.column_names, 10)}"
            )
    if label is not None and label == id_column:
        raise DataError(f"--label and --id both name {label!r}; they are two columns")
    if label is None:
        return Opened(path, whole, whole, None, id_column)
    labels = read_labels(
        whole.column(label),
        n_rows=whole.num_rows,
        keys=row_keys(whole, id_column),
        column=label,
        zero_is_unlabeled=zero_unlabeled,
    )
    return Opened(path, whole, whole.drop_columns([label]), labels, id_column)


def _id_as_fitted(model: Askew, id_column: str | None) -> str | None:
    if id_column is not None and id_column != model.id_column:
        had = "no id column" if model.id_column is None else repr(model.id_column)
        raise DataError(
            f"--id names {id_column!r}, and the model was fitted with {had}; leave --id out"
        )
    return model.id_column


def fit_model(opened: Opened, *, kinds: dict[str, str] | None, seed: int) -> Askew:
    """Fit a model on an opened file."""
    from askew.model import Askew

    model = Askew(id_column=opened.id_column, kinds=kinds, random_state=seed)
    return model.fit(opened.table, opened.labels)


def load_model(path: str) -> Askew:
    """Load a model file that holds an ``Askew``."""
    from askew.errors import ModelFileError
    from askew.model import Askew
    from askew.persist import load

    model: object = load(path)
    if not isinstance(model, Askew):
        raise ModelFileError(
            f"{path}: holds a {type(model).__name__}, which takes a matrix; use askew.load in "
            "Python, or fit a model with `askew fit`"
        )
    return model


def told(model: Askew, *, whole: bool = False) -> list[str]:
    """Say how a model read its table and its verdicts; ``whole`` names a ranker's samples too."""
    lines = [f"Rows: {model.schema_.n_rows:,}; {model.schema_.describe()[0]}"]
    lines += [line[0].upper() + line[1:] for line in model.schema_.describe()[1:]]
    lines.append(str(model.labels_))
    notes = [model.labels_.remark()]
    sampled = getattr(model.ranker_, "subsampled_", None)
    if sampled and model.schema_.n_rows > LONG:
        named = f"({sampled})" if whole else "(`askew info` on a saved model names them)"
        notes.append(f"Learnt from samples of the rows {named}")
    return [*lines, *(note for note in notes if note)]


def summary(model: Askew) -> dict[str, Any]:
    """Give the same for a program."""
    return {
        "model": model.id_,
        "parent": model.parent_,
        "rows": model.schema_.n_rows,
        "labels": model.labels_.to_json(),
        "threshold": threshold_values(model.threshold_),
        "columns": [
            {"name": c.name, "kind": str(c.kind), "used": c.used, "why": c.why}
            for c in model.schema_.columns
        ],
    }


def told_threshold(threshold: Threshold) -> str:
    """Say where a model cuts and what that rests on."""
    asked = "" if threshold.asked is None else f" {threshold.asked:g}"
    return f"Threshold ({threshold.kind}{asked}): {threshold.describe()}"


def threshold_values(threshold: Threshold) -> dict[str, Any]:
    """Give the same for a program."""
    return {
        "kind": threshold.kind,
        "asked": threshold.asked,
        "rows": threshold.n_rows,
        "alerts": threshold.n_alerts,
        "tied": threshold.n_tied,
        "precision": threshold.precision and asdict(threshold.precision),
        "known_normals": len(threshold.calibration),
        "said": threshold.describe(),
    }


def told_again(model: Askew, scores: Any) -> tuple[str, dict[str, Any]]:
    """Say of another table's rows, by their scores (n,), where the model cuts: in words, as values.

    A false discovery rate holds of the table's own rows, above a cut of its own.
    """
    from askew.errors import ThresholdError

    try:
        told = model.threshold_on(scores)
    except ThresholdError as error:
        kept = model.threshold_
        return f"Threshold ({kept.kind} {kept.asked:g}): {error}", {"refused": str(error)}
    moved = f", those with askew_score above {told.cut:.4g}" if told.cut else ""
    return told_threshold(told) + moved, threshold_values(told) | {"above": told.cut}
