"""Which pairs of components can share a row: see `daskgmm.model.kernels.neighbours`."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array, vstack

from daskgmm.model.kernels.arguments import Model
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

MOST_CLOSE, FEWEST_CLOSE = 0.1, 2**20
"""Share of the pairs of components that may be left to be ruled out along their direction; always
are so many of them."""

_TAIL = 8.0
"""At most a share ``exp(-_TAIL)`` of a component's rows is not usual in its length (Laurent and
Massart, "Adaptive estimation of a quadratic functional", 2000, lemma 1)."""

_THINNEST = 1e-6
"""Least eigenvalue of the average covariance, over its largest: a thinner direction is measured as
if it were so thick, so that rounding stays small."""

_ROUNDING = 1e-3
"""Share of its longest by which a component's deviations are lengthened, for they are rounded."""

_SQUARINGS = 4
"""Of a matrix, whose norm then is its largest eigenvalue times at most ``D ** (1 / 32)``."""

_TOGETHER = 128
"""Means whose distances from all others are computed at once."""


@dataclass(frozen=True, eq=False)
class WhitenedComponents:
    """Components in the coordinates of the distances, and which of their rows are usual.

    Parameters
    ----------
    means : ndarray of shape (K, D)
    covariances : ndarray of shape (K, D, D)
    longest : ndarray of shape (K,)
        At least the longest deviation.
    length : float
        Largest whitened distance of usual rows from the mean.
    reach : ndarray of shape (K,)
        Largest distance of usual rows from the mean.
    least : ndarray of shape (K,)
        Least logit of usual rows.
    highest : ndarray of shape (K,)
        Logits elsewhere, from which on a row shares nothing out to the component.
    blur : float
        At least the rounding of a distance.
    """

    means: Doubles
    covariances: Doubles
    longest: Doubles
    length: float
    reach: Doubles
    least: Doubles
    highest: Doubles
    blur: float

    @classmethod
    def of(cls, turn: Doubles, mixture: Mixture, model: Model) -> Self:
        """Components of a mixture, whose arrays for the loop `model` holds."""
        n_features = mixture.n_features
        means = model.means.astype(np.float64)
        covariances = turn @ mixture.covariances @ turn.T
        largest = (1 + _ROUNDING) * _largest_eigenvalues(covariances)
        traces, norms = np.trace(covariances, 0, 1, 2), np.linalg.norm(covariances, axis=(1, 2))
        length = float(_usual(n_features, np.sqrt(n_features), 1))
        normalisers = model.normalisers.astype(np.float64)
        sizes = np.linalg.norm(np.abs(means) @ np.abs(turn).T, axis=1)
        return cls(
            means @ turn.T,
            covariances,
            np.sqrt(largest),
            np.sqrt(length),
            np.sqrt(_usual(traces, norms, largest)),
            normalisers - length / 2,
            normalisers + model.gaps + 1,
            4 * (n_features + 4) * np.finfo(np.float64).eps * float(sizes.max()),
        )

    def beyond(self, i: Any, j: Any) -> Doubles:
        """Whitened distances of rows, usual for i, from j, that are below the gap of j."""
        return np.asarray(np.sqrt(2 * np.maximum(self.highest[j] - self.least[i], 0)))


def _usual(mean: Doubles | float, spread: Doubles | float, longest: Doubles | float) -> Doubles:
    """Largest usual value of a sum of squared Gaussians.

    Their variances have this sum, this root of the sum of their squares, and this maximum.
    """
    return np.asarray(mean + 2 * spread * np.sqrt(_TAIL) + 2 * longest * _TAIL)


