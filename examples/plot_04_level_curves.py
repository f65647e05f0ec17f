"""
What every neuron computes
==========================

With two input features, the output of each neuron is a function on the plane, which can be drawn
by its level curves. In the first layer they are straight lines; each further layer combines the
functions of the layer before, and the patterns become more complex.
"""

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn
from fastnet.plotting import NetworkDisplay, NeuronLevelsDisplay

rng = np.random.default_rng(0)
angle = rng.uniform(0, 2 * np.pi, size=400)
radius = np.where(np.arange(400) < 200, 0.5, 1.3) + 0.12 * rng.normal(size=400)
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
y = (np.arange(400) >= 200).astype(int)

net = fn.Network(
    [fn.Dense(5, "tanh"), fn.Dense(3, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0
)
net.fit(X, y, optimizer=fn.Adam(0.02), batch_size=32, epochs=150, random_state=0)
print(f"accuracy on the training data: {(net.predict(X) == y).mean():.1%}")

# %%
# The network as a graph: an edge's colour shows the sign of its weight, its width the size.

NetworkDisplay.from_estimator(net, feature_names=["x", "y"], output_names=["outer ring"])
plt.show()

# %%
# There is a row for each layer. Half planes are combined into bent and closed curves, and these
# into the boundary of a ring.

NeuronLevelsDisplay.from_estimator(net, X, y)
plt.show()
