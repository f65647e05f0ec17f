"""Learning curves of one run or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..network import Network
from ._style import grid_axes, muted_color, series_color, text_color

__all__ = ["HistoryDisplay"]

_PANELS = {"loss": "loss", "val_score": "validation score", "learning_rate": "learning rate", "grad_norm": "gradient norm"}
_DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))


class HistoryDisplay:
    """Draw loss, learning rate and gradient norm per epoch, with the best epoch marked.

    Parameters
    ----------
    histories : mapping of str to History or mapping
        Runs by name. A run holds lists, one value an epoch, under ``loss`` and, where they were recorded, ``val_loss``,
        ``val_score``, ``learning_rate`` and ``grad_norm``, as attributes or as keys. The best epoch is that of the least
        validation loss; without one, of the best validation score; without either, of the least training loss.

    Attributes
    ----------
    ax_ : Axes
        The loss panel, or the axes given to `plot`.
    axes_ : ndarray of Axes
        One a quantity that was recorded.
    figure_ : Figure

    Examples
    --------
    >>> display = HistoryDisplay.from_history({"loss": [0.7, 0.4, 0.3], "val_loss": [0.7, 0.5, 0.6]})
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['training', 'validation', 'best epoch 2']
    """

    def __init__(self, histories: Mapping[str, Any]) -> None:
        self.histories = histories

    @classmethod
    def from_history(cls, history: Any, *, log_scale: bool | None = None, ax: Any = None) -> HistoryDisplay:
        """Draw the `History` that ``Network.fit`` returned, or several by name.

        Parameters
        ----------
        history : History, or mapping of str to History
        log_scale : bool, default=None
            Logarithmic loss axis; None decides by whether the losses span more than a factor of 30.
        ax : Axes, default=None

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If a history is empty, or there is none.
        """
        runs = history if isinstance(history, Mapping) and "loss" not in history else {"": history}
        return cls(runs).plot(ax, log_scale=log_scale)

    @classmethod
    def from_estimator(cls, estimator: Any, *, log_scale: bool | None = None, ax: Any = None) -> HistoryDisplay:
        """Draw the curves of a fitted estimator, or of several by name.

        They come from ``loss_curve_`` and, where present, ``validation_loss_curve_`` and ``validation_scores_``.

        Parameters
        ----------
        estimator : fitted estimator, or mapping of str to fitted estimator
        log_scale : bool, default=None
        ax : Axes, default=None

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If an estimator has no ``loss_curve_``: unfitted, or fitted with lbfgs.
        TypeError
            If it is a `Network`, whose curves are in the `History` that ``fit`` returns, or a pipeline.
        """
        estimators = estimator if isinstance(estimator, Mapping) else {"": estimator}
        return cls({name: _estimator_history(model) for name, model in estimators.items()}).plot(ax, log_scale=log_scale)

    def plot(self, ax: Any = None, *, log_scale: bool | None = None) -> HistoryDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose place is divided among the panels.
        log_scale : bool, default=None

        Returns
        -------
        HistoryDisplay
        """
        if not self.histories:
            raise ValueError("There is no run to draw: give at least one.")
        runs = {name: _curves(name, history) for name, history in self.histories.items()}
        shown = [key for key in _PANELS if any(key in curves for curves in runs.values())]
        self.figure_, self.axes_ = grid_axes(
            ax, len(shown), n_columns=len(shown), panel_size=(5.6 if len(shown) == 1 else 4.0, 3.4)
        )
        self.ax_ = self.axes_[0] if ax is None else ax
        for panel, key in zip(self.axes_, shown, strict=True):
            panel.set_xlabel("epoch")
            panel.set_ylabel(_PANELS[key])
            panel.xaxis.get_major_locator().set_params(integer=True)
            for index, (name, curves) in enumerate(runs.items()):
                if key == "loss":
                    _draw_losses(panel, curves, index, name, len(runs))
                elif key in curves:
                    panel.plot(_epochs(curves[key]), curves[key], label=name, **_line(index))
            if _spans_magnitudes(panel) if key != "loss" or log_scale is None else log_scale:
                panel.set_yscale("log")
            elif key == "learning_rate":
                panel.set_ylim(bottom=0.0)
        self.axes_[0].legend(fontsize="small")
        return self


