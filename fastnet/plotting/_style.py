"""Colours and axes shared by all displays.

The hues are those of Okabe and Ito or close to them, and can be told apart with the common colour vision deficiencies; which
ones are used depends on whether the axes are light or dark. Text and outlines follow Matplotlib's rcParams.

References
----------
Okabe and Ito, Color Universal Design (2008).
"""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgb

__all__ = [
    "diverging_map",
    "grid_axes",
    "is_dark",
    "layer_colors",
    "muted_color",
    "palette",
    "sequential_map",
    "series_color",
    "signed_colors",
    "single_axes",
    "text_color",
]

_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#444444", "#56B4E9")
_DARK = ("#56B4E9", "#E69F00", "#00B386", "#CC79A7", "#F0E442", "#E8763A")


def is_dark() -> bool:
    """Tell whether the current style draws on dark axes (relative luminance below one half)."""
    red, green, blue = to_rgb(mpl.rcParams["axes.facecolor"])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5


def palette() -> tuple[str, ...]:
    """Return six hues that can be told apart on the current background."""
    return _DARK if is_dark() else _LIGHT


def series_color(index: int) -> str:
    """Return the hue of series number `index`; after the last hue they repeat."""
    return palette()[index % len(palette())]


def text_color() -> str:
    """Return the current style's text colour."""
    return mpl.rcParams["text.color"]


def muted_color() -> str:
    """Return a colour half-way between text and background, for what should be in the background."""
    return _blend(0.5)


def signed_colors() -> tuple[str, str]:
    """Return the colours of negative and positive numbers."""
    return palette()[0], palette()[1]


def diverging_map() -> Colormap:
    """Return the colour map from negative to positive, with a shade close to the background at zero."""
    negative, positive = signed_colors()
    return LinearSegmentedColormap.from_list("fastnet_diverging", [negative, _blend(0.12), positive])


def sequential_map() -> Colormap:
    """Return the colour map from the background (zero) to the first hue."""
    return LinearSegmentedColormap.from_list("fastnet_sequential", [mpl.rcParams["axes.facecolor"], palette()[0]])


def layer_colors(n_layers: int) -> list[tuple[float, ...]]:
    """Return one colour per layer, in order along viridis, without the end of it that is close to the background."""
    low, high = (0.3, 1.0) if is_dark() else (0.0, 0.85)
    return [tuple(color) for color in mpl.colormaps["viridis"](np.linspace(low, high, max(n_layers, 2)))[:n_layers]]


def _blend(share: float) -> str:
    """Mix `share` of the text colour into the background."""
    background, text = np.array(to_rgb(mpl.rcParams["axes.facecolor"])), np.array(to_rgb(text_color()))
    red, green, blue = (1 - share) * background + share * text
    return to_hex((red, green, blue))


def single_axes(ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    """Return `ax`, or the axes of a new figure of `figsize` inches when it is None."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize, layout="constrained")[1]


def grid_axes(
    ax: Any, n_panels: int, *, n_columns: int, panel_size: tuple[float, float], **subplot_options: Any
) -> tuple[Any, np.ndarray]:
    """Return a figure and `n_panels` axes in rows of at most `n_columns`.

    Parameters
    ----------
    ax : Axes or None
        Axes whose area is divided among the panels, or None for a new figure.
    n_panels, n_columns : int
    panel_size : tuple of float
        Width and height of one panel of a new figure, in inches.
    **subplot_options
        Passed to ``GridSpec.subplots`` (``sharex``, ``sharey``).

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of shape (n_panels,)

    Raises
    ------
    ValueError
        If `ax` was not made by ``subplots`` and so has no grid cell to divide.
    """
    n_columns = min(n_columns, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(panel_size[0] * n_columns, panel_size[1] * n_rows), layout="constrained")
        spec = figure.add_gridspec(n_rows, n_columns)
    else:
        if ax.get_subplotspec() is None:
            raise ValueError("ax has no place in a grid to divide among the panels: make it with plt.subplots().")
        ax.set_axis_off()
        figure = ax.figure
        spec = ax.get_subplotspec().subgridspec(n_rows, n_columns)
    axes = spec.subplots(squeeze=False, **subplot_options)
    for unused in axes.ravel()[n_panels:]:
        unused.remove()
    return figure, axes.ravel()[:n_panels]
