"""Missing values replaced by what a mixture expects given the row's other values."""

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.questions.conditioning import Conditional
from daskgmm.model.typing import Floats


def imputed(predictor: Predictor, rows: Floats) -> Floats:
    """Rows (n, D) in data units with their missing values (NaN) replaced.

    A value becomes its mean given the row's values that are known: the mean over the components,
    weighted by their probabilities given those, of each one's regression on them. A row without
    any gets the mixture's mean. Known values stay as they are, and the bits of a row don't depend
    on the rows beside it.

    Raises
    ------
    NotFiniteError
        A value is infinite.
    """
    missing = np.isnan(rows)
    flaw = Flaw.in_rows(np.where(missing, 0, rows).T)
    if flaw is not None:
        raise NotFiniteError(flaw)
    found = rows.copy()
    gaps = np.flatnonzero(missing.any(axis=1))
    _, firsts, groups = np.unique(
        np.packbits(missing[gaps], axis=1), axis=0, return_index=True, return_inverse=True
    )
    for number, first in enumerate(firsts):
        own = gaps[groups.ravel() == number]
        pattern = missing[gaps[first]]
        known, unknown = np.flatnonzero(~pattern), np.flatnonzero(pattern)
        found[np.ix_(own, unknown)] = _expected(predictor, rows[np.ix_(own, known)], known, unknown)
    return found


def _expected(
    predictor: Predictor, values: Floats, known: NDArray[np.int64], unknown: NDArray[np.int64]
) -> Floats:
    frame = predictor.frame
    inner, outer = (Frame(frame.origin[own], frame.scale[own]) for own in (known, unknown))
    z = np.empty(values.shape)
    inner.standardise(values.T, out=z.T)
    return outer.leave(Conditional.of(predictor.mixture, known).expectations(z))
