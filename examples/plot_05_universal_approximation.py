"""
Universal approximation: more units, less error
===============================================

With enough units, a network with one hidden layer of sigmoidal units approximates any continuous
function on a closed interval as closely as you like (Cybenko 1989; Hornik, Stinchcombe and White
1989). This example adds units and measures the error between the points that were fitted.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnet as fn


def f(x):
    return np.sin(2 * x) + 0.5 * np.sin(7 * x) * np.exp(-(x**2))


X = np.linspace(-3, 3, 300)[:, None]
between = np.linspace(-3, 3, 1999)[:, None]

# %%
# The theorem says that good weights exist, not that training finds them from any start. So each
# network gets a good start: the hidden units are steps of random slopes, spread over the interval,
# and the output weights come from least squares. Then all parameters are trained.


def fit(n_units):
    net = fn.Network(
        [fn.Dense(n_units, "sigmoid"), fn.Dense(1, "identity")],
        n_inputs=1,
        dtype="float64",
        random_state=0,
    )
    slopes, places = (
        np.random.default_rng(0).uniform(2, 8, size=n_units),
        np.linspace(-3, 3, n_units + 2)[1:-1],
    )
    net.weights[0][0] = slopes
    net.biases[0][:] = -slopes * places
    steps = np.column_stack([net.activations(X)[1], np.ones(len(X))])
    *net.weights[1][:, 0], net.biases[1][0] = np.linalg.lstsq(steps, f(X)[:, 0], rcond=1e-6)[0]
    net.fit(X, f(X), optimizer=fn.LBFGS(tol=1e-8, ftol=0), epochs=400)
    return net


sizes = [1, 2, 4, 8, 16, 32, 64]
nets = {n: fit(n) for n in sizes}
errors = [np.abs(net.predict(between) - f(between)[:, 0]).max() for net in nets.values()]
for n, error in zip(sizes, errors, strict=True):
    print(f"{n:3d} units: largest error {error:.5f}")

# %%
# With more units, the network's curve becomes indistinguishable from the function.

fig, axes = plt.subplots(1, 4, figsize=(11, 2.8), sharey=True, layout="constrained")
for ax, n in zip(axes, (2, 4, 8, 32), strict=True):
    ax.plot(between, f(between), color="0.7", lw=4, label="f")
    ax.plot(between, nets[n].predict(between), label="network")
    ax.set(title=f"{n} units", xlabel="x")
axes[0].legend(frameon=False)
plt.show()

# %%
# The largest error on the interval for each number of units:

fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.loglog(sizes, errors, "o-")
ax.set(xlabel="hidden units", ylabel="largest error", xticks=sizes, xticklabels=sizes)
ax.minorticks_off()
plt.show()
