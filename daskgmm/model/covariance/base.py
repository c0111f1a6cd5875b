"""The interface of a covariance type.

A Gaussian is an exponential family: its weighted log-density at z is ``<eta, phi(z)>``, with

    phi(z) = (quadratic features, z, 1)

Only the quadratic features and what belongs to them differ between the types; the linear and
the constant part are the same for all and are handled by the kernels.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Doubles, Floats


class Covariance(ABC):
    """One covariance type: stateless; parameters are passed in their natural shape.

    The natural shape is scikit-learn's where that has the type, such as (K, D, D) for full.
    ``factors`` are Cholesky factors of the precisions, ``P = factor @ factor.T`` with an upper
    triangular factor for matrices and the root of the precision elsewhere.
    """

    name: ClassVar[str]
    has_matrices: ClassVar[bool]
    """Whether covariances are matrices, not variances along the axes."""
    in_scikit_learn: ClassVar[bool] = False
    """Whether scikit-learn's GaussianMixture has the type too, by this name and in this shape."""
    needs_scatter: ClassVar[bool] = False
    """Whether the feature form needs the rows' total second moments: see `completes`."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Natural shape of the covariances."""

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Number of free parameters in the covariances."""

    @abstractmethod
    def quadratic_length(self, n_features: int) -> int:
        """Number Q of quadratic features."""

    def feature_length(self, n_features: int) -> int:
        """Length F = Q + D + 1 of a feature vector ``phi(z)``."""
        return self.quadratic_length(n_features) + n_features + 1

    @abstractmethod
    def quadratic(self, rows: Floats, out: Floats) -> None:
        """Write the quadratic features of rows (D, n) into ``out`` (Q, n)."""

    @abstractmethod
    def monomials(self, n_features: int) -> NDArray[np.int64]:
        """Quadratic features as sums of products, for compiled loops: rows (feature, i, j).

        Rows of one feature lie together; the feature is the sum of their ``z_i z_j``.
        """

    def features_of(self, products: Doubles, n_features: int) -> Doubles:
        """Quadratic features (K, Q) of products ``z_i z_j`` (K, P), one a row of `monomials`."""
        feature, length = self.monomials(n_features)[:, 0], self.quadratic_length(n_features)
        if len(feature) == length:
            return products
        return np.add.reduceat(products, np.searchsorted(feature, np.arange(length)), axis=1)

    @abstractmethod
    def quadratic_parameters(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        """Natural parameters (K, Q) of the quadratic features; ``shape`` is (K, D)."""

    @abstractmethod
    def precision_times(self, factors: Doubles, vectors: Doubles) -> Doubles:
        """Each component's precision times its vector: (K, D) to (K, D)."""

    @abstractmethod
    def absolute_form(self, factors: Doubles, vectors: Doubles) -> Doubles:
        """Each component's ``v.T @ abs(P) @ v``, of shape (K,), for vectors (K, D) >= 0."""

    def absolute_form_within(
        self, factors: Doubles, vectors: Doubles, most: float
    ) -> NDArray[np.bool_]:
        """Mask (K,) of the components whose `absolute_form` is at most `most`."""
        return np.asarray(self.absolute_form(factors, vectors) <= most)

    @abstractmethod
    def whitening(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        """Factors for compiled loops, that whiten centred rows from the right.

        Of the shape (K, D, D) where covariances are matrices, or (1, D, D) where all share one, and
        of the shape (K, 1, D) along the axes; ``shape`` is (K, D).
        """

    @abstractmethod
    def log_determinants(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        """Log-determinants of the factors, of shape (K,); ``shape`` is (K, D)."""

    @abstractmethod
    def distances(self, centred: Floats, factors: Floats, component: int) -> Floats:
        """Squared Mahalanobis distances (n,) of rows (D, n) from which the mean is taken."""

    @abstractmethod
    def add_scatter(self, centred: Floats, gamma: Floats, own: Doubles, shared: Doubles) -> None:
        """Add a component's second moments about its origin.

        Parameters
        ----------
        centred : ndarray of shape (D, n)
            Rows from which the origin is taken; may be overwritten.
        gamma : ndarray of shape (n,)
            The component's responsibilities.
        own : ndarray of shape (Q,)
            The component's own sums.
        shared : ndarray of shape (D, D) or empty
            Second moments summed over all components, for types that need the scatter.
        """

    @abstractmethod
    def estimate(
        self,
        quadratic: Doubles,
        shared: Doubles,
        counts: Doubles,
        offsets: Doubles,
        ridge: Doubles,
    ) -> Doubles:
        """Covariances from sums over rows: the M-step.

        Parameters
        ----------
        quadratic : ndarray of shape (Q, K)
            Sums of the quadratic features about each component's origin.
        shared : ndarray of shape (D, D) or empty
            Second moments about the origins, summed over the components.
        counts : ndarray of shape (K,)
            Sums of responsibilities.
        offsets : ndarray of shape (K, D)
            Means, measured from the origins.
        ridge : ndarray of shape (D,)
            Added to the diagonal.
        """

    @abstractmethod
    def prior_strength(
        self, degrees: float, n_components: int, n_features: int
    ) -> tuple[float, float]:
        """How strongly a prior holds the covariances: as rows, and its scale's share in each.

        The prior density of a component's covariance and mean is proportional to
        ``det(Sigma) ** (-rows / 2) * exp(-share / 2 * trace(scale @ inv(Sigma)))`` times the
        exponential of the mean's distance, so that the mode divides second moments, the share of
        the scale among them, by ``counts + rows`` (Fraley and Raftery, 2007, tables 3 and 4).

        Parameters
        ----------
        degrees : float
            Degrees of freedom of the inverse Wishart or inverse gamma distribution.
        n_components, n_features : int
        """

    @abstractmethod
    def factorise(self, covariances: Doubles) -> Doubles:
        """Factors from covariances; `NotPositiveDefiniteError` names the first that has none."""

    @abstractmethod
    def factorise_precisions(self, precisions: Doubles) -> Doubles:
        """Factors from precisions; `NotPositiveDefiniteError` as above."""

    @abstractmethod
    def covariances(self, factors: Doubles) -> Doubles:
        """Covariances from factors."""

    @abstractmethod
    def precisions(self, factors: Doubles) -> Doubles:
        """Precisions from factors."""

    @abstractmethod
    def variances(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        """Diagonals of the covariances, of shape (K, D)."""

    @abstractmethod
    def least_variances(self, resolved: Doubles) -> Doubles:
        """Smallest meaningful variances (K, D), given those that numbers resolve (K, D)."""

    @abstractmethod
    def at_least(self, covariances: Doubles, least: Doubles) -> Doubles:
        """Raise variances to at least these (K, D), which matters where no ridge is added.

        The result is the most likely covariance under that bound, so EM's likelihood doesn't
        fall. Matrices are returned unchanged: their diagonals don't show whether they are too
        narrow in some direction.
        """

    @abstractmethod
    def least_shares(self, factors: Doubles, covariances: Doubles, n_components: int) -> Doubles:
        """Least share (K,) of a feature's variance that is left once the others are known."""

    @abstractmethod
    def of_components(self, values: Doubles, components: NDArray[np.int64]) -> Doubles:
        """Covariances or factors of some components, in this order."""

    @abstractmethod
    def of_features(self, covariances: Doubles, features: NDArray[np.int64]) -> Doubles:
        """Covariances of some features, in this order."""

    @abstractmethod
    def as_matrices(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        """Each component's covariance as a matrix: (K, D, D); ``shape`` is (K, D)."""

    @abstractmethod
    def traces(self, factors: Doubles, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        """Traces (K,) of the factors' precisions times other covariances; ``shape`` is (K, D)."""

    @abstractmethod
    def unbounded(self, factors: Doubles) -> Doubles:
        """Factors with the logarithms of their positive entries: any real numbers are valid."""

    @abstractmethod
    def bounded(self, unbounded: Doubles) -> Doubles:
        """Factors from `unbounded`: valid for any real numbers that do not overflow."""

    @abstractmethod
    def information(
        self, changes: Doubles, factors: Doubles, weights: Doubles, n_features: int
    ) -> float:
        """Approximate squared length of changes of `unbounded` factors in Fisher's metric.

        It is about twice what rows of the components, weighted by (K,), lose in log-density.
        """

    @abstractmethod
    def rescale(self, covariances: Doubles, scale: Doubles) -> Doubles:
        """Covariances after each feature is multiplied by its ``scale``, of shape (D,).

        Where the type can't hold that exactly, the largest scale counts.
        """

    @abstractmethod
    def compatible_scale(self, scale: Doubles) -> Doubles:
        """Scales near the given ones (D,) under which covariances keep this type."""

    @abstractmethod
    def colour(self, noise: Doubles, factors: Doubles, component: int) -> Doubles:
        """Give standard normal rows (n, D) the component's covariance."""

    def completes(self, scatter: Doubles | None, factors: Doubles) -> tuple[Doubles | None, float]:
        """Shared second moments and log-likelihood that the feature form leaves out.

        Types whose quadratic term is the same in all components need the rows' total
        ``scatter`` about the frame's origin instead of features; the others need nothing.
        """
        del scatter, factors
        return None, 0.0


class NotPositiveDefiniteError(ArithmeticError):
    """A covariance or precision has no Cholesky factor.

    Parameters
    ----------
    component : int or None
        Which; ``None`` where one matrix serves all.
    """

    def __init__(self, component: int | None) -> None:
        super().__init__(component)
        self.component = component
