"""
A table with text, dates and gaps
=================================

``TabularRegressor`` takes a data frame as it is. The one used here describes made-up flats, with
missing numbers, a column of text with gaps, dates and a constant column.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fastnet as fn

rng = np.random.default_rng(0)
n = 1500
area, floor = rng.gamma(9, 9, n), rng.integers(0, 9, n)
street = rng.integers(0, 40, n)
sold = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
rent = (
    12 * area
    + 8 * street
    + np.where(floor > 5, 90, 0)
    + 60 * np.sin(2 * np.pi * sold.day_of_year / 365)
)
flats = pd.DataFrame(
    {
        "area": np.where(rng.random(n) < 0.05, np.nan, area),
        "floor": floor,
        "street": [f"street {number}" for number in street],
        "heating": rng.choice(["gas", "oil", None], n),
        "sold": sold,
        "country": "here",
    }
)
train, test = slice(0, 1000), slice(1000, None)

# %%
# There is nothing to prepare. The summary says what was done to each column.

model = fn.TabularRegressor(random_state=0, n_epochs=60).fit(flats[train], rent[train])
print(model.summary())
print(f"R2 on new flats: {model.score(flats[test], rent[test]):.3f}")

# %%
# Which columns matter? The bars show how much worse the predictions of the validation rows get when
# a column is shuffled.

plt.barh(model.feature_names_in_, model.feature_importances_)
plt.xlabel("increase of the RMSE")
plt.show()

# %%
# Bounds that should hold four rents out of five: two quantiles. Predicted quantiles never cross.

bounds = fn.TabularRegressor(
    metric="quantile", quantiles=[0.1, 0.9], random_state=0, n_epochs=60
)
low, high = bounds.fit(flats[train], rent[train]).predict(flats[test]).T
inside = (low <= rent[test]) & (rent[test] <= high)
print(f"{inside.mean():.0%} of the rents are within the bounds")
