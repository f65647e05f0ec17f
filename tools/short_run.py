"""A little of everything the core does, for tools that make it a hundred times slower."""

import numpy as np
from scipy import sparse

import fastnet as fn

rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    X = rng.normal(size=(75, 9)).astype(dtype)
    y = rng.integers(0, 3, 75)
    for activation in ("relu", "tanh", "gelu", "mish"):
        layers = [fn.Dense(21, activation, dropout=0.2), fn.Dense(17, activation), fn.Dense(3, "softmax")]
        net = fn.Network(layers, n_inputs=9, dtype=dtype, random_state=0)
        net.fit(X, y, batch_size=32, epochs=2, max_grad_norm=1.0, l2=1e-3, random_state=0, n_threads=2)
        net.fit(sparse.csr_matrix(X), y, batch_size=32, epochs=1, random_state=0, n_threads=2)
        net.forward(X), net.forward(X[0]), net.activations(X), net.loss_and_grad(X, y)
wide = fn.Network([fn.Dense(1100, "relu"), fn.Dense(1, "identity")], n_inputs=1000, random_state=0)
wide.fit(rng.normal(size=(40, 1000)), rng.normal(size=40), epochs=1, batch_size=20, n_threads=2)
print("done")
