"""Checks of the first pass's result: whether rows can be fitted at all."""

import logging
import warnings

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.source import require_finite_sum
from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.fitting.fitted import flags_of
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.settings import Settings
from daskgmm.model.nonfinite import feature_name
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.diagnosis import COINCIDES, FEW_ROWS, ON_REG_COVAR
from daskgmm.passes.survey import Survey
from daskgmm.training.m_step import maximum_likelihood
from daskgmm.training.refinement.spurious import least_rows

logger = logging.getLogger(__name__)

_SHOWN = 6

_SHARE_OF_VARIANCE = 0.1
"""Share of a feature's variance from which on ``reg_covar`` is warned of."""

_MOST_BITS = 1020
"""Largest absolute binary exponent of a variance whose inverse is finite too."""


def require_sound(
    found: Survey,
    n_components: int,
    columns: tuple[str, ...] | None,
    max_missing: float = 1.0,
) -> None:
    """Refuse rows to which no mixture of this many components can be fitted.

    More than a share `max_missing` of them with missing values are refused too.

    Raises
    ------
    DataError
        There are too few rows or no positive weights, or a value is not finite or too large.
    """
    if found.flawed is not None:
        raise found.flawed.error(columns, found.lengths)
    require_known(found.incomplete, found.rows + found.dropped, max_missing)
    if found.dropped and found.rows < max(n_components, 2):
        raise DataError(
            f"{found.dropped} of {found.rows + found.dropped} rows have a missing value and count "
            f"as absent, which leaves {found.rows} for {n_components} components.",
            "Use missing='marginalize' (--missing), or leave columns out that lack most values.",
        )
    require_rows(found.rows, n_components)
    if found.statistics is None:
        raise DataError("All sample weights are zero.", "Give at least one row a positive weight.")
    require_finite_sum(found.statistics.weight)
    if found.sample is not None and len(found.sample.rows) < n_components:
        raise DataError(
            f"Only {len(found.sample.rows)} rows have a positive sample weight, for "
            f"{n_components} components.",
            "Use fewer components or more rows.",
        )
    unknown = np.isnan(found.statistics.mean) & (found.incomplete > 0)
    if unknown.any():
        name = feature_name(int(np.argmax(unknown)), columns)
        raise DataError(
            f"All values of {name} are missing.", "Leave it out, or check how it was read."
        )
    too_large = ~np.isfinite(found.statistics.deviations)
    if too_large.any():
        name = feature_name(int(np.argmax(too_large)), columns)
        raise DataError(
            f"The values of {name} are too large to be squared.",
            "Scale the features first, and the sample weights if they are very large too.",
        )


def require_known(incomplete: int, rows: int, max_missing: float) -> None:
    """Raise DataError if more than a share of the rows have missing values."""
    if incomplete > max_missing * rows:
        raise DataError(
            f"{incomplete} of {rows} rows ({incomplete / rows:.2%}) have missing values, more than "
            f"the allowed share of {max_missing:g}.",
            "Check the input, or allow a larger share.",
        )


def require_ranges(found: Survey, columns: tuple[str, ...] | None) -> None:
    """Refuse rows that have the same value in some feature: noise would have no volume.

    Raises
    ------
    DataError
        A feature has no range.
    """
    assert found.ranges is not None  # noqa: S101  asked of the survey
    low, high = found.ranges.low, found.ranges.high
    flat = ~(high > low)
    if flat.any():
        name = feature_name(int(np.argmax(flat)), columns)
        raise DataError(
            f"{name[0].upper()}{name[1:]} is {low[flat][0]:g} in all rows, so that noise has no "
            "range there.",
            "Leave the column out, or fit without noise.",
        )


def require_rows(rows: int, n_components: int) -> None:
    """Raise DataError if there are fewer rows than components, or fewer than two."""
    if rows < 2:
        raise DataError(
            f"Found array with {rows} sample(s) while a minimum of 2 is required.",
            "Check that the input is the right one, and that it holds enough rows.",
        )
    if rows < n_components:
        raise DataError(
            "Expected n_samples >= n_components but got "
            f"n_components = {n_components}, n_samples = {rows}.",
            "Use fewer components or more rows.",
        )


