"""Every display rendered: light and dark, with 3 and with 300 units."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from helpers import spread

from fastnet.inspection import Recorder
from fastnet.plotting import (
    ActivationDisplay,
    ActivationHistogramDisplay,
    ComputationGraphDisplay,
    DecisionBoundariesDisplay,
    GradientFlowDisplay,
    HistoryDisplay,
    NetworkDisplay,
    NeuronLevelsDisplay,
)

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture(scope="module")
def train(planar):
    """A function that trains a network of so many units in each hidden layer, once."""
    import fastnet as fn

    @cache
    def train(n_units):
        X, y = planar
        hidden = [fn.Dense(n_units, "tanh")] * (1 if n_units == 3 else 2)
        net = fn.Network([*hidden, fn.Dense(1, "sigmoid")], 2, random_state=0)
        recorder, options = Recorder(X, y), {"loss": "binary_cross_entropy", "optimizer": fn.Adam(0.01), "random_state": 0}
        history = net.fit(X, y, epochs=4, callbacks=[recorder], **options)
        return net, recorder, history

    return train


@pytest.fixture
def trained(request, train):
    """A network of one or two hidden layers with its history and records of 4 epochs."""
    return train(request.param)


DRAWINGS = {
    "network": lambda net, recorder, history, X, y: NetworkDisplay.from_estimator(net),
    "network with long names": lambda net, recorder, history, X, y: NetworkDisplay.from_estimator(
        net, feature_names=["mean fractal dimension", "worst concave points"], output_names=["malignant tumour"]
    ),
    "levels": lambda net, recorder, history, X, y: NeuronLevelsDisplay.from_estimator(net, X, y, grid_resolution=20),
    "boundaries": lambda net, recorder, history, X, y: DecisionBoundariesDisplay.from_estimators(
        {"one": net, "two": net, "three": net}, X, y, grid_resolution=30
    ),
    "activations": lambda net, recorder, history, X, y: ActivationDisplay.from_estimator(net),
    "four activations": lambda net, recorder, history, X, y: ActivationDisplay.from_activations(),
    "graph": lambda net, recorder, history, X, y: ComputationGraphDisplay.from_estimator(net, X, y),
    "graph of a point": lambda net, recorder, history, X, y: ComputationGraphDisplay.from_estimator(net, X[0], y[0]),
    "history": lambda net, recorder, history, X, y: HistoryDisplay.from_history(history),
    "histories": lambda net, recorder, history, X, y: HistoryDisplay.from_history({"a": history, "b": history}),
    "flow": lambda net, recorder, history, X, y: GradientFlowDisplay.from_recorder(recorder),
    "flow now": lambda net, recorder, history, X, y: GradientFlowDisplay.from_estimator(net, X, y),
    "histograms": lambda net, recorder, history, X, y: ActivationHistogramDisplay.from_recorder(recorder),
    "histograms now": lambda net, recorder, history, X, y: ActivationHistogramDisplay.from_estimator(net, X),
}


@pytest.mark.parametrize(
    ("drawing", "trained", "style"), spread(2, DRAWINGS, [3, 300], ["default", "dark_background"]), indirect=["trained", "style"]
)
def test_legible(drawing, style, trained, planar, assert_legible):
    assert_legible(DRAWINGS[drawing](*trained, *planar))


def test_what_is_not_legible_is_found(make_network, assert_legible):
    display = NetworkDisplay.from_estimator(make_network((3, 4, 2)))
    extra = display.ax_.text(0.5, 0.5, "over", transform=display.ax_.transAxes)
    assert_legible(display)
    display.ax_.text(0.52, 0.5, "another", transform=display.ax_.transAxes)
    with pytest.raises(AssertionError, match="'over' lies over 'another'"):
        assert_legible(display)
    extra.set(position=(-5, 0.5), in_layout=False)
    with pytest.raises(AssertionError, match="'over' is cut off"):
        assert_legible(display)


def test_deep_network(make_network, planar, assert_legible):
    net = make_network((2, *[4] * 20, 1), "sigmoid", output="sigmoid")
    X, y = planar
    assert_legible(NetworkDisplay.from_estimator(net))
    assert_legible(ComputationGraphDisplay.from_estimator(net, X, y))
    assert_legible(GradientFlowDisplay.from_estimator(net, X, y))
    assert_legible(ActivationHistogramDisplay.from_estimator(net, X))


def test_the_same_display_gives_the_same_picture_and_another_does_not(make_network, tmp_path):
    from matplotlib.testing.compare import compare_images
    from matplotlib.testing.decorators import remove_ticks_and_titles

    net = make_network((3, 12, 2))

    def save(name):
        display = NetworkDisplay.from_estimator(net)
        remove_ticks_and_titles(display.figure_)
        path = tmp_path / f"{name}.png"
        display.figure_.savefig(path, dpi=60)
        return str(path)

    first, again = save("first"), save("again")
    assert compare_images(first, again, tol=0) is None
    net.weights[0][...] *= -1
    assert compare_images(first, save("negated"), tol=1) is not None


@pytest.mark.parametrize("drawing", ["network", "levels", "boundaries", "graph", "flow now", "histograms now"])
def test_a_diverged_network_is_refused(drawing, make_network, planar):
    net = make_network((2, 3, 1), output="sigmoid")
    net.params[0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite.*diagnose"):
        DRAWINGS[drawing](net, None, None, *planar)


@pytest.mark.parametrize("trained", [3], indirect=True)
def test_drawing_leaves_the_model_and_the_style_alone(trained, planar):
    import matplotlib as mpl

    net = trained[0]
    params, settings = net.params.copy(), dict(mpl.rcParams)
    for draw in DRAWINGS.values():
        draw(*trained, *planar)
    np.testing.assert_array_equal(net.params, params)
    assert dict(mpl.rcParams) == settings
