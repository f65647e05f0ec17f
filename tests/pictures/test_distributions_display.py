"""Gradient flow and activation histograms, read through their artists."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet.inspection import Recorder, snapshot
from fastnet.plotting import ActivationHistogramDisplay, GradientFlowDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture
def recorded(make_network, planar):
    X, y = planar
    net = make_network((2, 3, 1), output="sigmoid")
    recorder = Recorder(X, y)
    net.fit(X, y, loss="binary_cross_entropy", optimizer="adam", epochs=4, callbacks=[recorder], random_state=0)
    return net, recorder


def test_recorder_keeps_each_epoch(recorded, planar):
    net, recorder = recorded
    assert [shot.epoch for shot in recorder.snapshots] == [0, 1, 2, 3, 4]
    last = recorder.snapshots[-1]
    _, gradients = net.loss_and_grad(*planar, loss="binary_cross_entropy")
    for mine, cores in zip(last.gradients, gradients.weights, strict=True):
        np.testing.assert_allclose(mine, np.sort(cores, axis=None), rtol=1e-3, atol=1e-6)
    for mine, cores in zip(last.activations, net.activations(planar[0])[1:], strict=True):
        np.testing.assert_allclose(mine, np.sort(cores, axis=None), rtol=1e-4, atol=1e-5)


def test_recorder_in_a_loop_of_ones_own(make_network, planar):
    recorder = Recorder(*planar)
    for _ in range(3):
        recorder.record(make_network((2, 3, 1), output="sigmoid"))
    assert [shot.epoch for shot in recorder.snapshots] == [0, 1, 2]


def test_recorder_every_second_epoch(make_network, planar):
    X, y = planar
    recorder = Recorder(X, y, every=2)
    make_network((2, 3, 1), output="sigmoid").fit(X, y, loss="binary_cross_entropy", epochs=5, callbacks=[recorder])
    assert [shot.epoch for shot in recorder.snapshots] == [0, 2, 4]


def test_large_layers_are_thinned_without_losing_their_range(make_network, digits):
    shot = snapshot(make_network((64, 300, 10)), *digits)
    values = shot.gradients[0]
    assert values.size == 2000
    assert (np.diff(values) >= 0).all()


def test_flow_of_one_moment(make_network, digits):
    net = make_network((64, 20, 10))
    display = GradientFlowDisplay.from_estimator(net, *digits)
    medians = display.ax_.lines[-1].get_ydata()
    shot = snapshot(net, *digits)
    np.testing.assert_allclose(medians, [np.median(np.abs(g[g != 0])) for g in shot.gradients])
    assert display.ax_.get_yscale() == "log"
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["1\ntanh", "2\nsoftmax"]
    low, high = display.ax_.get_ylim()
    ends = np.concatenate([bar.get_ydata() for bar in display.ax_.lines[:-1]])
    assert low < ends.min() and ends.max() < high, "no bar is cut off"


def test_flow_over_training(recorded):
    _, recorder = recorded
    display = GradientFlowDisplay.from_recorder(recorder)
    first, second = display.ax_.lines
    np.testing.assert_array_equal(first.get_xdata(), [0, 1, 2, 3, 4])
    expected = [np.median(np.abs(shot.gradients[1])) for shot in recorder.snapshots]
    np.testing.assert_allclose(second.get_ydata(), expected)
    assert len(display.ax_.collections) == 2, "a band around each median"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["1: tanh", "2: sigmoid"]


def test_vanishing_gradient_is_seen(make_network, digits):
    net = make_network((64, *[20] * 20, 10), "sigmoid")
    medians = GradientFlowDisplay.from_estimator(net, *digits).ax_.lines[-1].get_ydata()
    assert medians[0] < 1e-9 * medians[-1]


def test_legend_of_a_deep_network_shows_six_layers(make_network, digits):
    recorder = Recorder(digits[0][:50], digits[1][:50])
    net = make_network((64, *[5] * 30, 10))
    recorder.record(net)
    recorder.record(net)
    legend = GradientFlowDisplay.from_recorder(recorder).ax_.get_legend()
    assert len(legend.get_texts()) == 6
    assert legend.get_texts()[-1].get_text() == "31: softmax"


def test_dead_layers_are_named(make_network, digits):
    net = make_network((64, 5, 10), "relu")
    net.biases[0][:] = -100
    display = GradientFlowDisplay.from_estimator(net, *digits)
    assert [text.get_text() for text in display.ax_.texts] == ["all 0", "all 0"]


def test_flow_needs_targets(make_network, planar):
    recorder = Recorder(planar[0])
    with pytest.raises(ValueError, match="give y to the Recorder"):
        GradientFlowDisplay.from_recorder(recorder)
    recorder.record(make_network((2, 3, 1), output="sigmoid"))
    with pytest.raises(ValueError, match="give y to the Recorder"):
        GradientFlowDisplay.from_recorder(recorder)


def test_histogram_of_one_moment(make_network, planar):
    net = make_network((2, 3, 1), output="sigmoid")
    display = ActivationHistogramDisplay.from_estimator(net, planar[0])
    assert [ax.get_title() for ax in display.axes_] == ["layer 1: tanh", "layer 2: sigmoid"]
    for ax, values in zip(display.axes_, net.activations(planar[0])[1:], strict=True):
        heights = [bar.get_height() for bar in ax.patches]
        assert sum(heights) == pytest.approx(1)
        left, right = ax.patches[0].get_x(), ax.patches[-1].get_x() + ax.patches[-1].get_width()
        assert (left, right) == (pytest.approx(values.min(), abs=1e-5), pytest.approx(values.max(), abs=1e-5))


def test_histogram_over_training(recorded):
    _, recorder = recorded
    display = ActivationHistogramDisplay.from_recorder(recorder)
    (mesh,) = display.axes_[0].collections
    shares = np.asarray(mesh.get_array()).reshape(40, 5)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert display.axes_[0].get_xlabel() == "epoch"


def test_deep_networks_show_their_first_and_last_layers(make_network, planar):
    net = make_network((2, *[3] * 29, 1), output="sigmoid")
    display = ActivationHistogramDisplay.from_estimator(net, planar[0], max_layers=4)
    np.testing.assert_array_equal(display.layers_, [1, 2, 29, 30])
    assert [ax.get_title()[0] for ax in display.axes_] == ["l", "l", "⋯", "l"]


def test_histogram_of_nothing():
    with pytest.raises(ValueError, match="no snapshot"):
        ActivationHistogramDisplay([]).plot()


def test_flow_names_operations_within_layers(planar):
    """They stand upright, being longer than numbers; without them labels lie, the activation below the number."""
    X, y = planar
    plain = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], 2, random_state=0)
    nested = fn.Network([fn.Residual([fn.Dense(2, "tanh")]), fn.Dense(2, "softmax")], 2, random_state=0)
    for net, expected, rotation in [(plain, ["1\ntanh", "2\nsoftmax"], 0), (nested, ["1.1: tanh", "2: softmax"], 90)]:
        labels = GradientFlowDisplay.from_estimator(net, X, y).ax_.get_xticklabels()
        assert [label.get_text() for label in labels] == expected
        assert {label.get_rotation() for label in labels} == {rotation}
