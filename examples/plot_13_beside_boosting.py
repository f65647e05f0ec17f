"""
Compared with gradient boosting
===============================

On which table is a network better, and on which are trees? Three made-up tables are each learnt
without tuning by fastnet and by every library of gradient boosting that is installed, on the same two
splits. ``fastnet compare`` makes such a comparison on your own table.
"""

from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split

import fastnet as fn

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (800, 6))
noise = 0.1 * rng.standard_normal(len(X))
tables = {
    "smooth": np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + noise,
    "sum of all": X @ np.arange(1, 7) / 5 + noise,
    "steps": np.floor(3 * X[:, 0]) + np.where(X[:, 1] > X[:, 2].round(), 1.0, 0.0) + noise,
}

# %%
# The models: fastnet's preset for quick fits, all others with their defaults. Libraries that are not installed are left out.

models = {
    "fastnet, fast": lambda seed: fn.TabularRegressor(preset="fast", random_state=seed),
    "HistGradientBoosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
}
peers = {
    "LightGBM": ("lightgbm", "LGBMRegressor", {"verbose": -1}),
    "CatBoost": ("catboost", "CatBoostRegressor", {"verbose": 0, "allow_writing_files": False}),
    "XGBoost": ("xgboost", "XGBRegressor", {}),
}
for name, (module, cls, options) in peers.items():
    try:
        make = getattr(import_module(module), cls)
    except ImportError:
        continue
    models[name] = lambda seed, make=make, options=options: make(random_state=seed, **options)

# %%
# The root mean squared error on held-out rows. One split says little, so the bars are means over
# two splits, and the lines show their range. The noise alone is 0.1.

errors = np.empty((len(models), len(tables), 2))
for column, y in enumerate(tables.values()):
    for seed in range(2):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        for row, make in enumerate(models.values()):
            predicted = make(seed).fit(X_train, y_train).predict(X_test)
            errors[row, column, seed] = np.sqrt(np.mean((predicted - y_test) ** 2))

for row, name in enumerate(models):
    mean = errors[row].mean(axis=1)
    span = [mean - errors[row].min(axis=1), errors[row].max(axis=1) - mean]
    plt.bar(np.arange(len(tables)) + 0.15 * row, mean, 0.14, yerr=span, label=name)
plt.xticks(np.arange(len(tables)) + 0.15, list(tables))
plt.ylabel("RMSE")
plt.legend()
plt.show()

# %%
# Smooth functions and sums of many columns suit the network, steps along the axes suit trees. Real
# tables have some of both, so it is worth a minute to compare.

for column, name in enumerate(tables):
    best = min(zip(errors[:, column].mean(axis=1), models, strict=True))
    print(f"{name}: {best[1]} is best, RMSE {best[0]:.3f}")
