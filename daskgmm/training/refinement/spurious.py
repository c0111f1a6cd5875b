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
    spurious, nor are those on more rows, whose values are not equal, than so thin a slice of the
    components about it would have.

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
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    thin = _thinner(matrices, whitening, most)
    suspects = np.flatnonzero(thin & ~few)
    if len(suspects):
        columns = np.diag(within) + mixture.weights @ centred**2
        to_columns = np.diag(1 / np.sqrt(columns))
        own = _without_ridge(mixture, moments)[suspects]
        # A column that is constant in all rows makes none of them spurious.
        spread = np.diagonal(own, axis1=1, axis2=2).max(axis=0) + np.ptp(mixture.means, axis=0) ** 2
        constant = np.flatnonzero(spread <= EQUAL * columns)
        own[:, constant, constant] = columns[constant]
        wrong = _least(own, to_columns) < EQUAL
        thin = _least(matrices[suspects], to_columns) < THINNEST
        doubtful = thin & ~wrong & (rows[suspects] < SUPPORTED * (n_features + 1))
        if doubtful.any():
            doubted = suspects[doubtful]
            near = _rows_near(doubted, mixture.means, (matrices, within), rows)
            slices = np.sqrt(_least(matrices[doubted], whitening)) * near
            wrong[doubtful] = rows[doubted] < FEW * (n_features + 1) + slices
        few[suspects] = thin & wrong
    return np.asarray(few)


def _rows_near(
    components: NDArray[np.int64], means: Doubles, widths: tuple[Doubles, Doubles], rows: Doubles
) -> Doubles:
    """Rows of all others near each of these components: the farther, the fewer count.

    Widths are the covariances (K, D, D) and the one that components have in common, which stands
    for a component's own, as that may be chance.
    """
    matrices, within = widths

    def near(slice_: slice) -> Doubles:
        found = np.zeros(len(components))
        for k in range(*slice_.indices(len(means))):
            away = means[components] - means[k]
            distances = np.einsum("kd,dk->k", away, np.linalg.solve(matrices[k] + within, away.T))
            found += np.where(components != k, rows[k] * np.exp(-distances / 2), 0.0)
        return found

    return np.asarray(np.sum(each(near, slices_of_components(*means.shape)), axis=0))


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
