"""Decision boundaries of several models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, Normalize
from numpy.typing import ArrayLike

from .._models import ModelView, dense_rows, model_view
from ._levels import input_grid, labels_of, scatter_labels
from ._style import diverging_map, grid_axes, palette, text_color

__all__ = ["DecisionBoundariesDisplay"]


class DecisionBoundariesDisplay:
    """Draw the decision boundaries of several classifiers over one 2-D data set, side by side.

    For one model, scikit-learn's ``DecisionBoundaryDisplay`` takes fastnet's estimators as they are. It is recommended
    to use `from_data` or `from_estimators`.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_grid, n_grid)
        The grid of inputs.
    responses : mapping of str to ndarray
        By title: the probability of the second class, (n_grid, n_grid), or the class probabilities, (n_grid, n_grid, k).
    scores : mapping of str to float, default=None
        Accuracies by title.

    Attributes
    ----------
    ax_ : Axes
        The first panel, or the axes given to `plot`.
    axes_ : ndarray of Axes of shape (n_models,)
    figure_ : Figure
    models_ : dict of str to estimator
        The models that `from_data` fitted.

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): decision boundaries by activation.

    Examples
    --------
    >>> from sklearn.datasets import make_circles
    >>> X, y = make_circles(100, noise=0.1, factor=0.4, random_state=0)
    >>> display = DecisionBoundariesDisplay.from_data(X, y, activations=["sigmoid", "relu"])
    >>> display.scores
    {'sigmoid': 1.0, 'relu': 1.0}
    """

    models_: dict[str, Any]

    def __init__(
        self,
        xx0: np.ndarray,
        xx1: np.ndarray,
        responses: Mapping[str, np.ndarray],
        *,
        scores: Mapping[str, float] | None = None,
    ) -> None:
        self.xx0 = xx0
        self.xx1 = xx1
        self.responses = responses
        self.scores = scores

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        *,
        activations: Sequence[Any] = ("sigmoid", "tanh", "relu", "leaky_relu"),
        estimator: Any = None,
        ax: Any = None,
        **options: Any,
    ) -> DecisionBoundariesDisplay:
        """Fit one classifier per activation on the same data and draw them.

        Parameters
        ----------
        X : array-like of shape (n_rows, 2)
        y : array-like of shape (n_rows,)
        activations : sequence of str or Activation, default=the lecture's four
        estimator : MLPClassifier, default=None
            Cloned for each activation; None takes one with a hidden layer of 16 units, L-BFGS and a fixed seed.
        ax : Axes, default=None
        **options
            Passed to `from_estimators`.

        Returns
        -------
        DecisionBoundariesDisplay
        """
        from sklearn.base import clone

        if estimator is None:
            from ..estimators import MLPClassifier

            estimator = MLPClassifier((16,), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
        models = {}
        for activation in activations:
            title = activation if isinstance(activation, str) else repr(activation)
            models[title] = clone(estimator).set_params(activation=activation).fit(X, y)
        display = cls.from_estimators(models, X, y, ax=ax, **options)
        display.models_ = models
        return display

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        grid_resolution: int = 150,
        margin: float = 0.1,
        ax: Any = None,
    ) -> DecisionBoundariesDisplay:
        """Draw fitted classifiers.

        Parameters
        ----------
        estimators : mapping of str to Network or fitted classifier
            Models with two inputs, by title. A `Network` has one sigmoid output or a softmax layer.
        X, y : array-like of shape (n_rows, 2) and (n_rows,)
            The data to draw; for a `Network` the labels are the numbers of the classes.
        grid_resolution : int, default=150
        margin : float, default=0.1
        ax : Axes, default=None

        Returns
        -------
        DecisionBoundariesDisplay

        Raises
        ------
        ValueError
            If a model does not have two inputs, there is no model, or `X` and `y` cannot be drawn.
        TypeError
            If `estimators` is not a mapping.
        """
        if not isinstance(estimators, Mapping):
            raise TypeError(f'Expected models by title, {{"title": model}}, got a {type(estimators).__name__}.')
        if not estimators:
            raise ValueError("There is no model to draw: give at least one.")
        X = dense_rows(X)
        y = labels_of(X, y)
        xx0, xx1 = input_grid(X, grid_resolution, margin)
        grid = np.column_stack([xx0.ravel(), xx1.ravel()])
        responses, scores = {}, {}
        for title, estimator in estimators.items():
            view = model_view(estimator)
            view.assert_finite()
            if view.sizes[0] != 2:
                raise ValueError(f"Decision boundaries are drawn over two inputs, but {title!r} takes {view.sizes[0]}.")
            output = view.layer_outputs(grid)[-1]
            responses[title] = output.reshape(*xx0.shape, -1).squeeze()
            scores[title] = _accuracy(view, X, y)
        return cls(xx0, xx1, responses, scores=scores).plot(ax, X=X, y=y)

    def plot(self, ax: Any = None, *, X: ArrayLike | None = None, y: ArrayLike | None = None) -> DecisionBoundariesDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose area is divided among the panels.
        X, y : array-like of shape (n_rows, 2) and (n_rows,), default=None
            Data to draw over the boundaries.

        Returns
        -------
        DecisionBoundariesDisplay
        """
        self.figure_, self.axes_ = grid_axes(
            ax, len(self.responses), n_columns=4, panel_size=(2.6, 2.8), sharex=True, sharey=True
        )
        self.ax_ = self.axes_[0] if ax is None else ax
        for panel, (title, response) in zip(self.axes_, self.responses.items(), strict=True):
            if response.ndim == 2:
                self._draw_binary(panel, response)
            else:
                self._draw_multiclass(panel, response)
            if X is not None and y is not None:
                scatter_labels(panel, dense_rows(X), np.asarray(y))
            panel.set_title(title if self.scores is None else f"{title}\naccuracy {self.scores[title]:.3f}", fontsize="medium")
            panel.set_xticks([])
            panel.set_yticks([])
        return self

    def _draw_binary(self, panel: Any, probability: np.ndarray) -> None:
        panel.pcolormesh(
            self.xx0, self.xx1, probability, cmap=diverging_map(), norm=Normalize(-0.25, 1.25), shading="gouraud",
            rasterized=True,
        )  # fmt: skip
        self._draw_border(panel, probability - 0.5)

    def _draw_multiclass(self, panel: Any, probabilities: np.ndarray) -> None:
        n_classes = probabilities.shape[-1]
        hues = [palette()[index % len(palette())] for index in range(n_classes)]
        panel.pcolormesh(
            self.xx0, self.xx1, probabilities.argmax(axis=-1), cmap=ListedColormap(hues), shading="nearest", alpha=0.35,
            norm=Normalize(-0.5, n_classes - 0.5), rasterized=True, linewidth=0,
        )  # fmt: skip
        for index in range(n_classes):
            self._draw_border(panel, probabilities[..., index] - np.delete(probabilities, index, axis=-1).max(axis=-1))

    def _draw_border(self, panel: Any, margin: np.ndarray) -> None:
        if margin.min() < 0 < margin.max():
            panel.contour(self.xx0, self.xx1, margin, levels=[0.0], colors=[text_color()], linewidths=1.4)


def _accuracy(view: ModelView, X: np.ndarray, y: np.ndarray) -> float:
    output = view.layer_outputs(X)[-1]
    predicted = (output[:, 0] > 0.5).astype(int) if output.shape[1] == 1 else output.argmax(axis=1)
    return float(np.mean(predicted == np.ravel(view.targets(y))))
