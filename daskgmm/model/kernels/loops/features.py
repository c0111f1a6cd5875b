"""By feature vectors: features, E-step and sums of a stretch of rows at a time."""

from typing import Any

from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import FeatureWork, Form
from daskgmm.model.kernels.base import SMALL_PRODUCT
from daskgmm.model.kernels.loops.arithmetic import add_to, copy, normalise, standardise
from daskgmm.model.kernels.loops.blas import multiply
from daskgmm.model.kernels.loops.compiling import along_rows, compiled

_SMALL_RESULT = 1_152
"""OpenBLAS multiplies in place, at nearly the machine's rate, up to `SMALL_PRODUCT` and, where the
sum runs along both rows, results of so many numbers. Larger ones are packed first, which takes as
long again with few components. Each mixture has products of its own, so its last digits don't
hang on how many others there are."""

_FEW_IN_PLACE, _MANY_PACKED = 16, 64
"""Where BLAS takes fewer components in place than the first number, it is far below its rate. A
mixture of at least the second number is then multiplied that many at a time, or up to twice as
many, for which packing costs little."""


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
def _cut(edges: NDArray[Any], i: int, c: int, count: int) -> Any:
    """End of the stretch before number c, of so many even ones of the components of mixture i."""
    return edges[i] + (edges[i + 1] - edges[i]) * c // count


@compiled
def _pieces(n_components: int, in_place: int) -> int:
    """Number of products for a mixture, of which BLAS takes so many components in place."""
    if in_place < _FEW_IN_PLACE and n_components >= _MANY_PACKED:
        return n_components // _MANY_PACKED
    return -(-n_components // max(in_place, 1))


@compiled
def _logits(eta: NDArray[Any], phi: NDArray[Any], edges: NDArray[Any], out: NDArray[Any]) -> None:
    """Write eta @ phi to out (K, n), few components at a time."""
    for i in range(len(edges) - 1):
        count = _pieces(edges[i + 1] - edges[i], SMALL_PRODUCT // phi.size)
        for c in range(count):
            first, last = _cut(edges, i, c, count), _cut(edges, i, c + 1, count)
            multiply(eta[first:last], phi, out[first:last])


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
        count = _pieces(edges[i + 1] - edges[i], widest)
        for c in range(count):
            first, last = _cut(edges, i, c, count), _cut(edges, i, c + 1, count)
            own = gamma[first:last]
            product = values[: len(phi) * len(own)].reshape(len(phi), len(own))
            multiply(phi, own.T, product)
            add_to(sums[:, first:last], product)


@compiled
def _stretch_logits(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    form: Form,
    phi: NDArray[Any],
    partial: NDArray[Any],
    gamma: NDArray[Any],
) -> None:
    """Write logits (K, n) of a stretch of rows (D, n) to gamma.

    The last tile's features are at the end of phi then.
    """
    n_features, longest, n_components = len(rows), len(phi), len(gamma)
    phi[longest - 1] = 1
    standardise(rows, origin, scale, phi[longest - 1 - n_features : longest - 1])
    for tile in range(len(form.tiles) - 1):
        first, length = _make_tile(form, tile, phi, n_features)
        eta = form.eta[n_components * form.tiles[tile] : n_components * form.tiles[tile + 1]]
        eta = eta.reshape(n_components, length)
        _logits(eta, phi[first : first + length], form.edges, gamma if tile == 0 else partial)
        if tile > 0:
            add_to(gamma, partial)


@compiled
def _make_tile(form: Form, tile: int, phi: NDArray[Any], n_features: int) -> tuple[int, int]:
    """Make a tile's features in phi; return the first one's row, and their number.

    Those of the last tile are the last rows: the linear ones and the ones among them stay in place.
    """
    longest, length = len(phi), form.tiles[tile + 1] - form.tiles[tile]
    first = longest - length if tile == len(form.tiles) - 2 else 0
    z = phi[longest - 1 - n_features : longest - 1]
    monomials = form.monomials[form.cuts[tile] : form.cuts[tile + 1]]
    _quadratic(monomials, z, phi[first : first + length])
    return first, length


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
    n_components, longest = sums.shape[1], len(work.phi) // form.stretch
    for start in range(0, rows.shape[1], form.stretch):
        n = min(form.stretch, rows.shape[1] - start)
        own = rows[:, start : start + n]
        phi = work.phi[: longest * n].reshape(longest, n)
        gamma = work.gamma[: n_components * n].reshape(n_components, n)
        partial = work.partial[: n_components * n].reshape(n_components, n)
        _stretch_logits(own, origin, scale, form, phi, partial, gamma)
        for i in range(len(edges) - 1):
            log_likelihoods[i] += normalise(
                gamma[edges[i] : edges[i + 1]], weights[start : start + n], least,
                work.peak[:n], work.columns, form.noise[i],
            )  # fmt: skip
        _sums(phi[len(phi) - (tiles[last + 1] - tiles[last]) :], gamma, edges, work.product,
              sums[tiles[last] :])  # fmt: skip
        for tile in range(last - 1, -1, -1):
            first, length = _make_tile(form, tile, phi, len(rows))
            own_sums = sums[tiles[tile] : tiles[tile + 1]]
            _sums(phi[first : first + length], gamma, edges, work.product, own_sums)


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
    n_components, longest = len(out), len(work.phi) // form.stretch
    for start in range(0, rows.shape[1], form.stretch):
        n = min(form.stretch, rows.shape[1] - start)
        own = rows[:, start : start + n]
        phi = work.phi[: longest * n].reshape(longest, n)
        gamma = work.gamma[: n_components * n].reshape(n_components, n)
        partial = work.partial[: n_components * n].reshape(n_components, n)
        _stretch_logits(own, origin, scale, form, phi, partial, gamma)
        copy(gamma, out[:, start : start + n])
