"""Settings of a fit: the parameters of a mixture estimator, checked and prepared for passes."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol, Self

import numpy as np

from daskgmm.data.containers.arrays import real_values
from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles
from daskgmm.passes.cost import seconds_a_row
from daskgmm.passes.memory import TaskSizes, largest_block, largest_part
from daskgmm.training.acceleration import Acceleration, acceleration_named
from daskgmm.training.em import EMSettings
from daskgmm.training.initialisation import initialiser_named
from daskgmm.training.starts import Given, StartPlan
from daskgmm.training.stopping import Rule, stopping_named


class Estimator(Protocol):
    """Parameters of any estimator, mixture or selector."""

    random_state: Any

    def get_params(self, deep: bool = ...) -> dict[str, Any]:
        """Constructor parameters by name."""


class MixtureParameters(Estimator, Protocol):
    """Constructor parameters that fit a mixture: those of `daskgmm.GaussianMixture`."""

    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    weights_init: Any
    means_init: Any
    precisions_init: Any
    warm_start: bool
    subsample: str | int | None
    stopping: str
    acceleration: str | None
    dtype: Any

    def _last_fit(self, plan: StartPlan, n_features: int) -> tuple[Mixture, Frame, float] | None:
        """Mixture, frame and lower bound of the last fit, if it is of the planned kind."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """Number of components and covariance type to fit, and the source of the starts.

    Parameters
    ----------
    plan : StartPlan
    sample_rows : int
        Number of sampled rows on which starts are found.
    resume_from : tuple of (Mixture, Frame, float) or None
        Mixture to continue from in place of starts, its frame and its lower bound (nats a row).
    """

    plan: StartPlan
    sample_rows: int
    resume_from: tuple[Mixture, Frame, float] | None = None

    @classmethod
    def of(cls, estimator: MixtureParameters, source: Source, *, in_memory: bool) -> Self:
        """Take a candidate from an estimator's parameters, for rows in memory or not."""
        n_features = source.n_features
        plan = start_plan(estimator, n_features)
        rows = sum(source.lengths or ()) if in_memory else None
        warm = estimator.warm_start
        last = estimator._last_fit(plan, n_features) if warm else None  # noqa: SLF001  a protocol's
        return cls(plan, sample_rows(estimator, n_features, rows), last)


@dataclass(frozen=True, eq=False)
class Settings:
    """Checked settings of one fit of all candidates.

    Parameters
    ----------
    candidates : tuple of Candidate
        Mixtures that share passes.
    tol, reg_covar : float
    max_iter : int
    stopping : Rule
        Rule for the change that `tol` is compared with.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    fit_on_sample : bool
        Whether EM runs on the sampled rows first, unless these are all rows.
    dtype : dtype
        Float type of the computation.
    """

    candidates: tuple[Candidate, ...]
    tol: float
    reg_covar: float
    max_iter: int
    stopping: Rule
    accelerate: Acceleration
    fit_on_sample: bool
    dtype: np.dtype[np.floating[Any]]

    @classmethod
    def of(
        cls,
        estimator: MixtureParameters,
        candidates: tuple[Candidate, ...],
        dtype: np.dtype[np.floating[Any]],
    ) -> Self:
        """Take the settings that all candidates share from one estimator's parameters."""
        return cls(
            candidates,
            tol=estimator.tol,
            reg_covar=estimator.reg_covar,
            max_iter=estimator.max_iter,
            stopping=stopping_named(estimator.stopping),
            accelerate=acceleration_named(estimator.acceleration),
            fit_on_sample=estimator.subsample is not None,
            dtype=dtype,
        )

    @property
    def covariances(self) -> dict[Covariance, int]:
        """Total number of components of the candidates of each covariance type."""
        found: dict[Covariance, int] = {}
        for candidate in self.candidates:
            plan = candidate.plan
            found[plan.covariance] = found.get(plan.covariance, 0) + plan.n_components
        return found

    @property
    def needs_scatter(self) -> bool:
        """Whether a covariance type needs the rows' total second moments."""
        return any(covariance.needs_scatter for covariance in self.covariances)

    def frame(self, origin: Doubles, deviations: Doubles) -> Frame:
        """Choose the frame that suits all covariance types.

        Scales are powers of two, so the frame leaves the parameters of a mixture unchanged, and
        its lower bounds but for rounding, even where it has to suit other types as well.
        """
        scale = deviations
        for covariance in self.covariances:
            scale = covariance.compatible_scale(scale)
        return Frame.around(origin, scale, self.dtype)

    def cost_a_row(self, n_features: int) -> float:
        """Estimated seconds a row of a pass, by which rows are divided into tasks."""
        seconds = 0.0
        for covariance, n_components in self.covariances.items():
            length = covariance.feature_length(n_features)
            seconds += seconds_a_row(n_features, length, n_components)
        return seconds

    def task(self, source: Source) -> TaskSizes:
        """Sizes of a task in a pass over a source, for all starts together."""
        longest = max(one.feature_length(source.n_features) for one in self.covariances)
        plans = [candidate.plan for candidate in self.candidates]
        return TaskSizes(
            source.n_features,
            longest,
            sum(plan.n_components * plan.n_init for plan in plans),
            largest_block(source),
            largest_part(source),
            source.dtype,
            self.dtype,
            decoded=source.decoded,
        )

    def em_settings(self, frame: Frame, deviations: Doubles) -> EMSettings:
        """Settings of EM in a frame; `deviations` (D,) are the features', in the data's units."""
        return EMSettings(
            self.tol,
            self.max_iter,
            self.stopping,
            self.reg_covar / frame.scale**2,
            deviations / frame.scale,
            self.dtype,
            self.accelerate,
            frame.enter(np.zeros_like(frame.origin)),
        )


