"""`GaussianMixture`: scikit-learn's estimator, for any number of rows."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import DensityMixin

from daskgmm.estimators import sklearn_model
from daskgmm.estimators.attributes import FittedParameters
from daskgmm.estimators.display import NotebookRepr
from daskgmm.estimators.fit_warnings import (
    warn_not_converged,
    warn_of_components,
    warn_of_spurious,
)
from daskgmm.estimators.inputs import as_source, kind_of, marks_of, require_unchanged
from daskgmm.estimators.methods.adapt import AdaptMethods
from daskgmm.estimators.methods.export import ExportMethods
from daskgmm.estimators.methods.match import MatchMethods
from daskgmm.estimators.methods.partial_fit import PartialFit
from daskgmm.estimators.methods.predict import FitPredict, PredictMethods
from daskgmm.estimators.methods.questions import QuestionMethods
from daskgmm.estimators.observing import Callback, watched
from daskgmm.estimators.parameters import check_parameters, random_numbers
from daskgmm.estimators.references import StartsFrom, start_of
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.checks import (
    odd_components,
    require_held,
    warn_of_constants,
    warn_of_scales,
)
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.objective import estimation_of
from daskgmm.fitting.options import (
    AccelerationChoice,
    CacheChoice,
    InitChoice,
    MissingChoice,
    RefineChoice,
    StoppingChoice,
)
from daskgmm.fitting.progress import Entry
from daskgmm.fitting.settings import Candidate, Settings, compute_dtype
from daskgmm.fitting.stored import model_file
from daskgmm.fitting.stored.checkpoint import open_checkpoint
from daskgmm.fitting.stored.checkpoint_file import CheckpointFile
from daskgmm.fitting.stored.identity import Identity
from daskgmm.model.covariance import CovarianceType
from daskgmm.model.prediction import Predictor
from daskgmm.model.prior import Prior
from daskgmm.passes import mixture_sampling
from daskgmm.passes.cache.choose import check_cache, kept
from daskgmm.passes.engine.blas import one_thread
from daskgmm.training.m_step import Estimation
from daskgmm.training.refinement.search import Refinement
from daskgmm.training.starts import StartPlan
from daskgmm.training.states import FitState, StopReason, Trace


class GaussianMixture(
    FittedParameters,
    FitPredict,
    PredictMethods,
    MatchMethods,
    ExportMethods,
    QuestionMethods,
    PartialFit,
    AdaptMethods,
    StartsFrom,
    DensityMixin,
    NotebookRepr,
):
    """Mixture of K Gaussians, fitted by expectation-maximisation to any number of rows.

    Parameters, attributes and methods are those of ``sklearn.mixture.GaussianMixture``, with
    the additions below. X may be a NumPy array, a pandas or Polars frame, a dask array or
    DataFrame (also with unknown chunk sizes) or a dataset from `daskgmm.open_dataset`. Results
    have the kind of the input: computed for rows in memory, lazy for others. See `daskgmm.model`
    for the formulas, and for the modules that compute them.

    Parameters
    ----------
    n_components : int, default 1
        Number K of components.
    covariance_type : str, default 'full'
        Form of the covariances, a name in `daskgmm.model.covariance.COVARIANCES`. As in
        scikit-learn 'full' is a matrix for each component, 'tied' one matrix for all, 'diag' a
        diagonal matrix for each and 'spherical' one variance for each.
    tol : float, default 1e-3
        Tolerance: EM stops when the change (see `stopping`) is smaller.
    reg_covar : float, default 1e-6
        Constant added to the diagonals of the covariances, in squared units of the data. With 0
        the likelihood never falls, but is unbounded where a component shrinks to equal values:
        such a component keeps the smallest variance that double precision resolves there ('diag',
        'spherical'), or the fit fails as a matrix becomes singular (`CollapsedComponentError`).
    max_iter : int, default 100
        Largest number of EM passes over all rows.
    n_init : int, default 1
        Number of starts; they share their passes, and the best result is kept.
    init_params : str, default 'kmeans'
        Method that finds the start values: 'kmeans', 'k-means++', 'random', 'random_from_data' or
        'hierarchical' (Ward), all on sampled rows; or 'k-means||' of dask-ml over all rows, which
        takes about 15 to 35 passes for each of `n_init` starts, and ignores sample weights except
        that it leaves out rows of weight zero.
    weights_init, means_init, precisions_init : array-like or None
        Start values. If all three are given, EM starts from them directly.
    random_state : int, RandomState or None
        Seed of the random numbers, or their generator.
    warm_start : bool, default False
        Continue from the last fit.
    verbose, verbose_interval : int
        Amount of output, as in scikit-learn, and the number of passes from one line to the next.
    subsample : 'auto', int or None, default 'auto'
        Number of sampled rows on which starts are found and fitted in memory before full passes
        polish the best. 'auto' is at least 20,000 and grows with K and D; smaller data is taken
        whole. ``None`` takes all rows of X in memory.
    refine : {'auto', 'split-merge', 'none'}, default 'auto'
        Search for the start on the sampled rows. 'split-merge' runs EM from several starts, the
        best one to its end, and then moves components: it merges two and splits a third (Ueda et
        al., 2000) until no move helps; `tol` and `max_iter` are about the full passes that
        follow. 'none' takes scikit-learn's course from scikit-learn's start, with no EM on a
        sample unless `subsample` is a number. 'auto' is 'split-merge', but 'none' where start
        values or `warm_start` are given, or `max_iter` is under 10.
    stopping : {'lower_bound', 'parameters'}, default 'lower_bound'
        Change that `tol` is compared with: that of the mean log-likelihood a row (nats), or the
        largest of any weight, mean or covariance entry, with means and covariances in units of
        the features' standard deviations. Where the start was refined and there is no
        `acceleration`, it is what the likelihood is still to gain, by Aitken's estimate from the
        last two changes, if that is more than the last one.
    acceleration : {None, 'squarem'}, default None
        Extrapolation of EM steps: 'squarem' (Varadhan and Roland, 2008) returns to plain EM
        whenever the likelihood would fall. It saves passes where EM needs many: with a small
        `tol`, on overlapping clusters. A rejected step costs a pass and counts in `max_iter`;
        convergence is judged by plain EM steps.
    dtype : {None, 'float32', 'float64'}, default None
        Float type to compute in; by default the type of the data. Sums over blocks are always
        float64, and so are mixtures too narrow for the rounding of float32.
    cache : {'auto', 'memory', 'disk', 'none'}, default 'auto'
        Place of decoded blocks between passes: memory, the workers' own disks, or none; 'auto'
        chooses by size. With a cache no pass decodes files or computes chunks again; it never
        changes the result.
    checkpoint : path, fsspec URL, CheckpointFile or None, default None
        File for the state of the fit, written after each pass, completely or not at all. If it
        exists, `fit` continues from it, and gives the result of an uninterrupted fit bit for
        bit. It is removed when the fit ends, and kept if the fit fails.
    callbacks : iterable of callable or Observer, default ()
        Functions to call with each `daskgmm.training.states.FitState`; after a restart from a
        checkpoint, with new states only. A `daskgmm.monitoring.observer.Observer` is also
        notified of the start and end of the fit.
    start_from : estimator, path, fsspec URL or None, default None
        Fitted mixture (ours or scikit-learn's), model file or run directory. Its parameters are
        the start, so there is one start and none on a sample, and components keep its order. It
        has K components and the columns of X, in any order where both have names; another
        covariance type is converted. With `warm_start` it is where the first fit starts.
    missing : {'error', 'drop', 'marginalize'}, default 'error'
        Treatment of rows with a missing value: NaN, in frames also null or `pandas.NA`, and
        masked values. With 'drop' they count as absent in `fit`, `partial_fit` and `score`. With
        'marginalize' their known values count: exact EM for values that are missing at random
        (Ghahramani and Jordan, 1994), and predictions from the known values. Starts are found on
        the complete rows of the sample if they are half of it, or ten for each component and
        column; else with means in place of missing values.
    noise : bool or float, default False
        Uniform background over the bounding box of all rows, for those that belong to no cluster
        (Banfield and Raftery, 1993); a number is its first share (``True``: 0.05). `predict` gives
        its rows the label -1, `predict_proba` has it as the last of K + 1 columns, and `weights_`
        and `noise_weight_` sum to 1. Rows outside the box are held against the same density.
    prior : {None, 'default'} or Prior, default None
        Prior of means and covariances, for maximum a posteriori in place of maximum likelihood: no
        component can collapse, so `reg_covar` may be 0. 'default' is mclust's (Fraley and Raftery,
        2007). `lower_bound_` is then the mean log-likelihood with the prior's log-density, a row.
    fixed : mapping or None, default None
        From 'weights', 'means' and 'covariances' to a mask of shape (K,): those components keep
        what `weights_init`, `means_init` and `precisions_init` say, and the others are learned
        beside them; entries to be found may be NaN. A tied covariance is
        fixed for all or none.

    Attributes
    ----------
    weights_ : ndarray of shape (K,)
    means_ : ndarray of shape (K, D)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shape by type: (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical.
    noise_weight_, noise_density_ : float
        Share of noise, and its density in the data's units; 0 without noise.
    components_ : DataFrame
        Report on each component: ``weight, rows, condition, overlap, entropy, flags``.
    converged_ : bool
    n_iter_ : int
        Number of EM passes of the best start over all rows.
    lower_bound_ : float
        Mean log-likelihood a row (nats) in the last pass.
    lower_bounds_ : list of float
        Lower bound of each pass; a rejected step repeats the one before.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where X has names
    n_rows_ : int
        Number of rows that were fitted.
    n_rows_dropped_ : int
        Number of rows that were left out for a missing value.
    n_passes_ : int
        Number of passes over all rows, including those of the initialisation.
    history_ : list of dict
        For each EM pass ``iteration, lower_bound, change, seconds, rows, bytes_read``; bytes
        are those of the rows' values in the computation's float type.
    refinement_ : dict or None
        Search for the start: moves ``tried`` and ``taken``, their ``gain`` (nats a row of the
        sample), whether the budget of multiplications ended it (``budget_ended``), whether no
        mixture without a ``spurious`` component was found, and whether covariances were
        ``smoothed`` to its end, for the sample had too few rows; ``None`` without a search.

    Examples
    --------
    >>> import numpy as np
    >>> from daskgmm import GaussianMixture
    >>> X = np.array([[1, 2], [2, 4], [1, 0], [0, 2], [10, 2], [11, 4], [10, 0], [9, 2]])
    >>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> model.means_.round(6)
    array([[10.,  2.],
           [ 1.,  2.]])
    >>> model.predict([[0, 0], [12, 3]])
    array([1, 0])
    """

    _max_missing: float = 1.0
    _refines = True

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: "CovarianceType" = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: "InitChoice" = "kmeans",
        weights_init: "ArrayLike | None" = None,
        means_init: "ArrayLike | None" = None,
        precisions_init: "ArrayLike | None" = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
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
        fixed: "Mapping[str, ArrayLike] | None" = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
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
        self.fixed = fixed

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows, with finite values; see `missing` for others.
        y : ignored
        sample_weight : array-like or dask array of shape (n,), optional
            Weights, finite and not negative; a row of weight 2 counts twice.

        Returns
        -------
        self

        Raises
        ------
        ConfigurationError
            A parameter is invalid, or the checkpoint belongs to another fit.
        DataError
            There are too few rows, a value is not finite (with partition and row), a column is
            not numeric, a component collapsed, or the checkpoint is damaged or of another
            version's format.
        OutputError
            The checkpoint can't be written.
        """
        del y
        check_parameters(self)
        check_cache(self.cache)
        source = as_source(self, X, sample_weight, reset=True)
        dtype = compute_dtype(self, source.dtype)
        start = start_of(self.start_from)
        candidate = Candidate.of(self, source, start, in_memory=kind_of(X) == "memory")
        stretches = self.checkpoint is not None
        settings = Settings.of(self, (candidate,), dtype, in_stretches=stretches)
        random = random_numbers(self.random_state)
        marks = partial(marks_of, X, sample_weight)
        identity = Identity(self, [self], [candidate], source, marks)
        checkpoint = open_checkpoint(self.checkpoint, identity, random)
        with one_thread(), watched(self, (candidate,), source) as watch:
            with kept(source, self.cache, settings.task(source)) as rows, checkpoint:
                fit = Fit(rows, settings, random, checkpoint, _best)
                warn_of_constants(fit.survey, source.columns)
                warn_of_scales(fit.survey, self.reg_covar, source.columns)
                notify = watch.begin(fit)
                for state in fit.states():
                    notify(state)
            require_unchanged(X)
            best = fit.progress.state.best
            (refinement,) = fit.progress.refinements
            self._adopt(fit, best, fit.progress.histories[0], refinement)
        if best.stopped is StopReason.MAX_ITER:
            warn_not_converged()
        if self.refinement_ is not None and self.refinement_["spurious"]:
            warn_of_spurious()
        elif best.stopped is StopReason.CONVERGED:
            warn_of_components(odd_components(self, fit.survey))
        return self

    def _estimation(self, plan: StartPlan, n_features: int) -> Estimation:
        return estimation_of(self, plan, n_features)

    def _adopt(
        self, fit: Fit, best: Trace, history: Iterable[Entry], refinement: Refinement | None
    ) -> None:
        self._dtype = fit.settings.dtype
        forced = None if self.dtype is None else self._dtype
        found = Predictor(
            best.mixture, fit.standardised.frame, forced, missing=fit.settings.missing
        )
        require_held(found)
        self._predictor = found
        self._moments = best.moments
        self.converged_ = best.stopped is StopReason.CONVERGED
        self.lower_bounds_ = list(best.lower_bounds)
        self.lower_bound_ = best.lower_bound
        self.n_iter_ = len(best.lower_bounds)
        self.n_rows_ = fit.survey.rows
        self.n_rows_dropped_ = fit.survey.dropped
        self.n_passes_ = fit.passes
        self.history_ = [dict(entry) for entry in history]
        made = None if refinement is None else refinement.after(best.mixture, best.moments)
        self.refinement_ = None if made is None else asdict(made)

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default 1
            Number n of rows.

        Returns
        -------
        X, y : arrays of shape (n, D) and (n,)
            Rows and their components: NumPy arrays up to 128 MiB, else lazy dask arrays. In
            memory rows are ordered by component, as in scikit-learn.
        """
        require_fitted(self)
        return mixture_sampling.draw(self._predictor, n_samples, random_numbers(self.random_state))

    def save(self, path: Any, *, storage_options: dict[str, Any] | None = None) -> None:
        """Write the fitted model to a safetensors file, completely or not at all.

        Parameters
        ----------
        path : path or fsspec URL
        storage_options : dict, optional
            Options for fsspec.
        """
        require_fitted(self)
        model_file.save(self, path, storage_options)

    def to_sklearn(self) -> Any:
        """Convert to a fitted ``sklearn.mixture.GaussianMixture``."""
        require_fitted(self)
        return sklearn_model.to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Convert from a fitted ``sklearn.mixture.GaussianMixture``.

        Parameters
        ----------
        estimator : sklearn.mixture.GaussianMixture
        """
        return sklearn_model.from_sklearn(cls, estimator)


def _best(state: FitState) -> list[Trace]:
    """Trace whose passes ``history_`` records: the best one."""
    return [state.best]
