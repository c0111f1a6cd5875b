"""EM with missing values, row by row, written the plain way; and rows with gaps."""

import numpy as np

from tests.support.reference import in_shape


def with_gaps(rows, share=0.3, seed=0):
    """Rows (n, D) of which a share of the values is missing, independently of all values."""
    gaps = np.random.default_rng(seed).random(rows.shape) < share
    return np.where(gaps, np.nan, rows)


def step(rows, mixture, ridge=0.0, sample_weights=None):
    """One EM step over rows (n, D) with NaN where a value is missing, in the mixture's coordinates.

    Returns the log-likelihood, weights, means and covariances in the type's shape.
    """
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    n_components, n_features = mixture.shape
    own = np.ones(len(rows)) if sample_weights is None else sample_weights
    total, counts = 0.0, np.zeros(n_components)
    first = np.zeros((n_components, n_features))
    second = np.zeros((n_components, n_features, n_features))
    filled = np.empty((len(rows), n_components, n_features))
    left = np.zeros((len(rows), n_components, n_features, n_features))
    gamma = np.empty((len(rows), n_components))
    for n, row in enumerate(rows):
        known, gaps = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        logits = np.log(mixture.weights)
        for k, (mean, matrix) in enumerate(zip(mixture.means, matrices, strict=True)):
            among = matrix[np.ix_(known, known)]
            away = row[known] - mean[known]
            if len(known):
                logits[k] -= 0.5 * away @ np.linalg.solve(among, away)
                logits[k] -= 0.5 * np.linalg.slogdet(2 * np.pi * among)[1]
            slopes = np.linalg.solve(among, matrix[np.ix_(known, gaps)]).T
            filled[n, k, known] = row[known]
            filled[n, k, gaps] = mean[gaps] + slopes @ away
            rest = matrix[np.ix_(gaps, gaps)] - slopes @ matrix[np.ix_(known, gaps)]
            left[n, k][np.ix_(gaps, gaps)] = rest
        density = np.logaddexp.reduce(logits)
        gamma[n] = own[n] * np.exp(logits - density)
        total += own[n] * density
    counts = gamma.sum(axis=0)
    first = np.einsum("nk,nkd->kd", gamma, filled) / counts[:, np.newaxis]
    centred = filled - first
    second = np.einsum("nk,nkd,nke->kde", gamma, centred, centred)
    second += np.einsum("nk,nkde->kde", gamma, left)
    full = second / counts[:, np.newaxis, np.newaxis]
    return total, counts / counts.sum(), first, _covariances(mixture, full, counts, ridge)


def _covariances(mixture, full, counts, ridge):
    found = in_shape(mixture.covariance, full, counts)
    if found.ndim >= 2 and found.shape[-1] == found.shape[-2] and mixture.covariance.has_matrices:
        return found + ridge * np.eye(full.shape[1])
    return found + ridge
