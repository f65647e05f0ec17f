"""How a history looks: one line, and a table in notebooks."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastnet as fn

NAN = float("nan")


def history(n, **curves):
    """A history of n epochs whose loss falls from 1, with other curves."""
    loss = np.linspace(1, 0.5, n).tolist()
    return fn.History(**{"loss": loss, "n_rows": [123456] * n, "grad_norm": [NAN] * n, **curves})


def cells(html):
    """Rows of the table, the header first."""
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


@pytest.mark.parametrize(
    "shown, expected",
    [
        (fn.History(), "<History of 0 epochs>"),
        (history(1), "<History of 1 epoch: loss 1 -> 1; best epoch 1 with loss 1>"),
        (history(200), "<History of 200 epochs: loss 1 -> 0.5; best epoch 200 with loss 0.5>"),
        (
            history(3, val_loss=[2.0, 1 / 3, 1.0]),
            "<History of 3 epochs: loss 1 -> 0.5, val_loss 2 -> 1; best epoch 2 with val_loss 0.3333>",
        ),
        (
            history(3, val_loss=[NAN, 0.5, 0.4]),
            "<History of 3 epochs: loss 1 -> 0.5, val_loss 0.5 -> 0.4; best epoch 3 with val_loss 0.4>",
        ),
        (
            history(2, val_loss=[0.5, NAN]),
            "<History of 2 epochs: loss 1 -> 0.5, val_loss 0.5 -> nan; best epoch 1 with val_loss 0.5>",
        ),
    ],
)
def test_repr_is_one_line(shown, expected):
    assert repr(shown) == expected


def test_table_of_a_short_history():
    header, *rows, foot = cells(history(3, val_loss=[2.0, 1 / 3, 1.0])._repr_html_())
    assert header == ["epoch", "loss", "val_loss", "n_rows"]
    assert rows == [["1", "1", "2", "123,456"], ["2", "0.75", "0.3333", "123,456"], ["3", "0.5", "1", "123,456"]]
    assert "best epoch 2 with val_loss 0.3333" in history(3, val_loss=[2.0, 1 / 3, 1.0])._repr_html_()


@pytest.mark.parametrize("n", [11, 12, 1000])
def test_table_of_a_long_history_has_its_ends(n):
    _, *rows, _ = cells(history(n)._repr_html_())
    assert len(rows) == 11
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6" if n == 11 else "...", *map(str, range(n - 4, n + 1))]


def test_tables_of_what_training_gives():
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 3
    for options in ({}, {"optimizer": "lbfgs"}, {"validation_data": (X, y), "track_grad_norm": True}):
        fitted = fn.Network([fn.Dense(3, "softmax")], 3, random_state=0).fit(X, y, epochs=4, **options)
        header, *rows, _ = cells(fitted._repr_html_())
        assert len(rows) == 4
        assert "nan" not in fitted._repr_html_()
        assert ("val_loss" in header, "grad_norm" in header) == ("validation_data" in options,) * 2


def test_the_table_of_no_epochs_is_empty():
    assert cells(fn.History()._repr_html_())[0] == ["epoch"]
