"""EM written the plain way, a loop over rows: missing values, noise, a prior, and means that stay.

All is in the data's units, with covariances as K matrices (K, D, D).
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Direct:
    """A mixture of one of scikit-learn's covariance types, and what its EM maximises.

    `noise` is a share or None, `sides` (D,) those of its box. `prior` is a `daskgmm.Prior` with
    all numbers, its scale a matrix (D, D), or None. `held` (K,) says whose means stay.
    """

    kind: str
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    ridge: float = 0.0
    noise: float | None = None
    sides: np.ndarray | None = None
    prior: object = None
    held: np.ndarray | None = None

    def step(self, rows, sample_weights):
        """The bound (nats a row) and the next mixture, given rows (n, D) with NaN for missing."""
        n_components, n_features = self.means.shape
        total, count_of_noise, counts = 0.0, 0.0, np.zeros(n_components)
        seen = []
        for row, weight in zip(rows, sample_weights, strict=True):
            known, gaps = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
            joint, expected = np.zeros(n_components), []
            for k, (mean, matrix) in enumerate(zip(self.means, self.covariances, strict=True)):
                among = matrix[np.ix_(known, known)]
                slopes = matrix[np.ix_(gaps, known)] @ np.linalg.inv(among)
                away = row[known] - mean[known]
                distance = away @ np.linalg.inv(among) @ away
                peak = np.linalg.det(2 * np.pi * among) ** -0.5
                joint[k] = self.weights[k] * peak * np.exp(-distance / 2)
                filled, left = row.copy(), np.zeros((n_features, n_features))
                filled[gaps] = mean[gaps] + slopes @ away
                rest = matrix[np.ix_(gaps, gaps)] - slopes @ matrix[np.ix_(known, gaps)]
                left[np.ix_(gaps, gaps)] = rest
                expected.append((filled, left))
            uniform = 0.0 if self.noise is None else self.noise / np.prod(self.sides[known])
            density = joint.sum() + uniform
            total += weight * np.log(density)
            count_of_noise += weight * uniform / density
            counts += weight * joint / density
            seen.append((weight * joint / density, expected))
        bound = (total + self._log_prior()) / sample_weights.sum()
        means = self._means(counts, seen)
        matrices = self._covariances(counts, seen, means)
        noise = None if self.noise is None else count_of_noise / sample_weights.sum()
        shares = counts / sample_weights.sum()
        return bound, replace(self, weights=shares, noise=noise, means=means, covariances=matrices)

    def _means(self, counts, seen):
        found = np.zeros_like(self.means)
        for gamma, expected in seen:
            for k, (filled, _) in enumerate(expected):
                found[k] += gamma[k] * filled
        rows, at = (0.0, 0.0) if self.prior is None else (self.prior.mean_precision,) * 2
        if self.prior is not None:
            at = rows * np.asarray(self.prior.mean)
        found = (found + at) / (counts + rows)[:, np.newaxis]
        return found if self.held is None else np.where(self.held[:, np.newaxis], self.means, found)

    def _covariances(self, counts, seen, means):
        n_components, n_features = means.shape
        sums = np.zeros((n_components, n_features, n_features))
        for gamma, expected in seen:
            for k, (filled, left) in enumerate(expected):
                gap = filled - means[k]
                sums[k] += gamma[k] * (np.outer(gap, gap) + left)
        if self.prior is not None:
            for k in range(n_components):
                gap = means[k] - self.prior.mean
                sums[k] += self.prior.mean_precision * np.outer(gap, gap)
        scale, strength = self._inverse_wishart()
        eye = np.eye(n_features)
        if self.kind == "full":
            found = [(s + scale) / (n + strength) for s, n in zip(sums, counts, strict=True)]
        elif self.kind == "tied":
            found = [(sums.sum(axis=0) + scale) / (counts.sum() + strength)] * n_components
        elif self.kind == "diag":
            found = [
                np.diag(np.diag(s + scale) / (n + strength))
                for s, n in zip(sums, counts, strict=True)
            ]
        else:
            scale = np.trace(scale) / n_features
            found = [
                (np.trace(s) + scale) / (n_features * n + strength) * eye
                for s, n in zip(sums, counts, strict=True)
            ]
        return np.array(found) + self.ridge * eye

    def _inverse_wishart(self):
        """Scale and count that the prior adds (Fraley and Raftery, 2007, tables 3 and 4)."""
        n_components, n_features = self.means.shape
        if self.prior is None:
            return np.zeros((n_features, n_features)), 0.0
        degrees = self.prior.degrees_of_freedom
        strength = {
            "full": degrees + n_features + 2,
            "tied": degrees + n_features + n_components + 1,
            "diag": degrees + 3,
            "spherical": degrees + n_features + 2,
        }[self.kind]
        return np.asarray(self.prior.scale), strength

    def _log_prior(self):
        """Log-density of the prior, up to a constant."""
        if self.prior is None:
            return 0.0
        scale, strength = self._inverse_wishart()
        found = 0.0
        for mean, matrix in zip(self.means, self.covariances, strict=True):
            gap, inverse = mean - self.prior.mean, np.linalg.inv(matrix)
            found -= self.prior.mean_precision * gap @ inverse @ gap / 2
        if self.kind == "tied":
            return found - self._log_wishart(scale, strength, self.covariances[0])
        if self.kind == "spherical":
            variances = self.covariances[:, 0, 0]
            return (
                found
                - (strength * np.log(variances) + np.trace(scale) / len(scale) / variances).sum()
                / 2
            )
        return found - sum(self._log_wishart(scale, strength, one) for one in self.covariances)

    @staticmethod
    def _log_wishart(scale, strength, matrix):
        traces = np.trace(scale @ np.linalg.inv(matrix))
        return (strength * np.linalg.slogdet(matrix)[1] + traces) / 2
