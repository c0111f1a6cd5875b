"""What a fitted estimator makes of new rows."""

from abc import ABC, abstractmethod
from typing import Any, Self

from daskgmm.estimators import updating


class PartialFit(ABC):
    """The method by which a mixture is refreshed."""

    @abstractmethod
    def __sklearn_is_fitted__(self) -> bool: ...

    @abstractmethod
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture."""

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, forgetting: float = 1.0
    ) -> Self:
        """Refresh the mixture with new rows: one step of EM, in one pass over them.

        The new rows' moments under the mixture as it is (E-step) are added to those of all rows
        before, which the model and its file hold, times `forgetting`; the sums give the new
        mixture (M-step). So with ``forgetting=1`` the rows before keep the responsibilities
        that they had: incremental EM in which each batch is seen once (Neal and Hinton, 1998),
        or online EM whose step is the new rows' share of all weight, the running mean of
        statistics (Cappé and Moulines, 2009). Below 1, history fades by that factor at each
        call: the decaying statistics that Neal and Hinton describe after Nowlan (1991). With 0
        the step is plain EM's on the new rows alone.

        Before any fit this is `fit`, on these rows.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            New rows, one or more; all values finite.
        y : array-like or dask array of shape (n,), optional
            The sample weights where they come second, as in ``partial_fit(rows, weights)``.
            scikit-learn wants the place to have this name.
        sample_weight : array-like or dask array of shape (n,), optional
            The same by name; `y` is ignored then.
        forgetting : float in [0, 1], default 1.0
            What the moments of the rows before are multiplied with.

        Returns
        -------
        self
            `n_rows_` counts the new rows too, however much others have faded; `lower_bound_`
            is that of the new rows before the step, `n_iter_`, `lower_bounds_` and `history_`
            grow by one, and `converged_` stays: a step on other rows can't tell.

        Raises
        ------
        ConfigurationError
            `forgetting` is out of range, or the model holds no moments and is to remember.
        DataError
            Other columns, no rows, or what `fit` would refuse.
        """
        weights = y if sample_weight is None else sample_weight
        updating.check_forgetting(forgetting)
        if not self.__sklearn_is_fitted__():
            return self.fit(X, sample_weight=weights)
        updating.update(self, X, weights, forgetting)
        return self
