"""Regression with uncertainty: a flight's delay, given what is known of it.

A mixture of all columns is fitted once. Given values of some of them it is a mixture of the others,
so it predicts any column from any others, and tells how sure that is: narrow or wide, lopsided or
with two peaks. Run ``python examples/conditioning.py [FIGURE.png]``; it takes some ten seconds and
needs ``pip install 'daskgmm[plot]'``.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

from daskgmm import GaussianMixture

DATA = Path(__file__).resolve().parent / "data" / "flights.parquet"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("figure", nargs="?", default="conditioning.png", help="file to write")
FIGURE = parser.parse_args().figure
KNOWN, WANTED = ["distance", "dep_delay"], "arr_delay"

# 1. Flights that arrived: every tenth is held back.
flights = pd.read_parquet(DATA, columns=[*KNOWN, WANTED]).astype(float)
held_back, seen = flights[::10], flights.drop(flights.index[::10])

# 2. One mixture of all three columns.
model = GaussianMixture(n_components=12, random_state=0).fit(seen)

# 3. A flight that leaves half an hour late, over 1,000 miles: a mixture of arrival delays.
late = model.condition({"distance": 1000, "dep_delay": 30})
mean = late.weights_ @ late.means_[:, 0]
low, high = np.quantile(late.sample(20_000)[0], [0.05, 0.95])
print(f"30 minutes late at departure: {mean:.0f} at arrival, 90% between {low:.0f} and {high:.0f}")

# 4. Means of many rows at once: the unknown column is a missing value.
asked = held_back.assign(**{WANTED: np.nan})
found = model.impute(asked)[WANTED]
line = LinearRegression().fit(seen[KNOWN], seen[WANTED]).predict(held_back[KNOWN])
for name, values in (("conditional mean", found), ("linear regression", line)):
    error = np.sqrt(((values - held_back[WANTED]) ** 2).mean())
    print(f"{name}: root mean squared error {error:.2f} minutes")


# 5. Are the intervals honest? Of held-back flights 90% should lie within theirs.
def share_below(row: pd.Series) -> float:
    """Probability of a smaller delay than the flight's own, given what is known of it."""
    given = model.condition(dict(row[KNOWN]))
    z = (row[WANTED] - given.means_[:, 0]) / np.sqrt(given.covariances_[:, 0, 0])
    return float(given.weights_ @ norm.cdf(z))


shares = held_back[::40].apply(share_below, axis=1)
print(f"Of {len(shares)} held-back flights {shares.between(0.05, 0.95).mean():.0%} lie within 90%")

# 6. Mean and interval for any delay at departure.
delays = np.linspace(-20, 180, 41)
bands = []
for delay in delays:
    given = model.condition({"distance": 1000, "dep_delay": delay})
    bands.append(
        [given.weights_ @ given.means_[:, 0], *np.quantile(given.sample(5000)[0], [0.05, 0.95])]
    )
means, lows, highs = np.transpose(bands)
axes = Figure(layout="constrained").add_subplot(
    xlabel="Delay at departure (minutes)", ylabel="Delay at arrival (minutes)", xlim=(-20, 180),
    ylim=(-70, 250), title="Arrival given departure, over 1,000 miles",
)  # fmt: skip
near = held_back[held_back["distance"].between(900, 1100)]
axes.scatter(near["dep_delay"], near[WANTED], s=4, color="#94a4a2", label="held-back flights")
axes.fill_between(delays, lows, highs, color="#3f90da", alpha=0.3, label="90% of the mixture")
axes.plot(delays, means, color="#bd1f01", label="mean")
axes.legend(frameon=False)
axes.figure.savefig(FIGURE, dpi=120)
print(f"Figure: {FIGURE}")
