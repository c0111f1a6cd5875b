"""Diagnosis of components: their rows, widths, overlaps and oddities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from daskgmm.model.bayesian.posterior import HOLDS
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.distances import bhattacharyya
from daskgmm.model.typing import Doubles

COINCIDES = "coincides"
"""Flag of a component that overlaps with another by `COINCIDENCE` or more."""

FEW_ROWS = "few rows"
"""Flag of a component with less than a row."""

EMPTY = "empty"
"""Flag of a component that a variational mixture did not need, which is as it should be."""

ON_REG_COVAR = "on reg_covar"
"""Flag of a component with more of ``reg_covar`` than of its rows' variance in some direction."""

COINCIDENCE = 0.99
"""Bhattacharyya coefficient from which on two components are one."""

_MOST_OF_COINCIDING = 0.0101
"""Distance (nats) along an axis from which on two components do not coincide: that of
`COINCIDENCE`, and what rounding may add to it."""

_A_ROW = 0.99
"""Responsibilities that are a whole row, but for what others have of it."""

_DRAWN, _FEWEST_DRAWN, _MOST_DRAWN = 2**15, 32, 512
"""Rows that are drawn for entropies, in all; and limits of those of a component."""


@dataclass(frozen=True)
class ComponentReport:
    """Report on a component.

    Parameters
    ----------
    weight : float
    rows : float
        Effective rows: its responsibilities, summed over the rows of the fit; NaN if not known.
    condition : float
        Condition number of its covariance, in the data's units.
    overlap : float
        Largest Bhattacharyya coefficient with another component, from 0 to 1; 0 if it is alone.
    entropy : float
        Mean entropy (nats) of the responsibilities of rows that are drawn from it: 0 where it is
        known whose rows they are.
    flags : tuple of str
        What is odd about it.
    """

    weight: float
    rows: float
    condition: float
    overlap: float
    entropy: float
    flags: tuple[str, ...]


def diagnosed(
    predictor: Predictor, moments: Moments | None, reg_covar: float
) -> list[ComponentReport]:
    """Report on each component; no row is read.

    Parameters
    ----------
    predictor : Predictor
    moments : Moments or None
        Those of the fit's last pass, if they are known.
    reg_covar : float
        What was added to variances, in squared units of the data.
    """
    mixture = predictor.in_data_units
    counts = np.full(mixture.n_components, np.nan) if moments is None else moments.sums[-1]
    shared = overlaps(predictor.mixture)
    columns = np.stack(
        [mixture.weights, counts, condition_numbers(mixture), shared, entropies(predictor)]
    )
    found = flags(predictor, moments, reg_covar, shared >= COINCIDENCE)
    names = ("weight", "rows", "condition", "overlap", "entropy")
    return [
        ComponentReport(**dict(zip(names, row, strict=True)), flags=own)
        for row, own in zip(columns.T.tolist(), found, strict=True)
    ]


def condition_numbers(mixture: Mixture) -> Doubles:
    """Condition numbers (K,) of the covariances."""
    factors = mixture.covariance.as_matrices(mixture.factors, mixture.shape)
    lengths = np.linalg.svd(factors, compute_uv=False)
    return np.asarray((lengths[:, 0] / lengths[:, -1]) ** 2)


def overlaps(mixture: Mixture) -> Doubles:
    """Largest Bhattacharyya coefficient (K,) of each component with another.

    Along an axis two components overlap no less than altogether, which rules most pairs out.
    """
    found = np.zeros(mixture.n_components)
    if mixture.n_components == 1:
        return found
    bounds = _along_axes(mixture)
    np.fill_diagonal(bounds, np.inf)
    first = bounds.argmin(axis=1)
    for k, nearest in enumerate(first):
        own = mixture.of_components(np.array([k]))
        (least,) = bhattacharyya(own, mixture.of_components(np.array([nearest])))[0]
        others = np.flatnonzero(bounds[k] < least)
        if len(others):
            least = min(least, bhattacharyya(own, mixture.of_components(others)).min())
        found[k] = np.exp(-least)
    return found


