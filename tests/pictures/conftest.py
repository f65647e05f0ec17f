"""Models to look at, and how a picture is looked at."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
except ImportError:
    collect_ignore_glob = ["test_*display*.py", "test_style.py", "test_rendering.py"]
else:
    mpl.use("agg")


@pytest.fixture(params=["default", "dark_background"])
def style(request):
    """Light axes, then dark ones."""
    with plt.style.context(request.param):
        yield request.param


@pytest.fixture
def close_figures():
    yield
    plt.close("all")


def network(sizes, activation="tanh", output="softmax", seed=0):
    """A network with the layer sizes `sizes`, the inputs first."""
    hidden = [fn.Dense(size, activation) for size in sizes[1:-1]]
    return fn.Network([*hidden, fn.Dense(sizes[-1], output)], sizes[0], random_state=seed)


@pytest.fixture
def make_network():
    return network


@pytest.fixture(scope="session")
def planar():
    """200 points of two classes in the plane."""
    from sklearn.datasets import make_moons

    return make_moons(200, noise=0.2, random_state=0)


@pytest.fixture(scope="session")
def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture
def assert_legible(close_figures):
    return _assert_legible


def _assert_legible(display):
    """Draw the display and check that something is there, no text is cut off and no tick labels run into each other."""
    figure = display.figure_
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 20, "the picture is empty"
    renderer = figure.canvas.get_renderer()
    page = figure.bbox.padded(2.0)
    for text in _visible_texts(figure):
        box = text.get_window_extent(renderer)
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), f"{text.get_text()!r} is cut off"
    for axes in figure.axes:
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                _assert_apart(axis, renderer)


def _visible_texts(figure):
    hidden_axes = {id(t) for axes in figure.axes if not axes.axison for a in (axes.xaxis, axes.yaxis) for t in a.findobj(mpl.text.Text)}
    for text in figure.findobj(mpl.text.Text):
        if not text.get_visible() or not text.get_text().strip() or id(text) in hidden_axes:
            continue
        if text.axes is not None and _is_unused_tick_label(text):
            continue
        yield text


def _is_unused_tick_label(text):
    """Matplotlib keeps labels of ticks outside the view, and of both sides of the axes, without drawing them."""
    for axis in (text.axes.xaxis, text.axes.yaxis):
        ticks = [*axis.majorTicks, *axis.minorTicks]
        if any(text in (tick.label1, tick.label2) for tick in ticks):
            return text not in [label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)]
    return False


def _assert_apart(axis, renderer):
    labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
    drawn = {id(tick.label1) for tick in axis._update_ticks()}
    boxes = [label.get_window_extent(renderer) for label in labels if id(label) in drawn]
    for first, second in zip(boxes, boxes[1:], strict=False):
        assert not first.overlaps(second), f"tick labels of {axis} overlap"
