"""
Four kinds of networks on MNIST-1D
==================================

MNIST-1D (Greydanus & Kobak 2024, *Scaling down deep learning with MNIST-1D*) is made to show in seconds what large data sets
show in hours: which kind of network suits which data. Each row is the outline of a digit as 40 numbers, which is moved,
stretched, sheared and blurred by noise. The package ``mnist1d`` makes it: ``pip install mnist1d``.
"""

import matplotlib.pyplot as plt
import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

import fastnet as fn

data = make_dataset(get_dataset_args())
X_train, X_test = (data[name].astype(np.float32)[..., None] for name in ("x", "x_test"))
y_train, y_test = data["y"], data["y_test"]

fig, axes = plt.subplots(2, 5, figsize=(9, 3), sharex=True, sharey=True, layout="constrained")
for digit, ax in enumerate(axes.flat):
    ax.plot(X_train[y_train == digit][:3, :, 0].T, linewidth=1)
    ax.set_title(str(digit))

# %%
# The networks
# ------------
# Logistic regression and dense layers know nothing of order: to them, the same digit moved by two places is a different row.
# A GRU goes through the numbers one after the other; convolutions look for the same patterns everywhere. The published
# figures come from the data set's authors, for networks of these kinds.

networks = {
    "logistic regression": [fn.Flatten()],
    "dense layers": [fn.Flatten(), fn.Dense(100), fn.Dense(100)],
    "GRU": [fn.Bidirectional(fn.GRU(24))],
    "convolutions": [
        fn.Conv1d(25, 5, stride=2, padding=1),
        fn.Conv1d(25, 3, stride=2, padding=1),
        fn.Conv1d(25, 3, stride=2, padding=1),
        fn.Flatten(),
        fn.Dropout(0.2),
    ],
}
epochs = {"logistic regression": 30, "dense layers": 30, "GRU": 20, "convolutions": 100}
published = {"logistic regression": 0.32, "dense layers": 0.68, "GRU": 0.91, "convolutions": 0.94}
right = {}
for name, layers in networks.items():
    net = fn.Network([*layers, fn.Dense(10, "softmax")], input_shape=(40, 1), random_state=0)
    history = net.fit(
        X_train,
        y_train,
        optimizer=fn.AdamW(0.01),
        learning_rate=fn.Cosine(0.01),
        batch_size=64,
        epochs=epochs[name],
        random_state=0,
    )
    right[name] = net.score(X_test, y_test)
    print(f"{name:20} {right[name]:5.1%}, published {published[name]:.0%}; {sum(history.seconds):4.1f} s")

# %%

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
places = np.arange(len(right))
ax.barh(places - 0.2, right.values(), 0.4, label="fastnet")
ax.barh(places + 0.2, published.values(), 0.4, label="published", color="lightgrey")
ax.set_yticks(places, right)
ax.invert_yaxis()
ax.set_xlabel("share of the test digits that are right")
ax.legend()

plt.show()