def coinciding(mixture: Mixture) -> NDArray[np.bool_]:
    """Mask (K,) of the components that overlap with another by `COINCIDENCE` or more.

    Few of hundreds do, and an axis or two tell all others apart: `overlaps` takes minutes there.
    """
    means, variances = mixture.means, mixture.deviations**2
    logs, found = np.log(variances), np.zeros(mixture.n_components, np.bool_)
    for k in range(mixture.n_components - 1):
        others = np.arange(k + 1, mixture.n_components)
        for axis in range(mixture.n_features):
            middle = (variances[k, axis] + variances[others, axis]) / 2
            widths = np.log(middle) - (logs[k, axis] + logs[others, axis]) / 2
            apart = (means[others, axis] - means[k, axis]) ** 2 / middle / 8 + widths / 2
            others = others[apart <= _MOST_OF_COINCIDING]
            if not len(others):
                break
        if len(others):
            own = mixture.of_components(np.array([k]))
            (distances,) = bhattacharyya(own, mixture.of_components(others))
            same = others[np.exp(-distances) >= COINCIDENCE]
            found[same] = True
            found[k] |= len(same) > 0
    return found


def _along_axes(mixture: Mixture) -> Doubles:
    """Largest Bhattacharyya distances (K, K) of the components' marginals along an axis (nats)."""
    variances = mixture.deviations**2
    logs = np.log(variances)
    found = np.empty((mixture.n_components, mixture.n_components))
    for k, (mean, own, log) in enumerate(zip(mixture.means, variances, logs, strict=True)):
        middle = (own + variances) / 2
        apart = (mixture.means - mean) ** 2 / middle / 8
        found[k] = (apart + (np.log(middle) - (log + logs) / 2) / 2).max(axis=1)
    return np.maximum(found, 0.0)


def entropies(predictor: Predictor) -> Doubles:
    """Mean entropies (K,) of the responsibilities of rows drawn from each component (nats)."""
    mixture = predictor.mixture
    n_components, n_features = mixture.shape
    inside = Predictor(mixture, Frame.identity(n_features))
    drawn = int(np.clip(_DRAWN // n_components, _FEWEST_DRAWN, _MOST_DRAWN))
    random = np.random.Generator(np.random.Philox(key=0))
    found = np.empty(n_components)
    for k, mean in enumerate(mixture.means):
        noise = random.standard_normal((drawn, n_features))
        rows = mean + mixture.covariance.colour(noise, mixture.factors, k)
        found[k] = entr(inside.responsibilities(rows)).sum(axis=1).mean()
    return found


def flags(
    predictor: Predictor,
    moments: Moments | None,
    reg_covar: float,
    coincides: NDArray[np.bool_],
) -> list[tuple[str, ...]]:
    """Oddities of each component, given a mask (K,) of those that coincide with another."""
    mixture = predictor.in_data_units
    masks = {
        COINCIDES: coincides,
        FEW_ROWS: _few_rows(mixture, moments),
        ON_REG_COVAR: _narrow(mixture, 2 * reg_covar),
    }
    empty = _emptied(mixture, moments)
    return [
        (EMPTY,) if empty[k] else tuple(name for name, mask in masks.items() if mask[k])
        for k in range(mixture.n_components)
    ]


def _emptied(mixture: Mixture, moments: Moments | None) -> NDArray[np.bool_]:
    """Mask (K,) of components of a variational mixture that hold no rows."""
    if mixture.posterior is None or moments is None:
        return np.zeros(mixture.n_components, np.bool_)
    return np.asarray(moments.sums[-1] < HOLDS)


def _few_rows(mixture: Mixture, moments: Moments | None) -> NDArray[np.bool_]:
    """Mask (K,) of components with less than a row."""
    if moments is None:
        return np.zeros(mixture.n_components, np.bool_)
    rows = moments.sums[-1] * (moments.rows / moments.weight)
    return np.asarray(rows < _A_ROW)


def _narrow(mixture: Mixture, variance: float) -> NDArray[np.bool_]:
    """Mask (K,) of components with less variance than this in some direction."""
    factors = mixture.covariance.as_matrices(mixture.factors, mixture.shape)
    # The sum of squares is at least the largest singular value's, and needs no decomposition.
    found = np.einsum("kde,kde->k", factors, factors) * variance > 1
    if found.any():
        largest = np.linalg.norm(factors[found], ord=2, axis=(1, 2))
        found[found] = largest**2 * variance > 1
    return np.asarray(found)
