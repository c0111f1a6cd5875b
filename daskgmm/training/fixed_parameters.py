"""Parts of a mixture that stay as they are given, and the M-step of what is beside them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.passes.statistics import Statistics
from daskgmm.training.m_step import (
    ConditionalMStep,
    Estimation,
    MaximumLikelihood,
    MStep,
    Regularisation,
    noise_after,
)
from daskgmm.training.maximum_a_posteriori import MaximumAPosteriori
from daskgmm.training.start_values import StartValues


@dataclass(frozen=True, eq=False)
class FixedParameters:
    """Masks (K,) of the components whose weights, means and covariances stay as they are given.

    A covariance that components share stays for all of them or for none.
    """

    weights: NDArray[np.bool_]
    means: NDArray[np.bool_]
    covariances: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Fixed(Estimation):
    """Parts of a mixture stay; the rest is the conditional maximum of another estimation.

    Parameters
    ----------
    other : MaximumLikelihood or MaximumAPosteriori
    fixed : FixedParameters
    given : StartValues
        What they are.
    covariance : Covariance
        Type of the covariances.
    """

    other: MaximumLikelihood | MaximumAPosteriori
    fixed: FixedParameters
    given: StartValues
    covariance: Covariance

    @property
    def needs_scatter(self) -> bool:  # type: ignore[override]
        """Whether the other estimation needs the rows' total second moments."""
        return self.other.needs_scatter

    def m_step(self, frame: Frame, statistics: Statistics) -> "BesideFixed":
        """M-step of the other estimation, beside the parts in a frame."""
        given = self.given
        means = None if given.means is None else frame.enter(given.means)
        shapes = None
        if given.precisions is not None:
            shapes = given.shapes(self.covariance, frame)
        other = self.other.m_step(frame, statistics)
        return BesideFixed(other, self.fixed, given.weights, means, shapes)


@dataclass(frozen=True, eq=False)
class BesideFixed(MStep):
    """The M-step of another estimation on what does not stay.

    Parameters
    ----------
    other : ConditionalMStep
    fixed : FixedParameters
    weights, means, shapes
        What stays, in the frame's coordinates; shapes are covariances and factors. ``None`` where
        nothing does.
    """

    other: ConditionalMStep
    fixed: FixedParameters
    weights: Doubles | None
    means: Doubles | None
    shapes: tuple[Doubles, Doubles] | None

    def maximise(
        self, mixture: Mixture, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The conditional maximum: covariances about the means that stay."""
        parts = self.fixed
        standing = self._with_means(mixture)
        known = self._with_covariances(moments, mixture.covariance)
        found = self.other.maximise_beside(standing, known, regularisation, parts.means)
        found = self._with_means(found)
        if self.shapes is not None and parts.covariances.any():
            mask = _across(parts.covariances, self.shapes[0], mixture)
            covariances, factors = (
                np.where(mask, own, its)
                for own, its in zip(self.shapes, (found.covariances, found.factors), strict=True)
            )
            found = replace(found, covariances=covariances, factors=factors)
        return self._with_weights(found, mixture, moments)

    def first_mixture(
        self, covariance: Covariance, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """First mixture of the other estimation; start values take the place of its own."""
        return self.other.first_mixture(covariance, moments, regularisation)

    def bound(self, mixture: Mixture, moments: Moments, following: Mixture) -> float:
        """Bound of the other estimation."""
        return self.other.bound(mixture, moments, following)

    def stand_in(self, mixture: Mixture) -> bool:
        """Whether the parts that stay are as they are in this mixture, but for rounding."""
        pairs = []
        if self.weights is not None:
            pairs.append((self.fixed.weights, self.weights, mixture.weights))
        if self.means is not None:
            pairs.append((self.fixed.means[:, np.newaxis], self.means, mixture.means))
        if self.shapes is not None:
            mask = _across(self.fixed.covariances, self.shapes[0], mixture)
            pairs.append((mask, self.shapes[0], mixture.covariances))
        return all(
            bool((~mask | np.isclose(own, its, rtol=1e-6, atol=1e-6)).all())
            for mask, own, its in pairs
        )

    def _with_means(self, mixture: Mixture) -> Mixture:
        if self.means is None or not self.fixed.means.any():
            return mixture
        held = self.fixed.means[:, np.newaxis]
        return replace(mixture, means=np.where(held, self.means, mixture.means))

    def _with_covariances(self, moments: Moments, covariance: Covariance) -> Moments:
        """Moments in which components have the covariances that stay.

        So none of them collapses, with however few rows.
        """
        stay = self.fixed.covariances
        if self.shapes is None or not stay.any():
            return moments
        shape = moments.origins.shape
        matrices = covariance.as_matrices(self.shapes[0], shape)
        about = moments.about(
            np.where(stay[:, np.newaxis], moments.means, moments.origins), covariance
        )
        if covariance.needs_scatter:
            return replace(about, shared=about.sums[-1].sum() * matrices[0])
        sums = about.sums.copy(order="K")
        counts = np.maximum(sums[-1], _LEAST_ROWS * moments.weight / moments.rows)
        _, i, j = covariance.monomials(shape[1]).T
        sums[:-1, stay] = 0
        own = covariance.features_of(counts[:, np.newaxis] * matrices[:, i, j], shape[1]).T
        sums[: len(own), stay] = own[:, stay]
        sums[-1, stay] = counts[stay]
        return replace(about, sums=sums)

    def _with_weights(self, found: Mixture, before: Mixture, moments: Moments) -> Mixture:
        """Weights that stay, and what they leave, shared out among the others and noise."""
        counts, noise = moments.sums[-1], noise_after(before, moments)
        if self.weights is None or not self.fixed.weights.any():
            return replace(found, weights=counts / counts.sum(), noise=None).beside(noise)
        stay = self.fixed.weights
        left = max(1 - float(self.weights[stay].sum()), 0.0)
        free = np.where(stay, 0.0, counts)
        of_noise = 0.0 if noise is None else noise.weight * moments.weight
        scale = left / max(float(free.sum()) + of_noise, np.finfo(np.float64).tiny)
        weights = np.where(stay, self.weights, scale * free)
        if noise is not None:
            noise = replace(noise, weight=scale * of_noise)
        return replace(found, weights=weights, noise=noise)


_LEAST_ROWS = 1e-6
"""Rows at the least of a component whose covariance stays."""


def _across(mask: NDArray[np.bool_], covariances: Doubles, mixture: Mixture) -> NDArray[np.bool_]:
    """A mask (K,) in a shape that goes with the covariances."""
    if mixture.covariance.needs_scatter:
        return mask[:1].reshape((1,) * covariances.ndim)
    return mask.reshape(-1, *(1,) * (covariances.ndim - 1))
