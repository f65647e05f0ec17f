"""
What a convolution sees
=======================

A network like LeNet, which read cheques in the 1990s, scaled down to scikit-learn's handwritten digits. This example shows
the filters that it learns, and what they find in an image.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnet as fn

X, y = load_digits(return_X_y=True)
X = (X / 16).reshape(-1, 8, 8, 1).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# The network
# -----------
# Convolution, pool, convolution, pool, and dense layers that decide. The weights of the first convolution are eight filters
# of 3 x 3 numbers, each of which is laid on every position of the image.

net = fn.Network(
    [
        fn.Conv2d(8, 3, "relu", padding="same"),
        fn.MaxPool(2),
        fn.Conv2d(16, 3, "relu", padding="same"),
        fn.MaxPool(2),
        fn.Flatten(),
        fn.Dense(32, "relu", dropout=0.2),
        fn.Dense(10, "softmax"),
    ],
    input_shape=(8, 8, 1),
    random_state=0,
)
net.fit(X_train, y_train, optimizer=fn.Adam(0.003), batch_size=32, epochs=30, random_state=0)
print(f"accuracy on digits not seen: {net.score(X_test, y_test):.1%}")
print(net.summary())

# %%
# The filters
# -----------
# Where a filter is red it looks for ink, where it is blue for paper. Most have come to look for edges and strokes in one
# direction.


def show(ax, image, title="", **options):
    """One image without ticks."""
    ax.imshow(image, **options)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="small")


W = net.parameters["1.W"][:, :, 0]  # 3 x 3 x filters
limit = np.abs(W).max()
fig, axes = plt.subplots(1, 8, figsize=(9, 1.5), layout="constrained")
for number, ax in enumerate(axes):
    show(ax, W[..., number], str(number + 1), cmap="RdBu_r", vmin=-limit, vmax=limit)

# %%
# The feature maps
# ----------------
# Each filter makes a map of where in the image it fits. After the first pool the maps are 4 x 4; the second
# convolution looks for combinations in all of them at once. What is left after its pool says little about where something
# is, and much about what it is.

digits = [int(np.flatnonzero(y_test == digit)[0]) for digit in (0, 3, 7)]
activations = net.activations(X_test[digits])
fig, axes = plt.subplots(3, 9, figsize=(9, 3.4), layout="constrained")
for row, maps in zip(axes, activations[1], strict=True):
    for number, ax in enumerate(row[1:]):
        show(ax, maps[..., number], cmap="magma", vmin=0, vmax=activations[1].max())
for number, ax in enumerate(axes[0, 1:], start=1):
    ax.set_title(f"filter {number}", fontsize="small")
for ax, image in zip(axes[:, 0], X_test[digits], strict=True):
    show(ax, image[..., 0], cmap="gray_r")

# %%
fig, axes = plt.subplots(3, 16, figsize=(9, 2), layout="constrained")
for row, maps in zip(axes, activations[3], strict=True):
    for number, ax in enumerate(row):
        show(ax, maps[..., number], cmap="magma", vmin=0, vmax=activations[3].max())
fig.suptitle("the 16 maps of the second convolution, 4 x 4", fontsize="small")

# %%
# Which digits are confused
# -------------------------

predicted = net.predict(X_test)
wrong = np.flatnonzero(predicted != y_test)[:8]
fig, axes = plt.subplots(1, 8, figsize=(9, 1.6), layout="constrained")
for ax, number in zip(axes, wrong, strict=False):
    show(ax, X_test[number, ..., 0], f"{y_test[number]}, read as {predicted[number]}", cmap="gray_r")
for ax in axes[len(wrong) :]:
    ax.set_axis_off()

plt.show()
