"""Every display beside a stored picture of it; ``python tests/pictures/test_reference_images.py`` stores them all anew.

Versions of Matplotlib set text differently. Three things keep the pictures comparable: the axes are placed as in the stored
picture, the picture is drawn at four times the size, and both pictures are blurred.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import spread
from matplotlib.testing.compare import compare_images
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

import fastnet as fn
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

BASELINE = Path(__file__).parent / "baseline"
STYLES = {"light": ["default"], "dark": ["default", "dark_background"]}
DPI = 60
BLUR = 3
#: Largest allowed RMS difference of blurred pictures, out of 255. The same picture drawn by Matplotlib 3.8 and 3.11 differs by up
#: to 1.1, the changes at the end of this file by 1.9 and more.
TOLERANCE = 1.5


def network(n_units, n_hidden=1, n_outputs=1):
    """Two inputs and `n_hidden` layers of `n_units`, with parameters from a stream of random numbers that NumPy has frozen."""
    output = fn.Dense(n_outputs, "sigmoid" if n_outputs == 1 else "softmax")
    net = fn.Network([*[fn.Dense(n_units, "tanh")] * n_hidden, output], 2, dtype="float64")
    random = np.random.RandomState(0)
    for W, b in zip(net.weights, net.biases, strict=True):
        W[...] = random.normal(scale=2 / np.sqrt(len(W)), size=W.shape)
        b[...] = random.normal(scale=0.5, size=b.shape)
    return net


def points():
    """Sixty points of two classes along two half circles."""
    y = np.arange(60) % 2
    angle = np.linspace(0, np.pi, 60)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, -1, 1)[:, None] + np.outer(y, [1, 0.5])
    return X + np.random.RandomState(1).normal(scale=0.15, size=X.shape), y


def recorder():
    """Five records of a network whose parameters grow."""
    net, records = network(3), Recorder(*points())
    for _ in range(5):
        records.record(net)
        net.params[:] *= 1.3
    return records


def run(rate):
    """The curves of a run that learns at `rate` and overfits."""
    epochs = np.arange(1, 21)
    decay = np.exp(-rate * epochs)
    return {
        "loss": 0.1 + 0.6 * decay,
        "val_loss": 0.15 + 0.6 * decay + 0.02 * rate * epochs,
        "learning_rate": rate * 0.5 ** (epochs // 8),
        "grad_norm": 3 * decay + 0.3 * np.cos(epochs) ** 2,
    }


def scored(shift, name):
    """The curves of a run judged by a score that is best before the validation loss is lowest."""
    scores = 0.9 - 0.01 * np.abs(np.arange(1, 21) - shift)
    return {**{key: run(0.2)[key] for key in ("loss", "val_loss")}, "val_score": scores, "score_name": name}


def small():
    return network(3)


def large():
    return network(300, n_hidden=2)


DRAWINGS = {
    "network_3_units": lambda: NetworkDisplay.from_estimator(small(), feature_names=["age", "weight"], output_names=["ill"]),
    "network_300_units": lambda: NetworkDisplay.from_estimator(large()),
    "levels_3_units": lambda: NeuronLevelsDisplay.from_estimator(small(), *points(), grid_resolution=40),
    "levels_300_units": lambda: NeuronLevelsDisplay.from_estimator(large(), *points(), grid_resolution=40, max_units=4),
    "boundaries": lambda: DecisionBoundariesDisplay.from_estimators(
        {"3 units": small(), "300 units": large(), "two outputs": network(3, n_outputs=2)}, *points(), grid_resolution=40
    ),
    "activations": ActivationDisplay.from_activations,
    "graph_3_units": lambda: ComputationGraphDisplay.from_estimator(small(), *(array[0] for array in points())),
    "graph_300_units": lambda: ComputationGraphDisplay.from_estimator(large(), *points()),
    "history_of_one_run": lambda: HistoryDisplay.from_history(run(0.3)),
    "history_of_two_runs": lambda: HistoryDisplay.from_history({"fast": run(0.4), "slow": run(0.15)}),
    "history_of_one_scored_run": lambda: HistoryDisplay.from_history(scored(5, "accuracy")),
    "history_of_two_scores": lambda: HistoryDisplay.from_history({"one": scored(4, "accuracy"), "two": scored(8, "AUC")}),
    "flow_3_units": lambda: GradientFlowDisplay.from_recorder(recorder()),
    "flow_300_units": lambda: GradientFlowDisplay.from_estimator(large(), *points()),
    "histograms_3_units": lambda: ActivationHistogramDisplay.from_recorder(recorder()),
    "histograms_300_units": lambda: ActivationHistogramDisplay.from_estimator(large(), points()[0]),
}
PICTURES = [f"{name}-{style}.png" for name in DRAWINGS for style in STYLES]


def draw(path, *, like=None, change=None):
    """Draw the picture that `path` is named after, with the axes placed as in the file `like`, and return `path`."""
    name, style = path.stem.split("-")
    with plt.style.context(STYLES[style]):
        display = DRAWINGS[name]()
        figure = display.figure_
        if like is None:
            figure.draw_without_rendering()
            places = [axes.get_position().bounds for axes in figure.axes]
        else:
            places = json.loads(Image.open(like).text["places"])
        figure.set_layout_engine("none")
        for axes, place in zip(figure.axes, places, strict=False):
            axes.set_position(place)
        if change is not None:
            change(display)
        figure.set_dpi(4 * DPI)
        figure.canvas.draw()
        image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))
        plt.close(figure)
    info = PngInfo()
    info.add_text("places", json.dumps(places))
    image.convert("RGB").reduce(4).quantize().save(path, pnginfo=info, optimize=like is None)
    return path


def redraw(picture, folder, change=None):
    return draw(folder / picture, like=BASELINE / picture, change=change)


def difference(actual):
    """Say how the picture in the file `actual` differs from the stored one of its name; None if it does not."""
    files = {"expected": BASELINE / actual.name, "actual": actual}
    named = "".join(f"\n  {role}: {path}" for role, path in files.items())
    pair = {role: Image.open(path).convert("RGB") for role, path in files.items()}
    if pair["expected"].size != pair["actual"].size:
        return f"The picture has {pair['actual'].size} pixels, not {pair['expected'].size}.{named}"
    blurred = [actual.with_name(f"{actual.stem}-{role}.png") for role in pair]
    for image, path in zip(pair.values(), blurred, strict=True):
        image.filter(ImageFilter.GaussianBlur(BLUR)).save(path, compress_level=1)
    found = compare_images(*map(str, blurred), tol=TOLERANCE, in_decorator=True)
    return found and f"The picture differs by {found['rms']:.2f}, more than {TOLERANCE}.{named}\n  difference: {found['diff']}"


@pytest.mark.parametrize(("name", "style"), spread(2, DRAWINGS, STYLES))
def test_picture_is_the_stored_one(name, style, tmp_path):
    assert difference(redraw(f"{name}-{style}.png", tmp_path)) is None


def test_every_stored_picture_is_drawn():
    assert sorted(path.name for path in BASELINE.iterdir()) == sorted(PICTURES)


def test_settings_of_the_user_do_not_matter(tmp_path):
    with mpl.rc_context({"font.size": 20, "font.family": "serif", "axes.facecolor": "gray", "axes.grid": True}):
        assert difference(redraw("history_of_one_run-light.png", tmp_path)) is None


def swap_colors(one, other):
    color = one.get_color()
    one.set_color(other.get_color())
    other.set_color(color)


def swap_places(one, other):
    place = one.get_position()
    one.set_position(other.get_position())
    other.set_position(place)


def reverse_colors(collections):
    for collection in collections:
        collection.set_array(-collection.get_array())


CHANGES = [
    ("network_3_units", "no edges to the output", lambda display: display.edges_[1].remove()),
    ("network_3_units", "no names", lambda display: [text.set_visible(False) for text in display.ax_.texts]),
    ("network_3_units", "signs reversed", lambda display: reverse_colors(display.edges_)),
    ("network_300_units", "no edges between the hidden layers", lambda display: display.edges_[1].remove()),
    ("network_300_units", "no nodes in a layer", lambda display: display.nodes_[1].remove()),
    ("levels_3_units", "neurons swapped", lambda display: swap_places(*display.axes_[0][:2])),
    ("levels_300_units", "no titles", lambda display: [panel.set_title("") for panel in display.axes_[0]]),
    ("boundaries", "models swapped", lambda display: swap_places(*display.axes_[:2])),
    ("activations", "no legend", lambda display: display.axes_[-1].get_legend().remove()),
    ("activations", "no title", lambda display: display.axes_[0].set_title("")),
    ("graph_3_units", "no box", lambda display: display.boxes_["A[1]"].remove()),
    ("graph_300_units", "colour of a box", lambda display: display.boxes_["A[1]"].set_edgecolor("red")),
    ("history_of_one_run", "no legend", lambda display: display.ax_.get_legend().remove()),
    ("history_of_one_run", "curves swapped", lambda display: swap_colors(*display.ax_.lines[:2])),
    ("history_of_two_runs", "linear scale", lambda display: display.axes_[2].set_yscale("linear")),
    ("history_of_two_scores", "scores swapped", lambda display: swap_places(*display.axes_[1:])),
    ("flow_3_units", "no legend", lambda display: display.ax_.get_legend().remove()),
    ("flow_3_units", "no label", lambda display: display.ax_.set_ylabel("")),
    ("flow_300_units", "no thin bars", lambda display: [bar.set_visible(False) for bar in display.ax_.lines[:3]]),
    ("histograms_3_units", "layers swapped", lambda display: swap_places(*display.axes_)),
    ("histograms_300_units", "similar layers swapped", lambda display: swap_places(*display.axes_[:2])),
]


@pytest.mark.parametrize(("name", "change"), [pytest.param(name, change, id=f"{name}: {what}") for name, what, change in CHANGES])
def test_changed_picture_is_told_from_the_stored_one(name, change, tmp_path):
    actual = redraw(f"{name}-light.png", tmp_path, change)
    message = difference(actual)
    assert message is not None and message.startswith("The picture differs by")
    expected, drawn, differing = (Path(line.split(": ", 1)[1]) for line in message.splitlines()[1:])
    assert (expected, drawn) == (BASELINE / actual.name, actual) and differing.is_file()


def test_picture_of_another_size_is_told_from_the_stored_one(tmp_path):
    actual = redraw("activations-light.png", tmp_path, lambda display: display.figure_.set_size_inches(5, 2))
    assert "(300, 120) pixels, not (672, 150)" in difference(actual)


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for picture in PICTURES:
        draw(BASELINE / picture)