def _draw_losses(panel: Any, curves: Mapping[str, np.ndarray], index: int, name: str, n_runs: int) -> None:
    best = _best_epoch(curves)
    judged = curves.get("val_loss", curves["loss"])
    if n_runs == 1:
        panel.plot(_epochs(curves["loss"]), curves["loss"], label="training", **_line(0))
        if "val_loss" in curves:
            panel.plot(_epochs(judged), judged, label="validation", **_line(1))
        panel.axvline(best + 1, color=muted_color(), linewidth=0.8, linestyle=":", zorder=0)
        color, label = text_color(), f"best epoch {best + 1}"
    else:
        panel.plot(_epochs(judged), judged, label=f"{name} (best epoch {best + 1})", **_line(index))
        if "val_loss" in curves:
            thin = {**_line(index), "linewidth": 0.9, "alpha": 0.7}
            panel.plot(_epochs(curves["loss"]), curves["loss"], label="thin: training" if index == 0 else None, **thin)
        color, label = series_color(index), None
    panel.plot(
        best + 1, judged[best], marker="o", markersize=8, markerfacecolor="none", markeredgewidth=1.6, linestyle="none",
        color=color, label=label, zorder=4,
    )  # fmt: skip


def _best_epoch(curves: Mapping[str, np.ndarray]) -> int:
    """Return the index of the least validation loss, else of the best validation score, else of the least loss."""
    if "val_loss" in curves or "val_score" not in curves:
        return int(np.nanargmin(curves.get("val_loss", curves["loss"])))
    return int(np.nanargmax(curves["val_score"]))


def _spans_magnitudes(panel: Any) -> bool:
    """Tell whether the lines of `panel` are positive and span more than a factor of 30."""
    values = np.concatenate([np.ravel(line.get_ydata()) for line in panel.lines if not line.get_linestyle() == ":"])
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and values.max() > 30 * values.min())


def _epochs(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1)


def _line(index: int) -> dict[str, Any]:
    """Return the look of run number `index`: hue and, past the palette's end, dashes."""
    return {"color": series_color(index), "linestyle": _DASHES[(index // 6) % len(_DASHES)], "linewidth": 1.8}


def _attribute(history: Any, key: str) -> Any:
    return getattr(history, key, None)


def _curves(name: str, history: Any) -> dict[str, np.ndarray]:
    """Return the recorded lists of a run as arrays, those that are missing or empty left out."""
    read: Callable[[str], Any] = history.get if isinstance(history, Mapping) else partial(_attribute, history)
    curves = {}
    for key in ("loss", "val_loss", "val_score", "learning_rate", "grad_norm"):
        values: Sequence[float | None] | None = read(key)
        if values is not None and len(values):
            array = np.array(values, dtype=np.float64)
            if np.isfinite(array).any():
                curves[key] = array
    if "loss" not in curves:
        raise ValueError(f"The history{f' {name!r}' if name else ''} holds no loss: train for at least one epoch first.")
    return curves


def _estimator_history(estimator: Any) -> dict[str, Any]:
    name = type(estimator).__name__
    if isinstance(estimator, Network):
        raise TypeError(f"A {name} keeps no curves: give the History that its fit returned to from_history.")
    if hasattr(estimator, "steps"):
        raise TypeError(f"A {name} keeps no curves: give its last step, model[-1].")
    if not hasattr(estimator, "loss_curve_"):
        raise ValueError(f"This {name} has no loss_curve_: fit it first, with a solver that records one (not lbfgs).")
    return {
        "loss": estimator.loss_curve_,
        "val_loss": getattr(estimator, "validation_loss_curve_", None),
        "val_score": getattr(estimator, "validation_scores_", None),
    }
