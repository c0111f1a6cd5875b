"""`GaussianMixtureSelector`: candidates fitted in the same passes, and the best one kept."""

import os
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike
from sklearn.base import DensityMixin
from sklearn.exceptions import ConvergenceWarning

from daskgmm.errors import ConfigurationError
from daskgmm.estimators.candidates import (
    CandidateResult,
    begun,
    index_of_best,
    outcomes_of,
    shortfall_warning,
    shortfalls,
)
from daskgmm.estimators.display import NotebookRepr
from daskgmm.estimators.fit_warnings import (
    warn_not_converged,
    warn_of_components,
    warn_of_largest,
    warn_of_spurious,
)
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.inputs import as_source, kind_of, marks_of, require_unchanged
from daskgmm.estimators.methods.delegating import Delegating
from daskgmm.estimators.methods.predict import FitPredict
from daskgmm.estimators.observing import Callback, watched
from daskgmm.estimators.parameters import check_parameters, random_numbers
from daskgmm.estimators.references import StartsFrom, start_of
from daskgmm.fitting.checks import odd_components, warn_of_constants, warn_of_scales
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.options import (
    AccelerationChoice,
    CacheChoice,
    InitChoice,
    MissingChoice,
    RefineChoice,
    StoppingChoice,
)
from daskgmm.fitting.protocols import Estimator
from daskgmm.fitting.settings import Candidate, compute_dtype
from daskgmm.fitting.stored.checkpoint import open_checkpoint
from daskgmm.fitting.stored.checkpoint_file import CheckpointFile
from daskgmm.fitting.stored.identity import Identity
from daskgmm.model.covariance import CovarianceType
from daskgmm.model.prior import Prior
from daskgmm.model.scoring import CRITERIA
from daskgmm.passes.cache.choose import check_cache
from daskgmm.passes.engine.blas import one_thread
from daskgmm.training.states import StopReason