SUBSAMPLE_FLOOR = 20_000
"""Least number of rows that subsample='auto' draws."""

SUBSAMPLE_BYTES = 2**27
"""Most bytes of rows that subsample='auto' draws, if `SUBSAMPLE_FLOOR` rows take fewer."""


def start_plan(estimator: MixtureParameters, n_features: int) -> StartPlan:
    """Check the parameters that starts depend on, and take the plan of the starts from them."""
    covariance = covariance_named(estimator.covariance_type)
    given = _given(estimator, covariance, n_features)
    return StartPlan(
        covariance,
        int(estimator.n_components),
        1 if given.complete else int(estimator.n_init),
        initialiser_named(estimator.init_params),
        given,
    )


def sample_rows(estimator: MixtureParameters, n_features: int, rows_in_memory: int | None) -> int:
    """Number of rows to find starts on: enough for all parameters, and few enough for memory.

    Parameters
    ----------
    estimator : MixtureParameters
    n_features : int
    rows_in_memory : int or None
        Number n of rows if X is in memory: with ``subsample=None`` starts are found on all.
    """
    wanted: Any = estimator.subsample
    if wanted is None and rows_in_memory is not None:
        return rows_in_memory
    if wanted is None or (isinstance(wanted, str) and wanted == "auto"):
        most = max(SUBSAMPLE_BYTES // (8 * n_features), SUBSAMPLE_FLOOR)
        return min(max(SUBSAMPLE_FLOOR, 100 * int(estimator.n_components) * n_features), most)
    if not isinstance(wanted, Integral) or wanted < max(2, estimator.n_components):
        raise ConfigurationError(
            f"The 'subsample' parameter is {wanted!r}.",
            "It must be 'auto', None, or a number of rows: at least n_components, and at least 2.",
        )
    return int(wanted)


def compute_dtype(estimator: MixtureParameters, found: np.dtype[Any]) -> np.dtype[Any]:
    """Float type to compute in: the estimator's ``dtype``, or by default the type of the data."""
    if estimator.dtype is None:
        return found
    try:
        dtype: np.dtype[Any] = np.dtype(estimator.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in (np.float32, np.float64):
        raise ConfigurationError(
            f"The 'dtype' parameter is {estimator.dtype!r}.",
            "Use None, 'float32' or 'float64'.",
        )
    return dtype


def _given(estimator: MixtureParameters, covariance: Covariance, n_features: int) -> Given:
    n_components = estimator.n_components
    shape = covariance.shape(n_components, n_features)
    weights = _array(estimator.weights_init, "weights", (n_components,))
    if weights is not None:
        _check_weights(weights)
    means = _array(estimator.means_init, "means", (n_components, n_features))
    precisions = _array(estimator.precisions_init, f"{covariance.name} precision", shape)
    if precisions is not None:
        _check_precisions(precisions, covariance)
    return Given(weights, means, precisions)


def _array(values: Any, name: str, shape: tuple[int, ...]) -> Doubles | None:
    if values is None:
        return None
    try:
        real_values(values, name)
        # Always in C order: the rounding of sums over an axis depends on the order in memory.
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The parameter '{name}' is not an array of numbers: {error}.",
            f"Give an array of numbers of shape {shape}.",
        ) from error
    if array.shape != shape:
        raise ConfigurationError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}.",
            "It follows from n_components, covariance_type and the columns of X.",
        )
    if not np.isfinite(array).all():
        raise ConfigurationError(
            f"The parameter '{name}' holds NaN or infinity.", "Give finite numbers, or None."
        )
    return array


def _check_weights(weights: Doubles) -> None:
    if (weights < 0).any() or (weights > 1).any():
        raise ConfigurationError(
            "The parameter 'weights' should be in the range [0, 1], but got "
            f"max value {weights.min():.5f}, min value {weights.max():.5f}",  # as scikit-learn's
            "Make all weights_init non-negative, then divide them by their sum.",
        )
    # Weights computed in single precision sum to 1 only within its rounding.
    if not np.isclose(weights.sum(), 1, rtol=1e-6, atol=1e-6):
        raise ConfigurationError(
            "The parameter 'weights' should be normalized, "
            f"but got sum(weights) = {weights.sum():.5f}",
            "Divide weights_init by its sum.",
        )


def _check_precisions(precisions: Doubles, covariance: Covariance) -> None:
    try:
        covariance.factorise_precisions(precisions)
    except NotPositiveDefiniteError as error:
        kind = "symmetric, positive-definite" if covariance.has_matrices else "positive"
        raise ConfigurationError(
            f"'{covariance.name} precision' should be {kind}",
            "Set precisions_init to the inverses of covariances, or to None.",
        ) from error
