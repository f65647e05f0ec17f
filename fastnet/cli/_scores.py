"""What predictions are worth: error and log-loss of classes, or error of values."""

from __future__ import annotations

import numpy as np
from sklearn import metrics


def of_classes(y: np.ndarray, classes: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Error rate and log-loss, and the area under the ROC curve of two classes; NaN where a class is unknown to the model.

    Parameters
    ----------
    y : ndarray of shape (m,)
    classes : ndarray of shape (k,)
    p : ndarray of shape (m, k)
    """
    found = {"error": float(np.mean(classes[p.argmax(axis=1)] != y)), "log-loss": np.nan}
    if np.isin(y, classes).all():
        true = p[np.arange(len(y)), np.searchsorted(classes, y)]
        found["log-loss"] = float(-np.log(np.maximum(true, np.finfo(np.float64).eps)).mean())
        if len(classes) == 2:
            found["AUC"] = float(metrics.roc_auc_score(y == classes[1], p[:, 1])) if len(np.unique(y)) == 2 else np.nan
    return found


def of_values(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Root of the mean squared error, mean absolute error, and R2."""
    return {
        "RMSE": float(np.sqrt(np.mean((predicted - y) ** 2))),
        "MAE": float(np.mean(np.abs(predicted - y))),
        "R2": float(metrics.r2_score(y, predicted)) if len(y) > 1 else np.nan,
    }


def of_quantiles(y: np.ndarray, levels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Mean pinball loss, and of each level the share of the values that are not above its quantile.

    Parameters
    ----------
    y : ndarray of shape (m,)
    levels : ndarray of shape (k,)
    predicted : ndarray of shape (m, k)
    """
    of_levels = list(zip(levels.tolist(), predicted.T, strict=True))
    losses = [metrics.mean_pinball_loss(y, values, alpha=level) for level, values in of_levels]
    shares = {
        f"share up to quantile {name}": float(np.mean(y <= values))
        for name, values in zip(names_of_levels(levels), predicted.T, strict=True)
    }
    return {"pinball loss": float(np.mean(losses)), **shares}


def names_of_levels(levels: np.ndarray) -> list[str]:
    """Levels of quantiles in six digits, or as many as tell them from each other."""
    names = [f"{level:g}" for level in levels]
    return names if len(set(names)) == len(names) else [repr(level) for level in levels.tolist()]


def table(rows: dict[str, dict[str, float]], corner: str) -> str:
    """Rows of named numbers as text in columns; what a row does not have is a dash.

    Parameters
    ----------
    rows : dict
        Name of a row -> its numbers by the names of their columns.
    corner : str
        Heading of the names.
    """
    headings = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [[corner, *headings], *([name, *(shown(row.get(h)) for h in headings)] for name, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def shown(value: float | None) -> str:
    """A number in four digits, a dash where there is none."""
    return "-" if value is None or np.isnan(value) else f"{value:.4g}"
