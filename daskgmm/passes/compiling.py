"""Whether the rows of a single pass are worth loading a compiler for."""

from dataclasses import replace

from daskgmm.data.source import Source
from daskgmm.model.kernels.compiled import compile_densities_ahead
from daskgmm.model.prediction import Predictor
from daskgmm.passes.groups import seconds_a_row

SECONDS_WORTH_COMPILING = 1.0
"""Of arithmetic in the pass: importing numba and loading the loop take nearly as long."""


def readied(predictor: Predictor, source: Source) -> Predictor:
    """The predictor for a pass over a source: compiled where its known rows are worth it.

    The predictor carries that to where rows are read: decided there, it would hang on the parts,
    and with it the last digits.
    """
    if source.lengths is None:
        return predictor
    mixture, n_features = predictor.mixture, source.n_features
    length = mixture.covariance.quadratic_length(n_features) + n_features + 1
    seconds = sum(source.lengths) * seconds_a_row(n_features, length, mixture.n_components)
    if seconds < SECONDS_WORTH_COMPILING:
        return predictor
    # Here, so that workers beside need not compile side by side.
    compile_densities_ahead(source.dtype, predictor.dtype or source.dtype)
    return replace(predictor, compiled=True)
