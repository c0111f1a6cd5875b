"""Fits as bytes, to be compared to the bit."""

import numpy as np

from daskgmm import GaussianMixture

OPTIONS = {"random_state": 0, "max_iter": 6, "tol": 0, "n_init": 2, "init_params": "kmeans"}


def bits(X, kind="full", **options):
    """The parameters of a fit, its lower bounds, the sums behind them and the score, as bytes."""
    model = GaussianMixture(3, covariance_type=kind, **OPTIONS | options).fit(X)
    names = ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bounds_")
    found = [np.asarray(getattr(model, name)).tobytes() for name in names]
    return b"".join([*found, model._moments.sums.tobytes(), repr(model.score(X)).encode()])
