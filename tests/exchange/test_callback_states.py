"""Checkpoints: the states of users' callbacks come back as they were, and what cannot come back is not written."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet import checkpoint

X = np.random.default_rng(0).normal(size=(40, 4))
Y = (X[:, 0] > 0).astype(int)


class Remembers(fn.Callback):
    """Has a value that changes after the first epoch."""

    def __init__(self, before, after, name="value"):
        self.value, self._after, self._name = before, after, name

    def on_epoch_end(self, session):
        self.value = self._after

    def state_dict(self):
        return {self._name: self.value}

    def load_state_dict(self, state):
        self.value = state[self._name]


class Loads(Remembers):
    """Keeps what it was given."""

    def on_train_begin(self, session):
        self.given = self.value


def fit(callback, folder, epochs):
    net = fn.Network([fn.Dense(3), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    callbacks = [callback, fn.Checkpoint(folder)]
    return net.fit(X, Y, epochs=epochs, callbacks=callbacks, resume_from=checkpoint.latest(folder), random_state=0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0, 3),
        (None, "abc"),
        (1.0, None),
        (np.inf, np.float32(0.5)),
        (0.0, np.float64(0.5)),
        (None, np.array([[np.inf, np.nan]])),
        (np.zeros(2, int), np.array([0.5, 1.5])),
        (np.zeros(0), np.zeros((2, 2))),
        (np.zeros(1), None),
        (None, True),
        (False, np.bool_(True)),
        (None, [1, "a", None]),
        ([], [0.5, [2]]),
        ((), (1, 2)),
        ({}, {"1": 0.5, 2: np.ones(3)}),
        (None, np.array(["a", "bc"])),
    ],
    ids=str,
)
def test_a_run_resumes_whatever_its_callbacks_remember(before, after, tmp_path):
    fit(Loads(before, after), tmp_path, 2)
    again = Loads(before, after)
    assert len(fit(again, tmp_path, 4)) == 4
    assert type(again.given) is type(after)
    np.testing.assert_equal(again.given, after)


def test_the_names_in_a_state_may_change(tmp_path):
    class Grows(Remembers):
        def state_dict(self):
            return {} if self.value is None else {"value": self.value}

        def load_state_dict(self, state):
            self.value = state["value"]

    fit(Grows(None, 1), tmp_path, 1)
    assert len(fit(Grows(None, 1), tmp_path, 2)) == 2


@pytest.mark.parametrize("value", [{1, 2}, len, 1 + 2j, [1 + 2j], {"a": {1}}, np.ones(2, complex)], ids=str)
def test_other_types_are_refused_before_anything_is_written(value, tmp_path):
    message = r"The state of Remembers cannot be saved: .* numbers, bools, strings, None, arrays, and lists"
    with pytest.raises(TypeError, match=message):
        fit(Remembers(0, value), tmp_path, 2)
    assert checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize("state", [None, [1], {1: 2}], ids=str)
def test_a_state_is_a_dictionary_with_names(state, tmp_path):
    class Odd(Remembers):
        def state_dict(self):
            return state

    with pytest.raises(TypeError, match=r"state_dict\(\) of Odd must return a dictionary whose keys are strings, got"):
        fit(Odd(0, 1), tmp_path, 1)


def test_arrays_of_parameters_are_those_of_the_network(tmp_path):
    with pytest.raises(ValueError, match="The state of Remembers has under 'my_params' .*23,. and float32: give it a name"):
        fit(Remembers(None, np.zeros(3), "my_params"), tmp_path, 1)
    fit(Remembers(None, 3, "n_params"), tmp_path, 1)
    assert len(fit(Remembers(None, 3, "n_params"), tmp_path, 2)) == 2
