"""How surprising each value of a row is, given the row's other values."""

from collections.abc import Iterator

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.questions.products import TILE, padded, product
from daskgmm.model.typing import Doubles, Floats

_VALUES_AT_ONCE = 2**20
"""Most values (rows, components and features) in one work array."""

_CANCELLING = 1e4
"""Squared distance above which taking a feature out of it by subtraction would cost digits."""


def surprises(predictor: Predictor, rows: Floats) -> Floats:
    """Surprise of each value, ``-log p(x_d given the row's other columns)``, of shape (n, D).

    In nats, in the data's units as log-densities are; computed in double precision. In a component
    with the precision P, x_d given the others has the variance ``1 / P[d, d]`` and lies
    ``(P @ (x - mu))[d] / P[d, d]`` off its mean; the components' shares are those given the others.
    The bits of a row don't depend on the rows beside it.

    Raises
    ------
    NotFiniteError
        A value is not finite.
    """
    flaw = Flaw.in_rows(rows.T)
    if flaw is not None:
        raise NotFiniteError(flaw)
    found = np.empty(rows.shape, predictor.dtype or rows.dtype)
    mixture, units = predictor.mixture, np.log(predictor.frame.scale)
    for window in windows(len(rows), mixture):
        z = np.empty((window.stop - window.start, mixture.n_features))
        predictor.frame.standardise(rows[window].T, out=z.T)
        found[window] = _of_slab(mixture, padded(z))[: len(z)] + units
    return found


def windows(n_rows: int, mixture: Mixture) -> Iterator[slice]:
    """Stretches of whole tiles, whose work arrays are of bounded size."""
    size = max(_VALUES_AT_ONCE // (mixture.n_components * mixture.n_features * TILE), 1) * TILE
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def _of_slab(mixture: Mixture, z: Doubles) -> Doubles:
    with_noise = mixture.noise is not None and mixture.noise.weight > 0
    shape = (mixture.n_components + with_noise, *z.shape)
    others, own = np.empty(shape), np.empty(shape)  # log-densities of the others, and given them
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    normalisers = mixture.log_normalisers
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for k, mean in enumerate(mixture.means):
            squares, own[k] = _split(z - mean, factors[k % len(factors)])
            others[k] = normalisers[k] - squares / 2
        if mixture.noise is not None and with_noise:
            own[-1] = -np.log(mixture.noise.sides)
            others[-1] = mixture.noise.logit - own[-1]
        # Shares before sums: for a row far off, log-densities themselves have few digits left.
        peak = others.max(axis=0)
        others = np.where(np.isfinite(peak), others - peak, 0.0)  # no density: equal shares
        found = _log_sum(others) - _log_sum(others + own)
    return np.where(np.isnan(found), np.inf, found)


def _log_sum(terms: Doubles) -> Doubles:
    """Logarithm (n, D) of the sum of exponentials of terms (K, n, D)."""
    peak = terms.max(axis=0)
    return np.asarray(peak + np.log(np.exp(terms - peak).sum(axis=0)))


def _split(centred: Doubles, factor: Doubles) -> tuple[Doubles, Doubles]:
    """A component's distance of the others, and log-density of each feature given them.

    The first are squared distances (n, D) of all features but one, with twice the logarithm of
    that one's precision, so that `log_normalisers` are right for them too.
    """
    along_axes = len(factor) == 1  # the matrix of a single feature is the same
    directions = np.diag(factor[0]) if along_axes else factor
    y = centred * factor if along_axes else product(centred, factor)
    projected = y * factor if along_axes else product(y, factor.T)
    precisions = (directions**2).sum(axis=1)
    share = projected**2 / precisions
    whole = (y**2).sum(axis=1, keepdims=True)
    squares = whole - share
    cancelling = (whole > _CANCELLING) & ~(squares > whole / 2)
    for d in np.flatnonzero(cancelling.any(axis=0)):
        # Rows far off in this feature alone: it is taken out before squaring.
        far = cancelling[:, d]
        off = (projected[far, d] / precisions[d])[:, np.newaxis]
        squares[far, d] = ((y[far] - off * directions[d]) ** 2).sum(axis=1)
    squares[np.isnan(squares)] = np.inf  # distances that overflow
    logs = np.log(precisions / (2 * np.pi))
    return squares + logs, (logs - share) / 2
