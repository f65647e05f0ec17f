"""
Decision boundaries of four activations
=======================================

The same network on the same data, with four activation functions. Sigmoid and tanh units give
smooth boundaries. ReLU and LeakyReLU are piecewise linear, and so are their boundaries.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

from fastnet import MLPClassifier
from fastnet.plotting import ActivationDisplay, DecisionBoundariesDisplay

X, y = make_moons(200, noise=0.25, random_state=0)
classifier = MLPClassifier((16,), solver="lbfgs", alpha=0.3, max_iter=2000, random_state=0)
display = DecisionBoundariesDisplay.from_data(X, y, estimator=classifier)
plt.show()

# %%
# The functions themselves, with their derivatives. Where a function saturates its derivative is
# close to 0, and its units hardly learn.

ActivationDisplay.from_activations(["sigmoid", "tanh", "relu", "leaky_relu"])
plt.show()

# %%
# The boundaries of smooth variants of ReLU are in between.

DecisionBoundariesDisplay.from_data(
    X, y, estimator=classifier, activations=["elu", "gelu", "silu", "softplus"]
)
plt.show()
