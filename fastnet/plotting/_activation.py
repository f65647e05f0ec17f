"""Activation functions with their derivatives and saturation regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import activations as _activations
from .._models import model_view
from ._style import grid_axes, muted_color, series_color

__all__ = ["ActivationDisplay"]


class ActivationDisplay:
    """Draw activation functions with their derivatives, shading where they saturate.

    An activation saturates where its derivative stays below `saturation` times its largest value (or times 1, if that
    value is larger): a unit there passes on almost no gradient. A constant leak, such as LeakyReLU's, is not saturation. It is
    recommended to use `from_activations` or `from_estimator`.

    Parameters
    ----------
    z : ndarray of shape (n_points,)
        Pre-activations.
    values, derivatives : sequence of ndarray of shape (n_points,)
        One of each per activation.
    names : sequence of str
    saturation : float, default=0.05

    Attributes
    ----------
    ax_ : Axes
        The first panel, or the axes given to `plot`.
    axes_ : ndarray of Axes of shape (n_activations,)
    figure_ : Figure

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): activation functions and vanishing gradients.

    Examples
    --------
    >>> import fastnet as fn
    >>> display = ActivationDisplay.from_activations(["tanh", fn.LeakyReLU(0.1)])
    >>> [axes.get_title() for axes in display.axes_]
    ['tanh', 'leaky_relu(0.1)']
    """

    def __init__(
        self,
        z: np.ndarray,
        values: Sequence[np.ndarray],
        derivatives: Sequence[np.ndarray],
        *,
        names: Sequence[str],
        saturation: float = 0.05,
    ) -> None:
        self.z = z
        self.values = values
        self.derivatives = derivatives
        self.names = names
        self.saturation = saturation

    @classmethod
    def from_activations(
        cls,
        activations: Iterable[Any] = ("sigmoid", "tanh", "relu", "leaky_relu"),
        *,
        z_range: tuple[float, float] = (-6.0, 6.0),
        saturation: float = 0.05,
        ax: Any = None,
    ) -> ActivationDisplay:
        """Draw activations given by name or as objects.

        Parameters
        ----------
        activations : iterable of str or Activation, default=the lecture's four
        z_range : tuple of float, default=(-6, 6)
            The pre-activations shown.
        saturation : float, default=0.05
            Fraction of its largest derivative below which an activation counts as saturated.
        ax : Axes, default=None

        Returns
        -------
        ActivationDisplay

        Raises
        ------
        ValueError
            If an activation is unknown, or is softmax, which is not a function of one number, or there is none.
        """
        chosen = [_activations.get(activation) for activation in activations]
        if not chosen:
            raise ValueError("There is no activation to draw: give at least one.")
        if any(activation.name == "softmax" for activation in chosen):
            raise ValueError("softmax depends on all units of its layer, so it has no curve over one pre-activation.")
        z = np.linspace(*z_range, 601)
        return cls(
            z,
            [np.asarray(activation(z)) for activation in chosen],
            [np.asarray(activation.derivative(z)) for activation in chosen],
            names=[_label(activation) for activation in chosen],
            saturation=saturation,
        ).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **options: Any) -> ActivationDisplay:
        """Draw each activation that a `Network` or fitted estimator uses once, except softmax.

        Parameters
        ----------
        estimator : Network or fitted estimator
        ax : Axes, default=None
            Axes whose area is divided among the panels.
        **options
            Passed to `from_activations`.

        Returns
        -------
        ActivationDisplay

        Raises
        ------
        TypeError
            No model.
        ValueError
            A model that is not fitted, or whose only activation is softmax.
        """
        activations = {_label(a): a for a in model_view(estimator).activations if a.name != "softmax"}
        if not activations:
            raise ValueError("The model's only activation is softmax, which has no curve over one pre-activation.")
        return cls.from_activations(activations.values(), ax=ax, **options)

    def plot(self, ax: Any = None) -> ActivationDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose area is divided among the panels.

        Returns
        -------
        ActivationDisplay
        """
        self.figure_, self.axes_ = grid_axes(
            ax, len(self.names), n_columns=4 if len(self.names) != 3 else 3, panel_size=(2.8, 2.5)
        )
        self.ax_ = self.axes_[0] if ax is None else ax
        for panel, name, value, derivative in zip(self.axes_, self.names, self.values, self.derivatives, strict=True):
            panel.axhline(0.0, color=muted_color(), linewidth=0.6)
            panel.axvline(0.0, color=muted_color(), linewidth=0.6)
            panel.plot(self.z, value, color=series_color(0), linewidth=2.0, label="g(z)")
            panel.plot(self.z, derivative, color=series_color(1), linewidth=1.6, linestyle="--", label="g'(z)")
            saturated = _saturated(derivative, self.saturation)
            if saturated.any():
                panel.fill_between(
                    self.z, 0.0, 1.0, where=saturated, transform=panel.get_xaxis_transform(), color=muted_color(),
                    alpha=0.25, linewidth=0, label="saturated",
                )  # fmt: skip
            panel.set_ylim(max(-2.0, min(value.min(), derivative.min()) - 0.15), min(3.0, max(value.max(), 1.0) + 0.15))
            panel.set_xlim(self.z[0], self.z[-1])
            panel.set_title(name)
            panel.set_xlabel("z")
        most = max(self.axes_, key=lambda panel: len(panel.get_legend_handles_labels()[0]))
        self.axes_[-1].legend(
            *most.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False
        )
        return self


def _saturated(derivative: np.ndarray, saturation: float) -> np.ndarray:
    """Mark the points from which the derivative is small all the way to the left or the right end."""
    small = np.abs(derivative) < saturation * min(1.0, np.abs(derivative).max())
    tails = (np.logical_and.accumulate(small), np.logical_and.accumulate(small[::-1])[::-1])
    return np.logical_or.reduce([tail for tail in tails if not _leaks(derivative[tail])] or [np.zeros_like(small)])


def _leaks(derivative: np.ndarray) -> bool:
    """Tell whether a tail's derivative is the same number other than 0 throughout, as LeakyReLU's is."""
    return bool(derivative.size and derivative[0] != 0 and np.ptp(derivative) == 0)


def _label(activation: Any) -> str:
    return f"{activation.name}({activation.parameter:g})" if activation.name in ("leaky_relu", "elu") else activation.name
