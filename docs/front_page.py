"""Draw the picture of the README and the front page, docs/_static/front.png: ``python docs/front_page.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image
from sklearn.datasets import make_moons

import fastnet as fn
from fastnet.plotting import DecisionBoundariesDisplay, NetworkDisplay

X, y = make_moons(300, noise=0.2, random_state=0)
net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(6, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=1)
net.fit(X, y, optimizer=fn.Adam(0.02), l2=1e-3, epochs=200, random_state=0)

figure, (graph, plane) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(1.3, 1), layout="constrained")
NetworkDisplay.from_estimator(net, ax=graph)
DecisionBoundariesDisplay.from_estimators({"its decision boundary": net}, X, y, ax=plane)
file = Path(__file__).parent / "_static" / "front.png"
figure.savefig(file, dpi=120)
Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)  # a third of the bytes
