"""Mixtures in extended precision, written the plain way: what the fast code is held against.

Everything is a NumPy long double (64 bits of mantissa here), component by component, centred,
without BLAS or LAPACK. `EXTENDED` says whether the platform has such a type.
"""

import numpy as np

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture

DOUBLE = np.dtype(np.float64)
EXTENDED = np.finfo(np.longdouble).eps < 1e-18

THEIRS = [kind for kind, covariance in COVARIANCES.items() if covariance.in_scikit_learn]
"""The covariance types that scikit-learn has too."""


def cholesky(matrix):
    lower = np.zeros_like(matrix)
    for i in range(len(matrix)):
        for j in range(i + 1):
            rest = matrix[i, j] - (lower[i, :j] * lower[j, :j]).sum()
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]
    return lower


def log_normal(rows, mean, covariance):
    """Log-densities (n,) of rows (n, D)."""
    lower, centred = cholesky(covariance), rows - mean
    white = np.zeros_like(centred)
    for i in range(len(mean)):
        white[:, i] = (centred[:, i] - white[:, :i] @ lower[i, :i]) / lower[i, i]
    constant = len(mean) * np.log(2 * np.longdouble(np.pi))
    return -0.5 * ((white**2).sum(axis=1) + constant) - np.log(np.diagonal(lower)).sum()


def log_normal_by_factor(rows, mean, factor):
    """The same from the Cholesky factor of the precision, as it was rounded to double."""
    white = (rows - mean) @ factor
    constant = len(mean) * np.log(2 * np.longdouble(np.pi))
    return -0.5 * ((white**2).sum(axis=1) + constant) + np.log(np.diagonal(factor)).sum()


def matrices(mixture):
    """The mixture's covariances as K matrices, in extended precision."""
    return mixture.covariance.as_matrices(mixture.covariances.astype(np.longdouble), mixture.shape)


def standard(rows, frame):
    """Rows (n, D) in the frame's coordinates, without rounding to double."""
    return (rows.astype(np.longdouble) - frame.origin) / frame.scale


def log_joint(z, mixture, *, by_factors=False):
    """Weighted log-densities (n, K) at rows in the mixture's own coordinates.

    The factors of ill-conditioned covariances lose digits when they are rounded to double: with
    `by_factors` that is left out of account, for types that have a matrix each or one for all.
    """
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights.astype(np.longdouble))
    given, density = matrices(mixture), log_normal
    if by_factors:
        given = np.broadcast_to(mixture.factors.astype(np.longdouble), given.shape)
        density = log_normal_by_factor
    return np.stack(
        [
            log_weights[k] + density(z, mixture.means[k].astype(np.longdouble), given[k])
            for k in range(mixture.n_components)
        ],
        axis=1,
    )


def log_density(z, mixture, *, by_factors=False):
    """Log-densities (n,)."""
    joint = log_joint(z, mixture, by_factors=by_factors)
    peak = joint.max(axis=1)
    return peak + np.log(np.exp(joint - peak[:, np.newaxis]).sum(axis=1))


def step(z, mixture, ridge=0.0, sample_weights=None, *, by_factors=False):
    """One EM step: log-likelihood, weights, means and covariances in the type's shape."""
    joint = log_joint(z, mixture, by_factors=by_factors)
    density = log_density(z, mixture, by_factors=by_factors)
    own = np.ones(len(z)) if sample_weights is None else sample_weights
    gamma = np.exp(joint - density[:, np.newaxis]) * own[:, np.newaxis]
    counts = gamma.sum(axis=0)
    means = (gamma.T @ z) / counts[:, np.newaxis]
    scatters = np.stack([((z - mean).T * gamma[:, k]) @ (z - mean) for k, mean in enumerate(means)])
    covariances = _covariances(mixture.covariance, scatters, counts, ridge)
    return (density * own).sum(), counts / counts.sum(), means, covariances


def _covariances(covariance, scatters, counts, ridge):
    ridge = ridge * np.eye(scatters.shape[1])
    full = scatters / counts[:, np.newaxis, np.newaxis] + ridge
    variances = np.diagonal(full, axis1=1, axis2=2)
    known = {
        "full": full,
        "tied": scatters.sum(axis=0) / counts.sum() + ridge,
        "diag": variances,
        "spherical": variances.mean(axis=1),
    }
    found = known.get(covariance.name)
    return in_shape(covariance, full, counts) if found is None else found


def in_shape(covariance, full, counts=None):
    """Covariances in a type's shape: the likeliest where components have those of (K, D, D)."""
    n_components, n_features = full.shape[:2]
    counts = np.ones(n_components) if counts is None else counts
    scatters = full * counts[:, np.newaxis, np.newaxis]
    feature, i, j = covariance.monomials(n_features).T
    quadratic = np.zeros((covariance.quadratic_length(n_features), n_components))
    np.add.at(quadratic, feature, scatters[:, i, j].T)
    offsets, ridge = np.zeros((n_components, n_features)), np.zeros(n_features)
    return covariance.estimate(quadratic, scatters.sum(axis=0), counts, offsets, ridge)


def relative_error(covariances, exact):
    """Largest error of covariances, relative to the deviations of the features they join."""
    if covariances.ndim >= 2 and covariances.shape[-1] == covariances.shape[-2]:
        variances = np.diagonal(exact, axis1=-2, axis2=-1)
        units = np.sqrt(variances[..., :, np.newaxis] * variances[..., np.newaxis, :])
        return float(np.abs((covariances - exact) / units).max())
    return float(np.abs(covariances / exact - 1).max())


def random_mixture(kind, n_components, n_features, seed=0, *, spread=2.0):
    """A mixture of well-conditioned components."""
    random = np.random.default_rng(seed)
    covariance = COVARIANCES[kind]
    root = random.normal(size=(n_components, n_features, n_features)) / np.sqrt(n_features)
    full = root @ root.swapaxes(1, 2) + 0.3 * np.eye(n_features)
    return Mixture.from_covariances(
        covariance,
        random.dirichlet(np.full(n_components, 5.0)),
        spread * random.normal(size=(n_components, n_features)),
        in_shape(covariance, full),
    )


def frame_of(rows, kind, dtype=DOUBLE):
    """The frame that a fit would choose for rows (n, D)."""
    scale = COVARIANCES[kind].compatible_scale(rows.std(axis=0).astype(np.float64))
    return Frame.around(rows.mean(axis=0, dtype=np.float64), scale, dtype)


def total_scatter(rows, frame):
    """Second moments of rows (n, D) about the frame's origin, in its units."""
    z = standard(rows, frame)
    return (z.T @ z).astype(np.float64)
