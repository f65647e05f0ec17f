"""
Where attention looks
=====================

In attention, each position of a row asks all others, and takes a weighted mean of what they have. The weights can be looked
at. In each of the two puzzles here, a position has one place to look at, which follows from its
position in the first puzzle and from its content in the second.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn

rng = np.random.default_rng(0)

# %%
# One layer of attention
# ----------------------
# Each id of a row becomes 32 numbers, to which a vector for its position is added; then come attention with one head, and
# dense layers that decide at each position.


def network(n_ids, length, n_classes):
    return fn.Network(
        [
            fn.Embedding(n_ids, 32),
            fn.Positions(),
            fn.Residual([fn.Attention(1)]),
            fn.Dense(64, "relu"),
            fn.Dense(n_classes, "softmax"),
        ],
        input_shape=(length,),
        random_state=0,
    )


def train(net, X, y):
    net.fit(X[:-200], y[:-200], optimizer=fn.Adam(0.003), batch_size=32, epochs=20, random_state=0)
    print(f"right at {net.score(X[-200:], y[-200:]):.1%} of the positions of rows not seen")


# %%
# The weights of a row are a softmax over the products of queries and keys, which are linear in what attention reads:


def weights(net, row):
    """Attention of each position (rows) to each (columns)."""
    A = net.activations(row[None])[2][0]
    Q, K, _ = np.split(A @ net.parameters["3.1.qkv.W"] + net.parameters["3.1.qkv.b"], 3, axis=1)
    scores = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return scores / scores.sum(axis=1, keepdims=True)


def draw(ax, P, labels, title):
    ax.imshow(P, cmap="Purples", vmin=0, vmax=1)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels)
    ax.set(title=title, xlabel="looks at", ylabel="position of")


# %%
# By position: a word backwards
# -----------------------------
# At each position, the network has to say which letter stands there when the word is turned round. Whatever the letters
# are, each position looks at the one opposite.

letters = np.array(list("abcdefgh"))
words = rng.integers(0, len(letters), (1500, 9))
mirror = network(len(letters), 9, len(letters))
train(mirror, words, words[:, ::-1])

fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, word in zip(axes, words[-2:], strict=True):
    draw(ax, weights(mirror, word), letters[word], "".join(letters[word]))

# %%
# By content: capitals and small letters
# --------------------------------------
# Each letter of a row comes once as a capital and once as a small letter, in any order. At each position the network has
# to say where the other one is. Now a position has to look at its partner, wherever that stands.

both = np.array(list("abcdeABCDE"))
rows = rng.permuted(np.tile(np.arange(10), (3000, 1)), axis=1)
place = np.argsort(rows, axis=1)  # of each id in its row
partner = np.take_along_axis(place, (rows + 5) % 10, axis=1)
pairs = network(10, 10, 10)
train(pairs, rows, partner)

fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, row in zip(axes, rows[-2:], strict=True):
    draw(ax, weights(pairs, row), both[row], " ".join(both[row]))

# %%
# Nothing told the network which positions belong together. But a map shows what a network does, and not what it would have to
# do: a network that is only asked on which side the partner is can answer too, but does not look at the partner.

sides = network(10, 10, 2)
train(sides, rows, (partner > np.arange(10)).astype(int))
for name, net in (("where it is", pairs), ("on which side", sides)):
    looked = [weights(net, row).argmax(axis=1) == other for row, other in zip(rows[-200:], partner[-200:], strict=True)]
    print(f"asked {name}, {np.mean(looked):.0%} of the positions look at their partner most")

plt.show()
