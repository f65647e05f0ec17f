"""
One neuron cannot do XOR, a hidden layer can
============================================

The decision boundary of a perceptron is a straight line, and no line separates the two classes of
the exclusive or. A hidden layer maps the four points to places where a line does separate them.
"""

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn
from fastnet.plotting import DecisionBoundariesDisplay

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0, 1, 1, 0])

perceptron = fn.Network(fn.Dense(1, "sigmoid"), n_inputs=2, random_state=0)
mlp = fn.Network([fn.Dense(2, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
histories = {
    name: net.fit(X, y, optimizer=fn.Adam(0.05), batch_size=4, epochs=1000, random_state=0)
    for name, net in (("perceptron", perceptron), ("one hidden layer", mlp))
}
print("target:          ", y)
print("perceptron:      ", perceptron.predict(X))
print("one hidden layer:", mlp.predict(X))

# %%
# The perceptron's loss stays at :math:`\log(2)`: it gives every point a probability of one half.

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, history in histories.items():
    ax.plot(history.loss, label=name)
ax.axhline(np.log(2), color="0.6", ls=":", label="log 2")
ax.set(xlabel="epoch", ylabel="cross-entropy")
ax.legend(frameon=False)
plt.show()

# %%
# The predictions of the two networks over the whole plane:

DecisionBoundariesDisplay.from_estimators(
    {"perceptron": perceptron, "one hidden layer": mlp}, X, y, margin=0.4
)
plt.show()

# %%
# The same four points as the hidden layer sees them: the outputs of its two tanh units are new
# coordinates, in which a line separates the classes. The line shown is the output neuron's.

A1 = mlp.activations(X)[1]
w, b = mlp.weights[1][:, 0], mlp.biases[1][0]
fig, ax = plt.subplots(figsize=(4, 4), layout="constrained")
ax.axline((0, -b / w[1]), slope=-w[0] / w[1], color="0.4")
for label, marker in ((0, "o"), (1, "s")):
    ax.scatter(*A1[y == label].T, marker=marker, s=60, label=f"XOR = {label}")
for (a0, a1), x in zip(A1, X.astype(int), strict=True):
    ax.annotate(
        f"({x[0]}, {x[1]})", (a0, a1), textcoords="offset points", xytext=(8, 18 if x.all() else 6)
    )
ax.set(xlabel="first hidden unit", ylabel="second hidden unit", xlim=(-1.4, 1.6), ylim=(-1.4, 1.6))
ax.legend(frameon=False)
plt.show()
