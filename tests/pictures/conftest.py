"""Models to draw, and checks of drawn pictures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import fastnet as fn

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.transforms import Bbox
except ImportError:
    collect_ignore_glob = ["test_*display*.py", "test_style.py", "test_rendering.py", "test_reference_images.py"]
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
    """Draw the display and check that it is not empty, that no text is cut off and that no texts overlap."""
    figure = display.figure_
    drawn = _draw_and_collect_texts(figure)
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(np.uint32) @ [1 << 16, 1 << 8, 1]
    assert len(np.unique(pixels)) > 20, "the picture is empty"
    assert drawn
    boxes = {id(text): text.get_window_extent() for text in drawn}
    page = figure.bbox.padded(1.0)
    for text in drawn:
        box = boxes[id(text)]
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), f"{text.get_text()!r} is cut off"
    for one, other in combinations(drawn, 2):
        overlap = Bbox.intersection(boxes[id(one)], boxes[id(other)])
        clear = overlap is None or min(overlap.width, overlap.height) < 1.0
        assert clear, f"{one.get_text()!r} lies over {other.get_text()!r}"


def _draw_and_collect_texts(figure):
    """Draw the figure and return the texts that really were drawn (Matplotlib keeps many that are not)."""
    drawn = []

    def draw(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        original(text, renderer)

    original = mpl.text.Text.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mpl.text.Text, "draw", draw)
        figure.canvas.draw()
    return drawn