def warn_of_few_sampled(settings: Settings, rows: int) -> None:
    """Log a warning where the sample, of so many rows, has too few for each full covariance.

    Hardly more than D + 1 rows determine a component, which then says nothing of others. A prior
    says enough. Of several candidates the one that needs most rows is told of.
    """
    if settings.estimation is not maximum_likelihood:
        return
    needed = {
        own.plan.n_components * least_rows(own.plan.covariance, own.n_features): own
        for own in settings.candidates
        if own.plan.covariance.has_matrices and not own.plan.covariance.needs_scatter
        if own.resume_from is None and not own.plan.given.complete
    }
    most = max(needed, default=0)
    if most and needed[most].sample_rows < min(most, rows):
        own = needed[most]
        sampled, n_components = own.sample_rows, own.plan.n_components
        logger.warning(
            "%s",
            f"The {sampled:,} sampled rows, on which starts are sought, are "
            f"{sampled // n_components:,} for each of {n_components:,} components; a full "
            f"covariance of {own.n_features:,} features needs {most // n_components:,}. Give "
            f"subsample (--subsample) {most:,} rows at least, or use covariance_type='diag'.",
        )


def warn_of_constants(found: Survey, columns: tuple[str, ...] | None) -> None:
    """Warn the caller of ``fit`` about features that have the same value in all rows."""
    assert found.statistics is not None  # noqa: S101  sound
    names = [feature_name(int(k), columns) for k in np.flatnonzero(found.statistics.constant)]
    if names:
        listed = _listed(names)
        verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
        text = f"{listed[0].upper()}{listed[1:]} {verb} constant; leave {them} out."
        warnings.warn(text, UserWarning, stacklevel=3)


def warn_of_scales(found: Survey, reg_covar: float, columns: tuple[str, ...] | None) -> None:
    """Warn the caller of ``fit`` about features whose variance ``reg_covar`` changes."""
    assert found.statistics is not None  # noqa: S101  sound
    variances = found.statistics.deviations**2
    small = _changed(found, reg_covar) & ~found.statistics.constant
    names = [feature_name(int(k), columns) for k in np.flatnonzero(small)]
    if names:
        verb, them = ("varies", "it") if len(names) == 1 else ("vary", "them")
        warnings.warn(
            f"reg_covar={reg_covar:g} is added to variances, and {_listed(names)} {verb} little "
            f"more ({variances[small].min():.2g}): scale {them} up, or lower reg_covar.",
            UserWarning,
            stacklevel=3,
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _changed(found: Survey, reg_covar: float) -> NDArray[np.bool_]:
    """Mask (D,) of features whose variance ``reg_covar`` changes."""
    assert found.statistics is not None  # noqa: S101  sound
    return np.asarray(found.statistics.deviations**2 * _SHARE_OF_VARIANCE < reg_covar)


_ADVICE = {
    COINCIDES: ("coincides with another", "coincide with others", "use fewer components"),
    FEW_ROWS: ("holds almost no rows", "hold almost no rows", "use fewer components"),
    ON_REG_COVAR: (
        "is hardly wider than reg_covar in some direction",
        "are hardly wider than reg_covar in some direction",
        "use fewer components, or scale the columns and lower reg_covar",
    ),
}


def odd_components(estimator: FittedMixture, survey: Survey | None = None) -> list[str]:
    """Warnings about the components of a fit, unless a survey shows that columns are the cause."""
    flagged, texts = flags_of(estimator), []
    widened = survey is not None and _changed(survey, estimator.reg_covar).any()
    for flag, (one, several, advice) in _ADVICE.items():
        which = [str(k) for k, own in enumerate(flagged) if flag in own]
        if which and not (widened and flag == ON_REG_COVAR):
            subject, verb = ("Component", one) if len(which) == 1 else ("Components", several)
            texts.append(f"{subject} {_listed(which)} {verb}: {advice}.")
    return texts


def require_held(found: Predictor) -> None:
    """Refuse a mixture whose parameters double precision can't hold in the data's units.

    Raises
    ------
    DataError
        A variance or its inverse would be zero or infinite.
    """
    mixture, shape = found.mixture, found.mixture.shape
    exponents = 2 * np.log2(mixture.deviations) + 2 * np.log2(found.frame.scale)
    bad = ~(np.abs(exponents) < _MOST_BITS)
    if not bad.any():
        try:
            outside = found.in_data_units
            parameters = (outside.covariances, outside.factors)
            if all(np.isfinite(one).all() for one in parameters):
                return
        except CollapsedComponentError:
            pass
    component, feature = np.unravel_index(int(np.argmax(np.abs(exponents))), shape)
    raise DataError(
        f"The variance of {feature_name(int(feature), None)} in component {component} is about "
        f"1e{exponents[component, feature] * np.log10(2):.0f}, which double precision cannot hold "
        "together with its inverse.",
        "Scale the features first.",
    )
