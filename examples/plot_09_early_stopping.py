"""
Early stopping with validation data of one's own
================================================

A network that is too large for its data first learns the pattern, then the noise. Rows that it
does not see tell when to stop. They may be set aside by the estimator, as in scikit-learn, or be
given: measured on another day, say, as rows of one day are alike.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

import fastnet as fn

X, y = make_moons(120, noise=0.35, random_state=0)
X_val, y_val = make_moons(400, noise=0.35, random_state=1)
X_test, y_test = make_moons(2000, noise=0.35, random_state=2)
options = {
    "hidden_layer_sizes": (100, 100),
    "learning_rate_init": 0.005,
    "alpha": 0,
    "random_state": 0,
}

# %%
# An estimator takes them in ``fit``; ``scoring="loss"`` looks at the loss, which says more than
# the accuracy of a few rows. The best weights come back at the end.

stopped = fn.MLPClassifier(**options, early_stopping=True, scoring="loss", n_iter_no_change=30)
stopped.fit(X, y, X_val=X_val, y_val=y_val)
print(
    f"stopped after {stopped.n_iter_} epochs, the best was number {np.argmin(stopped.validation_loss_curve_) + 1}"
)

# %%
# What would have come of it without stopping: ``n_iter_no_change=np.inf`` goes on to the end.

endless = fn.MLPClassifier(
    **options,
    early_stopping=True,
    scoring="loss",
    n_iter_no_change=np.inf,
    restore_best=False,
    max_iter=300,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is meant to be reached
    endless.fit(X, y, X_val=X_val, y_val=y_val)
for name, clf in (("stopped", stopped), ("not stopped", endless)):
    print(f"{name:12} {clf.score(X_test, y_test):.3f} of the test rows right")

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(endless.loss_curve_, label="training loss")
ax.plot(endless.validation_loss_curve_, label="validation loss")
ax.axvline(np.argmin(stopped.validation_loss_curve_), color="0.5", ls=":", label="best epoch")
ax.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.5))
ax.legend(frameon=False)
plt.show()

# %%
# With a ``Network``, validation data and stopping are arguments of ``fit``. Its weights are drawn in
# another way than scikit-learn's, so it is another model, of the same kind.

net = fn.Network(
    [fn.Dense(100, "relu"), fn.Dense(100, "relu"), fn.Dense(1, "sigmoid")],
    n_inputs=2,
    random_state=0,
)
stopping = fn.EarlyStopping(patience=30)
history = net.fit(
    X,
    y,
    optimizer=fn.Adam(0.005),
    batch_size=120,
    epochs=300,
    validation_data=(X_val, y_val),
    callbacks=[stopping],
    random_state=0,
)
print(f"stopped after {len(history)} epochs, the best was number {stopping.best_epoch + 1}")
print(f"{(net.predict(X_test) == y_test).mean():.3f} of the test rows right")
