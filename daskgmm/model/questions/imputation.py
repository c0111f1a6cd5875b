"""Missing values replaced by what a mixture expects given the row's other values."""

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.questions.products import padded, product
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles, Floats


def imputed(predictor: Predictor, rows: Floats) -> Floats:
    """Rows (n, D) in data units with their missing values (NaN) replaced.

    A value becomes its mean given the row's values that are known: the mean over the components,
    weighted by their probabilities given those, of each one's regression on them. A row without
    any gets the mixture's mean. Known values stay as they are, and the bits of a row don't depend
    on the rows beside it.

    Raises
    ------
    NotFiniteError
        A value is infinite.
    """
    missing = np.isnan(rows)
    flaw = Flaw.in_rows(np.where(missing, 0, rows).T)
    if flaw is not None:
        raise NotFiniteError(flaw)
    found, frame = rows.copy(), predictor.frame
    gaps = np.flatnonzero(missing.any(axis=1))
    if len(gaps) == 0:
        return found
    _, firsts, groups = np.unique(
        np.packbits(missing[gaps], axis=1), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(groups.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(groups.ravel(), minlength=len(firsts)))
    for own, first in zip(np.split(gaps[order], ends[:-1]), firsts, strict=True):
        unknown = np.flatnonzero(missing[gaps[first]])
        z = np.empty((len(own), rows.shape[1]))
        frame.standardise(rows[own].T, out=z.T)
        expected = _expected(predictor.mixture, padded(z), unknown)[: len(own)]
        found[np.ix_(own, unknown)] = frame.origin[unknown] + frame.scale[unknown] * expected
    return found


def _expected(mixture: Mixture, z: Doubles, unknown: NDArray[np.int64]) -> Doubles:
    """Means (n, M) of M unknown features in rows (n, D) of whole tiles.

    With the precision ``F @ F.T`` the whitened rows are ``F.T @ x``. Moving the unknown features
    moves them in the span of those features' rows of F. So the part beyond that span is the
    distance of the known features, and the part inside, in coordinates of the rows, is what the
    unknown ones are to be moved by: the span's orthogonal basis gives both (Björck, 1967).
    """
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    logits = np.empty((mixture.n_components, len(z)))
    means = np.empty((mixture.n_components, len(z), len(unknown)))
    normalisers = mixture.log_normalisers
    matrices = mixture.covariance.has_matrices
    if matrices:
        bases, triangles = np.linalg.qr(factors[:, unknown].swapaxes(1, 2))
        backs = np.linalg.inv(triangles).swapaxes(1, 2)
        widths = np.abs(np.diagonal(triangles, axis1=1, axis2=2))
    else:
        widths = factors[:, 0, unknown]
    # Given the known features, the unknown ones have this log-density at their mean.
    logs = (np.log(widths) - np.log(2 * np.pi) / 2).sum(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, mean in enumerate(mixture.means):
            at = k % len(factors)
            centred = z - mean
            centred[:, unknown] = 0
            means[k] = mean[unknown]
            if matrices:
                white = product(centred, factors[at])
                inside = product(white, bases[at])
                white -= product(inside, bases[at].T)
                means[k] -= product(inside, backs[at])
            else:
                white = centred * factors[at]
            logits[k] = normalisers[k] - logs[at] - (white**2).sum(axis=1) / 2
    logits[np.isnan(logits)] = -np.inf  # distances that overflow
    noise = None
    if mixture.noise is not None:
        noise = mixture.noise.of_features(np.setdiff1d(np.arange(z.shape[1]), unknown))
    logit = -np.inf if noise is None else noise.logit
    densities = normalise(logits, logit)
    found = np.zeros(means.shape[1:])
    for share, own in zip(logits, means, strict=True):
        found += share[:, np.newaxis] * own
    if mixture.noise is not None and logit > -np.inf:
        share, box = np.exp(logit - densities), mixture.noise
        found += share[:, np.newaxis] * (box.low + box.sides / 2)[unknown]
    return found
