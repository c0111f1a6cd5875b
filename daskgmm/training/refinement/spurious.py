"""Spurious components: those by which a likelihood is high, but not on other rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.parallel import each, slices_of_components
from daskgmm.model.typing import Doubles

THINNEST = 1e-4
"""Share of the columns' variance below which a component is spurious in some direction."""

THINNEST_WITHIN = 1e-3
"""The same of the components' common variance in that direction (Hathaway, 1985)."""

FEW, THINNEST_WITHIN_OF_FEW = 3, 1e-2
"""Rows, for each of D + 1, up to which chance alone can make a component thin, and that share
there."""

SUPPORTED = 100
"""Rows, for each of D + 1, from which on a component is not thin by chance: its columns determine
each other."""

APART = 25.0
"""Squared distance of a component's mean from another's, in widths of both, beyond which it is no
part of that other. EM makes a component thin, rather than a cluster's own shape or chance, by the
rows that it leaves to others; it can leave none where there are no others."""

EQUAL = 1e-10
"""Share of the columns' variance below which rows have equal values in some direction, to which the
ridge alone gives width: a component of such rows is spurious however many they are."""


def least_rows(covariance: Covariance, n_features: int) -> int:
    """Effective rows below which a component is spurious.

    D + 1 determine a component with a covariance of its own altogether, so it needs one more.
    """
    return n_features + (1 if covariance.needs_scatter else 2)


def make_two(rows: Doubles | float, covariance: Covariance, n_features: int) -> Any:
    """Whether components of so many rows may be two that are not spurious; one more for rounding.

    As a scalar or a mask, as the numbers of rows are.
    """
    return rows > 2 * least_rows(covariance, n_features) - 1


def spurious(mixture: Mixture, moments: Moments) -> NDArray[np.bool_]:
    """Mask (K,) of components on hardly more than D + 1 rows, or too thin in some direction.

    What is determined by a few rows says nothing of others, and where a variance is next to nothing
    the likelihood rises without bound. Components that are all as thin as each other are not
    spurious, nor are those on many rows whose values are not equal, or apart from all others.

    Parameters
    ----------
    mixture : Mixture
    moments : Moments
        From which the mixture was computed.
    """
    rows = moments.sums[-1] * (moments.rows / moments.weight)
    few = rows < least_rows(mixture.covariance, mixture.n_features)
    if few.all():  # as where noise holds all rows: there is nothing to compare widths with
        return np.asarray(few)
    mixture, n_features = mixture.beside(None), mixture.n_features
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    within = np.einsum("k,kij->ij", mixture.weights, matrices)
    centred = mixture.means - mixture.weights @ mixture.means
    most = np.where(rows < FEW * (n_features + 1), THINNEST_WITHIN_OF_FEW, THINNEST_WITHIN)
    most[few] = 0.0  # how thin these are does not matter
    thin = _thinner(matrices, np.linalg.inv(np.linalg.cholesky(within)), most)
    suspects = np.flatnonzero(thin & ~few)
    if len(suspects):
        columns = np.diag(within) + mixture.weights @ centred**2
        to_columns = np.diag(1 / np.sqrt(columns))
        own = _without_ridge(mixture, moments)[suspects]
        by_chance = rows[suspects] < SUPPORTED * (n_features + 1)
        equal = _least(own, to_columns) < EQUAL
        least = _least(matrices[suspects], to_columns)
        doubtful = (least < THINNEST) & by_chance & ~equal
        several = rows[suspects] >= FEW * (n_features + 1)
        if (doubtful & several).any():
            by_chance &= ~(several & _are_apart(suspects, mixture.means, matrices, within))
        few[suspects] = (least < THINNEST) & (by_chance | equal)
    return np.asarray(few)


def _are_apart(
    components: NDArray[np.int64], means: Doubles, matrices: Doubles, within: Doubles
) -> NDArray[np.bool_]:
    """Mask of components whose means are far from all others', in widths of both.

    A component's own width may be chance, and counts as that which components have in common.
    """
    nearest = np.full(len(components), np.inf)
    for k, (mean, matrix) in enumerate(zip(means, matrices, strict=True)):
        away = means[components] - mean
        distances = np.einsum("kd,dk->k", away, np.linalg.solve((matrix + within) / 2, away.T))
        np.minimum(nearest, distances, out=nearest, where=components != k)
    return np.asarray(nearest > APART)


def _without_ridge(mixture: Mixture, moments: Moments) -> Doubles:
    """Covariances (K, D, D) of the components' own rows, to which nothing is added."""
    n_features = mixture.n_features
    counts = np.maximum(moments.sums[-1], np.finfo(np.float64).tiny)
    offsets = moments.sums[-1 - n_features : -1].T / counts[:, np.newaxis]
    quadratic = moments.sums[: -1 - n_features]
    covariance, nothing = mixture.covariance, np.zeros(n_features)
    found = covariance.estimate(quadratic, moments.shared, counts, offsets, nothing)
    return covariance.as_matrices(found, mixture.shape)


def _thinner(matrices: Doubles, whitening: Doubles, bounds: Doubles) -> NDArray[np.bool_]:
    """Mask (K,) of matrices (K, D, D) with an eigenvalue below a bound, in whitened coordinates.

    Most have none, which a Cholesky factor shows in a tenth of the time that eigenvalues take.
    """
    found = np.zeros(len(matrices), np.bool_)

    def write(own: slice) -> None:
        shift = bounds[own, np.newaxis, np.newaxis] * np.eye(matrices.shape[-1])
        try:
            np.linalg.cholesky(whitening @ matrices[own] @ whitening.T - shift)
        except np.linalg.LinAlgError:
            found[own] = _least(matrices[own], whitening) < bounds[own]

    each(write, slices_of_components(*matrices.shape[:2]))
    return found


def _least(matrices: Doubles, whitening: Doubles) -> Doubles:
    """Least eigenvalues (K,) of matrices (K, D, D) in whitened coordinates."""
    return np.asarray(np.linalg.eigvalsh(whitening @ matrices @ whitening.T)[:, 0])