class GaussianMixtureSelector(FitPredict, Delegating, StartsFrom, DensityMixin, NotebookRepr):
    """Choose the number of components and the covariance type by an information criterion.

    All candidates (each number with each type and each start) advance in the same passes over
    the data, and one more pass scores them all. X is anything that `GaussianMixture` takes. A
    candidate gives the same result as a separate fit with the same integer ``random_state``;
    with several types, or if tasks get other rows, the same up to rounding. Where starts are
    refined, a candidate also starts from the best one of the same type with fewer components, some
    of which are split: where that is better, so is its result, and on the sample no candidate's
    likelihood is below a smaller one's.

    Parameters
    ----------
    n_components : iterable of int, or int, default range(1, 11)
        Numbers K of components to try.
    covariance_type : iterable of str, or str, default ('full',)
        Covariance types to try with each, as `GaussianMixture` takes them.
    criterion : {'bic', 'aic', 'icl'}, default 'bic'
        Criterion to minimise, on the rows of the fit with their sample weights.
    tol, reg_covar, max_iter, n_init, init_params, random_state
        As in `GaussianMixture`, for each candidate. With ``None`` or a RandomState one seed is
        drawn for all; the ``random_state`` of the chosen estimator holds that seed.
    verbose, verbose_interval, subsample, refine, stopping, acceleration, dtype, cache,
    checkpoint, callbacks, missing
        As in `GaussianMixture`; the state that callbacks get holds the starts of all candidates.
    start_from
        As in `GaussianMixture`, for the candidates with as many components; others have starts of
        their own.
    noise, prior
        As in `GaussianMixture`, for each candidate.

    Attributes
    ----------
    best_estimator_ : GaussianMixture
        Chosen candidate, fitted.
    best_params_ : dict
        Its ``n_components`` and ``covariance_type``.
    best_index_ : int
        Row of the chosen candidate in `results_`.
    results_ : DataFrame
        One row for each start of each candidate that made passes over all rows:
        ``n_components, covariance_type, start, lower_bound, bic, aic, icl, n_iter, converged``.
        Unknown values of a candidate that collapsed are NaN.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where X has names
    n_passes_ : int
        Passes over all rows, for all candidates together.

    Examples
    --------
    >>> import numpy as np
    >>> from daskgmm import GaussianMixtureSelector
    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(900, 2)) + np.repeat([[0, 0], [8, 0], [0, 8]], 300, axis=0)
    >>> selector = GaussianMixtureSelector(range(1, 6), random_state=0).fit(X)
    >>> selector.best_params_
    {'n_components': 3, 'covariance_type': 'full'}
    >>> selector.predict([[8, 0]]) == selector.predict([[7, 1]])
    array([ True])
    """

    _max_missing: float = 1.0

    def __init__(
        self,
        n_components: Iterable[int] | int = range(1, 11),
        *,
        covariance_type: "Iterable[CovarianceType] | CovarianceType" = ("full",),
        criterion: str = "bic",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: "InitChoice" = "kmeans",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        verbose_interval: int = 10,
        subsample: str | int | None = "auto",
        refine: "RefineChoice" = "auto",
        stopping: "StoppingChoice" = "lower_bound",
        acceleration: "AccelerationChoice | None" = None,
        dtype: "DTypeLike | None" = None,
        cache: "CacheChoice" = "auto",
        checkpoint: "str | os.PathLike[str] | CheckpointFile | None" = None,
        callbacks: "Iterable[Callback]" = (),
        start_from: Any = None,
        missing: "MissingChoice" = "error",
        noise: bool | float = False,
        prior: "str | Prior | None" = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.subsample = subsample
        self.refine = refine
        self.stopping = stopping
        self.acceleration = acceleration
        self.dtype = dtype
        self.cache = cache
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.start_from = start_from
        self.missing = missing
        self.noise = noise
        self.prior = prior

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit all candidates and keep the best.

        Parameters
        ----------
        X, y, sample_weight
            As in `GaussianMixture.fit`.

        Returns
        -------
        self

        Raises
        ------
        ConfigurationError, OutputError
            As in `GaussianMixture.fit`.
        DataError
            As in `GaussianMixture.fit`, but a collapse only if all candidates collapsed.
        """
        del y
        check_criterion(self.criterion)
        check_cache(self.cache)
        random = random_numbers(self.random_state)
        start = start_of(self.start_from)
        estimators = self._estimators(random, start)
        source = as_source(self, X, sample_weight, reset=True)
        dtype = compute_dtype(self, source.dtype)
        in_memory = kind_of(X) == "memory"
        candidates = tuple(
            Candidate.of(
                one, source, None if one.start_from is None else start, in_memory=in_memory
            )
            for one in estimators
        )
        marks = partial(marks_of, X, sample_weight)
        identity = Identity(self, estimators, candidates, source, marks)
        checkpoint = open_checkpoint(self.checkpoint, identity, random)
        for estimator in estimators:
            estimator.random_state = checkpoint.seed
        with one_thread(), watched(self, candidates, source) as watch:
            with begun(estimators, candidates, source, dtype, checkpoint) as fit:
                warn_of_constants(fit.survey, source.columns)
                warn_of_scales(fit.survey, self.reg_covar, source.columns)
                notify = watch.begin(fit)
                for state in fit.states():
                    notify(state)
                outcomes = outcomes_of(fit, estimators)
            require_unchanged(X)
            self._adopt(fit, outcomes)
        if outcomes[self.best_index_].stopped is StopReason.MAX_ITER:
            warn_not_converged()
        if self._is_largest():
            warn_of_largest(self.best_params_["n_components"])
        refinement = self.best_estimator_.refinement_
        if refinement is not None and refinement["spurious"]:
            warn_of_spurious()
        elif self.best_estimator_.converged_:
            warn_of_components(odd_components(self.best_estimator_, fit.survey))
        if found := shortfalls([one.row() for one in outcomes], self.best_index_, self.tol):
            remedy = "Try n_init=10, or init_params='random'."
            warnings.warn(shortfall_warning(found, remedy), ConvergenceWarning, stacklevel=2)
        return self

    def _estimators(
        self, random: np.random.RandomState, start: Fitted | None
    ) -> list[GaussianMixture]:
        """Create an estimator for each candidate, not fitted yet.

        Those with as many components as `start` start from it.
        """
        numbers = _several(self, "n_components", Integral)
        kinds = _several(self, "covariance_type", str)
        if start is not None and start.n_components not in numbers:
            start.require_components(numbers[0], "start_from")
        shared = self.get_params(deep=False) | {"random_state": self._seed(random)}
        del shared["criterion"], shared["checkpoint"]
        estimators = [
            GaussianMixture(**shared | {"n_components": number, "covariance_type": kind})
            for number in numbers
            for kind in kinds
        ]
        for estimator in estimators:
            estimator._max_missing = self._max_missing  # noqa: SLF001  of one family
            if start is not None and estimator.n_components != start.n_components:
                estimator.start_from = None
            check_parameters(estimator)
        return estimators

    def _seed(self, random: np.random.RandomState) -> int:
        given: Any = self.random_state
        return int(given) if isinstance(given, Integral) else int(random.randint(2**31))

    def _adopt(self, fit: Fit, outcomes: Sequence[CandidateResult]) -> None:
        import pandas as pd

        self.best_index_ = index_of_best(outcomes, self.criterion)
        self.best_estimator_ = outcomes[self.best_index_].estimator
        self.best_estimator_.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            self.best_estimator_.feature_names_in_ = self.feature_names_in_
        names = ("n_components", "covariance_type")
        self.best_params_ = {name: getattr(self.best_estimator_, name) for name in names}
        self.results_ = pd.DataFrame([outcome.row() for outcome in outcomes])
        self.n_passes_ = fit.passes

    def _is_largest(self) -> bool:
        """Whether the best number of components is the largest of several of its type."""
        best = self.best_params_
        tried = self.results_[self.results_.covariance_type == best["covariance_type"]]
        numbers = tried.n_components
        return bool(numbers.min() < numbers.max() == best["n_components"])


def _several(estimator: Estimator, name: str, kind: type[Any]) -> tuple[Any, ...]:
    """Values of a parameter; a single value counts as a list of one."""
    value = getattr(estimator, name)
    if isinstance(value, kind):
        return (value,)
    values = tuple(value) if isinstance(value, Iterable) else ()
    if not values:
        raise ConfigurationError(
            f"The '{name}' parameter of {type(estimator).__name__} is {value!r}, which names no "
            "candidate.",
            "Give at least one value, such as range(1, 11) or ('full', 'diag').",
        )
    return values


def check_criterion(name: Any) -> None:
    """Check that a criterion is known."""
    if not isinstance(name, str) or name not in CRITERIA:
        raise ConfigurationError(
            f"criterion={name!r} is not known.", f"Use one of: {', '.join(CRITERIA)}."
        )
