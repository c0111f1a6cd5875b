"""What the parts of a pass cost on one core, measured once and written down.

Costs are nanoseconds of a row and component. They decide how tiles are computed, never a clock:
the same mixture and rows go the same way on any machine whose processor has the same registers.
``python -m tests.benchmarks strategy`` prints them beside what a machine takes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from daskgmm.model.mixture import Mixture


@dataclass(frozen=True)
class Cost:
    """Of one part, by the number of features.

    Parameters
    ----------
    always : float
    single : float
        Each feature, where numbers are taken one at a time.
    feature, square : float
        Each feature, and each two, where vectors of double precision are taken; those of single
        precision hold twice as many.
    """

    always: float
    single: float = 0.0
    feature: float = 0.0
    square: float = 0.0

    def of(self, n_features: int, dtype: np.dtype[np.floating]) -> float:
        """Nanoseconds with so many features, in rows of this type."""
        in_vectors = (self.feature + self.square * n_features) * n_features
        return self.always + self.single * n_features + in_vectors * dtype.itemsize / 8


@dataclass(frozen=True)
class FeatureCost:
    """Of both products over feature vectors: each feature, and making it for a row."""

    always: float
    product: float
    making: float

    def of(self, length: int, n_components: int, dtype: np.dtype[np.floating]) -> float:
        """Nanoseconds with so many features of rows in this type."""
        a_feature = self.product + self.making / n_components
        return self.always + length * a_feature * dtype.itemsize / 8


@dataclass(frozen=True)
class CovarianceCosts:
    """Of all parts, for components that have variances or matrices.

    Parameters
    ----------
    features : FeatureCost
    centred : Cost
        A logit and its sums, where all pairs are computed about the means.
    logit : Cost
        A logit, with what lists the pairs that count.
    listed : Cost
        A listed pair's sums.
    pair : Cost
        A gathered pair's logit and sums.
    bound : Cost
        A bound on a logit, along a few axes or directions.
    entry : Cost
        Laying out a row for gathering, and once more for bounds, but not for products; of a row.
    few_features : int
        Features that registers hold with all their sums, at most.
    few : Cost
        As ``centred``, of no more features than these.
    """

    features: FeatureCost
    centred: Cost
    logit: Cost
    listed: Cost
    pair: Cost
    bound: Cost
    entry: Cost
    few_features: int = 0
    few: Cost = Cost(0)

    def all_pairs(self, n_features: int, dtype: np.dtype[np.floating]) -> tuple[float, float]:
        """A logit with its sums, and a logit with what lists it, where that gains anything."""
        if n_features <= self.few_features:
            few = self.few.of(n_features, dtype)
            return few, few
        return self.centred.of(n_features, dtype), self.logit.of(n_features, dtype)


@dataclass(frozen=True)
class Costs:
    """Of one kind of processor.

    Parameters
    ----------
    variances, matrices : CovarianceCosts
    product : FeatureCost
        A bound on a logit by a product over features.
    whitening : Cost
        Whitening a row with a matrix that all components share; of a row.
    """

    variances: CovarianceCosts
    matrices: CovarianceCosts
    product: FeatureCost
    whitening: Cost

    def of(self, mixture: Mixture) -> CovarianceCosts:
        """Those of a mixture's covariance type."""
        return self.matrices if mixture.covariance.has_matrices else self.variances


NARROW = Costs(
    CovarianceCosts(
        features=FeatureCost(4, 0.29, 1.5),
        centred=Cost(8, feature=1.05),
        logit=Cost(7.5, feature=0.72),
        listed=Cost(4, single=1.35),
        pair=Cost(22, single=0.8),
        bound=Cost(4.8),
        entry=Cost(0, single=2.5),
    ),
    CovarianceCosts(
        features=FeatureCost(4, 0.29, 1.5),
        centred=Cost(5, feature=1.2, square=0.13),
        logit=Cost(5, feature=0.7, square=0.06),
        listed=Cost(7, single=1.4, square=0.075),
        pair=Cost(25, single=2.2, square=0.13),
        bound=Cost(3, single=0.2),
        entry=Cost(0, single=1.3),
        few_features=3,
        few=Cost(3.2, feature=1.3),
    ),
    product=FeatureCost(4.8, 0.14, 0),
    whitening=Cost(0, single=2.2, square=0.2),
)
"""Of 16 registers of 32 bytes: an AMD EPYC of 2017 (Zen 1). Bounds by products and whitening were
measured on a newer EPYC (Zen 5), bounds along directions and few features on a Xeon (Emerald
Rapids), and are in proportion."""

WIDE = Costs(
    CovarianceCosts(
        features=FeatureCost(1.5, 0.07, 1.3),
        centred=Cost(1.5, feature=0.42),
        logit=Cost(2.4, feature=0.26),
        listed=Cost(2.5, single=0.85),
        pair=Cost(18, single=0.4),
        bound=Cost(1.1),
        entry=Cost(0, single=1.2),
    ),
    CovarianceCosts(
        features=FeatureCost(1.3, 0.085, 0.6),
        centred=Cost(2, feature=0.8, square=0.046),
        logit=Cost(3, feature=0.35, square=0.0175),
        listed=Cost(5, single=0.8, square=0.035),
        pair=Cost(20, single=0.4, square=0.042),
        bound=Cost(0.9, single=0.06),
        entry=Cost(0, single=0.9),
        few_features=6,
        few=Cost(1, single=0.2, feature=0.4),
    ),
    product=FeatureCost(1.5, 0.05, 0),
    whitening=Cost(0, single=1, square=0.06),
)
"""Of 32 registers of 64 bytes (AVX-512): a Xeon of 2023 (Emerald Rapids)."""


@cache
def costs() -> Costs:
    """Those of the processor's kind."""
    # With it comes numba, which not every fit needs.
    from daskgmm.model.kernels.loops.registers.lanes import REGISTERS

    return WIDE if REGISTERS == 32 else NARROW
