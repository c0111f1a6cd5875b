"""Questions to a fitted mixture: conditionals, missing and surprising values, clusters."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError, InputTypeError
from daskgmm.estimators.inputs import names_of
from daskgmm.estimators.methods.predict import predict_rows
from daskgmm.estimators.references import fitted_mixture
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.options import MissingChoice
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.model.covariance import CovarianceType
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.questions.conditioning import Conditional
from daskgmm.model.questions.distances import DIVERGENCES
from daskgmm.model.questions.explanation import surprises
from daskgmm.model.questions.imputation import imputed
from daskgmm.model.typing import Doubles

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.merged import MergedMixture


class QuestionMethods:
    """Mixin with the questions to a fitted mixture; only those with an X read rows."""

    def marginal(self: FittedMixture, features: Any) -> "GaussianMixture":
        """The mixture of some columns alone.

        Parameters
        ----------
        features : sequence of str or int
            Names or positions of d columns, in the order that the result has.

        Returns
        -------
        GaussianMixture
            Fitted, over d columns; it has no course of a fit.

        Raises
        ------
        ConfigurationError
            A column is unknown or given twice, or there is none.
        """
        require_fitted(self)
        chosen = _positions(self, features, "features")
        return _derived(self, self._predictor.mixture.of_features(chosen), chosen)

    def condition(self: FittedMixture, given: Mapping[Any, float]) -> "GaussianMixture":
        """The mixture of the other columns, given values of some.

        Each component's mean is its linear regression on the given values, its covariance the
        Schur complement, its weight the component's probability given the values.

        Parameters
        ----------
        given : mapping of str or int to float
            Values of g < D columns by name or position, in the data's units.

        Returns
        -------
        GaussianMixture
            Fitted, over the other D - g columns in their order; it has no course of a fit.

        Raises
        ------
        ConfigurationError
            A column is unknown or given twice, none or all are given, or a value is not finite or
            so far from all components that it has no density.
        InputTypeError
            It is not a mapping to numbers.
        """
        require_fitted(self)
        if not isinstance(given, Mapping):
            raise InputTypeError(
                f"given is a {type(given).__name__}.",
                "Give a mapping of columns to values, such as {'age': 40}.",
            )
        known = _positions(self, list(given), "given")
        others = np.setdiff1d(np.arange(self.n_features_in_), known)
        if len(others) == 0:
            raise ConfigurationError(
                f"All {len(known)} columns are given, so that none is left.",
                "Leave out the columns whose distribution is asked for.",
            )
        frame, values = self._predictor.frame, _numbers(given)
        z = (values - frame.origin[known]) / frame.scale[known]
        try:
            mixture = Conditional.of(self._predictor.mixture, known).at(z)
        except FloatingPointError as error:
            raise ConfigurationError(
                f"The values {dict(given)} have no density in any component.",
                "Check the values and their units.",
            ) from error
        return _derived(self, mixture, others)

    def impute(self, X: Any) -> Any:
        """X with missing values replaced by their means given the row's other values.

        A mean is that over all components, by their probabilities given the known values. Known
        values stay as they are; a row without any gets the mixture's mean.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows, with NaN (in frames also null) where a value is missing.

        Returns
        -------
        ndarray, frame, or dask array or DataFrame of shape (n, D)
            Of the kind of X, with its columns and index; lazy for Dask's and for datasets.

        Raises
        ------
        DataError
            A value is infinite.
        """
        return predict_rows(self, X, imputed, named=True)  # type: ignore[arg-type]

    def explain(self, X: Any) -> Any:
        """Surprise of each value given the row's other columns, ``-log p(x_d | the others)``.

        A row is odd in the columns of the largest surprise. Surprises are log-densities, so they
        depend on the columns' units and may be negative: to compare columns of different units,
        compare each with its usual surprise.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows, with finite values.

        Returns
        -------
        ndarray, frame, or dask array or DataFrame of shape (n, D)
            In nats; of the kind of X, with its columns and index; lazy for Dask's and for datasets.

        Raises
        ------
        DataError
            A value is not finite.
        """
        return predict_rows(self, X, surprises, named=True)  # type: ignore[arg-type]

    def divergence(self: FittedMixture, other: Any, kind: str = "jeffreys") -> Doubles:
        """How far components are from those of another mixture, or from each other.

        Weights don't count, and covariance types and numbers of components may differ.

        Parameters
        ----------
        other : estimator, path or fsspec URL
            Fitted mixture, model file or run directory with the same columns, which are matched by
            name where both have names; ``model.divergence(model)`` compares its own components.
        kind : {'jeffreys', 'bhattacharyya', 'hellinger', 'kl'}, default 'jeffreys'
            'kl' is the Kullback-Leibler divergence from the component here to the other's, and
            'jeffreys' the sum of both directions; these and Bhattacharyya distances are in nats.
            Hellinger distances go from 0 to 1. All are 0 for equal components.

        Returns
        -------
        ndarray of shape (K, K')

        Raises
        ------
        ConfigurationError
            The kind is unknown, or the other mixture has other columns.
        """
        require_fitted(self)
        if kind not in DIVERGENCES:
            raise ConfigurationError(
                f"kind={kind!r} is not known.", f"Use one of: {', '.join(DIVERGENCES)}."
            )
        reference = fitted_mixture(other, "other")
        return DIVERGENCES[kind](*Fitted.of(self).beside(reference, "other"))

    def merge(
        self: FittedMixture,
        n_clusters: int | None = None,
        criterion: str = "entropy",
        X: Any = None,
    ) -> "MergedMixture":
        """Join components into clusters: several may describe one that is not Gaussian.

        Parameters
        ----------
        n_clusters : int, optional
            Number C of clusters. By default the elbow of the entropy (two lines fitted, as Baudry
            et al., sec. 4), or as many as remain when no pair overlaps by a Bhattacharyya
            coefficient of 0.1 (Hennig, 2010).
        criterion : {'entropy', 'overlap'}, default 'entropy'
            'entropy' joins the pair after which rows are labelled with most certainty (Baudry,
            Raftery, Celeux, Lo and Gottardo, 2010); 'overlap' the pair of least Bhattacharyya
            distance, a cluster counting as the Gaussian of its mean and covariance.
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows for 'entropy', in one pass; of more than 100,000 so many are drawn at random, and
            sample weights in a dataset count. 'overlap' reads none.

        Returns
        -------
        MergedMixture

        Raises
        ------
        ConfigurationError
            The criterion is unknown, the number out of range, or X is missing or not needed.
        DataError
            A value is not finite, or there are no rows.
        """
        from daskgmm.estimators.merged import merged

        require_fitted(self)
        return merged(self, n_clusters, criterion, X)  # type: ignore[arg-type]


def _positions(estimator: FittedMixture, columns: Any, name: str) -> NDArray[np.int64]:
    """Positions of columns that are given by name or position; `name` is the argument's."""
    if isinstance(columns, str) or not isinstance(columns, Collection | np.ndarray):
        raise InputTypeError(
            f"{name} is {columns!r}, not a sequence of columns.",
            "Give names or positions in a list, such as ['age'] or [0, 2].",
        )
    found = [_position(estimator, column) for column in columns]
    if len(found) == 0:
        raise ConfigurationError(f"{name} has no columns.", "Give at least one.")
    twice = next((at for at in found if found.count(at) > 1), None)
    if twice is not None:
        names = names_of(estimator)
        shown = twice if names is None else names[twice]
        raise ConfigurationError(f"{name} has column {shown!r} twice.", "Give each column once.")
    return np.array(found, dtype=np.int64)


def _position(estimator: FittedMixture, column: Any) -> int:
    names, n_features = names_of(estimator), estimator.n_features_in_
    if isinstance(column, str) and names is not None and column in names:
        return names.index(column)
    whole = isinstance(column, Integral) and not isinstance(column, bool)
    if whole and 0 <= column < n_features:
        return int(column)
    known = f"a position from 0 to {n_features - 1}"
    if names is not None:
        known = f"one of {', '.join(map(repr, names))}, or {known}"
    raise ConfigurationError(f"The model has no column {column!r}.", f"Give {known}.")


def _numbers(given: Mapping[Any, Any]) -> Doubles:
    for column, value in given.items():
        if not isinstance(value, Real):
            raise InputTypeError(
                f"The value of column {column!r} is {value!r}, not a number.", "Give one number."
            )
        if not np.isfinite(float(value)):
            raise ConfigurationError(
                f"The value of column {column!r} is {value!r}.",
                "Give a finite number, or leave the column out if its value is not known.",
            )
    return np.array([float(value) for value in given.values()])


def _derived(
    estimator: FittedMixture, mixture: Mixture, features: NDArray[np.int64]
) -> "GaussianMixture":
    """A fitted estimator of a mixture over some of another's columns."""
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

    found = GaussianMixture(
        mixture.n_components,
        covariance_type=cast("CovarianceType", mixture.covariance.name),
        random_state=estimator.random_state,
        dtype=estimator.dtype,
        missing=cast("MissingChoice", estimator.missing),
    )
    own = estimator._predictor  # noqa: SLF001  a protocol's
    frame = Frame(own.frame.origin[features], own.frame.scale[features])
    found._predictor = replace(own, mixture=mixture, frame=frame)  # noqa: SLF001
    found._dtype = estimator._dtype  # noqa: SLF001
    found._moments = None  # noqa: SLF001
    found.n_features_in_ = len(features)
    names = names_of(estimator)
    if names is not None:
        found.feature_names_in_ = np.array([names[at] for at in features], dtype=object)
    return found
