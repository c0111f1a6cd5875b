"""By feature vectors: features, E-step and sums of a stretch of rows at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import FeatureWork, Form
from daskgmm.model.kernels.base import SMALL_PRODUCT
from daskgmm.model.kernels.loops.arithmetic import add_to, normalise, standardise
from daskgmm.model.kernels.loops.compiling import along_rows, compiled

_SMALL_RESULT = 1_152
"""OpenBLAS multiplies in place, at nearly the machine's rate, up to `SMALL_PRODUCT` and, where the
sum runs along both rows, results of so many numbers. Larger ones are packed first, which takes as
long again with few components. Each mixture has products of its own, so its last digits don't
hang on how many others there are."""


@along_rows
def _quadratic(monomials: NDArray[Any], z: NDArray[Any], out: NDArray[Any]) -> None:
    """Write features of z (D, n) to out, whose first row is that of the first monomial."""
    before = -1
    for m in range(len(monomials)):
        feature, i, j = monomials[m]
        one, other, own = z[i], z[j], out[feature - monomials[0, 0]]
        if feature == before:
            for r in range(len(own)):
                own[r] += one[r] * other[r]
        else:
            for r in range(len(own)):
                own[r] = one[r] * other[r]
        before = feature


@compiled
def _cuts(edges: NDArray[Any], i: int, widest: int) -> NDArray[Any]:
    """Ends of even stretches, at most `widest` long, of the components of mixture i."""
    count = -(-(edges[i + 1] - edges[i]) // widest)
    cuts: NDArray[Any] = edges[i] + (edges[i + 1] - edges[i]) * np.arange(count + 1) // count
    return cuts


@compiled
def _logits(eta: NDArray[Any], phi: NDArray[Any], edges: NDArray[Any], out: NDArray[Any]) -> None:
    """Write eta @ phi to out (K, n), few components at a time."""
    for i in range(len(edges) - 1):
        cuts = _cuts(edges, i, max(SMALL_PRODUCT // phi.size, 1))
        for c in range(len(cuts) - 1):
            np.dot(eta[cuts[c] : cuts[c + 1]], phi, out[cuts[c] : cuts[c + 1]])


@compiled
def _sums(
    phi: NDArray[Any],
    gamma: NDArray[Any],
    edges: NDArray[Any],
    values: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """Add phi @ gamma.T to sums (F, K), few components at a time."""
    for i in range(len(edges) - 1):
        widest = min(_SMALL_RESULT // len(phi), SMALL_PRODUCT // phi.size)
        cuts = _cuts(edges, i, max(widest, 1))
        for c in range(len(cuts) - 1):
            own = gamma[cuts[c] : cuts[c + 1]]
            product = values[: len(phi) * len(own)].reshape(len(phi), len(own))
            np.dot(phi, own.T, product)
            add_to(sums[:, cuts[c] : cuts[c + 1]], product)


@compiled
def _stretch_logits(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    form: Form,
    work: FeatureWork,
    n_components: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Logits (K, n) of a stretch of rows (D, n), and the last tile's features at the end of phi."""
    n_features, n = rows.shape
    longest = len(work.phi) // form.stretch
    phi = work.phi[: longest * n].reshape(longest, n)
    gamma = work.gamma[: n_components * n].reshape(n_components, n)
    partial = work.partial[: n_components * n].reshape(n_components, n)
    phi[longest - 1] = 1
    standardise(rows, origin, scale, phi[longest - 1 - n_features : longest - 1])
    for tile in range(len(form.tiles) - 1):
        own = _tile(form, tile, phi, n_features)
        eta = form.eta[n_components * form.tiles[tile] : n_components * form.tiles[tile + 1]]
        eta = eta.reshape(n_components, -1)
        _logits(eta, own, form.edges, gamma if tile == 0 else partial)
        if tile > 0:
            add_to(gamma, partial)
    return gamma, phi


@compiled
def _tile(form: Form, tile: int, phi: NDArray[Any], n_features: int) -> NDArray[Any]:
    """Make a tile's features in phi, whose last rows are the linear ones and the ones.

    Those belong to the last tile and stay in place.
    """
    longest, length = len(phi), form.tiles[tile + 1] - form.tiles[tile]
    own = phi[longest - length :] if tile == len(form.tiles) - 2 else phi[:length]
    z = phi[longest - 1 - n_features : longest - 1]
    _quadratic(form.monomials[form.cuts[tile] : form.cuts[tile + 1]], z, own)
    return own


@compiled
def add_by_features(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    form: Form,
    weights: NDArray[Any],
    least: float,
    work: FeatureWork,
    sums: NDArray[Any],
    log_likelihoods: NDArray[Any],
) -> None:
    """Add the moments of rows (D, n) under mixtures, stretch by stretch.

    Features that outgrow the cache are made tile by tile, and all but the last tile once more
    for the sums.
    """
    tiles, edges, last = form.tiles, form.edges, len(form.tiles) - 2
    for start in range(0, rows.shape[1], form.stretch):
        n = min(form.stretch, rows.shape[1] - start)
        own = rows[:, start : start + n]
        gamma, phi = _stretch_logits(own, origin, scale, form, work, sums.shape[1])
        for i in range(len(edges) - 1):
            log_likelihoods[i] += normalise(
                gamma[edges[i] : edges[i + 1]], weights[start : start + n], least,
                work.peak[:n], work.columns, form.noise[i],
            )  # fmt: skip
        _sums(phi[len(phi) - (tiles[last + 1] - tiles[last]) :], gamma, edges, work.product,
              sums[tiles[last] :])  # fmt: skip
        for tile in range(last - 1, -1, -1):
            made = _tile(form, tile, phi, len(rows))
            _sums(made, gamma, edges, work.product, sums[tiles[tile] : tiles[tile + 1]])


@compiled
def write_by_features(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    form: Form,
    work: FeatureWork,
    out: NDArray[Any],
) -> None:
    """Write the logits of rows (D, n) to out (K, n), stretch by stretch."""
    for start in range(0, rows.shape[1], form.stretch):
        stop = min(start + form.stretch, rows.shape[1])
        own = rows[:, start:stop]
        out[:, start:stop] = _stretch_logits(own, origin, scale, form, work, len(out))[0]
