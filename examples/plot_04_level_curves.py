"""
What every neuron sees
======================

Over an input of two features, each neuron is a function of the plane, and its level curves show
it. In the first layer they are straight lines; each further layer combines what the layer before
has made, and the patterns grow.
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
print(f"right on {(net.predict(X) == y).mean():.1%}")

# %%
# The network as a graph: colour and width of an edge are sign and size of its weight.

NetworkDisplay.from_estimator(net, feature_names=["x", "y"], output_names=["outer ring"])
plt.show()

# %%
# A row for each layer. Half planes are combined into bends and closed curves, and these
# into the boundary of a ring.

NeuronLevelsDisplay.from_estimator(net, X, y)
plt.show()
