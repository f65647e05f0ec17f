"""Write the golden files of this format version: models, and what they predict.

Run once a format version, from anywhere: ``python tests/exchange/golden/make_golden.py``. Files that exist are never replaced:
later versions of fastnet must load them as they are.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import safetensors.numpy

import fastnet as fn
from fastnet import MLPClassifier, MLPRegressor
from fastnet.activations import ACTIVATIONS
from fastnet.checkpoint import latest
from fastnet.persistence import FORMAT_VERSION

HERE = Path(__file__).parent
rng = np.random.default_rng(20)
X = rng.normal(size=(12, 4))
TRAIN = rng.normal(size=(60, 4))


def networks() -> dict[str, fn.Network]:
    """One network with every activation, in both dtypes, and the smallest there is."""
    hidden = [fn.Dense(4, name, dropout=0.1) for name in ACTIVATIONS if name not in ("softmax", "exponential")]
    layers = [*hidden, fn.Dense(3, fn.LeakyReLU(0.25), initializer="zeros"), fn.Dense(3, "softmax")]
    found = {f"network-{dtype}": fn.Network(layers, n_inputs=4, dtype=dtype, random_state=1) for dtype in ("float32", "float64")}
    found["perceptron"] = fn.Network([fn.Dense(1, "exponential")], n_inputs=4, random_state=2)
    table = fn.Concat([fn.NumericEmbedding(columns=[0, 1])], [fn.CategoryEmbedding([3, 2], 4, columns=[2, 3])])
    bins = fn.NumericEmbedding("piecewise_linear", bins=fn.quantile_bins(TRAIN, 5), n_units=3)
    body = [fn.Scale(), fn.Dense(6, "identity", scale="ntk"), fn.Parametric("mish"), fn.Dropout(0.1), fn.Dense(2, "softmax")]
    found["layers"] = fn.Network([table, *body], n_inputs=4, n_members=3, random_state=3)
    deep = fn.Residual([fn.LayerNorm(), fn.Dense(12, "silu"), fn.PReLU()])
    found["layers-shared"] = fn.Network(
        [bins, deep, fn.Columns([0, 3]), fn.Dense(2, "identity")],
        n_inputs=4,
        n_members=2,
        ensemble="batch",
        ensemble_loss="mean",
        random_state=4,
    )
    for network in found.values():
        network.params[:] += 0.1 * rng.normal(size=network.n_params)
    return found


def estimators() -> dict[str, MLPClassifier | MLPRegressor]:
    """Estimators with labels of each kind, and parameters of each kind."""
    options = {"random_state": 0, "max_iter": 5}
    words = np.array(["no", "yes", "größer"])[np.arange(60) % 3]
    labels = np.stack([np.arange(60) % 2, np.arange(60) % 3 == 0], axis=1).astype(int)
    solver = fn.AdamW(fn.LinearWarmup(fn.ExponentialDecay(0.01)), weight_decay=0.1)
    several = {"hidden_layer_sizes": (5, 4), "activation": ["mish", fn.ELU(0.5)], "solver": solver, "dropout": [0.1, 0.0]}
    return {
        "classifier-strings": MLPClassifier((5,), "tanh", early_stopping=True, **options).fit(TRAIN, words),
        "classifier-binary": MLPClassifier((5,), class_weight={-1: 2.0, 1: 1.0}, **options).fit(TRAIN, np.arange(60) % 2 * 2 - 1),
        "classifier-multilabel": MLPClassifier((5,), dtype="float32", **options).fit(TRAIN, labels),
        "regressor": MLPRegressor(loss=fn.Huber(0.5), **several, **options).fit(TRAIN, TRAIN[:, :2]),
        "regressor-poisson": MLPRegressor("poisson", (5,), solver="lbfgs", **options).fit(TRAIN, TRAIN[:, 0] ** 2),
    }


def write(folder: Path) -> None:
    """Write all files to an empty folder."""
    expected = {"X": X}
    for name, network in networks().items():
        network.save(folder / f"{name}.safetensors")
        expected[name] = network.forward(X)
    for name, estimator in estimators().items():
        estimator.save(folder / f"{name}.safetensors")
        expected[name] = estimator.predict_proba(X) if isinstance(estimator, MLPClassifier) else estimator.predict(X)
    network = fn.Network([fn.Dense(5, "silu"), fn.Dense(4, "identity")], n_inputs=4, random_state=3)
    with tempfile.TemporaryDirectory() as run:
        callbacks = [fn.EarlyStopping(patience=9), fn.Checkpoint(run)]
        network.fit(TRAIN, TRAIN, epochs=2, validation_data=(X, X), random_state=0, callbacks=callbacks)
        shutil.copy(latest(run), folder / "checkpoint.safetensors")
        expected["checkpoint"] = fn.load(latest(run), mmap=False).forward(X)
    tensors = {name: np.ascontiguousarray(array) for name, array in expected.items()}
    (folder / "expected.safetensors").write_bytes(safetensors.numpy.save(tensors))


def main() -> None:
    folder = HERE / f"format-{FORMAT_VERSION}"
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are written once a format version")
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(folder)


if __name__ == "__main__":
    main()
