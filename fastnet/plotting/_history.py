"""Learning curves of one run or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..history import History
from ..network import Network
from ._style import grid_axes, muted_color, series_color, text_color

__all__ = ["HistoryDisplay"]

_PANELS = {"loss": "loss", "val_score": "validation score", "learning_rate": "learning rate", "grad_norm": "gradient norm"}
_DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class _Run:
    """What is drawn of one run.

    Attributes
    ----------
    curves : dict of str to ndarray
        By quantity, one value per epoch.
    best : int
        Index of the best epoch; -1 for none.
    measures : dict of str to str
        What a quantity measures, where that is known: the name of the loss or of the score.
    """

    curves: dict[str, np.ndarray]
    best: int
    measures: dict[str, str]

    def panel_of(self, key: str) -> tuple[str, str | None]:
        """The quantity and what it measures: runs for which both agree share a panel."""
        return key, self.measures.get(key)


class HistoryDisplay:
    """Draw loss, validation score, learning rate and gradient norm per epoch, with the best epoch marked.

    There is one panel for each loss and each score; runs that measure the same share it.

    Parameters
    ----------
    histories : mapping of str to History or mapping
        Runs by name. A run holds lists, one value per epoch, under ``loss`` and, where they were recorded, ``val_loss``,
        ``val_score``, ``learning_rate`` and ``grad_norm``, as attributes or as keys; the names of its loss and score may be under
        ``loss_name`` and ``score_name``. Epochs are counted from 1. The best epoch is the one whose parameters were kept, given
        by its index ``kept_epoch``; without that, the epoch with the highest validation score, or else with the lowest
        validation loss, or else with the lowest training loss.

    Attributes
    ----------
    ax_ : Axes
        The loss panel, or the axes given to `plot`.
    axes_ : ndarray of Axes
        One per quantity that was recorded.
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
            Logarithmic loss axis; None makes it logarithmic if the losses span more than a factor of 30.
        ax : Axes, default=None

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If a history is empty, or there is none.
        TypeError
            If it is no history, but a list of them for example.
        """
        runs = history if isinstance(history, Mapping) and "loss" not in history else {"": history}
        return cls(runs).plot(ax, log_scale=log_scale)

    @classmethod
    def from_estimator(cls, estimator: Any, *, log_scale: bool | None = None, ax: Any = None) -> HistoryDisplay:
        """Draw the curves of a fitted estimator, or of several by name.

        They come from ``loss_curve_`` and, where present, ``validation_loss_curve_`` and ``validation_scores_``, or from
        ``history_``. An estimator of several networks has a run for each, named "network 1", "network 2" and so on.

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
            If an estimator has neither ``loss_curve_`` nor ``history_``: unfitted, or fitted with lbfgs.
        TypeError
            If it is a `Network`, whose curves are in the `History` that ``fit`` returns, a pipeline, or no estimator.
        """
        estimators = estimator if isinstance(estimator, Mapping) else {"": estimator}
        runs: dict[str, Any] = {}
        for name, model in estimators.items():
            runs |= _estimator_runs(name, model)
        return cls(runs).plot(ax, log_scale=log_scale)

    def plot(self, ax: Any = None, *, log_scale: bool | None = None) -> HistoryDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose area is divided among the panels.
        log_scale : bool, default=None
            Whether losses are on a logarithmic scale. None: if they are positive and span more than a factor of 30.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        TypeError
            Something that is no run.
        ValueError
            No runs, or a run without losses.
        """
        if not self.histories:
            raise ValueError("There is no run to draw: give at least one.")
        runs = {name: _run(name, history) for name, history in self.histories.items()}
        shown = list(dict.fromkeys(run.panel_of(key) for key in _PANELS for run in runs.values() if key in run.curves))
        self.figure_, self.axes_ = grid_axes(
            ax, len(shown), n_columns=len(shown), panel_size=(5.6 if len(shown) == 1 else 4.0, 3.4)
        )
        self.ax_ = self.axes_[0] if ax is None else ax
        n_losses = sum(key == "loss" for key, _ in shown)
        for panel, (key, measure) in zip(self.axes_, shown, strict=True):
            panel.set_xlabel("epoch")
            named = measure is not None and (key == "val_score" or n_losses > 1)
            panel.set_ylabel(f"{_PANELS[key]}: {measure}" if named else _PANELS[key])
            panel.xaxis.get_major_locator().set_params(integer=True)
            for index, (name, run) in enumerate(runs.items()):
                if key in run.curves and run.panel_of(key) == (key, measure):
                    _draw(panel, key, run, index, name if len(runs) > 1 else None)
            if _spans_magnitudes(panel) if key != "loss" or log_scale is None else log_scale:
                panel.set_yscale("log")
            elif key == "learning_rate":
                panel.set_ylim(bottom=0.0)
            if key == "loss":
                panel.legend(fontsize="small")
        return self


def _draw(panel: Any, key: str, run: _Run, index: int, name: str | None) -> None:
    """Draw a quantity of run number `index`; a single run is not named."""
    if key == "loss":
        _draw_losses(panel, run, index, name)
        return
    panel.plot(_epochs(run.curves[key]), run.curves[key], label=name, **_line(index))
    if key == "val_score":
        _mark_best(panel, run.curves[key], run, index, name)


