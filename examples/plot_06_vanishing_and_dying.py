"""
Vanishing gradients and dying ReLU, seen and cured
==================================================

A network can stop learning because its gradient vanishes or because its units die. ``diagnose``
finds both: it measures the size of the gradient in each layer, and the share of dead units.
"""

# %%
# Vanishing gradients
# -------------------
# Each sigmoid layer multiplies the gradient by a derivative of at most 1/4. After eight of them,
# almost nothing reaches the first layer.

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
# The size of the gradient in each layer: with the sigmoid it falls by orders of magnitude on the
# way back, with ReLU it stays about the same.

fig, axes = plt.subplots(2, 1, figsize=(8, 6), sharey=True, layout="constrained")
for ax, activation in zip(axes, ("sigmoid", "relu"), strict=True):
    GradientFlowDisplay.from_estimator(deep(activation), X, y, ax=ax)
    ax.set_title(activation)
plt.show()

# %%
# The cure is another activation function. With the same training, the network whose gradient
# reaches all layers gets a lower loss:

histories = {
    a: deep(a).fit(X, y, optimizer=fn.Adam(0.003), epochs=40, random_state=0)
    for a in ("sigmoid", "relu")
}
HistoryDisplay.from_history(histories)
plt.show()

# %%
# Dying ReLU
# ----------
# A unit whose pre-activation is negative for all data outputs 0 and gets no gradient, so it never
# changes again: it is dead. A single step with too large a learning rate can leave units in this
# state; here it is brought about by biases that are set by hand.


def shallow(activation):
    net = fn.Network([fn.Dense(32, activation), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
    net.biases[0][:] = -4.0
    return net


dying = shallow("relu")
print(diagnose(dying, X, y))

# %%
# LeakyReLU lets a little of the gradient through, so its units recover.

histories = {}
for name, activation in (("relu", "relu"), ("leaky_relu", fn.LeakyReLU(0.1))):
    net = shallow(activation)
    histories[name] = net.fit(X, y, optimizer=fn.Adam(0.01), epochs=100, random_state=0)
    print(f"{name}: accuracy {(net.predict(X) == y).mean():.1%}")
HistoryDisplay.from_history(histories)
plt.show()
