"""Protocols of estimators: what a fit, a model file and a job know of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor

if TYPE_CHECKING:  # a model is read without what fits one
    from daskgmm.training.m_step import Estimation
    from daskgmm.training.starts import StartPlan


class NamedColumns(Protocol):
    """Columns of the rows that an estimator was fitted on, or is about to be."""

    n_features_in_: int
    feature_names_in_: Any
    """Missing where the rows had no names."""


class Estimator(NamedColumns, Protocol):
    """Any estimator, mixture or selector, and the parameters that all of them have."""

    n_components: Any
    covariance_type: Any
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    start_from: Any
    random_state: Any
    verbose: int
    verbose_interval: int
    subsample: str | int | None
    refine: str
    stopping: str
    acceleration: str | None
    dtype: Any
    cache: str
    checkpoint: Any
    callbacks: Iterable[Any]
    missing: str
    _max_missing: float
    """Largest share of rows with missing values that a job allows."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]:
        """Constructor parameters by name."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the rows of X."""


class MixtureParameters(Estimator, Protocol):
    """Constructor parameters that fit a mixture: those of `daskgmm.GaussianMixture`."""

    n_components: int
    covariance_type: str
    weights_init: Any
    means_init: Any
    precisions_init: Any
    warm_start: bool
    noise: Any
    prior: Any
    fixed: Any
    _refines: bool
    """Whether refine='auto' searches for the start."""

    def _estimation(self, plan: "StartPlan", n_features: int) -> "Estimation":
        """Objective of a fit of one candidate, or of several without fixed parts."""

    def _last_fit(self, plan: "StartPlan", n_features: int) -> tuple[Mixture, Frame, float] | None:
        """Mixture, frame and lower bound of the last fit, if it is of the planned kind."""


class FittedMixture(MixtureParameters, Protocol):
    """Attributes of a fitted mixture estimator, as its fit or a model file gives them.

    A model from elsewhere has only some of the attributes that describe how the fit went.
    """

    _predictor: Predictor
    _moments: Moments | None
    _dtype: np.dtype[Any]
    converged_: bool
    lower_bound_: float
    lower_bounds_: list[float]
    n_iter_: int
    n_rows_: int
    n_rows_dropped_: int
    n_passes_: int
    history_: list[dict[str, Any]]
    refinement_: dict[str, Any] | None

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture, from a fit or from elsewhere."""
