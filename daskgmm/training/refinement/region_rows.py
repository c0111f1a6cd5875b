"""Rows of regions: their logits under components there, and sums by responsibilities."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import final

import numpy as np

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

_NOT_SHARED = np.empty((0, 0))

_MANY_FEATURES = 24
"""Features from which on rows are whitened for each component: their feature vectors have so many
more numbers that to read these takes longer."""


def whitens(covariance: Covariance, n_features: int) -> bool:
    """Whether rows are whitened for each component, and not written as feature vectors."""
    own = covariance.has_matrices and not covariance.needs_scatter
    return own and n_features >= _MANY_FEATURES


class RowsOfRegions(ABC):
    """Rows of regions one after another, each about an origin of its region's.

    Parameters
    ----------
    centred : sequence of ndarray of shape (D, m)
        Of each region, less its origin.
    references : Mixture
        A component for each region, about that origin, with which others are compared.
    """

    def __init__(self, centred: Sequence[Doubles], references: Mixture) -> None:
        edges = np.cumsum([0, *(own.shape[1] for own in centred)])
        self.starts = edges[:-1]
        self._windows = [slice(first, stop) for first, stop in pairwise(edges.tolist())]
        self._begin(centred, references)

    @abstractmethod
    def _begin(self, centred: Sequence[Doubles], references: Mixture) -> None:
        """Keep what the logits and sums are made of."""

    @abstractmethod
    def write_logits(self, mixture: Mixture, out: Doubles) -> None:
        """Write weighted log-densities less those of the references.

        Parameters
        ----------
        mixture : Mixture
            Of c components for each region, region by region, about its origin.
        out : ndarray of shape (c, m), m the rows of all regions
        """

    @abstractmethod
    def write_sums(self, gamma: Doubles, out: Doubles) -> None:
        """Write sums over feature vectors, in columns (F, P c), by responsibilities (c, m)."""

    def _places(self, each: int) -> Iterator[tuple[int, slice, slice]]:
        """Each region's number, its rows, and its components, of which it has so many."""
        for number, window in enumerate(self._windows):
            yield number, window, slice(number * each, (number + 1) * each)


@final
class FeatureRows(RowsOfRegions):
    """Rows as feature vectors: one product for all components of a region."""

    def _begin(self, centred: Sequence[Doubles], references: Mixture) -> None:
        length = references.covariance.feature_length(references.n_features)
        self._references = references.natural_parameters
        self._features = [np.empty((length, own.shape[1])) for own in centred]
        for own, phi in zip(centred, self._features, strict=True):
            linear = phi[-1 - len(own) : -1]
            linear[:] = own
            references.covariance.quadratic(linear, out=phi[: -1 - len(own)])
            phi[-1] = 1

    def write_logits(self, mixture: Mixture, out: Doubles) -> None:
        """Likewise, by one product a region."""
        eta = mixture.natural_parameters
        for number, window, place in self._places(len(out)):
            own = eta[place] - self._references[number]
            np.matmul(own, self._features[number], out=out[:, window])

    def write_sums(self, gamma: Doubles, out: Doubles) -> None:
        """Likewise."""
        for number, window, place in self._places(len(gamma)):
            out[:, place] = self._features[number] @ gamma[:, window].T


@final
class WhitenedRows(RowsOfRegions):
    """Rows that are whitened for each component, which has a matrix of its own.

    With many columns that reads far fewer numbers than feature vectors have.
    """

    def _begin(self, centred: Sequence[Doubles], references: Mixture) -> None:
        self._centred, self._references = centred, np.zeros(sum(own.shape[1] for own in centred))
        found = np.empty((1, len(self._references)))
        self.write_logits(references, found)
        self._references = found[0]
        self._covariance = references.covariance

    def write_logits(self, mixture: Mixture, out: Doubles) -> None:
        """Likewise, component by component."""
        normalisers = mixture.log_normalisers
        for number, window, place in self._places(len(out)):
            for i, k in enumerate(range(place.start, place.stop)):
                away = self._centred[number] - mixture.means[k][:, np.newaxis]
                distances = mixture.covariance.distances(away, mixture.factors, k)
                np.subtract(normalisers[k], 0.5 * distances, out=out[i, window])
        out -= self._references

    def write_sums(self, gamma: Doubles, out: Doubles) -> None:
        """Likewise."""
        out[:] = 0
        for number, window, place in self._places(len(gamma)):
            centred, own = self._centred[number], gamma[:, window]
            linear = -1 - len(centred)
            out[linear:-1, place] = centred @ own.T
            out[-1, place] = own.sum(axis=1)
            for k, shares in zip(range(place.start, place.stop), own, strict=True):
                self._covariance.add_scatter(centred, shares, out[:linear, k], _NOT_SHARED)
