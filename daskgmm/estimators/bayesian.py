"""`BayesianGaussianMixture`: scikit-learn's variational mixture, for any number of rows."""

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from daskgmm.estimators import sklearn_bayesian
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.observing import Callback
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.options import (
    CacheChoice,
    ConcentrationChoice,
    InitChoice,
    MissingChoice,
    RefineChoice,
    StoppingChoice,
)
from daskgmm.fitting.prior_parameters import variational
from daskgmm.fitting.progress import Entry
from daskgmm.fitting.stored.checkpoint_file import CheckpointFile
from daskgmm.model.bayesian.posterior import Posterior
from daskgmm.model.bayesian.priors import Priors
from daskgmm.model.covariance import CovarianceType
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.search import Refinement
from daskgmm.training.starts import StartPlan
from daskgmm.training.states import Trace
from daskgmm.training.variational import Variational


class BayesianGaussianMixture(GaussianMixture):
    """Variational mixture of at most K Gaussians: components that the rows do not need empty.

    Parameters, attributes and values are those of ``sklearn.mixture.BayesianGaussianMixture``,
    with the additions below; X may be all that `GaussianMixture` takes. The priors are conjugate:
    Dirichlet for the weights, Gaussian for the means, Wishart for the precisions. See
    `daskgmm.model.bayesian.priors` for the formulas.

    Parameters
    ----------
    n_components : int, default 1
        Number K of components at the most; a large one where it is not known.
    covariance_type, reg_covar, max_iter, n_init, init_params
        As in `GaussianMixture`.
    tol : float, default 1e-3
        Tolerance: the change of `lower_bound_` below which EM stops. That is a total over all
        rows, so of many rows a larger one will do.
    weight_concentration_prior_type : str, default 'dirichlet_process'
        Or 'dirichlet_distribution'.
    weight_concentration_prior : float or None
        Concentration of the weights; the lower, the fewer components hold rows. By default 1 / K.
    mean_precision_prior : float or None
        Rows that the prior of the means counts for, by default 1.
    mean_prior : array-like of shape (D,) or None
        By default the mean of the rows.
    degrees_of_freedom_prior : float or None
        Of the precisions' Wishart distributions, above D - 1; by default D.
    covariance_prior : array-like or None
        Inverse scale of the Wishart distributions, in squared units of the data: of shape (D, D)
        full and tied, (D,) diag, or one number spherical. By default the rows' covariance.
    random_state, warm_start, verbose, verbose_interval
        As in `GaussianMixture`.
    subsample, stopping, dtype, cache, checkpoint, callbacks, start_from, missing
        As in `GaussianMixture`. A sample on which EM runs stands for all rows. With 'marginalize'
        missing values have posteriors too, and priors that come from the rows, from what is known.
    refine : {'auto', 'split-merge', 'none'}, default 'auto'
        'auto' is 'none' here: scikit-learn's course from scikit-learn's start. 'split-merge' starts
        from the most likely mixture of all K components that a search finds on the sampled rows,
        from which the passes then empty those that the priors do not bear.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        Expected weights and means; inverses of the expected precisions, and those.
    weight_concentration_ : ndarray of shape (K,), or a tuple of two such
        Of the weights' posterior: Dirichlet, or beta distributions of a process's sticks.
    mean_precision_, degrees_of_freedom_ : ndarray of shape (K,)
        Of the posteriors of means and precisions; a number for the degrees of tied covariances.
    weight_concentration_prior_, mean_precision_prior_, degrees_of_freedom_prior_ : float
        Numbers of the priors as they were used.
    mean_prior_ : ndarray of shape (D,)
        Mean of the prior of the means.
    covariance_prior_ : ndarray or float
        Inverse scale of the prior of the precisions.
    lower_bound_ : float
        scikit-learn's: the evidence lower bound of all rows (nats), but for constants.
    lower_bounds_ : list of float
        Likewise, of each pass.
    history_ : list of dict
        As `GaussianMixture` has it; its ``lower_bound`` is the evidence lower bound itself, in
        nats a row. ``change`` is the change of `lower_bound_`.
    converged_, n_iter_, n_features_in_, feature_names_in_ : bool, int, int, ndarray
        As in `GaussianMixture`.
    n_rows_, n_rows_dropped_, n_passes_, refinement_ : int, int, int, dict or None
        As in `GaussianMixture`.

    Examples
    --------
    >>> import numpy as np
    >>> from daskgmm import BayesianGaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [4, 2], [12, 4], [10, 7]])
    >>> model = BayesianGaussianMixture(n_components=2, random_state=42).fit(X)
    >>> model.means_.round(1)
    array([[2.5, 2.3],
           [8.5, 4.5]])
    """

    # Parameters of the likelihood alone.
    weights_init = means_init = precisions_init = acceleration = prior = fixed = None
    noise = False
    _refines = False
    _priors: Priors

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: "CovarianceType" = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: "InitChoice" = "kmeans",
        weight_concentration_prior_type: "ConcentrationChoice" = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: "ArrayLike | None" = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: "ArrayLike | None" = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        subsample: str | int | None = "auto",
        refine: "RefineChoice" = "auto",
        stopping: "StoppingChoice" = "lower_bound",
        dtype: "DTypeLike | None" = None,
        cache: "CacheChoice" = "auto",
        checkpoint: "str | os.PathLike[str] | CheckpointFile | None" = None,
        callbacks: "Iterable[Callback]" = (),
        start_from: Any = None,
        missing: "MissingChoice" = "error",
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.subsample = subsample
        self.refine = refine
        self.stopping = stopping
        self.dtype = dtype
        self.cache = cache
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.start_from = start_from
        self.missing = missing

    def _estimation(self, plan: StartPlan, n_features: int) -> Variational:
        del plan
        return variational(self, n_features)

    def _adopt(
        self, fit: Fit, best: Trace, history: Iterable[Entry], refinement: Refinement | None
    ) -> None:
        super()._adopt(fit, best, history, refinement)
        statistics = fit.survey.statistics
        assert statistics is not None  # noqa: S101  those of a fit that began
        self._priors = variational(self, self.n_features_in_).priors(statistics)
        mixture, weight = best.mixture, statistics.weight
        constant = self._priors.constant(mixture.covariance, mixture.n_components, weight)
        self.lower_bounds_ = [weight * bound + constant for bound in best.lower_bounds]
        self.lower_bound_ = weight * best.lower_bound + constant

    def _last_fit(self, plan: StartPlan, n_features: int) -> tuple[Mixture, Frame, float] | None:
        last = super()._last_fit(plan, n_features)
        if last is None:
            return None
        mixture, frame, _ = last
        history = getattr(self, "history_", None)
        return mixture, frame, history[-1]["lower_bound"] if history else -np.inf

    @property
    def weight_concentration_(self) -> Doubles | tuple[Doubles, Doubles]:
        """Parameters of the weights' posterior, of shape (K,); two for a Dirichlet process."""
        found = self._posterior("weight_concentration_").weight_concentration
        return found.copy() if found.ndim == 1 else (found[:, 0].copy(), found[:, 1].copy())

    @property
    def mean_precision_(self) -> Doubles:
        """Rows that each mean counts for, the prior's included, of shape (K,)."""
        return self._posterior("mean_precision_").mean_precision.copy()

    @property
    def degrees_of_freedom_(self) -> Doubles | float:
        """Degrees of freedom of the precisions' posteriors, of shape (K,); one number if tied."""
        found = self._posterior("degrees_of_freedom_").degrees_of_freedom
        shared = self._fitted().covariance.needs_scatter
        return float(found[0]) if shared else found.copy()

    def _posterior(self, name: str) -> Posterior:
        found = self._fitted().posterior
        if found is None:
            raise AttributeError(f"{name!r} is not known of a start before its first pass")
        return found

    @property
    def weight_concentration_prior_(self) -> float:
        """Concentration of the prior of the weights."""
        return self._prior().concentration.value

    @property
    def mean_precision_prior_(self) -> float:
        """Rows that the prior of the means counts for."""
        return self._prior().mean_precision

    @property
    def mean_prior_(self) -> Doubles:
        """Mean of the prior of the means, of shape (D,)."""
        return self._prior().mean.copy()

    @property
    def degrees_of_freedom_prior_(self) -> float:
        """Degrees of freedom of the prior of the precisions."""
        return self._prior().degrees_of_freedom

    @property
    def covariance_prior_(self) -> Doubles | float:
        """Inverse scale of the prior of the precisions: (D, D), (D,), or a number."""
        scale, covariance = self._prior().scale, self._fitted().covariance
        one = covariance.shape(1, len(scale))
        return float(scale.mean()) if one == (1,) else scale.copy()

    def _prior(self) -> Priors:
        self._fitted()
        return self._priors

    def adapt(self, X: Any, relevance: float = 16.0) -> Self:
        """A new mixture whose means are moved towards X; the rest of the posterior stays as it is.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows, one or more, with finite values.
        relevance : float, default 16.0
            Rows that an old mean counts as, not negative.
        """
        found = super().adapt(X, relevance)
        found._priors = self._priors  # noqa: SLF001  the same class
        return found

    @property
    def partial_fit(self) -> Any:
        """Refuse: the posterior of one batch of rows is not that of all."""
        raise AttributeError(f"{type(self).__name__} has no partial_fit: fit all rows again")

    def to_sklearn(self) -> Any:
        """Convert to a fitted ``sklearn.mixture.BayesianGaussianMixture``."""
        require_fitted(self)
        return sklearn_bayesian.to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Convert from a fitted ``sklearn.mixture.BayesianGaussianMixture``.

        Parameters
        ----------
        estimator : sklearn.mixture.BayesianGaussianMixture
        """
        return sklearn_bayesian.from_sklearn(cls, estimator)
