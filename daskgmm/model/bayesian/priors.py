"""Priors of a Gaussian mixture, and what rows make of them (Attias, 1999; Bishop, 2006, ch. 10.2).

Means and precisions have a Gaussian-Wishart prior. The posterior is sought among products of such
distributions; for covariance types that are no matrix of each component's own, among those whose
Wishart scale is diagonal, spherical, or the same for all. Then all types share these formulas, and
the evidence lower bound (ELBO) never falls but for `reg_covar`, which counts as rows' own spread.

The E-step is that of an ordinary mixture: its covariances are the inverses of the expected
precisions, and its log-weights hold what else is expected of a component's log-density.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, gammaln

from daskgmm.model.bayesian.concentration import Concentration
from daskgmm.model.bayesian.posterior import Posterior
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles

_LEAST = -1e30
"""Least log-weight, which single precision holds."""

_LEAST_COUNT = 1e-100
"""Count of a component without rows, so that its second moments can be divided by it."""


@dataclass(frozen=True, eq=False)
class Priors:
    """Priors of weights, means and precisions.

    Parameters
    ----------
    concentration : Concentration
    mean_precision : float
        Rows that the prior of the means counts for.
    mean : ndarray of shape (D,)
    degrees_of_freedom : float
        Of the Wishart distribution, above D - 1.
    scale : ndarray of shape (D, D) or (D,)
        Inverse of the Wishart distribution's scale, or its diagonal where no more is needed.
    """

    concentration: Concentration
    mean_precision: float
    mean: Doubles
    degrees_of_freedom: float
    scale: Doubles

    def inside(self, frame: Frame) -> "Priors":
        """The priors, given in the data's units, in a frame's coordinates."""
        pairs = np.outer(frame.scale, frame.scale)
        scale = self.scale / (pairs if self.scale.ndim == 2 else np.diagonal(pairs))
        return replace(self, mean=frame.enter(self.mean), scale=scale)

    def mixture(
        self, covariance: Covariance, moments: Moments, ridge: Doubles, added: float
    ) -> Mixture:
        """The expected mixture, and its posterior, after rows with these moments.

        Parameters
        ----------
        covariance : Covariance
        moments : Moments
        ridge : ndarray of shape (D,)
            Variance that every row has about itself.
        added : float
            Weight that is added to each component's, as in scikit-learn.

        Raises
        ------
        CollapsedComponentError
            A covariance is not positive definite.
        """
        n_features = len(self.mean)
        counts = moments.sums[-1] + added
        posterior = self.posterior(covariance, counts)
        linear = moments.sums[-1 - n_features : -1].T
        towards = self.mean_precision * (self.mean - moments.origins)
        means = moments.origins + (linear + towards) / posterior.mean_precision[:, np.newaxis]
        about = moments.about(means, covariance)

        # The prior counts as rows at its mean, and as second moments of its own.
        apart = self.mean - means
        quadratic = np.empty_like(about.sums[: -1 - n_features])
        covariance.quadratic(apart.T, out=quadratic)
        quadratic *= self.mean_precision
        quadratic += about.sums[: -1 - n_features]
        quadratic += self._features(covariance, self.scale)[:, np.newaxis]
        quadratic += counts * self._features(covariance, ridge)[:, np.newaxis]
        shared = about.shared
        if shared.size:
            shared = shared + self.mean_precision * (apart.T @ apart)
            shared += len(counts) * self._matrix + counts.sum() * np.diag(ridge)
        nothing = np.zeros_like(means)
        covariances = covariance.estimate(
            quadratic, shared, posterior.degrees_of_freedom, nothing, nothing[0]
        )
        weights = self.concentration.weights(posterior.weight_concentration)
        found = Mixture.from_covariances(covariance, weights, means, covariances)
        return self.expecting(found, posterior)

    def expecting(self, mixture: Mixture, posterior: Posterior) -> Mixture:
        """An expected mixture with its posterior, and the log-weights that follow from it."""
        return replace(mixture, log_weights=self._log_weights(posterior), posterior=posterior)

    def posterior(self, covariance: Covariance, counts: Doubles) -> Posterior:
        """The posterior after rows that the components hold by these counts (K,)."""
        own = counts
        if covariance.needs_scatter:  # one covariance, of the rows of all components on the average
            own = np.full_like(counts, counts.mean())
        return Posterior(
            self.concentration.posterior(counts),
            self.mean_precision + counts,
            self.degrees_of_freedom + own,
        )

    def _log_weights(self, posterior: Posterior) -> Doubles:
        """Log-weights (K,) of the E-step: what is expected beside means and precisions."""
        n_features, freedom = len(self.mean), posterior.degrees_of_freedom
        halves = (freedom - np.arange(n_features)[:, np.newaxis]) / 2
        precision = digamma(halves).sum(axis=0) - n_features * np.log(freedom / 2)
        found = self.concentration.log_weights(posterior.weight_concentration)
        found = found + (precision - n_features / posterior.mean_precision) / 2
        return np.asarray(np.maximum(found, _LEAST))

    def _features(self, covariance: Covariance, second: Doubles) -> Doubles:
        """Quadratic features (Q,) of second moments (D, D), or of their diagonal (D,)."""
        n_features = len(self.mean)
        feature, i, j = covariance.monomials(n_features).T
        values = np.where(i == j, second[i], 0.0) if second.ndim == 1 else second[i, j]
        found = np.zeros(covariance.quadratic_length(n_features))
        np.add.at(found, feature, values)
        return found

    @property
    def _matrix(self) -> Doubles:
        return np.diag(self.scale) if self.scale.ndim == 1 else self.scale

    def evidence(self, mixture: Mixture, frame: Frame) -> float:
        """The ELBO without the entropy of the responsibilities and without constants (nats).

        With the entropy it is scikit-learn's ``lower_bound_``.

        Parameters
        ----------
        mixture : Mixture
            With a posterior; in the frame's coordinates.
        frame : Frame
        """
        posterior = mixture.posterior
        assert posterior is not None  # noqa: S101  the M-step's own
        determinants = mixture.covariance.log_determinants(mixture.factors, mixture.shape)
        determinants = determinants + frame.log_jacobian
        wishart = _log_wishart(posterior.degrees_of_freedom, 2 * determinants, len(self.mean))
        weights = self.concentration.log_normaliser(posterior.weight_concentration)
        precisions = len(self.mean) / 2 * np.log(posterior.mean_precision)
        return float(wishart.sum() - precisions.sum() + weights)

    def constant(self, covariance: Covariance, n_components: int, weight: float) -> float:
        """Constant that is subtracted from `evidence` plus entropy to make the ELBO (nats).

        The priors are in the data's units. Of rows in a plane, whose covariance is no proper prior,
        the ELBO has no finite value: then what is infinite is left out.

        Parameters
        ----------
        covariance : Covariance
        n_components : int
        weight : float
            Sum of the sample weights.
        """
        n_features = len(self.mean)
        # As for the mixture, the type decides what of the scale counts.
        scale = covariance.estimate(
            self._features(covariance, self.scale)[:, np.newaxis],
            self._matrix if covariance.needs_scatter else np.empty((0, 0)),
            np.array([self.degrees_of_freedom]),
            np.zeros((1, n_features)),
            np.zeros(n_features),
        )
        freedom, determinant = np.array([self.degrees_of_freedom]), np.zeros(1)
        with suppress(NotPositiveDefiniteError):
            factors = covariance.factorise(scale)
            determinant = covariance.log_determinants(factors, (1, n_features))
        wishart = float(_log_wishart(freedom, 2 * determinant, n_features)[0])
        mean = n_features / 2 * np.log(self.mean_precision)
        prior = self.concentration.posterior(np.zeros(n_components))
        rows = weight * n_features / 2 * np.log(2 * np.pi)
        weights = self.concentration.log_normaliser(prior)
        return float(rows + n_components * (wishart - mean) + weights)


def _log_wishart(freedom: Doubles, log_determinants: Doubles, n_features: int) -> Doubles:
    """Log-normalisers (K,) of Wishart distributions, but for a constant.

    Parameters
    ----------
    freedom : ndarray of shape (K,)
        Degrees of freedom.
    log_determinants : ndarray of shape (K,)
        Of the expected precisions.
    n_features : int
    """
    halves = (freedom - np.arange(n_features)[:, np.newaxis]) / 2
    scale = log_determinants - n_features * np.log(freedom / 2)
    return np.asarray(freedom / 2 * scale + gammaln(halves).sum(axis=0))


def entropy(mixture: Mixture, moments: Moments, frame: Frame) -> float:
    """Entropy of the responsibilities that a mixture gave to rows with these moments (nats).

    It is the rows' log-normalisers less their expected log-densities, which are linear in the
    moments.
    """
    covariance = mixture.covariance
    about = moments.about(mixture.means, covariance)
    counts = np.maximum(about.sums[-1], _LEAST_COUNT)
    nothing = np.zeros_like(mixture.means)
    quadratic = about.sums[: -1 - mixture.n_features]
    spread = covariance.estimate(quadratic, about.shared, counts, nothing, nothing[0])
    traces = covariance.traces(mixture.factors, spread, mixture.shape)
    expected = about.sums[-1] * mixture.log_normalisers - counts * traces / 2
    normalisers = moments.log_likelihood - moments.weight * frame.log_jacobian
    return float(normalisers - expected.sum())