def _draw_losses(panel: Any, run: _Run, index: int, name: str | None) -> None:
    training, validation = run.curves["loss"], run.curves.get("val_loss")
    judged = training if validation is None else validation
    best = f"best epoch {run.best + 1}"
    if name is None:
        panel.plot(_epochs(training), training, label="training", **_line(0))
        if validation is not None:
            panel.plot(_epochs(validation), validation, label="validation", **_line(1))
        _mark_best(panel, judged, run, index, name, label=best)
        return
    panel.plot(_epochs(judged), judged, label=name if run.best < 0 else f"{name} ({best})", **_line(index))
    if validation is not None:
        thin, label = {**_line(index), "linewidth": 0.9, "alpha": 0.7}, "thin: training"
        explained = label in panel.get_legend_handles_labels()[1]
        panel.plot(_epochs(training), training, label=None if explained else label, **thin)
    _mark_best(panel, judged, run, index, name)


def _mark_best(panel: Any, curve: np.ndarray, run: _Run, index: int, name: str | None, label: str | None = None) -> None:
    """Circle the best epoch on its curve; for a single run also draw a line there."""
    if run.best < 0:
        return
    if name is None:
        panel.axvline(run.best + 1, color=muted_color(), linewidth=0.8, linestyle=":", zorder=0)
    panel.plot(
        run.best + 1, curve[run.best], marker="o", markersize=8, markerfacecolor="none", markeredgewidth=1.6, linestyle="none",
        color=text_color() if name is None else series_color(index), label=label, zorder=4,
    )  # fmt: skip


def _spans_magnitudes(panel: Any) -> bool:
    """Tell whether the lines of `panel` are positive and span more than a factor of 30."""
    values = np.concatenate([np.ravel(line.get_ydata()) for line in panel.lines if not line.get_linestyle() == ":"])
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and values.max() > 30 * values.min())


def _epochs(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1)


def _line(index: int) -> dict[str, Any]:
    """Return the line style of run number `index`: colour and, past the end of the palette, dashes."""
    return {"color": series_color(index), "linestyle": _DASHES[(index // 6) % len(_DASHES)], "linewidth": 1.8}


def _attribute(history: Any, key: str) -> Any:
    return getattr(history, key, None)


def _run(name: str, history: Any) -> _Run:
    """Read the recorded lists of a run, without those that are missing or empty."""
    losses = history.get("loss", ()) if isinstance(history, Mapping) else getattr(history, "loss", None)
    if isinstance(losses, str) or not hasattr(losses, "__len__"):
        got = f"the class {history.__name__}" if isinstance(history, type) else f"a {type(history).__name__}"
        raise TypeError(f'Expected a History, or several by name, {{"name": history}}, got {got}.')
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
    kept, names = read("kept_epoch"), {"loss": read("loss_name"), "val_score": read("score_name")}
    measures = {key: measure for key, measure in names.items() if measure is not None}
    return _Run(curves, History.from_arrays(curves, kept).best_epoch, measures)


def _estimator_runs(name: str, estimator: Any) -> dict[str, Any]:
    """Return the histories of an estimator by name: one, or one for each of its networks."""
    histories = getattr(estimator, "history_", None)
    if histories is None:
        return {name: _estimator_history(estimator)}
    if isinstance(histories, History):
        histories = [histories]
    if len(histories) == 1:
        return {name: histories[0]}
    prefix = f"{name}, " if name else ""
    return {f"{prefix}network {number}": history for number, history in enumerate(histories, start=1)}


def _estimator_history(estimator: Any) -> dict[str, Any]:
    name = type(estimator).__name__
    if isinstance(estimator, Network):
        raise TypeError(f"A {name} keeps no curves: give the History that its fit returned to from_history.")
    if hasattr(estimator, "steps"):
        raise TypeError(f"A {name} keeps no curves: give its last step, model[-1].")
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        got = f"the class {estimator.__name__}" if isinstance(estimator, type) else f"a {name}"
        raise TypeError(f'Expected a fitted estimator, or several by name, {{"name": model}}, got {got}.')
    if not hasattr(estimator, "loss_curve_"):
        raise ValueError(f"This {name} has no loss_curve_: fit it first, with a solver that records one (not lbfgs).")
    history = {
        "loss": estimator.loss_curve_,
        "val_loss": getattr(estimator, "validation_loss_curve_", None),
        "val_score": getattr(estimator, "validation_scores_", None),
        "loss_name": _loss_name(estimator),
        "score_name": _score_name(estimator),
    }
    if history["score_name"] == "loss":  # the validation loss with its sign changed
        del history["val_score"]
    return history if not hasattr(estimator, "best_epoch_") else {**history, "kept_epoch": estimator.best_epoch_ - 1}


def _loss_name(estimator: Any) -> str:
    """Return the name of the loss, and say so if it is measured on standardised targets."""
    name = getattr(estimator.loss, "name", estimator.loss).replace("_", " ")
    return f"{name}, scaled y" if hasattr(estimator, "target_scaler_") else name


def _score_name(estimator: Any) -> str:
    """Return the name of the validation score."""
    scoring = getattr(estimator, "scoring", None)
    if isinstance(scoring, str):
        return scoring
    if scoring is not None:
        return getattr(scoring, "__name__", repr(scoring))
    if hasattr(estimator, "classes_"):
        return "accuracy"
    return "loss" if getattr(estimator, "_default_metric", ...) is None else "R²"
