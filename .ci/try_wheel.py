"""Train with an installed wheel: run from outside the repository."""

import importlib.metadata
import pathlib
import tempfile

import numpy as np

import fastnet as fn

assert pathlib.Path(fn.__file__).parts[-3] == "site-packages", f"not the installed package: {fn.__file__}"
assert importlib.metadata.version("fastnet-cpu") == fn.__version__
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 5)).astype(np.float32)
y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
net = fn.Network([fn.Dense(32, "relu"), fn.Dense(2, "softmax")], n_inputs=5, random_state=0)
history = net.fit(X, y, optimizer=fn.Adam(1e-2), epochs=40, random_state=0)
assert history.loss[-1] < 0.25 < history.loss[0], history.loss
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "model.safetensors")
    net.save(path)
    assert np.array_equal(fn.load(path).forward(X), net.forward(X))
assert fn.MLPClassifier((32,), learning_rate_init=0.01, random_state=0, max_iter=300).fit(X, y).score(X, y) > 0.9
fn.show_config()
