"""Each component has a covariance matrix of its own."""

from functools import cache
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import matrices
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.parallel import Turns, each, slices_of_components
from daskgmm.model.typing import Doubles, Floats


@cache
def _upper(n_features: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the upper triangle's entries."""
    rows, columns = np.triu_indices(n_features)
    return rows, columns


@cache
def _places(n_features: int) -> NDArray[np.int64]:
    """Places (D, D) in the upper triangle of a symmetric matrix's entries."""
    i, j = np.indices((n_features, n_features))
    first, last = np.minimum(i, j), np.maximum(i, j)
    return np.asarray(first * n_features - first * (first + 1) // 2 + last)


@final
class Full(Covariance):
    """Quadratic features ``z_i z_j`` for ``i <= j``, in the order of the upper triangle."""

    name: ClassVar[str] = "full"
    has_matrices: ClassVar[bool] = True
    in_scikit_learn: ClassVar[bool] = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def quadratic_length(self, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def quadratic(self, rows: Floats, out: Floats) -> None:
        start = 0
        for i in range(len(rows)):
            stop = start + len(rows) - i
            np.multiply(rows[i], rows[i:], out=out[start:stop])
            start = stop

    def monomials(self, n_features: int) -> NDArray[np.int64]:
        i, j = _upper(n_features)
        return np.column_stack([np.arange(len(i)), i, j])

    def quadratic_parameters(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        above = _upper(shape[1])
        # Each product off the diagonal stands for two equal entries of the matrix.
        counted = np.where(above[0] == above[1], -0.5, -1.0)
        found = np.empty((shape[0], len(counted)))

        def write(own: slice) -> None:
            precisions = self.precisions(factors[own])
            np.multiply(precisions[:, above[0], above[1]], counted, out=found[own])

        each(write, slices_of_components(*shape))
        return found

    def precision_times(self, factors: Doubles, vectors: Doubles) -> Doubles:
        white = np.einsum("kij,ki->kj", factors, vectors)
        return np.asarray(np.einsum("kij,kj->ki", factors, white))

    def absolute_form(self, factors: Doubles, vectors: Doubles) -> Doubles:
        found = np.empty(len(vectors))

        def write(own: slice) -> None:
            sizes = np.abs(self.precisions(factors[own]))
            found[own] = np.einsum("ki,kij,kj->k", vectors[own], sizes, vectors[own])

        each(write, slices_of_components(*vectors.shape))
        return found

    def absolute_form_within(
        self, factors: Doubles, vectors: Doubles, most: float
    ) -> NDArray[np.bool_]:
        # The form is at least that of the precision's diagonal, and at most that of the factors'
        # absolute values: D squared products, where the precision itself takes D cubed.
        least, largest = np.zeros((2, len(vectors)))
        slices, buffers = slices_of_components(*vectors.shape), Turns[Doubles]()
        longest = max(own.stop - own.start for own in slices)

        def bound(own: slice) -> None:
            with buffers.one(lambda: np.empty((longest, *factors.shape[1:]))) as buffer:
                sizes = np.abs(factors[own], out=buffer[: own.stop - own.start])
                largest[own] = ((vectors[own, np.newaxis] @ sizes) ** 2).sum(axis=(1, 2))
                if not (largest[own] <= most).all():
                    sizes *= vectors[own, :, np.newaxis]
                    least[own] = np.einsum("kij,kij->k", sizes, sizes)

        each(bound, slices)
        within = largest <= most
        unclear = ~within & (least <= most)
        if unclear.any():
            within[unclear] = self.absolute_form(factors[unclear], vectors[unclear]) <= most
        return within

    def whitening(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return factors

    def log_determinants(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return matrices.log_determinants(factors)

    def distances(self, centred: Floats, factors: Floats, component: int) -> Floats:
        return matrices.whitened_distances(centred, factors[component])

    def add_scatter(self, centred: Floats, gamma: Floats, own: Doubles, shared: Doubles) -> None:
        del shared
        first = 0
        for window, moments in matrices.second_moments(centred, gamma):
            for i in range(window.stop - window.start):
                end = first + moments.shape[1] - i
                own[first:end] += moments[i, i:]
                first = end

    def estimate(
        self,
        quadratic: Doubles,
        shared: Doubles,
        counts: Doubles,
        offsets: Doubles,
        ridge: Doubles,
    ) -> Doubles:
        del shared
        n_features = offsets.shape[1]
        covariances = np.empty((len(counts), n_features, n_features))

        slices, buffers = slices_of_components(*offsets.shape), Turns[tuple[Doubles, Doubles]]()
        longest = max(own.stop - own.start for own in slices)

        def new() -> tuple[Doubles, Doubles]:
            return np.empty((longest, len(quadratic))), np.empty((longest, *covariances.shape[1:]))

        def write(own: slice) -> None:
            found, n = covariances[own], own.stop - own.start
            with buffers.one(new) as (triangles, squares):
                moments = np.divide(quadratic.T[own], counts[own, np.newaxis], out=triangles[:n])
                np.take(moments, _places(n_features), axis=1, out=found, mode="clip")
                found -= np.multiply(
                    offsets[own, :, np.newaxis], offsets[own, np.newaxis], out=squares[:n]
                )
            found += np.diag(ridge)

        each(write, slices)
        return covariances

    def prior_strength(
        self, degrees: float, n_components: int, n_features: int
    ) -> tuple[float, float]:
        """An inverse Wishart distribution of each matrix."""
        del n_components
        return degrees + n_features + 2, 1.0

    def factorise(self, covariances: Doubles) -> Doubles:
        factors = np.empty(covariances.shape)

        def write(own: slice) -> None:
            failed = matrices.factors_of_precisions(covariances[own], factors[own])
            if failed is not None:
                raise NotPositiveDefiniteError(own.start + failed)

        each(write, slices_of_components(*covariances.shape[:2]))
        return factors

    def factorise_precisions(self, precisions: Doubles) -> Doubles:
        return np.stack([matrices.factor_from_precision(p, k) for k, p in enumerate(precisions)])

    def covariances(self, factors: Doubles) -> Doubles:
        return np.stack([matrices.covariance_of_factor(factor) for factor in factors])

    def precisions(self, factors: Doubles) -> Doubles:
        return np.asarray(factors @ factors.swapaxes(1, 2))

    def variances(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.diagonal(covariances, axis1=1, axis2=2).copy()

    def least_variances(self, resolved: Doubles) -> Doubles:
        return resolved

    def at_least(self, covariances: Doubles, least: Doubles) -> Doubles:
        del least
        return covariances

    def least_shares(self, factors: Doubles, covariances: Doubles, n_components: int) -> Doubles:
        del n_components
        return matrices.least_shares(factors, covariances)

    def of_components(self, values: Doubles, components: NDArray[np.int64]) -> Doubles:
        return values[components]

    def of_features(self, covariances: Doubles, features: NDArray[np.int64]) -> Doubles:
        return covariances[:, features[:, np.newaxis], features]

    def as_matrices(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return covariances

    def traces(self, factors: Doubles, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.asarray(np.einsum("kij,kij->k", self.precisions(factors), covariances))

    def unbounded(self, factors: Doubles) -> Doubles:
        return matrices.unbounded(factors)

    def bounded(self, unbounded: Doubles) -> Doubles:
        return matrices.bounded(unbounded)

    def information(
        self, changes: Doubles, factors: Doubles, weights: Doubles, n_features: int
    ) -> float:
        del n_features
        return float(weights @ matrices.information(changes, factors))

    def rescale(self, covariances: Doubles, scale: Doubles) -> Doubles:
        return np.asarray(covariances * np.outer(scale, scale))

    def compatible_scale(self, scale: Doubles) -> Doubles:
        return scale

    def colour(self, noise: Doubles, factors: Doubles, component: int) -> Doubles:
        return matrices.colour(noise, factors[component])
