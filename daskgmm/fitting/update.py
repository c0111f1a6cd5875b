"""E-step of an update: moments of new rows under a fitted mixture, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.data.source import Source, require_finite_sum
from daskgmm.errors import DataError
from daskgmm.fitting.checks import require_known
from daskgmm.model.expectation import Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.missing.patterns import Missing
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor
from daskgmm.passes.cost import PASS_WORTH_COMPILING, estimated_seconds_a_row
from daskgmm.passes.expectation import expect_checked
from daskgmm.passes.statistics import Statistics
from daskgmm.training.em import Origins


@dataclass(eq=False)
class NewRows:
    """New rows, whose moments are computed in one pass, rarely in two.

    Parameters
    ----------
    source : Source
    before : Predictor
        Mixture before the update, and its frame.
    dtype : dtype
        Float type of the computation.
    missing : Missing
        What rows with missing values count as.
    max_missing : float
        Largest share of the rows that may have missing values.
    passes : int
        Number of passes made so far.
    dropped : int
        Number of rows that counted as absent in the last pass.
    """

    source: Source
    before: Predictor
    dtype: np.dtype[Any]
    missing: Missing = Missing.ERROR
    max_missing: float = 1.0
    passes: int = 0
    dropped: int = 0

    def expect(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        """Compute moments in one pass; see `daskgmm.training.em.Expect`."""
        cost = self._cost_a_row(mixtures[0])
        rows = sum(self.source.lengths or ())
        compiled = rows * cost > PASS_WORTH_COMPILING  # one pass has to be worth it
        if compiled:
            compile_ahead(self.source.dtype, self.dtype)
        asked = Expectation(
            tuple(mixtures),
            self.before.frame,
            self.dtype,
            origins=origins,
            compiled=compiled,
            missing=self.missing,
        )
        self.passes += 1
        checked = expect_checked(self.source, asked, cost)
        require_known(checked.incomplete, sum(checked.lengths), self.max_missing)
        self.dropped = checked.incomplete if self.missing is Missing.DROP else 0
        (found,) = checked.moments
        require_finite_sum(found.weight)
        if found.weight == 0:
            raise DataError(
                "There are no rows to update the model with, or none of positive weight.",
                "Check that the input is the right one, and that some weights are positive.",
            )
        return [found]

    def _cost_a_row(self, mixture: Mixture) -> float:
        n_features = mixture.n_features
        length = mixture.covariance.feature_length(n_features)
        return estimated_seconds_a_row(n_features, length, mixture.n_components)


def remembered(moments: Moments | None, mixture: Mixture, frame: Frame) -> Statistics:
    """Statistics of the rows whose moments a model holds, in data units; else those of no rows.

    Second moments are those that the covariance type keeps: a mean of the diagonal for spherical
    ones, and only the diagonal along the axes.
    """
    n_features = mixture.n_features
    if moments is None:
        return Statistics(frame.origin, 1.0, np.zeros(n_features), np.zeros((n_features,) * 2))
    covariance, counts = mixture.covariance, moments.sums[-1]
    centre = counts @ moments.means / counts.sum()
    about = moments.about(np.broadcast_to(centre, mixture.shape), covariance)
    second = about.shared
    if not covariance.needs_scatter:
        feature, i, j = covariance.monomials(n_features).T
        values = about.sums[: -1 - n_features].sum(axis=1)[feature] / np.bincount(feature)[feature]
        second = np.zeros((n_features, n_features))
        second[i, j] = second[j, i] = values
    unit = np.outer(frame.scale, frame.scale)
    total = float(counts.sum())
    return Statistics(frame.leave(centre), total, np.zeros(n_features), second * unit)
