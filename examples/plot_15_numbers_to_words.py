"""
Numbers as words
================

An encoder reads the digits of a number, and a decoder writes the number in words: two sequences of unequal
lengths. The network learns this from two thousand numbers below a million, and then writes others in words.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = [".", *SMALL, *TENS, "hundred", "thousand", "and"]


def in_words(n):
    """A number below a million in words, such as "three hundred and seventy two"."""
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if n >= unit:
            rest = n % unit
            joined = ["and"] if 0 < rest < 100 else []
            return [*in_words(n // unit), name, *joined, *(in_words(rest) if rest else [])]
    if n < 20:
        return [SMALL[n]]
    return [TENS[n // 10 - 2], *([SMALL[n % 10]] if n % 10 else [])]


rng = np.random.default_rng(0)
numbers = rng.permutation(np.unique(rng.integers(0, 10 ** rng.integers(3, 7, 3000))))[:2500]
digits = [np.array([int(digit) for digit in str(n)]) for n in numbers]
written = [np.array([WORDS.index(word) for word in (*in_words(n), ".")]) for n in numbers]
print(numbers[0], *in_words(numbers[0]))

# %%
# The network
# -----------
# While the network learns, its decoder is given the words of the target, shifted by one position: each position
# sees the words before it, and the digits, and says which word comes next. A full stop begins every row, and
# ends every target.

shifted = [np.append(0, words[:-1]) for words in written]
width = 48
net = fn.Network(
    [
        fn.EncoderDecoder(
            encoder=[fn.Embedding(10, width), fn.Positions(), fn.TransformerBlock(4), fn.LayerNorm()],
            decoder=[
                fn.Embedding(len(WORDS), width),
                fn.Positions(),
                fn.TransformerBlock(4, causal=True, cross=True),
                fn.LayerNorm(),
            ],
        ),
        fn.Dense(len(WORDS), "softmax"),
    ],
    source_shape=(6,),
    input_shape=(max(map(len, written)),),
    ragged=True,
    random_state=0,
)
train, test = slice(0, 2000), slice(2000, None)
history = net.fit(
    (digits[train], shifted[train]),
    written[train],
    validation_data=((digits[test], shifted[test]), written[test]),
    learning_rate=fn.Cosine(0.004),
    batch_size=32,
    epochs=25,
    random_state=0,
)
print(f"next word right: {net.score((digits[test], shifted[test]), written[test]):.1%}")

# %%

fig, ax = plt.subplots()
ax.plot(history.loss, label="training")
ax.plot(history.val_loss, label="numbers not seen")
ax.set(xlabel="epoch", ylabel="loss of a word", yscale="log")
ax.legend()

# %%
# What it writes
# --------------
# Now the decoder is given what it has written itself, word by word, until it writes a full stop.


def write(source):
    ids = net.generate([0], net.input_shape[0], source=source, end=0, temperature=0)
    return [WORDS[i] for i in ids]


answers = [write(source) for source in digits[test]]
right = [answer == in_words(n) for answer, n in zip(answers, numbers[test], strict=True)]
print(f"numbers right from the first word to the last: {np.mean(right):.1%}")
for n, answer in list(zip(numbers[test], answers, strict=True))[:6]:
    print(f"{n:>7,}  {' '.join(answer)}")

# %%
# Which digit matters to which word
# ---------------------------------
# Each digit is replaced by all other digits in turn, while the words before a place are left as they are. The
# picture shows how often another word is then the likeliest there. Words for digits follow from their digit.
# "Hundred" and "thousand" follow from the words before them and from how many digits there are.

number = 427_936
source, words = np.array([int(digit) for digit in str(number)]), in_words(number)
row = np.array([0, *(WORDS.index(word) for word in words)])
changed = np.tile(source, (6, 10, 1))
changed[np.arange(6), :, np.arange(6)] = np.arange(10)
predicted = net.predict((changed.reshape(60, 6), np.tile(row, (60, 1))))[:, : len(row)].reshape(6, 10, -1)
matters = (predicted != net.predict(([source], [row]))[0, : len(row)]).sum(axis=1) / 9

fig, ax = plt.subplots(figsize=(8, 3.5))
image = ax.imshow(matters, aspect="auto", cmap="Blues", vmin=0, vmax=1)
ax.set_xticks(range(len(row)), [*words, "."], rotation=40, ha="right")
ax.set_yticks(range(6), list(str(number)))
ax.set(xlabel="word", ylabel="digit")
fig.colorbar(image, label="share of other words")
fig.tight_layout()
plt.show()
