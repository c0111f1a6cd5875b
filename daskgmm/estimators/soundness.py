"""Whether rows can be fitted at all, judged by what the first pass found."""

import warnings

import numpy as np

from daskgmm.errors import DataError
from daskgmm.model.flaws import feature_name
from daskgmm.passes.survey import Survey

_SHOWN = 6


def require_sound(found: Survey, n_components: int, columns: tuple[str, ...] | None) -> None:
    """Refuse rows that no mixture of so many components can be fitted to.

    Raises
    ------
    DataError
        Too few rows, none that counts, or a value that is not finite or can't be squared.
    """
    if found.flawed is not None:
        raise found.flawed.error(columns, found.lengths)
    if found.rows < 2:
        raise DataError(
            f"Found array with {found.rows} sample(s) while a minimum of 2 is required.",
            "Check that the input holds the rows that it should.",
        )
    if found.rows < n_components:
        raise DataError(
            "Expected n_samples >= n_components but got "
            f"n_components = {n_components}, n_samples = {found.rows}.",
            "Use fewer components or more rows.",
        )
    if found.statistics is None:
        raise DataError("All sample weights are zero.", "Give some row a positive weight.")
    if found.sample is not None and len(found.sample.rows) < n_components:
        raise DataError(
            f"Only {len(found.sample.rows)} rows have a positive sample weight, for "
            f"{n_components} components.",
            "Use fewer components or more rows.",
        )
    too_large = ~np.isfinite(found.statistics.deviations)
    if too_large.any():
        name = feature_name(int(np.argmax(too_large)), columns)
        raise DataError(
            f"The values of {name} are too large to be squared.", "Scale the features first."
        )


def warn_of_constants(found: Survey, columns: tuple[str, ...] | None) -> None:
    """Warn the caller of ``fit`` of features that are the same number in all rows."""
    assert found.statistics is not None  # noqa: S101  sound
    names = [feature_name(int(k), columns) for k in np.flatnonzero(found.statistics.constant)]
    if names:
        told = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
        text = f"{told[0].upper()}{told[1:]} {verb} constant; leave {them} out."
        warnings.warn(text, UserWarning, stacklevel=3)
