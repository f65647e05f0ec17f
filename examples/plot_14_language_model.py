"""
A language model of Python's source code
========================================

A transformer learns, from part of Python's standard library, which character comes next, and then
writes new text.
"""

import argparse
import inspect
import json
import random
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn

modules = (argparse, json.decoder, json.encoder, random, textwrap)
text = "\n".join(inspect.getsource(module) for module in modules)
characters = sorted(set(text))
number = {character: i for i, character in enumerate(characters)}
ids = np.array([number[character] for character in text])
print(f"{len(text):,} characters, {len(characters)} of them different")

# %%
# The network
# -----------
# It reads 64 characters. Each becomes a row of a table, to which a vector for its position is added; two
# blocks of attention look at what came before; a softmax at each position says what may come next. The target
# of each position is the next character, so that a window of 64 characters is 64 examples.

length = 64
windows = np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::length]
net = fn.Network(
    [
        fn.Embedding(len(characters), 64),
        fn.Positions(),
        fn.TransformerBlock(4, causal=True),
        fn.TransformerBlock(4, causal=True),
        fn.LayerNorm(),
        fn.Dense(len(characters), "softmax"),
    ],
    input_shape=(length,),
    random_state=0,
)
n_test = len(windows) // 10
train, test = windows[:-n_test], windows[-n_test:]
history = net.fit(
    train[:, :-1],
    train[:, 1:],
    validation_data=(test[:, :-1], test[:, 1:]),
    optimizer=fn.Adam(0.003),
    learning_rate=fn.Cosine(0.003),
    batch_size=16,
    epochs=10,
    random_state=0,
)
print(f"next character right: {net.score(test[:, :-1], test[:, 1:]):.0%}")

# %%
# A guess among n equally likely characters has a loss of :math:`\ln n`. The picture shows this n.

fig, ax = plt.subplots()
ax.plot(np.exp(history.loss), label="training")
ax.plot(np.exp(history.val_loss), label="a text not seen")
ax.set(xlabel="epoch", ylabel="characters to guess among", yscale="log")
ax.legend()

# %%
# What it writes
# --------------
# It has learnt words, indents and the look of a function. At a low temperature it is careful and repeats
# itself; at a high one it invents.

for temperature in (0.5, 0.9):
    prompt = "    def parse("
    written = net.generate([number[c] for c in prompt], 250, temperature=temperature, top_k=20, random_state=1)
    print(f"--- temperature {temperature}\n{prompt}{''.join(characters[i] for i in written)}\n")

plt.show()
