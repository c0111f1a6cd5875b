"""Rows like those of Old Faithful: durations of eruptions and waits (minutes), in two clusters."""

import numpy as np

WEIGHTS = (0.36, 0.64)
MEANS = ((2.04, 54.5), (4.29, 80.0))
COVARIANCES = (((0.069, 0.435), (0.435, 33.7)), ((0.170, 0.94), (0.94, 36.0)))
"""Of a mixture that was fitted to the 272 eruptions (Azzalini and Bowman, 1990)."""


def faithful(n=2_000, seed=0):
    """Rows (n, 2) without noise."""
    random = np.random.default_rng(seed)
    drawn = [
        random.multivariate_normal(mean, covariance, round(weight * n))
        for weight, mean, covariance in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    ]
    return np.vstack(drawn)


def with_noise(n=2_000, share=0.05, seed=0):
    """The same rows, and that share of uniform ones over a box that is twice as long."""
    rows = faithful(n, seed)
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = (high - low) / 2
    count = round(share * n / (1 - share))
    noise = np.random.default_rng(seed + 1).uniform(low - margin, high + margin, (count, 2))
    return np.vstack([rows, noise])
