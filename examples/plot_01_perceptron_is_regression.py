"""
A perceptron is linear and logistic regression
==============================================

A single neuron, :math:`h(x) = g(w \\cdot x + b)`, is a well-known statistical model.
With the identity and the squared error it is linear regression; with the sigmoid and the
cross-entropy it is logistic regression. Trained to convergence, it has the weights that
scikit-learn finds.
"""

# %%
# Linear regression
# -----------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

import fastnet as fn

rng = np.random.default_rng(0)
X = rng.uniform(-3, 3, size=(80, 1))
y = 1.5 * X[:, 0] - 0.5 + rng.normal(size=80)

perceptron = fn.Network(fn.Dense(1, "identity"), n_inputs=1, dtype="float64", random_state=0)
perceptron.fit(X, y, optimizer=fn.LBFGS(tol=1e-10, ftol=0), epochs=100)
line = LinearRegression().fit(X, y)

print(f"perceptron:       w = {perceptron.weights[0][0, 0]:.6f}, b = {perceptron.biases[0][0]:.6f}")
print(f"LinearRegression: w = {line.coef_[0]:.6f}, b = {line.intercept_:.6f}")

# %%
# Logistic regression
# -------------------
# Both models get the same L2 penalty. scikit-learn's ``C`` is the inverse of a penalty that is
# added to the *sum* of the losses, fastnet's ``l2`` is a penalty that is added to their mean.

c = (y + rng.normal(size=80) > 0).astype(int)
classifier = fn.Network(fn.Dense(1, "sigmoid"), n_inputs=1, dtype="float64", random_state=0)
classifier.fit(X, c, optimizer=fn.LBFGS(tol=1e-10, ftol=0), l2=1 / len(X), epochs=100)
logistic = LogisticRegression(C=1.0, tol=1e-10).fit(X, c)

print(
    f"perceptron:         w = {classifier.weights[0][0, 0]:.6f}, b = {classifier.biases[0][0]:.6f}"
)
print(f"LogisticRegression: w = {logistic.coef_[0, 0]:.6f}, b = {logistic.intercept_[0]:.6f}")

# %%
# In both pictures the two curves coincide.

x = np.linspace(-3, 3, 200)[:, None]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
left.scatter(X, y, s=12, color="0.6")
left.plot(x, line.predict(x), lw=6, alpha=0.3, label="LinearRegression")
left.plot(x, perceptron.predict(x), label="perceptron, identity")
right.scatter(X, c, s=12, color="0.6")
right.plot(x, logistic.predict_proba(x)[:, 1], lw=6, alpha=0.3, label="LogisticRegression")
right.plot(x, classifier.forward(x), label="perceptron, sigmoid")
for ax, title in ((left, "regression"), (right, "probability of class 1")):
    ax.set(xlabel="x", title=title)
    ax.legend(frameon=False)
plt.show()