def close_pairs(whitened: WhitenedComponents) -> csr_array | None:
    """Pairs of components (i, j), either way, unless they are too many.

    Those are left where the distance of usual rows of i from j, along the line between the means,
    is below the gap of j. The reach of i is taken for as long in all directions.
    """
    means, every = whitened.means, np.arange(len(whitened.means))
    most = max(MOST_CLOSE * len(means) ** 2, FEWEST_CLOSE)
    squares = np.einsum("kd,kd->k", means, means)
    features, forms = _forms(means, whitened.covariances)
    rounding = 4 * len(features) * np.finfo(np.float64).eps
    parts: list[csr_array] = []
    for start in range(0, len(means), _TOGETHER):
        own = every[start : start + _TOGETHER, np.newaxis]
        error = rounding * (squares[own] + squares)
        apart = squares[own] + squares - 2 * means[own[:, 0]] @ means.T
        apart = np.maximum(np.sqrt(np.maximum(apart - error, 0)) - whitened.blur, 0)
        across = features[:, own[:, 0]].T @ forms
        across = np.sqrt(np.maximum(across, 0) + 2 * whitened.longest**2 * error)
        across += whitened.longest * (_ROUNDING * apart + whitened.blur)
        far = apart * (apart - whitened.reach[own]) > whitened.beyond(own, every) * across
        parts.append(csr_array(~far))
        if sum(part.nnz for part in parts) > most:
            return None
    found = vstack(parts, format="csr")
    both = csr_array(found + found.T)
    return both if both.nnz <= most else None


def _forms(means: Doubles, covariances: Doubles) -> tuple[Doubles, Doubles]:
    """Features (F, K) of the means and coefficients (F, K), whose products are quadratic forms.

    These are of the differences (K, K) of the means, by the covariance of the second one.
    """
    i, j = np.triu_indices(means.shape[1])
    linear = np.einsum("kde,ke->kd", covariances, means)
    features = np.hstack([means[:, i] * means[:, j], means, np.ones((len(means), 1))])
    forms = np.hstack(
        [
            np.where(i == j, 1, 2) * covariances[:, i, j],
            -2 * linear,
            np.einsum("kd,kd->k", linear, means)[:, np.newaxis],
        ]
    )
    return features.T, forms.T


def pairs_that_share(whitened: WhitenedComponents, close: csr_array) -> csr_array:
    """Those of the pairs (i, j) where usual rows of i may be shared out to j."""
    close.sort_indices()
    i, j = np.repeat(np.arange(len(whitened.means)), np.diff(close.indptr)), close.indices
    apart, along = np.empty(close.nnz), np.empty(close.nnz)
    windows = map(slice, close.indptr[:-1], close.indptr[1:])
    for mean, covariance, window in zip(whitened.means, whitened.covariances, windows, strict=True):
        lines = whitened.means[j[window]] - mean
        apart[window] = np.linalg.norm(lines, axis=1)
        along[window] = np.sqrt(np.einsum("nd,nd->n", lines @ covariance, lines))
    along += whitened.longest[i] * (_ROUNDING * apart + whitened.blur)
    other = csr_array((along, j, close.indptr), close.shape).T.tocsr()
    other.sort_indices()
    least = whitened.beyond(i, j) * other.data
    far = (apart - whitened.blur) * apart - whitened.length * along > least
    found = csr_array((~far, j, close.indptr), close.shape)
    found.eliminate_zeros()
    return found


def rounding(covariance: Doubles) -> Doubles:
    """Matrix that makes a covariance round, but for directions in which it is thin."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(np.maximum(values, _THINNEST * values[-1]))).T)


def _largest_eigenvalues(matrices: Doubles) -> Doubles:
    """Upper bounds of the largest eigenvalues of positive matrices (K, D, D)."""
    power, log = 1, np.zeros(len(matrices))
    for _ in range(_SQUARINGS):
        sizes = np.linalg.norm(matrices, axis=(1, 2))
        log += np.log(sizes) / power
        matrices = matrices / sizes[:, np.newaxis, np.newaxis]
        matrices = matrices @ matrices
        power *= 2
    return np.asarray(np.exp(log + np.log(np.linalg.norm(matrices, axis=(1, 2))) / power))
