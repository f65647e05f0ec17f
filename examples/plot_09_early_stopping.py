"""
Early stopping with your own validation data
============================================

A network that is too large for its data first learns the pattern, then the noise. Validation rows,
which are not used for training, show when to stop. The estimator can set them aside, as
scikit-learn does, or you can give it your own: for example rows measured on another day.
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
# Pass the validation rows to ``fit``. ``scoring="loss"`` watches the loss, which says more than the
# accuracy on a few rows. At the end the weights of the best epoch are restored.

stopped = fn.MLPClassifier(**options, early_stopping=True, scoring="loss", n_iter_no_change=30)
stopped.fit(X, y, X_val=X_val, y_val=y_val)
print(
    f"stopped after {stopped.n_iter_} epochs, the best was number {np.argmin(stopped.validation_loss_curve_) + 1}"
)

# %%
# The same training without stopping: with ``n_iter_no_change=np.inf`` it runs for all epochs.

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
    print(f"{name:12} test accuracy {clf.score(X_test, y_test):.3f}")

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(endless.loss_curve_, label="training loss")
ax.plot(endless.validation_loss_curve_, label="validation loss")
ax.axvline(np.argmin(stopped.validation_loss_curve_), color="0.5", ls=":", label="best epoch")
ax.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.5))
ax.legend(frameon=False)
plt.show()

# %%
# For a ``Network``, validation data and early stopping are arguments of ``fit``. Its initial weights
# are drawn differently from scikit-learn's, so the result is a different model of the same kind.

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
print(f"test accuracy {(net.predict(X_test) == y_test).mean():.3f}")
