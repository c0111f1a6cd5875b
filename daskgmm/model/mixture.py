"""A mixture of Gaussians, immutable."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import CollapsedComponentError
from daskgmm.model.bayesian.posterior import Posterior
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.frame import Frame, require_numbers
from daskgmm.model.noise import Noise
from daskgmm.model.typing import Doubles

_LOG_OF_ZERO = -1e30
"""Value for log(0) in natural parameters, where minus infinity would make products NaN."""

_LEAST_COUNT = 1e-100
"""Weight of a component without any, so that its covariance can be divided by it."""

_ROUNDING_OF_WEIGHTS = 1e-5
"""Largest difference from 1 of a sum of weights that were computed in single precision."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights, means and covariances of K components over D features.

    Parameters
    ----------
    covariance : Covariance
        The covariance type.
    weights : ndarray of shape (K,)
        Not negative, with sum 1; with noise, 1 less its weight.
    means : ndarray of shape (K, D)
    covariances, factors : ndarray in the type's natural shape
        Covariances, and the Cholesky factors of the precisions.
    log_weights : ndarray of shape (K,) or None
        Terms that the E-step adds to the components' log-densities, where they are not the
        logarithms of the weights: the expectations of a variational mixture.
    noise : Noise or None
        A uniform background beside the components.
    posterior : Posterior or None
        What else a variational mixture knows of its parameters.
    """

    covariance: Covariance
    weights: Doubles
    means: Doubles
    covariances: Doubles
    factors: Doubles
    log_weights: Doubles | None = None
    noise: Noise | None = field(default=None, kw_only=True)
    posterior: Posterior | None = field(default=None, kw_only=True)

    @classmethod
    def from_covariances(
        cls, covariance: Covariance, weights: Doubles, means: Doubles, covariances: Doubles
    ) -> Self:
        """Make a mixture with these covariances.

        Raises
        ------
        CollapsedComponentError
            A covariance is not positive definite; the error names the component.
        """
        try:
            factors = covariance.factorise(covariances)
        except NotPositiveDefiniteError as error:
            raise collapsed(error.component, weights) from error
        return cls(covariance, weights, means, covariances, factors)

    @classmethod
    def from_precisions(
        cls, covariance: Covariance, weights: Doubles, means: Doubles, precisions: Doubles
    ) -> Self:
        """Make a mixture with these precisions; `NotPositiveDefiniteError` if not valid."""
        factors = covariance.factorise_precisions(precisions)
        return cls(covariance, weights, means, covariance.covariances(factors), factors)

    def require_sound(self) -> None:
        """Raise ValueError with the reason if these arrays are not a valid mixture.

        Code that makes mixtures need not ask: this is for those that come from elsewhere.
        """
        for name in ("weights", "means", "covariances", "factors"):
            require_numbers(f"the array of {name}", getattr(self, name))
        if self.means.ndim != 2 or 0 in self.means.shape:
            raise ValueError(f"the means have the shape {self.means.shape}, not (K, D)")
        wanted = self.covariance.shape(*self.shape)
        shapes = {"weights": (len(self.means),), "covariances": wanted, "factors": wanted}
        for name, shape in shapes.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"the {name} have the shape {found}, where {shape} is needed")
        if (self.weights < 0).any():
            raise ValueError(f"a weight is {self.weights.min():g}")
        total = self.weights.sum()
        if self.noise is not None:
            self.noise.require_sound(self.n_features)
            total += self.noise.weight
        if abs(total - 1) > _ROUNDING_OF_WEIGHTS:
            raise ValueError(f"the weights sum to {total:.6g}, not to 1")
        self._require_proper_covariances()
        self._require_sound_posterior()

    def _require_sound_posterior(self) -> None:
        if self.log_weights is None and self.posterior is None:
            return
        if self.log_weights is None or self.posterior is None:
            raise ValueError("of its posterior and its log-weights one is missing")
        require_numbers("the array of log-weights", self.log_weights)
        if self.log_weights.shape != self.weights.shape:
            raise ValueError(f"the log-weights have the shape {self.log_weights.shape}")
        total = np.exp(np.minimum(self.log_weights, 1.0)).sum()
        if total > 1 + _ROUNDING_OF_WEIGHTS:  # by Jensen's inequality it is 1 at the most
            raise ValueError("its log-weights are those of weights that sum to more than 1")
        self.posterior.require_sound(self.n_components)

    def _require_proper_covariances(self) -> None:
        if self.covariance.has_matrices:  # of which one half is looked at below
            askew = np.abs(self.covariances - self.covariances.swapaxes(-1, -2)).max()
            if askew > 1e-5 * np.abs(self.covariances).max():
                raise ValueError("a covariance is not symmetric")
        try:
            expected = self.covariance.factorise(self.covariances)
        except NotPositiveDefiniteError as error:
            raise ValueError("a covariance is not positive definite") from error
        # Rounding is as large as the matrices are ill-conditioned, and they may be very much so.
        sizes = self.covariance.absolute_form(expected, self.deviations)
        slack = 1e-6 + 100 * np.finfo(np.float64).eps * sizes.max()
        if np.abs(self.factors - expected).max() > slack * np.abs(expected).max():
            raise ValueError("the factors are not those of the covariances")

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return int(self.means.shape[0])

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return int(self.means.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (K, D) of the means."""
        return self.n_components, self.n_features

    @property
    def n_parameters(self) -> int:
        """Number of free parameters, for information criteria."""
        in_covariances = self.covariance.n_parameters(*self.shape)
        of_weights = self.n_components - (self.noise is None)
        return in_covariances + self.means.size + of_weights

    @property
    def noise_logit(self) -> float:
        """Weighted log-density of noise at any row; minus infinity where there is none."""
        return -np.inf if self.noise is None else self.noise.logit

    @property
    def deviations(self) -> Doubles:
        """Standard deviations of each component along the features, of shape (K, D)."""
        return np.sqrt(self.covariance.variances(self.covariances, self.shape))

    @property
    def log_normalisers(self) -> Doubles:
        """Weighted log-density at each component's mean, of shape (K,)."""
        log_weights = self.log_weights
        if log_weights is None:
            with np.errstate(divide="ignore"):
                log_weights = np.maximum(np.log(self.weights), _LOG_OF_ZERO)
        determinants = self.covariance.log_determinants(self.factors, self.shape)
        return np.asarray(log_weights + determinants - self.n_features / 2 * np.log(2 * np.pi))

    @property
    def natural_parameters(self) -> Doubles:
        """Eta of shape (K, F): the weighted log-densities are ``eta @ phi(z)``."""
        linear = self.covariance.precision_times(self.factors, self.means)
        at_zero = self.log_normalisers - 0.5 * np.einsum("kd,kd->k", linear, self.means)
        quadratic = self.covariance.quadratic_parameters(self.factors, self.shape)
        return np.hstack([quadratic, linear, at_zero[:, np.newaxis]])

    def of_components(self, components: Sequence[int] | NDArray[np.int64]) -> "Mixture":
        """Some components, in any order and each as often as given, with their weights here."""
        own = np.asarray(components, np.int64)
        return Mixture(
            self.covariance,
            self.weights[own],
            self.means[own],
            self.covariance.of_components(self.covariances, own),
            self.covariance.of_components(self.factors, own),
            None if self.log_weights is None else self.log_weights[own],
            noise=self.noise,
            posterior=None if self.posterior is None else self.posterior.of_components(own),
        )

    def of_features(self, features: NDArray[np.int64]) -> "Mixture":
        """The mixture of some features, in this order: its marginal distribution.

        Log-weights stay: they weigh components whatever is known of a row.
        """
        covariances = self.covariance.of_features(self.covariances, features)
        means = self.means[:, features]
        found = Mixture.from_covariances(self.covariance, self.weights, means, covariances)
        noise = None if self.noise is None else self.noise.of_features(features)
        posterior = self.posterior if len(features) == self.n_features else None
        return replace(found, log_weights=self.log_weights, noise=noise, posterior=posterior)

    def beside(self, noise: Noise | None) -> "Mixture":
        """The same components beside noise, to which they leave its weight."""
        if noise is None and self.noise is None:
            return self
        left = 1.0 if noise is None else 1 - noise.weight
        weights = self.weights * (left / self.weights.sum())
        return replace(self, weights=weights, noise=noise)

    def with_covariance(self, covariance: Covariance) -> "Mixture":
        """The mixture of another covariance type that is nearest component by component.

        It is the M-step from moments that these components have: variances of a matrix, their mean
        for spherical ones, and the weighted mean of the matrices for tied ones.
        """
        matrices = self.covariance.as_matrices(self.covariances, self.shape)
        counts = np.maximum(self.weights, _LEAST_COUNT)
        _, i, j = covariance.monomials(self.n_features).T
        products = counts[:, np.newaxis] * matrices[:, i, j]
        quadratic = covariance.features_of(products, self.n_features).T
        shared = np.einsum("k,kij->ij", counts, matrices)
        nothing = np.zeros_like(self.means)
        found = covariance.estimate(quadratic, shared, counts, nothing, nothing[0])
        mixture = Mixture.from_covariances(covariance, self.weights, self.means, found)
        return replace(mixture, noise=self.noise)

    def outside(self, frame: Frame) -> "Mixture":
        """The mixture in the coordinates in which its frame is given."""
        covariances = self.covariance.rescale(self.covariances, frame.scale)
        means = frame.leave(self.means)
        found = Mixture.from_covariances(self.covariance, self.weights, means, covariances)
        noise = None if self.noise is None else self.noise.outside(frame)
        log_weights, posterior = self.log_weights, self.posterior
        return replace(found, log_weights=log_weights, noise=noise, posterior=posterior)


def collapsed(component: int | None, weights: Doubles) -> CollapsedComponentError:
    """Error for a component whose covariance is not positive definite; ``None``: the shared one."""
    if component is None:
        which = "The covariance shared by all components has collapsed"
    else:
        which = (
            f"Component {component} of {len(weights)} (weight {weights[component]:.3g}) "
            "has collapsed"
        )
    return CollapsedComponentError(
        f"{which}: its covariance is not positive definite. Fitting the mixture model failed "
        "because some components have ill-defined empirical covariance (for instance caused "
        "by singleton or collapsed samples).",
        "Try to decrease the number of components, increase reg_covar, or scale the input data.",
    )


def joined(parts: Sequence[Mixture], weights: Doubles | None = None) -> Mixture:
    """A mixture of all components of several, with their weights there or others.

    A covariance that they share is the first's.
    """
    first, shared = parts[0], parts[0].covariance.needs_scatter

    def together(name: str) -> Doubles:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        first,
        weights=together("weights") if weights is None else weights,
        means=together("means"),
        covariances=first.covariances if shared else together("covariances"),
        factors=first.factors if shared else together("factors"),
        log_weights=None,
    )
