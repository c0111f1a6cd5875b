"""Arrays as they are sent between processes: no entry twice, and no component without sums.

What is packed and unpacked again is the same to the bit.
"""

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

_WORTH_PACKING = 2**14
"""Values below which an array is sent as it is."""

PackedMatrices: TypeAlias = tuple[Doubles, int, bool]
"""Entries, the matrices' side or 0 where they are whole, and whether they are symmetric."""

PackedMixture: TypeAlias = tuple[Mixture, PackedMatrices, PackedMatrices]
"""The mixture without covariances and factors, and these."""

PackedColumns: TypeAlias = tuple[Doubles, NDArray[np.bool_] | None]
"""Columns, and the mask of those that they are; ``None`` for all."""


def packed_mixture(mixture: Mixture) -> PackedMixture:
    """A mixture with one half of each matrix."""
    covariances, factors = mixture.covariances, mixture.factors
    packs = mixture.covariance.has_matrices and covariances.size >= _WORTH_PACKING
    pack = packed_matrices if packs else _whole
    rest = replace(mixture, covariances=np.empty(0), factors=np.empty(0))
    return rest, pack(covariances), pack(factors)


def unpacked_mixture(packed: PackedMixture) -> Mixture:
    """The mixture that was packed."""
    rest, covariances, factors = packed
    own = unpacked_matrices(covariances), unpacked_matrices(factors)
    return replace(rest, covariances=own[0], factors=own[1])


def packed_matrices(values: Doubles) -> PackedMatrices:
    """Upper triangles of matrices (..., D, D) that are symmetric or have zeros below."""
    side = values.shape[-1]
    i, j = np.triu_indices(side)
    upper, lower = values[..., i, j], values[..., j, i]
    if np.array_equal(_bits(upper), _bits(lower)):
        return upper, side, True
    if not _bits(lower[..., i != j]).any():
        return upper, side, False
    return _whole(values)


def unpacked_matrices(packed: PackedMatrices) -> Doubles:
    """The matrices that were packed."""
    upper, side, symmetric = packed
    if not side:
        return upper
    i, j = np.triu_indices(side)
    values = np.zeros((*upper.shape[:-1], side, side))
    values[..., i, j] = upper
    if symmetric:
        values[..., j, i] = upper
    return values


def packed_columns(sums: Doubles) -> PackedColumns:
    """The columns of sums (F, K) that are not zero, if that spares a tenth of them."""
    if sums.size < _WORTH_PACKING or np.count_nonzero(sums[-1]) > 0.9 * sums.shape[1]:
        return sums, None
    touched: NDArray[np.bool_] = np.any(_bits(sums.T), axis=1)
    return np.asfortranarray(sums[:, touched]), touched


def unpacked_columns(packed: PackedColumns) -> Doubles:
    """The sums that were packed."""
    columns, touched = packed
    if touched is None:
        return columns
    sums = np.zeros((len(columns), len(touched)), order="F")
    sums[:, touched] = columns
    return sums


def _whole(values: Doubles) -> PackedMatrices:
    return values, 0, False


def _bits(values: Doubles) -> NDArray[np.int64]:
    return np.ascontiguousarray(values).view(np.int64)
