"""
From a table with holes to ONNX
===============================

A model learns a table of made-up loans, with missing numbers and categories, as it is. Exported to
ONNX, it takes the same columns, because the preparation of the table is part of the ONNX model.
"""

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd

import fastnet as fn

rng = np.random.default_rng(0)
n = 2000
income, years = rng.lognormal(8, 0.6, n), rng.integers(0, 40, n)
purpose = rng.choice(["car", "house", "studies", "travel"], n)
sector = rng.integers(0, 25, n)
risk = 3 - 0.4 * np.sqrt(income / 100) - 0.05 * years + (purpose == "travel") + 0.1 * sector
defaulted = np.where(risk + rng.logistic(size=n) > 0, "yes", "no")
loans = pd.DataFrame(
    {
        "income": np.where(rng.random(n) < 0.1, np.nan, income),
        "years": years,
        "purpose": pd.Series(purpose).where(rng.random(n) > 0.05),
        "sector": [f"sector {number}" for number in sector],
        "applied": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 365, n), "D"),
    }
)

# %%
# ONNX has no dates. The day of the week may matter here; it becomes a number before ``fit``.

loans["weekday"] = loans.pop("applied").dt.day_of_week
train, test = slice(0, 1500), slice(1500, None)

# %%
# Fit the model and look at it. Log-loss is what matters where probabilities are used.

model = fn.TabularClassifier(metric="log_loss", preset="fast", random_state=0)
model.fit(loans[train], defaulted[train])
print(model.summary())
print(f"accuracy on new loans: {model.score(loans[test], defaulted[test]):.3f}")

# %%
# The ONNX model has one input for each column, of text or of numbers. Missing text is "", missing
# numbers are NaN.

session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString())
columns = {}
for column in session.get_inputs():
    values = loans[test][column.name]
    text = column.type == "tensor(string)"
    values = values.astype(object).fillna("") if text else values.astype(float)
    columns[column.name] = values.to_numpy().reshape(-1, 1)
label, probabilities = session.run(["label", "probabilities"], columns)
expected = model.predict_proba(loans[test])
print(f"largest difference: {np.abs(probabilities - expected).max():.1e}")

# %%
# Are the probabilities right? Of the loans that are given a probability near 0.3, about three in
# ten should default.

edges = np.linspace(0, 1, 6)
group = np.digitize(probabilities[:, 1], edges[1:-1])
share = [np.mean(defaulted[test][group == k] == "yes") for k in range(5) if np.any(group == k)]
mean = [probabilities[group == k, 1].mean() for k in range(5) if np.any(group == k)]
plt.plot([0, 1], [0, 1], color="grey")
plt.plot(mean, share, "o-")
plt.xlabel("predicted probability")
plt.ylabel("share that defaulted")
plt.show()
