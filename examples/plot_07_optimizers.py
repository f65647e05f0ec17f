"""
Optimisers compared on one problem
==================================

Seven update rules start from the same initial weights and see the same batches in the same order.
For each, the best of three learning rates is shown, because no single rate suits all of them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(1000, 2)).astype(np.float32)
y = np.sin(2 * X[:, 0]) * np.cos(X[:, 1])


def train(optimizer):
    net = fn.Network(
        [fn.Dense(32, "tanh"), fn.Dense(32, "tanh"), fn.Dense(1, "identity")],
        n_inputs=2,
        random_state=0,
    )
    return net.fit(X, y, optimizer=optimizer, batch_size=32, epochs=60, random_state=0).loss


families = {
    "SGD": (fn.SGD, (0.03, 0.1, 0.3)),
    "momentum": (lambda rate: fn.SGD(rate, momentum=0.9), (0.01, 0.03, 0.1)),
    "Nesterov": (lambda rate: fn.SGD(rate, momentum=0.9, nesterov=True), (0.01, 0.03, 0.1)),
    "AdaGrad": (fn.AdaGrad, (0.01, 0.03, 0.1)),
    "RMSprop": (fn.RMSprop, (0.001, 0.003, 0.01)),
    "Adam": (fn.Adam, (0.001, 0.003, 0.01)),
    "AdamW": (fn.AdamW, (0.001, 0.003, 0.01)),
}
curves = {}
for name, (make, rates) in families.items():
    losses = {rate: train(make(rate)) for rate in rates}
    best = min(rates, key=lambda rate: losses[rate][-1])
    curves[name] = losses[best]
    print(f"{name:9} learning rate {best:<6} loss {losses[best][-1]:.5f}")

# %%
# Plain SGD is slow in flat directions. Momentum gathers speed in them, and the adaptive rules scale
# the step of each parameter separately.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, losses in curves.items():
    ax.semilogy(losses, label=name)
ax.set(xlabel="epoch", ylabel="training loss")
ax.legend(frameon=False, ncols=2)
plt.show()

# %%
# A schedule that lowers the learning rate at the end reduces the noise of the last steps. Adam with
# two such schedules:

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.semilogy(curves["Adam"], label="Adam, constant")
ax.semilogy(train(fn.Adam(fn.Cosine(0.01))), label="Adam, cosine")
ax.semilogy(train(fn.Adam(fn.OneCycle(0.02))), label="Adam, one cycle")
ax.set(xlabel="epoch", ylabel="training loss")
ax.legend(frameon=False)
plt.show()
