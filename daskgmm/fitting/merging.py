"""The order in which a fitted mixture's components are joined by entropy, from one pass."""

from functools import partial

import numpy as np

from daskgmm.data.source import Source
from daskgmm.errors import DataError
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.merging import MergePath, by_entropy
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.persist import held
from daskgmm.passes.survey import Request, Survey
from daskgmm.passes.survey_pass import survey

MOST_ROWS = 100_000
"""Rows whose entropy is computed; of more, so many are drawn at random in the pass."""

_MOST_BYTES = 2**28
"""Bytes of the drawn rows and their responsibilities, above which fewer rows are drawn."""

_FEWEST_ROWS = 1000


def entropy_path(predictor: Predictor, source: Source) -> MergePath:
    """Join components by the entropy of all rows, or of those that are drawn.

    The draw has a fixed seed, and does not depend on chunks where their lengths are known.

    Raises
    ------
    DataError
        A value is not finite, or no row has a weight.
    """
    capacity = _MOST_BYTES // (8 * sum(predictor.mixture.shape))
    request = Request(
        seed=0,
        capacity=int(np.clip(capacity, _FEWEST_ROWS, MOST_ROWS)),
        scatter=False,
        dtype=source.dtype,
        expected=None if source.lengths is None else sum(source.lengths),
    )
    with one_thread():
        found, (path,) = survey(held(source), request, [partial(_path, predictor)])
    if found.flawed is not None:
        raise found.flawed.error(source.columns, found.lengths)
    if path is None:
        raise DataError(
            "There are no rows to take an entropy of.",
            "Check that the input holds the rows that it should.",
        )
    return path


def _path(predictor: Predictor, found: Survey) -> MergePath | None:
    sample = found.sample
    if found.flawed is not None or sample is None or len(sample.rows) == 0:
        return None
    return by_entropy(predictor.responsibilities(sample.rows), sample.weights)
