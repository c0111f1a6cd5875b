"""Moments: the sufficient statistics of a mixture, which are sums over rows and so can be added.

The M-step computes a mixture from them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import CollapsedComponentError
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import require_numbers
from daskgmm.model.mixture import Mixture, collapsed
from daskgmm.model.packed import packed_columns, unpacked_columns
from daskgmm.model.parallel import each, slices_of_components
from daskgmm.model.typing import Doubles

EMPTY = 1000
"""Factor on the weight added against division by zero: components of less weight are empty."""

_STEPS = 16
"""Spacings of float64 at a component's mean within which values count as equal."""

_ROUNDING = 2 * float(np.finfo(np.float64).eps)
"""Share of a feature's variance that rounding leaves if other features determine it, divided by
D."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Responsibility-weighted sums of feature vectors about each component's origin.

    Parameters
    ----------
    origins : ndarray of shape (K, D)
        Points about which moments are taken; moments with different origins can't be added.
    sums : ndarray of shape (F, K)
        Sums of ``gamma * phi(z - origin)``: quadratic, then linear, then constant features. Those
        of a component lie together in memory.
    shared : ndarray of shape (D, D) or empty
        Second moments about the origins, summed over the components (tied covariances).
    log_likelihood : float
        Sum over rows of weight times log-density (nats).
    weight : float
        Sum of the sample weights.
    rows : int
        Number of rows.
    coarse : ndarray of uint8 of shape (K,) or None
        What single precision cost each component's sums: nothing (0), digits as sums about the
        rows' own means lose them (1), or as sums about the origins do (2): see
        `daskgmm.model.kernels.base`. Only a pass tells; ``None`` if nothing was lost.
    """

    origins: Doubles
    sums: Doubles
    shared: Doubles
    log_likelihood: float
    weight: float
    rows: int
    coarse: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sums", np.asfortranarray(self.sums))

    def require_sound(self, mixture: Mixture) -> None:
        """Raise ValueError with the reason if these cannot be a mixture's moments."""
        n_components, n_features = mixture.shape
        length = mixture.covariance.feature_length(n_features)
        square = (n_features, n_features) if mixture.covariance.needs_scatter else (0, 0)
        wanted = {"origins": mixture.shape, "sums": (length, n_components), "shared": square}
        for name, shape in wanted.items():
            array = getattr(self, name)
            require_numbers(f"the array of the moments' {name}", array)
            if array.shape != shape:
                raise ValueError(f"the moments' {name} have the shape {array.shape}, not {shape}")
        if (self.sums[-1] < 0).any() or not 0 <= self.weight < np.inf or self.rows < 0:
            raise ValueError("the moments' counts of rows are negative")
        if (self.weight > 0) != (self.rows > 0):
            raise ValueError(f"the moments are of {self.rows} rows with the weight {self.weight:g}")
        if np.isnan(self.log_likelihood):
            raise ValueError("the moments' log-likelihood is NaN")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sums": packed_columns(self.sums)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, sums=unpacked_columns(state["sums"]))

    def __sizeof__(self) -> int:  # Dask reckons with it where it sends moments
        arrays = self.origins, self.sums, self.shared
        return object.__sizeof__(self) + sum(one.nbytes for one in arrays)

    def __add__(self, other: "Moments") -> "Moments":
        return self._sum(other, np.empty_like(self.sums), np.empty_like(self.shared))

    def take_in(self, other: "Moments") -> "Moments":
        """The sum with others, in the arrays of these, which nobody else holds."""
        return self._sum(other, self.sums, self.shared)

    def _sum(self, other: "Moments", sums: Doubles, shared: Doubles) -> "Moments":
        """The sum with others, in these arrays."""
        if not np.array_equal(self.origins, other.origins):
            raise ValueError("moments about different origins do not add")
        np.add(self.sums, other.sums, out=sums)
        np.add(self.shared, other.shared, out=shared)
        return Moments(
            self.origins,
            sums,
            shared,
            self.log_likelihood + other.log_likelihood,
            self.weight + other.weight,
            self.rows + other.rows,
            _coarser(self.coarse, other.coarse),
        )

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood a row (nats)."""
        return self.log_likelihood / self.weight

    @property
    def left_to_noise(self) -> float:
        """Share of the rows' weight that no component has."""
        return max(1 - float(self.sums[-1].sum()) / self.weight, 0.0)

    @property
    def means(self) -> Doubles:
        """Means (K, D) of the components that have any weight; the origins of others."""
        counts = self.sums[-1]
        linear = self.sums[-1 - self.origins.shape[1] : -1].T
        safe = np.where(counts > 0, counts, 1.0)
        return np.asarray(self.origins + linear / safe[:, np.newaxis])

    def about(self, origins: Doubles, covariance: Covariance) -> "Moments":
        """Moments of the same rows about other origins, of shape (K, D).

        Rounding is relative to the moments before or after, whichever are larger: from a far
        origin, the moments of a tight component come without correct digits.
        """
        n_features = self.origins.shape[1]
        shift = (self.origins - origins).T
        linear = self.sums[-1 - n_features : -1]
        moved = linear + self.sums[-1] * shift
        sums = self.sums.copy(order="K")
        sums[-1 - n_features : -1] = moved
        quadratic, (_, i, j) = sums[: -1 - n_features], covariance.monomials(n_features).T

        def add(own: slice) -> None:
            # With d the shift, (z + d)(z + d).T = z z.T + (z + d) d.T + d z.T.
            of_rows, after, before = shift.T[own], moved.T[own], linear.T[own]
            added = after[:, i] * of_rows[:, j]
            added += of_rows[:, i] * before[:, j]
            quadratic[:, own] += covariance.features_of(added, n_features).T

        each(add, slices_of_components(*origins.shape))
        shared = self.shared
        if shared.size:
            shared = shared + moved @ shift.T + shift @ linear.T
        return replace(self, origins=origins, sums=sums, shared=shared)

    def of_components(self, order: NDArray[np.int64]) -> "Moments":
        """Moments with the components in another order; `order` is a permutation (K,)."""
        coarse = None if self.coarse is None else self.coarse[order]
        return replace(self, origins=self.origins[order], sums=self.sums[:, order], coarse=coarse)

    def faded(self, share: float) -> "Moments":
        """These moments with each row's weight multiplied by a share; the number of rows stays."""
        return replace(
            self,
            sums=share * self.sums,
            shared=share * self.shared,
            log_likelihood=share * self.log_likelihood,
            weight=share * self.weight,
        )

    def joined(self, other: "Moments", covariance: Covariance) -> "Moments":
        """Sum of two moments with any origins, about the means of both together.

        Covariances are computed from it without cancellation, also after further sums.
        """
        counts = self.sums[-1] + other.sums[-1]
        share = other.sums[-1] / np.where(counts > 0, counts, 1.0)
        origins = self.means + share[:, np.newaxis] * (other.means - self.means)
        return self.about(origins, covariance) + other.about(origins, covariance)

    def complete(self, mixture: Mixture, scatter: Doubles | None) -> "Moments":
        """Add the terms that `mixture`'s feature form leaves out, from the rows' total scatter.

        About the frame's origin; rows with missing values, whose sums are whole, may be in already.
        """
        shared, log_likelihood = mixture.covariance.completes(scatter, mixture.factors)
        if shared is None:
            return self
        log_likelihood += self.log_likelihood
        return replace(self, shared=self.shared + shared, log_likelihood=log_likelihood)

    def maximise(
        self, covariance: Covariance, ridge: Doubles, epsilon: float, zero: Doubles | None = None
    ) -> Mixture:
        """M-step: the mixture under which these statistics are most likely.

        Without a ridge a component may shrink to equal rows, where the likelihood is unbounded.
        Its variances along the axes are then the square of the resolution of float64 at its mean,
        in each pass, so the likelihood never falls. A matrix without width in some direction has
        collapsed, and so has a component without rows.

        Parameters
        ----------
        covariance : Covariance
            Covariance type.
        ridge : ndarray of shape (D,)
            Constant added to the covariances' diagonals, in squared units of the frame.
        epsilon : float
            Machine epsilon of the data's float type. Ten times this is added to each component's
            weight, as in scikit-learn, so that empty ones don't divide by zero; less where rows
            weigh less than 1. In empty components it also counts as rows at the frame's origin.
        zero : ndarray of shape (D,) or None
            Position of the data's zero, if not the frame's origin.

        Raises
        ------
        CollapsedComponentError
            A covariance is not positive definite, or consists of rounding only.
        """
        added, empty = self._added(epsilon), self.empty(epsilon)
        if self.origins[empty].any():  # about a far origin, the rows added there would cancel
            near = np.where(empty[:, np.newaxis], 0.0, self.origins)
            return self.about(near, covariance).maximise(covariance, ridge, epsilon, zero)
        guard = np.where(empty, added, 0.0)
        return self._maximise(covariance, ridge, added, guard, zero, widened=True)

    def first_mixture(
        self, covariance: Covariance, ridge: Doubles, epsilon: float, zero: Doubles | None = None
    ) -> Mixture:
        """First mixture of a start, whose components may be single rows; see `maximise`.

        Where variances along the axes would be zero, the weight that is added at the frame's
        origin gives them some width, as in scikit-learn, so that EM can share out the rows.
        """
        added, empty = self._added(epsilon), self.empty(epsilon)
        if self.origins[empty].any():
            near = np.where(empty[:, np.newaxis], 0.0, self.origins)
            return self.about(near, covariance).first_mixture(covariance, ridge, epsilon, zero)
        guard = np.where(empty, added, 0.0)
        try:
            return self._maximise(covariance, ridge, added, guard, zero, widened=False)
        except CollapsedComponentError:
            if covariance.has_matrices:  # one more point doesn't make a singular matrix regular
                raise
            guard = np.full(len(guard), added)
            return self._maximise(covariance, ridge, added, guard, zero, widened=True)

    def empty(self, epsilon: float) -> NDArray[np.bool_]:
        """Mask (K,) of the components that the M-step places at the frame's origin."""
        return np.asarray(self.sums[-1] < EMPTY * self._added(epsilon))

    def _added(self, epsilon: float) -> float:
        unit = min(self.weight / self.rows, 1.0) if self.weight > 0 else 1.0
        return 10 * epsilon * unit

    def _maximise(
        self,
        covariance: Covariance,
        ridge: Doubles,
        added: float,
        guard: Doubles,
        zero: Doubles | None,
        *,
        widened: bool,
    ) -> Mixture:
        n_features = self.origins.shape[1]
        counts = self.sums[-1] + guard
        linear = self.sums[-1 - n_features : -1].T - guard[:, np.newaxis] * self.origins
        offsets = linear / counts[:, np.newaxis]
        quadratic = self.sums[: -1 - n_features]
        if guard.any():
            of_origins = np.empty_like(quadratic)
            covariance.quadratic(self.origins.T, out=of_origins)
            of_origins *= guard
            quadratic = of_origins + quadratic
        shared = self.shared
        if shared.size:
            shared = shared + (guard * self.origins.T) @ self.origins
        means = self.origins + offsets
        covariances = covariance.estimate(quadratic, shared, counts, offsets, ridge)
        del quadratic  # as large as half of the factors that are still to come
        resolved = _resolved(means, ridge, zero)
        resolved[self.sums[-1] < EMPTY * added] = 0.0  # without rows there is nothing to resolve
        least = covariance.least_variances(resolved)
        if widened:
            covariances = covariance.at_least(covariances, least)
        weights = self.sums[-1] + added
        found = Mixture.from_covariances(covariance, weights / weights.sum(), means, covariances)
        _require_spread(found, least)
        return found


def _coarser(
    one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    if one is None or other is None:
        return other if one is None else one
    return np.maximum(one, other)


def _resolved(means: Doubles, ridge: Doubles, zero: Doubles | None) -> Doubles:
    """Variances (K, D) below which rows about these means count as equal; 0 with a ridge."""
    values = np.abs(means) if zero is None else np.maximum(np.abs(means), np.abs(means - zero))
    return np.where(ridge > 0, 0.0, (_STEPS * np.spacing(values)) ** 2)


def _require_spread(mixture: Mixture, least: Doubles) -> None:
    """Refuse covariances that consist of rounding, as it depends on the order of rows."""
    covariance, shape = mixture.covariance, mixture.shape
    narrow = covariance.variances(mixture.covariances, shape) < least
    shares = covariance.least_shares(mixture.factors, mixture.covariances, shape[0])
    bad = narrow.any(axis=1) | (shares <= _ROUNDING * shape[1])
    if bad.any():
        component = None if covariance.needs_scatter else int(np.argmax(bad))
        raise collapsed(component, mixture.weights)
