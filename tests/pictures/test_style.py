"""Colours can be told apart, and importing `fastnet.inspection` does not import other libraries."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_rgb

from fastnet.plotting import _style

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, deficiency):
    """CIE L*a*b* of the colour as it is seen."""
    seen = np.clip(DEFICIENCIES[deficiency] @ linear(color), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ seen / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(first, second):
    """WCAG contrast ratio."""
    bright, dim = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (first, second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_hues_stay_apart(style, deficiency):
    for first, second in combinations(_style.palette(), 2):
        distance = np.linalg.norm(lab(first, deficiency) - lab(second, deficiency))
        assert distance > 12, f"{first} and {second} look alike under {deficiency}"


def test_hues_stand_out_from_the_background(style):
    for color in _style.palette():
        assert contrast(color, rcParams["axes.facecolor"]) > 2.2, color


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_signs_are_far_apart(style, deficiency):
    negative, positive = _style.signed_colors()
    assert np.linalg.norm(lab(negative, deficiency) - lab(positive, deficiency)) > 60


def test_layers_go_from_dark_to_bright(style):
    lightness = [lab(color, "none")[0] for color in _style.layer_colors(9)]
    assert (np.diff(lightness) > 0).all()
    assert len(_style.layer_colors(1)) == 1


def test_zero_is_near_the_background(style):
    middle = _style.diverging_map()(0.5)[:3]
    assert np.abs(np.array(middle) - to_rgb(rcParams["axes.facecolor"])).max() < 0.15


def test_text_follows_the_style(style):
    assert _style.is_dark() == (style == "dark_background")
    assert _style.text_color() == ("white" if style == "dark_background" else "black")


def test_inspection_imports_neither_matplotlib_nor_sklearn():
    code = "import sys, fastnet, fastnet.inspection; print([m for m in ('matplotlib', 'sklearn') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
