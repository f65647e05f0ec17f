"""
Decision boundaries of four activations
=======================================

The same data, the same network, four activation functions. Sigmoid and tanh units draw smooth
boundaries; ReLU and LeakyReLU are linear in pieces, and so are the boundaries they draw.
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
# The functions themselves, with their derivatives; where a function saturates, its units hardly
# learn.

ActivationDisplay.from_activations(["sigmoid", "tanh", "relu", "leaky_relu"])
plt.show()

# %%
# The smooth relatives of ReLU lie between the two families.

DecisionBoundariesDisplay.from_data(
    X, y, estimator=classifier, activations=["elu", "gelu", "silu", "softplus"]
)
plt.show()
