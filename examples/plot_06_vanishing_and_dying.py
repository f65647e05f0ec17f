"""
Vanishing gradients and dying ReLU, seen and cured
==================================================

Two ways in which a network stops learning. fastnet measures both: the share of saturated and dead
units, and the size of the gradient in each layer.
"""

# %%
# Vanishing gradients
# -------------------
# Each sigmoid layer multiplies the gradient by a derivative of at most a quarter. After eight of
# them nothing arrives in the first.

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

import fastnet as fn
from fastnet.inspection import diagnose
from fastnet.plotting import GradientFlowDisplay, HistoryDisplay

X, y = make_moons(500, noise=0.15, random_state=0)


def deep(activation):
    return fn.Network(
        [*(fn.Dense(16, activation) for _ in range(8)), fn.Dense(1, "sigmoid")],
        n_inputs=2,
        random_state=0,
    )


print(diagnose(deep("sigmoid"), X, y))

# %%
# The size of the gradient, layer by layer: it falls by orders of magnitude with the sigmoid, and
# stays with ReLU.

fig, axes = plt.subplots(2, 1, figsize=(8, 6), sharey=True, layout="constrained")
for ax, activation in zip(axes, ("sigmoid", "relu"), strict=True):
    GradientFlowDisplay.from_estimator(deep(activation), X, y, ax=ax)
    ax.set_title(activation)
plt.show()

# %%
# The cure is another activation. Trained alike, the network that can use all of its layers
# learns more:

histories = {
    a: deep(a).fit(X, y, optimizer=fn.Adam(0.003), epochs=40, random_state=0)
    for a in ("sigmoid", "relu")
}
HistoryDisplay.from_history(histories)
plt.show()

# %%
# Dying ReLU
# ----------
# A unit whose pre-activation is negative for all data gives 0, gets no gradient, and never comes
# back. One step with too large a learning rate can leave biases from which that follows; here
# they are set by hand.


def shallow(activation):
    net = fn.Network([fn.Dense(32, activation), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
    net.biases[0][:] = -4.0
    return net


dying = shallow("relu")
print(diagnose(dying, X, y))

# %%
# LeakyReLU lets a little of the gradient through, so its units come back to life.

histories = {}
for name, activation in (("relu", "relu"), ("leaky_relu", fn.LeakyReLU(0.1))):
    net = shallow(activation)
    histories[name] = net.fit(X, y, optimizer=fn.Adam(0.01), epochs=100, random_state=0)
    print(f"{name}: {(net.predict(X) == y).mean():.1%} right")
HistoryDisplay.from_history(histories)
plt.show()
