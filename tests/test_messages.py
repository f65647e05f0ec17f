"""Mistakes that newcomers make, and the messages that tell them what to write instead."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastnet as fn

X = np.random.default_rng(0).normal(size=(60, 3))
y = np.arange(60) % 3
TEXT = np.array(list("abc") * 20)


def network():
    return fn.Network([fn.Dense(3, "softmax")], 3, random_state=0)


ESTIMATOR_MISTAKES = {
    "a number as learning_rate": (fn.MLPClassifier(learning_rate=0.01), "The number goes to learning_rate_init"),
    "layers as the first argument": (fn.MLPRegressor((128, 64)), r"MLPRegressor\(hidden_layer_sizes=\(128, 64\)\)"),
    "one layer as the first argument": (fn.MLPRegressor(64), r"MLPRegressor\(hidden_layer_sizes=64\)"),
    "mse": (fn.MLPRegressor("mse"), "Did you mean 'squared_error'"),
    "mae": (fn.MLPRegressor("mae"), "Did you mean 'absolute_error'"),
    "ReLU": (fn.MLPClassifier(activation="ReLU"), "a str among elu, exponential, gelu.* Did you mean 'relu'"),
    "Adam": (fn.MLPClassifier(solver="Adam"), "Did you mean 'adam'"),
    "a share of rows": (fn.MLPClassifier(early_stopping=True, validation_split=0.2), "goes to validation_fraction"),
    "roc_auc of three": (fn.MLPClassifier(early_stopping=True, scoring="roc_auc"), "use 'roc_auc_ovr'"),
}


@pytest.mark.parametrize("mistake", ESTIMATOR_MISTAKES)
def test_estimators(mistake):
    estimator, message = ESTIMATOR_MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)


NETWORK_MISTAKES = {
    "lr": ({"lr": 0.1}, TypeError, "fit has no option 'lr'; it has loss, optimizer.* Did you mean learning_rate"),
    "X_val": ({"X_val": X}, TypeError, "Did you mean validation_data"),
    "alpha": ({"alpha": 0.1}, TypeError, "Did you mean l2"),
    "misspelt": ({"batchsize": 8}, TypeError, "Did you mean 'batch_size'"),
    "unlike any": ({"zebra": 8}, TypeError, "n_threads, resume_from.$"),
    "loss of elsewhere": ({"loss": "categorical_crossentropy"}, ValueError, "Did you mean 'cross_entropy'"),
    "optimiser in capitals": ({"optimizer": "Adam"}, ValueError, "Did you mean 'adam'"),
    "a class": ({"callbacks": [fn.EarlyStopping]}, TypeError, r"give EarlyStopping\(...\), with parentheses"),
    "one callback": ({"callbacks": fn.EarlyStopping()}, TypeError, r"give callbacks=\[...\]"),
}


@pytest.mark.parametrize("mistake", NETWORK_MISTAKES)
def test_networks(mistake):
    options, error, message = NETWORK_MISTAKES[mistake]
    with pytest.raises(error, match=message):
        network().fit(X, y, **options)


@pytest.mark.parametrize(
    "name, meant", [("rellu", "relu"), ("ReLU", "relu"), ("swish", "silu"), ("linear", "identity"), ("Leaky-ReLU", "leaky_relu")]
)
def test_activations(name, meant):
    with pytest.raises(ValueError, match=f"Unknown activation '{name}'; known are: elu, .* Did you mean '{meant}'"):
        fn.Dense(3, name)


def test_names_unlike_any_get_no_suggestion():
    with pytest.raises(ValueError, match="tanh.$"):
        fn.Dense(3, "zebra")


def test_text():
    with pytest.raises(TypeError, match="X must hold real numbers.*OneHotEncoder"):
        network().fit(TEXT.reshape(-1, 1).repeat(3, 1), y)
    with pytest.raises(TypeError, match="y must hold real numbers.*np.unique.*MLPClassifier"):
        network().fit(X, TEXT)
    with pytest.raises(ValueError, match="could not convert string to float.*OneHotEncoder"):
        fn.MLPClassifier().fit(TEXT.reshape(-1, 1), y)


def test_a_class_of_one_row_that_should_be_split_off():
    classes = np.zeros(60, int)
    classes[0] = 1
    with pytest.raises(ValueError, match="least populated classes.*stratify=False"):
        fn.MLPClassifier(early_stopping=True).fit(X, classes)


def test_a_pickle_is_no_model_file(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(pickle.dumps(X))
    with pytest.raises(ValueError, match="not a safetensors file: a pickle or an archive, as joblib"):
        fn.load(path)
